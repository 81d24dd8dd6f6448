"""Who may commit now? The steward list, its generation and rotation, and the order of leaders of a round.

Source: LIP-104 §Steward list creation, §Steward rotation; the order continues over all members, so that a round
never depends on stewards being there (LIP-104 §Layer 3, recovery mode).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from demls.protocol.roster import Roster
from demls.wire.ids import Address, Epoch, GroupId, Head, View
from demls.wire.messages import digest


@dataclass(frozen=True, slots=True)
class StewardList:
    """``members`` in list order; the list serves from epoch ``since`` on."""

    members: tuple[Address, ...]
    since: Epoch

    def rotated(self, epoch: Epoch) -> tuple[Address, ...]:
        """The list in the order of turns for ``epoch``: epoch steward first, backup steward second."""
        if not self.members:
            return ()
        start = (epoch - self.since) % len(self.members)
        return self.members[start:] + self.members[:start]


def list_size(pool: int, stewards_min: int, stewards_max: int) -> int:
    """How long a list drawn from ``pool`` members is: all of them below the minimum, else at most the maximum."""
    return pool if pool < stewards_min else min(stewards_max, pool)


def generate(pool: Iterable[Address], size: int, epoch: Epoch, retry_round: int, group_id: GroupId) -> StewardList:
    """The only valid list for these inputs, whoever computes it: members by SHA-256, the first ``size`` of them.

    Key: SHA-256(epoch, 8 bytes big-endian ‖ retry round, 4 bytes big-endian ‖ member id ‖ group id).
    """
    seed = epoch.to_bytes(8, "big") + retry_round.to_bytes(4, "big")

    def key(member: Address) -> tuple[bytes, Address]:
        return hashlib.sha256(seed + member + group_id).digest(), member

    return StewardList(tuple(sorted(set(pool), key=key)[:size]), epoch)


def continued(stewards: StewardList, roster: Roster, epoch: Epoch, group_id: GroupId) -> StewardList:
    """The list after a commit: who left is struck out; an empty list is drawn anew from all members, of size one."""
    remaining = tuple(address for address in stewards.members if address in roster.addresses)
    if remaining == stewards.members:
        return stewards
    if remaining:
        return StewardList(remaining, epoch)
    return generate(roster.addresses, 1, epoch, 0, group_id)


def leaders(stewards: StewardList, roster: Roster, epoch: Epoch, head: Head) -> tuple[Address, ...]:
    """Everybody who may lead a view of this state, in the order of views.

    Stewards in the order of turns, then all other members by SHA-256(head, member). Only the chain enters, never
    local knowledge, so all members agree; of any f + 1 leaders one is honest. O(n log n), once an epoch.
    """
    first = tuple(address for address in stewards.rotated(epoch) if address in roster.addresses)
    others = roster.addresses.difference(first)
    return first + tuple(sorted(others, key=lambda address: digest(b"demls leader 1", head, address)))


def leader_of(order: tuple[Address, ...], view: View) -> Address:
    """The one member that may offer a candidate in ``view``."""
    return order[view % len(order)]
