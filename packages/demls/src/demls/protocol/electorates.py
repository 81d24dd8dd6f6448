"""Who decides what was opened in an epoch, by which rules, and with which keys did they sign then?

The members, stewards and policy of every epoch with open work are kept, and travel in the sync.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from demls.protocol import policy as bounds
from demls.protocol.committee import Committee, committee_of
from demls.protocol.engine import Engine
from demls.protocol.records import Ledger
from demls.protocol.roster import Roster
from demls.protocol.stewards import is_settled
from demls.wire.chain import Electorate as WireElectorate
from demls.wire.chain import Seat, electorate_hash
from demls.wire.charters import Deciders, Policy, Rule
from demls.wire.codec import LongEncoder
from demls.wire.ids import Address, Epoch, LeafKey
from demls.wire.messages import (
    Change,
    decode_message,
    encode_message,
    long_encoder,
)

VOTE_LABEL = "demls vote"


@dataclass(frozen=True)
class Electorate:
    """The members of one epoch by address, its active stewards, and its policy."""

    epoch: Epoch
    seats: dict[Address, Seat]
    stewards: tuple[Address, ...]
    policy: Policy
    before: bytes = b""
    """Hash of the state before the parent, where a committee acknowledges the epoch's commit."""

    encoder: LongEncoder | None = field(default=None, repr=False, compare=False)

    @classmethod
    def read(cls, message: WireElectorate) -> Electorate:
        seats = {Address(seat.address): seat for seat in message.seats}
        return cls(
            Epoch(message.epoch), seats, tuple(Address(a) for a in message.stewards), message.policy, message.before
        )

    def message(self) -> WireElectorate:
        """The form in which it is stored and travels."""
        return WireElectorate(self.epoch, tuple(self.seats.values()), self.stewards, self.policy, self.before)

    @cached_property
    def hash(self) -> bytes:
        """Its name (32 bytes). O(n), once."""
        return electorate_hash(self.encoded)

    @cached_property
    def encoded(self) -> bytes:
        """The canonical bytes of its message. O(n), once."""
        return encode_message(self.message()) if self.encoder is None else self.encoder.encode(self.message())

    def rule(self, change: Change) -> Rule:
        return bounds.rule_of(self.policy, change)

    def deciding(self, change: Change) -> Iterable[Address]:
        """Whose votes decide a change that is opened in this epoch, first if not only."""
        return self.stewards if self.is_for_stewards(change) else self.seats

    def is_for_stewards(self, change: Change) -> bool:
        """Do the stewards decide it, before all members may? Not if too few are left of them (``policy``)."""
        counted = len(self.seats) - len(self._dormant)
        return self.rule(change).decided_by == Deciders.STEWARDS and 0 < bounds.stewards_deciding_min(counted) <= len(
            self.stewards
        )

    def committee(self) -> Committee:
        """Who acknowledges the commit that ends the epoch. O(n log k), once."""
        return self._committee

    @cached_property
    def _committee(self) -> Committee:
        return committee_of(self.seats.keys() - self.dormant(), self.stewards, self.before, self.policy)

    def settled(self) -> frozenset[Address]:
        """Who can become a steward of a list for this epoch; the dormant ones are among them."""
        return frozenset(a for a, seat in self.seats.items() if is_settled(Epoch(seat.since), self.epoch))

    def dormant(self) -> frozenset[Address]:
        return self._dormant

    @cached_property
    def _dormant(self) -> frozenset[Address]:
        return frozenset(address for address, seat in self.seats.items() if seat.dormant)


def electorate_of(
    epoch: Epoch,
    roster: Roster,
    stewards: tuple[Address, ...],
    policy: Policy,
    before: bytes = b"",
    encoder: LongEncoder | None = None,
) -> Electorate:
    """The electorate of a state; ``before``: the hash of the state before the parent.

    ``encoder``: of the group's electorates, for those of many seats that change little.
    """
    seats = {seat.address: seat.stated for seat in roster.seats}
    named = before if bounds.committee_size(policy, roster.n) else b""
    return Electorate(epoch, seats, stewards, policy, named, encoder)


class VoteScheme:
    """Leaf-key signatures for ``demls_consensus``, by the engine's ZIP 215 rules."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def verify(self, key: bytes, content: bytes, signature: bytes) -> bool:
        return self._engine.verify(key, VOTE_LABEL, content, signature)

    def verify_batch(self, items: Iterable[tuple[bytes, bytes, bytes]]) -> list[bool]:
        return self._engine.verify_batch([(key, VOTE_LABEL, content, signature) for key, content, signature in items])


class Electorates:
    """The electorates that are still needed, by epoch."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[Epoch, Electorate] = {}
        self.encoder = long_encoder(WireElectorate, "seats")
        """Knows how the seats are encoded that stay from one epoch to the next."""

    def load(self) -> None:
        for _, raw in self._ledger.bytes_under(b"electorate/"):
            electorate = Electorate.read(decode_message(raw, WireElectorate))
            self._known[electorate.epoch] = electorate

    def add(self, electorate: Electorate) -> None:
        self._known[electorate.epoch] = electorate
        self._ledger.put_bytes(_key(electorate.epoch), electorate.encoded)

    def get(self, epoch: int) -> Electorate | None:
        return self._known.get(Epoch(epoch))

    def epochs(self) -> list[Epoch]:
        return sorted(self._known)

    def forget(self, epoch: Epoch) -> None:
        if self._known.pop(epoch, None) is not None:
            self._ledger.delete(_key(epoch))

    def leaf_key_of(self, address: bytes, epoch: int) -> LeafKey | None:
        """The key with which a member made statements in ``epoch``."""
        electorate = self._known.get(Epoch(epoch))
        seat = electorate.seats.get(Address(address)) if electorate is not None else None
        return LeafKey(seat.leaf_key) if seat is not None else None


def _key(epoch: int) -> bytes:
    return b"electorate/" + epoch.to_bytes(8, "big")
