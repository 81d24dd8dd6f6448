"""Nodes and a relay over real sockets: restarts, absences, slow and fast ones. Nothing is lost."""

from __future__ import annotations

import asyncio
import random
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from demls.transport.base import Delivery, Transport, TransportError
from demls.transport.relay_client import RelayTransport
from demls.transport.relay_limits import RelayLimits, TokenBucket
from demls.transport.relay_log import LogLimits, RelayLog
from demls.transport.relay_server import RelayServer
from demls.wire.ids import Cursor, Topic

START = Cursor(b"")
TOPIC = Topic(b"t" * 32)
OTHER = Topic(b"o" * 32)

Relays: TypeAlias = Any  # the fixture of conftest.py
Take: TypeAlias = Callable[[Transport, int], Awaitable[list[Delivery]]]
Until: TypeAlias = Callable[[Callable[[], bool]], Awaitable[None]]


async def test_a_port_in_use_is_a_sentence(relays: Relays, tmp_path: Path) -> None:
    first = await relays.relay()
    with RelayLog.open(tmp_path / "second.sqlite") as log:
        second = RelayServer(log, port=first.port)
        with pytest.raises(TransportError, match=rf"Port {first.port} .* in use .* choose another port"):
            await second.start()
        await second.stop()


async def test_a_host_that_is_not_here_is_a_sentence(tmp_path: Path) -> None:
    with RelayLog.open(tmp_path / "relay.sqlite") as log:
        relay = RelayServer(log, host="192.0.2.1", port=0)
        with pytest.raises(TransportError, match=r"cannot listen on 192\.0\.2\.1"):
            await relay.start()
        await relay.stop()


@pytest.mark.parametrize("url", ["", "relay", "http://relay", "ws://", "ws://host:port", "ws://[", "wss://host:99999"])
def test_what_is_no_address_of_a_relay_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(TransportError, match="is not the address of a relay"):
        RelayTransport(url)


async def test_health_is_answered_to_whoever_watches_over_the_process(relays: Relays) -> None:
    relay = await relays.relay()

    def get() -> bytes:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{relay.port}/health", timeout=10) as answer:
            return bytes(answer.read())

    assert b"ok" in await asyncio.to_thread(get)


async def test_while_the_relay_is_away_people_are_told_and_publishing_waits(
    relays: Relays, take: Take, until: Until
) -> None:
    first = await relays.relay(name="first")
    port = first.port
    await first.stop()
    alice = await relays.transport(f"ws://127.0.0.1:{port}")
    publishing = asyncio.create_task(alice.publish(TOPIC, b"patient"))
    await until(lambda: "cannot be reached" in alice.status().reason)
    status = alice.status()
    assert not status.connected
    assert status.where == f"ws://127.0.0.1:{port}"
    assert status.reason == (
        f"The relay at ws://127.0.0.1:{port} cannot be reached (nothing answers at this address); trying again in 1 s."
    )
    assert not publishing.done()
    await relays.relay(port=port, name="second")
    async with asyncio.timeout(20):
        await publishing
    assert alice.status().connected
    assert alice.status().reason == ""


async def test_a_relay_that_restarts_keeps_all_and_nodes_go_on_where_they_were(
    relays: Relays, take: Take, until: Until
) -> None:
    with RelayLog.open(relays.folder / "kept.sqlite") as log:
        async with RelayServer(log, port=0) as relay:
            port = relay.port
            alice, bob = await relays.transport(relay), await relays.transport(relay)
            bob.subscribe(TOPIC, START)
            await alice.publish(TOPIC, b"before")
            assert [d.payload for d in await take(bob, 1)] == [b"before"]
        await until(lambda: not alice.status().connected)
        publishing = [asyncio.create_task(alice.publish(TOPIC, b"%d" % number)) for number in range(50)]
        async with RelayServer(log, port=port):
            await asyncio.wait_for(asyncio.gather(*publishing), 20)
            assert [d.payload for d in await take(bob, 50)] == [b"%d" % number for number in range(50)]


