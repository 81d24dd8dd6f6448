"""What does the node need of the protocol core? Machines that take envelopes and give effects, and their makers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeGuard

from demls.protocol.credential import Device
from demls.protocol.effects import Effects
from demls.protocol.views import GroupStatus, GroupView, MemberView
from demls.wire.charters import Policy, Predecessor
from demls.wire.ids import Address, Duration, Instant, LeafKey, ProposalId, Topic
from demls.wire.messages import Binding, Contact, Emergency, InviteLink, ResyncReason

MakeDevice = Callable[[Instant], Device]
"""Binds a fresh leaf key to the wallet."""


class Machine(Protocol):
    """A sans-IO machine; one call at a time."""

    def topics(self) -> frozenset[Topic]: ...
    def receive(self, topic: Topic, payload: bytes, now: Instant) -> Effects: ...
    def tick(self, now: Instant) -> Effects: ...


class BulkMachine(Machine, Protocol):
    """One that takes envelopes which wait together for less than each by itself."""

    def receive_many(self, envelopes: Sequence[tuple[Topic, bytes]], now: Instant) -> Effects: ...


class GroupMachine(Machine, Protocol):
    """A group of which this node is or was a member. Asking it for what is not possible raises RequestRefused."""

    @property
    def status(self) -> GroupStatus: ...
    def vote(self, proposal_id: ProposalId, yes: bool, now: Instant) -> Effects: ...
    def send(self, text: str, now: Instant) -> Effects: ...
    def forget_messages(self, before: Instant, now: Instant) -> Effects: ...
    def leave(self, now: Instant) -> Effects: ...
    def to_bind(self, now: Instant) -> tuple[LeafKey, str] | None: ...
    def refresh_keys(self, now: Instant, binding: Binding | None = None) -> Effects: ...
    def invite(
        self, *, relay: str, lifetime: Duration, now: Instant, is_open: bool = False
    ) -> tuple[InviteLink, Effects]: ...
    def change_settings(
        self, now: Instant, *, name: str | None, description: str | None, policy: Policy | None
    ) -> Effects: ...
    def predecessor_of(self, members: Iterable[Address]) -> Predecessor: ...
    def announce_successor(self, links: Mapping[Address, InviteLink], now: Instant) -> Effects: ...
    def sponsor(self, request_id: bytes, now: Instant) -> Effects: ...
    def dismiss(self, request_id: bytes, now: Instant) -> Effects: ...
    def view(self, now: Instant) -> GroupView: ...
    def members(self) -> tuple[MemberView, ...]: ...
    def name_of(self, address: Address) -> str: ...
    def rejoin(self, sign: Callable[[str], bytes], reason: ResyncReason, now: Instant) -> Effects: ...
    def use_wallet(self, sign: Callable[[str], bytes], now: Instant) -> Effects: ...


class JoiningMachine(Machine, Protocol):
    """A request to join; once ``group`` is set, that goes on in its place."""

    @property
    def group(self) -> GroupMachine | None: ...
    @property
    def group_name(self) -> str: ...
    @property
    def refused(self) -> str | None: ...
    @property
    def arriving(self) -> tuple[int, int] | None: ...
    @property
    def scope(self) -> str: ...


class InboxMachine(Machine, Protocol):
    """Where others reach this person."""

    devices: MakeDevice | None

    def contact(self, address: Address, name: str, relay: str) -> Contact: ...
    def take_new(self) -> Sequence[tuple[JoiningMachine, Effects]]: ...


class FetchingMachine(Machine, Protocol):
    """Asks a contact for a key package; not durable."""

    @property
    def key_package(self) -> bytes | None: ...


class Core(Protocol):
    """Makes machines, and asks groups for the changes of members that are voted on, emergencies among them."""

    def create_group(
        self,
        *,
        name: str,
        description: str,
        policy: Policy,
        device: Device,
        now: Instant,
        predecessor: Predecessor | None = None,
    ) -> tuple[str, GroupMachine, Effects]:
        """A new group and its scope; ``predecessor``: the state of the group that it goes on from."""

    def ask(self, link: InviteLink, *, device: Device, now: Instant) -> tuple[JoiningMachine, Effects]:
        """Raises BadInvite."""

    def create_inbox(self, now: Instant) -> tuple[InboxMachine, Effects]: ...
    def fetch(self, contact: Contact, now: Instant) -> tuple[FetchingMachine, Effects]: ...
    def load(self, records: Mapping[bytes, bytes], now: Instant) -> tuple[Machine, Effects]:
        """The machine that left these records. Raises BadSnapshot."""

    def restored(
        self,
        records: Mapping[bytes, bytes],
        sign: Callable[[str], bytes],
        reason: ResyncReason,
        now: Instant,
        saved_at: int,
    ) -> tuple[GroupMachine, Effects]:
        """A group that comes back with records that may be old; the effects hold all of its records, to replace them.

        Raises BadSnapshot.
        """

    def propose_invite(self, group: GroupMachine, key_package: bytes, now: Instant) -> Effects: ...
    def propose_removal(self, group: GroupMachine, address: Address, now: Instant) -> Effects: ...
    def deadlock_of(self, group: GroupMachine) -> Emergency | None:
        """An emergency about stewards who have not committed, with its proof; None if there is none."""

    def open_emergency(self, group: GroupMachine, emergency: Emergency, now: Instant) -> Effects: ...


def takes_many(machine: Machine) -> TypeGuard[BulkMachine]:
    return hasattr(machine, "receive_many")


def is_group(machine: Machine) -> TypeGuard[GroupMachine]:
    return hasattr(machine, "view")


def is_joining(machine: Machine) -> TypeGuard[JoiningMachine]:
    return hasattr(machine, "group_name")


def is_inbox(machine: Machine) -> TypeGuard[InboxMachine]:
    return hasattr(machine, "take_new")
