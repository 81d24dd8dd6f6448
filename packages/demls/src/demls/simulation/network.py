"""Whom does an envelope reach, and when? A broadcast medium with loss, repeats, delay, cuts and, if wanted, history.

With history (a relay) a node reads what was published on its topics while it was down or cut off; without it, what is
missed is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from random import Random

from demls.simulation.clock import Clock
from demls.simulation.scenario import CALM, Weather
from demls.wire.ids import Topic

HISTORY_MAX = 3_000
"""Envelopes that a topic's history keeps."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is published: ``number`` counts all envelopes of the world."""

    number: int
    sender: str
    topic: Topic
    payload: bytes


Receiver = Callable[[Envelope], bool]
"""Takes an envelope; says whether somebody was there to take it."""

IsCut = Callable[[str, str], bool]
"""Is the way from one node to another cut now?"""


IsHidden = Callable[[Envelope], bool]
"""Does the relay withhold an envelope now, from everybody?"""

_TAIL_MOST = 60_000


class Network:
    """All nodes are on it by name; which topics they read is told with ``subscribe``."""

    def __init__(self, clock: Clock, dice: Random, *, has_history: bool) -> None:
        self.weather: Weather = CALM
        self.cuts: list[IsCut] = []
        self.hides: list[IsHidden] = []
        self.forgets = 0.0
        """Share of envelopes that are not in the history."""
        self.published = 0
        self.delivered = 0
        self._clock = clock
        self._dice = dice
        self._has_history = has_history
        self._receivers: dict[str, Receiver] = {}
        self._topics: dict[str, frozenset[Topic]] = {}
        self._readers: dict[Topic, dict[str, None]] = {}
        self._history: dict[Topic, list[Envelope]] = {}
        self._got: dict[str, set[int]] = {}

    def connect(self, name: str, receiver: Receiver) -> None:
        self._receivers[name] = receiver
        self._topics[name] = frozenset()
        self._got[name] = set()

    def subscribe(self, name: str, topics: frozenset[Topic]) -> None:
        """Read these topics from now on, and with history what was published on the new ones before."""
        before = self._topics[name]
        if topics == before:
            return
        self._topics[name] = topics
        for topic in sorted(before - topics):
            self._readers[topic].pop(name, None)
        for topic in sorted(topics - before):
            self._readers.setdefault(topic, {})[name] = None
            self._read_back(name, topic)

    def catch_up(self, name: str) -> None:
        """Back on the network: with history, read what was missed."""
        for topic in sorted(self._topics[name]):
            self._read_back(name, topic)

    def publish(self, sender: str, topic: Topic, payload: bytes, only: Collection[str] | None = None) -> None:
        """Send to all readers of the topic but the sender, or ``only`` to some of them."""
        self.published += 1
        envelope = Envelope(self.published, sender, topic, payload)
        if self._has_history and only is None and not (self.forgets and self._dice.random() < self.forgets):
            kept = self._history.setdefault(topic, [])
            kept.append(envelope)
            if len(kept) > HISTORY_MAX:
                del kept[0]
        if self.hides and self._is_hidden(envelope):
            return
        weather, dice = self.weather, self._dice
        for name in self._readers.get(topic, ()):
            if name == sender or (only is not None and name not in only):
                continue
            if self.cuts and self._is_cut(sender, name):
                continue
            if weather.loss and dice.random() < weather.loss:
                continue
            self._send(name, envelope)
            if weather.repeats and dice.random() < weather.repeats:
                self._send(name, envelope)

    def _is_hidden(self, envelope: Envelope) -> bool:
        return any(is_hidden(envelope) for is_hidden in self.hides)

    def _is_cut(self, sender: str, receiver: str) -> bool:
        return any(is_cut(sender, receiver) for is_cut in self.cuts)

    def _send(self, name: str, envelope: Envelope) -> None:
        weather, dice = self.weather, self._dice
        delay = weather.delay_least + int(dice.random() * (weather.delay_most - weather.delay_least))
        if weather.stragglers and dice.random() < weather.stragglers:
            delay *= 10
        if weather.tail:
            delay = min(_TAIL_MOST, int(delay * dice.paretovariate(weather.tail)))
        self._clock.after(delay, lambda: self.arrive(name, envelope))

    def arrive(self, name: str, envelope: Envelope) -> None:
        if envelope.topic not in self._topics[name]:
            return
        if self._receivers[name](envelope):
            self.delivered += 1
            if self._has_history:
                self._got[name].add(envelope.number)

    def _read_back(self, name: str, topic: Topic) -> None:
        got = self._got[name]
        for place, envelope in enumerate(self._history.get(topic, ())):
            if envelope.number not in got and envelope.sender != name and not self._is_hidden(envelope):
                self._clock.after(self.weather.delay_least + place, lambda it=envelope: self.arrive(name, it))  # type: ignore[misc]
