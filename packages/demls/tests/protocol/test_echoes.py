"""What a node has said itself, and hears again, is not opened."""

from __future__ import annotations

from typing import Any

import pytest
from comeback import rejoin
from demls.protocol.echoes import Echoes
from demls.protocol.effects import Effects
from demls.protocol.events import Returned
from demls.protocol.group import Group
from demls.protocol.policy import OWN_ENVELOPES_KEPT, REPEAT_EVERY
from demls.protocol.step import Step
from demls.wire.ids import Instant, Topic
from demls.wire.messages import PrivateMessage, Remove
from demls_engine import Engine
from world import Person, World

FRIENDS = ("ann", "ben", "cleo", "dia")


class Opened:
    """Counts the envelopes that an engine opens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, group: Group) -> None:
        self.count = 0
        inbound = group._inbound
        real = inbound.open

        def count(envelopes: Any) -> Any:
            self.count += len(envelopes)
            return real(envelopes)

        monkeypatch.setattr(inbound, "open", count)


def friends() -> World:
    world = World()
    world.group_of(*FRIENDS)
    world.run(5_000)
    return world


def propose(world: World) -> tuple[Effects, list[tuple[Topic, bytes]]]:
    ann = world.person("ann")
    effects = ann.group.propose(Remove(world.person("dia").address), world.now)
    return effects, [(outbound.topic, outbound.payload) for outbound in effects.outbound]


def test_own_envelopes_are_not_opened_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = friends()
    group = world.person("ann").group
    effects, said = propose(world)
    opened, before = Opened(monkeypatch, group), group.snapshot()
    assert said
    for again in (group.receive_many(said * 2, world.now), group.receive(*said[0], world.now)):
        assert again == Effects(deadline=effects.deadline)
    assert opened.count == 0
    assert group.snapshot() == before


def test_others_among_them_are_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    world = friends()
    group = world.person("ann").group
    text = world.person("ben").group.send("hello", world.now).outbound[0]
    _, said = propose(world)
    opened = Opened(monkeypatch, group)
    effects = group.receive_many([*said, (text.topic, text.payload), *said], world.now)
    assert [event.text for event in effects.events] == ["hello"]  # type: ignore[attr-defined]
    assert opened.count == 1


def test_what_is_due_is_done_when_an_own_envelope_comes() -> None:
    world = friends()
    group = world.person("ann").group
    effects, said = propose(world)
    assert effects.deadline is not None
    again = group.receive_many(said, Instant(effects.deadline))
    assert again.deadline is None or again.deadline > effects.deadline


def test_after_a_restart_own_envelopes_are_read_as_anybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a backup, they may say what was lost."""
    world = friends()
    ann = world.person("ann")
    before = dict(ann.records)
    effects, said = propose(world)
    group, _ = Group.load(before, engine=Engine(bytes(32)), now=world.now)
    opened = Opened(monkeypatch, group)
    group.receive_many(said, world.now)
    assert opened.count == len(said)
    known = {proposal.proposal_id for proposal in group.view(world.now).proposals}
    assert effects.events[0].proposal_id in known  # type: ignore[attr-defined]


def test_the_newest_are_known() -> None:
    world = friends()
    channel, engine = world.person("ann").group._live().channel, world.person("ann").engine
    echoes, sealed = Echoes(), []
    for number in range(OWN_ENVELOPES_KEPT + 1):
        step = Step(world.now, channel)
        step.say(PrivateMessage(number.to_bytes(4, "big")))
        sealed += [(envelope.topic, envelope.payload) for envelope in echoes.seal(step, engine)]
    assert list(echoes.without(sealed)) == sealed[:1]


def test_who_comes_back_is_told_when_more_is_due() -> None:
    world = friends()
    pauses: list[int] = []

    def watch(person: Person, effects: Effects) -> None:
        if any(isinstance(event, Returned) for event in effects.events):
            assert effects.deadline is not None
            pauses.append(effects.deadline - world.now)

    world.watch = watch
    rejoin(world, "dia")
    world.run(20_000)
    (pause,) = pauses
    assert 0 < pause <= REPEAT_EVERY
