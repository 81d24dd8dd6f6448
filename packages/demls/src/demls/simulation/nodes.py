"""What is a node, reduced to its duties? A machine, its durable records and its durable outbox; it can be killed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from demls_consensus import wallet_address, wallet_sign

from demls.protocol.channel import Channel
from demls.protocol.credential import Device, binding_sentence
from demls.protocol.effects import Effects, Outbound
from demls.protocol.engine import Engine
from demls.protocol.group import Group
from demls.protocol.policy import DAY
from demls.protocol.returning import Returning
from demls.protocol.state import GroupState
from demls.protocol.views import GroupStatus
from demls.simulation.clock import Hand
from demls.simulation.disk import Kept, StoreDisk
from demls.simulation.inside import Machine, group_of, state_of
from demls.simulation.network import Envelope
from demls.wire.ids import Address, Instant, LeafKey, Topic
from demls.wire.messages import Binding


@dataclass(slots=True)
class Node:
    """One person's node. ``life`` counts how often the person asked to join: each is a new device."""

    name: str
    engine: Engine
    wallet: bytes
    address: Address
    machine: Machine | None = None
    records: dict[bytes, bytes] = field(default_factory=dict)
    outbox: deque[Outbound] = field(default_factory=deque)
    deadline: Instant | None = None
    wakes_at: int | None = None
    life: int = 0
    leaf_key: LeafKey | None = None
    """Of the device with which it asked last."""
    hand: Hand = field(default_factory=Hand)
    """Its own clock, by which the machine goes."""
    write_time: int = 0
    """How long a write takes on its disk, on average, in ms."""
    unwritten: Effects | None = None
    """Of the step that its disk is still busy with; until it is written, nothing else is done."""
    cause: Envelope | None = None
    """What that step came from."""
    busy_until: int = 0
    disk: StoreDisk | None = None
    """Files of the real store, where ``records`` and ``outbox`` are written too."""
    channels: dict[Topic, Channel] = field(default_factory=dict)
    """What its own envelopes are opened with."""
    said: set[int] = field(default_factory=set)
    """Hashes of the governing messages that it has said already, so that repeats are not read again."""
    is_open_guest: bool = False
    """Did it ask last by a link that is open to anybody?"""
    is_up: bool = True
    is_adversary: bool = False
    """Cast as one; in groups where it would be one too many it behaves."""

    @classmethod
    def of(cls, name: str, engine: Engine, wallet: bytes) -> Node:
        return cls(name, engine, wallet, Address(wallet_address(wallet)))

    @property
    def group(self) -> Group | None:
        return group_of(self.machine)

    @property
    def state(self) -> GroupState | None:
        return state_of(self.machine)

    @property
    def is_member(self) -> bool:
        """In the group, by its own account."""
        return self.state is not None

    @property
    def returning(self) -> Returning | None:
        """What it is while it waits for a new seat."""
        group = self.group
        return group._returning if group is not None else None

    @property
    def is_out(self) -> bool:
        """Never asked, or no longer a member: free to ask."""
        group = self.group
        there = (GroupStatus.MEMBER, GroupStatus.RETURNING)
        return self.machine is None or (group is not None and group.status not in there)

    def sign(self, sentence: str) -> bytes:
        """The wallet's signature."""
        return wallet_sign(self.wallet, sentence.encode())

    def write(self, effects: Effects) -> None:
        """The one transaction: records and outbox."""
        records = self.records
        for change in effects.changes:
            if change.value is None:
                records.pop(change.key, None)
            else:
                records[change.key] = change.value
        self.outbox.extend(effects.outbound)
        self.deadline = effects.deadline
        if self.disk is not None and (effects.changes or effects.outbound):
            self.disk.write(effects)

    def published(self, count: int) -> None:
        """The first ``count`` envelopes have left."""
        for _ in range(count):
            self.outbox.popleft()
        if self.disk is not None and count:
            self.disk.published(count)

    def begin_anew(self) -> None:
        """The person asks with a new device: what was there is forgotten."""
        self.records = {}
        if self.disk is not None:
            self.disk.begin_anew()

    @property
    def kept(self) -> Kept:
        """What is durable, by the contract of the store."""
        return Kept(dict(self.records), tuple(self.outbox))

    def new_device(self, now: Instant) -> Device:
        """The device with which it asks next."""
        device = self.spare_device(now)
        self.leaf_key = device.leaf_key
        return device

    def spare_device(self, now: Instant) -> Device:
        """A device with a key of its own, bound to the wallet."""
        key = self.engine.signature_key()
        leaf_key = LeafKey(key.public)
        return Device(self.address, self.name, "laptop", leaf_key, key.private, self._bind(leaf_key, now))

    def new_binding(self, now: Instant) -> Binding | None:
        """The wallet speaks once more for the leaf that it has now."""
        return self._bind(self.state.device.leaf_key, now) if self.state is not None else None

    def _bind(self, leaf_key: LeafKey, now: Instant) -> Binding:
        issued, expires = now, Instant(now + 365 * DAY)
        sentence = binding_sentence(self.address, leaf_key, "laptop", issued, expires)
        return Binding(issued, expires, wallet_sign(self.wallet, sentence.encode()))
