"""The bytes of the model: messages, key packages, and the state that callers keep.

All are msgpack arrays behind four bytes that say what they are. One content has one encoding: anything else that
decodes is refused, so that no two different byte strings mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from demls_engine import EngineError, InvalidInput, InvalidMessage

from demls.simulation.model_crypto import digest, is_equal

MODEL_VERSION = "model 1"
"""Stored beside every state; another version's state is not read."""

Extensions = tuple[tuple[int, bytes], ...]
"""By ascending number."""

_PRIVATE_USE = range(0xF000, 0x10000)
_CHECKSUM_BYTES = 32
_KIND_BYTES = 4


class _Bytes(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Anything that is encoded."""


class Leaf(_Bytes, frozen=True):
    """A leaf node (RFC 9420 §7.2)."""

    encryption_key: bytes
    signature_key: bytes
    credential: bytes
    supported: tuple[int, ...]
    extensions: Extensions


Tree = tuple[Leaf | None, ...]
"""All leaves; None is blank. The last one is never blank."""


class KeyPackageContent(_Bytes, frozen=True, tag="KeyPackage"):
    init_key: bytes
    leaf: Leaf


class SignedKeyPackage(_Bytes, frozen=True, tag="SignedKeyPackage"):
    content: KeyPackageContent
    signature: bytes


class KeyPackageSecrets(_Bytes, frozen=True, tag="KeyPackageSecrets"):
    signature_private: bytes
    init_private: bytes
    encoded: bytes


class Path(_Bytes, frozen=True):
    """An update path: the committer's new leaf, and the fresh secret (in a model, in the clear)."""

    leaf: Leaf
    secret: bytes


class CommitContent(_Bytes, frozen=True, tag="Commit"):
    adds: tuple[bytes, ...]
    removes: tuple[int, ...]
    updates: tuple[bytes, ...]
    """References of proposals."""
    context_extensions: Extensions | None
    path: Path | None


class UpdateContent(_Bytes, frozen=True, tag="Update"):
    leaf: Leaf


class PublicContent(_Bytes, frozen=True, tag="PublicContent"):
    """What a member signs (FramedContent, RFC 9420 §6)."""

    group_id: bytes
    epoch: int
    sender: int
    authenticated_data: bytes
    body: CommitContent | UpdateContent


class PublicMessage(_Bytes, frozen=True, tag="PublicMessage"):
    content: PublicContent
    signature: bytes
    confirmation_tag: bytes
    """Empty for an Update."""
    membership_tag: bytes


class PrivateMessage(_Bytes, frozen=True, tag="PrivateMessage"):
    group_id: bytes
    epoch: int
    sender: int
    generation: int
    sender_tag: bytes
    """Of sender and generation, with a key of the epoch: what encrypted sender data does (RFC 9420 §6.3.2)."""
    authenticated_data: bytes
    plaintext: bytes
    content_tag: bytes
    """Of everything, with the key of this sender and generation."""


class Context(_Bytes, frozen=True, tag="GroupContext"):
    """GroupContext (RFC 9420 §8.1)."""

    group_id: bytes
    epoch: int
    tree_hash: bytes
    transcript: bytes
    """Confirmed transcript hash."""
    extensions: Extensions


class GroupInfo(_Bytes, frozen=True, tag="GroupInfo"):
    context: Context
    extensions: Extensions
    confirmation_tag: bytes
    signer: int


class SignedGroupInfo(_Bytes, frozen=True, tag="SignedGroupInfo"):
    info: GroupInfo
    signature: bytes


class Sealed(_Bytes, frozen=True):
    """Content that only opens with the key that its tag was made with."""

    content: bytes
    tag: bytes


class Welcome(_Bytes, frozen=True, tag="Welcome"):
    recipients: tuple[tuple[bytes, Sealed], ...]
    """For each key package its reference and the joiner secret."""
    group_info: Sealed


class Epoch(_Bytes, frozen=True, tag="Epoch"):
    """One epoch of a group, as a member sees it."""

    context: Context
    interim: bytes
    """Interim transcript hash."""
    secret: bytes
    """Epoch secret; empty for who was removed."""
    tree: Tree


class About(_Bytes, frozen=True, tag="About"):
    """What of a group's state concerns only its owner."""

    version: str
    own_leaf: int
    signature_private: bytes
    is_active: bool
    past_epochs: int
    out_of_order: int
    forward: int


class Ratchet(_Bytes, frozen=True):
    """How far the messages of one sender in one epoch were read."""

    sender: int
    head: int
    """The lowest generation above all that were read."""
    skipped: tuple[int, ...]
    """Generations below it that may still come."""


class MessageState(_Bytes, frozen=True, tag="MessageState"):
    epoch: int
    secret: bytes
    sent: int
    """The own next generation."""
    ratchets: tuple[Ratchet, ...]


class CandidateState(_Bytes, frozen=True, tag="Candidate"):
    base: bytes
    """Authenticator of the epoch that it was built on."""
    epoch: Epoch


class UpdateSecrets(_Bytes, frozen=True, tag="UpdateSecrets"):
    base: bytes
    reference: bytes
    leaf: Leaf
    signature_private: bytes | None


_Content = TypeVar("_Content")

_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode


class Decoder:
    """Reads one kind of content; any other bytes are the error that it is given."""

    def __init__(self, error: type[EngineError]) -> None:
        self._error = error

    def __call__(self, kind: type[_Content], encoded: bytes) -> _Content:
        try:
            content = msgspec.msgpack.decode(encoded, type=kind)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            raise self._error("The bytes are not of the expected kind.") from error
        if encode(content) != encoded:
            raise self._error("The content is encoded in another way than its own.")
        return content


read_message = Decoder(InvalidMessage)
_read_private = Decoder(InvalidInput)


def close(kind: bytes, content: object) -> bytes:
    """A private value for a caller to keep, such that damage is noticed."""
    encoded = encode(content)
    return kind + digest(b"envelope", kind, encoded) + encoded


def reopen(kind: bytes, expected: type[_Content], closed: bytes) -> _Content:
    """Raises InvalidInput if ``close`` did not make this."""
    encoded = closed[_KIND_BYTES + _CHECKSUM_BYTES :]
    if not is_equal(closed[: -len(encoded) or None], kind + digest(b"envelope", kind, encoded)):
        raise InvalidInput("These are not private bytes of this kind and version, or they are damaged.")
    return _read_private(expected, encoded)


def protect(key: bytes, content: bytes, beside: bytes = b"") -> Sealed:
    return Sealed(content, digest(b"sealed", key, content, beside))


def expose(key: bytes, sealed: Sealed, beside: bytes = b"") -> bytes:
    """Raises InvalidMessage if it was not protected so."""
    if not is_equal(digest(b"sealed", key, sealed.content, beside), sealed.tag):
        raise InvalidMessage("The content does not open with this key.")
    return sealed.content


def private_extensions(extensions: Mapping[int, bytes]) -> Extensions:
    """In order; raises InvalidInput for a number outside private use (RFC 9420 §17.3)."""
    check_private_numbers(extensions)
    return tuple(sorted((number, bytes(content)) for number, content in extensions.items()))


def check_private_numbers(numbers: Mapping[int, bytes] | tuple[int, ...]) -> None:
    if not all(number in _PRIVATE_USE for number in numbers):
        raise InvalidInput("An extension type is outside the private range 0xF000 to 0xFFFF.")
