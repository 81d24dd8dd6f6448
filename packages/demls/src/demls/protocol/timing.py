"""When is something due by time alone?

Found at the end of a call, in whatever may have moved in it. After a chat message that is all but little: only what is
missing of the talk, and who still waits for a welcome.
"""

from __future__ import annotations

from collections.abc import Iterable

from demls.protocol.duties import Duties
from demls.protocol.state import GroupState
from demls.protocol.stranding import Stranding
from demls.wire.ids import Instant


class Timing:
    """The deadlines of one group, as far as the last call found them."""

    def __init__(self, state: GroupState, duties: Duties, stranding: Stranding) -> None:
        self._state = state
        self._duties = duties
        self._stranding = stranding
        self.due: Instant | None = None
        """When something is due next; None: nothing is, or that has to be found yet."""
        self._of_others: Instant | None = None
        """The same, of all that talk does not move."""
        self._has_moved = self._has_talked = False

    def moved(self) -> None:
        """Anything may be due at another time now."""
        self._has_moved, self.due = True, None

    def talked(self) -> None:
        """A member has said something that people read, and nothing else has happened."""
        self._has_talked = True

    def find(self, now: Instant) -> Instant | None:
        """When something is due next, after ``now``. O(1) while nothing has moved."""
        if self._has_moved:
            self._of_others = _next(self._times_of_others(now), now)
        if self._has_moved or self._has_talked:
            talk = self._state.repair.deadline(now), self._state.welcomes.deadline()
            self.due = _next((self._of_others, *talk), now)
            self._has_moved = self._has_talked = False
        return self.due

    def _times_of_others(self, now: Instant) -> list[Instant | None]:
        state = self._state
        times = [
            state.governance.deadline(),
            state.emergencies.deadline(),
            state.resyncs.deadline(now),
            self._stranding.deadline(),
        ]
        if not state.is_halted:
            times += [state.round.deadline(now), self._duties.deadline(now)]
        return times


def _next(times: Iterable[Instant | None], now: Instant) -> Instant | None:
    return min([time for time in times if time is not None and time > now], default=None)
