"""When does an envelope leave? After it is durable, in order, and until the relay has accepted it."""

from __future__ import annotations

import asyncio
import logging

from demls.node.counters import Counters
from demls.storage.errors import StorageError
from demls.storage.store import OutboxEntry, Store
from demls.transport.base import EnvelopeRefused, Transport

log = logging.getLogger(__name__)

AT_ONCE = 64
RETRY_SECONDS = 5.0


class Outbox:
    """Publishes what the store holds for publishing. One task a node; ``wake`` it after each commit."""

    def __init__(self, store: Store, transport: Transport, counters: Counters) -> None:
        self._store = store
        self._transport = transport
        self._counters = counters
        self._wake = asyncio.Event()
        self._after = 0
        self._accepted: list[int] = []

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Publish for ever. What was accepted but not yet forgotten at a crash is published again: harmless."""
        while True:
            self._wake.clear()
            try:
                await self._forget()
                entries = await asyncio.to_thread(self._store.outbox, AT_ONCE, self._after)
            except StorageError as problem:
                log.warning("The outbox waits: %s", problem)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if not entries:
                await self._wake.wait()
            # All under way at once, handed to the transport in order; it waits as long as the relay is away.
            await asyncio.gather(*(self._publish(entry) for entry in entries))
            self._after = entries[-1].id if entries else self._after
            self._accepted += [entry.id for entry in entries]

    async def _publish(self, entry: OutboxEntry) -> None:
        try:
            await self._transport.publish(entry.topic, entry.payload)
            self._counters.add("envelopes_published")
        except EnvelopeRefused as problem:
            log.warning("The relay refused an envelope of %d bytes: %s", len(entry.payload), problem)
            self._counters.add("envelopes_refused")

    async def _forget(self) -> None:
        if self._accepted:
            await asyncio.to_thread(self._store.published, tuple(self._accepted))
            self._accepted.clear()
