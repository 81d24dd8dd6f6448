"""Decisions are functions of sets of votes: order, repetition and loss in between never matter."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
from council import RETURNED, Council, address, ballot, roster
from demls.protocol import policy as bounds
from demls.protocol.events import Misbehaved, ProposalDecided, ProposalWithdrawn, Reason, Rejected
from demls.protocol.policy import DAY_POLICY, QUICK, SECOND
from demls.protocol.roster import Roster
from demls.protocol.views import ProposalStatus
from demls.wire.charters import Deciders, Policy, Rule
from demls.wire.messages import Change, Emergency, Invite, Leave, Refresh, Remove, Vote
from demls.wire.statements import FaultyOffer, Proof
from demls.wire.violations import Violation
from demls_consensus import Share, SignedVote, quorum
from hypothesis import given, settings
from hypothesis import strategies as st

REMOVE = Remove(address(3))


# --- Order never matters ------------------------------------------------------------------------------------------

ballots = st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=8)


@settings(max_examples=60)
@given(ballots, st.randoms(use_true_random=False), st.booleans(), st.integers(0, 8))
def test_the_decision_is_the_same_in_whatever_order_votes_arrive(
    cast: list[tuple[int, bool]], dice: random.Random, deadline: bool, first: int
) -> None:
    """Votes before the proposal, repeated, or after the deadline: one set, one decision."""
    outcomes = set()
    for _ in range(3):
        council = Council(policy=DAY_POLICY)
        proposal = council.proposal(REMOVE)
        order = cast + cast[:2]
        dice.shuffle(order)
        council.vote(proposal, *order[:first])
        council.receive(proposal)
        council.vote(proposal, *order[first:])
        if deadline:
            council.wait(bounds.DAY)
        item = council.governance.items[proposal.id]
        outcomes.add((item.status, item.tally.yes, item.tally.no, item.tally.silent))
    assert len(outcomes) == 1


def test_every_order_of_four_votes_decides_the_same() -> None:
    cast = [(0, True), (1, True), (2, False), (2, True)]
    seen = set()
    for order in itertools.permutations(cast):
        council = Council(policy=DAY_POLICY)
        proposal = council.proposal(REMOVE)
        council.receive(proposal)
        council.vote(proposal, *order)
        seen.add(council.status(proposal))
    assert seen == {ProposalStatus.APPROVED}


@settings(max_examples=30)
@given(st.permutations([0, 1, 2, 3, 4, 5, 6, 7]))
def test_proposals_of_one_effect_are_chosen_alike_in_whatever_order_they_arrive(order: list[int]) -> None:
    council = Council()
    proposals = [council.proposal(REMOVE, owner=serial % 3, serial=serial) for serial in range(8)]
    for serial in order:
        council.receive(proposals[serial])
        council.vote(proposals[serial], (0, True), (1, True), (2, True))
    lowest = min(proposals, key=lambda proposal: proposal.id)
    assert [item.proposal_id for item in council.governance.approved()] == [lowest.id]


def test_work_has_one_canonical_order() -> None:
    council = Council(n=6)
    changes = [(Remove(address(5)), 0), (Leave(), 4), (Invite(b"x" * 20), 1), (Remove(address(3)), 2), (Leave(), 2)]
    for change, owner in changes:
        proposal = council.proposal(change, owner=owner)
        council.receive(proposal)
        council.vote(proposal, *((number, True) for number in range(6)))
    kinds = [type(item.change).__name__ for item in council.governance.approved()]
    assert kinds == ["Leave", "Leave", "Remove", "Remove", "Invite"]
    ids = [item.proposal_id for item in council.governance.approved()]
    assert ids == sorted(ids[:2]) + sorted(ids[2:4]) + ids[4:]


# --- Certificates -------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.integers(1, 7), st.randoms(use_true_random=False))
def test_a_certificate_stays_one(n: int, dice: random.Random) -> None:
    """Whatever arrives later, also noes of those who said yes, and whenever it arrives."""
    council = Council(n=n, policy=DAY_POLICY)
    proposal = council.proposal(Invite(b"x" * 20))
    council.receive(proposal)
    voters = list(range(n))
    dice.shuffle(voters)
    council.vote(proposal, *((number, True) for number in voters[: quorum(n)]))
    before = council.governance.certificate(council.governance.items[proposal.id])
    assert before is not None
    council.wait(2 * bounds.DAY)
    council.vote(proposal, *((number, False) for number in range(n)))
    assert council.status(proposal) is ProposalStatus.APPROVED
    assert council.governance.certificate(council.governance.items[proposal.id]) == before
    council.restart(roster(*range(n)))
    assert council.status(proposal) is ProposalStatus.APPROVED
    assert council.governance.certificate(council.governance.items[proposal.id]) == before


def test_a_certificate_that_arrives_after_the_deadline_is_final_too() -> None:
    council = Council(policy=DAY_POLICY)
    proposal = council.proposal(REMOVE)
    council.receive(proposal)
    council.wait(bounds.DAY)
    assert council.status(proposal) is ProposalStatus.REJECTED
    council.vote(proposal, (0, True), (1, True), (2, True))
    assert council.status(proposal) is ProposalStatus.APPROVED


def test_who_says_both_counts_as_yes_and_is_reported_once() -> None:
    for order in ((True, False), (False, True)):
        council = Council()
        proposal = council.proposal(REMOVE)
        council.receive(proposal)
        for _ in range(2):
            council.vote(proposal, *((1, yes) for yes in order))
        item = council.governance.items[proposal.id]
        assert (item.tally.yes, item.tally.no) == (1, 0)
        accused = [event for event in council.events if isinstance(event, Misbehaved)]
        assert [(event.member, event.what) for event in accused] == [
            (address(1), "signed both a yes and a no on one proposal")
        ]
        council.restart(roster(*range(4)))
        item = council.governance.items[proposal.id]
        assert (item.tally.yes, item.tally.no) == (1, 0)


# --- Silence ------------------------------------------------------------------------------------------------------

SILENCE: dict[str, tuple[Policy, Change, int, list[tuple[int, bool]], ProposalStatus]] = {
    "consent": (QUICK, REMOVE, 4, [(0, True)], ProposalStatus.APPROVED),
    "consent although nobody voted": (QUICK, REMOVE, 4, [], ProposalStatus.APPROVED),
    "consent with as many noes as leave room": (QUICK, REMOVE, 4, [(0, False)], ProposalStatus.APPROVED),
    "a removal needs votes by day": (DAY_POLICY, REMOVE, 4, [(0, True)], ProposalStatus.REJECTED),
    "an invite does not": (DAY_POLICY, Invite(b"x" * 20), 4, [(0, True)], ProposalStatus.APPROVED),
    "never of two": (QUICK, Invite(b"x" * 20), 2, [(0, True)], ProposalStatus.REJECTED),
    "never of one": (QUICK, Invite(b"x" * 20), 1, [], ProposalStatus.REJECTED),
}


@pytest.mark.parametrize("case", SILENCE)
def test_what_silence_means_at_the_deadline(case: str) -> None:
    policy, change, n, cast, outcome = SILENCE[case]
    council = Council(n=n, policy=policy)
    proposal = council.proposal(change)
    council.receive(proposal)
    council.vote(proposal, *cast)
    duration = bounds.rule_of(policy, change).duration
    assert council.governance.deadline() == council.now + duration
    council.wait(duration - 1)
    assert council.status(proposal) is ProposalStatus.OPEN
    council.wait(1)
    assert council.status(proposal) is outcome
    assert council.governance.deadline() is None


def test_a_late_no_takes_back_consent_by_silence() -> None:
    council = Council()
    proposal = council.proposal(REMOVE)
    council.receive(proposal)
    council.wait(30 * SECOND)
    council.vote(proposal, (0, False), (1, False))
    assert council.status(proposal) is ProposalStatus.REJECTED
    decided = [event.approved for event in council.events if isinstance(event, ProposalDecided)]
    assert decided == [True, False]


def test_a_no_after_the_lock_changes_nothing_until_the_round_is_over() -> None:
    council = Council()
    proposal, other = council.proposal(REMOVE), council.proposal(Invite(b"x" * 20))
    council.receive(proposal)
    council.wait(30 * SECOND)
    council.governance.locked = frozenset({proposal.id})
    council.vote(proposal, (0, False), (1, False))
    assert council.status(proposal) is ProposalStatus.APPROVED
    council.settle(roster(0, 1, 2, 3), 1, other)  # something else was committed
    assert council.status(proposal) is ProposalStatus.REJECTED


def test_what_is_locked_asks_for_no_time() -> None:
    council = Council()
    proposal = council.proposal(REMOVE)
    council.receive(proposal)
    council.governance.locked = frozenset({proposal.id})
    council.wait(60 * SECOND)
    assert council.status(proposal) is ProposalStatus.OPEN
    assert council.governance.deadline() is None


def test_work_is_known_to_be_approved_since_the_same_time_after_a_restart() -> None:
    council = Council(policy=DAY_POLICY)
    proposal = council.proposal(REMOVE)
    council.receive(proposal)
    council.wait(3_600_000)
    council.vote(proposal, (0, True), (1, True), (2, True))
    assert council.governance.items[proposal.id].approved_since == council.now
    council.restart(roster(*range(4)))
    assert council.governance.items[proposal.id].approved_since == council.now


# --- Merges -------------------------------------------------------------------------------------------------------


def test_the_electorate_shrinks_when_a_voter_leaves() -> None:
    council = Council(n=6, policy=DAY_POLICY)
    proposal = council.proposal(REMOVE)
    council.receive(proposal)
    council.vote(proposal, (0, True), (1, True), (2, True))
    assert council.status(proposal) is ProposalStatus.OPEN  # three of six
    council.settle(roster(0, 1, 2, 3, epoch=1), 1)
    assert council.governance.items[proposal.id].tally.n == 4
    assert council.status(proposal) is ProposalStatus.APPROVED  # three of four


def test_the_electorate_does_not_grow_when_somebody_joins_or_comes_back() -> None:
    council = Council(n=4, policy=DAY_POLICY)
    proposal = council.proposal(REMOVE)
    council.receive(proposal)
    council.settle(roster(0, 1, 3, epoch=1), 1)
    assert council.governance.items[proposal.id].tally.n == 3
    council.vote(proposal, (0, True), (1, True))
    assert council.status(proposal) is ProposalStatus.APPROVED
    council.settle(roster(0, 1, 2, 3, 4, epoch=2, returned=(2, 4)), 2)
    assert council.governance.items[proposal.id].tally.n == 3
    assert council.status(proposal) is ProposalStatus.APPROVED
    council.restart(roster(0, 1, 2, 3, 4, epoch=2, returned=(2, 4)), 2)
    assert council.governance.items[proposal.id].tally.n == 3


def test_who_came_back_does_not_vote_on_older_work_with_either_key() -> None:
    council = Council(n=4, policy=DAY_POLICY)
    proposal = council.proposal(REMOVE)
    council.receive(proposal)
    council.settle(roster(0, 1, 3, epoch=1), 1)
    council.settle(roster(0, 1, 2, 3, epoch=2, returned=(2,)), 2)
    council.vote(proposal, (2, True))
    council.vote(proposal, (2, True), keys=RETURNED)
    assert council.governance.items[proposal.id].tally.yes == 0


def test_who_came_back_is_not_bound_by_what_it_proposed_before() -> None:
    council = Council(n=4)
    leave = council.proposal(Leave(), owner=2)
    council.settle(roster(0, 1, 3, epoch=1), 1)
    council.settle(roster(0, 1, 2, 3, epoch=2, returned=(2,)), 2)
    assert council.receive(leave) is None
    assert council.receive(council.proposal(Invite(b"x" * 20), owner=2)) is None


WITHDRAWN: dict[str, tuple[Change, int, Roster, str]] = {
    "a removal of who has left": (REMOVE, 0, roster(0, 1, 2, epoch=1), "The member is no longer in the group."),
    "a removal of who has left and come back": (
        REMOVE,
        0,
        roster(0, 1, 2, 3, epoch=1, returned=(3,)),
        "The member has left and come back since; propose it anew.",
    ),
    "an invite of who has joined": (
        Invite(bytes(address(4))),
        0,
        roster(0, 1, 2, 3, 4, epoch=1, returned=(4,)),
        "This person is a member already.",
    ),
    "whatever a former member proposed": (
        Invite(b"x" * 20),
        2,
        roster(0, 1, 3, epoch=1),
        "Who proposed it is no longer in the group.",
    ),
}


@pytest.mark.parametrize("case", WITHDRAWN)
def test_what_a_merge_makes_impossible_is_withdrawn_with_a_reason(case: str) -> None:
    change, owner, members, reason = WITHDRAWN[case]
    council = Council()
    proposal = council.proposal(change, owner=owner)
    council.receive(proposal)
    council.settle(members, 1)
    assert council.status(proposal) is ProposalStatus.WITHDRAWN
    assert [event for event in council.events if isinstance(event, ProposalWithdrawn)] == [
        ProposalWithdrawn(proposal.id, reason)
    ]
    council.vote(proposal, *((number, True) for number in range(4)))
    council.restart(members, 1)
    assert council.status(proposal) is ProposalStatus.WITHDRAWN


def test_nobody_removes_itself_when_it_is_alone() -> None:
    council = Council(n=2)
    proposal = council.proposal(Remove(address(0)), owner=0)
    council.receive(proposal)
    council.vote(proposal, (0, True), (1, True))
    assert council.status(proposal) is ProposalStatus.APPROVED
    council.settle(roster(0, epoch=1), 1)
    assert council.status(proposal) is ProposalStatus.WITHDRAWN
    assert council.governance.items[proposal.id].reason == "Nobody else is there who could remove the member."


def test_so_many_approve_an_emergency_that_one_of_them_is_honest() -> None:
    """Of thirteen, six were there; four of them would be two thirds, and four of thirteen may be bad."""
    offer = FaultyOffer(0, bytes(32), 0, bytes(32), address(5), bytes(64), "V01")
    accusation = Emergency(Violation.SCORE_BELOW_THRESHOLD, address(5), (Proof(offer),), ())
    for is_known in (True, False):
        council = Council(n=6)
        proposal = council.proposal(accusation)
        if is_known:
            council.receive(proposal)
        council.settle(roster(*range(13), epoch=1, returned=tuple(range(6, 13))), 1)
        for number, is_enough in ((0, False), (1, False), (2, False), (3, False), (4, True)):
            council.vote(proposal, (number, True))
            if is_known:
                assert (council.status(proposal) is ProposalStatus.APPROVED) is is_enough
            else:
                assert council.governance.is_approved_early(proposal) is is_enough


def test_an_emergency_that_too_few_can_have_seen_is_no_case() -> None:
    """Of seven, three were there, one of them accused; the others would have to believe two, and two may be bad."""
    offer = FaultyOffer(0, bytes(32), 0, bytes(32), address(3), bytes(64), "V01")
    accusation = Emergency(Violation.SCORE_BELOW_THRESHOLD, address(3), (Proof(offer),), ())
    council = Council(n=4)
    proposal = council.proposal(accusation)
    council.receive(proposal)
    council.settle(roster(0, 1, 2, 3, 4, 5, 6, epoch=1, returned=(4, 5, 6)), 1)
    assert council.status(proposal) is ProposalStatus.OPEN
    council.settle(roster(0, 1, 3, 4, 5, 6, 7, epoch=1, returned=(4, 5, 6, 7)), 1)
    assert council.governance.items[proposal.id].reason == "Too few are left who could have seen what it is about."


@pytest.mark.parametrize(("listing", "status"), [(0, ProposalStatus.WITHDRAWN), (3, ProposalStatus.OPEN)])
def test_what_a_quorum_cannot_know_any_more_is_withdrawn_and_can_be_opened_anew(
    listing: int, status: ProposalStatus
) -> None:
    """Its owner was behind when it opened it; whoever lists it in a digest knows it."""
    council = Council(n=5, policy=DAY_POLICY)
    proposal = council.proposal(REMOVE, owner=0)
    council.receive(proposal)
    for epoch in range(1, bounds.PAST_EPOCHS + 3):
        council.settle(roster(*range(5)), epoch)

    def everybody_says() -> None:
        for number in range(1, 5):
            listed = frozenset({proposal.id} if number <= listing else ())
            council.governance.note_listed(address(number), listed, frozenset, council.step())

    everybody_says()
    assert council.status(proposal) is ProposalStatus.OPEN, "they may have been told a moment ago"
    council.wait(bounds.LACKING_FOR)
    everybody_says()
    assert council.status(proposal) is status
    assert [item.proposal_id for item in council.governance.take_lapsed()] == [proposal.id] * (listing == 0)


@pytest.mark.parametrize(
    ("lacking", "quiet", "status"),
    [
        ((1,), (), ProposalStatus.OPEN),
        ((), (2,), ProposalStatus.OPEN),
        ((1,), (2,), ProposalStatus.WITHDRAWN),
        ((1,), (1,), ProposalStatus.OPEN),
        ((1,), (2, 3), ProposalStatus.OPEN),
    ],
)
def test_what_those_who_are_heard_cannot_commit_is_withdrawn(
    lacking: tuple[int, ...], quiet: tuple[int, ...], status: ProposalStatus
) -> None:
    """Of five, four make a quorum; where no quorum is heard, nothing is known of what one holds."""
    council = Council(n=5, policy=DAY_POLICY)
    proposal = council.proposal(REMOVE, owner=0)
    council.receive(proposal)
    for epoch in range(1, bounds.PAST_EPOCHS + 3):
        council.settle(roster(*range(5)), epoch)
    item = council.governance.items[proposal.id]
    for _ in range(2):
        for number in range(1, 5):
            listed = frozenset(() if number in lacking else {proposal.id})
            silent = frozenset(address(one) for one in quiet)
            council.governance.note_listed(address(number), listed, lambda silent=silent: silent, council.step())
        council.wait(bounds.LACKING_FOR)
    assert council.status(proposal) is status
    assert council.governance.is_everywhere(item, council.now) == (not lacking)


def test_what_was_missed_can_be_judged_as_long_as_its_epoch_is_known() -> None:
    council = Council(policy=DAY_POLICY)
    proposal = council.proposal(REMOVE)
    for epoch in range(1, bounds.ELECTORATES_KEPT):
        council.settle(roster(*range(4)), epoch)
    council.receive(proposal)
    assert council.status(proposal) is ProposalStatus.OPEN


def test_electorates_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "ELECTORATE_SEATS_KEPT", 4 * bounds.ELECTORATES_KEPT)
    small, large = Council(n=4), Council(n=8)
    for epoch in range(1, bounds.ELECTORATES_KEPT + 5):
        small.settle(roster(*range(4)), epoch)
        large.settle(roster(*range(8)), epoch)
    assert len(small.governance.electorates.epochs()) == bounds.ELECTORATES_KEPT
    assert len(large.governance.electorates.epochs()) == bounds.ELECTORATES_KEPT // 2


def test_a_proposal_outlives_commits() -> None:
    council = Council(policy=DAY_POLICY)
    proposal = council.proposal(REMOVE)
    council.receive(proposal)
    for epoch in range(1, 12):
        council.settle(roster(*range(4)), epoch)
        council.restart(roster(*range(4)), epoch)
    council.vote(proposal, (0, True), (1, True), (2, True))
    assert council.status(proposal) is ProposalStatus.APPROVED


def test_what_was_committed_stays_committed() -> None:
    council = Council()
    proposal = council.proposal(Invite(b"x" * 20))
    council.receive(proposal)
    council.vote(proposal, (0, True), (1, True), (2, True))
    council.settle(roster(*range(4)), 1, proposal)
    council.vote(proposal, (3, False))
    council.wait(bounds.DAY)
    assert council.receive(proposal) is council.governance.items[proposal.id]
    assert council.status(proposal) is ProposalStatus.COMMITTED
    assert not council.governance.approved()


def test_work_that_was_forgotten_cannot_be_decided_again() -> None:
    """Ended work is dropped only together with the electorate that could decide it again."""
    council = Council()
    old = [council.proposal(Invite(bytes([serial]) * 20), owner=serial % 3) for serial in range(100, 180)]
    for proposal in old:
        council.receive(proposal)
        council.vote(proposal, (0, True), (1, True), (2, True))
        council.settle(roster(*range(4)), 0, proposal)
    assert len(council.governance.items) == 80
    for epoch in range(1, bounds.PAST_EPOCHS + 4):
        council.settle(roster(*range(4)), epoch)
        for proposal in old:
            council.receive(proposal)
            council.vote(proposal, (0, True), (1, True), (2, True))
        assert not council.governance.approved()
    assert not set(council.governance.items) & {proposal.id for proposal in old}
    assert not [key for key in council.ledger.snapshot() if key.startswith((b"proposal/", b"vote/"))]


def test_what_stands_in_the_way_of_a_proposal_is_the_reason_of_its_end() -> None:
    council = Council()
    kept, proposal = council.proposal(REMOVE), council.proposal(Invite(b"x" * 20))
    for known in (kept, proposal):
        council.receive(known)
    council.obstacles[proposal.id] = "The room is full."
    council.settle(roster(0, 1, 2, 3), 1)
    assert [event for event in council.events if isinstance(event, ProposalWithdrawn)] == [
        ProposalWithdrawn(proposal.id, "The room is full.")
    ]
    assert council.status(kept) is ProposalStatus.OPEN


def test_what_can_never_be_carried_is_not_even_opened() -> None:
    council = Council()
    faulty, late = council.proposal(REMOVE), council.proposal(Invite(b"x" * 20))
    council.faults[faulty.id] = (Reason.INVALID, "a list of nobody")
    council.obstacles[late.id] = "The room is full."
    assert council.receive(faulty) is None
    assert council.receive(late) is None
    assert [event for event in council.events if isinstance(event, Rejected)] == [
        Rejected(Reason.INVALID, "a list of nobody"),
        Rejected(Reason.STALE, "a proposal that came to nothing: The room is full."),
    ]


# --- Who decides --------------------------------------------------------------------------------------------------

STEWARDS_INVITE = replace(DAY_POLICY, invite=Rule(bounds.DAY, False, 2, int(Deciders.STEWARDS)))


def test_where_stewards_decide_the_votes_of_others_do_not_count() -> None:
    council = Council(n=6, policy=STEWARDS_INVITE, stewards=(1, 2, 3, 4, 5))
    proposal = council.proposal(Invite(b"x" * 20))
    council.receive(proposal)
    council.vote(proposal, (0, False), (1, True))
    item = council.governance.items[proposal.id]
    assert (item.tally.yes, item.tally.no, item.tally.n) == (1, 0, 5)
    assert {event.detail for event in council.events if isinstance(event, Rejected)} == {
        "a vote by nobody who may vote on it"
    }
    council.vote(proposal, (2, True), (3, True), (4, True))
    assert council.status(proposal) is ProposalStatus.APPROVED
    removal = council.proposal(REMOVE)
    council.receive(removal)
    assert council.governance.items[removal.id].tally.n == 6, "of other kinds all decide"


def test_the_stewards_of_the_epoch_decide_that_it_was_opened_in() -> None:
    council = Council(n=5, policy=STEWARDS_INVITE, stewards=(1, 2, 3, 4))
    proposal = council.proposal(Invite(b"x" * 20))
    council.receive(proposal)
    council.stewards = (address(0), address(4))
    council.settle(roster(0, 1, 2, 4, epoch=1), 1)
    council.vote(proposal, (0, True), (4, True))
    assert council.status(proposal) is ProposalStatus.OPEN
    council.vote(proposal, (1, True))
    assert council.status(proposal) is ProposalStatus.APPROVED


def test_what_nobody_is_left_to_decide_is_withdrawn() -> None:
    council = Council(n=5, policy=STEWARDS_INVITE, stewards=(3,))
    proposal = council.proposal(Invite(b"x" * 20))
    council.receive(proposal)
    council.settle(roster(*range(5), epoch=1, dormant=tuple(range(5))), 1)
    assert council.status(proposal) is ProposalStatus.WITHDRAWN
    assert council.governance.items[proposal.id].reason == "Nobody who may decide it is left."


def test_where_no_steward_is_left_all_members_decide() -> None:
    council = Council(n=5, policy=STEWARDS_INVITE, stewards=(1, 2, 3, 4))
    proposal = council.proposal(Invite(b"x" * 20))
    council.receive(proposal)
    council.vote(proposal, (1, True), (2, True))
    council.settle(roster(0, 5, 6, 7, 8, epoch=1), 1)
    assert council.status(proposal) is ProposalStatus.OPEN
    item = council.governance.items[proposal.id]
    assert (item.tally.n, item.tally.yes) == (1, 0)
    council.vote_of_all(proposal, (0, True))
    assert council.status(proposal) is ProposalStatus.APPROVED


def test_a_proposal_is_decided_by_the_policy_it_was_opened_under() -> None:
    council = Council(policy=QUICK)
    proposal = council.proposal(REMOVE)
    council.receive(proposal)
    council.policy = replace(DAY_POLICY, remove=Rule(bounds.DAY, False, Share.ALL.code))
    council.settle(roster(*range(4), epoch=1), 1)
    later = council.proposal(Remove(address(1)), epoch=1)
    council.receive(later)
    for known in (proposal, later):
        council.vote(known, (0, True), (1, True), (2, True))
    assert (council.status(proposal), council.status(later)) == (ProposalStatus.APPROVED, ProposalStatus.OPEN)
    council.vote(later, (3, True))
    assert council.status(later) is ProposalStatus.APPROVED
    council.restart(roster(*range(4), epoch=1), 1)
    assert council.governance.needed(council.governance.items[later.id]) == 4
    old_times = replace(council.proposal(REMOVE, epoch=0, serial=3))
    assert council.receive(old_times) is None, "another duration than that of its epoch"


@pytest.mark.parametrize("share", Share)
def test_so_many_yes_votes_decide_as_the_policy_says(share: Share) -> None:
    policy = replace(DAY_POLICY, remove=Rule(bounds.DAY, False, share.code))
    council = Council(n=7, policy=policy)
    proposal = council.proposal(REMOVE)
    council.receive(proposal)
    needed = share.needed(7)
    council.vote(proposal, *((number, True) for number in range(needed - 1)))
    assert council.status(proposal) is ProposalStatus.OPEN
    assert council.governance.certificate(council.governance.items[proposal.id]) is None
    council.vote(proposal, (needed - 1, True))
    assert council.status(proposal) is ProposalStatus.APPROVED
    assert council.governance.certificate(council.governance.items[proposal.id]) is not None


def test_who_falls_asleep_does_not_count_and_who_wakes_up_does_again() -> None:
    council = Council(n=5, policy=DAY_POLICY)
    proposal = council.proposal(REMOVE)
    council.receive(proposal)
    council.vote(proposal, (0, True), (1, True), (4, False))
    council.settle(roster(*range(5), epoch=1, dormant=(2, 4)), 1)
    item = council.governance.items[proposal.id]
    assert (item.tally.n, item.tally.yes, item.tally.no) == (3, 2, 0)
    assert item.status is ProposalStatus.APPROVED
    council.settle(roster(*range(5), epoch=2), 2)
    item = council.governance.items[proposal.id]
    assert (item.tally.n, item.tally.yes, item.tally.no) == (5, 2, 1)


# --- Limits -------------------------------------------------------------------------------------------------------


def test_the_group_has_a_bounded_number_of_open_proposals() -> None:
    assert bounds.OPEN_PROPOSALS_MAX // bounds.OPEN_PROPOSALS_PER_MEMBER_MAX == 32
    council = Council(n=8)
    for owner in range(8):
        for serial in range(12):
            council.receive(council.proposal(REMOVE, owner=owner, serial=serial))
    assert len(council.governance.items) == 8 * bounds.OPEN_PROPOSALS_PER_MEMBER_MAX
    assert "limit" in {event.reason.value for event in council.events if isinstance(event, Rejected)}


@pytest.mark.parametrize("wish", [Leave(), Refresh(b"update")], ids=["leaving", "new keys"])
def test_what_is_voted_on_leaves_room_for_what_needs_no_vote(wish: Leave | Refresh) -> None:
    """Else the member could go at those who know that one of its votes has ended, and not at the others."""
    council = Council()
    for serial in range(bounds.PROPOSALS_PER_MEMBER_AND_EPOCH_MAX):
        proposal = council.proposal(REMOVE, serial=serial)
        assert council.receive(proposal) is not None
        if serial < bounds.PROPOSALS_PER_MEMBER_AND_EPOCH_MAX - bounds.OPEN_PROPOSALS_PER_MEMBER_MAX:
            council.vote(proposal, (1, False), (2, False))
    assert not council.governance.has_room(address(0))
    item = council.receive(council.proposal(wish))
    assert item is not None
    assert item.status is ProposalStatus.APPROVED


def test_what_needs_no_vote_leaves_room_for_what_is_voted_on_and_for_another_wish() -> None:
    council = Council()
    most = bounds.OPEN_PROPOSALS_PER_MEMBER_MAX
    for serial in range(2 * most):
        council.receive(council.proposal(Refresh(b"update %d" % serial), serial=serial))
    assert len(council.governance.items) == most
    assert council.governance.has_room(address(0))
    assert council.receive(council.proposal(REMOVE)) is not None
    assert council.receive(council.proposal(Leave())) is not None


def test_many_members_with_new_keys_keep_nobody_in() -> None:
    council = Council(n=13)
    for owner in range(12):
        for serial in range(bounds.OPEN_PROPOSALS_PER_MEMBER_MAX):
            council.receive(council.proposal(Refresh(b"update %d" % serial), owner=owner, serial=serial))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bounds, "OPEN_PROPOSALS_MAX", len(council.governance.items))
        assert council.receive(council.proposal(Refresh(b"one more"), owner=12)) is None
        assert council.receive(council.proposal(Leave(), owner=12)) is not None


def test_a_decided_proposal_makes_room_for_the_next() -> None:
    council = Council()
    for serial in range(bounds.OPEN_PROPOSALS_PER_MEMBER_MAX):
        proposal = council.proposal(REMOVE, serial=serial)
        council.receive(proposal)
    assert council.receive(council.proposal(REMOVE, serial=99)) is None
    council.vote(proposal, (1, False), (2, False))
    assert council.receive(council.proposal(REMOVE, serial=99)) is not None


def test_no_vote_is_counted_that_its_voter_did_not_sign() -> None:
    council = Council()
    proposal = council.proposal(REMOVE)
    council.receive(proposal)
    council.vote(proposal, (1, True), (2, True), keys=RETURNED)
    assert council.governance.items[proposal.id].tally.yes == 0
    other = council.proposal(REMOVE, serial=1)
    council.receive(other)
    moved = ballot(proposal, 1, True)
    raw = SignedVote.decode(moved.signed_vote)
    forged = Vote(SignedVote(other.id, raw.voter, raw.choice, raw.time_ms, raw.signature).encode())
    council.do(lambda step: council.governance.receive_vote(forged, step))
    assert council.governance.items[other.id].tally.yes == 0
