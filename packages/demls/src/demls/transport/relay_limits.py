"""How much may one node ask of a relay, and all of them together? Every bound of the relay's server stands here."""

from __future__ import annotations

from dataclasses import dataclass

from demls.transport.relay_protocol import FRAME_BYTES_MAX


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """The bounds of a relay. What the log keeps is bounded by ``LogLimits``.

    In memory a connection holds at most about three messages of ``message_bytes_max`` and ``page_bytes``; besides,
    the server holds ``pending_bytes_max`` that are not yet durable and ``recent_bytes_max`` that are.
    """

    message_bytes_max: int = FRAME_BYTES_MAX
    """Largest WebSocket message; a larger one ends the connection. At most FRAME_BYTES_MAX, which nodes count on."""

    connections_max: int = 1_024
    connections_per_host_max: int = 512
    subscriptions_max: int = 4_096
    """A connection."""

    bytes_per_second: int = 16 * 1024 * 1024
    frames_per_second: int = 10_000
    """A connection; beyond both it is read more slowly."""

    burst_seconds: float = 2.0
    """How much of an unused rate is saved up."""

    unaccepted_max: int = 1_024
    """Envelopes of one connection that are not yet durable or whose acceptance it has not yet read."""

    pending_bytes_max: int = 32 * 1024 * 1024
    batch_bytes: int = 4 * 1024 * 1024
    """What is made durable at once, about."""

    recent_bytes_max: int = 16 * 1024 * 1024
    """Newest envelopes, delivered from memory; whoever is further behind is served from the disk."""

    page_bytes: int = 256 * 1024
    """What is sent to a connection at once, about."""

    credit_max: int = 2**31 - 1

    hello_seconds: float = 10.0
    """Until the first frame has come."""

    send_seconds: float = 30.0
    """A connection that takes nothing for so long is ended."""

    ping_seconds: float = 20.0
    """A connection that is silent for so long is asked for a sign of life, and ended after as long again."""

    close_seconds: float = 2.0

    def __post_init__(self) -> None:
        if self.message_bytes_max > FRAME_BYTES_MAX:
            raise ValueError(
                f"Nodes read messages of at most {FRAME_BYTES_MAX} bytes: a relay may not take larger ones."
            )


class TokenBucket:
    """A rate, as a bucket that fills by itself. Spending more than is in it leaves a debt, and a time to wait."""

    __slots__ = ("_capacity", "_level", "_rate", "_when")

    def __init__(self, rate_per_second: float, burst_seconds: float, now: float) -> None:
        """``now``: seconds of any clock that only goes forward."""
        self._rate = rate_per_second
        self._capacity = rate_per_second * burst_seconds
        self._level = self._capacity
        self._when = now

    def spend(self, amount: float, now: float) -> float:
        """Take ``amount``; how many seconds to wait until the debt is paid, 0 if there is none."""
        self._level = min(self._capacity, self._level + (now - self._when) * self._rate) - amount
        self._when = now
        return max(0.0, -self._level / self._rate)
