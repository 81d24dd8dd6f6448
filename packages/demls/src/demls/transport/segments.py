"""How does a payload travel that is larger than a transport's message may be? In segments that prove themselves.

    whole payload   0x00 | payload
    segment         0x01 | total size u32 | index u16 | count u16 | count x SHA-256 of a segment | data of this one

A payload's name is the digest of its size and its segments' digests. Every segment carries all of these, so each is
checked on arrival and nobody can spoil a payload by injecting a false piece of it. The price is 32 bytes a segment in
each segment: 2 KiB for 16 MiB in pieces of 256 KiB.

Nothing here does I/O or knows the time; what is bounded is bounded by bytes and counts.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import sha256

from demls.transport.base import EnvelopeRefused
from demls.wire.ids import Cursor, Topic

WHOLE = 0x00
SEGMENT = 0x01

PAYLOAD_BYTES_MAX = 16 * 1024 * 1024
"""Largest payload that is sent or put together."""

SEGMENTS_MAX = 512
"""Most segments of one payload."""

FRAME_BYTES_MIN = 4_096
"""A transport whose messages are smaller is of no use: pieces of n bytes carry at most about n * n / 128."""

_HEADER = struct.Struct(">BIHH")
_DIGEST_BYTES = 32
_NAME_TAG = b"demls segments 1"


def split(payload: bytes, frame_bytes_max: int) -> list[bytes]:
    """The frames, each of at most ``frame_bytes_max`` bytes, that carry ``payload``.

    Raises EnvelopeRefused if it is larger than PAYLOAD_BYTES_MAX or would take more than SEGMENTS_MAX segments.
    """
    if frame_bytes_max < FRAME_BYTES_MIN:
        raise ValueError(f"Frames have at least {FRAME_BYTES_MIN} bytes.")
    if len(payload) + 1 <= frame_bytes_max and len(payload) <= PAYLOAD_BYTES_MAX:
        return [bytes((WHOLE,)) + payload]
    count = _segment_count(len(payload), frame_bytes_max)
    if count is None or len(payload) > PAYLOAD_BYTES_MAX:
        raise EnvelopeRefused(
            f"A message of {len(payload)} bytes is more than this connection carries in pieces of {frame_bytes_max} "
            "bytes; send a smaller one."
        )
    size, longer = divmod(len(payload), count)  # all pieces of one size, the first ones a byte longer
    pieces = []
    start = 0
    for index in range(count):
        end = start + size + (index < longer)
        pieces.append(payload[start:end])
        start = end
    digests = b"".join(sha256(piece).digest() for piece in pieces)
    return [_HEADER.pack(SEGMENT, len(payload), index, count) + digests + piece for index, piece in enumerate(pieces)]


def _segment_count(size: int, frame_bytes_max: int) -> int | None:
    """The smallest number of segments that carries ``size`` bytes, or None."""
    for count in range(2, SEGMENTS_MAX + 1):
        room = frame_bytes_max - _HEADER.size - count * _DIGEST_BYTES
        if room <= 0:
            return None
        if count * room >= size:
            return count
    return None


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece whose digest is right. ``name`` stands for the whole payload and everything said about it."""

    name: bytes
    size: int
    index: int
    count: int
    data: bytes


class FrameRefused(ValueError):
    """Bytes that are neither a whole payload nor a piece of one. The one error of this module's decoding."""


def parse_frame(frame: bytes) -> bytes | Segment:
    """The whole payload in ``frame``, or the segment it is. Raises FrameRefused."""
    if not frame:
        raise FrameRefused("empty")
    if frame[0] == WHOLE:
        if len(frame) - 1 > PAYLOAD_BYTES_MAX:
            raise FrameRefused("too large")
        return frame[1:]
    if frame[0] != SEGMENT or len(frame) < _HEADER.size:
        raise FrameRefused("unknown kind of frame")
    _, size, index, count = _HEADER.unpack_from(frame)
    data_start = _HEADER.size + count * _DIGEST_BYTES
    if not (2 <= count <= SEGMENTS_MAX and index < count <= size <= PAYLOAD_BYTES_MAX):
        raise FrameRefused("impossible numbers")
    data = frame[data_start:]
    # Pieces of one payload differ by at most a byte: fewer bytes than announced cannot claim the room of more.
    if len(data) != size // count + (index < size % count):
        raise FrameRefused("wrong size of a segment")
    digests = frame[_HEADER.size : data_start]
    if sha256(data).digest() != digests[index * _DIGEST_BYTES : (index + 1) * _DIGEST_BYTES]:
        raise FrameRefused("wrong digest of a segment")
    name = sha256(_NAME_TAG + struct.pack(">IH", size, count) + digests).digest()
    return Segment(name, size, index, count, data)


