"""What is known of one proposal: who asked for what, its ballots, and how it stands?"""

from __future__ import annotations

from dataclasses import dataclass

from demls_consensus import Choice, SignedVote, Tally

from demls.protocol.admission import Meaning
from demls.protocol.ballots import Ballot, Ballots
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

Room = type[Leave] | type[Resync] | type[Refresh] | None


def room_of(change: Change) -> Room:
    """Which proposals it shares its bounds with: those of its kind if it needs no vote, else (None) all others that do.

    So neither what is voted on nor wishes of another kind keep a member from what it may have without a vote.
    """
    return type(change) if isinstance(change, _BY_SIGNATURE) else None


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
    place: int = 0


@dataclass(slots=True)
class Item:
    """One proposal in flight or recently ended."""

    proposal: Proposal
    proposal_id: ProposalId
    meaning: Meaning
    first_seen: Instant
    ballots: Ballots
    status: ProposalStatus = ProposalStatus.OPEN
    reason: str = ""
    by_silence: bool = False
    is_void: bool = False
    """It was rejected, and has become impossible since: no late vote brings it back."""
    epoch: Epoch | None = None
    approved_since: Instant | None = None
    ended_at: Instant | None = None
    place: int = 0
    """Which of the ballots counts now."""
    encoded: bytes = b""
    """The proposal's bytes, once they have been written."""

    @property
    def ballot(self) -> Ballot:
        """The one that counts now."""
        return self.ballots[min(self.place, len(self.ballots) - 1)]

    @property
    def tally(self) -> Tally:
        return self.ballot.tally

    @property
    def votes(self) -> dict[tuple[Address, Choice], SignedVote]:
        return self.ballot.votes

    @property
    def deadline(self) -> Instant:
        return self.ballot.deadline

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
