"""What every transport promises: envelopes in, envelopes out, at least once, with a place to resume from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from demls.wire.ids import Cursor, Instant, Topic


class TransportError(Exception):
    """Root of what transports raise. The text is a whole sentence for people."""


class EnvelopeRefused(TransportError):
    """The transport will never accept this envelope (too large, not allowed): do not try again."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One envelope as it arrived. Saving ``cursor`` with what it caused makes a restart continue after it."""

    topic: Topic
    cursor: Cursor
    payload: bytes


@dataclass(frozen=True, slots=True)
class TransportStatus:
    """What people are told about the connection; ``reason`` is a sentence, empty while connected."""

    where: str
    connected: bool
    reason: str
    since: Instant


class Transport(Protocol):
    """A way to publish envelopes on topics and to receive what others publish.

    Envelopes may arrive twice, late, in another order, or never. All methods belong to one event loop.
    """

    async def start(self) -> None:
        """Begin to connect; returns at once, connecting and reconnecting go on in the background."""

    async def close(self) -> None: ...

    async def publish(self, topic: Topic, payload: bytes) -> None:
        """Returns when the transport has accepted the envelope for delivery; waits while it is away.

        Raises EnvelopeRefused.
        """

    def subscribe(self, topic: Topic, after: Cursor) -> None:
        """Deliver what is on ``topic`` after ``after`` (b"": all that is kept) and what comes. Idempotent."""

    def unsubscribe(self, topic: Topic) -> None: ...

    async def receive(self) -> Delivery:
        """The next envelope of any subscribed topic; waits for one. A slow caller slows the transport down."""

    def status(self) -> TransportStatus: ...

    async def wait_caught_up(self) -> None:
        """Returns when everything that was kept for the subscribed topics has been handed to ``receive``."""
