"""What did a node say? Its own envelopes are opened once, and only the kinds that somebody asks for are decoded."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from unittest.mock import patch

from demls_consensus import SignedVote

from demls.protocol import channel as channels
from demls.protocol import inbound
from demls.protocol.channel import Channel
from demls.protocol.engine import Engine
from demls.wire import demls_pb2 as pb
from demls.wire.alike import Frames, Read
from demls.wire.codec import WireError
from demls.wire.messages import Digest, Frame, Payload, decode_message

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


# --- Reading once -----------------------------------------------------------------------------------------------------

_READ_KEPT = 8_192
"""So many envelopes, messages and votes are kept as they were read."""


@contextmanager
def shared_reading() -> Generator[None]:
    """All nodes of a process read the same bytes; while this lasts, each content is decoded once.

    What comes of bytes depends on nothing else, and cannot be changed, so a run is the same with it and without it.
    """
    opened: dict[tuple[bytes, bytes], Read | None] = {}
    read_all = inbound.read_all

    def read_once(channel: Channel, sealed: Sequence[bytes], engine: Engine, frames: Frames) -> list[Read | None]:
        new = [one for one in sealed if (channel.key, one) not in opened]
        found = dict(zip(new, read_all(channel, new, engine, frames), strict=True)) if new else {}
        known = [found[one] if one in found else opened[channel.key, one] for one in sealed]
        if len(opened) >= _READ_KEPT:
            opened.clear()
        opened.update({(channel.key, one): read for one, read in found.items()})
        return known

    contents: dict[int, tuple[Digest, bytes]] = {}
    content_of = Digest.content

    def content_once(self: Digest, group_id: bytes) -> bytes:
        known = contents.get(id(self))
        if known is not None and known[0] is self:
            return known[1]
        if len(contents) >= _READ_KEPT:
            contents.clear()
        content = content_of(self, group_id)
        contents[id(self)] = self, content
        return content

    with (
        patch.object(inbound, "read_all", read_once),
        patch.object(Digest, "content", content_once),
        patch.object(channels, "decode_message", lru_cache(_READ_KEPT)(decode_message)),
        patch.object(SignedVote, "decode", lru_cache(_READ_KEPT)(SignedVote.decode)),
    ):
        yield
