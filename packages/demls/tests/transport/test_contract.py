"""What every transport promises, asked of each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from demls.transport.base import Delivery, EnvelopeRefused, Transport, TransportError
from demls.transport.memory import MemoryHub
from demls.transport.segments import PAYLOAD_BYTES_MAX
from demls.wire.ids import Cursor, Topic

START = Cursor(b"")
ONE = Topic(b"1" * 32)
TWO = Topic(b"2" * 32)

Make = Callable[[], Awaitable[Transport]]
Take = Callable[[Transport, int], Awaitable[list[Delivery]]]


@pytest.fixture(params=["memory", "relay"])
async def make(request: pytest.FixtureRequest, relays: Any) -> AsyncIterator[Make]:
    made: list[Transport] = []
    hub = MemoryHub()
    relay = await relays.relay() if request.param == "relay" else None

    async def make_one() -> Transport:
        if relay is not None:
            transport: Transport = await relays.transport(relay)
            return transport
        endpoint = hub.endpoint()
        made.append(endpoint)
        await endpoint.start()
        return endpoint

    yield make_one
    for transport in made:
        await transport.close()


async def test_what_one_publishes_all_who_subscribed_receive_in_order(make: Make, take: Take) -> None:
    alice, bob, carol = await make(), await make(), await make()
    for transport in (alice, bob, carol):
        transport.subscribe(ONE, START)
    for number in range(20):
        await alice.publish(ONE, b"%d" % number)
    for transport in (alice, bob, carol):
        assert [d.payload for d in await take(transport, 20)] == [b"%d" % number for number in range(20)]


async def test_topics_are_kept_apart_and_an_unsubscribed_one_is_silent(make: Make, take: Take) -> None:
    alice, bob = await make(), await make()
    bob.subscribe(ONE, START)
    bob.subscribe(TWO, START)
    await alice.publish(ONE, b"one")
    await alice.publish(TWO, b"two")
    assert {(d.topic, d.payload) for d in await take(bob, 2)} == {(ONE, b"one"), (TWO, b"two")}
    bob.unsubscribe(ONE)
    await alice.publish(ONE, b"not read")
    await alice.publish(TWO, b"read")
    assert [d.payload for d in await take(bob, 1)] == [b"read"]


async def test_history_is_read_from_the_beginning_or_from_a_cursor(make: Make, take: Take) -> None:
    alice = await make()
    for number in range(5):
        await alice.publish(ONE, b"%d" % number)
    bob = await make()
    bob.subscribe(ONE, START)
    deliveries = await take(bob, 5)
    carol = await make()
    carol.subscribe(ONE, deliveries[2].cursor)
    assert [d.payload for d in await take(carol, 2)] == [b"3", b"4"]


async def test_a_second_subscription_of_a_topic_changes_nothing(make: Make, take: Take) -> None:
    alice = await make()
    alice.subscribe(ONE, START)
    await alice.publish(ONE, b"once")
    await take(alice, 1)
    alice.subscribe(ONE, START)
    await alice.publish(ONE, b"next")
    assert [d.payload for d in await take(alice, 1)] == [b"next"]


async def test_after_unsubscribing_a_topic_can_be_read_again_from_the_beginning(make: Make, take: Take) -> None:
    alice = await make()
    alice.subscribe(ONE, START)
    await alice.publish(ONE, b"a")
    await take(alice, 1)
    alice.unsubscribe(ONE)
    alice.unsubscribe(ONE)
    alice.subscribe(ONE, START)
    assert [d.payload for d in await take(alice, 1)] == [b"a"]


async def test_a_cursor_that_means_nothing_here_is_the_beginning(make: Make, take: Take) -> None:
    alice = await make()
    await alice.publish(ONE, b"a")
    for foreign in (b"x", bytes(16), bytes(24), b"\xff" * 24, bytes(100)):
        alice.subscribe(ONE, Cursor(foreign))
        assert [d.payload for d in await take(alice, 1)] == [b"a"]
        alice.unsubscribe(ONE)


async def test_caught_up_is_said_when_all_that_was_kept_has_been_handed_out(make: Make, take: Take) -> None:
    alice = await make()
    for number in range(10):
        await alice.publish(ONE, b"%d" % number)
    bob = await make()
    bob.subscribe(ONE, START)
    bob.subscribe(TWO, START)
    waiting = asyncio.create_task(bob.wait_caught_up())
    await take(bob, 9)
    assert not waiting.done()
    await take(bob, 1)
    async with asyncio.timeout(20):
        await waiting


async def test_with_nothing_kept_caught_up_is_said_without_a_receive(make: Make) -> None:
    alice = await make()
    alice.subscribe(ONE, START)
    async with asyncio.timeout(20):
        await alice.wait_caught_up()


async def test_large_and_empty_payloads_arrive_and_too_large_ones_are_refused(make: Make, take: Take) -> None:
    alice, bob = await make(), await make()
    bob.subscribe(ONE, START)
    large = bytes(range(256)) * 8_000
    await alice.publish(ONE, large)
    await alice.publish(ONE, b"")
    assert {d.payload for d in await take(bob, 2)} == {large, b""}
    with pytest.raises(EnvelopeRefused, match="send a smaller one"):
        await alice.publish(ONE, bytes(PAYLOAD_BYTES_MAX + 1))


async def test_whoever_waits_when_it_is_closed_is_told_so(make: Make) -> None:
    alice = await make()
    alice.subscribe(ONE, START)
    receiving = asyncio.create_task(alice.receive())
    await alice.wait_caught_up()
    assert alice.status().connected
    await alice.close()
    await alice.close()
    with pytest.raises(TransportError, match="closed"):
        await receiving
    with pytest.raises(TransportError, match="closed"):
        await alice.publish(ONE, b"late")
    assert not alice.status().connected
    assert alice.status().reason.endswith(".")
