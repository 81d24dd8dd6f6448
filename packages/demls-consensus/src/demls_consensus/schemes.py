"""How are signatures checked? The seam at which a scheme is plugged in."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

SignedItem: TypeAlias = tuple[bytes, bytes, bytes]
"""(key, content, signature): the key is whatever the scheme needs to know of the signer."""


class SignatureScheme(Protocol):
    """Checks signatures. Making them is the caller's business.

    `verify` and `verify_batch` must agree on every input, also on crafted ones, else two honest
    nodes count differently. Neither raises, whatever the bytes are.
    """

    def verify(self, key: bytes, content: bytes, signature: bytes) -> bool:
        """Say whether the holder of `key` signed `content`."""
        ...

    def verify_batch(self, items: Sequence[SignedItem]) -> list[bool]:
        """Return for each item, in order, what `verify` says of it."""
        ...
