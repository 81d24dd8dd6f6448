"""How does one vote run by the reference crates' rules?"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, unique

from .arithmetic import consensus_result
from .config import Network, SessionConfig
from .faults import Fault
from .messages import Proposal, Vote
from .signing import VoteCheck, check_wallet_signature
from .validation import is_expired, validate_proposal


@unique
class State(Enum):
    """Where a session stands."""

    ACTIVE = "active"
    REACHED_YES = "reached yes"
    REACHED_NO = "reached no"
    FAILED = "failed"

    @property
    def result(self) -> bool | None:
        """The outcome, or None when there is none."""
        return {State.REACHED_YES: True, State.REACHED_NO: False}.get(self)


class ReferenceSession:
    """One proposal with its votes in order of arrival and its state (LIP-73 §3 by the crates).

    Once reached, a result stays. With arithmetic 0.6.0 it depends on the order of the votes.
    """

    __slots__ = ("_choices", "_no", "_votes", "_yes", "config", "created_at_s", "proposal", "round", "state")

    def __init__(self, proposal: Proposal, config: SessionConfig, now_s: int) -> None:
        """Start a session on `proposal` without the votes in it; use `from_proposal` for received ones."""
        self.proposal = replace(proposal, votes=(), round=1)
        self.config = config
        self.created_at_s = now_s
        self.round = 1
        self.state = State.ACTIVE
        self._votes: list[Vote] = []
        self._choices: dict[bytes, bool] = {}
        self._yes = self._no = 0

    @classmethod
    def from_proposal(
        cls, proposal: Proposal, config: SessionConfig, now_s: int, check: VoteCheck = check_wallet_signature
    ) -> ReferenceSession | Fault:
        """Validate a received proposal and its votes, and start a session with them, or return the fault.

        The round in the proposal is ignored and counted anew.
        """
        fault = validate_proposal(proposal, now_s, check)
        if fault is not None:
            return fault
        session = cls(proposal, config, now_s)
        return session._start_with(proposal.votes) or session

    @property
    def votes(self) -> tuple[Vote, ...]:
        """The votes in order of arrival."""
        return tuple(self._votes)

    def snapshot(self) -> Proposal:
        """Return the proposal with the votes known here and the round, as it travels."""
        return replace(self.proposal, votes=self.votes, round=self.round)

    def has_vote_of(self, owner: bytes) -> bool:
        """Say whether `owner` has voted."""
        return owner in self._choices

    def add_vote(self, vote: Vote, now_s: int) -> Fault | None:
        """Count a validated vote, or return the fault; after a result votes are taken without effect.

        Order: expiry of the proposal, round limit (which makes the session fail), duplicate owner.
        """
        if self.state.result is not None:
            return None
        if self.state is State.FAILED:
            return Fault.SESSION_NOT_ACTIVE
        if is_expired(self.proposal, now_s):
            return Fault.PROPOSAL_EXPIRED
        if self._exceeds_rounds(1):
            return self._fail()
        if vote.vote_owner in self._choices:
            return Fault.DUPLICATE_VOTE
        self._count(vote)
        self._conclude()
        return None

    def time_out(self) -> bool | Fault:
        """Return the result with silence counted, or the fault; a session without result fails."""
        if self.state.result is not None:
            return self.state.result
        result = self._result(timed_out=True)
        if result is None:
            self.state = State.FAILED
            return Fault.INSUFFICIENT_VOTES_AT_TIMEOUT
        self.state = State.REACHED_YES if result else State.REACHED_NO
        return result

    def _start_with(self, votes: tuple[Vote, ...]) -> Fault | None:
        if not votes:
            return None
        if len({vote.vote_owner for vote in votes}) < len(votes):
            return Fault.DUPLICATE_VOTE
        if self._exceeds_rounds(len(votes)):
            return self._fail()
        for vote in votes:
            self._count(vote)
        self._conclude()
        return None

    def _exceeds_rounds(self, new_votes: int) -> bool:
        n = self.proposal.expected_voters_count
        rounds = 2 if self.config.network is Network.GOSSIPSUB else self.round - 1 + new_votes
        return new_votes > n or rounds > self.config.round_limit(n)

    def _fail(self) -> Fault:
        self.state = State.FAILED
        return Fault.MAX_ROUNDS_EXCEEDED

    def _count(self, vote: Vote) -> None:
        self._votes.append(vote)
        self._choices[vote.vote_owner] = vote.vote
        self._yes += vote.vote
        self._no += not vote.vote
        self.round = 2 if self.config.network is Network.GOSSIPSUB else self.round + 1

    def _conclude(self) -> None:
        result = self._result(timed_out=False)
        if result is not None:
            self.state = State.REACHED_YES if result else State.REACHED_NO

    def _result(self, *, timed_out: bool) -> bool | None:
        return consensus_result(
            self.config.version,
            self.proposal.expected_voters_count,
            yes=self._yes,
            no=self._no,
            liveness_criteria_yes=self.proposal.liveness_criteria_yes,
            timed_out=timed_out,
            threshold=self.config.threshold,
        )
