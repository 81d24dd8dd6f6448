"""Which votes does a peer of the reference crates have open, and what does it tell?"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TypeAlias

from .config import SessionConfig
from .faults import Fault
from .messages import Proposal, Vote
from .sessions import ReferenceSession
from .signing import VoteCheck, VoteSigner, build_vote, check_wallet_signature
from .validation import is_expired, validate_vote

LIBRARY_SESSIONS_MAX = 10
"""The library's own bound."""
NODE_SESSIONS_MAX = 128
"""The bound that the reference node sets."""

UINT64_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class ConsensusReached:
    """A result is there; the crates tell it again at each later vote, and so does this."""

    proposal_id: int
    result: bool
    timestamp_s: int


@dataclass(frozen=True, slots=True)
class ConsensusFailed:
    """At the timeout the votes did not decide."""

    proposal_id: int
    timestamp_s: int


ConsensusEvent: TypeAlias = ConsensusReached | ConsensusFailed


class ReferenceService:
    """The sessions of one scope (a conversation) of one peer, with the crates' calls and verdicts.

    Nothing raises on what others send. As in the crates, more than `sessions_max` sessions silently
    push out the oldest, live ones too; a caller that wants better asks `len` before it adds. Events
    wait in `events` until `drain_events`; at most `events_max` do, the oldest go first.
    """

    __slots__ = ("_check", "_config", "_events", "_sessions", "_sessions_max", "_signer")

    def __init__(
        self,
        signer: VoteSigner,
        config: SessionConfig | None = None,
        *,
        check: VoteCheck = check_wallet_signature,
        sessions_max: int = LIBRARY_SESSIONS_MAX,
        events_max: int = 1000,
    ) -> None:
        """Start without sessions. Raises ValueError for settings that the crates refuse."""
        self._config = config or SessionConfig()
        if self._config.fault is not None:
            raise ValueError(f"The crates refuse these settings: {self._config.fault.value}.")
        self._signer = signer
        self._check = check
        self._sessions_max = sessions_max
        self._sessions: dict[int, ReferenceSession] = {}
        self._events: deque[ConsensusEvent] = deque(maxlen=events_max)

    def __len__(self) -> int:
        """How many sessions there are, decided ones included."""
        return len(self._sessions)

    def get(self, proposal_id: int) -> ReferenceSession | None:
        """Return a session, or None."""
        return self._sessions.get(proposal_id)

    def drain_events(self) -> list[ConsensusEvent]:
        """Return what there is to tell, oldest first, and forget it."""
        events = list(self._events)
        self._events.clear()
        return events

    def create_proposal(
        self,
        *,
        name: str,
        payload: bytes,
        proposal_id: int,
        proposal_owner: bytes,
        expected_voters_count: int,
        duration_s: int,
        liveness_criteria_yes: bool,
        now_s: int,
        config: SessionConfig | None = None,
    ) -> Proposal | Fault:
        """Open an own proposal without votes and return it, or the fault in the request.

        proposal_id: 32 random bits, see `fold_uuid`. duration_s: seconds until it expires. config:
        overrides the scope's settings with its own timeout.
        """
        if expected_voters_count == 0:
            return Fault.INVALID_EXPECTED_VOTERS_COUNT
        if duration_s <= 0:
            return Fault.INVALID_TIMEOUT
        proposal = Proposal(
            name=name,
            payload=payload,
            proposal_id=proposal_id,
            proposal_owner=proposal_owner,
            expected_voters_count=expected_voters_count,
            timestamp=now_s,
            expiration_timestamp=min(now_s + duration_s, UINT64_MAX),
            liveness_criteria_yes=liveness_criteria_yes,
        )
        self._keep(ReferenceSession(proposal, config or self._config_for(proposal), now_s))
        return proposal

    def cast_vote(self, proposal_id: int, *, choice: bool, vote_id: int, now_s: int) -> Vote | Fault:
        """Make, count and return the own vote, or the fault. vote_id: 32 random bits, see `fold_uuid`."""
        session = self._sessions.get(proposal_id)
        if session is None:
            return Fault.SESSION_NOT_FOUND
        if is_expired(session.proposal, now_s):
            return Fault.PROPOSAL_EXPIRED
        if session.has_vote_of(self._signer.identity):
            return Fault.USER_ALREADY_VOTED
        vote = build_vote(session.snapshot(), choice=choice, signer=self._signer, vote_id=vote_id, now_s=now_s)
        return self._add(session, vote, now_s) or vote

    def process_incoming_proposal(self, proposal: Proposal, now_s: int) -> Fault | None:
        """Open a session for a received proposal with its votes, or return the fault."""
        if proposal.proposal_id in self._sessions:
            return Fault.PROPOSAL_ALREADY_EXIST
        session = ReferenceSession.from_proposal(proposal, self._config_for(proposal), now_s, self._check)
        if isinstance(session, Fault):
            return session
        self._tell_result(session, now_s)
        self._keep(session)
        return None

    def process_incoming_vote(self, vote: Vote, now_s: int) -> Fault | None:
        """Count a received vote, or return the fault. A vote that overtakes its proposal is lost."""
        session = self._sessions.get(vote.proposal_id)
        if session is None:
            return Fault.SESSION_NOT_FOUND
        return validate_vote(vote, session.proposal, now_s, self._check) or self._add(session, vote, now_s)

    def handle_timeout(self, proposal_id: int, now_s: int) -> bool | Fault:
        """Return the result with silence counted, or the fault; when to call it is the caller's business."""
        session = self._sessions.get(proposal_id)
        if session is None:
            return Fault.SESSION_NOT_FOUND
        outcome = session.time_out()
        if isinstance(outcome, Fault):
            self._tell(ConsensusFailed(proposal_id, now_s))
        else:
            self._tell_result(session, now_s)
        return outcome

    def remove(self, proposal_id: int) -> None:
        """Forget a session, as the reference node does once an outcome was handled."""
        self._sessions.pop(proposal_id, None)

    def _config_for(self, proposal: Proposal) -> SessionConfig:
        lifetime_s = proposal.expiration_timestamp - proposal.timestamp
        return replace(self._config, timeout_s=float(lifetime_s)) if lifetime_s > 0 else self._config

    def _add(self, session: ReferenceSession, vote: Vote, now_s: int) -> Fault | None:
        fault = session.add_vote(vote, now_s)
        if fault is None:
            self._tell_result(session, now_s)
        return fault

    def _keep(self, session: ReferenceSession) -> None:
        self._sessions[session.proposal.proposal_id] = session
        oldest_first = sorted(self._sessions.values(), key=lambda kept: kept.created_at_s)
        for dropped in oldest_first[: max(0, len(oldest_first) - self._sessions_max)]:
            del self._sessions[dropped.proposal.proposal_id]

    def _tell_result(self, session: ReferenceSession, now_s: int) -> None:
        result = session.state.result
        if result is not None:
            self._tell(ConsensusReached(session.proposal.proposal_id, result, now_s))

    def _tell(self, event: ConsensusEvent) -> None:
        self._events.append(event)
