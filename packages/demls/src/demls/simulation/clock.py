"""What happens next, and when? Virtual time: a heap of things to do, in the order of time and planning."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from demls.wire.ids import Instant

START = Instant(1_800_000_000_000)

Action = Callable[[], None]


class Clock:
    """Nothing waits: the time jumps to the next thing to do."""

    def __init__(self) -> None:
        self.now = START
        self._planned = 0
        self._heap: list[tuple[int, int, Action]] = []

    def at(self, when: int, action: Action) -> None:
        """Do this at ``when``, not before what is already planned for the same time."""
        self._planned += 1
        heapq.heappush(self._heap, (max(when, self.now), self._planned, action))

    def after(self, delay: int, action: Action) -> None:
        self.at(self.now + delay, action)

    def run(self, end: int, is_over: Callable[[], bool] = lambda: False) -> None:
        """Do all that is planned up to ``end``, or until it ``is_over``."""
        heap = self._heap
        while heap and heap[0][0] <= end:
            when, _, action = heapq.heappop(heap)
            self.now = Instant(when)
            action()
            if is_over():
                return
        self.now = Instant(max(self.now, end))
