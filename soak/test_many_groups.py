"""Do five groups of ten nodes on one relay talk and decide for a while, with everything received and no error logged?

``DEMLS_SOAK_SECONDS`` says for how long (five minutes by default). Not part of `make test`: it takes real time.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from demls.api.models import GroupState
from demls.cli.processes import Person, make_person, node_process, relay_process
from demls.client import Client, RefusedByNode

pytestmark = pytest.mark.processes

SECONDS = float(os.environ.get("DEMLS_SOAK_SECONDS", "300"))
DECISION_EVERY = min(60.0, SECONDS / 3)
DEADLINE = 60.0
NODES, GROUPS, MEMBERS = 10, 5, 4


@dataclass
class Seat:
    """One member's place in one group, through its node's client."""

    person: Person
    client: Client
    group: str

    async def vote_on_everything(self, yes: bool) -> None:
        for proposal in (await self.client.group(self.group)).proposals:
            if proposal.may_vote:
                try:
                    await self.client.vote(self.group, proposal.id, yes)
                except RefusedByNode as problem:
                    if "already" not in str(problem):
                        raise


@dataclass
class Circle:
    """A group under test: seats that stay, a guest that comes and goes, and what was said."""

    name: str
    seats: list[Seat]
    guest: Seat
    said: list[str] = field(default_factory=list)
    decided: int = 0


async def until(what: str, condition: object) -> None:
    """Wait for an async condition; asks again whenever the event loop is free, within the deadline."""
    assert callable(condition)
    try:
        async with asyncio.timeout(DEADLINE):
            while not await condition():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {DEADLINE:.0f} s: {what}") from None


async def admit(circle: Circle, newcomer: Seat) -> None:
    link = await circle.seats[0].client.invite(circle.seats[0].group)
    await newcomer.client.join(link.text)

    async def is_in() -> bool:
        for seat in circle.seats:
            await seat.vote_on_everything(yes=True)
        return (await newcomer.client.group(newcomer.group)).state is GroupState.MEMBER

    await until(f"{newcomer.person.name} is in {circle.name}", is_in)


async def ban(circle: Circle, member: Seat) -> None:
    address = (await member.client.node()).me.address
    await circle.seats[1].client.send(circle.seats[1].group, f"/ban {address}")

    async def is_out() -> bool:
        for seat in circle.seats:
            await seat.vote_on_everything(yes=True)
        return (await member.client.group(member.group)).state is GroupState.REMOVED

    await until(f"{member.person.name} is out of {circle.name}", is_out)


async def talk(circle: Circle, end: float) -> None:
    clock = asyncio.get_running_loop().time
    number = 0
    while clock() < end:
        seat = circle.seats[number % len(circle.seats)]
        text = f"{circle.name}: message {number}"
        await seat.client.send(seat.group, text)
        circle.said.append(text)
        number += 1
        await asyncio.sleep(1)


async def decide(circle: Circle, end: float) -> None:
    clock = asyncio.get_running_loop().time
    while (begun := clock()) < end:
        await (ban if circle.decided % 2 else admit)(circle, circle.guest)
        circle.decided += 1
        if circle.decided % 2 == 0:
            await circle.guest.client.forget(circle.guest.group)
        await asyncio.sleep(max(0.0, min(begun + DECISION_EVERY, end) - clock()))


async def texts_of(seat: Seat) -> list[str]:
    texts: list[str] = []
    before = None
    while page := await seat.client.timeline(seat.group, before=before, limit=200):
        texts = [entry.text for entry in page if entry.kind == "message"] + texts
        before = page[0].id
    return texts


@pytest.fixture
async def clients(tmp_path: Path) -> AsyncIterator[list[tuple[Person, Client]]]:
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(relay_process(tmp_path))
        people = [make_person(f"Node{number}", tmp_path, relay) for number in range(NODES)]
        await asyncio.gather(*(stack.enter_async_context(node_process(person)) for person in people))
        yield [(person, await stack.enter_async_context(Client.connect(person.folder))) for person in people]


async def test_groups_talk_and_decide_side_by_side(clients: list[tuple[Person, Client]]) -> None:
    circles = []
    for number in range(GROUPS):
        chosen = [clients[(2 * number + place) % NODES] for place in range(MEMBERS + 1)]
        group = (await chosen[0][1].create_group(f"circle {number}", preset="quick")).id
        seats = [Seat(person, client, group) for person, client in chosen]
        circle = Circle(f"circle {number}", seats[:1], seats[-1])
        for seat in seats[1:-1]:
            await admit(circle, seat)
            circle.seats.append(seat)
        circles.append(circle)

    end = asyncio.get_running_loop().time() + SECONDS
    await asyncio.gather(*(act(circle, end) for circle in circles for act in (talk, decide)))

    for circle in circles:
        assert circle.decided >= int(SECONDS / DECISION_EVERY), circle.name
        for seat in circle.seats:

            async def has_all(circle: Circle = circle, seat: Seat = seat) -> bool:
                return sorted(await texts_of(seat)) == sorted(circle.said)

            await until(f"{seat.person.name} has every message of {circle.name} once", has_all)
        details = [await seat.client.group(seat.group) for seat in circle.seats]
        assert len({(detail.epoch, detail.authenticator) for detail in details}) == 1, circle.name

    for person, _ in clients:
        log = (person.folder / "node.log").read_text()
        assert not re.findall(r".*(?:ERROR|CRITICAL|Traceback).*", log), person.name
