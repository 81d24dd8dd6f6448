"""What happens next, and when? Virtual time: a heap of things to do, in the order of time and planning."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from demls.wire.ids import Instant

START = Instant(1_800_000_000_000)

_DRIFTS_FOR = 1_000_000
"""A clock that drifts goes astray for so long, in ms, and then comes back."""

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


class Hand:
    """A node's own clock: wrong by a fixed time, and by a part that comes and goes slowly. It never goes back."""

    def __init__(self, offset: int = 0, drift: int = 0) -> None:
        """In ms; it is wrong by ``offset`` and up to ``drift`` more."""
        self._offset = offset
        self._drift = drift

    def read(self, now: int) -> Instant:
        """What it shows at ``now``."""
        if not self._drift:
            return Instant(now + self._offset)
        place = (now - START) % (2 * _DRIFTS_FOR)
        astray = min(place, 2 * _DRIFTS_FOR - place)
        return Instant(now + self._offset + self._drift * astray // _DRIFTS_FOR)

    def when(self, shown: int) -> int:
        """When it shows this."""
        now = shown - self._offset
        if not self._drift:
            return now
        while (error := self.read(now) - shown) > 0:
            now -= error
        while self.read(now) < shown:
            now += max(1, shown - self.read(now))
        while self.read(now - 1) >= shown:
            now -= 1
        return now
