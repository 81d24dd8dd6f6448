"""How does the demo run relays and nodes of their own? It starts them, waits for them, and always stops them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from demls.client.errors import ClientError
from demls.identity.keystore import Keystore
from demls.identity.wallet import Wallet
from demls.node.data_folder import DataFolder, write_private
from demls.node.settings import config_text

READY_SECONDS = 120.0
STOP_SECONDS = 10.0
SCRYPT_N = 2**12
"""The demo's passwords are random and thrown away, so stretching them buys nothing."""
DEMLS = ("demls.cli.main",)


class DemoFailed(ClientError):
    """The demo could not go on; the text says at which point."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the story, and where their node keeps its data."""

    name: str
    folder: Path
    wallet: Wallet
    storage_key: bytes


def make_person(name: str, place: Path, relay: str, **settings: str) -> Person:
    """Set up a data folder as ``demls init`` does, under a random password that stands in a file beside it."""
    folder = DataFolder(place / name.lower())
    folder.create()
    password = secrets.token_urlsafe(24)
    write_private(_password_file(folder.path), password)
    wallet = Wallet.create()
    storage_key = Keystore(folder.keystore, scrypt_n=SCRYPT_N).create(password.encode(), wallet)
    write_private(folder.config, config_text({"name": name, "relay": relay, **settings}))
    return Person(name, folder.path, wallet, storage_key)


class Program:
    """A program in a process of its own, which a story may stop, let go on, kill and start again."""

    def __init__(
        self, called: str, ready: str, *arguments: str, module: tuple[str, ...] = DEMLS, **environment: str
    ) -> None:
        """``ready``: how the line begins that it prints when it is. ``module``: what runs, with its first arguments."""
        self.called = called
        self._ready = ready
        self._command = (sys.executable, "-m", *module, *arguments)
        self._environment = environment
        self._process: Process | None = None
        self._is_paused = False

    @property
    def has_ended(self) -> bool:
        """By itself: it was neither stopped nor killed by the story."""
        return self._process is not None and self._process.returncode is not None

    async def start(self) -> str:
        """Returns the rest of the line that says that it is ready. Raises DemoFailed."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self._environment},
            start_new_session=True,  # Ctrl-C is for the demo, which stops its processes in order
        )
        return (await _line_with(self._process, self._ready, self.called)).removeprefix(self._ready)

    async def stop(self) -> None:
        """In order; harmless when repeated."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            self._let_go_on(process)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()

    async def kill(self) -> None:
        """At once, in the middle of whatever it does."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        await process.communicate()

    def pause(self) -> None:
        """It stands still and says nothing, but its connections stay open. Raises DemoFailed."""
        if not hasattr(signal, "SIGSTOP"):
            raise DemoFailed("This story stops processes with SIGSTOP, which this system does not have.")
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        self._is_paused = True

    def go_on(self) -> None:
        """After ``pause``."""
        assert self._process is not None
        self._let_go_on(self._process)

    def _let_go_on(self, process: Process) -> None:
        if self._is_paused:
            self._is_paused = False
            process.send_signal(signal.SIGCONT)


def relay_program(place: Path, log: str = "relay.sqlite") -> Program:
    """A relay; what it says when it is ready begins with its address, see ``relay_address``."""
    return Program("the relay", "The relay is ready at ", "relay", "--port", "0", "--log", str(place / log))


def relay_address(said: str) -> str:
    return said.split(";", maxsplit=1)[0]


def node_program(person: Person, module: tuple[str, ...] = (*DEMLS, "node"), **environment: str) -> Program:
    """A node; what it says when it is ready is the address of its page."""
    arguments = ("--folder", str(person.folder), "--port", "0")
    environment |= {"DEMLS_PASSWORD_FILE": str(_password_file(person.folder))}
    return Program(f"{person.name}’s node", "Its page: ", *arguments, module=module, **environment)


@contextlib.asynccontextmanager
async def relay_process(place: Path) -> AsyncIterator[str]:
    """A relay in a process of its own; gives its address."""
    async with running(relay_program(place)) as said:
        yield relay_address(said)


@contextlib.asynccontextmanager
async def node_process(person: Person) -> AsyncIterator[str]:
    """A node in a process of its own; gives the address of its page."""
    async with running(node_program(person)) as page:
        yield page


@contextlib.asynccontextmanager
async def running(program: Program) -> AsyncIterator[str]:
    """``program`` for as long as the context lasts; gives what it said when it was ready."""
    try:
        yield await program.start()
        if program.has_ended:
            raise DemoFailed(f"The program of {program.called} ended by itself; its log says why.")
    finally:
        await program.stop()


async def _line_with(process: Process, beginning: str, called: str) -> str:
    assert process.stdout is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(READY_SECONDS):
            while line := (await process.stdout.readline()).decode().strip():
                if line.startswith(beginning):
                    return line
                said.append(line)
    except TimeoutError:
        raise DemoFailed(f"The program of {called} was not ready within {READY_SECONDS:.0f} seconds.") from None
    raise DemoFailed(f"The program of {called} did not start: {' '.join(said)}")


def _password_file(folder: Path) -> Path:
    return folder / "password"
