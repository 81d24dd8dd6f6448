"""How does a coroutine wait until something is true? It looks again whenever it is told that something has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Notice:
    """Wakes everybody who waits; each looks whether its own condition holds now. Belongs to one event loop."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Something has changed."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_until(self, is_true: Callable[[], bool]) -> None:
        """Returns when ``is_true``, at once if it is already. An exception of ``is_true`` goes to the caller."""
        while not is_true():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)
