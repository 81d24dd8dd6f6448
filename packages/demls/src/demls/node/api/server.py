"""The API's server: uvicorn in the node's own loop, on a socket that is bound before anything else is started."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator

import uvicorn

from demls.node.errors import CannotStart
from demls.node.settings import Settings

BACKLOG = 128
STOP_SECONDS = 2
SOCKET_MESSAGE_BYTES_MAX = 4096
"""Clients say nothing on the events socket."""


def bind(settings: Settings) -> socket.socket:
    """The listening socket. Raises CannotStart."""
    host, port = settings.api_host, settings.api_port
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as problem:
        listening.close()
        raise CannotStart(
            f"The API cannot listen on {host}, port {port} ({problem.strerror}). "
            "Stop the program that uses this port, or choose another one with “--port” (0: any free one)."
        ) from None
    listening.setblocking(False)
    return listening


def url(listening: socket.socket) -> str:
    """Where clients on this machine reach the API."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{host}:{port}"


class ApiServer(uvicorn.Server):
    """Serves ``app`` on a bound socket; signals are the node's business."""

    def __init__(self, app: object, listening: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,  # type: ignore[arg-type]
                http="h11",
                ws="websockets-sansio",
                ws_max_size=SOCKET_MESSAGE_BYTES_MAX,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        self._listening = listening
        self._is_ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._is_ready.set()

    async def wait_ready(self) -> None:
        """Returns when requests are answered."""
        await self._is_ready.wait()

    async def run_until_stopped(self) -> None:
        """Serve until ``stop``."""
        await self.serve(sockets=[self._listening])

    def stop(self) -> None:
        self.should_exit = True
