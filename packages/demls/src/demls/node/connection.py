"""Is the relay there, and has everything been read that it kept for us?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from demls.transport.base import Transport, TransportStatus

LOOK_SECONDS = 0.25


class ConnectionWatch:
    """Looks at the transport's state; ``run`` is its task."""

    def __init__(self, transport: Transport, is_idle: Callable[[], bool]) -> None:
        """``is_idle``: has everything that arrived been worked off?"""
        self._transport = transport
        self._is_idle = is_idle
        self.is_connected = False
        self.is_caught_up = False

    def status(self) -> TransportStatus:
        return self._transport.status()

    async def run(self, tell: Callable[[], None]) -> None:
        """``tell`` whenever an answer changes."""
        reading: asyncio.Task[None] | None = None
        try:
            while True:
                before = (self.is_connected, self.is_caught_up)
                self.is_connected = self.status().connected
                if not self.is_connected:
                    self.is_caught_up = False
                    if reading is not None:
                        reading.cancel()
                        reading = None
                elif not self.is_caught_up:
                    reading = reading or asyncio.create_task(self._transport.wait_caught_up())
                    if reading.done() and self._is_idle():
                        reading.result()
                        reading = None
                        self.is_caught_up = True
                if (self.is_connected, self.is_caught_up) != before:
                    tell()
                waiting = {reading} if reading is not None and not reading.done() else set()
                if waiting:
                    await asyncio.wait(waiting, timeout=LOOK_SECONDS)
                else:
                    await asyncio.sleep(LOOK_SECONDS if self.is_caught_up else LOOK_SECONDS / 10)
        finally:
            if reading is not None:
                reading.cancel()
