"""Stewards take turns, and the next list is elected without anybody having to think of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from demls.protocol import policy as bounds
from demls.protocol.events import StewardsChanged
from demls.protocol.policy import MINUTE, PRESETS, SECOND
from demls.protocol.stewards import generate
from demls.protocol.views import ProposalKind, ProposalStatus, ProposalView
from demls.wire.ids import Address, Epoch, GroupId
from demls.wire.messages import Change, StewardElection
from insider import Insider
from world import World

TWO = replace(PRESETS["quick"], stewards_max=2)


@pytest.fixture
def due() -> World:
    """Five members in epoch 2, the moment in which the list is used up: what was said in it is still under way."""
    world = World(3)
    world.group_of("alice", "bob", "carol", "dave", "erin", policy=TWO)
    world.hold = lambda person, envelope: person.is_member and epoch_of(world, person.name) >= 2
    commit_something(world, "bob")
    world.deliver()
    assert {epoch_of(world, person.name) for person in world.members()} == {2}
    assert lists(world) == {1: names(world, "alice")}
    return world


@pytest.fixture
def five(due: World) -> World:
    """The same a little later: two stewards serve from epoch 3 on."""
    due.heal()
    due.run(10 * SECOND)
    assert list(lists(due)) == [3]
    return due


def epoch_of(world: World, name: str) -> int:
    return world.person(name).group.view(world.now).epoch


def never_said(world: World, name: str) -> None:
    """What this member has said in this epoch is lost on its way to everybody."""
    for person in world.people.values():
        person.held = [(topic, place) for topic, place in person.held if world.log[topic][place].sender != name]


def commit_something(world: World, name: str) -> None:
    """A change that all who are there agree to; only this commit is waited for."""
    epoch = world.person(name).group.view(world.now).epoch
    world.do(name, lambda group: group.change_settings(world.now, description=f"in epoch {epoch}"))
    world.deliver()
    for person in world.members():
        if person.online and person.name != name:
            world.vote_on_everything(person.name)
    for _ in range(100):
        if world.person(name).group.view(world.now).epoch > epoch:
            break
        world.run(500)
    else:
        raise AssertionError("nothing was committed")


def names(world: World, *people: str) -> list[Address]:
    return [world.person(name).address for name in people]


def lists(world: World) -> dict[int, list[Address]]:
    """The steward list as every member has it that is there, by the epoch that it serves from: one, if they agree."""
    seen = {}
    for person in world.members():
        state = person.group._state
        assert state is not None
        if person.online:
            seen[int(state.state.stewards.since)] = list(state.state.stewards.members)
    return seen


def elections(world: World, name: str) -> list[ProposalView]:
    return [p for p in world.proposals(name) if p.kind is ProposalKind.ELECTION]


def order(world: World, name: str = "alice") -> list[str]:
    """Who leads, in the order of views."""
    state = world.person(name).group._state
    assert state is not None
    return [world.name_of(member) for member in state.state.leaders]


def only_list(world: World, epoch: int, retry_round: int, size: int = 2) -> list[Address]:
    """The only valid list of all who were members in the first epoch."""
    state = world.person("alice").group._state
    assert state is not None
    pool = {a for a, joined in state.roster.since().items() if joined < epoch}
    return list(generate(pool, size, Epoch(epoch), retry_round, state.group_id))


def test_the_first_in_order_opens_the_election_and_its_commit_installs_the_list(due: World) -> None:
    first = order(due)[0]
    due.heal()
    due.run(10 * SECOND)
    (election,) = elections(due, "alice")
    assert (due.name_of(election.owner), election.status) == (first, ProposalStatus.COMMITTED)
    assert election.stewards == tuple(only_list(due, 2, 0))
    assert lists(due) == {3: list(election.stewards)}
    for person in due.members():
        assert person.told(StewardsChanged)[-1] == StewardsChanged(Epoch(3), election.stewards, by_vote=True)


def test_nobody_has_to_vote_on_a_list(five: World) -> None:
    (election,) = elections(five, "bob")
    assert (election.yes, election.no) == (5, 0)


def test_the_next_in_order_opens_the_election_if_the_first_is_silent(due: World) -> None:
    first, second, other = order(due)[:3]
    due.person(first).online = False
    never_said(due, first)
    due.heal()
    due.run(bounds.TAKEOVER_AFTER - SECOND)
    assert not elections(due, other)
    due.run(2 * SECOND)
    (election,) = elections(due, other)
    assert due.name_of(election.owner) == second
    due.run(MINUTE)
    assert lists(due) == {3: list(election.stewards)}
    due.person(first).online = True
    due.run(10 * SECOND)
    assert lists(due) == {3: list(election.stewards)}


def test_a_newcomer_knows_the_list_that_it_did_not_elect(five: World) -> None:
    five.admit("carol", "fred")
    assert list(lists(five)) == [3]
    assert len({person.group.view(five.now).stewards for person in five.members()}) == 1
    five.restart("fred")
    assert list(lists(five)) == [3]


def test_a_newcomer_that_is_admitted_while_an_election_is_under_way_agrees(due: World) -> None:
    """The election is decided by those who were there; the newcomer takes the list from the chain."""
    due.ask("fred", due.link("carol"))
    due.heal()
    due.vote_on_everything("alice", "bob", "carol", "dave", "erin")
    due.run(30 * SECOND)
    assert due.person("fred").is_member
    assert list(lists(due)) == [3]


def test_a_list_serves_as_many_epochs_as_it_has_stewards(five: World) -> None:
    ((_, members),) = lists(five).items()
    turns = []
    for _ in range(2):
        view = five.person("bob").group.view(five.now)
        assert (view.stewards_until, view.stewards) == (4, tuple(members))
        turns.append(view.epoch_steward)
        commit_something(five, "bob")
    assert turns == members
    five.run(10 * SECOND)
    assert list(lists(five)) == [6], "two epochs, and the one in which the next list is elected"


def test_a_rejected_election_is_followed_by_another_round_with_another_list(due: World) -> None:
    """Everybody gets the list, and two votes are lost until its time is up."""
    first, *_ = order(due)
    unheard = order(due)[3:]
    due.lose = lambda person, envelope: (person.name in unheard) != (envelope.sender in unheard)
    due.heal()
    due.run(30 * SECOND - 1)
    (election,) = elections(due, first)
    assert (election.yes, election.no, election.status) == (3, 0, ProposalStatus.OPEN)
    due.lose = lambda person, envelope: False
    due.run(100)
    before, after = sorted(elections(due, first), key=lambda p: p.retry_round)
    assert (before.status, after.retry_round) == (ProposalStatus.REJECTED, 1)
    assert after.stewards == tuple(only_list(due, 2, 1))
    assert after.stewards != before.stewards
    due.run(MINUTE)
    assert lists(due) == {3: list(after.stewards)}


Forge = Callable[[World, Insider, StewardElection], Change]
FORGED: dict[str, Forge] = {
    "of the forger's choice": lambda world, forger, sound: replace(
        sound,
        proposed_stewards=(
            forger.address,
            next(p.address for p in world.members() if p.address not in (*sound.proposed_stewards, forger.address)),
        ),
    ),
    "in another order": lambda world, forger, sound: replace(sound, proposed_stewards=sound.proposed_stewards[::-1]),
    "of the forger alone": lambda world, forger, sound: replace(sound, proposed_stewards=(forger.address,)),
    "of another round": lambda world, forger, sound: replace(sound, retry_round=1),
    "of a round without end": lambda world, forger, sound: replace(sound, retry_round=7),
    "of another epoch": lambda world, forger, sound: replace(sound, election_epoch=sound.election_epoch + 1),
    "that leaves out others for no reason": lambda world, forger, sound: replace(
        sound,
        excluded=tuple(sorted(sound.proposed_stewards)),
        proposed_stewards=tuple(
            generate(
                {p.address for p in world.members()} - set(sound.proposed_stewards),
                2,
                Epoch(sound.election_epoch),
                0,
                GroupId(forger.group_id),
            )
        ),
    ),
}


@pytest.mark.parametrize("case", FORGED)
def test_nobody_gets_another_list_installed(case: str, due: World) -> None:
    name = order(due)[-1]
    forger = Insider(due, name)
    sound = StewardElection(tuple(only_list(due, 2, 0)), 2, 0, ())
    forged = FORGED[case](due, forger, sound)
    proposal = forger.proposal(forged)
    forger.say(proposal)
    forger.say(forger.vote(proposal.id, True))
    due.deliver()
    due.release(lambda person, envelope: envelope.sender == name)
    others = [person.name for person in due.members() if person.name != name]
    assert not any(p.proposal_id == proposal.id for other in others for p in due.proposals(other))
    due.heal()
    due.run(MINUTE)
    assert lists(due) == {3: list(sound.proposed_stewards)}


def test_an_election_that_is_not_due_is_voted_down(five: World) -> None:
    before = lists(five)
    forger = Insider(five, "erin")
    early = forger.proposal(StewardElection(tuple(only_list(five, 3, 0)), 3, 0, ()))
    forger.say(early)
    five.deliver()
    (seen,) = [p for p in elections(five, "bob") if p.proposal_id == early.id]
    assert (seen.status, seen.yes) == (ProposalStatus.REJECTED, 0)
    assert lists(five) == before


def test_a_small_group_needs_no_elections() -> None:
    world = World(3)
    world.group_of("alice", "bob", policy=TWO)
    for _ in range(5):
        commit_something(world, "alice")
        assert len(lists(world)) == 1
    assert not elections(world, "alice")
    changed = [event for event in world.person("bob").told(StewardsChanged) if isinstance(event, StewardsChanged)]
    assert {len(event.stewards) for event in changed} == {2}
    assert not any(event.by_vote for event in changed)


def test_who_was_away_for_elections_has_the_same_list_afterwards(five: World) -> None:
    five.person("erin").online = False
    for _ in range(3):
        commit_something(five, "bob")
        five.run(10 * SECOND)
    assert list(lists(five)) != [3]
    five.person("erin").online = True
    five.run(20 * SECOND)
    assert len(lists(five)) == 1
    assert epoch_of(five, "erin") == epoch_of(five, "bob")


def test_nobody_can_pick_the_round_whose_list_it_likes(due: World) -> None:
    """Whoever opens the second round before there was a first gets no votes for it."""
    name = order(due)[-1]
    forger = Insider(due, name)
    liked = StewardElection(tuple(only_list(due, 2, 1)), 2, 1, ())
    forger.say(forger.proposal(liked))
    due.deliver()
    for person in due.members():
        if person.name != order(due)[0]:
            never_said(due, order(due)[0])  # whoever is first in turn happens to be slow
    due.heal()
    due.run(2 * MINUTE)
    assert lists(due) == {3: only_list(due, 2, 0)}
