"""Who was away for long comes back: commits and messages are kept for a time that is stated, and no longer."""

from __future__ import annotations

import pytest
from demls.protocol import policy as bounds
from demls.protocol.continuity import History
from demls.protocol.events import MessageReceived, MessagesMissing
from demls.protocol.policy import DAY, MINUTE, PRESETS
from demls.protocol.records import Ledger
from demls.simulation.model_engine import ModelEngine
from demls.wire.ids import Instant
from demls.wire.messages import Candidate, SettledCommit
from demls.wire.statements import RoundStatement
from world import World


@pytest.fixture
def world() -> World:
    world = World(4, engine=ModelEngine)
    world.group_of("alice", "bob", "carol", "dave", policy=PRESETS["quick"])
    return world


def commit(world: World, by: str, number: int, *voters: str) -> None:
    """Another epoch, by a change of the group's name."""
    world.do(by, lambda group: group.change_settings(world.now, name=f"number {number}"))
    world.vote_on_everything(*voters)
    for _ in range(100):
        world.run(1_000)
        if not any(True for one in world.proposals(by) if one.status in ("open", "approved")):
            break


def epochs(world: World) -> set[int]:
    return {person.group.view(world.now).epoch for person in world.members()}


def read(world: World, name: str) -> set[bytes]:
    return {event.message_id for event in world.person(name).events if isinstance(event, MessageReceived)}


def be_away(world: World, name: str) -> None:
    """Switched off, and nobody keeps for it what is published meanwhile."""
    world.person(name).online = False


def come_back(world: World, name: str) -> None:
    person = world.person(name)
    person.online = True
    for topic, queue in world.log.items():
        person.read[topic] = len(queue)
    world.restart(name)


def test_a_member_100_epochs_behind_catches_up_and_reads_what_was_said(world: World) -> None:
    before = epochs(world)
    be_away(world, "dave")
    for number in range(100):
        commit(world, "alice", number, "bob", "carol")
        if number % 5 == 0:
            world.do("bob", lambda group, it=number: group.send(f"bob {it}", world.now))  # type: ignore[misc]
            world.deliver()
    come_back(world, "dave")
    world.run(20 * MINUTE)
    assert epochs(world) == {epoch + 100 for epoch in before}
    assert read(world, "dave") == read(world, "alice")
    assert len(read(world, "dave")) == 20
    assert world.person("dave").told(MessagesMissing) == []


def test_a_group_whose_members_are_away_in_turn_for_a_week_each_catches_up(world: World) -> None:
    """No two are there together with all that was said; in the end everybody has read everything."""
    names = ["alice", "bob", "carol", "dave"]
    for turn, name in enumerate(names):
        others = [other for other in names if other != name]
        be_away(world, name)
        for day in range(7):
            commit(world, others[0], 10 * turn + day, *others[1:])
            world.do(others[day % 3], lambda group, it=(turn, day): group.send(f"{it}", world.now))  # type: ignore[misc]
            world.run(DAY)
        come_back(world, name)
        world.run(30 * MINUTE)
    assert len(epochs(world)) == 1
    everything = read(world, "alice")
    assert len(everything) == 28
    for name in names:
        assert read(world, name) == everything
        assert world.person(name).told(MessagesMissing) == []


def test_keys_of_old_messages_are_gone_after_a_few_epochs_and_with_the_commits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole cost to forward secrecy has a bound."""
    monkeypatch.setattr(bounds, "SETTLED_KEPT", 5)
    for number in range(8):
        commit(world, "alice", number, "bob", "carol", "dave")
    records = world.person("alice").records
    kept = [key for key in records if key.startswith(b"repair/")]
    assert len(kept) == 5 + 1
    assert len([key for key in records if key.startswith(b"channel/")]) == bounds.CHANNELS_KEPT + 1


def settled(epoch: int, size: int = 100) -> SettledCommit:
    lock = RoundStatement(epoch, bytes(32), 0, bytes(32), b"", bytes(20), bytes(64), 2)
    return SettledCommit.of(epoch, bytes(32), Candidate(bytes(size), b"", b"", b""), 0, (lock,), ())


@pytest.mark.parametrize(
    ("count", "age", "kept"),
    [
        (50, 400 * DAY, 50),  # few are kept whatever their age
        (300, 40 * DAY, 100),
        (300, 29 * DAY, 300),
        (1_100, 0, 1_000),
    ],
)
def test_commits_are_kept_by_number_and_age(count: int, age: int, kept: int) -> None:
    history, begun = History(Ledger()), Instant(1_000)
    for epoch in range(count):
        history.keep(settled(epoch), begun)
    gone = history.expire(Instant(begun + age))
    assert gone == list(range(count - kept))
    assert [epoch for epoch in range(count) if history.leaving(epoch) is not None] == list(range(count - kept, count))


def test_commits_are_kept_within_a_size_and_after_a_restart() -> None:
    ledger = Ledger()
    history = History(ledger)
    for epoch in range(20):
        history.keep(settled(epoch, 4_000_000), Instant(0))
        history.expire(Instant(0))
    size = sum(len(value) for key, value in ledger.snapshot().items() if key.startswith(b"settled/"))
    assert 28_000_000 < size <= bounds.SETTLED_BYTES_KEPT
    again = History(Ledger(ledger.snapshot()))
    again.keep(settled(20, 4_000_000), Instant(0))
    assert again.expire(Instant(0)) == [20 - 8]
