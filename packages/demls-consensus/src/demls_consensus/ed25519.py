"""Ed25519 votes, checked by the `cryptography` package."""

from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .schemes import SignedItem

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64


class Ed25519Scheme:
    """Ed25519 (RFC 8032) with 32-byte public keys as keys and 64-byte signatures.

    A batch is checked one by one, so both methods agree. Networks that also batch should use a
    ZIP 215 verifier everywhere instead: on crafted signatures the two rules differ.
    """

    __slots__ = ()

    def verify(self, key: bytes, content: bytes, signature: bytes) -> bool:
        """Say whether the holder of the public key `key` signed `content`."""
        if len(key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
            return False
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, content)
        except (InvalidSignature, ValueError):
            return False
        return True

    def verify_batch(self, items: Sequence[SignedItem]) -> list[bool]:
        """Return for each item, in order, what `verify` says of it."""
        return [self.verify(*item) for item in items]
