"""What goes wrong, and when? Cuts of the network, crashes in the middle of steps, stewards that are all away, nodes
that are off for several epochs, leaders that die and cuts that come when a candidate has just been acknowledged or an
election has just begun."""

from __future__ import annotations

from random import Random

from demls.protocol.commit_round import Phase
from demls.protocol.effects import Effects
from demls.protocol.views import ProposalStatus
from demls.simulation.network import Envelope
from demls.simulation.nodes import Node
from demls.simulation.world import CrashPoint, World, never
from demls.wire.ids import ProposalId

_POINTS = (CrashPoint.BEFORE, CrashPoint.BEFORE, CrashPoint.AFTER, CrashPoint.DURING)
_FLAP = 3_000
_HIDDEN_LEAST, _HIDDEN_MOST = 10_000, 120_000
_HIDDEN_BY_TOPIC = 0.3
_DISPUTED_MOST = 35_000
_MUFFLED_LEAST, _MUFFLED_MOST = 60_000, 300_000


class Faults:
    """Draws faults until it is told to stop; every fault ends by itself, or with ``stop``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_over = False
        self.cuts = 0
        self.strikes = 0
        self._struck: set[tuple[str, bytes, int]] = set()
        self._disputed: set[ProposalId] = set()
        self._dice: Random = world.dice("faults")
        size = world.scenario.members
        self._longest = 45_000 if size <= 8 else 20_000

    def start(self) -> None:
        scenario, world = self.world.scenario, self.world
        world.network.weather = scenario.weather
        world.network.forgets = scenario.forgets
        world.is_writing_fast = False
        world.mean_down = self._longest // 3
        world.crash_point = self._crash_point
        if scenario.partitions:
            world.clock.after(self._pause(), self._cut)
        if scenario.blackouts:
            world.clock.after(self._pause(), self._black_out)
        if scenario.naps:
            world.clock.after(self._pause(), self._put_to_sleep)
        if scenario.muffles:
            world.clock.after(self._pause(), self._muffle)
        if scenario.hides:
            world.clock.after(self._pause(), self._hide)

    def stop(self) -> None:
        """Nothing goes wrong any more; who is down comes back by itself."""
        self.is_over = True
        self.world.crash_point = never
        self.world.network.cuts.clear()
        self.world.network.hides.clear()
        self.world.network.forgets = 0.0
        self.world.is_writing_fast = True

    def _pause(self) -> int:
        return int(self._dice.expovariate(1 / 25_000)) + 2_000

    def _note(self, what: str) -> None:
        for watcher in self.world.watchers:
            watcher.noted("*", what)

    # --- Crashes ------------------------------------------------------------------------------------------------

    def _crash_point(self, node: Node, effects: Effects) -> CrashPoint | None:
        if self.world.scenario.strikes and effects.outbound:
            self._strike(node)
        if self.world.scenario.disputes and effects.outbound:
            self._dispute(node)
        if not effects.changes or self._dice.random() >= self.world.scenario.crashes or not node.is_member:
            return None
        return self._dice.choice(_POINTS)

    def _black_out(self) -> None:
        """All stewards are switched off for a while, if the others can do without them."""
        if self.is_over:
            return
        self.world.clock.after(2 * self._pause(), self._black_out)
        newest = self.world.newest()
        state = newest.state if newest is not None else None
        if state is None or len(state.state.stewards.members) > state.committee.n - state.committee.q:
            return
        down = self._dice.randint(15_000, 15_000 + self._longest)
        for address in state.state.stewards.members:
            self.world.kill(self.world.node_of(address), None, down)

    def _strike(self, node: Node) -> None:
        """A candidate has just been acknowledged here: the worst time for its leader to die, or for a cut."""
        state = node.state
        if state is None or state.round.at.phase is not Phase.ACKED or state.round.at.view not in state.round.offers:
            return
        place = node.name, bytes(state.state.head), state.round.at.view
        if place in self._struck:
            return
        self._struck.add(place)
        if self._dice.random() >= self.world.scenario.strikes:
            return
        self.strikes += 1
        leader = self.world.node_of(state.round.leader(state.round.at.view))
        if self._dice.random() < 0.5:
            down = self._dice.randint(4_000, self._longest)
            self.world.clock.after(self._dice.randint(0, 60), lambda: self.world.kill(leader, None, down))
        else:
            names = sorted(other.name for other in self.world.nodes.values() if other.is_member)
            self._dice.shuffle(names)
            self._cut_off("strike", frozenset(names[: len(names) // 2]), self._dice.randint(4_000, 15_000))

    def _dispute(self, node: Node) -> None:
        """An election has just begun here: cut in two, the members cannot decide it before its time is over."""
        state = node.state
        if state is None:
            return
        for proposal_id, election in state.governance.elections.items():
            length = election.proposal.duration + 2_000
            if proposal_id in self._disputed or election.status is not ProposalStatus.OPEN:
                continue
            self._disputed.add(proposal_id)
            if length <= _DISPUTED_MOST and self._dice.random() < self.world.scenario.disputes:
                names = sorted(other.name for other in self.world.nodes.values() if other.is_member)
                self._dice.shuffle(names)
                self._cut_off("dispute", frozenset(names[: len(names) // 2]), length)

    def _put_to_sleep(self) -> None:
        """One node is off for several epochs, if the others can do without it."""
        if self.is_over:
            return
        self.world.clock.after(2 * self._pause(), self._put_to_sleep)
        newest = self.world.newest()
        state = newest.state if newest is not None else None
        if state is None:
            return
        members = [self.world.node_of(address) for address in sorted(state.roster.addresses)]
        if sum(1 for node in members if not node.is_up) < state.committee.n - state.committee.q:
            self.world.kill(self._dice.choice(members), None, self._dice.randint(40_000, 180_000))

    def _muffle(self) -> None:
        """Whoever runs the relay delivers nothing of one honest member, who is meant to seem at fault."""
        members = [node for node in self.world.members() if not node.is_adversary]
        if self.is_over or not members:
            return
        victim = self._dice.choice(members).name
        length = self._dice.randint(_MUFFLED_LEAST, _MUFFLED_MOST)
        self._cut_off("one-way", frozenset({victim}), length)
        self.world.clock.after(length + self._pause(), self._muffle)

    # --- Relays and disks ---------------------------------------------------------------------------------------

    def _hide(self) -> None:
        """The relay withholds what some members say, or the half of all topics, and gives it out later."""
        if self.is_over:
            return
        network, length = self.world.network, self._dice.randint(_HIDDEN_LEAST, _HIDDEN_MOST)
        names = sorted(node.name for node in self.world.nodes.values() if node.is_member)
        if not names:
            return
        some = frozenset(self._dice.sample(names, max(1, len(names) // 4)))
        bit = self._dice.randint(0, 7) if self._dice.random() < _HIDDEN_BY_TOPIC else None

        def is_hidden(envelope: Envelope) -> bool:
            return bool(envelope.topic[0] >> bit & 1) if bit is not None else envelope.sender in some

        def end() -> None:
            if is_hidden in network.hides:
                network.hides.remove(is_hidden)
                self._note("the relay withholds nothing any more")
                for node in self.world.nodes.values():
                    network.catch_up(node.name)

        what = "half of all topics" if bit is not None else f"what {' '.join(sorted(some))} say"
        self._note(f"the relay withholds {what}, for {length // 1000} s")
        network.hides.append(is_hidden)
        self.world.clock.after(length, end)
        self.world.clock.after(length + 2 * self._pause(), self._hide)

    # --- Cuts ---------------------------------------------------------------------------------------------------

    def _cut(self) -> None:
        if self.is_over:
            return
        names = sorted(node.name for node in self.world.nodes.values() if node.is_member)
        self._dice.shuffle(names)
        kind = self._dice.choice(("halves", "one", "one-way", "flapping"))
        size = 1 if kind == "one" else max(1, len(names) // 2)
        side = frozenset(names[:size])
        length = self._dice.randint(3_000, self._longest)
        self._cut_off(kind, side, length)
        self.world.clock.after(length + self._pause(), self._cut)

    def _cut_off(self, kind: str, side: frozenset[str], length: int) -> None:
        """Cut one side from the other for so long."""
        clock = self.world.clock

        def is_cut(sender: str, receiver: str) -> bool:
            if kind == "flapping" and clock.now // _FLAP % 2:
                return False
            if kind == "one-way":
                return sender in side and receiver not in side
            return (sender in side) != (receiver in side)

        def end() -> None:
            if is_cut in self.world.network.cuts:
                self.world.network.cuts.remove(is_cut)
                self._note("the network is whole again")
                for node in self.world.nodes.values():
                    self.world.network.catch_up(node.name)

        self.cuts += 1
        self._note(f"the network is cut ({kind}): {' '.join(sorted(side))} from the others, for {length // 1000} s")
        self.world.network.cuts.append(is_cut)
        clock.after(length, end)
