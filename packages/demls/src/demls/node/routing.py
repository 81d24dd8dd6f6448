"""Who reads which topic? Subscriptions of all scopes on the one transport, and each delivery to its readers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from demls.transport.base import Delivery, Transport
from demls.wire.ids import Cursor, Topic

BEGINNING = Cursor(b"")


class Listener(Protocol):
    async def offer(self, delivery: Delivery) -> None:
        """Take a delivery in; waits while too many are queued."""


class Router:
    """Belongs to the event loop."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._listeners: dict[Topic, list[Listener]] = {}

    def listen(self, listener: Listener, topic: Topic, after: Cursor) -> None:
        """Deliver ``topic`` to ``listener`` from ``after`` on. Others on the topic may get envelopes twice."""
        listeners = self._listeners.setdefault(topic, [])
        if listener in listeners:
            return
        if listeners:
            self._transport.unsubscribe(topic)
        listeners.append(listener)
        self._transport.subscribe(topic, after)

    def forget(self, listener: Listener, topic: Topic) -> None:
        listeners = self._listeners.get(topic, [])
        if listener in listeners:
            listeners.remove(listener)
        if not listeners and self._listeners.pop(topic, None) is not None:
            self._transport.unsubscribe(topic)

    async def deliver_forever(self) -> None:
        """Hand every delivery to its listeners; a full listener slows the transport down."""
        while True:
            delivery = await self._transport.receive()
            for listener in tuple(self._listeners.get(delivery.topic, ())):
                await listener.offer(delivery)


class Subscribed:
    """The topics that one listener is subscribed to; follows the wishes of its machine."""

    def __init__(self, router: Router, listener: Listener) -> None:
        self._router = router
        self._listener = listener
        self._topics: frozenset[Topic] = frozenset()

    @property
    def topics(self) -> frozenset[Topic]:
        return self._topics

    def follow(self, topics: frozenset[Topic], cursors: Mapping[Topic, Cursor]) -> frozenset[Topic]:
        """Subscribe to exactly ``topics``, new ones from their cursors on; returns those that were given up."""
        given_up = self._topics - topics
        for topic in given_up:
            self._router.forget(self._listener, topic)
        for topic in topics - self._topics:
            self._router.listen(self._listener, topic, cursors.get(topic, BEGINNING))
        self._topics = topics
        return given_up

    def stop(self) -> None:
        self.follow(frozenset(), {})
