"""In a large group what all have to say in one moment is spread, and in a small one nobody waits."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from demls.protocol import policy as bounds
from demls.protocol.lots import lot, paced
from demls.protocol.policy import MINUTE, QUICK, SECOND
from demls.wire.messages import NothingKept, StewardElection, Vote
from demls_consensus import SignedVote
from hypothesis import given
from hypothesis import strategies as st
from insider import Insider
from leaves import address
from world import World

NAMES = ("alice", "bob", "carol", "dave", "erin", "fred", "gina", "hank")


@given(st.binary(max_size=40), st.integers(0, bounds.CROWD))
def test_nobody_waits_in_a_small_group(occasion: bytes, members: int) -> None:
    assert lot(occasion, address(1), members) == 0
    assert paced(2_000, members) == 2_000


def test_ten_thousand_speak_about_so_many_a_second_as_make_a_crowd() -> None:
    lots = [lot(b"an election", number.to_bytes(20, "big"), 10_000) for number in range(2_000)]
    assert min(lots) >= 0
    assert max(lots) < 10_000 * SECOND // bounds.CROWD
    seconds = Counter(wait // (10 * SECOND) for wait in lots)
    assert max(seconds.values()) < 2 * len(lots) / len(seconds)


@given(st.integers(bounds.CROWD + 1, 10_000), st.integers(0, 60_000))
def test_nobody_waits_longer_than_it_may(members: int, most: int) -> None:
    assert lot(b"x", address(1), members, most) in range(most + 1)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Eight members are a crowd here, and have a list of two stewards."""
    world = World(31)
    world.group_of(*NAMES, policy=replace(QUICK, stewards_max=2, election=replace(QUICK.election, duration=MINUTE)))
    monkeypatch.setattr(bounds, "CROWD", 4)
    return world


def test_nodes_do_not_vote_all_at_once_on_an_election(world: World) -> None:
    said_at: dict[bytes, int] = {}
    world.do("alice", lambda group: group.change_settings(world.now, description="one"))
    world.vote_on_everything(*NAMES[1:])
    for _ in range(60):
        world.run(250)
        for message in Insider(world, "alice").overheard():
            vote = SignedVote.decode(message.signed_vote) if isinstance(message, Vote) else None
            item = world.person("bob").group._live().governance.items.get(vote.proposal_id) if vote else None  # type: ignore[call-overload]
            if vote is not None and item is not None and isinstance(item.change, StewardElection):
                said_at.setdefault(vote.voter, world.now)
    assert len(said_at) >= 6
    assert len(set(said_at.values())) >= 3


def test_a_crowd_that_restarts_asks_once_more_by_lot(world: World) -> None:
    """Power was cut: all ask at once, and again not all in the same moment."""
    for name in NAMES:
        world.restart(name)
    began, asked_at = world.now, list[int]()
    before = Counter(one.sender for log in world.log.values() for one in log)
    for _ in range(48):
        world.run(250)
        said = Counter(one.sender for log in world.log.values() for one in log)
        asked_at += [world.now - began for name in NAMES if said[name] > before[name]]
        before = said
    assert len(set(asked_at)) > 8
    assert max(asked_at) > 4 * SECOND


def test_of_a_crowd_that_keeps_nothing_a_few_say_so(world: World) -> None:
    """Everybody has seen the end of the epoch, and nobody keeps it: not all of them say that."""
    away = Insider(world, "hank")
    world.person("hank").online = False
    world.do("alice", lambda group: group.change_settings(world.now, description="one"))
    world.vote_on_everything(*NAMES[1:7])
    world.run(20 * SECOND)
    for person in world.members():
        if person.name != "hank":
            ledger = person.group._live().ledger
            ledger.delete_all(b"settled/")
    topic = away.rendezvous.topic
    before = len(world.log.get(topic, []))
    unsigned = away.digest(world.person("alice").address)
    away.say(unsigned, away.rendezvous)
    world.deliver()
    answers = [one for one in world.log[topic][before:] if one.sender != "hank"]
    opened = [_opened(world, one.payload) for one in answers]
    assert 0 < sum(isinstance(message, NothingKept) for message in opened) <= 4


def _opened(world: World, payload: bytes) -> object:
    from demls.protocol.channel import unseal  # noqa: PLC0415

    return unseal(Insider(world, "alice").rendezvous, payload, world.person("alice").engine)
