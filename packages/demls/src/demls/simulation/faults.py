"""What goes wrong, and when? Cuts of the network, crashes in the middle of steps, stewards that are all away."""

from __future__ import annotations

from random import Random

from demls.protocol.effects import Effects
from demls.simulation.nodes import Node
from demls.simulation.world import CrashPoint, World, never

_POINTS = (CrashPoint.BEFORE, CrashPoint.BEFORE, CrashPoint.AFTER, CrashPoint.DURING)
_FLAP = 3_000


class Faults:
    """Draws faults until it is told to stop; every fault ends by itself, or with ``stop``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_over = False
        self.cuts = 0
        self._dice: Random = world.dice("faults")
        size = world.scenario.members
        self._longest = 45_000 if size <= 8 else 20_000

    def start(self) -> None:
        scenario, world = self.world.scenario, self.world
        world.network.weather = scenario.weather
        world.mean_down = self._longest // 3
        world.crash_point = self._crash_point
        if scenario.partitions:
            world.clock.after(self._pause(), self._cut)
        if scenario.blackouts:
            world.clock.after(self._pause(), self._black_out)

    def stop(self) -> None:
        """Nothing goes wrong any more; who is down comes back by itself."""
        self.is_over = True
        self.world.crash_point = never
        self.world.network.cuts.clear()

    def _pause(self) -> int:
        return int(self._dice.expovariate(1 / 25_000)) + 2_000

    def _note(self, what: str) -> None:
        for watcher in self.world.watchers:
            watcher.noted("*", what)

    # --- Crashes ------------------------------------------------------------------------------------------------

    def _crash_point(self, node: Node, effects: Effects) -> CrashPoint | None:
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
        if state is None or len(state.state.stewards.members) > state.roster.n - state.roster.q:
            return
        down = self._dice.randint(15_000, 15_000 + self._longest)
        for address in state.state.stewards.members:
            self.world.kill(self.world.node_of(address), None, down)

    # --- Cuts ---------------------------------------------------------------------------------------------------

    def _cut(self) -> None:
        if self.is_over:
            return
        names = sorted(node.name for node in self.world.nodes.values() if node.is_member)
        self._dice.shuffle(names)
        kind = self._dice.choice(("halves", "one", "one-way", "flapping"))
        size = 1 if kind == "one" else max(1, len(names) // 2)
        side = frozenset(names[:size])
        clock, length = self.world.clock, self._dice.randint(3_000, self._longest)

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
        clock.after(length + self._pause(), self._cut)
