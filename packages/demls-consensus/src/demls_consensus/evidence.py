"""How is it proven that a voter voted both ways?"""

from __future__ import annotations

from dataclasses import dataclass

from .codec import Reader
from .errors import Malformed, Reason
from .schemes import SignatureScheme
from .votes import Choice, SignedVote

_VERSION = b"\x01"


@dataclass(frozen=True, slots=True)
class Equivocation:
    """Two different votes of one voter on one proposal, both signed (LIP-73 §4 Security, inconsistent voting).

    first is the YES, second the NO, whichever came first, so that one pair of votes is one piece of
    evidence. Raises ValueError when the two votes are not that; use `of` to bring them in order.
    """

    first: SignedVote
    second: SignedVote

    def __post_init__(self) -> None:
        """Check that this is an equivocation by form."""
        if (self.first.proposal_id, self.first.voter) != (self.second.proposal_id, self.second.voter):
            raise ValueError("The votes are of two voters or on two proposals.")
        if (self.first.choice, self.second.choice) != (Choice.YES, Choice.NO):
            raise ValueError("The votes are not a YES and a NO, in this order.")

    @classmethod
    def of(cls, one: SignedVote, other: SignedVote) -> Equivocation:
        """Return the evidence made of two votes in any order; ValueError if they are none."""
        return cls(one, other) if one.choice is Choice.YES else cls(other, one)

    @property
    def proposal_id(self) -> bytes:
        """The proposal on which both votes are."""
        return self.first.proposal_id

    @property
    def voter(self) -> bytes:
        """Who signed both."""
        return self.first.voter

    def verify(self, key: bytes, scheme: SignatureScheme) -> bool:
        """Say whether both signatures fit `key`, the voter's key when it voted."""
        return all(scheme.verify_batch([(key, vote.content, vote.signature) for vote in (self.first, self.second)]))

    def encode(self) -> bytes:
        """Return the canonical bytes: version, length and bytes of the YES, the NO."""
        yes = self.first.encode()
        return _VERSION + len(yes).to_bytes(2, "big") + yes + self.second.encode()

    @classmethod
    def decode(cls, data: bytes) -> Equivocation:
        """Return the evidence in `data`, unverified; anything but its canonical bytes raises `Malformed`."""
        reader = Reader(data)
        reader.expect(_VERSION, "equivocation")
        first = SignedVote.decode(reader.take(reader.number(2)))
        second = SignedVote.decode(reader.take(reader.remaining))
        try:
            return cls(first, second)
        except ValueError as error:
            raise Malformed(Reason.NO_EQUIVOCATION.value) from error
