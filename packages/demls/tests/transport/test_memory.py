"""The in-memory hub: faults from a seed, and a switch."""

from __future__ import annotations

import asyncio

from demls.transport.memory import Faults, MemoryHub, MemoryTransport
from demls.wire.ids import Cursor, Topic

TOPIC = Topic(b"t" * 32)
START = Cursor(b"")
NUMBERS = [b"%d" % number for number in range(200)]


async def read(endpoint: MemoryTransport, after: Cursor = START) -> list[bytes]:
    """What ``endpoint`` is handed of the history, until it has caught up."""
    await endpoint.start()
    endpoint.subscribe(TOPIC, after)
    got: list[bytes] = []

    async def go_on() -> None:
        while True:
            got.append((await endpoint.receive()).payload)

    reading = asyncio.create_task(go_on())
    await endpoint.wait_caught_up()
    reading.cancel()
    await asyncio.wait([reading])
    await endpoint.close()
    return got


async def hub_with(faults: Faults, seed: int = 1) -> MemoryHub:
    hub = MemoryHub(seed=seed, faults=faults)
    writer = hub.endpoint()
    await writer.start()
    for number in NUMBERS:
        await writer.publish(TOPIC, number)
    return hub


async def test_loss_loses_some_and_history_keeps_all() -> None:
    hub = await hub_with(Faults(loss=0.3))
    got = await read(hub.endpoint())
    assert 100 < len(got) < 180
    assert hub.history(TOPIC) == NUMBERS
    hub.faults = Faults()
    assert await read(hub.endpoint()) == NUMBERS


async def test_duplication_repeats_and_loses_nothing() -> None:
    got = await read((await hub_with(Faults(duplication=0.3))).endpoint())
    assert len(got) > 230
    assert list(dict.fromkeys(got)) == NUMBERS


async def test_reordering_shuffles_and_loses_nothing() -> None:
    got = await read((await hub_with(Faults(reordering=0.5))).endpoint())
    assert got != NUMBERS
    assert sorted(got) == sorted(NUMBERS)


async def test_the_same_seed_gives_the_same_faults() -> None:
    faults = Faults(loss=0.1, duplication=0.1, reordering=0.5)
    runs = [await read((await hub_with(faults, seed)).endpoint()) for seed in (7, 7, 8)]
    assert runs[0] == runs[1] != runs[2]


async def test_a_restart_from_any_cursor_loses_nothing_though_envelopes_overtake_each_other() -> None:
    for stop in range(1, 60, 7):
        hub = await hub_with(Faults(reordering=0.5, duplication=0.1))
        endpoint = hub.endpoint()
        await endpoint.start()
        endpoint.subscribe(TOPIC, START)
        deliveries = [await endpoint.receive() for _ in range(stop)]
        await endpoint.close()
        again = await read(hub.endpoint(), deliveries[-1].cursor)
        assert {delivery.payload for delivery in deliveries} | set(again) == set(NUMBERS)


async def test_only_so_much_is_kept() -> None:
    hub = MemoryHub(kept_max=5)
    writer = hub.endpoint()
    await writer.start()
    for number in NUMBERS:
        await writer.publish(TOPIC, number)
    assert await read(hub.endpoint()) == NUMBERS[-5:]


async def test_while_switched_off_publishing_waits_and_says_why() -> None:
    hub = MemoryHub()
    endpoint = hub.endpoint()
    assert not endpoint.status().connected
    await endpoint.start()
    endpoint.disconnect()
    publishing = asyncio.create_task(endpoint.publish(TOPIC, b"later"))
    await asyncio.sleep(0)
    assert not publishing.done()
    assert not endpoint.status().connected
    assert "switched off" in endpoint.status().reason
    endpoint.reconnect()
    await publishing
    assert hub.history(TOPIC) == [b"later"]
    assert endpoint.status().reason == ""
    await endpoint.close()
