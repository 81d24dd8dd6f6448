"""Decisions are functions of sets of votes: order, repetition and loss in between never matter."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import Any

import pytest
from demls.protocol import policy as bounds
from demls.protocol.admission import Meaning
from demls.protocol.channel import channel_of
from demls.protocol.events import Misbehaved, ProposalDecided, ProposalWithdrawn, Rejected
from demls.protocol.governance import PROPOSAL_LABEL, VOTE_LABEL, Governance, Item
from demls.protocol.policy import DAY_POLICY, QUICK, SECOND
from demls.protocol.records import Ledger
from demls.protocol.roster import Roster
from demls.protocol.step import Step
from demls.protocol.views import ProposalStatus
from demls.wire.ids import Address, Epoch, GroupId, Instant
from demls.wire.messages import (
    Change,
    ChangeRequest,
    Credential,
    Invite,
    Leave,
    Policy,
    Proposal,
    Remove,
    Vote,
    encode_message,
)
from demls_consensus import Choice, SignedVote, quorum
from demls_engine import Engine
from hypothesis import given, settings
from hypothesis import strategies as st

GROUP = GroupId(b"g" * 32)
NOW = Instant(1_000_000)
ENGINE = Engine(bytes(32))
KEYS = [ENGINE.signature_key() for _ in range(8)]
RETURNED = [ENGINE.signature_key() for _ in range(8)]


def address(number: int) -> Address:
    return Address(bytes([number + 1]) * 20)


@dataclass
class Leaf:
    leaf: int
    key: Any

    @property
    def signature_key(self) -> bytes:
        return bytes(self.key.public)

    @property
    def credential(self) -> bytes:
        return encode_message(Credential(address(self.leaf), "laptop", f"member {self.leaf}"))

    @property
    def extensions(self) -> dict[int, bytes]:
        return {}


def roster(*numbers: int, epoch: int = 0, returned: tuple[int, ...] = ()) -> Roster:
    """Members since epoch 0, but for ``returned``, who came back in ``epoch`` with new keys."""
    leaves = [Leaf(n, RETURNED[n] if n in returned else KEYS[n]) for n in numbers]
    since = {address(n): Epoch(0) for n in numbers if n not in returned}
    return Roster(leaves, Epoch(epoch), since)


class Council:
    """The governance of one member, with votes made by all."""

    def __init__(self, n: int = 4, policy: Policy = QUICK) -> None:
        self.ledger = Ledger()
        self.policy = policy
        self.now = NOW
        self.events: list[object] = []
        self.governance = self._make()
        self.governance.enter(roster(*range(n)), Epoch(0))

    def _make(self) -> Governance:
        def meaning_of(change: Change, owner: Address) -> Meaning | None:
            if isinstance(change, Invite):
                return Meaning(("add", change.key_package_bytes), Address(change.key_package_bytes))
            subject = Address(change.member_id) if isinstance(change, Remove) else owner
            return Meaning(("remove", bytes(subject)), subject)

        return Governance(
            ledger=self.ledger,
            engine=ENGINE,
            group_id=GROUP,
            policy=self.policy,
            meaning_of=meaning_of,
            can_add=lambda key_package: True,
        )

    def step(self) -> Step:
        return Step(self.now, channel_of(bytes(32)))

    def do(self, call: Any) -> Any:
        step = self.step()
        result = call(step)
        self.events += step.events
        return result

    def proposal(self, change: Change, owner: int = 0, epoch: int = 0, serial: int = 0) -> Proposal:
        duration, _ = self.governance.rule(change)
        unsigned = Proposal(GROUP, epoch, address(owner), ChangeRequest(change), serial, duration, bytes(64))
        signature = ENGINE.sign(KEYS[owner].private, PROPOSAL_LABEL, unsigned.id)
        return Proposal(GROUP, epoch, address(owner), ChangeRequest(change), serial, duration, signature)

    def receive(self, proposal: Proposal) -> Item | None:
        item: Item | None = self.do(lambda step: self.governance.receive_proposal(proposal, step))
        return item

    def vote(self, proposal: Proposal, *ballots: tuple[int, bool], keys: Any = None) -> None:
        for number, yes in ballots:
            message = ballot(proposal, number, yes, keys)
            self.do(lambda step, it=message: self.governance.receive_vote(it, step))

    def wait(self, milliseconds: int) -> None:
        self.now = Instant(self.now + milliseconds)
        self.do(self.governance.tick)

    def settle(self, members: Roster, epoch: int, *carried: Proposal) -> None:
        ids = [proposal.id for proposal in carried]
        self.do(lambda step: self.governance.settle(ids, members, Epoch(epoch), step))

    def restart(self, members: Roster, epoch: int = 0) -> None:
        self.ledger = Ledger(self.ledger.snapshot())
        self.governance = self._make()
        self.governance.load(members, Epoch(epoch))

    def status(self, proposal: Proposal) -> ProposalStatus:
        return self.governance.items[proposal.id].status


def ballot(proposal: Proposal, number: int, yes: bool, keys: Any = None) -> Vote:
    private = (keys or KEYS)[number].private
    choice = Choice.YES if yes else Choice.NO
    vote = SignedVote.cast(
        proposal.id, address(number), choice, 5, lambda content: ENGINE.sign(private, VOTE_LABEL, content)
    )
    return Vote(vote.encode())


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
        assert accused == [Misbehaved(address(1), "signed both a yes and a no on one proposal")]
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
    duration, _ = council.governance.rule(change)
    assert council.governance.deadline() == NOW + duration
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


# --- Limits -------------------------------------------------------------------------------------------------------


def test_the_group_has_a_bounded_number_of_open_proposals() -> None:
    assert bounds.OPEN_PROPOSALS_MAX // bounds.OPEN_PROPOSALS_PER_MEMBER_MAX == 32
    council = Council(n=8)
    for owner in range(8):
        for serial in range(12):
            council.receive(council.proposal(REMOVE, owner=owner, serial=serial))
    assert len(council.governance.items) == 8 * bounds.OPEN_PROPOSALS_PER_MEMBER_MAX
    assert "limit" in {event.reason.value for event in council.events if isinstance(event, Rejected)}


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