async def test_a_relay_with_a_new_log_is_read_from_its_beginning(relays: Relays, take: Take, until: Until) -> None:
    first = await relays.relay(name="first")
    alice = await relays.transport(first)
    alice.subscribe(TOPIC, START)
    for number in range(5):
        await alice.publish(TOPIC, b"%d" % number)
    old = (await take(alice, 5))[-1].cursor
    await first.stop()
    second = await relays.relay(port=first.port, name="second")
    bob = await relays.transport(second)
    await bob.publish(TOPIC, b"new log")
    assert [d.payload for d in await take(alice, 1)] == [b"new log"]
    carol = await relays.transport(second)
    carol.subscribe(TOPIC, old)
    assert [d.payload for d in await take(carol, 1)] == [b"new log"]


async def test_a_log_restored_from_an_older_copy_does_not_hide_what_comes(relays: Relays, take: Take) -> None:
    relay = await relays.relay(name="first")
    alice = await relays.transport(relay)
    alice.subscribe(TOPIC, START)
    await alice.publish(TOPIC, b"a")
    cursor = (await take(alice, 1))[0].cursor
    ahead = Cursor(cursor[:16] + (1_000_000).to_bytes(8, "big"))
    bob = await relays.transport(relay)
    bob.subscribe(TOPIC, ahead)
    await alice.publish(TOPIC, b"b")
    assert [d.payload for d in await take(bob, 2)] == [b"a", b"b"]


async def test_a_half_received_payload_is_not_lost_by_a_restart_of_the_reader(relays: Relays, take: Take) -> None:
    relay = await relays.relay()
    payload = random.Random(1).randbytes(100_000)
    alice = await relays.transport(relay, segment_bytes=20_000)
    bob = await relays.transport(relay, segment_bytes=20_000)
    reader = await relays.transport(relay)
    reader.subscribe(TOPIC, START)
    # Small ones of others arrive between the pieces of the large one.
    large = asyncio.create_task(alice.publish(TOPIC, payload))
    small = [asyncio.create_task(bob.publish(TOPIC, b"%d" % number)) for number in range(5)]
    await asyncio.gather(large, *small)
    deliveries = await take(reader, 6)
    for delivery in deliveries:
        again = await relays.transport(relay)
        again.subscribe(TOPIC, delivery.cursor)
        place = deliveries.index(delivery)
        if payload not in {d.payload for d in deliveries[: place + 1]}:
            await alice.publish(TOPIC, b"end")
            got: list[Delivery] = []
            while not got or got[-1].payload != payload:
                got += await take(again, 1)
        await again.close()


async def test_publishing_between_receives_never_waits_for_itself(relays: Relays, take: Take, until: Until) -> None:
    """The reader's window is full and nobody receives: acceptances must come all the same."""
    relay = await relays.relay()
    alice, bob = await relays.transport(relay, window_bytes=20_000), await relays.transport(relay)
    alice.subscribe(TOPIC, START)
    for number in range(100):
        await bob.publish(TOPIC, b"%03d" % number + bytes(1_000))
    await until(lambda: relay.stats().delivered >= 15)
    async with asyncio.timeout(20):
        for _ in range(50):
            await alice.publish(OTHER, bytes(1_000))
    assert relay.stats().delivered < 30, "no more than the window was sent to one who does not receive"
    assert [d.payload[:3] for d in await take(alice, 100)] == [b"%03d" % number for number in range(100)]


async def test_a_payload_larger_than_the_window_arrives(relays: Relays, take: Take) -> None:
    relay = await relays.relay()
    alice = await relays.transport(relay, window_bytes=10_000, segment_bytes=50_000)
    alice.subscribe(TOPIC, START)
    payload = random.Random(2).randbytes(1_000_000)
    await alice.publish(TOPIC, payload)
    await alice.publish(TOPIC, b"after")
    assert {d.payload for d in await take(alice, 2)} == {payload, b"after"}


