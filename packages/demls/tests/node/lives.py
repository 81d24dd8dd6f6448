"""Nodes that die, by their own hand at a write or killed from outside, and are started again each time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
from demls.api.models import Group, GroupNews
from demls.cli.processes import Person
from demls.cli.proof import history, read_records
from demls.client import Client, RefusedByNode
from demls.client.errors import ClientError
from demls.protocol.events import Halted, Misbehaved, Rejected
from demls.protocol.machines import load_machine
from demls.protocol.state import GroupRecord
from demls.wire.ids import Instant, Topic
from demls_engine import Engine

T = TypeVar("T")
_LONG_AFTER = Instant(1_900_000_000_000)
MORTAL = Path(__file__).with_name("mortal.py")


class Mortal:
    """A node that is started again whenever it dies.

    ``plan``: before or after which write each life ends by its own hand (``DEMLS_TEST_DIE``), "" for none;
    ``lifetime``: after how many seconds it is killed from outside, None for never. Both are asked for each life, by its
    number, and no longer once the node ``may_live``.
    """

    def __init__(
        self,
        person: Person,
        plan: Callable[[int], str] = lambda life: "",
        lifetime: Callable[[int], float | None] = lambda life: None,
    ) -> None:
        self.person = person
        self.lives = 0
        self.may_live = False
        self._plan = plan
        self._lifetime = lifetime
        self._ready = asyncio.Event()
        self._process: Process | None = None

    async def run(self) -> None:
        while True:
            self.lives += 1
            plan, seconds = ("", None) if self.may_live else (self._plan(self.lives), self._lifetime(self.lives))
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(MORTAL),
                "node",
                "--folder",
                str(self.person.folder),
                "--port",
                "0",
                stdin=DEVNULL,
                stdout=PIPE,
                env={
                    **os.environ,
                    "PYTHONUNBUFFERED": "1",
                    "DEMLS_PASSWORD_FILE": str(self.person.folder / "password"),
                    "DEMLS_TEST_DIE": plan,
                },
            )
            assert process.stdout is not None
            end = asyncio.get_running_loop().call_later(seconds, process.kill) if seconds is not None else None
            while line := await process.stdout.readline():
                if line.startswith(b"Its page: "):
                    self._ready.set()
            code = await process.wait()
            if end is not None:
                end.cancel()
            self._ready.clear()
            assert code == -signal.SIGKILL, f"life {self.lives} ended with {code}"

    async def do(self, act: Callable[[Client], Awaitable[T]]) -> T:
        """Try until a life is long enough; what was confirmed is confirmed."""
        while True:
            await self._ready.wait()
            try:
                async with Client.connect(self.person.folder) as client:
                    return await act(client)
            except RefusedByNode:
                raise
            except ClientError:
                await asyncio.sleep(0)  # the process's end is noticed by ``run``, which starts the next life

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def living(mortal: Mortal) -> AsyncIterator[Mortal]:
    """The node lives its lives until this ends."""
    running = asyncio.create_task(mortal.run())
    try:
        yield mortal
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await mortal.kill()


async def until_shown(client: Client, group: str, claim: Callable[[Group], bool]) -> Group:
    async for news in client.events():
        if isinstance(news, GroupNews) and news.group.id == group and claim(news.group):
            return news.group
    raise AssertionError("the events ended")


async def reused_keys(witness: Path, person: Person, group: str, relay: str) -> list[str]:
    """What a witness, an early copy of a member's state, holds against the members when it hears all that was said.

    Different envelopes whose message key was used before, and whoever signed two different things. The witness itself
    is left out: with the clock of long after it says other things than the member whose copy it is.
    """
    records = read_records(witness, person.storage_key, group)
    machine, _ = load_machine(records, engine=Engine(), now=Instant(0))
    own = msgspec.msgpack.decode(records[b"group"], type=GroupRecord).address
    heard: set[bytes] = set()
    found: list[str] = []
    topics: frozenset[Topic] = frozenset()
    while topics != machine.topics():
        topics = machine.topics()
        for delivery in await history(relay, topics):
            if delivery.payload in heard:
                continue
            heard.add(delivery.payload)
            for event in machine.receive(delivery.topic, delivery.payload, _LONG_AFTER).events:
                if isinstance(event, Rejected) and "AlreadyUsed" in event.detail:
                    found.append(event.detail)
                elif isinstance(event, Misbehaved) and event.member != own:
                    found.append(f"{event.member.hex()} signed two different things")
                elif isinstance(event, Halted):
                    found.append("two certificates for one state")
    assert len(heard) > 20
    return found


async def texts_of(client: Client, group: str) -> list[str]:
    """All chat messages that a node shows of a group, the oldest first."""
    texts: list[str] = []
    before = None
    while page := await client.timeline(group, before=before, limit=500):
        texts = [entry.text for entry in page if entry.kind == "message"] + texts
        before = page[0].id
    return texts