@dataclass(frozen=True, slots=True)
class ReassemblyLimits:
    """What is kept of payloads that are not yet complete.

    ``bytes_max``: over all topics. ``open_max``: payloads a topic. ``patience``: a payload that is not complete so
    many frames of its topic after its first piece is given up, and no longer holds the cursor back.
    ``finished_max``: names of complete payloads that are remembered, so that stray copies of their pieces hold no
    cursor back.
    """

    bytes_max: int = 64 * 1024 * 1024
    open_max: int = 32
    patience: int = 16_384
    finished_max: int = 256


@dataclass(frozen=True, slots=True)
class Complete:
    """A payload, and the cursor up to which a restart need not read again."""

    cursor: Cursor
    payload: bytes


@dataclass(slots=True)
class _Open:
    """A payload of which pieces are missing. ``before``: the cursor just before its first piece; None: does not
    hold the cursor back, because the same payload was complete before."""

    before: Cursor | None
    count: int
    pieces: dict[int, bytes] = field(default_factory=dict)
    size: int = 0
    begun: int = 0


@dataclass(slots=True)
class _TopicState:
    """``seen``: the cursor of the last frame. ``open``: by name, in the order of their first pieces."""

    seen: Cursor
    frames: int = 0
    size: int = 0
    open: OrderedDict[bytes, _Open] = field(default_factory=OrderedDict)
    finished: OrderedDict[bytes, None] = field(default_factory=OrderedDict)


class Reassembler:
    """Puts payloads together, topic by topic, within bounds.

    The cursor given with a payload never passes the first piece of one that is still incomplete: whoever restarts
    from it loses nothing and may get some payloads again. ``refused_count`` counts frames that were neither,
    ``given_up_count`` payloads that were dropped to keep the bounds.
    """

    __slots__ = ("_limits", "_topics", "given_up_count", "refused_count", "size")

    def __init__(self, limits: ReassemblyLimits | None = None) -> None:
        self._limits = limits or ReassemblyLimits()
        self._topics: dict[Topic, _TopicState] = {}
        self.refused_count = 0
        self.given_up_count = 0
        self.size = 0

    def begin(self, topic: Topic, after: Cursor) -> None:
        """Frames of ``topic`` will come from just after ``after``; forgets what was begun of it before."""
        self.forget(topic)
        self._topics[topic] = _TopicState(after)

    def forget(self, topic: Topic) -> None:
        """No more frames of ``topic`` will come."""
        state = self._topics.pop(topic, None)
        if state is not None:
            self.size -= state.size

    def add(self, topic: Topic, cursor: Cursor, frame: bytes) -> Complete | None:
        """Take the next frame of ``topic``, which ends at ``cursor``; the payload that it completes, if any.

        Never raises on any bytes. Raises KeyError for a topic without ``begin``.
        """
        state = self._topics[topic]
        before, state.seen = state.seen, cursor
        state.frames += 1
        self._give_up_stale(state)
        try:
            parsed = parse_frame(frame)
        except FrameRefused:
            self.refused_count += 1
            return None
        if isinstance(parsed, bytes):
            return Complete(self._safe_cursor(state), parsed)
        return self._add_segment(state, before, parsed)

    def _add_segment(self, state: _TopicState, before: Cursor, segment: Segment) -> Complete | None:
        found = state.open.get(segment.name)
        if found is None:
            if len(state.open) >= self._limits.open_max:
                # The smallest: pushing out a payload costs as many bytes as have come of it.
                self._give_up(state, min(state.open, key=lambda name: state.open[name].size))
            held_before = None if segment.name in state.finished else before
            found = _Open(held_before, segment.count, begun=state.frames)
            state.open[segment.name] = found
        if segment.index in found.pieces:
            return None
        found.pieces[segment.index] = segment.data
        found.size += len(segment.data)
        state.size += len(segment.data)
        self.size += len(segment.data)
        if len(found.pieces) == found.count:
            payload = b"".join(found.pieces[index] for index in range(found.count))
            self._remove(state, segment.name)
            state.finished[segment.name] = None
            if len(state.finished) > self._limits.finished_max:
                state.finished.popitem(last=False)
            return Complete(self._safe_cursor(state), payload)
        while self.size > self._limits.bytes_max:
            self._make_room()
        return None

    def _safe_cursor(self, state: _TopicState) -> Cursor:
        for found in state.open.values():
            if found.before is not None:
                return found.before
        return state.seen

    def _make_room(self) -> None:
        """Give up the oldest payload of the topic that takes the most: a flood on one topic costs no other."""
        largest = max(self._topics.values(), key=lambda state: state.size)
        self._give_up(largest, next(iter(largest.open)))

    def _give_up_stale(self, state: _TopicState) -> None:
        while state.open:
            name, oldest = next(iter(state.open.items()))
            if state.frames - oldest.begun <= self._limits.patience:
                return
            self._give_up(state, name)

    def _give_up(self, state: _TopicState, name: bytes) -> None:
        self._remove(state, name)
        self.given_up_count += 1

    def _remove(self, state: _TopicState, name: bytes) -> None:
        size = state.open.pop(name).size
        state.size -= size
        self.size -= size
