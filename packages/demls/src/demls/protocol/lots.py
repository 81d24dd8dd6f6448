"""When is it this member's turn, if all of a large group have something to say in the same moment?

Each waits for its lot, which follows from the occasion and the member, so that so many messages a second come as one
node can take. In small groups nobody waits.
"""

from __future__ import annotations

from demls.protocol import policy as bounds
from demls.wire.framing import digest
from demls.wire.ids import Duration


def lot(occasion: bytes, member: bytes, members: int, most: int | None = None) -> Duration:
    """How long ``member`` waits, one of ``members`` that all have something to say; at most ``most`` ms."""
    if members <= bounds.CROWD:
        return Duration(0)
    spread = members * bounds.SECOND // bounds.CROWD
    spread = spread if most is None else min(spread, most)
    return Duration(spread * int.from_bytes(digest(b"demls lot 1", occasion, member)[:4], "big") >> 32)


def paced(pace: int, members: int) -> Duration:
    """How often each of ``members`` says something, if ``pace`` is how often each does in a small group."""
    return Duration(pace * max(1, members // bounds.CROWD))
