"""What does the simulator read in a machine that the machine does not show people? Nothing is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

from demls.protocol import policy as bounds
from demls.protocol.channel import Channel, booth_of, floor_of
from demls.protocol.group import Group
from demls.protocol.items import room_of
from demls.protocol.joining import Joining
from demls.protocol.state import GroupState
from demls.protocol.stewards import StewardList
from demls.wire.chain import KeyAge, LostTurn, Reseated
from demls.wire.charters import Charter
from demls.wire.fields import PROOFS_MAX
from demls.wire.ids import Address, Epoch, GroupId, Topic
from demls.wire.messages import (
    Change,
)

Machine = Group | Joining


def group_of(machine: Machine | None) -> Group | None:
    """The group that a machine is, or has become."""
    if isinstance(machine, Joining):
        return machine.group
    return machine if isinstance(machine, Group) else None


def state_of(machine: Machine | None) -> GroupState | None:
    """The state of a member; None before it joined and after it left."""
    group = group_of(machine)
    return group._state if group is not None else None


@dataclass(frozen=True, slots=True)
class Seen:
    """An epoch as a member sees it: equal for all honest members."""

    epoch: Epoch
    head: bytes
    authenticator: bytes
    roster: tuple[tuple[Address, int, int], ...]
    """(address, leaf, epoch of joining)"""
    reseated: tuple[Reseated, ...]
    stewards: StewardList
    lost: tuple[LostTurn, ...]
    dormant: frozenset[Address]
    leaders: tuple[Address, ...]
    charter: Charter
    group_id: GroupId
    keys: tuple[KeyAge, ...]
    committee: frozenset[Address]
    """Whose acknowledgements count."""

    @property
    def since(self) -> dict[Address, Epoch]:
        """When each member joined."""
        return {address: Epoch(joined) for address, _, joined in self.roster}

    @property
    def counted(self) -> list[Address]:
        """Those who make n."""
        return [address for address, _, _ in self.roster if address not in self.dormant]


def seen_by(state: GroupState) -> Seen:
    return Seen(
        state.epoch,
        state.state.head,
        state.mls.authenticator(),
        tuple((seat.address, seat.leaf, int(seat.since)) for seat in state.roster.seats),
        state.state.reseated,
        state.state.stewards,
        state.state.lost,
        frozenset(seat.address for seat in state.roster.seats if seat.dormant),
        state.state.leaders,
        state.charter,
        state.group_id,
        state.state.keys,
        state.committee.members,
    )


def change_of(state: GroupState, proposal_id: bytes) -> tuple[Change, Address, Address, Epoch, int] | None:
    """(change, owner, subject, epoch, deadline) of a proposal that this member knows."""
    item = state.governance.items.get(proposal_id)  # type: ignore[call-overload]
    if item is None:
        return None
    return item.change, Address(item.proposal.owner), item.subject, Epoch(item.proposal.epoch), int(item.deadline)


def channels_of(state: GroupState) -> dict[Topic, Channel]:
    """The channels that a member can open now."""
    booths, floors = map(booth_of, state.channels.values()), map(floor_of, state.channels.values())
    return {channel.topic: channel for channel in (state.rendezvous, *state.channels.values(), *booths, *floors)}


def held_by(state: GroupState) -> Iterator[tuple[str, int, int]]:
    """(what, how many, how many at most) of what a member holds because others have sent it."""
    governance, emergencies, current = state.governance, state.emergencies, state.round
    waiting, going = emergencies.waiting(), [item for item in governance.items.values() if item.ended_at is None]
    yield "waiting proposals", len(waiting), bounds.FROZEN_PROPOSALS_MAX
    most = bounds.FROZEN_PROPOSALS_PER_MEMBER_MAX
    yield "waiting proposals of one member", _most(p.owner for p in waiting), most
    for held in (emergencies._unconfirmed, state.elections.held):
        most = max((len(kept) for kept in held.values()), default=0)
        yield "proposals of one member that cannot be judged", most, bounds.ELECTIONS_HELD_PER_MEMBER
    rooms = [(item.proposal.owner, str(room_of(item.change))) for item in going]
    yield "open proposals of one room", _most(room for _, room in rooms), bounds.OPEN_PROPOSALS_MAX
    yield "open proposals of one member and room", _most(rooms), bounds.PROPOSALS_PER_MEMBER_AND_EPOCH_MAX
    early = max((len(votes) for votes in governance._early._kept.values()), default=0)
    yield "early votes of one member", early, bounds.EARLY_VOTES_PER_MEMBER_MAX
    seats = Counter(item.proposal.owner for item in governance.resyncs.values() if item.epoch is None)
    yield "requests of one member for a new seat", max(seats.values(), default=0), bounds.RESYNCS_CARRIED_MAX
    yield "requests to join", len(state.requests.waiting), bounds.REQUESTS_MAX
    yield "candidates", len(current.candidates), bounds.CANDIDATES_KEPT_MAX + 2
    yield "offers", len(current.offers), bounds.CANDIDATES_KEPT_MAX + 2
    yield "candidates with votes", len(state.candidates._shown), bounds.CANDIDATES_KEPT_MAX + 2
    views = max(len(current._acks), len(current._locks))
    yield "views", views, bounds.VIEWS_AHEAD_MAX + bounds.VIEWS_BEHIND_MAX + 2
    yield "verdicts on candidates", len(state.court._judged), bounds.JUDGED_KEPT
    proofs = max((len(kept) for kept in emergencies._against.values()), default=0)
    yield "proofs against one member", proofs, PROOFS_MAX
    history = max((len(score.history) for score in state.scores._known.values()), default=0)
    yield "moves of one score", history, bounds.SCORE_HISTORY_KEPT


def _most(owners: Iterable[Hashable]) -> int:
    """How often the most frequent one is there."""
    return max(Counter(owners).values(), default=0)
