"""What is a vote, and what exactly does it sign?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, unique

from .codec import (
    PROPOSAL_ID_BYTES,
    SIGNATURE_BYTES_MAX,
    VOTER_ID_BYTES,
    Reader,
    prefixed,
    require_size,
    require_time,
)
from .errors import Malformed

VOTE_DOMAIN = b"demls-consensus/vote/1"
_VERSION = b"\x01"


@unique
class Choice(IntEnum):
    """What a voter says. There is no abstention: that is silence."""

    NO = 0
    YES = 1


_CHOICES = (Choice.NO, Choice.YES)
_SIGNATURE_AT = 63


def vote_content(proposal_id: bytes, voter: bytes, choice: Choice, time_ms: int) -> bytes:
    """Return the bytes that a vote signs (LIP-73 §2, step 4.8).

    A domain tag, proposal id (32 bytes), voter id (20), choice (1) and time (8, milliseconds),
    each behind its length. The proposal id is the digest of everything that is voted on, so the
    vote fits no other group, epoch or payload. Raises ValueError for fields of a wrong size.
    """
    require_size("A proposal id", proposal_id, PROPOSAL_ID_BYTES)
    require_size("A voter id", voter, VOTER_ID_BYTES)
    require_time("The time of a vote", time_ms)
    said = _SAID[choice.value] + time_ms.to_bytes(8, "big")
    return b"".join((_BEFORE_PROPOSAL, proposal_id, _BEFORE_VOTER, voter, said))


_BEFORE_PROPOSAL = prefixed(VOTE_DOMAIN) + PROPOSAL_ID_BYTES.to_bytes(2, "big")
_BEFORE_VOTER = VOTER_ID_BYTES.to_bytes(2, "big")
_SAID = tuple(prefixed(bytes([value])) + (8).to_bytes(2, "big") for value in range(2))
"""What stands between voter and time, by choice."""


@dataclass(frozen=True, slots=True)
class SignedVote:
    """One vote with its signature, which has been made but not necessarily checked.

    proposal_id: 32 bytes. voter: 20 bytes. time_ms: when the voter says it voted; it is signed
    and shown to people, and no rule depends on it. signature: 1 to 255 bytes, of the scheme in use.
    Raises ValueError for fields of a wrong size.
    """

    proposal_id: bytes
    voter: bytes
    choice: Choice
    time_ms: int
    signature: bytes

    def __post_init__(self) -> None:
        """Check sizes."""
        require_size("A proposal id", self.proposal_id, PROPOSAL_ID_BYTES)
        require_size("A voter id", self.voter, VOTER_ID_BYTES)
        require_time("The time of a vote", self.time_ms)
        if not 1 <= len(self.signature) <= SIGNATURE_BYTES_MAX:
            raise ValueError(f"A signature has 1 to {SIGNATURE_BYTES_MAX} bytes, not {len(self.signature)}.")

    @classmethod
    def cast(
        cls, proposal_id: bytes, voter: bytes, choice: Choice, time_ms: int, sign: Callable[[bytes], bytes]
    ) -> SignedVote:
        """Make a vote: `sign` receives `vote_content` and returns the signature."""
        return cls(proposal_id, voter, choice, time_ms, sign(vote_content(proposal_id, voter, choice, time_ms)))

    @property
    def content(self) -> bytes:
        """The bytes that the signature covers."""
        return vote_content(self.proposal_id, self.voter, self.choice, self.time_ms)

    def encode(self) -> bytes:
        """Return the canonical bytes: version, id, voter, choice, time, length of the signature, signature."""
        return b"".join(
            (
                _VERSION,
                self.proposal_id,
                self.voter,
                bytes([self.choice.value]),
                self.time_ms.to_bytes(8, "big"),
                bytes([len(self.signature)]),
                self.signature,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> SignedVote:
        """Return the vote in `data`, unverified; anything but its canonical bytes raises `Malformed`."""
        if _is_plain(data):
            return cls(data[1:33], data[33:53], _CHOICES[data[53]], int.from_bytes(data[54:62], "big"), data[63:])
        reader = Reader(data)
        reader.expect(_VERSION, "vote")
        proposal_id = reader.take(PROPOSAL_ID_BYTES)
        voter = reader.take(VOTER_ID_BYTES)
        choice = _read_choice(reader)
        time_ms = reader.number(8)
        signature = read_signature(reader)
        reader.end()
        return cls(proposal_id, voter, choice, time_ms, signature)


def _is_plain(data: bytes) -> bool:
    """Are these the canonical bytes of a vote? If not, reading them in full says why."""
    size = len(data) - _SIGNATURE_AT
    return size > 0 and data[_SIGNATURE_AT - 1] == size and data[53] < len(_CHOICES) and data.startswith(_VERSION)


def read_signature(reader: Reader) -> bytes:
    """Return the next signature, which stands behind its length in one byte."""
    size = reader.number(1)
    if size == 0:
        raise Malformed("The signature is empty.")
    return reader.take(size)


def _read_choice(reader: Reader) -> Choice:
    value = reader.number(1)
    if value > 1:
        raise Malformed(f"A choice is 0 or 1, not {value}.")
    return Choice(value)
