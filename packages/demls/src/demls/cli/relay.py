"""How is a relay run as a program?"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

from demls.cli.output import say
from demls.transport.relay_log import RelayLog
from demls.transport.relay_server import RelayServer


async def run_relay(host: str, port: int, path: Path) -> None:
    """Run until SIGINT or SIGTERM. Raises TransportError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.closing(await asyncio.to_thread(RelayLog.open, path)) as log:
        server = RelayServer(log, host=host, port=port)
        async with server:
            say(f"The relay is ready at {server.url}; stop it with Ctrl-C.")
            await until_signal()


async def until_signal() -> None:
    """Returns on SIGINT or SIGTERM."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt
            loop.add_signal_handler(number, asked.set)
    await asked.wait()
