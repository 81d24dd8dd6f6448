"""What a step of the core asks of the world, and in which order it must be done.

The caller's only duty: write ``changes`` and ``outbound`` in one transaction, then publish ``outbound`` in order,
then tell people ``events``, and call ``tick`` at ``deadline``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from demls.protocol.events import Event
from demls.wire.ids import Instant, Topic


class Change(msgspec.Struct, frozen=True):
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


@dataclass(slots=True)
class Taken:
    """What has followed so far from the messages that one call takes in, each in its turn."""

    changes: list[Change] = field(default_factory=list)
    """Of what has ended, or begun, in this call; of a group that goes on they are fetched at the end."""
    outbound: list[Outbound] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    deadline: Instant | None = None

    def add(self, effects: Effects) -> None:
        self.changes += effects.changes
        self.outbound += effects.outbound
        self.events += effects.events
        self.deadline = effects.deadline

    def effects(self, changes: tuple[Change, ...] = ()) -> Effects:
        """All of it; ``changes``: what has changed since."""
        return Effects((*self.changes, *changes), tuple(self.outbound), tuple(self.events), self.deadline)
