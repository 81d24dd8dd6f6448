"""Who plays, who tells, and on which stage? What all stories of the demo share."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from demls.cli.output import say
from demls.cli.processes import Person, Program, make_person, node_program, relay_address, relay_program, running
from demls.cli.watch import Watch, following
from demls.client import Client

SECONDS_PER_SIGN = 0.045
PAUSE_SECONDS_MIN = 1.0
OPENING_SECONDS = 8.0


class Narrator:
    """Speaks at reading speed, or at once."""

    def __init__(self, *, is_fast: bool) -> None:
        self._is_fast = is_fast

    async def tell(self, text: str) -> None:
        say(f"  {text}")
        await self.pause(max(PAUSE_SECONDS_MIN, len(text) * SECONDS_PER_SIGN))

    async def head(self, text: str) -> None:
        say(f"\n{text}")
        await self.pause(PAUSE_SECONDS_MIN)

    async def pause(self, seconds: float) -> None:
        if not self._is_fast:
            await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Player:
    """Somebody in the story: their data, the process of their node, and what it shows."""

    person: Person
    program: Program
    watch: Watch

    @property
    def name(self) -> str:
        return self.person.name

    @property
    def client(self) -> Client:
        return self.watch.client

    @property
    def address(self) -> str:
        return f"0x{self.person.wallet.address.hex()}"

    async def start_again(self) -> None:
        """After its process was killed."""
        await self.program.start()
        await self.watch.reconnect()

    async def go_on(self) -> None:
        """After its process was paused: connections that were idle may be over their time as soon as it wakes."""
        self.program.go_on()
        await self.watch.reconnect()


@dataclass(frozen=True, slots=True)
class Seat:
    """Whose node is to be started, with which relay; ``module``: another program than demls."""

    name: str
    relay: str
    settings: tuple[tuple[str, str], ...] = ()
    module: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


class Stage:
    """Where a story is played: its processes run until the stage is cleared."""

    def __init__(self, place: Path, narrator: Narrator, stack: contextlib.AsyncExitStack) -> None:
        self.place = place
        self.narrator = narrator
        self._stack = stack

    async def run(self, program: Program) -> str:
        """Start a program; returns what it says when it is ready."""
        return await self._stack.enter_async_context(running(program))

    async def relay(self, log: str = "relay.sqlite") -> str:
        """Start a relay; returns its address."""
        return relay_address(await self.run(relay_program(self.place, log)))

    async def players(self, *seats: Seat) -> list[Player]:
        """Start everybody's node, tell the addresses of their pages, and follow what they show."""
        people = await asyncio.gather(*(asyncio.to_thread(self._make, seat) for seat in seats))
        programs = [
            node_program(person, seat.module, **dict(seat.environment)) if seat.module else node_program(person)
            for person, seat in zip(people, seats, strict=True)
        ]
        pages = await self._start(programs)
        say("\nOpen these pages to see what each of them sees:\n")
        for person, page in zip(people, pages, strict=True):
            say(f"  {person.name:<8} {page}")
        await self.narrator.pause(OPENING_SECONDS)
        return [
            Player(person, program, await self._stack.enter_async_context(_watching(person)))
            for person, program in zip(people, programs, strict=True)
        ]

    def _make(self, seat: Seat) -> Person:
        return make_person(seat.name, self.place, seat.relay, **dict(seat.settings))

    async def _start(self, programs: list[Program]) -> list[str]:
        """Side by side. One exit stack cannot be entered from several tasks."""
        contexts = [running(program) for program in programs]
        pages = await asyncio.gather(*(context.__aenter__() for context in contexts), return_exceptions=True)
        for context, page in zip(contexts, pages, strict=True):
            if not isinstance(page, BaseException):
                self._stack.push_async_exit(context)
        for page in pages:
            if isinstance(page, BaseException):
                raise page
        return [str(page) for page in pages]


def _watching(person: Person) -> contextlib.AbstractAsyncContextManager[Watch]:
    return following(person.name, Client.connect(person.folder))


Afterwards = Callable[[], Awaitable[None]]
"""What goes on after the story until the visitor ends it."""


@dataclass(frozen=True, slots=True)
class Story:
    """``sentence``: what it shows, for the list. ``play``: raises DemoFailed, ClientError."""

    name: str
    sentence: str
    processes: str
    """Who starts, in a sentence."""
    play: Callable[[Stage], Awaitable[Afterwards | None]]


def since(begun: float) -> str:
    """How long ago, of a time of ``time.monotonic``."""
    seconds = time.monotonic() - begun
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


async def all_of(players: list[Player], act: Callable[[Player], Awaitable[object]]) -> None:
    """Do something with everybody, side by side."""
    async with asyncio.TaskGroup() as tasks:
        for player in players:
            tasks.create_task(_once(partial(act, player)))


async def _once(act: Callable[[], Awaitable[object]]) -> None:
    await act()
