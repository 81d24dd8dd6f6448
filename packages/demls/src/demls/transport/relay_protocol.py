"""What do a node and a relay say to each other? Frames, several to a message; any bytes decode or are refused.

A WebSocket message is a msgpack array of frames, a frame an array that begins with its kind. A conversation:

    node                                     relay
    Hello(version, credit)          →
                                    ←        Welcome(version, log, frame_bytes_max, ...)
    Subscribe(number, topic, ...)   →
                                    ←        Deliver(number, seq, payload) ...
                                    ←        CaughtUp(number)
    Publish(id, topic, payload)     →
                                    ←        Accepted(id), once it is durable, or Refused(id, ...)
    Credit(amount)                  →        (room for more deliveries)
                                    ←        Failed(reason, sentence), then the end

Deliveries spend credit (``delivery_cost``), so acceptances never wait behind deliveries that a node has no room for.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

VERSION: Final = 1

TOPIC_BYTES: Final = 32
LOG_ID_BYTES: Final = 16
MESSAGE_FRAMES_MAX: Final = 1_024
"""Most frames in one WebSocket message."""

FRAME_BYTES_MAX: Final = 1024 * 1024
"""Largest WebSocket message that a relay reads unless it is told otherwise."""

FRAME_OVERHEAD_BYTES: Final = 128
"""No frame is larger than its payload and this."""

DELIVERY_OVERHEAD_BYTES: Final = 64
"""What a delivery costs besides the bytes of its payload."""

_Number: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]
_Sequence: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Topic: TypeAlias = Annotated[bytes, Meta(min_length=TOPIC_BYTES, max_length=TOPIC_BYTES)]
_LogId: TypeAlias = Annotated[bytes, Meta(min_length=LOG_ID_BYTES, max_length=LOG_ID_BYTES)]
_Sentence: TypeAlias = Annotated[str, Meta(max_length=500)]


class Reason(IntEnum):
    """Why a relay refuses. The first two: do not try again; the others: later."""

    TOO_LARGE = 1
    NOT_UNDERSTOOD = 2
    FULL = 3
    TOO_MANY_SUBSCRIPTIONS = 4
    TOO_SLOW = 5


class Hello(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """The first frame of a node: the version it speaks and how much it has room for."""

    version: _Number
    credit: _Number


class Publish(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """Keep ``payload`` and deliver it to whoever reads ``topic``. ``id``: the node's own, for the answer."""

    id: _Number
    topic: _Topic
    payload: bytes


class Subscribe(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """Deliver what stands after sequence ``after`` of ``topic``, and what comes. ``number``: the node's own."""

    number: _Number
    topic: _Topic
    after: _Sequence


class Unsubscribe(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=4):
    """No more of subscription ``number``."""

    number: _Number


class Credit(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=5):
    """Room for ``amount`` more."""

    amount: _Number


class Welcome(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=17):
    """The first frame of a relay. ``log``: names its history; sequences of another log mean nothing here."""

    version: _Number
    log: _LogId
    frame_bytes_max: _Number
    subscriptions_max: _Number


class Accepted(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=18):
    """What was published under ``id`` is durable."""

    id: _Number


class Refused(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=19):
    """What was published under ``id`` is not kept."""

    id: _Number
    reason: Reason
    sentence: _Sentence


class Deliver(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=20):
    """One envelope of subscription ``number``. Sequences grow within a topic, with holes."""

    number: _Number
    seq: _Sequence
    payload: bytes


class CaughtUp(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=21):
    """All that was kept for subscription ``number`` when it was made has been delivered."""

    number: _Number


class Failed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=22):
    """The relay ends the connection."""

    reason: Reason
    sentence: _Sentence


NodeFrame: TypeAlias = Hello | Publish | Subscribe | Unsubscribe | Credit
RelayFrame: TypeAlias = Welcome | Accepted | Refused | Deliver | CaughtUp | Failed

_NODE: Final = msgspec.msgpack.Decoder(Annotated[list[NodeFrame], Meta(min_length=1, max_length=MESSAGE_FRAMES_MAX)])
_RELAY: Final = msgspec.msgpack.Decoder(Annotated[list[RelayFrame], Meta(min_length=1, max_length=MESSAGE_FRAMES_MAX)])
_ENCODER: Final = msgspec.msgpack.Encoder()

_Frame = TypeVar("_Frame")


class NotUnderstood(ValueError):
    """Bytes that are no message of this protocol. The one error of decoding."""


def encode(frames: Sequence[NodeFrame | RelayFrame]) -> bytes:
    """One message with ``frames``, at most MESSAGE_FRAMES_MAX."""
    return _ENCODER.encode(frames)


def decode_from_node(message: bytes | str) -> list[NodeFrame]:
    """What a node sent. Raises NotUnderstood, for any bytes or text that is not that."""
    return _decode(_NODE, message)


def decode_from_relay(message: bytes | str) -> list[RelayFrame]:
    """What a relay sent. Raises NotUnderstood, for any bytes or text that is not that."""
    return _decode(_RELAY, message)


def delivery_cost(payload_bytes: int) -> int:
    """The credit that the delivery of a payload of so many bytes spends."""
    return payload_bytes + DELIVERY_OVERHEAD_BYTES


def _decode(decoder: msgspec.msgpack.Decoder[list[_Frame]], message: bytes | str) -> list[_Frame]:
    if isinstance(message, str):
        raise NotUnderstood("text")
    try:
        return decoder.decode(message)
    except (ValueError, RecursionError) as problem:  # also UnicodeDecodeError, which is none of msgspec's
        raise NotUnderstood(str(problem)) from None
