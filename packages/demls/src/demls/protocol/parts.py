"""How does a welcome arrive that is too large for one message?

Whoever holds it says an outline: the MLS welcome, and the hash of each part of the rest. MLS shows that the welcome is
for the own key package; each part is checked against its hash as it comes, and kept, so that a restart loses nothing;
what is missing is asked for. All whom one commit admits listen to the same parts, so each is said once for all.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from demls.protocol import policy as bounds
from demls.protocol.channel import Channel, channel_of, seal, unseal
from demls.protocol.effects import Outbound
from demls.protocol.engine import Engine, EngineError
from demls.protocol.events import Event, Reason, Rejected, WelcomeArriving
from demls.protocol.records import Ledger
from demls.wire.charters import Charter
from demls.wire.codec import WireError
from demls.wire.fields import WELCOME_PART_BYTES
from demls.wire.framing import digest
from demls.wire.ids import Address, Duration, Instant, Topic
from demls.wire.messages import PartsRequest, Payload, WelcomeBundle, WelcomeOutline, WelcomePart, decode_message

_OUTLINE, _PART = b"outline/", b"part/"
_NAME_BYTES = 32
_DONE_KEPT = 16
_TRIES = 2
"""So often in vain is one member asked before another is."""

_TOLD_TIMES = 20
"""People hear so often how much has arrived."""


def bundle_channel(bundle: bytes) -> Channel:
    """Where the parts of a bundle are said: known to all who have seen its outline."""
    return channel_of(digest(b"demls welcome topic 1", bundle))


def is_large(welcome: WelcomeBundle) -> bool:
    """Does it have to come in parts?"""
    return len(welcome.welcome) + len(welcome.bundle) > bounds.WELCOME_WHOLE_MAX


def part_of(welcome: WelcomeBundle, number: int) -> bytes:
    """Part ``number`` of its bundle; empty if there is no such part."""
    return welcome.bundle[number * WELCOME_PART_BYTES : (number + 1) * WELCOME_PART_BYTES]


def outline_of(welcome: WelcomeBundle, member: Address) -> WelcomeOutline:
    """What ``member`` says in place of it. O(size)."""
    count = -(-len(welcome.bundle) // WELCOME_PART_BYTES)
    hashes = tuple(hashlib.sha256(part_of(welcome, number)).digest() for number in range(count))
    return WelcomeOutline(welcome.welcome, hashes, member)


def wanted_of(request: PartsRequest, count: int) -> list[int]:
    """The numbers of the parts that a request names, of ``count`` parts."""
    bits = int.from_bytes(request.missing, "little")
    return [number for number in range(count) if bits >> number & 1]


@dataclass(frozen=True, slots=True)
class Outlined:
    """A welcome of which parts are awaited; ``members``: who said so; ``rendezvous``: where they are asked."""

    welcome: bytes
    parts: list[bytes]
    members: list[bytes]
    rendezvous: bytes


class Assembly:
    """The large welcomes that a joiner, or who comes back, is about to receive."""

    def __init__(self, ledger: Ledger, engine: Engine, key_package_private: bytes) -> None:
        self._ledger = ledger
        self._engine = engine
        self._private = key_package_private
        self._outlined: dict[bytes, Outlined] = dict(ledger.under(_OUTLINE, Outlined))
        self._have: dict[bytes, set[int]] = {bundle: set() for bundle in self._outlined}
        for key, _ in ledger.bytes_under(_PART):
            if key[:_NAME_BYTES] in self._have:
                self._have[key[:_NAME_BYTES]].add(int.from_bytes(key[_NAME_BYTES:], "big"))
        self._done: dict[bytes, None] = {}
        self._ask_at = Instant(0)
        self._pause = bounds.REPEAT_EVERY
        self._turn = 0
        self._has_progress = True

    # --- What it is ---------------------------------------------------------------------------------------------

    def channels(self) -> dict[Topic, Channel]:
        """Where parts are awaited."""
        channels = map(bundle_channel, self._outlined)
        return {channel.topic: channel for channel in channels}

    @property
    def progress(self) -> tuple[int, int] | None:
        """(received, of) parts of the welcome of which most is here; None if none is awaited."""
        if not self._outlined:
            return None
        bundle = max(self._outlined, key=lambda one: len(self._have[one]))
        return len(self._have[bundle]), len(self._outlined[bundle].parts)

    def deadline(self) -> Instant | None:
        """When parts are to be asked for."""
        return self._ask_at if self._outlined else None

    # --- What arrives -------------------------------------------------------------------------------------------

    def unseal(self, own: Channel, topic: Topic, payload: bytes) -> Payload | None:
        """What was said on ``own``, or where parts are awaited; None of anything else. Never raises."""
        channel = own if topic == own.topic else self.channels().get(topic)
        if channel is None or len(payload) > bounds.ENVELOPE_BYTES_MAX:
            return None
        return unseal(channel, payload, self._engine)

    def take(self, piece: WelcomeOutline | WelcomePart, now: Instant) -> WelcomeBundle | Event | None:
        """The welcome if this was its last part, which is kept no longer; else what is to be told, if anything."""
        return self._take_part(piece, now) if isinstance(piece, WelcomePart) else self._take_outline(piece, now)

    def _take_outline(self, outline: WelcomeOutline, now: Instant) -> Event | None:
        bundle = outline.bundle
        known = self._outlined.get(bundle)
        if known is not None:
            if outline.member not in known.members and len(known.members) < bounds.OUTLINE_MEMBERS_MAX:
                self._keep(bundle, replace(known, members=[*known.members, outline.member]))
            return None
        if bundle in self._done:
            return Rejected(Reason.STALE, "an outline of a welcome that was here before")
        try:
            opened = self._engine.open_welcome(outline.welcome, self._private)
            charter = decode_message(opened.context_extensions.get(bounds.POLICY_EXTENSION, b""), Charter)
        except (EngineError, WireError):
            return Rejected(Reason.INVALID, "an outline of a welcome that cannot be opened")
        if len(self._outlined) >= bounds.OUTLINES_MAX:
            self._forget(min(self._outlined, key=lambda one: len(self._have[one])))
        self._have[bundle] = set()
        self._keep(bundle, Outlined(outline.welcome, list(outline.parts), [outline.member], charter.rendezvous))
        self._ask_at, self._pause, self._has_progress = now, bounds.REPEAT_EVERY, True
        return WelcomeArriving(0, len(outline.parts))

    def _take_part(self, part: WelcomePart, now: Instant) -> WelcomeBundle | Event | None:
        outlined, have = self._outlined.get(part.bundle), self._have.get(part.bundle)
        if outlined is None or have is None:
            return Rejected(Reason.STALE, "a part of a welcome that is not awaited")
        if part.number in have:
            return None
        if part.number >= len(outlined.parts) or hashlib.sha256(part.data).digest() != outlined.parts[part.number]:
            return Rejected(Reason.FORGED, "a part of a welcome that is another than its outline says")
        self._ledger.put_bytes(_part_key(part.bundle, part.number), part.data)
        have.add(part.number)
        self._has_progress = True
        self._pause = bounds.REPEAT_EVERY
        self._ask_at = Instant(now + self._pause)
        total = len(outlined.parts)
        if len(have) == total:
            data = b"".join(self._ledger.find_bytes(_part_key(part.bundle, number)) or b"" for number in range(total))
            self._forget(part.bundle)
            self._done[part.bundle] = None
            while len(self._done) > _DONE_KEPT:
                del self._done[next(iter(self._done))]
            return WelcomeBundle(outlined.welcome, data)
        is_time = len(have) * _TOLD_TIMES // total > (len(have) - 1) * _TOLD_TIMES // total
        return WelcomeArriving(len(have), total) if is_time else None

    # --- What is asked for --------------------------------------------------------------------------------------

    def question(self, now: Instant) -> tuple[Outbound, ...]:
        """What is said to get the parts that are missing, if it is time."""
        asked = self._ask(now)
        return () if asked is None else (Outbound(asked[0].topic, seal(*asked, self._engine)),)

    def _ask(self, now: Instant) -> tuple[Channel, PartsRequest] | None:
        """A question for what is missing, if it is time: to another member, and more rarely, if none has come."""
        if not self._outlined or now < self._ask_at:
            return None
        if not self._has_progress:
            self._turn += 1
            self._pause = min(bounds.PARTS_AGAIN_MOST, Duration(2 * self._pause))
        self._has_progress = False
        self._ask_at = Instant(now + self._pause)
        nearest = sorted(self._outlined, key=lambda one: len(self._outlined[one].parts) - len(self._have[one]))
        places = [(bundle, member) for bundle in nearest for member in self._outlined[bundle].members]
        bundle, member = places[self._turn // _TRIES % len(places)]
        outlined, have = self._outlined[bundle], self._have[bundle]
        bits = sum(1 << number for number in range(len(outlined.parts)) if number not in have)
        missing = bits.to_bytes(-(-bits.bit_length() // 8), "little")
        return channel_of(outlined.rendezvous), PartsRequest(bundle, member, missing)

    # --- What is kept -------------------------------------------------------------------------------------------

    def _keep(self, bundle: bytes, outlined: Outlined) -> None:
        self._outlined[bundle] = outlined
        self._ledger.put(_OUTLINE + bundle, outlined)

    def _forget(self, bundle: bytes) -> None:
        if self._outlined.pop(bundle, None) is None:
            return
        self._ledger.delete(_OUTLINE + bundle)
        for number in self._have.pop(bundle):
            self._ledger.delete(_part_key(bundle, number))


def _part_key(bundle: bytes, number: int) -> bytes:
    return _PART + bundle + number.to_bytes(2, "big")
