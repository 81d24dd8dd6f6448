"""What does a group choose for itself? Its charter, with the policy by which it decides and scores."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from demls.wire import demls_pb2 as pb
from demls.wire.codec import Size, encode
from demls.wire.fields import ROSTER_MAX, AddressBytes, Digest32
from demls.wire.framing import digest


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of proposal is decided: ``duration`` in ms; what silence means at its end (n > 2 only).

    ``share``: code of ``demls_consensus.Share``; ``decided_by``: a ``Deciders``.
    """

    duration: int
    silence_is_yes: bool
    share: int = 2
    decided_by: int = 1


class Deciders(IntEnum):
    """Whose votes decide: all members, or the stewards alone (LIP-104 §Multi steward with small consensuses)."""

    MEMBERS = 1
    STEWARDS = 2


@dataclass(frozen=True, slots=True)
class Scoring:
    """Points of the peer scores; all but the first three say how much a deed counts (LIP-104 §Peer scoring).

    ``start``: of a newcomer; at ``threshold`` or below a member is accused; ``heal``: points back in each epoch.
    """

    start: int
    threshold: int
    heal: int
    broken_commit: int
    broken_proposal: int
    misbehaving: int
    equivocation: int
    lost_turn: int
    committed: int
    upheld: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Policy:
    """The group's own choices, the same for all members. Durations in ms.

    ``batch_window``: how long the first leader of a round waits for more approved work; ``delivery_time``: expected
    time from one member to all others, twice this (at least 4 s) is the first view's time. ``reelections_max``: so
    often an election is tried again in one epoch (LIP-104 max_reelection_attempts). ``dormant_after``: a member not
    heard for so long may be counted no longer; 0: never. In groups of more than ``ack_limit`` members a committee
    acknowledges commits: the stewards, and ``committee`` members drawn for each epoch; 0: 1,000 and 256.
    """

    preset: Annotated[str, Size(1, 32)]
    invite: Rule
    remove: Rule
    batch_window: int
    delivery_time: int
    stewards_min: int
    stewards_max: int
    election: Rule
    settings: Rule
    reelections_max: int
    dormant_after: int
    emergency: Rule
    scoring: Scoring
    ack_limit: int = 0
    committee: int = 0


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The state of the group that this one goes on from; ``founders``: those of it whose admission is agreed."""

    group_id: Digest32
    epoch: int
    head: Digest32
    founders: Annotated[tuple[AddressBytes, ...], Size(0, ROSTER_MAX)]


@dataclass(frozen=True, slots=True)
class Charter:
    """GroupContext extension. ``rendezvous``: secret of the topic on which joiners and returning members meet."""

    version: int
    profile: Annotated[str, Size(1, 32)]
    name: Annotated[str, Size(1, 320)]
    description: Annotated[str, Size(0, 2000)]
    rendezvous: Digest32
    policy: Policy
    predecessor: Annotated[tuple[Predecessor, ...], Size(0, 1)] = ()

    @property
    def digest(self) -> bytes:
        """What a ``Settings`` proposal names to say which charter it changes."""
        return digest(b"demls charter 1", encode(self, pb.Charter))
