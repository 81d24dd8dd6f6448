"""How does the demo run a relay and nodes of their own? It starts them, waits for them, and always stops them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
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

READY_SECONDS = 60.0
STOP_SECONDS = 10.0
SCRYPT_N = 2**12
"""The demo's passwords are random and thrown away, so stretching them buys nothing."""


class DemoFailed(ClientError):
    """The demo could not go on; the text says at which point."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the story, and where their node keeps its data."""

    name: str
    folder: Path
    wallet: Wallet
    storage_key: bytes


def make_person(name: str, place: Path, relay: str) -> Person:
    """Set up a data folder as ``demls init`` does, under a random password that stands in a file beside it."""
    folder = DataFolder(place / name.lower())
    folder.create()
    password = secrets.token_urlsafe(24)
    write_private(_password_file(folder.path), password)
    wallet = Wallet.create()
    storage_key = Keystore(folder.keystore, scrypt_n=SCRYPT_N).create(password.encode(), wallet)
    write_private(folder.config, config_text({"name": name, "relay": relay}))
    return Person(name, folder.path, wallet, storage_key)


@contextlib.asynccontextmanager
async def relay_process(place: Path) -> AsyncIterator[str]:
    """A relay in a process of its own; gives its address."""
    arguments = ("relay", "--port", "0", "--log", str(place / "relay.sqlite"))
    async with _process("the relay", *arguments) as process:
        line = await _line_with(process, "The relay is ready at ", "the relay")
        yield line.removeprefix("The relay is ready at ").split(";")[0]


@contextlib.asynccontextmanager
async def node_process(person: Person) -> AsyncIterator[str]:
    """A node in a process of its own; gives the address of its page."""
    environment = {"DEMLS_PASSWORD_FILE": str(_password_file(person.folder))}
    arguments = ("node", "--folder", str(person.folder), "--port", "0")
    async with _process(f"{person.name}’s node", *arguments, **environment) as process:
        yield (await _line_with(process, "Its page: ", f"{person.name}’s node")).removeprefix("Its page: ")


@contextlib.asynccontextmanager
async def _process(called: str, *arguments: str, **environment: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "demls.cli.main",
        *arguments,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        start_new_session=True,  # Ctrl-C is for the demo, which stops its processes in order
    )
    try:
        yield process
        if process.returncode is not None:
            raise DemoFailed(f"The program of {called} ended by itself; its log says why.")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()


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
