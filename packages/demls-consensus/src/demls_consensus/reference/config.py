"""By which settings does a session of the reference crates run?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique

from .arithmetic import TWO_THIRDS, Version, threshold_value
from .faults import Fault


@unique
class Network(Enum):
    """How votes travel, which is how rounds are counted (LIP-73 §4 Liveness)."""

    GOSSIPSUB = "gossipsub"
    """Round 1 is the proposal, round 2 all votes."""
    P2P = "p2p"
    """Every vote is a round."""


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """Settings of a session; the defaults are the crates' `gossipsub` preset.

    threshold: share of the expected voters, 0 to 1. timeout_s: when to call the timeout, for the
    caller to act on. rounds_max: None for the network's default, which is 2 for gossip and the
    threshold's share of n for P2P. `fault` says what is wrong with the values.
    """

    version: Version = Version.V0_6_0
    network: Network = Network.GOSSIPSUB
    threshold: float = TWO_THIRDS
    timeout_s: float = 60.0
    rounds_max: int | None = None

    @property
    def fault(self) -> Fault | None:
        """What is wrong with these settings, or None."""
        if not 0.0 <= self.threshold <= 1.0:
            return Fault.INVALID_CONSENSUS_THRESHOLD
        if self.timeout_s <= 0:
            return Fault.INVALID_TIMEOUT
        if self.rounds_max == 0 and self.network is Network.GOSSIPSUB:
            return Fault.INVALID_MAX_ROUNDS
        return None

    def round_limit(self, n: int) -> int:
        """Return how many rounds a vote of `n` expected voters may take."""
        if self.network is Network.GOSSIPSUB:
            return 2 if self.rounds_max is None else self.rounds_max
        return self.rounds_max or threshold_value(n, self.threshold)


STRICT = SessionConfig(threshold=0.9)
"""The crates' `strict_consensus` preset."""
FAST = SessionConfig(threshold=0.6, timeout_s=30.0)
"""The crates' `fast_consensus` preset."""
