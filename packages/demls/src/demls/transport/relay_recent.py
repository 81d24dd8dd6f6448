"""What came just now? The newest envelopes of all topics in memory, so that those who keep up cost the disk nothing."""

from __future__ import annotations

from collections import deque
from itertools import islice

from demls.transport.relay_protocol import delivery_cost
from demls.wire.ids import Topic

_LOOK_MAX = 1_024
"""Whoever is further behind within one topic is served from the log, a page at a time."""


class Recent:
    """Holds every envelope with a sequence above ``floor``, within a bound of bytes."""

    __slots__ = ("_by_topic", "_bytes_max", "_order", "_size", "floor")

    def __init__(self, bytes_max: int, floor: int) -> None:
        """``bytes_max``: of payloads and 64 bytes for each. ``floor``: the newest sequence that is in the log only."""
        self.floor = floor
        self._bytes_max = bytes_max
        self._size = 0
        self._order: deque[tuple[int, Topic, int]] = deque()
        self._by_topic: dict[Topic, deque[tuple[int, bytes]]] = {}

    def add(self, seq: int, topic: Topic, payload: bytes) -> None:
        """The next envelope, durable already; the oldest go when there is no room."""
        cost = delivery_cost(len(payload))
        self._order.append((seq, topic, cost))
        self._by_topic.setdefault(topic, deque()).append((seq, payload))
        self._size += cost
        while self._size > self._bytes_max:
            self.floor, oldest, freed = self._order.popleft()
            self._size -= freed
            kept = self._by_topic[oldest]
            kept.popleft()
            if not kept:
                del self._by_topic[oldest]

    def after(self, topic: Topic, position: int) -> list[tuple[int, bytes]] | None:
        """What came on ``topic`` after ``position``; None if that is more than can be said from memory."""
        if position < self.floor:
            return None
        found: list[tuple[int, bytes]] = []
        for entry in islice(reversed(self._by_topic.get(topic, ())), _LOOK_MAX + 1):
            if entry[0] <= position:
                break
            found.append(entry)
        if len(found) > _LOOK_MAX:
            return None
        found.reverse()
        return found
