"""How is a node run as a program? Its folder is locked, its log opened, its secrets unlocked; then it serves."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from logging.handlers import RotatingFileHandler
from pathlib import Path

from demls.identity.keystore import Keystore
from demls.identity.password import Password
from demls.identity.wallet import Wallet
from demls.node.data_folder import DataFolder
from demls.node.errors import CannotStart
from demls.node.person import Me
from demls.node.settings import Settings
from demls.storage.lock import FolderLock
from demls.wire.ids import Address, parse_address

log = logging.getLogger(__name__)

LOG_BYTES_MAX = 4 * 1024 * 1024
LOG_FILES_KEPT = 3

COLLECTION_EVERY = 50_000
"""Objects between two searches for cycles, of which a node makes few; Python's 700 would cost it 8 % of its time."""


def check_is_set_up(folder: DataFolder) -> None:
    """Raises CannotStart."""
    if not Keystore(folder.keystore).has_storage_key:
        raise CannotStart(f"{folder.path} is not set up. Run “demls init” first, or name another folder.")


async def run_node(
    folder: DataFolder, settings: Settings, password: Password, announce: Callable[[str, str], None]
) -> None:
    """Run a node until SIGINT or SIGTERM.

    ``password`` is cleared when it is no longer needed. ``announce``: called with the API's address and the page's
    address, once all is ready. Raises CannotStart, StorageError, IdentityError, NodeCrashed.
    """
    check_is_set_up(folder)
    keystore = Keystore(folder.keystore)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(FolderLock.acquire(folder.path))
        stack.enter_context(_log_to(folder.log, settings.log_level))
        storage_key, me = _open_keystore(keystore, settings, password, stack)
        ready = stack.enter_context(few_collections())
        from demls.node.serving import serve  # noqa: PLC0415 (a second of imports, while the keystore opens)

        def announce_ready(api: str, page: str) -> None:
            ready()
            announce(api, page)

        await serve(folder, settings, me, storage_key=storage_key, announce=announce_ready, stack=stack)


@contextlib.contextmanager
def few_collections() -> Iterator[Callable[[], None]]:
    """No search for cycles until what is given is called, then few, and none among what is there by then."""
    thresholds, was_enabled = gc.get_threshold(), gc.isenabled()

    def ready() -> None:
        gc.freeze()
        gc.set_threshold(COLLECTION_EVERY, *thresholds[1:])
        gc.enable()

    gc.disable()
    try:
        yield ready
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        if was_enabled:
            gc.enable()


def _open_keystore(
    keystore: Keystore, settings: Settings, password: Password, stack: contextlib.AsyncExitStack
) -> tuple[Future[bytes], Me]:
    """Each derivation takes half a second and much memory; the wallet's is left for when the node is ready."""
    address = keystore.wallet_address() or _parse_address(settings)
    pool = ThreadPoolExecutor(1, "keystore")
    stack.callback(pool.shutdown, wait=False, cancel_futures=True)
    storage_key = pool.submit(keystore.storage_key, password.reveal())

    def open_wallet() -> Future[Wallet]:
        wallet = pool.submit(keystore.wallet, password.reveal())
        password.clear()
        return wallet

    if not keystore.has_wallet:
        password.clear()
        return storage_key, Me(address, None, name=settings.name, device=settings.device)
    stack.callback(password.clear)
    return storage_key, Me(address, open_wallet, name=settings.name, device=settings.device)


def _parse_address(settings: Settings) -> Address:
    try:
        return parse_address(settings.address)
    except ValueError:
        raise CannotStart(
            'The wallet is offline and its address is not known. Write address = "0x…" into config.toml.'
        ) from None


@contextlib.contextmanager
def _log_to(path: Path, level: str) -> Iterator[None]:
    """The node's log: what happens and what fails, never what is said or any secret."""
    path.touch(mode=0o600)
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES_MAX, backupCount=LOG_FILES_KEPT, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("demls", "uvicorn.error")]
    for logger in loggers:
        logger.addHandler(handler)
    loggers[0].setLevel(level.upper())
    loggers[1].setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()
