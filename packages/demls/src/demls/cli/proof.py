"""Can somebody who was removed read on? Her whole state from before, against every envelope the relay keeps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from demls_engine import Engine

from demls.cli.processes import Person
from demls.protocol.events import MessageReceived
from demls.protocol.group import Group
from demls.protocol.machines import load_machine
from demls.storage.store import Store
from demls.transport.base import Delivery
from demls.transport.relay_client import RelayTransport
from demls.wire.ids import Cursor, Instant, Topic

READ_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Opened:
    """What a state could open of ``envelopes``: the texts of chat messages."""

    envelopes: int
    texts: frozenset[str]


def copy_state(person: Person, target: Path) -> None:
    """A copy of all that the person's node knows, made while it runs."""
    with Store.open(person.folder / "demls.sqlite", person.storage_key) as store:
        store.backup(target)


def read_records(copy: Path, storage_key: bytes, group: str) -> dict[bytes, bytes]:
    """The records of a group in a copy."""
    with Store.open(copy, storage_key) as store:
        return store.records(group)


def topics_of(records: Mapping[bytes, bytes]) -> frozenset[Topic]:
    """The topics that whoever has these records reads."""
    machine, _ = load_machine(records, engine=Engine(), now=_now())
    return machine.topics()


async def history(relay: str, topics: frozenset[Topic]) -> list[Delivery]:
    """Everything the relay keeps of ``topics``, in its order."""
    transport = RelayTransport(relay)
    for topic in topics:
        transport.subscribe(topic, Cursor(b""))
    found: list[Delivery] = []

    async def collect() -> None:
        while True:
            found.append(await transport.receive())

    await transport.start()
    collecting = asyncio.create_task(collect())
    try:
        async with asyncio.timeout(READ_SECONDS):
            await transport.wait_caught_up()
    finally:
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)
        await transport.close()
    return found


def open_all(records: Mapping[bytes, bytes], deliveries: list[Delivery]) -> Opened:
    """What the state of ``records`` opens: given everything in order, and given each envelope alone.

    The second way is that of somebody who does not let her program see that she was removed.
    """
    engine = Engine()
    machine, _ = load_machine(records, engine=engine, now=_now())
    assert isinstance(machine, Group)
    texts: set[str] = set()
    for delivery in deliveries:
        texts |= _texts(machine, delivery)
    for delivery in deliveries:
        fresh, _ = load_machine(records, engine=engine, now=_now())
        assert isinstance(fresh, Group)
        texts |= _texts(fresh, delivery)
    return Opened(len(deliveries), frozenset(texts))


def _texts(machine: Group, delivery: Delivery) -> set[str]:
    events = machine.receive(delivery.topic, delivery.payload, _now()).events
    return {event.text for event in events if isinstance(event, MessageReceived)}


def _now() -> Instant:
    return Instant(time.time_ns() // 1_000_000)
