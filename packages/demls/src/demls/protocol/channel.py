"""Where does an envelope go, and who can open it?

A channel is a topic and a key, both derived from one 32-byte secret. Everything is sealed with it and padded to size
classes, so an outsider sees neither group nor epoch nor kind, and junk is refused by one AEAD check before any
parsing. A group's channel comes from the exporter of a settled epoch; rendezvous, joiner and inbox channels come from
secrets that were handed out.
"""

from __future__ import annotations

from dataclasses import dataclass

from demls.protocol.engine import Engine
from demls.wire.codec import WireError
from demls.wire.framing import digest
from demls.wire.ids import Topic
from demls.wire.messages import Frame, Payload, decode_message, encode_message

EXPORTER_LABEL = "demls channel"
WAY_BACK_LABEL = "demls way back"
"""Exporter label of the channel on which members that stayed behind in an epoch are answered; joiners get it too."""

SECRET_BYTES = 32
_LENGTH_BYTES = 4
_SMALLEST = 176
"""Votes, acknowledgements, locks and questions fit, if a commit has few changes: no outsider can tell them apart."""

_LARGE = 64 * 1024
_LARGE_STEP = 16 * 1024


@dataclass(frozen=True, slots=True)
class Channel:
    """``topic`` is public, ``key`` (32 bytes) is not."""

    topic: Topic
    key: bytes

    def __repr__(self) -> str:
        return f"Channel({self.topic.hex()[:8]})"


def channel_of(secret: bytes) -> Channel:
    """The channel of a 32-byte secret."""
    return Channel(Topic(digest(b"demls topic 1", secret)), digest(b"demls channel key 1", secret))


def booth_of(channel: Channel) -> Channel:
    """Where the stewards of an epoch say their votes: others need not listen there. Every member can open it."""
    return channel_of(digest(b"demls booth 1", channel.key))


def floor_of(channel: Channel) -> Channel:
    """Where a drawn committee says its acknowledgements and locks in an epoch: others need not listen there."""
    return channel_of(digest(b"demls floor 1", channel.key))


def joiner_channel(key_package: bytes) -> Channel:
    """Where the welcome for a key package is published: known to its owner and to those it was shown to."""
    return channel_of(digest(b"demls joiner 1", key_package))


def padded_size(size: int) -> int:
    """The size class of a message: 176 bytes, powers of two from 256 to 64 KiB, above it multiples of 16 KiB."""
    size += _LENGTH_BYTES
    if size <= _SMALLEST:
        return _SMALLEST
    if size > _LARGE:
        return -(-size // _LARGE_STEP) * _LARGE_STEP
    return 1 << (size - 1).bit_length()


def seal(channel: Channel, payload: Payload, engine: Engine) -> bytes:
    """An envelope's payload for ``channel``."""
    body = encode_message(Frame(payload))
    padded = (len(body).to_bytes(_LENGTH_BYTES, "big") + body).ljust(padded_size(len(body)), b"\0")
    return engine.seal(channel.key, padded, channel.topic)


def unseal(channel: Channel, sealed: bytes, engine: Engine) -> Payload | None:
    """What was sealed for ``channel``; None if it was not, or is no canonical frame. Never raises."""
    frame = unpad(engine.unseal(channel.key, sealed, channel.topic))
    if frame is None:
        return None
    try:
        return decode_message(frame, Frame).payload
    except WireError:
        return None


def unpad(padded: bytes | None) -> bytes | None:
    """The frame in what was sealed; None if it is not padded as it has to be."""
    if padded is None or len(padded) < _LENGTH_BYTES:
        return None
    size = int.from_bytes(padded[:_LENGTH_BYTES], "big")
    end = _LENGTH_BYTES + size
    if len(padded) != padded_size(size) or padded.count(0, end) != len(padded) - end:
        return None
    return padded[_LENGTH_BYTES:end]
