"""Does the shell persist before it publishes and tells, survive restarts, and fail one scope at a time?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from demls.api.models import GroupNews, GroupState, NewGroup, NewSuccessor
from demls.node.errors import NoSuchGroup, Refused
from demls.node.news import NewsHub, TooSlow
from demls.node.node import NodeCrashed
from demls.node.timeline import entry
from demls.protocol.errors import NotAMember, UnknownMember, UnknownProposal
from demls.storage.errors import DiskFull
from demls.wire.ids import address_text


def texts(desk: Any, group: str) -> list[str]:
    rows = desk._node.store.timeline(group, None, 100)
    return [entry(row).text for row in rows if row.kind == "message"]


async def test_two_nodes_meet_over_an_invite_link_and_talk(world: Any) -> None:
    async with world.node("alice") as alice, world.node("bob") as bob:
        group = await alice.create_group(NewGroup(name="Friends", preset="quick"))
        link = await alice.invite(group.id, 60_000)
        asked = await bob.join_group(link.text)
        assert asked.id == group.id
        await world.until(lambda: bob._shown(group.id).state is GroupState.MEMBER)
        await bob.send(group.id, "hello")
        await world.until(lambda: "hello" in texts(alice, group.id))
        await alice.send(group.id, "welcome")
        await world.until(lambda: "welcome" in texts(bob, group.id))
        lines = [one.text for one in await alice.timeline(group.id, None, 100)]
        assert any("asks to join" in line for line in lines)
        assert any("joined (epoch 1)" in line for line in lines)


async def test_whoever_listens_is_told_of_a_new_group_at_once(world: Any) -> None:
    async with world.node("alice") as alice:
        with alice.news.subscribe() as reader:
            group = await alice.create_group(NewGroup(name="Friends"))
            async with asyncio.timeout(10):
                async for news in reader:
                    if isinstance(news, GroupNews):
                        assert news.group == group
                        break


async def test_a_restarted_node_goes_on_where_it_was(world: Any) -> None:
    async with world.node("alice") as alice:
        group = await alice.create_group(NewGroup(name="Friends"))
        link = (await alice.invite(group.id, 60_000)).text
        async with world.node("bob") as bob:
            await bob.join_group(link)
            await world.until(lambda: bob._shown(group.id).state is GroupState.MEMBER)
            await alice.send(group.id, "one")
            await world.until(lambda: texts(bob, group.id) == ["one"])
        await alice.send(group.id, "two")
        async with world.node("bob") as bob:
            await world.until(lambda: texts(bob, group.id) == ["one", "two"])
            assert [one.name for one in await bob.groups()] == ["Friends"]


async def test_a_message_that_is_sent_again_with_the_same_client_id_is_said_once(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.node("alice") as alice:
        group = await alice.create_group(NewGroup(name="Friends"))
        assert (await alice.send(group.id, "one", "a")).sentence == "Sent."
        assert (await alice.send(group.id, "one", "a")).sentence == "Sent already."
        await alice.send(group.id, "one")
        await alice.send(group.id, "one", "b")
        with pytest.raises(Refused, match="one of its own"):
            await alice.send(group.id, "two", "a")
        other = await alice.create_group(NewGroup(name="Others"))
        await alice.send(other.id, "one", "a")
    async with world.node("alice") as alice:
        await alice.send(group.id, "one", "a")
        assert texts(alice, group.id) == ["one", "one", "one"]
        assert [one.client_id for one in await alice.timeline(group.id, None, 100) if one.kind == "message"] == [
            "a",
            None,
            "b",
        ]
        monkeypatch.setattr("demls.node.sent.LINES_MAX", 2)
        for name in ("c", "d"):
            await alice.send(group.id, name, name)
        sent = alice._node.scopes[group.id]._worker._sent
        assert list(sent._known) == ["c", "d"]
        await alice.send(group.id, "too long ago", "a")
        assert texts(alice, group.id)[-1] == "too long ago"


async def test_two_that_send_the_same_at_once_say_it_once(world: Any) -> None:
    async with world.node("alice") as alice:
        group = await alice.create_group(NewGroup(name="Friends"))
        await asyncio.gather(*(alice.send(group.id, "hello", "same") for _ in range(20)))
        assert texts(alice, group.id) == ["hello"]


async def test_a_message_that_could_not_be_stored_is_said_when_it_is_sent_again(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demls.node.scope_task.RETRY_SECONDS_MIN", 0.01)
    async with world.node("alice") as alice:
        group = await alice.create_group(NewGroup(name="Friends"))
        store = alice._node.store

        def full(_batch: Any) -> Any:
            raise DiskFull("The disk is full.")

        alice._node.store = alice._node.scopes[group.id]._worker.store = Broken(store, full)
        with pytest.raises(Refused, match="disk is full"):
            await alice.send(group.id, "hello", "a")
        alice._node.store = store
        await world.until(lambda: alice._shown(group.id).sync.state != "offline")
        assert (await alice.send(group.id, "hello", "a")).sentence == "Sent."
        assert texts(alice, group.id) == ["hello"]


async def test_what_was_not_published_before_a_stop_is_published_after_it(world: Any) -> None:
    async with world.node("alice") as alice:
        group = await alice.create_group(NewGroup(name="Friends"))
        world.transports["alice"].disconnect()
        await alice.send(group.id, "kept")
        assert texts(alice, group.id) == ["kept"]
        await world.until(lambda: alice._shown(group.id).sync.state == "offline")
    async with world.node("alice") as alice:
        topic = next(iter(alice._node.scopes[group.id].machine.topics()))
        await world.until(lambda: any(b"kept" in payload for payload in world.hub.history(topic)))


async def test_a_full_disk_makes_a_scope_stand_still_and_loses_nothing(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demls.node.scope_task.RETRY_SECONDS_MIN", 0.01)
    async with world.node("alice") as alice, world.node("bob") as bob:
        group = await alice.create_group(NewGroup(name="Friends"))
        await bob.join_group((await alice.invite(group.id, 60_000)).text)
        await world.until(lambda: bob._shown(group.id).state is GroupState.MEMBER)

        def full(_batch: Any) -> Any:
            raise DiskFull("The disk is full.")

        store = alice._node.store
        alice._node.store = alice._node.scopes[group.id]._worker.store = Broken(store, full)
        with pytest.raises(Refused, match="disk is full"):
            await alice.send(group.id, "lost?")
        with pytest.raises(Refused, match="disk is full"):
            await alice.send(group.id, "not yet")
        assert not alice.health().ok
        assert alice._shown(group.id).sync.state == "offline"
        await bob.send(group.id, "meanwhile")
        assert texts(alice, group.id) == []
        alice._node.store = store
        await world.until(lambda: texts(alice, group.id) == ["meanwhile"])
        await alice.send(group.id, "again")
        assert alice.health().ok
        await world.until(lambda: "again" in texts(bob, group.id))


class Broken:
    """A store whose commits fail."""

    def __init__(self, store: Any, commit: Any) -> None:
        self._store = store
        self.commit = commit

    def records(self, scope: str) -> Any:
        self.commit(None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def test_an_envelope_on_which_the_core_fails_is_skipped_and_reported(world: Any) -> None:
    async with world.node("alice") as alice, world.node("bob") as bob:
        group = await alice.create_group(NewGroup(name="Friends"))
        topic = next(iter(alice._node.scopes[group.id].machine.topics()))
        await bob.join_group((await alice.invite(group.id, 60_000)).text)
        await world.until(lambda: bob._shown(group.id).state is GroupState.MEMBER)
        world.hub.add(topic, b"boom")
        world.hub.add(topic, b"rubbish")
        await bob.send(group.id, "after it")
        await world.until(lambda: texts(alice, group.id) == ["after it"])
        assert "1 envelopes" in alice.health().sentence
        metrics = await alice.metrics()
        assert 'demls_envelopes_rejected_total{reason="unreadable"}' in metrics
        assert "demls_core_failures_total 1" in metrics


async def test_a_defect_in_the_core_on_a_request_stops_the_node_loudly(world: Any) -> None:
    async with world.node("alice") as alice:
        group = await alice.create_group(NewGroup(name="Friends"))
        with pytest.raises(Refused, match="log"):
            await alice.send(group.id, "misuse")
        with pytest.raises(NodeCrashed, match="a defect of the core"):
            async with asyncio.timeout(5):
                await alice._node.wait_ended()


async def test_a_machine_is_ticked_at_its_deadline(world: Any) -> None:
    async with world.node("alice") as alice:
        group = await alice.create_group(NewGroup(name="Friends"))
        topic = next(iter(alice._node.scopes[group.id].machine.topics()))
        world.hub.add(topic, b"tick|")
        await world.until(lambda: texts(alice, group.id) == ["tick"])


async def test_refusals_say_what_is_wrong(world: Any) -> None:
    async with world.node("alice") as alice, world.node("bob") as bob:
        group = await alice.create_group(NewGroup(name="Friends"))
        for group_id in ("nothing", "inbox", "00" * 32):
            with pytest.raises(NoSuchGroup):
                await alice.group(group_id)
        with pytest.raises(UnknownMember):
            await alice.remove_member(group.id, "ab" * 20)
        with pytest.raises(UnknownMember):
            await alice.send(group.id, "/ban 0x" + "AB" * 20)
        with pytest.raises(UnknownProposal):
            await alice.vote(group.id, "zz", yes=True)
        with pytest.raises(Refused, match="40 hexadecimal digits"):
            await alice.send(group.id, "/ban nobody")
        with pytest.raises(Refused, match="There is no command"):
            await alice.send(group.id, "/dance")
        with pytest.raises(Refused, match="still a member"):
            await alice.forget(group.id)
        world.transports["bob"].disconnect()
        asked = await bob.join_group((await alice.invite(group.id, 60_000)).text)
        with pytest.raises(NotAMember):
            await bob.send(asked.id, "hello")
        link = (await alice.invite(group.id, 60_000)).text
        assert (await bob.join_group(link)).id == asked.id


async def test_an_invite_link_of_another_relay_is_refused(world: Any) -> None:
    async with world.node("alice", relay_public="wss://one.example") as alice, world.node("bob") as bob:
        group = await alice.create_group(NewGroup(name="Friends"))
        with pytest.raises(Refused, match=r"wss://one\.example"):
            await bob.join_group((await alice.invite(group.id, 60_000)).text)


async def test_a_command_bans_leaves_and_helps(world: Any) -> None:
    async with world.node("alice") as alice, world.node("bob") as bob:
        group = await alice.create_group(NewGroup(name="Friends"))
        await bob.join_group((await alice.invite(group.id, 60_000)).text)
        await world.until(lambda: alice._shown(group.id).members == 2)
        done = await alice.send(group.id, "/ban " + address_text(world.wallet("bob").address))
        assert done.proposal is not None
        card = alice._shown(group.id).proposals[0]
        assert card.id == done.proposal
        assert card.rule.startswith("Passes with 2 of 2 votes; silence counts as yes at ")
        assert "/ban" in (await alice.send(group.id, "/help")).sentence
        await alice.send(group.id, "//slash")
        assert texts(alice, group.id) == ["/slash"]
        await alice.send(group.id, "/leave")
        assert alice._shown(group.id).state is GroupState.LEFT
        await alice.forget(group.id)
        assert await alice.groups() == []


async def test_unreadable_state_of_a_group_is_told_and_kept(world: Any) -> None:
    async with world.node("alice") as alice:
        group = await alice.create_group(NewGroup(name="Friends"))
        before = alice._node.store.records(group.id)
    async with world.node("alice", unreadable=group.id) as alice:
        assert not alice.health().ok
        assert "another version" in alice.health().sentence
        with pytest.raises(Refused, match="another version"):
            await alice.send(group.id, "hello")
        assert alice._node.store.records(group.id) == before
    async with world.node("alice") as alice:
        await alice.send(group.id, "hello")


async def test_a_restored_backup_sends_nothing_from_its_old_state(world: Any, tmp_path: Path) -> None:
    async with world.node("alice") as alice:
        group = await alice.create_group(NewGroup(name="Friends"))
        await alice.send(group.id, "before the backup")
        alice._node.store.backup(tmp_path / "copy.sqlite")
    (tmp_path / "copy.sqlite").replace(tmp_path / "alice" / "demls.sqlite")
    async with world.node("alice") as alice:
        await alice.create_group(NewGroup(name="Another"))
    async with world.node("alice") as alice, world.node("bob") as bob:
        assert "backup" in alice.health().sentence
        assert {one.name for one in await alice.groups()} == {"Friends", "Another"}
        assert texts(alice, group.id) == ["before the backup"]
        with pytest.raises(Refused, match="backup"):
            await alice.send(group.id, "hello")
        link = (await bob.invite((await bob.create_group(NewGroup(name="Friends"))).id, 60_000)).text
        await alice.join_group(link)
        await world.until(lambda: alice._shown(group.id).members)
        await alice.send(group.id, "after it")
        assert alice.health().ok


async def test_without_the_wallet_a_node_reads_and_talks_but_joins_nothing_new(world: Any) -> None:
    async with world.node("alice") as alice:
        group = await alice.create_group(NewGroup(name="Friends"))
    async with world.node("alice", has_wallet=False) as alice:
        await alice.send(group.id, "hello")
        with pytest.raises(Refused, match="wallet is offline"):
            await alice.create_group(NewGroup(name="Another"))


async def test_a_successor_that_could_not_be_announced_is_announced_when_it_is_asked_for_again(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demls.node.scope_task.RETRY_SECONDS_MIN", 0.01)
    async with world.node("alice") as alice:
        group = await alice.create_group(NewGroup(name="Friends"))
        wanted = NewSuccessor(members=["ab" * 20])
        fake = type(alice._node.scopes[group.id].machine)
        monkeypatch.setattr(fake, "fails_to_announce", True)
        with pytest.raises(Refused, match="disk is full"):
            await alice.found_successor(group.id, wanted)
        monkeypatch.setattr(fake, "fails_to_announce", False)
        await world.until(lambda: not alice._node.scopes[group.id].failure)
        begun = await alice.found_successor(group.id, wanted)
        assert {one.id for one in await alice.groups()} == {group.id, begun.id}
        with pytest.raises(Refused, match="already"):
            await alice.found_successor(group.id, wanted)
        other = NewSuccessor(members=["ab" * 20], name="Third", again=True)
        assert (await alice.found_successor(group.id, other)).name == "Third"


async def test_readers_are_told_and_slow_ones_are_cut(world: Any) -> None:
    async with world.node("alice") as alice:
        group = await alice.create_group(NewGroup(name="Friends"))
        alice._node.news = alice.news = NewsHub(queue_max=5)
        with alice.news.subscribe() as reader:
            for number in range(10):
                await alice.send(group.id, str(number))
            with pytest.raises(TooSlow):
                async for _ in reader:
                    pass
        missed = await alice.timeline_after(0, 100)
        assert [one.text for one in missed if one.kind == "message"] == [str(number) for number in range(10)]
        assert [one.id for one in missed] == sorted({one.id for one in missed})
