"""What do members state in a round, and which of it proves a fault? Acknowledgements, locks, and proofs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Annotated

from demls.wire.codec import Size
from demls.wire.fields import ENTRIES_MAX, AddressBytes, Digest32, Signature
from demls.wire.framing import framed


class StatementKind(IntEnum):
    ACK = 1
    LOCK = 2


@dataclass(frozen=True, slots=True)
class RoundStatement:
    """A member's acknowledgement or lock in one view; an empty ``candidate`` is nil."""

    epoch: int
    head: Digest32
    view: int
    candidate: Annotated[bytes, Size(0, 32)]
    choices: Annotated[bytes, Size(0, ENTRIES_MAX)]
    member: AddressBytes
    signature: Signature
    kind: int

    def content(self, group_id: bytes) -> bytes:
        """What the member's leaf key signs."""
        return framed(
            b"demls round 1",
            group_id,
            self.epoch,
            self.head,
            self.view,
            self.kind,
            self.candidate,
            self.choices,
            self.member,
        )


@dataclass(frozen=True, slots=True)
class Locks:
    """Locks of one view for one candidate: members and signatures are all in which they differ. Not on the wire."""

    epoch: int
    head: bytes
    view: int
    candidate: bytes
    signers: tuple[bytes, ...]
    signatures: tuple[bytes, ...]
    """As many as there are signers, in their order; more or fewer make no certificate."""

    def statements(self) -> tuple[RoundStatement, ...]:
        """As their members have said them; none without a signature."""
        place, kind = (self.epoch, self.head, self.view, self.candidate, b""), int(StatementKind.LOCK)
        said = zip(self.signers, self.signatures, strict=False)
        return tuple(RoundStatement(*place, member, signature, kind) for member, signature in said)


@dataclass(frozen=True, slots=True)
class DoubleStatement:
    """Two different statements of one member in one view."""

    first: RoundStatement
    second: RoundStatement


@dataclass(frozen=True, slots=True)
class DoubleVote:
    """Both choices of one voter on one proposal, which was opened in ``epoch``: bytes of SignedVotes."""

    epoch: int
    first: Annotated[bytes, Size(1, 512)]
    second: Annotated[bytes, Size(1, 512)]


@dataclass(frozen=True, slots=True)
class FaultyOffer:
    """A leader's signed offer of a candidate that breaks a numbered check."""

    epoch: int
    head: Digest32
    view: int
    candidate: Digest32
    leader: AddressBytes
    signature: Signature
    check: Annotated[str, Size(3)]

    def content(self, group_id: bytes) -> bytes:
        """What the leader signed: the same as of its offer."""
        return framed(b"demls offer 1", group_id, self.epoch, self.head, self.view, self.candidate, self.leader)


@dataclass(frozen=True, slots=True)
class Proof:
    """One proof that a member broke a rule."""

    payload: DoubleStatement | DoubleVote | FaultyOffer = field(
        metadata={
            "oneof": {"double_statement": DoubleStatement, "double_vote": DoubleVote, "faulty_offer": FaultyOffer}
        }
    )

    @property
    def epoch(self) -> int:
        """In which epoch it is said to have happened."""
        return self.payload.first.epoch if isinstance(self.payload, DoubleStatement) else self.payload.epoch
