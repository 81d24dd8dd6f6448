"""What stands for cryptography in the model: hashes only.

The assumption of the model: **adversaries of the simulator never compute another's key, tag or signature.** Whoever
has a public key could make signatures of it, and whoever sees a welcome could open it, for both are hashes of public
values; nothing here keeps anything secret. What does hold, for every adversary that only copies, changes, mixes,
repeats and withholds bytes: any change to a content, a label, a key or a tag is noticed, and what was made with other
keys does not open. That is what protocols are simulated for; secrecy is the real engine's.

Every function is a function of its arguments: there is no state, and no order of a hash table shows in any result.
"""

from __future__ import annotations

import hmac
import os
from hashlib import blake2b, shake_256

from demls_engine import InvalidInput

KEY_BYTES = 32
SIGNATURE_BYTES = 64
NONCE_BYTES = 24
TAG_BYTES = 16
RANDOM_BYTES_MAX = 2**24


def digest(label: bytes, *parts: bytes, size: int = 32) -> bytes:
    """A hash of a label (at most 16 bytes) and parts, each with its length."""
    framed = b"".join([piece for part in parts for piece in (len(part).to_bytes(8, "big"), part)])
    return blake2b(framed, digest_size=size, person=label).digest()


def expand(label: bytes, *parts: bytes, length: int) -> bytes:
    """The same with any length; another length gives unrelated bytes."""
    return shake_256(digest(label, *parts, length.to_bytes(8, "big"))).digest(length)


def is_equal(one: bytes, other: bytes) -> bool:
    return hmac.compare_digest(one, other)


def check_key(key: bytes) -> None:
    """Raises InvalidInput for a key of the wrong size."""
    if len(key) != KEY_BYTES:
        raise InvalidInput(f"A key has {KEY_BYTES} bytes.")


class Random:
    """A stream of bytes that follows from a seed; without one, from the system."""

    def __init__(self, seed: bytes | None) -> None:
        if seed is not None and len(seed) != KEY_BYTES:
            raise InvalidInput(f"A seed has {KEY_BYTES} bytes.")
        self._seed = os.urandom(KEY_BYTES) if seed is None else seed
        self._drawn = 0

    def draw(self, count: int) -> bytes:
        if not 0 <= count <= RANDOM_BYTES_MAX:
            raise InvalidInput("A number of bytes is negative or too large.")
        self._drawn += 1
        return shake_256(self._seed + self._drawn.to_bytes(8, "big")).digest(count)


def public_of(private: bytes) -> bytes:
    """The public key; raises InvalidInput for a private one of the wrong size."""
    check_key(private)
    return digest(b"public key", private)


def signature_of(public: bytes, label: str, content: bytes) -> bytes:
    """The one signature that ``verify`` takes. Only a caller with the private key should get here."""
    return digest(b"signature", public, label.encode(), content, size=SIGNATURE_BYTES)


def sign(private: bytes, label: str, content: bytes) -> bytes:
    return signature_of(public_of(private), label, content)


def verify(public: bytes, label: str, content: bytes, signature: bytes) -> bool:
    return len(public) == KEY_BYTES and is_equal(signature_of(public, label, content), signature)


def seal(key: bytes, nonce: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
    """Nonce, plaintext and tag: as long as the real thing, and readable in a debugger."""
    check_key(key)
    return nonce + plaintext + digest(b"seal", key, nonce, plaintext, associated_data, size=TAG_BYTES)


def unseal(key: bytes, sealed: bytes, associated_data: bytes) -> bytes | None:
    check_key(key)
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        return None
    nonce, plaintext, tag = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:-TAG_BYTES], sealed[-TAG_BYTES:]
    return plaintext if is_equal(digest(b"seal", key, nonce, plaintext, associated_data, size=TAG_BYTES), tag) else None