async def test_the_segment_size_follows_a_relay_that_takes_only_small_messages(relays: Relays, take: Take) -> None:
    relay = await relays.relay(limits=RelayLimits(message_bytes_max=20_000))
    alice = await relays.transport(relay)
    alice.subscribe(TOPIC, START)
    payload = random.Random(3).randbytes(300_000)
    await asyncio.gather(alice.publish(TOPIC, payload), *(alice.publish(TOPIC, bytes(5_000)) for _ in range(20)))
    assert payload in [d.payload for d in await take(alice, 21)]
    assert relay.stats().messages_refused == 0


async def test_whoever_falls_behind_the_memory_is_served_from_the_log(relays: Relays, take: Take) -> None:
    relay = await relays.relay(limits=RelayLimits(recent_bytes_max=2_000, page_bytes=3_000))
    alice, bob = await relays.transport(relay), await relays.transport(relay, window_bytes=4_000)
    bob.subscribe(TOPIC, START)
    bob.subscribe(OTHER, START)
    await bob.wait_caught_up()
    for number in range(200):
        await alice.publish(TOPIC if number % 3 else OTHER, b"%03d" % number + bytes(200))
    got = [d.payload[:3] for d in await take(bob, 200)]
    assert sorted(got) == [b"%03d" % number for number in range(200)]
    assert [number for number in got if int(number) % 3] == [b"%03d" % number for number in range(200) if number % 3]


async def test_a_full_relay_is_told_to_people_and_nothing_is_lost(relays: Relays, until: Until) -> None:
    relay = await relays.relay(log=LogLimits(file_bytes_max=400_000, topic_bytes_max=100_000))
    alice = await relays.transport(relay)
    stuck = asyncio.create_task(alice.publish(TOPIC, random.Random(4).randbytes(600_000)))
    await until(lambda: "takes no messages now" in alice.status().reason)
    assert not alice.status().connected
    assert "disk is full" in alice.status().reason
    stuck.cancel()
    await asyncio.wait([stuck])
    async with asyncio.timeout(20):
        await alice.publish(OTHER, b"small enough")
    assert alice.status().connected


async def test_publications_that_are_given_up_leave_nothing_behind(relays: Relays, until: Until) -> None:
    first = await relays.relay(name="first")
    alice = await relays.transport(first, unaccepted_max=2)
    await alice.publish(TOPIC, b"a")
    await first.stop()
    await until(lambda: not alice.status().connected)
    waiting = [asyncio.create_task(alice.publish(TOPIC, b"x")) for _ in range(5)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    await relays.relay(port=first.port, name="second")
    async with asyncio.timeout(20):
        for _ in range(5):
            await alice.publish(TOPIC, b"y")


async def test_envelopes_go_through_a_relay_in_bulk(relays: Relays, take: Take) -> None:
    relay = await relays.relay()
    alice, bob = await relays.transport(relay), await relays.transport(relay)
    bob.subscribe(TOPIC, START)
    payloads = [b"%05d" % number + bytes(495) for number in range(3_000)]
    publishing = [asyncio.create_task(alice.publish(TOPIC, payload)) for payload in payloads]
    assert [d.payload for d in await take(bob, 3_000)] == payloads
    await asyncio.gather(*publishing)
    assert relay.stats().accepted == 3_000
    assert relay.stats().log.envelopes == 3_000


def test_a_bucket_lets_through_its_rate_and_saves_no_more_than_its_burst() -> None:
    bucket = TokenBucket(100, 2, now=0)
    assert bucket.spend(200, now=0) == 0
    assert bucket.spend(50, now=0) == pytest.approx(0.5)
    assert bucket.spend(0, now=0.5) == 0
    assert bucket.spend(200, now=1_000) == 0
    assert bucket.spend(1, now=1_000) == pytest.approx(0.01)
