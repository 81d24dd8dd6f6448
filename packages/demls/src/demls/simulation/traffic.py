"""What did a node say? Its own envelopes are opened once, and only the kinds that somebody asks for are decoded."""

from __future__ import annotations

from demls.protocol.channel import Channel
from demls.protocol.engine import Engine
from demls.wire import demls_pb2 as pb
from demls.wire.codec import WireError
from demls.wire.messages import Frame, Payload, decode_message

_LENGTH_BYTES = 4
_MESSAGE_FIELD = 2
"""Wire type of a nested message in protobuf."""


def _tag(name: str) -> bytes:
    value = pb.Frame.DESCRIPTOR.fields_by_name[name].number << 3 | _MESSAGE_FIELD
    raw = bytearray()
    while value > 0x7F:
        raw.append(value & 0x7F | 0x80)
        value >>= 7
    raw.append(value)
    return bytes(raw)


GOVERNING = tuple(_tag(name) for name in ("vote", "commit_candidate", "round_statement"))
"""The first bytes of frames with votes, offers and round statements."""

_OFFER = _tag("commit_candidate")

SETTLED = _tag("settled")
"""The first bytes of frames with settled commits."""


def open_body(channel: Channel, sealed: bytes, engine: Engine) -> bytes | None:
    """The encoded frame in an envelope."""
    padded = engine.unseal(channel.key, sealed, channel.topic)
    if padded is None:
        return None
    size = int.from_bytes(padded[:_LENGTH_BYTES], "big")
    return padded[_LENGTH_BYTES : _LENGTH_BYTES + size]


def is_governing(body: bytes) -> bool:
    return body.startswith(GOVERNING)


def is_offer(body: bytes) -> bool:
    return body.startswith(_OFFER)


def payload_of(body: bytes) -> Payload | None:
    """The message in a frame."""
    try:
        return decode_message(body, Frame).payload
    except WireError:
        return None
