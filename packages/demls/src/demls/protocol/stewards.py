"""Who may commit now? The steward list, its generation and rotation, and the order of leaders of a round.

Source: LIP-104 §Steward list creation, §Layer 1; the order continues over all members, so that a round never depends
on stewards being there (LIP-104 §Layer 3, recovery mode).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from demls.protocol.roster import Roster
from demls.wire.chain import LostTurn, StewardListing
from demls.wire.framing import by_digest
from demls.wire.ids import Address, Epoch, GroupId, Head, View


@dataclass(frozen=True, slots=True)
class StewardList:
    """A list as generated; it serves from ``since`` on, one epoch for each of its members.

    ``excluded``: settled members that were left out of the pool, ``departed``: those of the pool who have left since;
    with them everybody can generate the list again (``is_genuine``).
    """

    members: tuple[Address, ...]
    since: Epoch
    election_epoch: Epoch
    retry_round: int = 0
    excluded: tuple[Address, ...] = ()
    departed: tuple[Address, ...] = ()

    @classmethod
    def read(cls, listing: StewardListing) -> StewardList:
        return cls(
            tuple(Address(member) for member in listing.members),
            Epoch(listing.since),
            Epoch(listing.election_epoch),
            listing.retry_round,
            tuple(Address(member) for member in listing.excluded),
            tuple(Address(member) for member in listing.departed),
        )

    def listing(self) -> StewardListing:
        """The form in which joiners get it."""
        return StewardListing(
            self.members, self.since, self.election_epoch, self.retry_round, self.excluded, self.departed
        )

    def is_exhausted(self, epoch: Epoch) -> bool:
        """Has every steward had its epoch? Until there is a new list, the turns go round."""
        return epoch >= self.since + len(self.members)

    def active(self, since: Mapping[Address, Epoch]) -> tuple[Address, ...]:
        """Those still in, in list order; who left and came back is no steward any more."""
        return tuple(
            member
            for member in self.members
            if member in since and is_settled(since[member], self.election_epoch) and member not in self.departed
        )

    def rotated(self, epoch: Epoch, roster: Roster) -> tuple[Address, ...]:
        """The stewards in the order of turns for ``epoch``: epoch steward first, backup steward second.

        Whoever is not eligible any more is passed over (LIP-104 §Layer 1).
        """
        if not self.members:
            return ()
        start = (epoch - self.since) % len(self.members)
        eligible = set(self.active(roster.since())) & roster.counted
        return tuple(member for member in self.members[start:] + self.members[:start] if member in eligible)


def is_settled(joined: Epoch, epoch: Epoch) -> bool:
    """Only who was in before ``epoch`` can become a steward for it; in the founder's epoch, the founder."""
    return joined < epoch or joined == epoch == 0


def settled_pool(since: Mapping[Address, Epoch], epoch: Epoch) -> frozenset[Address]:
    """Who is settled in at ``epoch``, of members with these epochs of joining."""
    return frozenset(since).difference(_unsettled(since, epoch))


def count_settled(roster: Roster, epoch: Epoch) -> int:
    """How many counted members are settled in at ``epoch``. O(n)."""
    return len(roster.counted.difference(_unsettled(roster.since(), epoch)))


def _unsettled(since: Mapping[Address, Epoch], epoch: Epoch) -> list[Address]:
    """Few of many, as a rule, so these are what is looked for."""
    if not epoch:
        return [member for member, joined in since.items() if not is_settled(joined, epoch)]
    return [member for member, joined in since.items() if joined >= epoch]


def list_size(pool: int, stewards_min: int, stewards_max: int) -> int:
    """How long a list drawn from ``pool`` members is: all of them below the minimum, else at most the maximum."""
    return pool if pool < stewards_min else min(stewards_max, pool)


def generate(
    pool: Iterable[Address], size: int, epoch: Epoch, retry_round: int, group_id: GroupId
) -> tuple[Address, ...]:
    """The only valid list for these inputs, whoever computes it: members by SHA-256, the first ``size`` of them.

    Key: SHA-256(epoch, 8 bytes big-endian ‖ retry round, 4 bytes big-endian ‖ member id ‖ group id).
    """
    seed = epoch.to_bytes(8, "big") + retry_round.to_bytes(4, "big")

    def key(member: Address) -> tuple[bytes, Address]:
        return hashlib.sha256(seed + member + group_id).digest(), member

    return tuple(sorted(set(pool), key=key)[:size])


def is_genuine(listed: StewardList, since: Mapping[Address, Epoch], group_id: GroupId) -> bool:
    """Is this the list that its own inputs and the members' epochs of joining give? For joiners: O(n log n)."""
    epoch, size = listed.election_epoch, len(listed.members)
    pool = (settled_pool(since, epoch) | frozenset(listed.departed)) - frozenset(listed.excluded)
    return 0 < size <= len(pool) and listed.members == generate(pool, size, epoch, listed.retry_round, group_id)


def departed(
    listed: StewardList,
    before: Mapping[Address, Epoch],
    after: Mapping[Address, Epoch],
    touched: Iterable[Address],
    reseated: Iterable[Address] = (),
) -> StewardList:
    """The same list after some members have left or been replaced by newcomers of the same address.

    ``touched``: nobody else came or went between ``before`` and ``after``.
    ``reseated``: who was given a new leaf. The place was that of the old one, and ends with it.
    """
    anew = frozenset(reseated)
    changed = [member for member in touched if member in before and after.get(member) != before[member]]
    gone = {
        member
        for member in (*changed, *(anew & before.keys()))
        if is_settled(before[member], listed.election_epoch)
        and (member in anew or member not in after or not is_settled(after[member], listed.election_epoch))
    }
    gone -= set(listed.departed)
    return replace(listed, departed=listed.departed + tuple(sorted(gone))) if gone else listed


def leaders(
    stewards: StewardList, roster: Roster, epoch: Epoch, head: Head, lost: Iterable[LostTurn] = ()
) -> tuple[Address, ...]:
    """Everybody who may lead a view of this state, in the order of views.

    Stewards in the order of turns, then all other counted members by SHA-256(head, member), then those who lost a
    turn lately. Only the chain enters, never local knowledge, so all members agree; of any f + 1 leaders one is
    honest. O(n log n), once an epoch.
    """
    behind = {Address(turn.member_id) for turn in lost} & roster.counted
    listed = stewards.rotated(epoch, roster)
    others = roster.counted.difference(listed)
    by_place = by_digest(others, b"demls leader 1", head)
    everybody = listed + tuple(map(by_place.__getitem__, sorted(by_place)))
    if not behind:
        return everybody
    return tuple(a for a in everybody if a not in behind) + tuple(a for a in everybody if a in behind)


def leader_of(order: tuple[Address, ...], view: View) -> Address:
    """The one member that may offer a candidate in ``view``."""
    return order[view % len(order)]
