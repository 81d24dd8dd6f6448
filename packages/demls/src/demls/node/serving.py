"""What does a running node consist of? Store, relay, core and API, opened in order and closed in turn."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future

from demls.node.api import server
from demls.node.api.access import LOOPBACK_HOSTS, Access
from demls.node.api.app import create_app
from demls.node.data_folder import DataFolder, write_private
from demls.node.desk import Desk
from demls.node.machines import RealCore
from demls.node.node import Node
from demls.node.person import Me
from demls.node.recursion import restore_limit
from demls.node.settings import Settings
from demls.storage.store import Store
from demls.transport.relay_client import RelayTransport

log = logging.getLogger(__name__)


async def serve(
    folder: DataFolder,
    settings: Settings,
    me: Me,
    *,
    storage_key: Future[bytes],
    announce: Callable[[str, str], None],
    stack: contextlib.AsyncExitStack,
) -> None:
    """Run until SIGINT or SIGTERM; ``stack`` closes what is opened. Raises as ``run_node``."""
    asked = stack.enter_context(_stop_signals())
    restore_limit()
    listening = stack.enter_context(contextlib.closing(server.bind(settings)))
    transport = RelayTransport(settings.relay)
    store = await asyncio.to_thread(Store.open, folder.database, await asyncio.wrap_future(storage_key))
    stack.callback(store.close)
    core = RealCore()
    node = Node(store=store, transport=transport, core=core, bind=core.device, me=me, settings=settings)
    stack.push_async_callback(node.stop)
    await node.start()
    base = server.url(listening)
    access = Access(
        token=folder.read_or_make_token(),
        port=listening.getsockname()[1],
        hosts=LOOPBACK_HOSTS | {settings.api_host} | frozenset(settings.hosts),
    )
    api = server.ApiServer(create_app(Desk(node), access), listening)
    serving = node.watched("the API server", api.run_until_stopped())
    stack.push_async_callback(_stop_serving, api, serving, node)
    await api.wait_ready()
    write_private(folder.address, base + "\n")
    stack.callback(folder.address.unlink, missing_ok=True)
    announce(base, f"{base}/#{access.new_code()}")
    log.info("The node is ready at %s", base)
    me.open_wallet(node.crash_soon)
    await _until(asked, node.wait_ended())
    log.info("The node stops")


async def _stop_serving(api: server.ApiServer, serving: asyncio.Task[None], node: Node) -> None:
    node.news.close()
    api.stop()
    await asyncio.wait((serving,))


@contextlib.contextmanager
def _stop_signals() -> Iterator[asyncio.Event]:
    """Set when SIGINT or SIGTERM asks for an orderly end."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    handled = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt
            loop.add_signal_handler(number, asked.set)
            handled.append(number)
    try:
        yield asked
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


async def _until(asked: asyncio.Event, ended: Awaitable[None]) -> None:
    """Returns when asked to stop; raises what ends the node."""
    waiting = asyncio.ensure_future(asked.wait())
    ending = asyncio.ensure_future(ended)
    try:
        await asyncio.wait((waiting, ending), return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            ending.result()
    finally:
        waiting.cancel()
        ending.cancel()
