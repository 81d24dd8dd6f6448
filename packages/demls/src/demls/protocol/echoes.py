"""Which envelopes of the network are the own ones, come back?

A transport delivers to all who listen, the sender too. What this process has sealed itself it knows, so its echo is not
opened. After a restart, or from a backup, own envelopes are read as anybody's: they may say what was lost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from demls.protocol import policy as bounds
from demls.protocol.channel import seal
from demls.protocol.effects import Outbound
from demls.protocol.engine import Engine
from demls.protocol.step import Step
from demls.wire.ids import Topic


class Echoes:
    """Remembers the newest ``OWN_ENVELOPES_KEPT`` envelopes that were sealed here, by their SHA-256."""

    def __init__(self) -> None:
        self._own: dict[bytes, None] = {}

    def seal(self, step: Step, engine: Engine) -> tuple[Outbound, ...]:
        """What a step says, as envelopes."""
        sealed = tuple(Outbound(channel.topic, seal(channel, payload, engine)) for channel, payload in step.said)
        for envelope in sealed:
            self._own[hashlib.sha256(envelope.payload).digest()] = None
        while len(self._own) > bounds.OWN_ENVELOPES_KEPT:
            del self._own[next(iter(self._own))]
        return sealed

    def without(self, envelopes: Sequence[tuple[Topic, bytes]]) -> Sequence[tuple[Topic, bytes]]:
        """Those that were not sealed here."""
        if not self._own:
            return envelopes
        return [envelope for envelope in envelopes if hashlib.sha256(envelope[1]).digest() not in self._own]
