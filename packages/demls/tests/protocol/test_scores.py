"""What moves a score, how far, and how often? The peer scores of one node."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import pytest
from council import address
from demls.protocol import policy as bounds
from demls.protocol.channel import channel_of
from demls.protocol.events import ScoreChanged
from demls.protocol.policy import QUICK, SCORING, fault_of
from demls.protocol.records import Ledger
from demls.protocol.scores import Cause, Scores, points_of
from demls.protocol.step import Step
from demls.protocol.views import MemberView, ProposalKind, ProposalStatus
from demls.wire.chain import Deed, DeedKind
from demls.wire.charters import Scoring
from demls.wire.ids import Address, Epoch, Instant
from hypothesis import given
from hypothesis import strategies as st
from insider import Insider
from world import World

ME = address(0)
EPOCH = Epoch(5)
HALFWAY = (SCORING.start + SCORING.threshold) // 2


def step() -> Step:
    return Step(Instant(0), channel_of(bytes(32)))


class Book:
    """The scores of one node, with what it was told."""

    def __init__(self, scoring: Scoring = SCORING) -> None:
        self.ledger = Ledger()
        self.scores = Scores(self.ledger)
        self.scoring = scoring
        self.events: list[Any] = []

    def apply(self, cause: Cause, key: bytes = b"act", member: Address = ME, epoch: int = EPOCH) -> int:
        now = step()
        self.scores.apply(member, cause, key, Epoch(epoch), self.scoring, now)
        self.events += now.events
        return self.points(member)

    def settle(self, *deeds: Deed, members: tuple[Address, ...] = (ME,), epoch: int = EPOCH) -> int:
        now = step()
        self.scores.settle(deeds, frozenset(members), (), Epoch(epoch), self.scoring, now)
        self.events += now.events
        return self.points()

    def points(self, member: Address = ME) -> int:
        return self.scores.of(member, self.scoring).points

    def restart(self) -> None:
        self.ledger = Ledger(self.ledger.snapshot())
        self.scores = Scores(self.ledger)


TABLE = {
    Cause.BROKEN_COMMIT: -50,
    Cause.BROKEN_PROPOSAL: -30,
    Cause.MISBEHAVING: -10,
    Cause.EQUIVOCATION: -100,
    Cause.LOST_TURN: -5,
    Cause.COMMITTED: 10,
    Cause.UPHELD: 20,
    Cause.REJECTED: -50,
    Cause.UNPROVEN: -50,
    Cause.HEALED: 2,
}


def test_every_cause_has_its_points() -> None:
    assert {cause: points_of(cause, SCORING) for cause in Cause} == TABLE


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.HEALED])
def test_a_deed_moves_the_score_of_whoever_did_it_and_nobody_elses(cause: Cause) -> None:
    book = Book()
    assert book.apply(cause) == SCORING.start + TABLE[cause]
    assert book.points(address(1)) == SCORING.start
    assert book.events == [ScoreChanged(ME, 100, 100 + TABLE[cause], cause.value)]


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.HEALED])
def test_one_act_counts_once(cause: Cause) -> None:
    book = Book()
    once = book.apply(cause)
    assert book.apply(cause) == once
    assert book.apply(cause, epoch=EPOCH + 3) == once
    book.restart()
    assert book.apply(cause) == once


def test_a_fault_that_is_shown_again_long_after_does_not_count_again() -> None:
    book = Book()
    book.apply(Cause.MISBEHAVING, b"fault")
    for number in range(3 * bounds.SCORE_HISTORY_KEPT):
        book.settle(Deed(ME, number, DeedKind.COMMITTED), epoch=number + 1)
    before = book.points()
    assert book.apply(Cause.MISBEHAVING, b"fault", epoch=200) == before


def test_lost_turns_never_take_a_score_below_halfway() -> None:
    book = Book()
    for number in range(40):
        book.apply(Cause.LOST_TURN, b"%d" % number)
    assert book.points() == HALFWAY
    assert not book.scores.below([ME], SCORING)


def test_a_lost_turn_does_not_raise_a_score_that_is_low_for_other_reasons() -> None:
    book = Book()
    book.apply(Cause.EQUIVOCATION)
    assert book.apply(Cause.LOST_TURN, b"turn") == 0


def test_a_score_stays_within_bounds() -> None:
    book = Book()
    for number in range(40):
        book.apply(Cause.UPHELD, b"%d" % number)
    assert book.points() == 2 * SCORING.start
    for number in range(40):
        book.apply(Cause.EQUIVOCATION, b"%d" % number)
    assert book.points() == SCORING.threshold - bounds.SCORE_MAX


def test_time_heals_up_to_the_start_and_not_while_faults_go_on() -> None:
    book = Book()
    book.apply(Cause.MISBEHAVING, epoch=5)
    assert book.settle(epoch=6) == 90
    assert [book.settle(epoch=epoch) for epoch in range(7, 13)] == [92, 94, 96, 98, 100, 100]


def test_who_was_praised_is_not_brought_down_by_healing() -> None:
    book = Book()
    book.apply(Cause.UPHELD)
    assert book.settle(epoch=9) == 120


def test_who_is_not_a_member_does_not_heal() -> None:
    book = Book()
    book.apply(Cause.EQUIVOCATION)
    for epoch in range(7, 90):
        book.settle(members=(address(1),), epoch=epoch)
    assert book.points() == 0
    assert book.scores.below([ME], SCORING) == [ME]


def test_the_worst_comes_first_and_only_members_are_asked_for() -> None:
    book = Book()
    for number in (0, 1, 2):
        for act in range(number + 1):
            book.apply(Cause.EQUIVOCATION, b"%d" % act, address(number))
    book.apply(Cause.MISBEHAVING, member=address(3))
    assert book.scores.below([address(3), address(0), address(2)], SCORING) == [address(2), address(0)]


def test_the_chain_says_who_committed_who_lost_its_turn_and_whose_emergency_was_upheld() -> None:
    book = Book()
    book.settle(
        Deed(address(1), 4, DeedKind.COMMITTED),
        Deed(address(2), 4, DeedKind.LOST_TURN),
        Deed(address(3), 4, DeedKind.UPHELD),
    )
    assert [book.points(address(number)) for number in range(4)] == [100, 110, 95, 120]


def test_the_history_is_bounded_and_says_why() -> None:
    book = Book()
    for number in range(100):
        book.apply(Cause.COMMITTED if number % 2 else Cause.LOST_TURN, b"%d" % number, epoch=number)
    history = book.scores.of(ME, SCORING).history
    assert len(history) == bounds.SCORE_HISTORY_KEPT
    assert [entry.epoch for entry in history] == list(range(100 - bounds.SCORE_HISTORY_KEPT, 100))
    assert {entry.cause for entry in history} == {Cause.COMMITTED.value, Cause.LOST_TURN.value}


def test_of_those_who_left_a_bounded_number_is_remembered_the_worst_ones() -> None:
    book = Book()
    former = [Address(number.to_bytes(20, "big")) for number in range(bounds.SCORES_OF_FORMER_MEMBERS_KEPT + 20)]
    for number, member in enumerate(former):
        book.apply(Cause.EQUIVOCATION if number % 2 else Cause.MISBEHAVING, member=member)
    book.settle()
    assert len(list(book.ledger.bytes_under(b"score/"))) == bounds.SCORES_OF_FORMER_MEMBERS_KEPT
    assert all(book.points(member) == 0 for member in former[1::2])


# --- Properties ---------------------------------------------------------------------------------------------------

ACTS = st.tuples(st.sampled_from([cause for cause in Cause if cause is not Cause.HEALED]), st.integers(0, 9))
SCORINGS = st.builds(
    replace,
    st.just(SCORING),
    **{name: st.integers(0, bounds.SCORE_MAX) for name in Scoring.__dataclass_fields__ if name != "threshold"},
).filter(lambda scoring: scoring.start > scoring.threshold)


@given(st.lists(ACTS, max_size=60), SCORINGS)
def test_scores_stay_within_bounds_whatever_happens(acts: list[tuple[Cause, int]], scoring: Scoring) -> None:
    book = Book(scoring)
    for place, (cause, number) in enumerate(acts):
        before = book.points()
        after = book.apply(cause, b"%d" % number)
        assert scoring.threshold - bounds.SCORE_MAX <= after <= 2 * scoring.start
        if cause is Cause.LOST_TURN:
            assert after == before or after >= (scoring.start + scoring.threshold) // 2
        if place % 5 == 0:
            assert book.settle(epoch=place) <= max(after, scoring.start)
        assert len(book.scores.of(ME, scoring).history) <= bounds.SCORE_HISTORY_KEPT
    stored = book.ledger.snapshot()
    book.restart()
    assert book.ledger.snapshot() == stored


@given(st.lists(ACTS, max_size=12, unique=True), st.randoms(use_true_random=False))
def test_the_order_of_acts_does_not_matter_within_the_bounds(acts: list[tuple[Cause, int]], dice: Any) -> None:
    """Lost turns apart, whose floor makes them depend on what came before."""
    acts = [(cause, number) for cause, number in acts if cause is not Cause.LOST_TURN]
    generous = replace(SCORING, start=bounds.SCORE_MAX, threshold=0)
    points = set()
    for _ in range(4):
        book = Book(generous)
        for cause, number in acts:
            book.apply(cause, b"%d" % number)
        gains = sum(points_of(cause, generous) for cause, _ in acts if points_of(cause, generous) > 0)
        if gains <= generous.start and generous.start - 100 * len(acts) >= -bounds.SCORE_MAX:
            points.add(book.points())
        dice.shuffle(acts)
    assert len(points) <= 1


@given(st.lists(ACTS, max_size=12))
def test_acts_that_are_told_twice_count_once(acts: list[tuple[Cause, int]]) -> None:
    once, twice = Book(), Book()
    seen = set()
    for cause, number in acts:
        if (cause, number) not in seen:
            once.apply(cause, b"%d" % number)
        seen.add((cause, number))
        twice.apply(cause, b"%d" % number)
        twice.apply(cause, b"%d" % number)
    assert once.ledger.snapshot() == twice.ledger.snapshot()


UNSOUND = {
    "a newcomer at the threshold": {"start": 5, "threshold": 5},
    "a start above the bound": {"start": bounds.SCORE_MAX + 1},
    "a price above the bound": {"equivocation": bounds.SCORE_MAX + 1},
}


@pytest.mark.parametrize("case", UNSOUND)
def test_no_group_can_live_by(case: str) -> None:
    assert "score" in fault_of(replace(QUICK, scoring=replace(SCORING, **UNSOUND[case])))
    assert max(astuple(SCORING)) <= bounds.SCORE_MAX


# --- In a group ---------------------------------------------------------------------------------------------------


def seen(world: World, by: str, of: str) -> MemberView:
    return next(member for member in world.person(by).group.members() if member.address == world.person(of).address)


def points(world: World, of: str) -> set[int]:
    """The score that all others give this member."""
    return {seen(world, person.name, of).score for person in world.members() if person.name != of}


def causes(world: World, by: str, of: str) -> list[str]:
    return [entry.cause for entry in seen(world, by, of).score_history]


def commit_something(world: World, by: str) -> None:
    epoch = world.person(by).group.view(world.now).epoch
    world.do(by, lambda group: group.change_settings(world.now, description=f"in epoch {epoch}"))
    world.vote_on_everything(*(person.name for person in world.members() if person.online))
    world.run(20_000)


def come_back(world: World, name: str) -> None:
    """The others admit it once more."""
    world.ask(name, world.link("alice"))
    world.run(3_000)
    world.vote_on_everything(*(person.name for person in world.members()))
    for _ in range(60):
        if world.person(name).is_member:
            return
        world.run(500)
    raise AssertionError(f"{name} was not admitted again")


@pytest.fixture
def world() -> World:
    world = World(3)
    world.group_of("alice", "bob", "carol", "mallory")
    return world


def both_ways(world: World, name: str) -> None:
    """Signs a yes and a no on something harmless."""
    insider = Insider(world, name)
    world.do("alice", lambda group: group.change_settings(world.now, description="both ways"))
    world.deliver()
    proposal = next(p for p in world.proposals("alice") if p.kind is ProposalKind.SETTINGS and p.yes == 1)
    insider.say(insider.vote(proposal.proposal_id, True))
    insider.say(insider.vote(proposal.proposal_id, False))
    world.deliver()


def test_who_commits_is_praised_by_all(world: World) -> None:
    assert causes(world, "bob", "alice") == [Cause.COMMITTED.value]
    assert points(world, "alice") == {110}
    assert points(world, "carol") == {100}


def test_a_steward_whose_packets_are_dropped_only_loses_turns() -> None:
    """Whoever controls the network can cost a member its turn, and never its membership."""
    strict = replace(QUICK, scoring=replace(SCORING, lost_turn=40, heal=0))
    world = World(4)
    world.group_of("alice", "bob", "carol", "dave", policy=strict)
    world.lose = lambda person, envelope: envelope.sender == "dave" and person.name != "dave"
    for _ in range(24):
        commit_something(world, "alice")
    assert points(world, "dave") == {HALFWAY}
    assert set(causes(world, "alice", "dave")) == {Cause.LOST_TURN.value}
    assert world.person("dave").is_member
    assert all(min(points(world, name)) >= SCORING.start for name in ("alice", "bob", "carol"))
    assert not [p for p in world.proposals("alice") if p.kind is ProposalKind.EMERGENCY]


def test_a_score_follows_the_address_through_removal_and_return(world: World) -> None:
    both_ways(world, "mallory")
    world.run(60_000)
    assert not world.person("mallory").is_member
    come_back(world, "mallory")
    assert seen(world, "bob", "mallory").score <= 2
    assert Cause.EQUIVOCATION.value in causes(world, "bob", "mallory")
    world.run(60_000)
    assert world.person("mallory").is_member, "what the members have decided on is not decided again"


def test_a_score_follows_the_address_through_leaving_and_return(world: World) -> None:
    world.hold = lambda person, envelope: envelope.sender in ("bob", "carol") and person.name != envelope.sender
    world.do("mallory", lambda group: group.leave(world.now))
    world.run(2_000)  # its round is open already when the fault comes to light
    both_ways(world, "mallory")
    assert [p.status for p in world.proposals("alice") if p.kind is ProposalKind.EMERGENCY] == [ProposalStatus.OPEN]
    world.heal()
    world.run(5_000)
    assert not world.person("mallory").is_member
    assert [p.status for p in world.proposals("alice") if p.kind is ProposalKind.EMERGENCY] == [
        ProposalStatus.WITHDRAWN
    ]
    come_back(world, "mallory")
    assert seen(world, "bob", "mallory").score <= 2
    world.run(90_000)
    assert not world.person("mallory").is_member, "leaving does not undo what was done"


def test_a_joiner_knows_what_the_chain_says_and_nothing_else(world: World) -> None:
    for _ in range(3):
        commit_something(world, "alice")
    world.admit("alice", "erin")
    deeds = world.person("alice").group._live().state.deeds
    assert deeds
    for name in ("alice", "bob", "carol", "mallory"):
        by_chain = [deed.epoch for deed in deeds if deed.member_id == world.person(name).address]
        assert [entry.epoch for entry in seen(world, "erin", name).score_history] == by_chain
        assert set(causes(world, "erin", name)) <= {Cause.COMMITTED.value, Cause.LOST_TURN.value}


def test_a_joiner_knows_nothing_of_faults_that_only_members_have_seen(world: World) -> None:
    gentle = replace(QUICK, scoring=replace(SCORING, equivocation=20))
    world = World(5)
    world.group_of("alice", "bob", "carol", "mallory", policy=gentle)
    both_ways(world, "mallory")
    assert points(world, "mallory") == {80}
    world.run(40_000)
    world.admit("alice", "erin")
    assert Cause.EQUIVOCATION.value not in causes(world, "erin", "mallory")
    assert seen(world, "erin", "mallory").score >= SCORING.start


def test_scores_survive_a_restart_byte_for_byte(world: World) -> None:
    commit_something(world, "alice")
    both_ways(world, "mallory")
    world.run(10_000)
    for name in ("alice", "bob", "carol"):
        group = world.person(name).group
        before, view = group.snapshot(), group.members()
        world.restart(name)
        group = world.person(name).group
        assert group.members() == view
        kept = {key: value for key, value in group.snapshot().items() if key.startswith((b"score/", b"proof/"))}
        assert kept == {key: value for key, value in before.items() if key.startswith((b"score/", b"proof/"))}
