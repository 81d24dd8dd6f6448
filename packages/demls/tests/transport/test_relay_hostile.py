"""Hostile nodes against a relay, and a hostile relay against a node: refused, counted, never a traceback."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import pytest
from demls.transport import relay_protocol as wire
from demls.transport.base import Delivery, Transport
from demls.transport.relay_limits import RelayLimits
from demls.transport.relay_server import RelayServer
from demls.transport.sockets import abort
from demls.wire.ids import Cursor, Topic
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.http11 import Request, Response

TOPIC = Topic(b"t" * 32)
START = Cursor(b"")
HELLO = wire.Hello(wire.VERSION, 1_000_000)

Relays: TypeAlias = Any  # the fixture of conftest.py
Take: TypeAlias = Callable[[Transport, int], Awaitable[list[Delivery]]]
Until: TypeAlias = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture(autouse=True)
def _no_traceback(caplog: pytest.LogCaptureFixture) -> object:
    caplog.set_level(logging.INFO)
    yield
    assert not [record for record in caplog.records if record.exc_info], "a traceback was logged"


@asynccontextmanager
async def raw(relay: RelayServer, *frames: wire.NodeFrame) -> AsyncIterator[ClientConnection]:
    socket = await connect(relay.url, compression=None, proxy=None, max_size=None, close_timeout=1)
    try:
        if frames:
            await socket.send(wire.encode(frames))
        yield socket
    finally:
        abort(socket)
        await socket.wait_closed()


async def last_words(socket: ClientConnection) -> wire.RelayFrame | None:
    """The last frame before the relay ended the connection."""
    last = None
    async with asyncio.timeout(20):
        try:
            while True:
                last = wire.decode_from_relay(await socket.recv())[-1]
        except ConnectionClosed:
            return last


async def works(relays: Relays, relay: RelayServer, take: Take) -> None:
    """An honest node is served."""
    transport = await relays.transport(relay)
    transport.subscribe(TOPIC, START)
    await transport.publish(TOPIC, b"honest")
    got: list[bytes] = []
    while b"honest" not in got:
        got += [d.payload for d in await take(transport, 1)]


async def test_random_bytes_on_the_socket_are_refused_and_counted(relays: Relays, take: Take, until: Until) -> None:
    relay = await relays.relay()
    noise = random.Random(1)
    for size in (1, 100, 5_000, 300_000):
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(noise.randbytes(size) + b"\r\n\r\n")
        writer.write_eof()
        async with asyncio.timeout(20):
            with suppress(ConnectionResetError):
                await reader.read()
        writer.close()
    await until(lambda: relay.stats().handshakes_refused == 4)
    await works(relays, relay, take)


async def test_random_messages_are_refused_and_counted_before_and_after_the_hello(relays: Relays, take: Take) -> None:
    relay = await relays.relay()
    noise = random.Random(2)
    messages: list[bytes | str] = [noise.randbytes(noise.randrange(1, 2_000)) for _ in range(20)]
    messages += ["text", "", b"", b"\x91" * 50_000, wire.encode([wire.Accepted(1)])]
    for number, message in enumerate(messages):
        async with raw(relay, *([HELLO] if number % 2 else [])) as socket:
            await socket.send(message)
            failed = await last_words(socket)
            assert isinstance(failed, wire.Failed)
            assert failed.reason is wire.Reason.NOT_UNDERSTOOD
    assert relay.stats().messages_refused == len(messages)
    await works(relays, relay, take)


async def test_a_giant_message_ends_its_connection_only(relays: Relays, take: Take, until: Until) -> None:
    relay = await relays.relay(limits=RelayLimits(message_bytes_max=100_000))
    async with raw(relay, HELLO) as socket:
        with suppress(ConnectionClosed):
            await socket.send(bytes(5_000_000))
        await last_words(socket)
    await until(lambda: relay.stats().messages_refused == 1)
    await works(relays, relay, take)


async def test_a_giant_message_in_small_fragments_is_refused_as_well(relays: Relays, until: Until) -> None:
    relay = await relays.relay(limits=RelayLimits(message_bytes_max=100_000))
    async with raw(relay, HELLO) as socket:
        with suppress(ConnectionClosed):
            await socket.send(bytes(1_000) for _ in range(1_000))
        await last_words(socket)
    await until(lambda: relay.stats().messages_refused == 1)


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        pytest.param([wire.Publish(1, TOPIC, b"")], wire.Reason.NOT_UNDERSTOOD, id="no hello"),
        pytest.param([HELLO, HELLO], wire.Reason.NOT_UNDERSTOOD, id="two hellos"),
        pytest.param([wire.Hello(99, 1)], wire.Reason.NOT_UNDERSTOOD, id="another version"),
        pytest.param([HELLO, *[wire.Subscribe(1, TOPIC, 0)] * 2], wire.Reason.NOT_UNDERSTOOD, id="a number twice"),
    ],
)
async def test_who_breaks_the_order_of_the_conversation_is_told_so(
    relays: Relays, frames: list[wire.NodeFrame], reason: wire.Reason
) -> None:
    relay = await relays.relay()
    async with raw(relay, *frames) as socket:
        failed = await last_words(socket)
    assert isinstance(failed, wire.Failed)
    assert failed.reason is reason


async def test_a_flood_of_subscriptions_ends_its_connection(relays: Relays, take: Take, until: Until) -> None:
    relay = await relays.relay(limits=RelayLimits(subscriptions_max=50))
    flood = [wire.Subscribe(number, number.to_bytes(32, "big"), 0) for number in range(500)]
    async with raw(relay, HELLO, *flood) as socket:
        failed = await last_words(socket)
    assert isinstance(failed, wire.Failed)
    assert failed.reason is wire.Reason.TOO_MANY_SUBSCRIPTIONS
    await until(lambda: relay.stats().subscriptions == 0)
    await works(relays, relay, take)


async def test_too_many_connections_are_refused_at_the_door(relays: Relays, until: Until) -> None:
    relay = await relays.relay(limits=RelayLimits(connections_max=10, connections_per_host_max=3))
    async with raw(relay, HELLO), raw(relay, HELLO), raw(relay, HELLO):
        with pytest.raises((InvalidMessage, OSError, EOFError)):
            await connect(relay.url, proxy=None)
        assert relay.stats().connections_refused == 1
    await until(lambda: relay.stats().connections == 0)
    async with raw(relay, HELLO) as socket:
        assert isinstance(wire.decode_from_relay(await socket.recv())[0], wire.Welcome)


async def test_who_says_nothing_is_sent_away(relays: Relays) -> None:
    relay = await relays.relay(limits=RelayLimits(hello_seconds=0.05))
    async with raw(relay) as socket:
        failed = await last_words(socket)
    assert isinstance(failed, wire.Failed)
    assert failed.reason is wire.Reason.TOO_SLOW


async def test_a_reader_that_takes_nothing_from_its_socket_is_dropped_and_costs_no_memory(
    relays: Relays, take: Take, until: Until
) -> None:
    relay = await relays.relay(limits=RelayLimits(send_seconds=0.3, close_seconds=0.1))
    writer = await relays.transport(relay)
    for _ in range(40):
        await writer.publish(TOPIC, bytes(250_000))
    async with raw(relay, wire.Hello(wire.VERSION, 2**31), wire.Subscribe(1, TOPIC, 0)) as socket:
        socket.transport.pause_reading()
        await until(lambda: relay.stats().too_slow == 1)
        socket.transport.abort()
    await works(relays, relay, take)


async def test_one_who_publishes_more_at_once_than_is_allowed_is_held_back_and_served(
    relays: Relays, until: Until
) -> None:
    relay = await relays.relay(limits=RelayLimits(unaccepted_max=10, send_seconds=0.3, close_seconds=0.1))
    publications = [wire.Publish(number, TOPIC, b"x") for number in range(1_000)]
    async with raw(relay, HELLO, *publications) as socket:
        got = 0
        async with asyncio.timeout(20):
            while got < 1_000:
                got += sum(isinstance(f, wire.Accepted) for f in wire.decode_from_relay(await socket.recv()))
    await until(lambda: relay.stats().connections == 0)


async def test_who_leaves_in_the_middle_of_publishing_leaves_nothing_behind(
    relays: Relays, take: Take, until: Until
) -> None:
    relay = await relays.relay(limits=RelayLimits(unaccepted_max=5))
    for _ in range(5):
        async with raw(relay, HELLO, *[wire.Publish(number, TOPIC, bytes(500)) for number in range(500)]) as socket:
            socket.transport.abort()
    await until(lambda: relay.stats().connections == 0)
    await works(relays, relay, take)


async def test_one_who_sends_too_fast_is_read_more_slowly_and_loses_nothing(relays: Relays, take: Take) -> None:
    relay = await relays.relay(limits=RelayLimits(frames_per_second=2_000, burst_seconds=0.01))
    alice = await relays.transport(relay)
    alice.subscribe(TOPIC, START)
    publishing = [asyncio.create_task(alice.publish(TOPIC, b"%d" % number)) for number in range(300)]
    assert [d.payload for d in await take(alice, 300)] == [b"%d" % number for number in range(300)]
    await asyncio.gather(*publishing)
    assert relay.stats().throttled > 0


# A hostile relay


@asynccontextmanager
async def false_relay(*messages: bytes | str) -> AsyncIterator[str]:
    async def answer(socket: ServerConnection) -> None:
        await socket.recv()
        for message in messages:
            await socket.send(message)
        await socket.wait_closed()

    async with serve(answer, "127.0.0.1", 0, compression=None) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


WELCOME = wire.encode([wire.Welcome(wire.VERSION, b"l" * 16, 1 << 20, 10)])


@pytest.mark.parametrize(
    ("messages", "sentence"),
    [
        pytest.param([b"\xff" * 100], "says something that is not understood", id="noise"),
        pytest.param([WELCOME, b"\xff" * 100], "says something that is not understood", id="noise after the welcome"),
        pytest.param(["text"], "says something that is not understood", id="text"),
        pytest.param([WELCOME, WELCOME], "says something that is not understood", id="two welcomes"),
        pytest.param([wire.encode([wire.Accepted(1)])], "says something that is not understood", id="no welcome"),
        pytest.param(
            [WELCOME, *[wire.encode([wire.Deliver(1, 1, bytes(900_000))])] * 10],
            "says something that is not understood",
            id="more than there is room for",
        ),
        pytest.param([WELCOME, bytes(4_000_000)], "has ended the connection", id="a giant message"),
        pytest.param(
            [wire.encode([wire.Failed(wire.Reason.TOO_SLOW, "Good\x1b[31m\nbye")])],
            r"refuses the connection: Good \[31m bye; trying",
            id="escape sequences for the terminal",
        ),
        pytest.param(
            [wire.encode([wire.Welcome(wire.VERSION, b"l" * 16, 10, 10)])], "useful size", id="a useless message size"
        ),
    ],
)
async def test_a_hostile_relay_is_left_and_people_are_told(
    relays: Relays, until: Until, messages: list[bytes | str], sentence: str
) -> None:
    async with false_relay(*messages) as url:
        transport = await relays.transport(url)
        transport.subscribe(TOPIC, START)
        await until(lambda: transport.status().reason.startswith(f"The relay at {url} "))
        await until(lambda: re.search(sentence, transport.status().reason) is not None)
        await transport.close()


async def test_something_that_is_no_relay_is_named_so(relays: Relays, until: Until) -> None:
    async def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(404, "nothing here\n")

    async def nothing(socket: ServerConnection) -> None: ...

    async with serve(nothing, "127.0.0.1", 0, process_request=refuse) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(InvalidStatus):
            await connect(url, proxy=None)
        transport = await relays.transport(url)
        await until(lambda: "HTTP 404" in transport.status().reason)
        await transport.close()


async def test_acceptances_and_deliveries_nobody_asked_for_are_ignored(relays: Relays, until: Until) -> None:
    stray: list[wire.RelayFrame] = [
        wire.Accepted(77),
        wire.Refused(78, wire.Reason.FULL, "no"),
        wire.CaughtUp(5),
        wire.Deliver(6, 1, b"\x00x"),
    ]
    end = wire.encode([wire.Failed(wire.Reason.TOO_SLOW, "That was all.")])
    async with false_relay(WELCOME, wire.encode(stray), end) as url:
        transport = await relays.transport(url)
        receiving = asyncio.create_task(transport.receive())
        await until(lambda: "That was all." in transport.status().reason)
        assert not receiving.done()
        receiving.cancel()
        await asyncio.wait([receiving])
        await transport.close()
