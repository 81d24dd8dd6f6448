"""Which of some members, in an order that all know? One bit each, the first in the lowest bit of the first byte."""

from __future__ import annotations

from collections.abc import Collection, Container
from itertools import compress

from demls.wire.ids import Address


def bitmap(order: Collection[Address], marked: Container[bytes]) -> bytes:
    """A bit for each of ``order``, set for those in ``marked``. O(n)."""
    bits = "".join("01"[member in marked] for member in order)[::-1]
    return int(bits or "0", 2).to_bytes((len(order) + 7) // 8, "little")


def marked(order: Collection[Address], bits: bytes) -> list[Address]:
    """Those of ``order`` whose bit is set; bits beyond mean nothing. O(n)."""
    return list(compress(order, map("1".__eq__, bin(int.from_bytes(bits, "little"))[:1:-1])))
