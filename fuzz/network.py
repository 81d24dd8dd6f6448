"""Members in one process: an append-only log, a clock that is moved by hand, and what insiders know of a member."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from demls.protocol import policy as bounds
from demls.protocol.channel import Channel
from demls.protocol.credential import Device, binding_sentence
from demls.protocol.effects import Effects
from demls.protocol.engine import Engine
from demls.protocol.group import Group
from demls.protocol.joining import Joining
from demls.protocol.views import GroupStatus
from demls.wire.charters import Policy
from demls.wire.codec import WireError
from demls.wire.ids import Address, Duration, Instant, LeafKey, Topic
from demls.wire.messages import Binding, InviteLink, decode_message
from demls_consensus import wallet_address, wallet_sign
from demls_engine import Engine as RealEngine

START = Instant(1_800_000_000_000)


@dataclass
class Node:
    """One person's machine with its records."""

    name: str
    engine: Engine
    wallet: bytes
    machine: Group | Joining | None = None
    records: dict[bytes, bytes] = field(default_factory=dict)
    deadline: Instant | None = None
    read: dict[Topic, int] = field(default_factory=dict)
    device: Device | None = None

    @property
    def group(self) -> Group:
        group = self.machine.group if isinstance(self.machine, Joining) else self.machine
        assert group is not None
        return group

    def sign(self, sentence: str) -> bytes:
        """What the wallet signs."""
        return wallet_sign(self.wallet, sentence.encode())


class Net:
    """Nodes in one process, an append-only log, a clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = START
        self.nodes: dict[str, Node] = {}
        self.log: list[tuple[Instant, Topic, bytes]] = []
        self.deaf: set[str] = set()
        self.channels: dict[Topic, Channel] = {}
        """Of all epochs: members forget the older ones."""

    def node(self, name: str) -> Node:
        if name not in self.nodes:
            seed = hashlib.sha256(name.encode()).digest()
            self.nodes[name] = Node(name, RealEngine(seed), hashlib.sha256(seed).digest())
            self.nodes[name].device = new_device(self.nodes[name].engine, self.nodes[name].wallet, name, self.now)
        return self.nodes[name]

    def apply(self, node: Node, effects: Effects) -> None:
        for change in effects.changes:
            if change.value is None:
                node.records.pop(change.key, None)
            else:
                node.records[change.key] = change.value
        self.log += [(self.now, envelope.topic, envelope.payload) for envelope in effects.outbound]
        node.deadline = effects.deadline
        group = node.machine.group if isinstance(node.machine, Joining) else node.machine
        if group is not None and group.status is GroupStatus.MEMBER:
            self.channels |= {channel.topic: channel for channel in state_of(group).channels.values()}

    def found(self, name: str, policy: Policy = bounds.QUICK) -> None:
        node = self.node(name)
        assert node.device is not None
        node.machine, effects = Group.create(
            name="friends",
            description="",
            policy=policy,
            device=node.device,
            engine=node.engine,
            now=self.now,
        )
        self.apply(node, effects)

    def ask(self, name: str, issuer: str) -> InviteLink:
        link, effects = self.nodes[issuer].group.invite(relay="", lifetime=Duration(bounds.DAY), now=self.now)
        self.apply(self.nodes[issuer], effects)
        node = self.node(name)
        assert node.device is not None
        node.machine, effects = Joining.ask(link, device=node.device, engine=node.engine, now=self.now)
        self.apply(node, effects)
        return link

    def do(self, name: str, call: Callable[[Group], Effects]) -> None:
        self.apply(self.nodes[name], call(self.nodes[name].group))
        self.run(200)

    def vote(self, *names: str, yes: bool = True) -> None:
        for name in names:
            for proposal in self.nodes[name].group.view(self.now).proposals:
                if proposal.may_vote:
                    self.do(name, lambda group, it=proposal: group.vote(it.proposal_id, yes, self.now))

    def _deliver(self) -> None:
        moved = True
        while moved:
            moved = False
            for node in self.nodes.values():
                if node.machine is None or node.name in self.deaf:
                    continue
                for place in range(node.read.get(Topic(b""), 0), len(self.log)):
                    node.read[Topic(b"")] = place + 1
                    _, topic, payload = self.log[place]
                    if topic in node.machine.topics():
                        moved = True
                        self.apply(node, node.machine.receive(topic, payload, self.now))

    def run(self, milliseconds: int) -> None:
        end = self.now + milliseconds
        self._deliver()
        while True:
            going = [node for node in self.nodes.values() if node.machine and node.name not in self.deaf]
            due = min((node.deadline for node in going if node.deadline is not None), default=Instant(end + 1))
            if due > end:
                break
            self.now = Instant(max(self.now, due))
            for node in going:
                if node.machine and node.deadline is not None and node.deadline <= self.now:
                    self.apply(node, node.machine.tick(self.now))
            self._deliver()
            self.now = Instant(self.now + 1)
        self.now = Instant(end)

    def admit(self, name: str, issuer: str) -> None:
        members = list(self.nodes)
        self.ask(name, issuer)
        self.run(5_000)
        self.vote(*members)
        self.run(10_000)


def new_device(engine: Engine, wallet: bytes, name: str, now: Instant) -> Device:
    """A device with a wallet's binding of a year."""
    key = engine.signature_key()
    address, leaf_key = Address(wallet_address(wallet)), LeafKey(key.public)
    expires = Instant(now + 365 * bounds.DAY)
    sentence = binding_sentence(address, leaf_key, "laptop", now, expires)
    binding = Binding(now, expires, wallet_sign(wallet, sentence.encode()))
    return Device(address, name, "laptop", leaf_key, key.private, binding)


def state_of(group: Group):
    state = group._state
    assert state is not None
    return state


def decoded(data: bytes, cls: type):
    try:
        return decode_message(data, cls)
    except WireError:
        return None
