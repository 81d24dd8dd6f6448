"""Which message is this, if it is like one that was read before?

Of what a large group says, most are votes and round statements: the same bytes but for who says it and the signature.
Such a frame is read by comparing it with one that was decoded in full, and so is one that only wraps a chat message;
everything else is decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from demls.wire.codec import varint
from demls.wire.messages import (
    PRIVATE_MESSAGE,
    Frame,
    Offer,
    Payload,
    PrivateMessage,
    Vote,
    decode_message,
    encode_message,
)
from demls.wire.statements import RoundStatement

FORMS_MAX = 256

_ADDRESS_BYTES = 20
_SIGNATURE_BYTES = 64
_TAG_BYTES = 2  # field number, length or value: all of them are below 128
_SIGNATURE_END = -_TAG_BYTES  # behind it stands only the kind
_SIGNATURE = _SIGNATURE_END - _SIGNATURE_BYTES
_MEMBER_END = _SIGNATURE - _TAG_BYTES
_MEMBER = _MEMBER_END - _ADDRESS_BYTES
_KINDS = (1, 2)

_VOTE_BYTES = 127  # a vote with an Ed25519 signature
_VOTE_HEAD = encode_message(Frame(Vote(bytes(_VOTE_BYTES))))[:-_VOTE_BYTES]
_VOTE_FRAME_BYTES = len(_VOTE_HEAD) + _VOTE_BYTES

_CHAT = encode_message(Frame(PrivateMessage(b"x")))  # tag, length, tag, length, x
_CHAT_TAG, _DATA_TAG = _CHAT[:-4], _CHAT[-3:-2]


class Read(NamedTuple):
    """``raw``: the canonical bytes of an offer or a round statement; ``content``: what the latter signs.

    Empty for all else.
    """

    payload: Payload
    raw: bytes = b""
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class _Form:
    """What all round statements of one form have in common."""

    statement: RoundStatement
    raw_at: int
    content: bytes
    """All that is signed but the member, which stands last."""


class Frames:
    """Reads the frames of one group. Remembers at most ``FORMS_MAX`` forms."""

    def __init__(self, group_id: bytes) -> None:
        self._group_id = group_id
        self._forms: dict[tuple[bytes, bytes, bytes], _Form] = {}

    def read(self, frame: bytes) -> Read:
        """The message in the canonical bytes of a frame. Raises WireError."""
        if len(frame) == _VOTE_FRAME_BYTES and frame.startswith(_VOTE_HEAD):
            return Read(Vote(frame[-_VOTE_BYTES:]))
        if frame.startswith(_CHAT_TAG):
            head = _chat_head(len(frame))
            if head is not None and frame.startswith(head):
                return Read(PrivateMessage(frame[len(head) :]))
        shape = frame[:_MEMBER], frame[_MEMBER_END:_SIGNATURE], frame[_SIGNATURE_END:]
        form = self._forms.get(shape)
        if form is None:
            return self._read_in_full(frame, shape)
        like, member = form.statement, frame[_MEMBER:_MEMBER_END]
        statement = RoundStatement(
            like.epoch,
            like.head,
            like.view,
            like.candidate,
            like.choices,
            member,
            frame[_SIGNATURE:_SIGNATURE_END],
            like.kind,
        )
        return Read(statement, frame[form.raw_at :], form.content + member)

    def _read_in_full(self, frame: bytes, shape: tuple[bytes, bytes, bytes]) -> Read:
        payload = decode_message(frame, Frame).payload
        if isinstance(payload, Offer):
            return Read(payload, _body(frame))
        if not isinstance(payload, RoundStatement):
            return Read(payload)
        raw, content = _body(frame), payload.content(self._group_id)
        if payload.kind in _KINDS:  # else its kind takes no byte, or more than one
            if len(self._forms) >= FORMS_MAX:
                self._forms.clear()
            self._forms[shape] = _Form(payload, len(frame) - len(raw), content[:-_ADDRESS_BYTES])
        return Read(payload, raw, content)


@lru_cache(maxsize=FORMS_MAX)
def _chat_head(size: int) -> bytes | None:
    """What stands before the bytes of a chat message in a frame of this size: as many follow in each of them."""
    least = len(_CHAT) - 1
    for taken in range(least, least + 2 * len(varint(size))):
        data = size - taken
        if PRIVATE_MESSAGE.holds(data):
            inner = _DATA_TAG + varint(data)
            head = _CHAT_TAG + varint(len(inner) + data) + inner
            if len(head) == taken:
                return head
    return None


def _body(frame: bytes) -> bytes:
    """The bytes of the one message in a canonical frame: what stands behind its number and its length."""
    place = 0
    for _ in range(2):
        while frame[place] & 0x80:
            place += 1
        place += 1
    return frame[place:]
