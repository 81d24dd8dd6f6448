"""Who is a member of this state, with which leaves, and how many make a quorum?"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter

from demls_consensus import faults, quorum

from demls.protocol import bitmaps
from demls.protocol.credential import CredentialRefused, parse_binding, parse_credential
from demls.protocol.engine import Member
from demls.wire.chain import Seat as StatedSeat
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
    stated: StatedSeat = field(init=False, repr=False, compare=False)
    """As electorates state it."""

    def __post_init__(self) -> None:
        stated = StatedSeat(self.address, self.leaf, self.leaf_key, self.since, self.dormant)
        object.__setattr__(self, "stated", stated)


class Roster:
    """The members of one state, immutable; order is by speaking leaf.

    Asking it is O(1). Reading it from the tree is O(n); from another state's (``after``), what is O(n) is copying.
    """

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
        read = before._members if before is not None else {}
        members: dict[int, Member] = {}
        owners: dict[int, Address] = {}
        held: dict[Address, tuple[int, ...]] = {}
        seats: dict[Address, Seat] = {}
        for member in sorted(leaves, key=attrgetter("leaf")):
            leaf, found = member.leaf, read.get(member.leaf)
            is_known = before is not None and found is not None and _is_same(found, member)
            seat = before._speaking(leaf) if before is not None and is_known else None
            seat = seat or _read(member, epoch)
            if seat is None:
                continue  # whoever it is, it is nobody here: no voice, no name
            address = seat.address
            members[leaf], owners[leaf] = member, address
            held[address] = (*held.get(address, ()), leaf)
            if address not in seats:
                seats[address] = _placed(seat, since.get(address, epoch), address in asleep)
        self._fill(members, owners, held, seats)

    @classmethod
    def empty(cls) -> Roster:
        return cls((), Epoch(0), {})

    def after(self, changed: Mapping[int, Member | None], epoch: Epoch, dormant: Iterable[Address] = ()) -> Roster:
        """The roster once these leaves have changed and all others have not; None: the leaf is blank.

        Who was in before goes on, who was not has joined in ``epoch``.
        """
        members, owners, held = dict(self._members), dict(self._owners), dict(self._held)
        seats, asleep = dict(self._by_address), frozenset(dormant)
        touched: dict[Address, set[int]] = {}
        for leaf in changed:
            owner = owners.pop(leaf, None)
            if owner is not None:
                touched.setdefault(owner, set(held[owner])).discard(leaf)
                del members[leaf]
        for leaf, member in changed.items():
            seat = _read(member, epoch) if member is not None else None
            if member is not None and seat is not None:
                members[leaf], owners[leaf] = member, seat.address
                touched.setdefault(seat.address, set(held.get(seat.address, ()))).add(leaf)
        moved: list[Seat] = []
        for address, leaves in touched.items():
            old = seats.get(address)
            seat = _read(members[min(leaves)], epoch) if leaves else None
            if seat is None:
                del seats[address], held[address]
                continue
            held[address] = tuple(sorted(leaves))
            seat = _placed(seat, epoch if old is None else old.since, address in asleep)
            if old is not None and old.leaf == seat.leaf:
                seats[address] = old if old == seat else seat
                continue
            seats.pop(address, None)
            moved.append(seat)
        for address in (asleep ^ self.dormant) & seats.keys():
            seats[address] = _placed(seats[address], seats[address].since, address in asleep)
        following = object.__new__(Roster)
        following._fill(members, owners, held, _in_order(seats, moved))
        return following

    def _fill(
        self,
        members: dict[int, Member],
        owners: dict[int, Address],
        held: dict[Address, tuple[int, ...]],
        seats: dict[Address, Seat],
    ) -> None:
        self._members, self._owners, self._held = members, owners, held
        self._by_address: Mapping[Address, Seat] = seats
        self.seats: tuple[Seat, ...] = tuple(seats.values())
        self.addresses: frozenset[Address] = frozenset(seats)
        self.dormant: frozenset[Address] = frozenset([seat.address for seat in self.seats if seat.dormant])
        self.counted: frozenset[Address] = self.addresses - self.dormant if self.dormant else self.addresses
        """Those who make n: all members but the dormant ones."""
        self._since = dict(zip(seats, map(attrgetter("since"), self.seats), strict=True))
        self._present: dict[tuple[Epoch, int], frozenset[bytes]] = {}

    def _speaking(self, leaf: int) -> Seat | None:
        """The seat of this leaf, if it speaks for its member."""
        owner = self._owners.get(leaf)
        seat = self._by_address[owner] if owner is not None else None
        return seat if seat is not None and seat.leaf == leaf else None

    def present(self, epoch: Epoch, members: Iterable[Address], latest: int) -> frozenset[bytes]:
        """Which ``members`` of an earlier ``epoch`` are in and counted, and were in epoch ``latest``; found once."""
        if (epoch, latest) not in self._present:
            late = [member for member, joined in self._since.items() if joined > latest]
            self._present[epoch, latest] = self.counted.intersection(members).difference(late)
        return self._present[epoch, latest]

    def since(self) -> dict[Address, Epoch]:
        """When each member joined; not to be changed."""
        return self._since

    def beyond(self, other: Roster) -> tuple[Address, ...]:
        """Who is in this one and not in the other, in the roster's order."""
        return tuple(sorted(self.addresses - other.addresses, key=lambda address: self._by_address[address].leaf))

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
        seat = self.seat(address)
        return dict(self._members[seat.leaf].extensions) if seat is not None else {}

    def index(self, address: bytes) -> int:
        """Place in the roster's order, for bitmaps."""
        return self._index[Address(address)]

    @cached_property
    def _index(self) -> dict[Address, int]:
        return {address: index for index, address in enumerate(self._by_address)}

    def leaves_of(self, address: bytes) -> tuple[int, ...]:
        return self._held.get(Address(address), ())

    def owner_of(self, leaf: int) -> Address | None:
        return self._owners.get(leaf)

    def owners(self) -> Mapping[int, Address]:
        """Leaf to address, all leaves; not to be changed."""
        return self._owners

    def bitmap(self, addresses: Iterable[bytes]) -> bytes:
        """One bit a member in the roster's order, first member in the lowest bit."""
        return bitmaps.bitmap(self._by_address, frozenset(addresses))

    def marked(self, bitmap: bytes) -> frozenset[Address]:
        """The members whose bit is set; bits beyond the roster mean nothing."""
        return frozenset(bitmaps.marked(self._by_address, bitmap))


def _in_order(seats: dict[Address, Seat], moved: Iterable[Seat]) -> dict[Address, Seat]:
    """Seats in the order of leaves, and others between them. O(n) if there are others."""
    ordered = None
    for seat in moved:
        ordered = ordered if ordered is not None else list(seats.values())
        insort(ordered, seat, key=attrgetter("leaf"))
    return seats if ordered is None else {seat.address: seat for seat in ordered}


def _placed(seat: Seat, since: Epoch, is_dormant: bool) -> Seat:
    if seat.since == since and seat.dormant == is_dormant:
        return seat
    return replace(seat, since=since, dormant=is_dormant)


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
