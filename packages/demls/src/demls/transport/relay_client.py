"""How does a node use a relay? It connects again and again, and continues each topic where it was.

Reading and publishing share one connection. Deliveries come only as fast as ``receive`` is called (credit), while
acceptances always come; so a caller that publishes between two receives never waits for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import random
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException
from websockets.uri import parse_uri

from demls.transport import relay_protocol as wire
from demls.transport.base import Delivery, EnvelopeRefused, TransportError, TransportStatus
from demls.transport.segments import FRAME_BYTES_MIN, Reassembler, ReassemblyLimits, split
from demls.transport.sockets import is_second_end
from demls.transport.waiting import Notice
from demls.wire.ids import Cursor, Instant, Topic

_LOGGER = logging.getLogger("demls.transport")
_CURSOR = struct.Struct(f">{wire.LOG_ID_BYTES}sQ")
_CLOSED = "The connection to the relay has been closed."
_MESSAGE_BYTES_MAX = 2 * wire.FRAME_BYTES_MAX


_REASSEMBLY = ReassemblyLimits()


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """The bounds of one connection to a relay; durations in seconds."""

    segment_bytes: int = 256 * 1024
    """Larger payloads travel in segments."""

    window_bytes: int = 4 * 1024 * 1024
    """Deliveries that wait for ``receive``, or are on their way."""

    unaccepted_max: int = 512
    """Publications under way; what is beyond waits in ``publish``, together with what is beyond the bytes."""

    unaccepted_bytes_max: int = 8 * 1024 * 1024
    message_bytes: int = 256 * 1024
    """What is sent at once, about."""

    retry_first: float = 0.5
    retry_max: float = 30.0
    stable_after: float = 5.0
    """A connection that lasted so long makes the next failure the first again."""

    open_timeout: float = 10.0
    ping: float = 20.0
    close_timeout: float = 2.0
    reassembly: ReassemblyLimits = _REASSEMBLY


@dataclass(slots=True, eq=False)
class _Subscription:
    """``resume``: the cursor of the last frame taken. ``number``: of this connection."""

    topic: Topic
    resume: Cursor
    number: int
    is_live: bool = True


@dataclass(slots=True, eq=False)
class _Publication:
    topic: Topic
    frame: bytes
    answer: asyncio.Future[None]


class _Lost(Exception):
    """The connection is of no more use; the text says why, in half a sentence."""


class RelayTransport:
    """A ``Transport`` over one relay. Cursors are the relay's log and a place in it."""

    def __init__(
        self,
        url: str,
        *,
        limits: ClientLimits | None = None,
        clock: Callable[[], Instant] = lambda: Instant(time.time_ns() // 1_000_000),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """``url``: ws://host:port or wss://host:port. ``jitter``: numbers from 0 to 1 that spread reconnections.

        Raises TransportError if ``url`` is none.
        """
        try:
            parse_uri(url)
        except (InvalidURI, ValueError) as problem:
            raise TransportError(
                f"“{url}” is not the address of a relay; it looks like ws://host:port or wss://host:port."
            ) from problem
        self._url = url
        self._limits = limits or ClientLimits()
        self._clock = clock
        self._jitter = jitter
        self._notice = Notice()
        self._running: asyncio.Task[None] | None = None
        self._is_closed = False

        self._is_connected = False
        self._reason = f"Connecting to the relay at {url}."
        self._retry_at: float | None = None
        self._since = clock()
        self._log = b""
        self._frame_bytes_max = 0  # unknown until the first welcome

        self._work = asyncio.Event()
        self._controls: deque[wire.NodeFrame] = deque()
        self._numbers = 0

        self._unsent: deque[int] = deque()
        self._unaccepted: dict[int, _Publication] = {}
        self._unaccepted_bytes = 0
        self._publish_turn = asyncio.Lock()
        self._refusals = 0

        self._subscriptions: dict[Topic, _Subscription] = {}
        self._by_number: dict[int, _Subscription] = {}
        self._behind: set[Topic] = set()
        self._reassembler = Reassembler(self._limits.reassembly)
        self._queue: deque[tuple[_Subscription, Delivery]] = deque()
        self._queued_bytes = 0
        self._queued_count = 0
        self._taken_count = 0
        self._caught_up_at = 0
        self._outstanding = 0

    async def start(self) -> None:
        if self._running is None and not self._is_closed:
            self._running = asyncio.create_task(self._run(), name="relay connection")

    async def close(self) -> None:
        """Harmless when repeated. Whoever waits in another method gets TransportError."""
        self._is_closed = True
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
            self._running = None
        self._is_connected, self._reason, self._retry_at = False, _CLOSED, None
        for publication in self._unaccepted.values():
            if not publication.answer.done():
                publication.answer.set_exception(TransportError(_CLOSED))
        self._notice.notify()

    def status(self) -> TransportStatus:
        reason = self._reason
        if self._retry_at is not None:
            seconds = max(1, round(self._retry_at - asyncio.get_running_loop().time()))
            reason = f"{reason}; trying again in {seconds} s."
        return TransportStatus(self._url, self._is_connected and not reason, reason, self._since)

    # Publishing

    async def publish(self, topic: Topic, payload: bytes) -> None:
        """As the contract says; the relay accepts when the envelope is on its disk.

        Publications of several callers keep the order of their calls, unless the relay refuses one for now.
        """
        if len(topic) != wire.TOPIC_BYTES:
            raise ValueError(f"A topic has {wire.TOPIC_BYTES} bytes.")
        mine: list[int] = []
        answers: list[asyncio.Future[None]] = []
        try:
            async with self._publish_turn:  # first come, first served
                await self._wait_until(lambda: self._frame_bytes_max > 0)
                for frame in split(payload, min(self._limits.segment_bytes, self._frame_bytes_max)):
                    await self._wait_until(self._has_room)
                    number = self._next_number()
                    publication = _Publication(topic, frame, asyncio.get_running_loop().create_future())
                    self._unaccepted[number] = publication
                    self._unaccepted_bytes += len(frame)
                    mine.append(number)
                    answers.append(publication.answer)
                    self._unsent.append(number)
                    self._work.set()
            for answer in answers:
                await answer
        finally:
            for number in mine:
                self._settle(number)
            for answer in answers:
                if not answer.cancel() and not answer.cancelled():
                    answer.exception()  # looked at: only the first of them is raised

    def _has_room(self) -> bool:
        limits = self._limits
        return len(self._unaccepted) < limits.unaccepted_max and self._unaccepted_bytes < limits.unaccepted_bytes_max

    def _settle(self, number: int) -> _Publication | None:
        publication = self._unaccepted.pop(number, None)
        if publication is not None:
            self._unaccepted_bytes -= len(publication.frame)
            self._notice.notify()
        return publication

    # Receiving

    def subscribe(self, topic: Topic, after: Cursor) -> None:
        """As the contract says. A topic that is subscribed already goes on where it is, whatever ``after`` says."""
        if len(topic) != wire.TOPIC_BYTES:
            raise ValueError(f"A topic has {wire.TOPIC_BYTES} bytes.")
        if topic in self._subscriptions:
            return
        subscription = _Subscription(topic, after, 0)
        self._subscriptions[topic] = subscription
        self._behind.add(topic)
        self._reassembler.begin(topic, after)
        if self._log and self._is_connected:
            self._ask_for(subscription)

    def unsubscribe(self, topic: Topic) -> None:
        subscription = self._subscriptions.pop(topic, None)
        if subscription is None:
            return
        subscription.is_live = False
        self._behind.discard(topic)
        self._reassembler.forget(topic)
        if self._by_number.pop(subscription.number, None) is not None:
            self._send(wire.Unsubscribe(subscription.number))
        self._notice.notify()

    async def receive(self) -> Delivery:
        while True:
            await self._wait_until(lambda: bool(self._queue))
            subscription, delivery = self._queue.popleft()
            self._queued_bytes -= wire.delivery_cost(len(delivery.payload))
            self._taken_count += 1
            self._give_credit()
            if not self._queue:
                self._notice.notify()  # wait_caught_up may go on
            if subscription.is_live:
                return delivery

    async def wait_caught_up(self) -> None:
        await self._wait_until(lambda: not self._behind and self._taken_count >= self._caught_up_at)

    async def _wait_until(self, is_true: Callable[[], bool]) -> None:
        def is_possible() -> bool:
            if self._is_closed:
                raise TransportError(_CLOSED)
            return is_true()

        await self._notice.wait_until(is_possible)

    # The connection

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        delays = self._delays()
        while True:
            begun = loop.time()
            try:
                await self._connect_once()
            except _Lost as lost:
                why = str(lost)
            except Exception as problem:
                if isinstance(problem, AttributeError) and is_second_end(problem):
                    why = "has ended the connection"
                else:
                    _LOGGER.exception("The connection to the relay has been ended by an error of this program.")
                    why = "was lost by an error of this program"
            if loop.time() - begun > self._limits.stable_after:
                delays = self._delays()
            delay = next(delays)
            self._leave(f"The relay at {self._url} {why}", loop.time() + delay)
            await asyncio.sleep(delay)

    def _delays(self) -> Iterator[float]:
        """Doubling, each up to a half shorter, so that the nodes of a relay that was away do not come all at once."""
        delay = self._limits.retry_first
        while True:
            yield delay * (1 - self._jitter() / 2)
            delay = min(2 * delay, self._limits.retry_max)

    async def _connect_once(self) -> None:
        """One connection, from beginning to end. Always raises, _Lost for what can happen to any connection."""
        limits = self._limits
        try:
            async with connect(
                self._url,
                compression=None,
                max_size=_MESSAGE_BYTES_MAX,
                max_queue=4,
                open_timeout=limits.open_timeout,
                ping_interval=limits.ping,
                ping_timeout=limits.ping,
                close_timeout=limits.close_timeout,
            ) as connection:
                await self._converse(connection)
        except ConnectionClosed:
            raise _Lost("has ended the connection") from None
        except TimeoutError:
            raise _Lost("does not answer") from None
        except wire.NotUnderstood:
            raise _Lost("says something that is not understood; is it a relay, and of the same version?") from None
        except InvalidStatus as problem:
            raise _Lost(f"refuses the connection (HTTP {problem.response.status_code}); is it a relay?") from None
        except (InvalidHandshake, WebSocketException):
            raise _Lost("does not answer as a relay does; is the address right?") from None
        except OSError as problem:
            raise _Lost(f"cannot be reached ({_short(problem)})") from None

    async def _converse(self, connection: ClientConnection) -> None:
        self._outstanding = max(0, self._limits.window_bytes - self._queued_bytes)
        await connection.send(wire.encode([wire.Hello(wire.VERSION, self._outstanding)]))
        async with asyncio.timeout(self._limits.open_timeout):
            frames = wire.decode_from_relay(await connection.recv())
        welcome = frames.pop(0)
        if isinstance(welcome, wire.Failed):
            raise _Lost(f"refuses the connection: {_printable(welcome.sentence)}")
        if not isinstance(welcome, wire.Welcome) or welcome.version != wire.VERSION:
            raise wire.NotUnderstood("no welcome")
        frame_bytes_max = welcome.frame_bytes_max - wire.FRAME_OVERHEAD_BYTES
        if frame_bytes_max < FRAME_BYTES_MIN:
            raise _Lost("takes no messages of a useful size")
        self._enter(welcome.log, frame_bytes_max)
        for frame in frames:
            self._take(frame)
        tasks = [
            asyncio.create_task(self._read_forever(connection), name="relay reader"),
            asyncio.create_task(self._write_forever(connection), name="relay writer"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
        raise _Lost("has ended the connection")

    def _enter(self, log: bytes, frame_bytes_max: int) -> None:
        """The relay has welcomed: ask again for all that is subscribed, send again all that is not accepted."""
        self._log = log
        self._frame_bytes_max = frame_bytes_max
        self._is_connected, self._reason, self._retry_at = True, "", None
        self._since = self._clock()
        self._controls.clear()
        self._by_number.clear()
        for subscription in self._subscriptions.values():
            self._ask_for(subscription)
        self._unsent = deque(self._unaccepted)
        self._work.set()
        self._notice.notify()

    def _leave(self, reason: str, retry_at: float) -> None:
        if self._is_connected or not self._retry_at:
            self._since = self._clock()
            _LOGGER.warning("%s; trying again.", reason)
        self._is_connected, self._reason, self._retry_at = False, reason, retry_at
        self._by_number.clear()
        self._behind = set(self._subscriptions)

    def _ask_for(self, subscription: _Subscription) -> None:
        place = _place(subscription.resume, self._log)
        if place == 0 and subscription.resume:
            # A place in another log: this one is read from its beginning.
            subscription.resume = Cursor(b"")
            self._reassembler.begin(subscription.topic, subscription.resume)
        subscription.number = self._next_number()
        self._by_number[subscription.number] = subscription
        self._send(wire.Subscribe(subscription.number, subscription.topic, place))

    async def _read_forever(self, connection: ClientConnection) -> None:
        while True:
            for frame in wire.decode_from_relay(await connection.recv()):
                self._take(frame)

    def _take(self, frame: wire.RelayFrame) -> None:
        match frame:
            case wire.Deliver():
                self._take_delivery(frame)
            case wire.Accepted(number):
                publication = self._settle(number)
                self._refusals = 0
                if self._reason:
                    self._reason, self._since = "", self._clock()
                if publication is not None and not publication.answer.done():
                    publication.answer.set_result(None)
            case wire.Refused():
                self._take_refusal(frame)
            case wire.CaughtUp(number):
                subscription = self._by_number.get(number)
                if subscription is not None:
                    self._behind.discard(subscription.topic)
                    self._caught_up_at = self._queued_count
                    self._notice.notify()
            case wire.Failed():
                raise _Lost(f"has ended the connection: {_printable(frame.sentence)}")
            case wire.Welcome():
                raise wire.NotUnderstood("a second welcome")

    def _take_delivery(self, frame: wire.Deliver) -> None:
        if self._outstanding <= 0:
            raise wire.NotUnderstood("more than was asked for")
        self._outstanding -= wire.delivery_cost(len(frame.payload))
        subscription = self._by_number.get(frame.number)
        if subscription is not None:
            subscription.resume = Cursor(_CURSOR.pack(self._log, frame.seq))
            complete = self._reassembler.add(subscription.topic, subscription.resume, frame.payload)
            if complete is not None:
                self._queue.append((subscription, Delivery(subscription.topic, complete.cursor, complete.payload)))
                self._queued_bytes += wire.delivery_cost(len(complete.payload))
                self._queued_count += 1
                self._notice.notify()
        self._give_credit()

    def _take_refusal(self, frame: wire.Refused) -> None:
        publication = self._unaccepted.get(frame.id)
        if publication is None:
            return
        sentence = _printable(frame.sentence)
        if frame.reason in (wire.Reason.TOO_LARGE, wire.Reason.NOT_UNDERSTOOD):
            self._settle(frame.id)
            if not publication.answer.done():
                publication.answer.set_exception(EnvelopeRefused(f"The relay refuses this message: {sentence}"))
            return
        self._refusals += 1
        if not self._reason:
            self._reason, self._since = f"The relay at {self._url} takes no messages now: {sentence}", self._clock()
            _LOGGER.warning("%s", self._reason)
        limits = self._limits
        delay = min(limits.retry_max, limits.retry_first * 2 ** min(self._refusals, 16))
        asyncio.get_running_loop().call_later(delay, self._send_again, frame.id)

    def _send_again(self, number: int) -> None:
        if number in self._unaccepted and self._is_connected:
            self._unsent.append(number)
            self._work.set()

    def _give_credit(self) -> None:
        room = self._limits.window_bytes - self._queued_bytes - self._outstanding
        if self._is_connected and room >= self._limits.window_bytes // 2:
            self._outstanding += room
            self._send(wire.Credit(room))

    async def _write_forever(self, connection: ClientConnection) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while frames := self._next_frames():
                await connection.send(wire.encode(frames))

    def _next_frames(self) -> list[wire.NodeFrame]:
        frames: list[wire.NodeFrame] = []
        size = 0
        while self._controls and len(frames) < wire.MESSAGE_FRAMES_MAX:
            frames.append(self._controls.popleft())
            size += wire.FRAME_OVERHEAD_BYTES
        size_max = min(self._limits.message_bytes, self._frame_bytes_max)
        while self._unsent and len(frames) < wire.MESSAGE_FRAMES_MAX:
            publication = self._unaccepted.get(self._unsent[0])
            if publication is not None:
                cost = len(publication.frame) + wire.FRAME_OVERHEAD_BYTES
                if frames and size + cost > size_max:
                    break
                frames.append(wire.Publish(self._unsent[0], publication.topic, publication.frame))
                size += cost
            self._unsent.popleft()
        return frames

    def _send(self, frame: wire.NodeFrame) -> None:
        self._controls.append(frame)
        self._work.set()

    def _next_number(self) -> int:
        while True:
            self._numbers = (self._numbers + 1) % 2**32
            if self._numbers not in self._unaccepted and self._numbers not in self._by_number:
                return self._numbers


def _place(cursor: Cursor, log: bytes) -> int:
    """The sequence in ``cursor`` if it is of ``log``, else 0: the beginning."""
    if len(cursor) == _CURSOR.size:
        found, seq = _CURSOR.unpack(cursor)
        if found == log and seq < 2**63:
            return int(seq)
    return 0


def _printable(text: str) -> str:
    """What a relay says, fit to be shown: it is somebody else's text."""
    return "".join(character if character.isprintable() else " " for character in text[:300])


def _short(problem: OSError) -> str:
    if isinstance(problem, socket.gaierror):
        return "its host name is not known here"
    if problem.errno == errno.ECONNREFUSED or f"[Errno {errno.ECONNREFUSED}]" in str(problem):
        return "nothing answers at this address"
    return os.strerror(problem.errno).lower() if problem.errno else "no way to it"
