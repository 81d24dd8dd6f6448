"""Who acknowledges and locks the commits of a state: all who count, or in a large group a committee of them?

Above ``ack_limit`` members a part of them speaks for all: drawn from the hash of the state before the parent, which
stood before the committer of the parent chose its bytes, and the stewards. Of these two thirds are a quorum. Whoever
is not in it follows what the committee says, and merges on its certificate like everybody else.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

from demls_consensus import faults, quorum

from demls.protocol import bitmaps
from demls.protocol import policy as bounds
from demls.wire.charters import Policy
from demls.wire.framing import by_digest
from demls.wire.ids import Address


@dataclass(frozen=True)
class Committee:
    """Those whose acknowledgements and locks count in one state; ``is_drawn``: not all who count in the group."""

    members: frozenset[Address]
    is_drawn: bool = False

    @cached_property
    def n(self) -> int:
        return len(self.members)

    @cached_property
    def order(self) -> tuple[Address, ...]:
        """Its members by address."""
        return tuple(sorted(self.members))

    def bitmap(self, members: Iterable[bytes]) -> bytes:
        """One bit for each of its members, in their order, the first in the lowest bit."""
        return bitmaps.bitmap(self.order, frozenset(members))

    def marked(self, bitmap: bytes) -> tuple[Address, ...]:
        """Its members whose bit is set, in their order; bits beyond them mean nothing."""
        return tuple(bitmaps.marked(self.order, bitmap))

    @cached_property
    def q(self) -> int:
        """So many locks are a certificate."""
        return quorum(self.n)

    @cached_property
    def f(self) -> int:
        """So many may be malicious."""
        return faults(self.n)


def committee_of(counted: Collection[Address], stewards: Iterable[Address], before: bytes, policy: Policy) -> Committee:
    """The committee of a state, from the chain alone. O(n log k).

    ``before``: the hash of the state before the parent; ``stewards``: the active ones.
    """
    size = bounds.committee_size(policy, len(counted))
    if not size:
        return Committee(frozenset(counted))
    by_lot = by_digest(counted, b"demls committee 1", before)
    drawn = map(by_lot.__getitem__, heapq.nsmallest(size, by_lot))
    return Committee(frozenset(drawn) | frozenset(stewards).intersection(counted), is_drawn=True)
