"""Who is told what happens? One bounded queue for each reader; a slow reader is cut and catches up by id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from demls.api.models import GroupNews, GroupsNews, NodeNews, TimelineNews

AnyNews = TimelineNews | GroupNews | GroupsNews | NodeNews

READERS_MAX = 64
QUEUE_MAX = 1000


class TooSlow(Exception):
    """The reader did not keep up; it reconnects with ``after`` and misses nothing."""


class TooManyReaders(Exception):
    """Close another page or client first."""


class Subscription:
    """One reader's queue. Iterate over it; raises TooSlow when it was cut, ends when the node stops."""

    def __init__(self, bound: int) -> None:
        self._queue: asyncio.Queue[AnyNews | None] = asyncio.Queue(bound)
        self._is_cut = False
        self._is_over = False

    def put(self, news: AnyNews) -> None:
        if self._is_cut or self._is_over:
            return
        try:
            self._queue.put_nowait(news)
        except asyncio.QueueFull:
            self._is_cut = True

    def end(self) -> None:
        self._is_over = True
        if self._queue.empty():
            self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[AnyNews]:
        while not (self._is_over and self._queue.empty()):
            if self._is_cut:
                raise TooSlow
            news = await self._queue.get()
            if news is None:
                return
            yield news


class NewsHub:
    """Hands each piece of news to every reader, without ever waiting for one."""

    def __init__(self, queue_max: int = QUEUE_MAX) -> None:
        self._queue_max = queue_max
        self._readers: set[Subscription] = set()
        self._is_closed = False

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """Raises TooManyReaders."""
        if len(self._readers) >= READERS_MAX:
            raise TooManyReaders
        reader = Subscription(self._queue_max)
        if self._is_closed:
            reader.end()
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    def tell(self, news: AnyNews) -> None:
        for reader in self._readers:
            reader.put(news)

    @property
    def readers(self) -> int:
        return len(self._readers)

    def close(self) -> None:
        """End all subscriptions."""
        self._is_closed = True
        for reader in self._readers:
            reader.end()
