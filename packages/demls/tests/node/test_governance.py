"""Do real groups on real cores agree on settings, elect, admit strangers and go on in successors, through restarts?"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from demls.api.models import (
    NewGroup,
    NewSettings,
    NewSuccessor,
    PolicyChange,
    RuleChange,
    ScoringChange,
)
from demls.node import successors
from demls.node.errors import Refused
from demls.node.successors import INTENDED
from demls.protocol.errors import RequestRefused, UnknownProposal
from demls.wire.ids import address_text
from friends import SECONDS, befriend, consent, lines, members


async def test_settings_are_proposed_voted_on_and_changed_everywhere(world: Any) -> None:
    async with world.node("alice", is_real=True) as alice, world.node("bob", is_real=True) as bob:
        group = await befriend(world, alice, [bob])
        wanted = NewSettings(
            name=" Good   friends ", policy=PolicyChange(remove=RuleChange(share="three quarters"), stewards_max=3)
        )
        done = await alice.propose_settings(group, wanted)
        card = await alice.proposal(group, done.proposal)
        assert card.title == "Rename the group to “Good friends”, removals need three quarters, at most 3 stewards"
        assert [one.field for one in card.differences] == ["name", "remove.share", "stewards_max"]
        assert (card.share, card.decided_by, card.my_vote) == ("two thirds", "members", True)
        await world.until(lambda: any(one.kind == "settings" for one in bob._shown(group).proposals))
        with pytest.raises(RequestRefused, match="being decided already"):
            await bob.propose_settings(group, NewSettings(name="Others"))
        await consent(
            world, [alice, bob], lambda: all(one._shown(group).name == "Good friends" for one in (alice, bob))
        )
        for desk in (alice, bob):
            policy = desk._shown(group).policy
            assert (policy.preset, policy.remove.share, policy.stewards_max) == ("custom", "three quarters", 3)
            assert any(
                line.startswith("The settings have changed: rename the group to “Good friends”, removals need")
                for line in lines(desk, group)
            )
            assert not [line for line in lines(desk, group) if "made a commit" in line]
        ended = await alice.proposal(group, done.proposal)
        assert (ended.status, ended.title) == ("committed", card.title)
        with pytest.raises(RequestRefused, match="settings already"):
            await alice.propose_settings(group, NewSettings())
        with pytest.raises(UnknownProposal):
            await alice.proposal(group, "00")
    async with world.node("bob", is_real=True) as bob:
        assert bob._shown(group).name == "Good friends"
        assert bob._shown(group).policy.remove.share == "three quarters"


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (PolicyChange(stewards_min=5, stewards_max=3), "number of stewards"),
        (PolicyChange(remove=RuleChange(decided_by="stewards")), "at least 64"),
        (PolicyChange(settings=RuleChange(decided_by="stewards")), "always decided by all members"),
        (PolicyChange(invite=RuleChange(duration_ms=400 * 86_400_000)), "366 days"),
        (PolicyChange(dormant_after_ms=5), "an hour at the earliest"),
        (PolicyChange(batch_window_ms=2**40), "at most an hour"),
        (PolicyChange(reelections_max=99), "at most 16 times"),
        (PolicyChange(emergency=RuleChange(duration_ms=11 * 60_000)), "within ten minutes"),
        (PolicyChange(emergency=RuleChange(decided_by="stewards")), "always decided by all members"),
        (PolicyChange(emergency=RuleChange(silence_is_yes=True)), "Silence is no consent to an emergency."),
        (PolicyChange(scoring=ScoringChange(threshold=100)), "lies above the threshold"),
        (PolicyChange(scoring=ScoringChange(equivocation=1001)), "no number of the scores above 1000"),
    ],
)
async def test_a_policy_that_cannot_work_is_refused_with_a_sentence(
    world: Any, policy: PolicyChange, words: str
) -> None:
    async with world.node("alice", is_real=True) as alice:
        with pytest.raises(RequestRefused, match=words):
            await alice.create_group(NewGroup(name="Friends", policy=policy))
        group = (await alice.create_group(NewGroup(name="Friends"))).id
        with pytest.raises(RequestRefused, match=words):
            await alice.propose_settings(group, NewSettings(policy=policy))


async def test_stewards_are_elected_without_asking_anybody(world: Any) -> None:
    async with AsyncExitStack() as stack:
        names = ("alice", "bob", "carol")
        desks = [await stack.enter_async_context(world.node(name, is_real=True)) for name in names]
        group = await befriend(world, desks[0], desks[1:], PolicyChange(batch_window_ms=0, stewards_max=1))
        elected = "the only steward now, elected"
        await consent(world, desks, lambda: all(any(elected in line for line in lines(one, group)) for one in desks))
        for desk in desks:
            cards = [card for card in desk._shown(group).proposals if card.kind == "election"]
            assert cards
            assert all(card.by_nodes and not card.may_vote and card.stewards for card in cards)
            assert not [line for line in lines(desk, group) if "Your vote to elect" in line]
            (summary,) = await desk.groups()
            assert summary.last_entry.kind != "quiet"
            assert summary.last_entry.id < summary.last_id, "the newest line tells who was elected"
        shown = desks[0]._shown(group)
        assert (len(shown.stewards), shown.stewards[0]) == (1, shown.epoch_steward)
        assert shown.stewards_until is not None


async def test_whoever_comes_by_an_open_link_waits_for_a_sponsor(world: Any) -> None:
    async with world.node("alice", is_real=True) as alice, world.node("bob", is_real=True) as bob:
        group = await befriend(world, alice, [])
        link = await alice.invite(group, 3_600_000, is_open=True)
        await bob.join_group(link.text)
        await world.until(lambda: alice._shown(group).requests)
        (request,) = alice._shown(group).requests
        assert request.needs_sponsor
        assert "until a member answers" in request.sentence
        assert (await alice.groups())[0].requests == 1
        assert not alice._shown(group).proposals
        await alice.sponsor(group, request.id)
        await consent(world, [alice], lambda: members(bob, group) == 2)


async def test_a_successor_is_joined_without_another_vote(world: Any) -> None:
    async with AsyncExitStack() as stack:
        names = ("alice", "bob", "carol")
        desks = [await stack.enter_async_context(world.node(name, is_real=True)) for name in names]
        alice, bob, carol = desks
        old = await befriend(world, alice, desks[1:])
        others = [address_text(world.wallet(name).address) for name in ("bob", "carol")]
        new = await alice.found_successor(old, NewSuccessor(members=others, name="Friends II"))
        assert (new.name, new.members, new.policy.batch_window_ms) == ("Friends II", 1, 0)
        for desk in (bob, carol):
            await world.until(lambda desk=desk: desk._shown(old).successors)
            (successor,) = desk._shown(old).successors
            assert (successor.invited, successor.group, successor.name) == (True, new.id, "Friends II")
            await desk.join_successor(old, successor.founder.address)
        async with asyncio.timeout(SECONDS):
            while any(members(desk, new.id) != 3 for desk in desks):
                world.changed.clear()
                await world.changed.wait()
        assert any("a group that goes on from this one; you are invited" in line for line in lines(bob, old))
        assert not [line for desk in desks for line in lines(desk, new.id) if "Your vote" in line]
        assert "Your node votes to admit bob: yes. This was agreed before." in lines(alice, new.id)
        await bob.send(old, "the old group goes on")
        await bob.send(new.id, "so does the new one")
        await world.until(lambda: "so does the new one" in lines(alice, new.id))
        with pytest.raises(Refused, match="founded a successor of this group already"):
            await alice.found_successor(old, NewSuccessor(members=others))
        with pytest.raises(Refused, match="no successor"):
            await carol.join_successor(old, others[0])
        with pytest.raises(RequestRefused, match="at least one other member"):
            await bob.found_successor(old, NewSuccessor(members=["ab" * 20]))


class Died(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", ["before the group", "before the word", "after the word"])
async def test_a_node_that_dies_while_it_founds_a_successor_goes_on_or_has_done_nothing(
    world: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    bob_address = address_text(world.wallet("bob").address)
    async with world.node("bob", is_real=True) as bob:
        async with world.node("alice", is_real=True) as alice:
            old = await befriend(world, alice, [bob])
            node, announce = alice._node, successors._announce

            async def die(*_: Any) -> None:
                raise Died

            async def die_after(home: Any, scope: Any, links: Any) -> None:
                await announce(home, scope, links)
                home.store.set_setting(INTENDED + scope.scope, intended[0])
                raise Died

            intended: list[bytes] = []
            make = successors._make

            def note(*arguments: Any) -> Any:
                made = make(*arguments)
                intended.append(successors.msgspec.msgpack.encode(successors.Intention(made.scope, made.links)))
                return made

            monkeypatch.setattr(successors, "_make", note)
            if step == "before the group":
                monkeypatch.setattr(node, "open_scope", die)
            else:
                monkeypatch.setattr(successors, "_announce", die if step == "before the word" else die_after)
            with pytest.raises(Died):
                await alice.found_successor(old, NewSuccessor(members=[bob_address]))
            assert node.store.setting(INTENDED + old) is not None
        monkeypatch.undo()
        async with world.node("alice", is_real=True) as alice:
            assert alice._node.store.setting(INTENDED + old) is None
            if step == "before the group":
                assert len(await alice.groups()) == 1
                await alice.found_successor(old, NewSuccessor(members=[bob_address]))
            await world.until(lambda: bob._shown(old).successors)
            await bob.join_successor(old, bob._shown(old).successors[0].founder.address)
            assert len(await alice.groups()) == 2
            new = bob._shown(old).successors[0].group
            await world.until(lambda: members(bob, new) == 2, SECONDS)
            founded = [line for line in lines(bob, old) if "goes on from this one" in line]
            assert len(founded) == 1
