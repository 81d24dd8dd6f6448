"""How parts become bytes to sign or to hash: without any ambiguity."""

from __future__ import annotations

import hashlib


def framed(domain: bytes, *parts: bytes | int) -> bytes:
    """An unambiguous concatenation: each part behind its length, integers as eight bytes."""
    pieces = [domain]
    for part in parts:
        raw = part.to_bytes(8, "big") if isinstance(part, int) else part
        pieces += (len(raw).to_bytes(4, "big"), raw)
    return b"".join(pieces)


def digest(domain: bytes, *parts: bytes | int) -> bytes:
    """SHA-256 of ``framed``."""
    return hashlib.sha256(framed(domain, *parts)).digest()
