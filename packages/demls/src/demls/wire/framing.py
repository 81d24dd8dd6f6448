"""How parts become bytes to sign or to hash: without any ambiguity."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

_EIGHT = (8).to_bytes(4, "big")


def framed(domain: bytes, *parts: bytes | int) -> bytes:
    """An unambiguous concatenation: each part behind its length, integers as eight bytes."""
    pieces = [domain]
    for part in parts:
        if isinstance(part, int):
            pieces += (_EIGHT, part.to_bytes(8, "big"))
        else:
            pieces += (len(part).to_bytes(4, "big"), part)
    return b"".join(pieces)


def digester(domain: bytes, *parts: bytes | int) -> Callable[[bytes], bytes]:
    """As ``digest``, of one part more: what is the same for many is framed once."""
    head = framed(domain, *parts)

    def of(last: bytes) -> bytes:
        return hashlib.sha256(head + len(last).to_bytes(4, "big") + last).digest()

    return of


def digest(domain: bytes, *parts: bytes | int) -> bytes:
    """SHA-256 of ``framed``."""
    return hashlib.sha256(framed(domain, *parts)).digest()
