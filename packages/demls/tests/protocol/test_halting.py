"""More than a third signing twice can fork a group; who sees both commits says so and decides nothing any more."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from demls.protocol.continuity import next_head
from demls.protocol.events import Halted, Rejected
from demls.protocol.policy import MINUTE, PRESETS, SECOND
from demls.wire.ids import Address
from demls.wire.messages import Candidate, Remove, SettledCommit
from demls.wire.statements import StatementKind
from insider import Insider
from world import World


@pytest.fixture
def world() -> World:
    world = World(9)
    world.group_of("alice", "bob", policy=PRESETS["day"])
    world.admit("alice", "carol", "dave")
    return world


def forked(world: World, signers: tuple[str, ...], view: int = 0) -> tuple[SettledCommit, Insider]:
    """Another commit of the epoch that a removal is just about to end, with locks of these."""
    before = {name: Insider(world, name) for name in ("alice", "bob", "carol", "dave")}
    epoch = world.person("alice").group.view(world.now).epoch
    world.do("bob", lambda group: group.change_settings(world.now, name="neighbours"))
    world.vote_on_everything("alice", "carol", "dave")
    world.run(10 * SECOND)
    assert world.person("alice").group.view(world.now).epoch == epoch + 1
    candidate = Candidate(b"another commit", b"", b"", b"")
    locks = tuple(before[name].statement(StatementKind.LOCK, view, candidate.id) for name in signers)
    forger = before[signers[0]]
    return SettledCommit.of(forger.epoch, forger.head, candidate, view, locks, ()), before["dave"]


def addresses(world: World, *names: str) -> tuple[Address, ...]:
    return tuple(sorted(world.person(name).address for name in names))


def is_halted(world: World, name: str) -> bool:
    return world.person(name).group.view(world.now).is_halted


def test_two_certified_commits_of_one_epoch_halt_what_is_decided_and_not_what_is_said(world: World) -> None:
    other, forger = forked(world, ("bob", "carol", "dave"))
    world.hold = lambda person, envelope: person.name == "alice"
    forger.say(other)
    world.deliver()
    assert [is_halted(world, name) for name in ("alice", "bob", "carol")] == [False, True, True]
    world.heal()
    assert is_halted(world, "alice")
    (told,) = world.person("alice").told(Halted)
    assert isinstance(told, Halted)
    assert told.epoch == other.epoch
    assert len(told.double_signers) >= 2
    assert set(told.double_signers) <= set(addresses(world, "bob", "carol", "dave"))

    epoch = world.person("alice").group.view(world.now).epoch
    world.do("alice", lambda group: group.send("what now?", world.now))
    world.do("bob", lambda group: group.propose(Remove(world.person("dave").address), world.now))
    world.deliver()
    world.vote_on_everything("alice", "carol")
    world.run(5 * MINUTE)
    assert world.person("alice").group.view(world.now).epoch == epoch
    assert "what now?" in world.person("carol").heard()


def test_it_stays_halted_over_a_restart(world: World) -> None:
    other, forger = forked(world, ("bob", "carol", "dave"))
    forger.say(other)
    world.deliver()
    world.restart("alice")
    assert is_halted(world, "alice")
    world.run(MINUTE)
    assert len(world.person("alice").told(Halted)) == 1
    world.do("alice", lambda group: group.send("still here", world.now))
    world.deliver()
    assert "still here" in world.person("bob").heard()


NO_FORK: dict[str, Callable[[World], tuple[SettledCommit, Insider]]] = {
    "with two locks of four": lambda world: forked(world, ("carol", "dave")),
    "with a lock that stands in it twice": lambda world: forked(world, ("carol", "dave", "dave")),
    "of nobody": lambda world: forked(world, ("dave",)),
}


@pytest.mark.parametrize("case", NO_FORK)
def test_a_commit_without_a_certificate_halts_nothing(case: str, world: World) -> None:
    other, forger = NO_FORK[case](world)
    forger.say(other)
    world.deliver()
    assert not is_halted(world, "alice")
    assert "another commit of a past epoch, without its certificate" in {
        event.detail for event in world.person("alice").told(Rejected) if isinstance(event, Rejected)
    }


def test_locks_of_another_state_are_no_proof(world: World) -> None:
    other, forger = forked(world, ("bob", "carol", "dave"))
    elsewhere = SettledCommit.of(
        other.epoch,
        next_head(other.head, 1, b"x" * 32),
        other.candidate,
        0,
        other.certificate.statements(),
        other.proposals,
    )
    forger.say(elsewhere)
    world.deliver()
    assert not is_halted(world, "alice")


def test_the_same_commit_again_is_no_fork(world: World) -> None:
    _, forger = forked(world, ("dave",))
    (real, *_) = [p for p in Insider(world, "alice").overheard() if isinstance(p, SettledCommit)] or [None]
    state = world.person("alice").group._state
    assert state is not None
    real = real or state.history.leaving(forger.epoch)
    assert real is not None
    forger.say(real)
    world.deliver()
    assert not is_halted(world, "alice")
