"""Who is there, and what does one step of a node do? Nodes, network and time of one seed, and those who watch them.

A step is what the shell of a node does: call the core, write changes and outbound in one transaction, publish, tell.
A crash may come before the write, after it, or in the middle of publishing.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from random import Random

from demls_engine import Engine as RealEngine

from demls.protocol.effects import Effects, Outbound
from demls.protocol.engine import Engine
from demls.protocol.errors import RequestRefused
from demls.protocol.events import Joined, Removed, Returned, SeatAsked, Settled, WelcomeArriving
from demls.protocol.group import Group
from demls.protocol.joining import Joining
from demls.protocol.machines import load_machine
from demls.simulation.clock import Clock, Hand
from demls.simulation.disk import StoreDisk
from demls.simulation.inside import Machine, channels_of
from demls.simulation.model_engine import ModelEngine
from demls.simulation.network import Envelope, Network
from demls.simulation.nodes import Node
from demls.simulation.scenario import Scenario
from demls.simulation.traffic import is_governing, open_body, payload_of
from demls.wire.ids import Address, Duration, Instant, LeafKey
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


NAMES += [f"{name}{number}" for number in (2, 3) for name in NAMES]
"""Forty, twice and thrice: more than any group has members and guests."""


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

    def idled(self, node: Node, cause: Envelope | None) -> None:
        """A step of which nothing came: most envelopes are repeats."""

    def said(self, node: Node, payload: Payload) -> None:
        """A vote, offer or round statement leaves a node for the first time."""

    def killed(self, node: Node, machine: Machine, point: CrashPoint | None) -> None:
        """A node dies; ``machine`` is what it had in memory."""

    def restarted(self, node: Node) -> None:
        """A node runs again."""

    def noted(self, who: str, what: str) -> None:
        """Something else happened: an act of a person, a cut, the weather."""


_SLOW_SHARE = 0.5
_FOREVER = 1 << 40


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy of what a node had stored; ``file``: of its real disk, if it has one."""

    life: int
    records: dict[bytes, bytes]
    file: Path | None = None


"""On a real disk the file; in the model nothing is needed, since nothing of it is used."""

_MOVES = frozenset((Settled, Joined, Removed, SeatAsked, Returned, WelcomeArriving))
"""After these a node may listen elsewhere."""


def _merges(effects: Effects) -> bool:
    return any(type(event) is Settled for event in effects.events)


