"""How do several nodes of one process talk? Through a hub that keeps history and, for tests, loses and shuffles.

Faults are drawn from a seeded ``random.Random``, each time an endpoint comes across an envelope: the history itself
is never harmed, so a later subscription from an earlier cursor finds what was lost.
"""

from __future__ import annotations

import enum
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from demls.transport.base import Delivery, EnvelopeRefused, TransportError, TransportStatus
from demls.transport.segments import PAYLOAD_BYTES_MAX
from demls.transport.waiting import Notice
from demls.wire.ids import Cursor, Instant, Topic

_CURSOR = struct.Struct(">8sQ")


@dataclass(frozen=True, slots=True)
class Faults:
    """Chances from 0 to 1 for each envelope at each endpoint; ``reorder_span``: how far one may overtake another."""

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    reorder_span: int = 8


@dataclass(slots=True)
class _History:
    """``first``: the number of the oldest envelope still kept; numbers begin at 1."""

    first: int = 1
    kept: deque[bytes] = field(default_factory=deque)

    @property
    def end(self) -> int:
        return self.first + len(self.kept)


class MemoryHub:
    """The place where the endpoints of one process meet. Belongs to one event loop.

    ``kept_max``: envelopes kept a topic; older ones are forgotten.
    """

    __slots__ = ("_clock", "_histories", "_kept_max", "_listeners", "_tag", "faults", "random")

    def __init__(
        self,
        *,
        seed: int = 0,
        faults: Faults | None = None,
        kept_max: int = 100_000,
        clock: Callable[[], Instant] = lambda: Instant(0),
    ) -> None:
        self.random = Random(seed)  # noqa: S311 (faults for tests, not secrets)
        self.faults = faults or Faults()
        self._kept_max = kept_max
        self._clock = clock
        self._tag = self.random.randbytes(8)
        self._histories: dict[Topic, _History] = {}
        self._listeners: dict[Topic, dict[MemoryTransport, None]] = {}

    def endpoint(self) -> MemoryTransport:
        """A new transport that meets the others here."""
        return MemoryTransport(self)

    def now(self) -> Instant:
        """The hub's clock."""
        return self._clock()

    def listen(self, topic: Topic, endpoint: MemoryTransport) -> None:
        """Wake ``endpoint`` when something is published on ``topic``."""
        self._listeners.setdefault(topic, {})[endpoint] = None

    def unlisten(self, topic: Topic, endpoint: MemoryTransport) -> None:
        """End of ``listen``."""
        self._listeners.get(topic, {}).pop(endpoint, None)

    def history(self, topic: Topic) -> list[bytes]:
        """What is kept of ``topic``, oldest first."""
        return list(self._history(topic).kept)

    def add(self, topic: Topic, payload: bytes) -> None:
        """Append to the history and wake everybody who listens."""
        history = self._history(topic)
        history.kept.append(payload)
        if len(history.kept) > self._kept_max:
            history.kept.popleft()
            history.first += 1
        for endpoint in self._listeners.get(topic, ()):
            endpoint.wake(topic)

    def read(self, topic: Topic, number: int) -> tuple[int, bytes] | None:
        """The first kept envelope of ``topic`` with at least ``number``, and its own number."""
        history = self._history(topic)
        number = max(number, history.first)
        return (number, history.kept[number - history.first]) if number < history.end else None

    def cursor(self, number: int) -> Cursor:
        """The place just after envelope ``number`` of a topic."""
        return Cursor(_CURSOR.pack(self._tag, number))

    def number(self, cursor: Cursor) -> int:
        """The inverse of ``cursor``; 0, the beginning, for a cursor of another hub."""
        if len(cursor) == _CURSOR.size:
            tag, number = _CURSOR.unpack(cursor)
            if tag == self._tag:
                return int(number)
        return 0

    def _history(self, topic: Topic) -> _History:
        return self._histories.setdefault(topic, _History())


class _State(enum.Enum):
    """Where an endpoint stands; the value is what people are told."""

    NEW = "The connection has not been started."
    CONNECTED = ""
    AWAY = "This endpoint is switched off; waiting until it is on again."
    CLOSED = "The connection has been closed."


@dataclass(slots=True)
class _Subscription:
    """``next``: number of the first envelope not looked at. ``waiting``: looked at, not yet handed out."""

    next: int
    waiting: list[tuple[int, bytes]] = field(default_factory=list)


