"""What a step of the core asks of the world, and in which order it must be done.

The caller's only duty: write ``changes`` and ``outbound`` in one transaction, then publish ``outbound`` in order,
then tell people ``events``, and call ``tick`` at ``deadline``.
"""

from __future__ import annotations

from dataclasses import dataclass

from demls.protocol.events import Event
from demls.wire.ids import Instant, Topic


@dataclass(frozen=True, slots=True)
class Change:
    """One durable record: ``value`` None deletes ``key``."""

    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Outbound:
    """An envelope to publish."""

    topic: Topic
    payload: bytes


@dataclass(frozen=True, slots=True)
class Effects:
    """Everything that follows from one call to the core.

    ``deadline``: when to call ``tick`` next, None if nothing is waiting for time.
    """

    changes: tuple[Change, ...] = ()
    outbound: tuple[Outbound, ...] = ()
    events: tuple[Event, ...] = ()
    deadline: Instant | None = None
