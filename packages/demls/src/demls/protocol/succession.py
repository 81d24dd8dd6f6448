"""What follows from a commit besides MLS: stewards, turns lost, dormancy, the age of keys?

A function of the chain alone: every member computes it from the state before and the commit, the sync that admits
joiners states it, and check V15 compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from demls.protocol import policy as bounds
from demls.protocol.resync import reseated_after
from demls.protocol.roster import Roster
from demls.protocol.stewards import StewardList, departed, generate, is_settled, list_size, settled_pool
from demls.wire.chain import Deed, DeedKind, KeyAge, LostTurn, Reseated, Succession
from demls.wire.charters import Policy
from demls.wire.fields import DEEDS_MAX
from demls.wire.ids import Address, Epoch, GroupId, Instant, View
from demls.wire.messages import (
    Awake,
    Change,
    Dormant,
    Settings,
    StewardElection,
)

_NO_TIME = Instant(0)


@dataclass(frozen=True, slots=True)
class Carried:
    """A commit, as far as succession depends on it.

    ``pool`` and ``dormant``: who was settled, and who dormant, in the epoch of an election that it carries.
    ``removed`` and ``added`` do not name who is ``reseated``: given a new leaf, the same member.
    """

    changes: tuple[Change, ...]
    removed: frozenset[Address]
    added: frozenset[Address]
    committer: Address
    view: View
    pool: frozenset[Address]
    dormant: frozenset[Address]
    upheld: frozenset[Address] = frozenset()
    """Who opened the emergencies that it carries."""
    reseated: frozenset[Address] = frozenset()
    time: Instant = _NO_TIME
    """Chain time of the commit."""
    renewed: frozenset[Address] = frozenset()
    """Whose leaf, besides those added, has a new encryption key: by an Update, or by the path of the commit."""


def follow(
    commit: Carried,
    *,
    epoch: Epoch,
    roster: Roster,
    stewards: StewardList,
    lost: Iterable[LostTurn],
    deeds: tuple[Deed, ...],
    leaders: tuple[Address, ...],
    policy: Policy,
    group_id: GroupId,
    reseated: tuple[Reseated, ...] = (),
    keys: Iterable[KeyAge] = (),
) -> Succession:
    """What holds after ``commit`` leaves ``epoch``, whose roster, list, turns lost, leaders and so on are given.

    O(n log n).
    """
    entered = Epoch(epoch + 1)
    before = roster.since()
    after = dict(before)
    for member in commit.removed & after.keys():
        del after[member]
    after |= dict.fromkeys(commit.added, entered)
    touched = commit.removed | commit.added
    dormant = _dormant(commit.changes, roster, after)
    settings = next((change for change in commit.changes if isinstance(change, Settings)), None)
    elected = next((change for change in commit.changes if isinstance(change, StewardElection)), None)
    policy = settings.policy if settings is not None else policy
    given = reseated_after(reseated, commit.reseated, entered, commit.time, after)
    if elected is None:
        listed = departed(stewards, before, after, touched, commit.reseated)
    else:
        listed = _elected(elected, commit, entered, after)
        anew = {Address(one.member_id) for one in given if one.epoch > elected.election_epoch}
        listed = departed(listed, before, after, touched, anew)
    listed = _continued(listed, entered, after, dormant, policy, group_id)
    lost_now = _lost(commit, epoch, lost, leaders, after, dormant)
    new = _deeds(commit, epoch, leaders)
    asleep, aged = tuple(sorted(dormant)), _keys(commit, entered, keys, after)
    return Succession(listed.listing(), lost_now, asleep, (*deeds, *new)[-DEEDS_MAX:], given, aged)


def _keys(
    commit: Carried, entered: Epoch, keys: Iterable[KeyAge], after: Mapping[Address, Epoch]
) -> tuple[KeyAge, ...]:
    """Since when each member has the encryption key that its leaf has now, by member. O(n): they are in order."""
    fresh = (commit.renewed | commit.added | commit.reseated) & after.keys()
    ages = list(keys)
    known = frozenset([Address(age.member_id) for age in ages])
    gone = (known - after.keys()) | (known & fresh)
    if gone:
        ages = [age for age in ages if age.member_id not in gone]
    ages += [KeyAge(member, entered, commit.time) for member in fresh]
    ages += [KeyAge(member, after[member], 0) for member in after.keys() - known - fresh]
    return tuple(sorted(ages, key=attrgetter("member_id")))


def _dormant(changes: Iterable[Change], roster: Roster, after: Mapping[Address, Epoch]) -> frozenset[Address]:
    asleep = set(roster.dormant)
    for change in changes:
        if isinstance(change, Dormant):
            asleep.add(Address(change.member_id))
        elif isinstance(change, Awake):
            asleep.discard(Address(change.member_id))
    return frozenset(member for member in asleep if member in after and after[member] == roster.since().get(member))


def _elected(elected: StewardElection, commit: Carried, entered: Epoch, after: Mapping[Address, Epoch]) -> StewardList:
    epoch = Epoch(elected.election_epoch)
    excluded = frozenset(Address(member) for member in elected.excluded) | (commit.pool & commit.dormant)
    gone = {member for member in commit.pool - excluded if member not in after or not is_settled(after[member], epoch)}
    return StewardList(
        tuple(Address(member) for member in elected.proposed_stewards),
        entered,
        epoch,
        elected.retry_round,
        tuple(sorted(excluded)),
        tuple(sorted(gone)),
    )


def _continued(
    stewards: StewardList,
    entered: Epoch,
    after: Mapping[Address, Epoch],
    dormant: frozenset[Address],
    policy: Policy,
    group_id: GroupId,
) -> StewardList:
    """A list that is used up is drawn anew without a vote if that leaves no choice (LIP-104 §Liveness criteria).

    In a larger group an election is due, and the old list goes on until it is decided; a list without anybody left
    is always drawn anew. A list with too few for them to decide, where stewards do, is used up at once.
    """
    left = [member for member in stewards.active(after) if member not in dormant]
    pool = settled_pool(after, entered) - dormant
    is_short = bounds.needs_stewards(policy) and len(left) < bounds.stewards_deciding_min(len(pool))
    if left and not stewards.is_exhausted(entered) and not is_short:
        return stewards
    epoch = entered
    if not pool:
        epoch = Epoch(entered + 1)  # only newcomers are left: they are settled in at once
        pool = settled_pool(after, epoch) - dormant
    if left and len(pool) > policy.stewards_max:
        return stewards
    size = list_size(len(pool), policy.stewards_min, policy.stewards_max)
    excluded = tuple(sorted(settled_pool(after, epoch) & dormant))
    return StewardList(generate(pool, size, epoch, 0, group_id), entered, epoch, 0, excluded)


def _lost(
    commit: Carried,
    epoch: Epoch,
    lost: Iterable[LostTurn],
    leaders: tuple[Address, ...],
    after: Mapping[Address, Epoch],
    dormant: frozenset[Address],
) -> tuple[LostTurn, ...]:
    """Who leads last from now on: those whose views ended without a commit, until they commit or time goes by."""
    turns = {Address(turn.member_id): Epoch(turn.epoch) for turn in lost if turn.epoch + bounds.TURNS_LOST_FOR > epoch}
    turns |= dict.fromkeys(leaders[: commit.view], epoch)
    turns.pop(commit.committer, None)
    return tuple(
        LostTurn(member, turns[member]) for member in sorted(turns) if member in after and member not in dormant
    )


def _deeds(commit: Carried, epoch: Epoch, leaders: tuple[Address, ...]) -> list[Deed]:
    """What the chain says about members in the epoch that is left."""
    missed = sorted(set(leaders[: commit.view]) - {commit.committer})
    return [
        Deed(commit.committer, epoch, DeedKind.COMMITTED),
        *(Deed(member, epoch, DeedKind.LOST_TURN) for member in missed),
        *(Deed(member, epoch, DeedKind.UPHELD) for member in sorted(commit.upheld)),
    ]
