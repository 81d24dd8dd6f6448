"""What do people say, and how is it said again? Chat messages, questions for missing ones, and the answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, TypeAlias

from demls.wire import demls_pb2 as pb
from demls.wire.codec import Size, encode
from demls.wire.fields import AddressBytes, MaybeAddress, Signature
from demls.wire.framing import digest, framed

STREAM_BYTES = 8
STRETCHES_MAX = 32
LACKING_MAX = 32
WANTED_IDS_MAX = 32
PLACES_MAX = 256
SEEN_MAX = 8

_SIGNATURE_BYTES = 64

MessageId: TypeAlias = Annotated[bytes, Size(16)]
Stream: TypeAlias = Annotated[bytes, Size(STREAM_BYTES)]


def stream_of(leaf_key: bytes) -> bytes:
    """The name of a device's messages: who comes back with another leaf counts anew."""
    return digest(b"demls stream 1", leaf_key)[:STREAM_BYTES]


@dataclass(frozen=True, slots=True)
class ConversationMessage:
    """A chat message: ``counter`` counts this device's messages in the group, from 1.

    ``base``: the last counter before ``base_epoch``, in which somebody joined last: a newcomer misses nothing before.
    """

    message: Annotated[bytes, Size(1, 32_768)]
    message_id: MessageId
    counter: int
    sent_at: int
    seen: Annotated[tuple[MessageId, ...], Size(0, SEEN_MAX)]
    epoch: int
    stream: Stream
    base_epoch: int
    base: int
    signature: Signature

    def content(self, group_id: bytes) -> bytes:
        """What the sender's leaf key signs."""
        return signed_content(encode(self, pb.ConversationMessage), group_id)


def signed_content(message: bytes, group_id: bytes) -> bytes:
    """What the sender's leaf key signs, of the canonical bytes of a message: they end with its signature."""
    return framed(b"demls message 1", group_id, message[:-_SIGNATURE_BYTES] + bytes(_SIGNATURE_BYTES))


@dataclass(frozen=True, slots=True)
class SpokenMessage:
    """A message as it was said, with its sender."""

    member: AddressBytes
    message: ConversationMessage


@dataclass(frozen=True, slots=True)
class SaidAgain:
    """``sealed``: a SpokenMessage, under a key of the epoch in which it was said first."""

    epoch: int
    sealed: Annotated[bytes, Size(1, 64 * 1024)]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Counters from ``first`` to ``last``."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Lacking:
    """What is missing of one device."""

    member: AddressBytes
    stream: Stream
    stretches: Annotated[tuple[Stretch, ...], Size(1, STRETCHES_MAX)]


@dataclass(frozen=True, slots=True)
class ChatQuestion:
    """A member asks for messages; ``number`` grows, so that nobody can repeat a question in its name."""

    epoch: int
    member: AddressBytes
    number: int
    tries: int
    lacking: Annotated[tuple[Lacking, ...], Size(0, LACKING_MAX)]
    ids: Annotated[tuple[MessageId, ...], Size(0, WANTED_IDS_MAX)]
    signature: Signature

    def content(self, group_id: bytes) -> bytes:
        """What the asking member's leaf key signs."""
        return framed(b"demls question 1", group_id, encode(replace(self, signature=bytes(64)), pb.ChatQuestion))


@dataclass(frozen=True, slots=True)
class ChatPlace:
    """How far one device has counted, as far as the speaker knows; ``epoch``: in which that message was said.

    Only in an answer about its own device: ``yours_from``: what was said before is not for the member that asks;
    ``kept_from``: what was said before is no longer kept.
    """

    member: AddressBytes
    stream: Stream
    counter: int
    epoch: int
    yours_from: int = 0
    kept_from: int = 0


@dataclass(frozen=True, slots=True)
class ChatPlaces:
    """How far ``member`` has heard everybody; ``asked``, if anybody, says so if it knows of more."""

    epoch: int
    member: AddressBytes
    asked: MaybeAddress
    number: int
    is_answer: bool
    places: Annotated[tuple[ChatPlace, ...], Size(0, PLACES_MAX)]
    signature: Signature

    def content(self, group_id: bytes) -> bytes:
        """What the speaker's leaf key signs."""
        return framed(b"demls places 1", group_id, encode(replace(self, signature=bytes(64)), pb.ChatPlaces))
