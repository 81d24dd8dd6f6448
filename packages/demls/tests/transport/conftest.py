"""A relay on a free loopback port and transports that are closed at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from demls.transport.base import Delivery, Transport
from demls.transport.relay_client import ClientLimits, RelayTransport
from demls.transport.relay_limits import RelayLimits
from demls.transport.relay_log import LogLimits, RelayLog
from demls.transport.relay_server import RelayServer

DEADLINE_SECONDS = 20


class Relays:
    """Makes relays and transports, and ends them all."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self._stack = stack

    async def relay(
        self, *, limits: RelayLimits | None = None, log: LogLimits | None = None, port: int = 0, name: str = "relay"
    ) -> RelayServer:
        opened = self._stack.enter_context(RelayLog.open(self.folder / f"{name}.sqlite", log))
        return await self._stack.enter_async_context(RelayServer(opened, port=port, limits=limits))

    async def transport(self, relay: RelayServer | str, **changes: object) -> RelayTransport:
        url = relay if isinstance(relay, str) else relay.url
        limits = replace(ClientLimits(retry_first=0.02, retry_max=0.1), **changes)  # type: ignore[arg-type]
        transport = RelayTransport(url, limits=limits)
        self._stack.push_async_callback(transport.close)
        await transport.start()
        return transport


@pytest.fixture
async def relays(tmp_path: Path) -> AsyncIterator[Relays]:
    async with AsyncExitStack() as stack:
        yield Relays(tmp_path, stack)


@pytest.fixture
def take() -> Callable[[Transport, int], Awaitable[list[Delivery]]]:
    """The next so many deliveries, before a deadline."""

    async def take_some(transport: Transport, count: int) -> list[Delivery]:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return [await transport.receive() for _ in range(count)]

    return take_some


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Returns when something is true, looked at after every turn of the loop; fails after a deadline."""

    async def wait(is_true: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not is_true():  # noqa: ASYNC110 (counters wake nobody)
                await asyncio.sleep(0.001)

    return wait
