"""Who is a member of this state, with which leaves, and how many make a quorum?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter

from demls_consensus import faults, quorum

from demls.protocol import bitmaps
from demls.protocol.credential import CredentialRefused, parse_binding, parse_credential
from demls.protocol.engine import Member
from demls.wire.ids import Address, Epoch, LeafKey
from demls.wire.messages import Binding


@dataclass(frozen=True, slots=True)
class Seat:
    """A member's speaking leaf: the lowest leaf of its address, so that a person has one voice."""

    address: Address
    leaf: int
    leaf_key: LeafKey
    device: str
    name: str
    since: Epoch
    """The epoch that the member joined in."""
    dormant: bool = False
    """Not heard for long: in the group, but not counted."""


class Roster:
    """The members of one state, immutable; order is by speaking leaf. Building it is O(n), asking it O(1)."""

    def __init__(
        self,
        leaves: Iterable[Member],
        epoch: Epoch,
        since: Mapping[Address, Epoch],
        dormant: Iterable[Address] = (),
        before: Roster | None = None,
    ) -> None:
        """``since``: when members joined that were there before ``epoch``; all others joined in it.

        ``before``: another roster of the group; who is in it with the same leaf is not read anew, and has the same
        seat, as long as nothing in it changes.
        """
        asleep = frozenset(dormant)
        read = before._seats_of if before is not None else {}
        self._seats_of: dict[int, tuple[Member, Seat]] = {}
        seats: dict[Address, Seat] = {}
        self._leaves: dict[Address, tuple[int, ...]] = {}
        self._owner: dict[int, Address] = {}
        self._speaking: dict[Address, Member] = {}
        for member in sorted(leaves, key=attrgetter("leaf")):
            leaf = member.leaf
            found = read.get(leaf)
            seat = found[1] if found is not None and _is_same(found[0], member) else _read(member, epoch)
            if seat is None:
                continue  # whoever it is, it is nobody here: no voice, no name
            address = seat.address
            joined, is_dormant = since.get(address, epoch), address in asleep
            if seat.since != joined or seat.dormant != is_dormant:
                seat = replace(seat, since=joined, dormant=is_dormant)
            self._seats_of[leaf] = member, seat
            self._owner[leaf] = address
            if address in seats:
                self._leaves[address] += (leaf,)
            else:
                seats[address] = seat
                self._speaking[address] = member
                self._leaves[address] = (leaf,)
        self.seats: tuple[Seat, ...] = tuple(seats.values())
        self._by_address: Mapping[Address, Seat] = seats
        self.addresses: frozenset[Address] = frozenset(seats)
        self.counted: frozenset[Address] = frozenset([a for a, seat in seats.items() if not seat.dormant])
        """Those who make n: all members but the dormant ones."""
        self._since = {address: seat.since for address, seat in seats.items()}
        self._index = {address: index for index, address in enumerate(seats)}
        self._present: dict[tuple[Epoch, int], frozenset[bytes]] = {}

    @classmethod
    def empty(cls) -> Roster:
        return cls((), Epoch(0), {})

    def present(self, epoch: Epoch, members: Iterable[Address], latest: int) -> frozenset[bytes]:
        """Which ``members`` of an earlier ``epoch`` are in and counted, and were in epoch ``latest``; found once."""
        if (epoch, latest) not in self._present:
            seats = map(self._by_address.get, members)
            here = [seat.address for seat in seats if seat and seat.since <= latest and not seat.dormant]
            self._present[epoch, latest] = frozenset(here)
        return self._present[epoch, latest]

    def since(self) -> dict[Address, Epoch]:
        """When each member joined; not to be changed."""
        return self._since

    @property
    def n(self) -> int:
        """How many count."""
        return len(self.counted)

    @property
    def q(self) -> int:
        """ceil(2n/3); any two such sets share at least f + 1 members."""
        return quorum(self.n)

    @property
    def f(self) -> int:
        """How many may be malicious: floor((n - 1)/3)."""
        return faults(self.n)

    def seat(self, address: bytes) -> Seat | None:
        return self._by_address.get(Address(address))

    def binding_of(self, address: bytes) -> Binding | None:
        """The wallet binding of a member's speaking leaf; None if it has none that can be read."""
        try:
            return parse_binding(self.extensions_of(address))
        except CredentialRefused:
            return None

    def extensions_of(self, address: bytes) -> dict[int, bytes]:
        """The extensions of a member's speaking leaf."""
        leaf = self._speaking.get(Address(address))
        return dict(leaf.extensions) if leaf is not None else {}

    def index(self, address: bytes) -> int:
        """Place in the roster's order, for bitmaps."""
        return self._index[Address(address)]

    def leaves_of(self, address: bytes) -> tuple[int, ...]:
        return self._leaves.get(Address(address), ())

    def owner_of(self, leaf: int) -> Address | None:
        return self._owner.get(leaf)

    def owners(self) -> dict[int, bytes]:
        """Leaf to address, all leaves."""
        return {leaf: bytes(address) for leaf, address in self._owner.items()}

    def bitmap(self, addresses: Iterable[bytes]) -> bytes:
        """One bit a member in the roster's order, first member in the lowest bit."""
        return bitmaps.bitmap(self._by_address, frozenset(addresses))

    def marked(self, bitmap: bytes) -> frozenset[Address]:
        """The members whose bit is set; bits beyond the roster mean nothing."""
        return frozenset(bitmaps.marked(self._by_address, bitmap))


def _is_same(known: Member, member: Member) -> bool:
    return known.signature_key == member.signature_key and known.credential == member.credential


def _read(member: Member, joined: Epoch) -> Seat | None:
    """The seat of a leaf, None if its credential is none."""
    try:
        credential = parse_credential(member.credential)
    except CredentialRefused:
        return None
    address, key = Address(credential.address), LeafKey(member.signature_key)
    return Seat(address, member.leaf, key, credential.device, credential.name, joined)
