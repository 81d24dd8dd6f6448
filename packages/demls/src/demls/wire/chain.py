"""What does the chain say about a group? Its members by epoch, its stewards, and what follows from a commit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from demls.wire.charters import Policy
from demls.wire.codec import Size
from demls.wire.fields import DEEDS_MAX, ROSTER_MAX, STEWARDS_MAX, AddressBytes, Digest32
from demls.wire.framing import digest


@dataclass(frozen=True, slots=True)
class Seat:
    """A member's speaking leaf in some state; ``since``: the epoch that the member joined in."""

    address: AddressBytes
    leaf: int
    leaf_key: Digest32
    since: int
    dormant: bool = False


@dataclass(frozen=True, slots=True)
class Electorate:
    """Who decides what is opened in ``epoch``, and by which rules; ``stewards``: the active ones of the list.

    ``before``: hash of the state before the parent, from which the committee is drawn; empty if there is none.
    """

    epoch: int
    seats: Annotated[tuple[Seat, ...], Size(1, ROSTER_MAX)]
    stewards: Annotated[tuple[AddressBytes, ...], Size(0, STEWARDS_MAX)]
    policy: Policy
    before: Annotated[bytes, Size(0, 32)] = b""


@dataclass(frozen=True, slots=True)
class StewardListing:
    """A steward list with all that is needed to generate it again (see ``stewards.StewardList``)."""

    members: Annotated[tuple[AddressBytes, ...], Size(0, STEWARDS_MAX)]
    since: int
    election_epoch: int
    retry_round: int
    excluded: Annotated[tuple[AddressBytes, ...], Size(0, ROSTER_MAX)]
    departed: Annotated[tuple[AddressBytes, ...], Size(0, ROSTER_MAX)]


@dataclass(frozen=True, slots=True)
class LostTurn:
    """A leader whose view ended without a commit, and in which epoch."""

    member_id: AddressBytes
    epoch: int


class DeedKind(IntEnum):
    COMMITTED = 1
    LOST_TURN = 2
    UPHELD = 3
    """An emergency that it had opened was decided YES and committed."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What a member has done in ``epoch``, as the chain says; ``kind``: a ``DeedKind``."""

    member_id: AddressBytes
    epoch: int
    kind: int


@dataclass(frozen=True, slots=True)
class Reseated:
    """A member that was given a new leaf by the commit that led to ``epoch``, at chain time ``time``."""

    member_id: AddressBytes
    epoch: int
    time: int


@dataclass(frozen=True, slots=True)
class KeyAge:
    """Which epoch, at which chain time, a member's encryption key came with."""

    member_id: AddressBytes
    epoch: int
    time: int


@dataclass(frozen=True, slots=True)
class Succession:
    """What follows from a commit besides MLS: the next stewards, turns that were lost, who is dormant, age of keys.

    ``reseated``: who was given a new leaf within the last hour of chain time.
    """

    stewards: StewardListing
    lost: Annotated[tuple[LostTurn, ...], Size(0, ROSTER_MAX)]
    dormant: Annotated[tuple[AddressBytes, ...], Size(0, ROSTER_MAX)]
    deeds: Annotated[tuple[Deed, ...], Size(0, DEEDS_MAX)]
    reseated: Annotated[tuple[Reseated, ...], Size(0, ROSTER_MAX)] = ()
    keys: Annotated[tuple[KeyAge, ...], Size(0, ROSTER_MAX)] = ()


def electorate_hash(encoded: bytes) -> bytes:
    """The name of an electorate, by its canonical bytes (32 bytes)."""
    return digest(b"demls electorate 1", encoded)


def succession_hash(encoded: bytes) -> bytes:
    """The name of a succession, by its canonical bytes (32 bytes)."""
    return digest(b"demls succession 1", encoded)
