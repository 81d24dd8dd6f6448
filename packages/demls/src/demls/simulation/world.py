"""Who is there, and what does one step of a node do? Nodes, network and time of one seed, and those who watch them.

A step is what the shell of a node does: call the core, write changes and outbound in one transaction, publish, tell.
A crash may come before the write, after it, or in the middle of publishing.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from enum import Enum, auto
from random import Random

from demls_engine import Engine as RealEngine

from demls.protocol.effects import Effects, Outbound
from demls.protocol.engine import Engine
from demls.protocol.errors import RequestRefused
from demls.protocol.events import Joined, Removed, Returned, SeatAsked, Settled
from demls.protocol.group import Group
from demls.protocol.joining import Joining
from demls.protocol.machines import load_machine
from demls.simulation.clock import Clock
from demls.simulation.inside import Machine, channels_of
from demls.simulation.model_engine import ModelEngine
from demls.simulation.network import Envelope, Network
from demls.simulation.nodes import Node
from demls.simulation.scenario import Scenario
from demls.simulation.traffic import is_governing, open_body, payload_of
from demls.wire.ids import Address, Duration, LeafKey
from demls.wire.messages import InviteLink, Payload, ResyncReason

NAMES = [
    "ann",
    "ben",
    "cem",
    "dia",
    "eli",
    "fay",
    "gus",
    "hal",
    "ida",
    "jon",
    "kim",
    "leo",
    "mia",
    "ned",
    "oda",
    "pim",
    "quin",
    "rob",
    "sue",
    "tom",
    "una",
    "val",
    "wes",
    "xia",
    "yan",
    "zoe",
    "abe",
    "bea",
    "cal",
    "dot",
    "eva",
    "flo",
    "gil",
    "hue",
    "ian",
    "joy",
    "kai",
    "liv",
    "max",
    "noa",
]


class Broken(Exception):
    """A promise was broken."""

    def __init__(self, promise: str, detail: str) -> None:
        super().__init__(f"{promise}: {detail}")
        self.promise = promise
        self.detail = detail


class CrashPoint(Enum):
    """Where in a step a node dies."""

    BEFORE = auto()
    AFTER = auto()
    DURING = auto()


def never(node: Node, effects: Effects) -> None:
    """Nodes do not crash by themselves."""


class Watcher:
    """Sees everything that happens; does nothing by default."""

    def stepped(self, node: Node, effects: Effects, cause: Envelope | None) -> None:
        """A step was written. ``cause``: the envelope it came from."""

    def said(self, node: Node, payload: Payload) -> None:
        """A vote, offer or round statement leaves a node for the first time."""

    def killed(self, node: Node, machine: Machine, point: CrashPoint | None) -> None:
        """A node dies; ``machine`` is what it had in memory."""

    def restarted(self, node: Node) -> None:
        """A node runs again."""

    def noted(self, who: str, what: str) -> None:
        """Something else happened: an act of a person, a cut, the weather."""


class World:
    """Everything of one seed."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.clock = Clock()
        self.network = Network(self.clock, self.dice("network"), has_history=scenario.has_history)
        self.nodes: dict[str, Node] = {}
        self.watchers: list[Watcher] = []
        self.crash_point: Callable[[Node, Effects], CrashPoint | None] = never
        self.mean_down: int = 0
        """How long a node that crashed stays down, on average, in ms."""
        self.sabotage: Callable[[Node, Outbound, Payload | None], bool] | None = None
        """May an adversary's node send something else instead? Says whether it did."""
        self.is_bad: Callable[[Node], bool] = lambda node: False  # noqa: ARG005 - none is, unless one is cast
        """Does it act badly in its present epoch? Those cast beyond f behave."""
        self.silent: frozenset[str] = frozenset()
        """Nodes that say nothing, because they are bad."""
        self._by_address: dict[Address, Node] = {}
        self._down = self.dice("down")

    def dice(self, concern: str) -> Random:
        """Randomness of its own for each concern, so that a change in one does not shift the others."""
        return Random(f"{self.scenario.seed}/{concern}")  # noqa: S311 - no secrets are made of it

    # --- Nodes --------------------------------------------------------------------------------------------------

    def add(self, name: str) -> Node:
        dice = self.dice(f"node {name}")
        seed = dice.randbytes(32)
        engine: Engine = ModelEngine(seed) if self.scenario.engine == "model" else RealEngine(seed)
        node = Node.of(name, engine, dice.randbytes(32))
        self.nodes[name] = self._by_address[node.address] = node
        self.network.connect(name, lambda envelope: self._receive(node, envelope))
        return node

    def name_of(self, address: bytes) -> str:
        """The name of a person; the beginning of the address for anybody else."""
        node = self._by_address.get(Address(address))
        return node.name if node is not None else bytes(address).hex()[:8]

    def node_of(self, address: bytes) -> Node:
        return self._by_address[Address(address)]

    def members(self) -> list[Node]:
        """Who is running and in the group by its own account."""
        return [node for node in self.nodes.values() if node.is_up and node.is_member]

    def honest(self) -> list[Node]:
        return [node for node in self.nodes.values() if not node.is_adversary]

    def newest(self) -> Node | None:
        """A running honest member that is furthest."""
        there = [node for node in self.members() if not node.is_adversary]
        return max(there, key=lambda node: node.state.epoch if node.state else -1, default=None)

    # --- What people do -----------------------------------------------------------------------------------------

    def found(self, name: str) -> None:
        node = self.nodes[name]
        node.life += 1
        node.machine, effects = Group.create(
            name="friends",
            description="",
            policy=self.scenario.policy,
            device=node.new_device(self.clock.now),
            engine=node.engine,
            now=self.clock.now,
        )
        self._finish(node, effects, None, may_crash=False)

    def link(self, node: Node, lifetime: int, *, is_open: bool = False) -> InviteLink | None:
        """An invite link by this member; None if its node died over it. Raises RequestRefused."""
        made: list[InviteLink] = []

        def invite(group: Group) -> Effects:
            link, effects = group.invite(relay="", lifetime=Duration(lifetime), now=self.clock.now, is_open=is_open)
            made.append(link)
            return effects

        return made[0] if self.do(node, invite) is not None else None

    def ask(self, node: Node, link: InviteLink) -> None:
        """Ask with a new device, in the place of whatever was there. Raises RequestRefused."""
        device = node.new_device(self.clock.now)
        machine, effects = Joining.ask(link, device=device, engine=node.engine, now=self.clock.now)
        node.machine = machine
        node.life += 1
        node.records = {}
        self.network.subscribe(node.name, machine.topics())
        self._finish(node, effects, None, may_crash=False)

    def restore(self, node: Node, records: dict[bytes, bytes], reason: ResyncReason) -> None:
        """Begin again with records of some time, or what is left of them, and ask for a new seat."""
        group, effects = Group.restored(records, sign=node.sign, reason=reason, engine=node.engine, now=self.clock.now)
        node.machine, node.wakes_at = group, None
        node.life += 1
        node.records = {}
        node.outbox.clear()
        self._finish(node, effects, None, may_crash=False)

    def do(self, node: Node, call: Callable[[Group], Effects]) -> Effects | None:
        """A person acts; None if the node died before the act was written. Raises RequestRefused."""
        group = node.group
        assert node.is_up
        assert group is not None
        return self._step(node, lambda: call(group), None)

    # --- Steps --------------------------------------------------------------------------------------------------

    def _step(self, node: Node, call: Callable[[], Effects], cause: Envelope | None) -> Effects | None:
        try:
            effects = call()
        except RequestRefused:
            raise
        except Exception as problem:
            raise Broken("core", f"{node.name}'s machine raised: {traceback.format_exc()}") from problem
        return effects if self._finish(node, effects, cause) else None

    def _finish(self, node: Node, effects: Effects, cause: Envelope | None, *, may_crash: bool = True) -> bool:
        """Write, publish, tell. Says whether it was written."""
        point = self.crash_point(node, effects) if may_crash else None
        if point is CrashPoint.BEFORE:
            self.kill(node, point)
            return False
        node.write(effects)
        if any(type(event) in (Settled, Joined, Removed, SeatAsked, Returned) for event in effects.events):
            self._listen(node)
        for watcher in self.watchers:
            watcher.stepped(node, effects, cause)
        if point is CrashPoint.AFTER:
            self.kill(node, point)
            return True
        self._publish(node, len(node.outbox) // 2 if point is CrashPoint.DURING else None)
        if point is CrashPoint.DURING:
            self.kill(node, point)
            return True
        self._wake(node)
        return True

    def _listen(self, node: Node) -> None:
        state = node.state
        if state is not None:
            node.channels = channels_of(state)
        if node.returning is not None:
            node.leaf_key = LeafKey(node.returning.record.leaf_key)
        self.network.subscribe(node.name, node.machine.topics() if node.machine is not None else frozenset())

    def _publish(self, node: Node, count: int | None = None) -> None:
        outbox = node.outbox
        left = len(outbox) if count is None else count
        while left > 0:
            outbound = outbox[0]
            channel = node.channels.get(outbound.topic)
            body = open_body(channel, outbound.payload, node.engine) if channel is not None else None
            payload = None
            if body is not None and is_governing(body) and (said := hash(body)) not in node.said:
                node.said.add(said)
                payload = payload_of(body)
                if payload is not None:
                    for watcher in self.watchers:
                        watcher.said(node, payload)
            if not self._is_replaced(node, outbound, payload, body):
                self.network.publish(node.name, outbound.topic, outbound.payload)
            outbox.popleft()
            left -= 1

    def _is_replaced(self, node: Node, outbound: Outbound, payload: Payload | None, body: bytes | None) -> bool:
        """Does a bad member send something else?"""
        if not node.is_adversary or self.sabotage is None:
            return False
        return self.sabotage(node, outbound, payload or (payload_of(body) if body is not None else None))

    def _receive(self, node: Node, envelope: Envelope) -> bool:
        machine = node.machine
        if not node.is_up or machine is None:
            return False
        now = self.clock.now
        self._step(node, lambda: machine.receive(envelope.topic, envelope.payload, now), envelope)
        return True

    # --- Time ---------------------------------------------------------------------------------------------------

    def _wake(self, node: Node) -> None:
        deadline = node.deadline
        if deadline is not None and (node.wakes_at is None or deadline < node.wakes_at):
            node.wakes_at = deadline
            self.clock.at(deadline, lambda: self._awake(node, deadline))

    def _awake(self, node: Node, when: int) -> None:
        if node.wakes_at != when:
            return
        node.wakes_at = None
        machine, now = node.machine, self.clock.now
        if not node.is_up or machine is None:
            return
        if node.deadline is not None and node.deadline <= now:
            self._step(node, lambda: machine.tick(now), None)
            if node.is_up and node.deadline is not None and node.deadline <= now:
                raise Broken("core", f"{node.name}'s machine is busy with nothing")
        else:
            self._wake(node)

    # --- Crashes ------------------------------------------------------------------------------------------------

    def kill(self, node: Node, point: CrashPoint | None = None, down: int | None = None) -> None:
        """The node dies and comes back after a while (``down`` milliseconds)."""
        machine = node.machine
        if not node.is_up or machine is None:
            return
        for watcher in self.watchers:
            watcher.killed(node, machine, point)
        node.is_up, node.machine, node.wakes_at = False, None, None
        pause = down if down is not None else int(self._down.expovariate(1 / self.mean_down))
        life = node.life
        self.clock.after(pause, lambda: self.restart(node, life))

    def restart(self, node: Node, life: int) -> None:
        """Go on from what was durable: first the outbox, then the machine's own."""
        if node.is_up or node.life != life:
            return
        node.is_up = True
        try:
            machine, effects = load_machine(node.records, engine=node.engine, now=self.clock.now)
        except Exception as problem:
            raise Broken("P5", f"{node.name}'s records cannot be loaded: {traceback.format_exc()}") from problem
        assert isinstance(machine, Machine)
        node.machine = machine
        if isinstance(machine, Group) and node.returning is not None:
            more = machine.use_wallet(node.sign, self.clock.now)
            effects = Effects(
                effects.changes + more.changes, more.outbound, effects.events + more.events, more.deadline
            )
        self._listen(node)
        for watcher in self.watchers:
            watcher.restarted(node)
        self._finish(node, effects, None, may_crash=False)
        self.network.catch_up(node.name)
