"""Do real nodes fetch what a relay without history has dropped, and tell what nobody has any more?"""

from __future__ import annotations

from typing import Any

import pytest
from demls.node.forgetting import forget_old
from demls.protocol import policy as bounds
from demls.protocol.policy import SECOND
from demls.wire.ids import Duration, Topic
from friends import befriend, lines


@pytest.fixture(autouse=True)
def _is_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASK_FIRST_AFTER", "ASK_AGAIN_AFTER", "QUESTION_EVERY", "LOST_TOLD_AFTER", "SAY_AGAIN_EVERY"):
        monkeypatch.setattr(bounds, name, Duration(50))
    monkeypatch.setattr(bounds, "ASK_AGAIN_MOST", Duration(100))
    monkeypatch.setattr(bounds, "PLACES_PAUSES", (Duration(SECOND),))


class Dropping:
    """A relay that keeps nothing of what it drops."""

    def __init__(self, hub: Any) -> None:
        self._add = hub.add
        self.is_dropping = False
        hub.add = self.add

    def add(self, topic: Topic, payload: bytes) -> None:
        if not self.is_dropping:
            self._add(topic, payload)


def said(desk: Any, group: str) -> list[str]:
    return [text for text in lines(desk, group) if text in {"one", "two", "three"}]


async def lose_two(world: Any, alice: Any, bob: Any) -> str:
    """Of three messages the second is dropped."""
    relay = Dropping(world.hub)
    group = await befriend(world, alice, [bob])
    await alice.send(group, "one")
    await world.until(lambda: said(bob, group) == ["one"])
    relay.is_dropping = True
    await alice.send(group, "two")
    await world.until(lambda: alice._node.store.counts().outbox == 0)
    relay.is_dropping = False
    return group


async def test_what_a_relay_without_history_dropped_is_fetched(world: Any) -> None:
    async with world.node("alice", is_real=True) as alice, world.node("bob", is_real=True) as bob:
        group = await lose_two(world, alice, bob)
        await alice.send(group, "three")
        await world.until(lambda: len(said(bob, group)) == 3)
        entries = [one for one in await bob.timeline(group, None, 100) if one.text in {"one", "two", "three"}]
        assert [(one.text, one.late) for one in entries] == [("one", False), ("three", False), ("two", True)]
        by_time = sorted(entries, key=lambda one: one.at)
        assert [one.text for one in by_time] == ["one", "two", "three"]
        await world.until(lambda: bob._shown(group).fetching == "")


async def test_the_last_message_is_fetched_too(world: Any) -> None:
    async with world.node("alice", is_real=True) as alice, world.node("bob", is_real=True) as bob:
        group = await lose_two(world, alice, bob)
        await world.until(lambda: said(bob, group) == ["one", "two"])


async def test_what_nobody_has_is_told_in_one_line(world: Any) -> None:
    async with world.node("alice", is_real=True) as alice, world.node("bob", is_real=True) as bob:
        group = await lose_two(world, alice, bob)
        await forget_old(alice._node.store, alice._node.scopes, -1)
        assert said(alice, group) == []
        await alice.send(group, "three")
        await world.until(lambda: any("could not be recovered" in text for text in lines(bob, group)))
        (line,) = [text for text in lines(bob, group) if "could not be recovered" in text]
        assert line.startswith("A message of alice could not be recovered, from ")


async def test_what_a_person_wants_gone_is_gone_from_the_file(world: Any) -> None:
    async with world.node("alice", is_real=True) as alice, world.node("bob", is_real=True) as bob:
        group = await befriend(world, alice, [bob])
        await alice.send(group, "one")
        store = alice._node.store
        assert any(key.startswith(b"copy/") for key in store.records(group))
        await forget_old(store, alice._node.scopes, 1)
        assert said(alice, group) == ["one"]
        await forget_old(store, alice._node.scopes, -1)
        assert lines(alice, group) == []
        assert store.counts().timeline == 0
        assert not any(key.startswith(b"copy/") for key in store.records(group))
