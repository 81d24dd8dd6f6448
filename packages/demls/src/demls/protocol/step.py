"""One call to the core, while it lasts: the time it happens at, and what it says and tells."""

from __future__ import annotations

from demls.protocol.channel import Channel
from demls.protocol.events import Event, Reason, Rejected
from demls.wire.ids import Instant
from demls.wire.messages import Payload


class Step:
    """Collects what one call causes; the facade turns it into ``Effects``."""

    __slots__ = ("channel", "events", "is_known", "learned", "now", "said")

    def __init__(self, now: Instant, channel: Channel) -> None:
        self.now = now
        self.channel = channel
        """The group's channel now; it changes when a commit is settled in the middle of the step."""
        self.events: list[Event] = []
        self.said: list[tuple[Channel, Payload]] = []
        self.learned = 0
        """How many of the events have been scored."""
        self.is_known = False
        """Was the message known already, or refused, so that nothing but the time has changed?"""

    def say(self, payload: Payload, channel: Channel | None = None) -> None:
        """Send to the group, or on a certain channel."""
        self.said.append((channel or self.channel, payload))

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def refuse(self, reason: Reason, detail: str) -> None:
        """Something from the network is not acceptable; nothing changes."""
        self.events.append(Rejected(reason, detail))
