"""What does the simulator read in a machine that the machine does not show people? Nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass

from demls.protocol.channel import Channel
from demls.protocol.group import Group
from demls.protocol.joining import Joining
from demls.protocol.state import GroupState
from demls.protocol.stewards import StewardList
from demls.wire.ids import Address, Epoch, GroupId, Topic
from demls.wire.messages import Change, Charter, LostTurn

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
    stewards: StewardList
    lost: tuple[LostTurn, ...]
    dormant: frozenset[Address]
    leaders: tuple[Address, ...]
    charter: Charter
    group_id: GroupId

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
        state.state.stewards,
        state.state.lost,
        frozenset(seat.address for seat in state.roster.seats if seat.dormant),
        state.state.leaders,
        state.charter,
        state.group_id,
    )


def change_of(state: GroupState, proposal_id: bytes) -> tuple[Change, Address, Address, Epoch, int] | None:
    """(change, owner, subject, epoch, deadline) of a proposal that this member knows."""
    item = state.governance.items.get(proposal_id)  # type: ignore[call-overload]
    if item is None:
        return None
    return item.change, Address(item.proposal.owner), item.subject, Epoch(item.proposal.epoch), int(item.deadline)


def channels_of(state: GroupState) -> dict[Topic, Channel]:
    """The channels that a member can open now."""
    return {channel.topic: channel for channel in (state.rendezvous, *state.channels.values())}