class MemoryTransport:
    """One endpoint of a hub; a ``Transport``. ``publish`` never blocks for long: history is the only queue."""

    __slots__ = ("_hub", "_notice", "_ready", "_since", "_state", "_subscriptions")

    def __init__(self, hub: MemoryHub) -> None:
        """Use ``MemoryHub.endpoint``."""
        self._hub = hub
        self._subscriptions: dict[Topic, _Subscription] = {}
        self._ready: dict[Topic, None] = {}  # topics that may have something, in the order of their turns
        self._notice = Notice()
        self._state = _State.NEW
        self._since = hub.now()

    async def start(self) -> None:
        self._enter(_State.CONNECTED)

    async def close(self) -> None:
        for topic in list(self._subscriptions):
            self.unsubscribe(topic)
        self._enter(_State.CLOSED)

    def disconnect(self) -> None:
        """For tests: nothing goes in or out until ``reconnect``; ``publish`` and ``receive`` wait."""
        self._enter(_State.AWAY)

    def reconnect(self) -> None:
        """End of ``disconnect``."""
        self._enter(_State.CONNECTED)

    async def publish(self, topic: Topic, payload: bytes) -> None:
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise EnvelopeRefused(
                f"A message of {len(payload)} bytes is more than this connection carries; send a smaller one."
            )
        await self._wait_until(lambda: True)
        self._hub.add(topic, payload)

    def subscribe(self, topic: Topic, after: Cursor) -> None:
        if topic not in self._subscriptions:
            self._subscriptions[topic] = _Subscription(self._hub.number(after) + 1)
            self._hub.listen(topic, self)
            self.wake(topic)

    def unsubscribe(self, topic: Topic) -> None:
        if self._subscriptions.pop(topic, None) is not None:
            self._hub.unlisten(topic, self)
            self._ready.pop(topic, None)
            self._notice.notify()

    async def receive(self) -> Delivery:
        while True:
            await self._wait_until(lambda: bool(self._ready))
            delivery = self._take_turn()
            if not self._ready:
                self._notice.notify()  # wait_caught_up may go on
            if delivery is not None:
                return delivery

    def status(self) -> TransportStatus:
        return TransportStatus("memory", self._state is _State.CONNECTED, self._state.value, self._since)

    async def wait_caught_up(self) -> None:
        await self._wait_until(lambda: not self._ready)

    def wake(self, topic: Topic) -> None:
        """There may be something new on ``topic``. Called by the hub."""
        if self._looked_at_all(topic):
            return
        self._ready[topic] = None
        self._notice.notify()

    def _looked_at_all(self, topic: Topic) -> bool:
        subscription = self._subscriptions[topic]
        return not subscription.waiting and self._hub.read(topic, subscription.next) is None

    def _take_turn(self) -> Delivery | None:
        """One envelope of the topic whose turn it is; None if faults have swallowed what there was."""
        topic = next(iter(self._ready))
        del self._ready[topic]
        subscription = self._subscriptions[topic]
        faults, random = self._hub.faults, self._hub.random
        span = faults.reorder_span if faults.reordering else 1
        while len(subscription.waiting) < span and (found := self._hub.read(topic, subscription.next)) is not None:
            subscription.next = found[0] + 1
            if random.random() >= faults.loss:
                subscription.waiting.append(found)
        delivery = None
        if subscription.waiting:
            place = random.randrange(len(subscription.waiting)) if random.random() < faults.reordering else 0
            _, payload = subscription.waiting[place]
            if random.random() >= faults.duplication:
                del subscription.waiting[place]
            # Just before the oldest that has not been handed out: a restart from here loses nothing.
            done = min((waiting for waiting, _ in subscription.waiting), default=subscription.next) - 1
            delivery = Delivery(topic, self._hub.cursor(done), payload)
        if not self._looked_at_all(topic):
            self._ready[topic] = None
        return delivery

    def _enter(self, state: _State) -> None:
        self._state, self._since = state, self._hub.now()
        self._notice.notify()

    async def _wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Returns when the endpoint is connected and ``is_ready``. Raises TransportError when it is closed."""

        def is_possible() -> bool:
            if self._state is _State.CLOSED:
                raise TransportError(_State.CLOSED.value)
            return self._state is _State.CONNECTED and is_ready()

        await self._notice.wait_until(is_possible)
