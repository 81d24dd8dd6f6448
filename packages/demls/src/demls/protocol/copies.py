"""What was said, and how long is it kept to be said again?

Copies of chat messages, signed by their senders, so that nobody has to be trusted who hands one on. Bounded by time,
number and bytes, of each member and of all: who talks much pushes out its own words first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from demls.protocol import policy as bounds
from demls.protocol.records import Ledger
from demls.wire.codec import WireError
from demls.wire.ids import Address, Instant
from demls.wire.messages import decode_message
from demls.wire.talk import STREAM_BYTES, ConversationMessage

_ADDRESS_BYTES = 20


class Copy(msgspec.Struct, frozen=True):
    """A message as it was said: ``message`` holds its canonical bytes."""

    kept_at: int
    epoch: int
    message_id: bytes
    message: bytes

    def read(self) -> ConversationMessage:
        return decode_message(self.message, ConversationMessage)


class Spot(NamedTuple):
    """Where a message stands: whose it is, of which device, under which number."""

    member: Address
    stream: bytes
    counter: int


class Copies:
    """The copies of one group, of each member in the order in which they came."""

    def __init__(self, ledger: Ledger, own: Address) -> None:
        self._ledger = ledger
        self._own = own
        self._of: defaultdict[Address, dict[Spot, Copy]] = defaultdict(dict)
        self._by_id: dict[bytes, Spot] = {}
        self._bytes: defaultdict[Address, int] = defaultdict(int)
        self._others = self._other_bytes = 0
        records = sorted(ledger.under(b"copy/", Copy), key=lambda record: record[1].kept_at)
        for key, copy in records:
            self._note(_spot(key), copy)

    def find(self, spot: Spot) -> Copy | None:
        return self._of[spot.member].get(spot) if spot.member in self._of else None

    def named(self, message_id: bytes) -> Spot | None:
        """The message with this id, if it is kept."""
        return self._by_id.get(message_id)

    def lacks(self, ids: Iterable[bytes]) -> list[bytes]:
        """Which of these messages are not kept."""
        known = self._by_id
        return [message_id for message_id in ids if message_id not in known]

    def between(self, member: Address, stream: bytes, first: int, last: int) -> list[Spot]:
        """Which of these are kept, by number. O(copies of the member)."""
        kept = self._of.get(member, {})
        return sorted(spot for spot in kept if spot.stream == stream and first <= spot.counter <= last)

    def oldest(self, member: Address, stream: bytes) -> int | None:
        """The lowest number that is kept of a device."""
        return min((spot.counter for spot in self._of.get(member, {}) if spot.stream == stream), default=None)

    def keep(self, spot: Spot, message: ConversationMessage, raw: bytes, now: Instant) -> None:
        """Keep a message; the oldest go if there are too many."""
        member, copy = spot.member, Copy(now, message.epoch, message.message_id, raw)
        self._note(spot, copy)
        self._ledger.put(_key(spot), copy)
        is_own = member == self._own
        count_max = bounds.OWN_COPIES_KEPT if is_own else bounds.COPIES_OF_MEMBER_KEPT
        bytes_max = bounds.OWN_COPY_BYTES_KEPT if is_own else bounds.COPY_BYTES_OF_MEMBER_KEPT
        kept = self._of[member]
        while len(kept) > count_max or self._bytes[member] > bytes_max:
            self._drop_oldest(member)
        while self._others > bounds.COPIES_KEPT or self._other_bytes > bounds.COPY_BYTES_KEPT:
            self._drop_oldest(max((one for one in self._of if one != self._own), key=lambda one: self._bytes[one]))

    def forget_before(self, instant: Instant) -> None:
        """Delete what was kept earlier."""
        for member in list(self._of):
            for spot in [spot for spot, copy in self._of[member].items() if copy.kept_at < instant]:
                self._drop(spot)

    def forget(self, spots: Iterable[Spot]) -> None:
        for spot in spots:
            self._drop(spot)

    def _note(self, spot: Spot, copy: Copy) -> None:
        kept = self._of[spot.member]
        if spot in kept:
            return
        kept[spot] = copy
        self._by_id[copy.message_id] = spot
        self._count(spot, copy, 1)

    def _count(self, spot: Spot, copy: Copy, sign: int) -> None:
        self._bytes[spot.member] += sign * len(copy.message)
        if spot.member != self._own:
            self._others += sign
            self._other_bytes += sign * len(copy.message)

    def _drop_oldest(self, member: Address) -> None:
        self._drop(next(iter(self._of[member])))

    def _drop(self, spot: Spot) -> None:
        copy = self._of[spot.member].pop(spot, None)
        if copy is None:
            return
        if self._by_id.get(copy.message_id) == spot:
            del self._by_id[copy.message_id]
        self._count(spot, copy, -1)
        if not self._of[spot.member]:
            del self._of[spot.member], self._bytes[spot.member]
        self._ledger.delete(_key(spot))


def parse(raw: bytes) -> tuple[ConversationMessage, str] | None:
    """A message and its text; None if it cannot be read."""
    try:
        message = decode_message(raw, ConversationMessage)
        return message, message.message.decode()
    except (WireError, UnicodeDecodeError):
        return None


def _key(spot: Spot) -> bytes:
    return b"copy/" + spot.member + spot.stream + spot.counter.to_bytes(8, "big")


def _spot(key: bytes) -> Spot:
    stream_end = _ADDRESS_BYTES + STREAM_BYTES
    counter = int.from_bytes(key[stream_end:], "big")
    return Spot(Address(key[:_ADDRESS_BYTES]), key[_ADDRESS_BYTES:stream_end], counter)
