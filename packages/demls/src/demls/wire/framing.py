"""How parts become bytes to sign or to hash: without any ambiguity."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from typing import TypeVar

B = TypeVar("B", bound=bytes)

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


def by_digest(members: Collection[B], domain: bytes, *parts: bytes | int) -> dict[bytes, B]:
    """Each of them by its digest, of the parts and itself. O(n), for thousands of the same length."""
    head, sha256 = framed(domain, *parts), hashlib.sha256
    heads = {size: head + size.to_bytes(4, "big") for size in set(map(len, members))}
    if len(heads) == 1:
        ((_, head),) = heads.items()
        return {sha256(head + member).digest(): member for member in members}
    return {sha256(heads[len(member)] + member).digest(): member for member in members}


def digest(domain: bytes, *parts: bytes | int) -> bytes:
    """SHA-256 of ``framed``."""
    return hashlib.sha256(framed(domain, *parts)).digest()