class World:
    """Everything of one seed."""

    writes_first = True
    """Is a step durable before its messages leave? An ablation says no."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.clock = Clock()
        self.network = Network(self.clock, self.dice("network"), has_history=scenario.has_history)
        self.nodes: dict[str, Node] = {}
        self.watchers: list[Watcher] = []
        self.idle_watchers: list[Watcher] = []
        """Those of them that are told of steps of which nothing came."""
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
        self.crashed_merges = 0
        """How often a node has died in a step that merged a commit."""
        self._down = self.dice("down")
        self._disk_dice = self.dice("disks")
        self.is_writing_fast = True
        """Are slow disks fast now? So groups begin, and so they end."""

    def dice(self, concern: str) -> Random:
        """Randomness of its own for each concern, so that a change in one does not shift the others."""
        return Random(f"{self.scenario.seed}/{concern}")  # noqa: S311 - no secrets are made of it

    # --- Nodes --------------------------------------------------------------------------------------------------

    def add(self, name: str) -> Node:
        dice = self.dice(f"node {name}")
        seed = dice.randbytes(32)
        engine: Engine = ModelEngine(seed) if self.scenario.engine == "model" else RealEngine(seed)
        node = Node.of(name, engine, dice.randbytes(32))
        self._equip(node)
        self.nodes[name] = self._by_address[node.address] = node
        self.network.connect(name, lambda envelope: self._receive(node, envelope))
        return node

    def _equip(self, node: Node) -> None:
        """Its clock and its disk."""
        dice, scenario = self.dice(f"machine {node.name}"), self.scenario
        if scenario.skew:
            half = scenario.skew // 2
            drift = dice.choice((0, half // 3, half // 2))
            node.hand = Hand(dice.randint(-half, half - drift), drift)
        if scenario.slow_disks and dice.random() < _SLOW_SHARE:
            node.write_time = scenario.slow_disks
        if scenario.real_disk:
            node.disk = StoreDisk()

    def now_of(self, node: Node) -> Instant:
        """What its clock shows."""
        return node.hand.read(self.clock.now)

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
            device=node.new_device(self.now_of(node)),
            engine=node.engine,
            now=self.now_of(node),
        )
        self._finish(node, effects, None, may_crash=False)

    def link(self, node: Node, lifetime: int, *, is_open: bool = False) -> InviteLink | None:
        """An invite link by this member; None if its node died over it. Raises RequestRefused."""
        made: list[InviteLink] = []

        def invite(group: Group) -> Effects:
            link, effects = group.invite(relay="", lifetime=Duration(lifetime), now=self.now_of(node), is_open=is_open)
            made.append(link)
            return effects

        return made[0] if self.do(node, invite) is not None else None

    def ask(self, node: Node, link: InviteLink) -> None:
        """Ask with a new device, in the place of whatever was there. Raises RequestRefused."""
        self._write_out(node)
        if not node.is_up:
            return
        now = self.now_of(node)
        device = node.new_device(now)
        machine, effects = Joining.ask(link, device=device, engine=node.engine, now=now)
        node.machine = machine
        node.life += 1
        node.begin_anew()
        self.network.subscribe(node.name, machine.topics())
        self._finish(node, effects, None, may_crash=False)

    def restore(self, node: Node, backup: Backup, reason: ResyncReason) -> None:
        """Its disk is lost. Begin again with a backup, or what is left of one, and ask for a new seat.

        The new records take the place of all that was there, in one write; nothing is sent from the old seat.
        """
        node.unwritten = node.cause = None
        if node.disk is not None and backup.file is not None:
            if not node.disk.restore(backup.file):
                raise Broken("P5", f"{node.name} cannot tell that its disk was restored from a backup")
            if node.disk.kept().records != backup.records:
                raise Broken("P5", f"{node.name}'s backup holds something else than was written")
        if node.disk is not None:
            node.disk.published(len(node.disk.kept().outbox))
        group, effects = Group.restored(
            backup.records, sign=node.sign, reason=reason, engine=node.engine, now=self.now_of(node)
        )
        node.machine, node.wakes_at = group, None
        node.life += 1
        node.begin_anew()
        node.outbox.clear()
        self._finish(node, effects, None, may_crash=False)

    def do(self, node: Node, call: Callable[[Group], Effects]) -> Effects | None:
        """A person acts; None if the node died before the act was written. Raises RequestRefused."""
        self._write_out(node)
        group = node.group if node.is_up else None
        if group is None:
            return None
        return self._step(node, lambda: call(group), None, waits=True)

    # --- Steps --------------------------------------------------------------------------------------------------

    def _step(
        self, node: Node, call: Callable[[], Effects], cause: Envelope | None, *, waits: bool = False
    ) -> Effects | None:
        """``waits``: somebody waits until it is written, however slow the disk."""
        try:
            effects = call()
        except RequestRefused:
            raise
        except Exception as problem:
            raise Broken("core", f"{node.name}'s machine raised: {traceback.format_exc()}") from problem
        if node.write_time and not waits and self._is_slow(node, effects, cause):
            return effects
        return effects if self._finish(node, effects, cause) else None

    # --- Slow disks ---------------------------------------------------------------------------------------------

    def _is_slow(self, node: Node, effects: Effects, cause: Envelope | None) -> bool:
        """What time or the network brought is written slowly; whatever people do waits for its end."""
        if not effects.changes or self.is_writing_fast:
            return False
        life = node.life
        pause = int(self._disk_dice.expovariate(1 / node.write_time)) + 1
        node.unwritten, node.cause, node.busy_until = effects, cause, self.clock.now + pause
        until = node.busy_until

        def end() -> None:
            if node.unwritten is effects and node.life == life and node.busy_until == until:
                self._write_out(node)

        self.clock.after(pause, end)
        return True

    def _write_out(self, node: Node) -> None:
        """The disk is done with what it was busy with."""
        effects, cause = node.unwritten, node.cause
        node.unwritten = node.cause = None
        if effects is not None:
            self._finish(node, effects, cause)

    def _finish(self, node: Node, effects: Effects, cause: Envelope | None, *, may_crash: bool = True) -> bool:
        """Write, publish, tell. Says whether it was written."""
        if may_crash and not (effects.changes or effects.outbound or effects.events or node.outbox):
            node.deadline = effects.deadline
            for watcher in self.idle_watchers:
                watcher.idled(node, cause)
            self._wake(node)
            return True
        point = self.crash_point(node, effects) if may_crash else None
        self.crashed_merges += point is not None and _merges(effects)
        if point is CrashPoint.BEFORE:
            if not self.writes_first:
                node.outbox.extend(effects.outbound)
                self._publish(node)
            node.unwritten = effects
            self.kill(node, point)
            return False
        node.write(effects)
        for event in effects.events:
            if type(event) in _MOVES:
                self._listen(node)
                break
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
        left, gone = len(outbox) if count is None else count, 0
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
            gone += 1
        if node.disk is not None:
            node.disk.published(gone)

    def _is_replaced(self, node: Node, outbound: Outbound, payload: Payload | None, body: bytes | None) -> bool:
        """Does a bad member send something else?"""
        if not node.is_adversary or self.sabotage is None:
            return False
        return self.sabotage(node, outbound, payload or (payload_of(body) if body is not None else None))

    def _receive(self, node: Node, envelope: Envelope) -> bool:
        machine = node.machine
        if not node.is_up or machine is None:
            return False
        if node.unwritten is not None:
            self.clock.at(node.busy_until, lambda: self.network.arrive(node.name, envelope))
            return False
        now = self.now_of(node)
        self._step(node, lambda: machine.receive(envelope.topic, envelope.payload, now), envelope)
        return True

    def close(self) -> None:
        """Let go of the disks."""
        for node in self.nodes.values():
            if node.disk is not None:
                node.disk.close()

    # --- Time ---------------------------------------------------------------------------------------------------

    def _wake(self, node: Node) -> None:
        deadline = node.deadline
        if deadline is not None and (node.wakes_at is None or deadline < node.wakes_at):
            node.wakes_at = deadline
            self.clock.at(node.hand.when(deadline), lambda: self._awake(node, deadline))

    def _awake(self, node: Node, when: int) -> None:
        if node.wakes_at != when:
            return
        node.wakes_at = None
        machine, now = node.machine, self.now_of(node)
        if not node.is_up or machine is None:
            return
        if node.unwritten is not None:
            return  # it wakes when that is written
        if node.deadline is not None and node.deadline <= now:
            self._step(node, lambda: machine.tick(now), None)
            is_done = node.unwritten is None and node.is_up
            if is_done and node.deadline is not None and node.deadline <= now:
                raise Broken("core", f"{node.name}'s machine is busy with nothing")
        else:
            self._wake(node)

    # --- Crashes ------------------------------------------------------------------------------------------------

    def kill(self, node: Node, point: CrashPoint | None = None, down: int | None = None) -> None:
        """The node dies and comes back after a while (``down`` milliseconds).

        What its disk was busy with is there, or is not; on a real disk, its log is torn somewhere.
        """
        machine = node.machine
        if not node.is_up or machine is None:
            return
        effects, cause = node.unwritten, node.cause
        node.unwritten = node.cause = None
        if effects is not None and point is None:
            self.crashed_merges += _merges(effects)
            point = self._disk_dice.choice((CrashPoint.BEFORE, CrashPoint.AFTER))
            if point is CrashPoint.AFTER:
                node.write(effects)
                for watcher in self.watchers:
                    watcher.stepped(node, effects, cause)
                effects = None
        if node.disk is not None:
            node.disk.die(effects, self._disk_dice.random())
        for watcher in self.watchers:
            watcher.killed(node, machine, point)
        node.is_up, node.machine, node.wakes_at = False, None, None
        pause = down if down is not None else int(self._down.expovariate(1 / self.mean_down))
        life = node.life
        self.clock.after(pause, lambda: self.restart(node, life))

    def back_up(self, node: Node) -> Backup:
        """A copy of its disk, marked as a backup."""
        self._write_out(node)
        return Backup(node.life, dict(node.records), node.disk.back_up() if node.disk is not None else None)

    def restart(self, node: Node, life: int) -> None:
        """Go on from what was durable: first the outbox, then the machine's own."""
        if node.is_up or node.life != life:
            return
        node.is_up = True
        if node.disk is not None and node.disk.kept() != node.kept:
            raise Broken("P5", f"{node.name}'s disk holds something else than was written")
        try:
            machine, effects = load_machine(node.records, engine=node.engine, now=self.now_of(node))
        except Exception as problem:
            raise Broken("P5", f"{node.name}'s records cannot be loaded: {traceback.format_exc()}") from problem
        assert isinstance(machine, Machine)
        node.machine = machine
        if isinstance(machine, Group) and node.returning is not None:
            more = machine.use_wallet(node.sign, self.now_of(node))
            effects = Effects(
                effects.changes + more.changes, more.outbound, effects.events + more.events, more.deadline
            )
        self._listen(node)
        for watcher in self.watchers:
            watcher.restarted(node)
        self._finish(node, effects, None, may_crash=False)
        self.network.catch_up(node.name)
