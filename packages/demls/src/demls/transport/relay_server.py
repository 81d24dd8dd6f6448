"""Who keeps envelopes and hands them on? A WebSocket server with its own durable log: the embedded relay.

    connection ── publish ──▶ pending ── one thread, one fsync a batch ──▶ log
        ▲                                                                   │
        └── deliver ── writer of the connection ◀── newest (memory), older (pages of the log)

A publication is accepted when it is durable. A connection's writer sends only as much as the node has given credit
for, so a slow reader costs a place in the log and no memory. Whatever arrives that is not the protocol is counted,
answered once, and ends that connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from demls.transport import relay_protocol as wire
from demls.transport.base import TransportError
from demls.transport.relay_limits import RelayLimits, TokenBucket
from demls.transport.relay_log import LogCounts, RelayLog
from demls.transport.relay_recent import Recent
from demls.transport.sockets import abort, is_second_end
from demls.transport.waiting import Notice
from demls.wire.ids import Instant, Topic

DEFAULT_PORT = 7373

_LOGGER = logging.getLogger("demls.relay")
_CONTROLS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class RelayStats:
    """Counters since the start, and what is so now (connections, subscriptions, log)."""

    connections: int
    subscriptions: int
    connections_total: int
    connections_refused: int
    handshakes_refused: int
    messages_refused: int
    accepted: int
    accepted_bytes: int
    refused: int
    delivered: int
    delivered_bytes: int
    throttled: int
    too_slow: int
    log: LogCounts


@dataclass(slots=True)
class _Counters:
    connections_total: int = 0
    connections_refused: int = 0
    handshakes_refused: int = 0
    messages_refused: int = 0
    accepted: int = 0
    accepted_bytes: int = 0
    refused: int = 0
    delivered: int = 0
    delivered_bytes: int = 0
    throttled: int = 0
    too_slow: int = 0


class _Ended(Exception):
    """The connection is to be ended, for this reason."""

    def __init__(self, reason: wire.Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence


@dataclass(slots=True, eq=False)
class _Subscription:
    """``position``: all up to this sequence has been sent. ``history_end``: where what was kept at first ends."""

    number: int
    topic: Topic
    position: int
    history_end: int
    is_caught_up: bool = False


@dataclass(slots=True, eq=False)
class _Connection:
    """``answers``: waiting to be sent, bounded by ``unaccepted_max``. ``behind``: subscriptions that may have more."""

    socket: ServerConnection
    credit: int = 0
    unaccepted: int = 0
    is_gone: bool = False
    answers: deque[wire.RelayFrame] = field(default_factory=deque)
    subscriptions: dict[int, _Subscription] = field(default_factory=dict)
    behind: dict[int, _Subscription] = field(default_factory=dict)
    work: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class _Pending:
    connection: _Connection
    frame: wire.Publish


class RelayServer:
    """A relay on one address. ``start``, then ``stop``, or ``async with``. The log stays the caller's to close."""

    def __init__(
        self,
        log: RelayLog,
        *,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        limits: RelayLimits | None = None,
        clock: Callable[[], Instant] = lambda: Instant(time.time_ns() // 1_000_000),
    ) -> None:
        """``port`` 0: any free one, see ``port`` after ``start``. ``clock``: milliseconds, for the age of envelopes."""
        self._log = log
        self._host = host
        self._port = port
        self._limits = limits or RelayLimits()
        self._clock = clock
        self._server: Server | None = None
        self._committer: asyncio.Task[None] | None = None
        self._counters = _Counters()
        self._hosts: Counter[str] = Counter()
        self._connections: set[_Connection] = set()
        self._readers: dict[Topic, dict[_Subscription, _Connection]] = {}
        self._pending: deque[_Pending] = deque()
        self._pending_bytes = 0
        self._has_pending = asyncio.Event()
        self._has_room = Notice()
        self._head = log.last_seq()
        self._recent = Recent(self._limits.recent_bytes_max, self._head)
        self._log_writer = ThreadPoolExecutor(1, "relay-log-writer")
        self._log_reader = ThreadPoolExecutor(1, "relay-log-reader")

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """What nodes on this machine connect to."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ws://{host}:{self._port}"

    async def start(self) -> None:
        """Listen. Raises TransportError if the address cannot be had."""
        limits = self._limits
        try:
            self._server = await serve(
                self._handle,
                self._host,
                self._port,
                compression=None,  # what is sealed does not get smaller
                max_size=limits.message_bytes_max,
                max_queue=1,
                open_timeout=limits.hello_seconds,
                ping_interval=limits.ping_seconds,
                ping_timeout=limits.ping_seconds,
                close_timeout=limits.close_seconds,
                process_request=_answer_health,
                server_header=None,
                create_connection=_gated(self._admit, self._leave),
                logger=logging.Logger("demls.relay.websocket", logging.CRITICAL + 1),
            )
        except OSError as problem:
            raise TransportError(self._no_address(problem)) from problem
        self._port = next(iter(self._server.sockets)).getsockname()[1]
        self._committer = asyncio.create_task(self._commit_forever(), name="relay committer")

    async def stop(self) -> None:
        """Say goodbye to all, make durable what was being made so, and let go. Harmless when repeated."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        if self._committer is not None:
            self._committer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._committer
            self._committer = None
        self._log_writer.shutdown()
        self._log_reader.shutdown()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def stats(self) -> RelayStats:
        """The counters as they stand; costs next to nothing."""
        return RelayStats(
            connections=len(self._connections),
            subscriptions=sum(len(connection.subscriptions) for connection in self._connections),
            log=self._log.counts(),
            **asdict(self._counters),
        )

    # Connections

    def _admit(self, host: str) -> bool:
        """One more connection from ``host``, before anything has been read from it."""
        self._hosts[host] += 1
        is_welcome = (
            self._hosts.total() <= self._limits.connections_max
            and self._hosts[host] <= self._limits.connections_per_host_max
        )
        self._counters.connections_total += 1
        self._counters.connections_refused += not is_welcome
        return is_welcome

    def _leave(self, host: str, was_request: bool) -> None:
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]
        self._counters.handshakes_refused += not was_request

    async def _handle(self, socket: ServerConnection) -> None:
        connection = _Connection(socket)
        self._connections.add(connection)
        writer: asyncio.Task[None] | None = None
        try:
            frames = await self._greet(connection)
            writer = asyncio.create_task(self._write_forever(connection), name="relay writer")
            await self._take(connection, frames)
            await self._read_forever(connection)
        except ConnectionClosed as problem:
            if problem.sent is not None and problem.sent.code in (1002, 1007, 1009):  # theirs was the fault
                self._counters.messages_refused += 1
        except wire.NotUnderstood:
            self._counters.messages_refused += 1
            await self._end(connection, wire.Reason.NOT_UNDERSTOOD, "This is not what nodes and relays say.")
        except _Ended as end:
            await self._end(connection, end.reason, end.sentence)
        except Exception as problem:
            _report(problem)
        finally:
            if writer is not None:
                writer.cancel()
                await asyncio.wait([writer])
            for number in list(connection.subscriptions):
                self._unsubscribe(connection, number)
            self._connections.discard(connection)

    async def _greet(self, connection: _Connection) -> list[wire.NodeFrame]:
        """Hello and welcome; what came together with the hello."""
        try:
            async with asyncio.timeout(self._limits.hello_seconds):
                frames = wire.decode_from_node(await connection.socket.recv())
        except TimeoutError:
            raise _Ended(wire.Reason.TOO_SLOW, "No hello has come.") from None
        hello = frames[0]
        if not isinstance(hello, wire.Hello):
            raise wire.NotUnderstood("no hello")
        if hello.version != wire.VERSION:
            raise _Ended(
                wire.Reason.NOT_UNDERSTOOD,
                f"The relay speaks version {wire.VERSION} and the node version {hello.version}; "
                "update the older of the two.",
            )
        connection.credit = hello.credit
        limits = self._limits
        welcome = wire.Welcome(wire.VERSION, self._log.log_id, limits.message_bytes_max, limits.subscriptions_max)
        connection.answers.append(welcome)
        connection.work.set()
        return frames[1:]

    async def _end(self, connection: _Connection, reason: wire.Reason, sentence: str) -> None:
        """Say why, if the other side still listens, and close."""
        try:
            async with asyncio.timeout(self._limits.close_seconds):
                await connection.socket.send(wire.encode([wire.Failed(reason, sentence)]))
                await connection.socket.close(1008)
        except (ConnectionClosed, TimeoutError, AttributeError) as problem:
            if isinstance(problem, AttributeError):
                _report(problem)
            abort(connection.socket)

    # Reading from nodes

    async def _read_forever(self, connection: _Connection) -> None:
        loop = asyncio.get_running_loop()
        limits = self._limits
        bytes_rate = TokenBucket(limits.bytes_per_second, limits.burst_seconds, loop.time())
        frames_rate = TokenBucket(limits.frames_per_second, limits.burst_seconds, loop.time())
        while True:
            message = await connection.socket.recv()
            frames = wire.decode_from_node(message)
            now = loop.time()
            wait = max(bytes_rate.spend(len(message), now), frames_rate.spend(len(frames), now))
            if wait > 0:
                self._counters.throttled += 1
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await connection.socket.wait_closed()
            await self._take(connection, frames)

    async def _take(self, connection: _Connection, frames: Sequence[wire.NodeFrame]) -> None:
        for frame in frames:
            match frame:
                case wire.Publish():
                    await self._submit(connection, frame)
                case wire.Subscribe():
                    self._subscribe(connection, frame)
                case wire.Unsubscribe(number):
                    self._unsubscribe(connection, number)
                case wire.Credit(amount):
                    connection.credit = min(connection.credit + amount, self._limits.credit_max)
                    connection.work.set()
                case wire.Hello():
                    raise wire.NotUnderstood("a second hello")

    async def _submit(self, connection: _Connection, frame: wire.Publish) -> None:
        limits = self._limits
        if connection.unaccepted >= limits.unaccepted_max or self._pending_bytes >= limits.pending_bytes_max:
            await self._has_room.wait_until(
                lambda: (
                    connection.is_gone
                    or (
                        connection.unaccepted < limits.unaccepted_max and self._pending_bytes < limits.pending_bytes_max
                    )
                )
            )
        connection.unaccepted += 1
        self._pending.append(_Pending(connection, frame))
        self._pending_bytes += wire.delivery_cost(len(frame.payload))
        self._has_pending.set()

    def _subscribe(self, connection: _Connection, frame: wire.Subscribe) -> None:
        if frame.number in connection.subscriptions:
            raise wire.NotUnderstood("a subscription's number is in use")
        if len(connection.subscriptions) >= self._limits.subscriptions_max:
            raise _Ended(
                wire.Reason.TOO_MANY_SUBSCRIPTIONS,
                f"The relay serves at most {self._limits.subscriptions_max} topics to one node; leave some groups, "
                "or ask whoever runs the relay to allow more.",
            )
        topic = Topic(frame.topic)
        # A place that this log has not reached yet: it was restored from an older copy, so begin anew.
        after = frame.after if frame.after <= self._head else 0
        subscription = _Subscription(frame.number, topic, after, self._head)
        connection.subscriptions[frame.number] = subscription
        connection.behind[frame.number] = subscription
        self._readers.setdefault(topic, {})[subscription] = connection
        connection.work.set()

    def _unsubscribe(self, connection: _Connection, number: int) -> None:
        subscription = connection.subscriptions.pop(number, None)
        if subscription is None:
            return
        connection.behind.pop(number, None)
        readers = self._readers[subscription.topic]
        del readers[subscription]
        if not readers:
            del self._readers[subscription.topic]

    # Making durable

    async def _commit_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._has_pending.wait()
            batch = self._next_batch()
            entries = [(Topic(pending.frame.topic), pending.frame.payload) for pending in batch]
            try:
                seqs = await loop.run_in_executor(self._log_writer, self._log.append, entries, self._clock())
            except TransportError as problem:
                _LOGGER.error("%s", problem)  # noqa: TRY400 (a sentence for people, no fault of the program)
                self._refuse(batch)
            except Exception:
                _LOGGER.exception("Envelopes could not be kept because of an error of the relay.")
                self._refuse(batch)
            else:
                self._accept(batch, seqs)
            self._has_room.notify()

    def _next_batch(self) -> list[_Pending]:
        batch = []
        size = 0
        while self._pending and size < self._limits.batch_bytes:
            pending = self._pending.popleft()
            batch.append(pending)
            size += wire.delivery_cost(len(pending.frame.payload))
        self._pending_bytes -= size
        if not self._pending:
            self._has_pending.clear()
        return batch

    def _accept(self, batch: Sequence[_Pending], seqs: Sequence[int]) -> None:
        for pending, seq in zip(batch, seqs, strict=True):
            frame, connection = pending.frame, pending.connection
            topic = Topic(frame.topic)
            self._recent.add(seq, topic, frame.payload)
            connection.answers.append(wire.Accepted(frame.id))
            connection.work.set()
            self._counters.accepted += 1
            self._counters.accepted_bytes += len(frame.payload)
        self._head = seqs[-1]
        for changed in {pending.frame.topic for pending in batch}:
            for subscription, connection in self._readers.get(Topic(changed), {}).items():
                connection.behind[subscription.number] = subscription
                connection.work.set()

    def _refuse(self, batch: Sequence[_Pending]) -> None:
        sentence = "The relay cannot keep messages now: its disk is full or fails. It will be tried again."
        for pending in batch:
            pending.connection.answers.append(wire.Refused(pending.frame.id, wire.Reason.FULL, sentence))
            pending.connection.work.set()
            self._counters.refused += 1

    # Writing to nodes

    async def _write_forever(self, connection: _Connection) -> None:
        try:
            while True:
                await connection.work.wait()
                connection.work.clear()
                while frames := await self._next_frames(connection):
                    async with asyncio.timeout(self._limits.send_seconds):
                        await connection.socket.send(wire.encode(frames))
        except ConnectionClosed:
            pass
        except TimeoutError:
            self._counters.too_slow += 1
            abort(connection.socket)
        except TransportError as problem:
            _LOGGER.error("%s", problem)  # noqa: TRY400 (a sentence for people, no fault of the program)
            abort(connection.socket)
        except Exception as problem:
            _report(problem)
            abort(connection.socket)
        finally:
            connection.is_gone = True
            self._has_room.notify()

    async def _next_frames(self, connection: _Connection) -> list[wire.RelayFrame]:
        """What is to be sent now: answers first, then about a page of deliveries, topics in turn."""
        frames: list[wire.RelayFrame] = []
        while connection.answers and len(frames) < _CONTROLS_AT_ONCE:
            answer = connection.answers.popleft()
            connection.unaccepted -= isinstance(answer, wire.Accepted | wire.Refused)
            frames.append(answer)
        if frames:
            self._has_room.notify()
        room = self._limits.page_bytes
        while room > 0 and connection.credit > 0 and connection.behind and len(frames) < wire.MESSAGE_FRAMES_MAX - 1:
            subscription = connection.behind.pop(next(iter(connection.behind)))
            deliveries = await self._next_deliveries(connection, subscription, room, len(frames))
            if connection.subscriptions.get(subscription.number) is not subscription:
                continue  # unsubscribed while the log was read
            frames += deliveries
            room -= sum(len(delivery.payload) for delivery in deliveries)
            self._counters.delivered += len(deliveries)
            self._counters.delivered_bytes += sum(len(delivery.payload) for delivery in deliveries)
            if not subscription.is_caught_up and subscription.position >= subscription.history_end:
                subscription.is_caught_up = True
                frames.append(wire.CaughtUp(subscription.number))
        return frames

    async def _next_deliveries(
        self, connection: _Connection, subscription: _Subscription, room: int, frames_before: int
    ) -> list[wire.Deliver]:
        """The next of one subscription, moving its position and spending credit; it stays behind if that was not all.

        At least one if there is any, whatever its size, so that nothing is ever stuck.
        """
        head = self._head
        count_max = wire.MESSAGE_FRAMES_MAX - 1 - frames_before
        entries = self._recent.after(subscription.topic, subscription.position)
        was_all = entries is not None
        if entries is None:
            entries = await asyncio.get_running_loop().run_in_executor(
                self._log_reader, self._log.page, subscription.topic, subscription.position, count_max, room
            )
            was_all = len(entries) < count_max and sum(len(payload) for _, payload in entries) < room
        deliveries: list[wire.Deliver] = []
        for seq, payload in entries:
            if connection.credit <= 0 or room <= 0 or len(deliveries) >= count_max:
                was_all = False
                break
            connection.credit -= wire.delivery_cost(len(payload))
            room -= len(payload)
            deliveries.append(wire.Deliver(subscription.number, seq, payload))
            subscription.position = seq
        if was_all:
            subscription.position = max(subscription.position, head)
        else:
            connection.behind[subscription.number] = subscription
        return deliveries

    def _no_address(self, problem: OSError) -> str:
        where = f"{self._host}:{self._port}"
        if problem.errno == errno.EADDRINUSE:
            return (
                f"Port {self._port} on {self._host} is in use by another program; "
                "stop that program or choose another port."
            )
        if problem.errno in (errno.EACCES, errno.EPERM):
            return f"This user may not listen on {where}; choose a port from 1024 up."
        return f"The relay cannot listen on {where} ({problem.strerror or problem}); choose another host or port."


def _report(problem: Exception) -> None:
    """A fault of this program, with a traceback for its authors."""
    if not (isinstance(problem, AttributeError) and is_second_end(problem)):
        _LOGGER.error("A connection has been ended by an error of the relay.", exc_info=problem)


def _answer_health(connection: ServerConnection, request: Request) -> Response | None:
    """An ordinary GET of /health is answered, for whoever watches over the process; all else must be a WebSocket."""
    if request.path == "/health":
        return connection.respond(HTTPStatus.OK, json.dumps({"status": "ok"}) + "\n")
    return None


def _gated(admit: Callable[[str], bool], leave: Callable[[str, bool], None]) -> type[ServerConnection]:
    """Connections that are counted from the first packet on, before any handshake."""

    class GatedConnection(ServerConnection):
        host = ""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            peer = transport.get_extra_info("peername")
            self.host = str(peer[0]) if peer else ""
            if not admit(self.host):
                self.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            leave(self.host, self.request is not None)
            super().connection_lost(exc)

    return GatedConnection
