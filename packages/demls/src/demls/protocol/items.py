"""One proposal as its decision goes on: what it is about, its votes, its status, and its place in a commit."""

from __future__ import annotations

from dataclasses import dataclass, field

from demls_consensus import Choice, SignedVote, Tally, Verdict

from demls.protocol.admission import Meaning
from demls.protocol.views import ProposalStatus
from demls.wire.ids import Address, Epoch, Instant, ProposalId
from demls.wire.messages import (
    Awake,
    Change,
    Dormant,
    Emergency,
    Invite,
    Leave,
    Proposal,
    Refresh,
    Remove,
    Resync,
    Settings,
    StewardElection,
)

_KINDS = (Emergency, Leave, StewardElection, Settings, Remove, Dormant, Awake, Invite, Resync, Refresh)
_KIND_ORDER = {kind: place for place, kind in enumerate(_KINDS)}
"""Canonical order of kinds in a commit; within a kind by proposal id, of requests for a new seat the newest first."""

_BY_SIGNATURE = (Leave, Resync, Refresh)
"""What a member may have without a vote: to go, to come back with a new leaf, and to have its keys renewed."""


@dataclass(frozen=True, slots=True)
class ProposalRecord:
    """What is durable of a proposal besides its votes."""

    proposal: bytes
    first_seen: int
    deadline: int
    status: str
    by_silence: bool
    is_void: bool
    reason: str
    epoch: int | None
    approved_since: int | None
    ended_at: int | None


@dataclass(slots=True)
class Item:
    """One proposal in flight or recently ended."""

    proposal: Proposal
    proposal_id: ProposalId
    meaning: Meaning
    first_seen: Instant
    deadline: Instant
    tally: Tally
    status: ProposalStatus = ProposalStatus.OPEN
    reason: str = ""
    by_silence: bool = False
    is_void: bool = False
    """It was rejected, and has become impossible since: no late vote brings it back."""
    epoch: Epoch | None = None
    approved_since: Instant | None = None
    ended_at: Instant | None = None
    votes: dict[tuple[Address, Choice], SignedVote] = field(default_factory=dict)

    @property
    def change(self) -> Change:
        return self.proposal.change.payload

    @property
    def is_closed(self) -> bool:
        """Nothing that arrives changes it any more."""
        return self.is_void or self.status in (
            ProposalStatus.COMMITTED,
            ProposalStatus.WITHDRAWN,
            ProposalStatus.NOTED,
        )

    @property
    def effect(self) -> tuple[str, bytes]:
        """What it would do; only one proposal of one effect goes into a commit."""
        return self.meaning.effect

    @property
    def subject(self) -> Address:
        """Whom it concerns."""
        return self.meaning.subject

    @property
    def needs_votes(self) -> bool:
        return not isinstance(self.change, _BY_SIGNATURE)

    def order(self) -> tuple[int, bytes]:
        """The canonical order of work in a commit."""
        if isinstance(self.change, Resync):
            age = (1 << 64) - 1 - self.proposal.created_at
            return _KIND_ORDER[Resync], age.to_bytes(8, "big") + self.proposal_id
        return _KIND_ORDER[type(self.change)], self.proposal_id


def decision_sentence(tally: Tally, verdict: Verdict) -> str:
    """How it was decided, in words."""
    counts = f"{tally.yes} yes, {tally.no} no, {tally.silent} silent of {tally.n}"
    match verdict:
        case Verdict.YES_BY_VOTES:
            return f"Approved by vote: {counts}."
        case Verdict.YES_BY_SILENCE:
            return f"Approved because silence counts as yes: {counts}."
        case Verdict.NO_BY_VOTES:
            return f"Rejected by vote: {counts}."
        case Verdict.NO_BY_SILENCE:
            return f"Rejected because too few said yes in time: {counts}."
        case Verdict.PENDING:
            return ""
