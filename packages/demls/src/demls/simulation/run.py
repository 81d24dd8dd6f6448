"""How does a seed go? A group is founded in calm weather, lives among faults, is healed, and must get on and rest."""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from demls_consensus import quorum

from demls.protocol import parts
from demls.protocol import policy as bounds
from demls.protocol.duties import AWAKE_AGAIN
from demls.protocol.errors import RequestRefused
from demls.protocol.policy import DAY, HOUR, MINUTE, SECOND
from demls.simulation.adversaries.sabotage import Sabotage
from demls.simulation.clock import START
from demls.simulation.consent import Consent
from demls.simulation.counters import Counters
from demls.simulation.faults import Faults
from demls.simulation.innocence import Innocence
from demls.simulation.limits import Limits
from demls.simulation.nodes import Node
from demls.simulation.people import People
from demls.simulation.progress import Progress, Reading
from demls.simulation.promises import Agreement, Durable
from demls.simulation.returns import Returns
from demls.simulation.scenario import CALM, Scenario
from demls.simulation.story import Story
from demls.simulation.timing import Timing
from demls.simulation.traffic import shared_reading
from demls.simulation.world import NAMES, Broken, World

REAL_ENGINE_EVERY = 25
_FOUNDING_MOST = 3 * MINUTE
_FAULTS_MOST = 12 * MINUTE
_HEALED_MOST = 15 * MINUTE
_HEALED_LEAST = MINUTE
_LOOK_EVERY = 2 * SECOND
_REPAIR_MOST = 40 * MINUTE
"""So long missing messages are asked for, and then told, where others are heard meanwhile."""

_GIVEN_UP_AFTER = DAY + HOUR
"""So long in a group where nobody says anything."""

_FOR_GOOD = 1 << 40
"""Longer than any seed lasts."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a seed. ``promise`` is empty if all were kept; times in seconds."""

    seed: int
    engine: str
    members: int
    adversaries: int
    promise: str
    detail: str
    counts: dict[str, int]
    acts: dict[str, int]
    """How often bad members acted, by strategy."""
    slowest_commit: float
    """The longest that approved work waited on the whole network, virtual."""
    share_of_bound: float
    """The largest share of its bound (``Progress.bound``) that approved work waited."""
    lived: float
    """Virtual time."""
    took: float
    """Processor time."""
    deliveries: int
    faults: tuple[str, ...] = ()
    """What went wrong in this world, by kinds."""
    latencies: tuple[float, ...] = ()
    """From proposals to their commits."""
    views: tuple[int, ...] = ()
    """In which each epoch was settled."""
    time_to_heal: float | None = None
    """After the faults, until two thirds were in one epoch; None if that never was demanded."""
    bound_to_heal: float = 0.0
    fingerprint: str = ""
    """Of what every node has stored in the end: equal for two runs of one seed on the model engine."""
    transcript: tuple[str, ...] = ()


def engine_for(seed: int) -> str:
    """Most seeds run on the model engine, some on the real one."""
    return "real" if seed % REAL_ENGINE_EVERY == 0 else "model"


def simulate(
    seed: int,
    *,
    members: int | None = None,
    engine: str | None = None,
    profile: str = "full",
    trace: bool = False,
) -> Outcome:
    """Run one seed. A broken promise is an outcome, no exception; its transcript comes from running it again."""
    return play(Scenario.draw(seed, engine or engine_for(seed), members, profile), trace=trace)


def play(scenario: Scenario, *, trace: bool = False, without: tuple[str, ...] = ()) -> Outcome:
    """Run one world. ``without``: strategies that no bad member follows."""
    life = Life(scenario, trace=trace)
    for mind in life.sabotage.minds.values():
        mind.names = tuple(name for name in mind.names if name not in without)
    began = time.process_time()
    promise = detail = ""
    is_collecting = gc.isenabled()
    gc.disable()  # a seed makes few cycles, and they go with its world
    try:
        life.run()
    except Broken as broken:
        promise, detail = broken.promise, broken.detail
        if not trace:
            return play(scenario, trace=True, without=without)
    finally:
        life.world.close()
        if is_collecting:
            gc.enable()
            gc.collect()
    return Outcome(
        scenario.seed,
        scenario.engine,
        scenario.members,
        scenario.adversaries,
        promise,
        detail,
        life.counts(),
        dict(life.sabotage.acts),
        life.progress.longest / 1000,
        life.progress.tightest,
        (life.world.clock.now - START) / 1000,
        time.process_time() - began,
        life.world.network.delivered,
        scenario.faults,
        tuple(latency / 1000 for latency in life.timing.latencies),
        tuple(life.timing.views),
        None if life.progress.together_in is None else life.progress.together_in / 1000,
        life.progress.heal_bound / 1000,
        life.fingerprint(),
        tuple(life.story.lines) if life.story is not None else (),
    )


class Life:
    """The whole story of one seed."""

    def __init__(self, scenario: Scenario, *, trace: bool = False, rejected: bool = False) -> None:
        world = World(scenario)
        for name in NAMES[: scenario.members + 6 + scenario.members // 3]:
            world.add(name)
        self.world = world
        self.people = People(world)
        self.faults = Faults(world)
        self.sabotage = Sabotage(world)
        self.agreement = Agreement(world)
        self.consent = Consent(world, self.people.truth, self.agreement, self.sabotage.counts_as_yes)
        self.durable = Durable(world, self.people.truth)
        self.innocence = Innocence(world)
        self.limits = Limits(world)
        self.progress = Progress(world, self.agreement)
        self.reading = Reading(world)
        self.returns = Returns(world, self.people.truth, self.agreement)
        self.counters = Counters(world, self.agreement)
        self.timing = Timing(world)
        self.story = Story(world, rejected=rejected) if trace else None
        world.watchers += [self.story] if self.story is not None else []
        world.watchers += [self.agreement, self.consent, self.durable, self.innocence, self.limits]
        world.watchers += [self.progress, self.reading, self.counters, self.timing]
        world.watchers += [self.people, self.returns, self.sabotage]
        world.idle_watchers += [self.limits, self.sabotage]

    def run(self) -> None:
        """Raises Broken."""
        with shared_reading(), self._parts():
            self._live()

    @contextmanager
    def _parts(self) -> Iterator[None]:
        """Welcomes are as many parts as in a large group, if the world is such a one."""
        size = self.world.scenario.part_bytes
        if not size:
            yield
            return
        with patch.object(bounds, "WELCOME_WHOLE_MAX", size), patch.object(parts, "WELCOME_PART_BYTES", size):
            yield

    def _live(self) -> None:
        self._say(f"seed {self.world.scenario.seed}: {self.world.scenario}")
        self._found()
        self._suffer()
        self._heal()
        if self.world.scenario.dozes:
            self._doze()
        self._rest()

    def fingerprint(self) -> str:
        """A digest of the time and of all records and outboxes."""
        found = hashlib.sha256(str(self.world.clock.now).encode())
        for name, node in self.world.nodes.items():
            for part in (name.encode(), *(part for item in sorted(node.records.items()) for part in item)):
                found.update(len(part).to_bytes(8, "big") + part)
            for outbound in node.outbox:
                found.update(outbound.topic + outbound.payload)
        return found.hexdigest()

    def counts(self) -> dict[str, int]:
        counts = dict(self.counters.count)
        counts["adversary acts"] = self.sabotage.acts.total()
        counts["resync"] = self.returns.returned
        counts["stranded"] = self.returns.stranded
        counts["partitions"] = self.faults.cuts
        counts["crash inside a merge"] = self.world.crashed_merges
        counts["restored backup"] = self.returns.restored
        counts["ghost members"] = sum(1 for node in self.world.nodes.values() if self.progress.is_ghost(node))
        counts["halted groups"] = int(self.world.newest() is not None and not self.progress.can_progress())
        counts["chat messages"] = self.reading.messages
        counts["chat messages repaired"] = self.reading.recovered
        return counts

    def _say(self, what: str) -> None:
        if self.story is not None:
            self.story.noted("*", what)

    # --- Phases -------------------------------------------------------------------------------------------------

    def _found(self) -> None:
        """The first founds a group, the others come in, everybody votes yes."""
        world, people = self.world, self.people
        names = list(world.nodes)
        world.found(names[0])
        for name in names[1 : world.scenario.members]:
            guest = world.nodes[name]
            link = world.link(world.nodes[names[0]], HOUR)
            assert link is not None
            people.truth.asked[guest.address] += 1
            world.ask(guest, link)
        end = world.clock.now + _FOUNDING_MOST
        while world.clock.now < end and len(world.members()) < world.scenario.members:
            world.clock.run(world.clock.now + _LOOK_EVERY)
        people.is_eager = False

    def _suffer(self) -> None:
        """People live while things go wrong, until enough has happened."""
        world = self.world
        self._say("things begin to go wrong")
        self.sabotage.start()
        world.silent = frozenset(name for name, mind in self.sabotage.minds.items() if "silent" in mind.names)
        self.faults.start()
        self.people.live()
        self.returns.live()
        end, epochs = world.clock.now + _FAULTS_MOST, world.scenario.epochs * 2 // 3
        while world.clock.now < end and self.counters.count["epochs"] < epochs and self._has_breath(1):
            world.clock.run(world.clock.now + _LOOK_EVERY)

    def _has_breath(self, parts: int) -> bool:
        """May life go on, by the messages that have been delivered?"""
        return self.world.network.delivered < parts * self.world.scenario.deliveries

    def _heal(self) -> None:
        """The network is whole and all nodes run; bad members stay. People live on until enough has happened."""
        world = self.world
        self._say("the network is whole, and everybody is there")
        self.faults.stop()
        self.returns.is_resting = True
        world.network.weather = CALM
        for node in list(world.nodes.values()):
            if not node.is_up:
                world.restart(node, node.life)
            world.network.catch_up(node.name)
        self.progress.heal()
        self._call_the_roll()
        end = world.clock.now + _HEALED_MOST
        least = world.clock.now + _HEALED_LEAST
        while world.clock.now < end and self.counters.count["epochs"] < world.scenario.epochs:
            if world.clock.now >= least and not self._has_breath(2):
                break
            self._look(_LOOK_EVERY)
            if not self.progress.can_progress():
                break
        self.people.is_resting = True

    def _doze(self) -> None:
        """Some vanish, for good or for hours, while the others talk on: they are dormant some time, and count again."""
        world, newest = self.world, self.agreement.newest
        dice = world.dice("doze")
        self.sabotage.is_slow = True
        self._look(2 * MINUTE)
        newest = self.agreement.newest
        if newest is None or not self.progress.has_quorum():
            return
        there = [node for node in world.honest() if node.address in newest.counted and node.is_member]
        spare = len(there) - quorum(len(newest.counted))
        if len(newest.committee) < len(newest.counted):
            spare = 0  # who sleeps may be more than a third of the next committee
        sleepers = dice.sample(there, min(spare, dice.randint(1, 2))) if spare > 0 else []
        for node in sleepers:
            self.progress.vanished.add(node.name)
            world.kill(node, None, _FOR_GOOD)
        # Those who come in meanwhile have to see for themselves that somebody is silent for so long.
        end = world.clock.now + 3 * newest.charter.policy.dormant_after
        while world.clock.now < end and not self._are_dormant(sleepers):
            self._call_the_roll()
            self._look(8 * MINUTE)
        if not self._are_dormant(sleepers):
            raise Broken("P3", f"{' '.join(node.name for node in sleepers)}: silent for hours, and still counted")
        self.people.is_resting = False
        self.people.live()
        self._until(self.counters.count["epochs"] + 5, 5 * MINUTE)
        self.people.is_resting = True
        returning = [node for node in sleepers if dice.random() < 0.7]
        for node in returning:
            self.progress.vanished.discard(node.name)
            world.restart(node, node.life)
        self._look(MINUTE)
        self._call_the_roll()
        self._look_unless_frozen(5 * MINUTE)
        newest = self.agreement.newest
        still = newest.dormant if newest is not None else frozenset()
        awake = [
            node.name
            for node in returning
            if node.address in still and self.progress.can_progress() and not self.progress.is_excused(node)
        ]
        if awake:
            raise Broken("P3", f"{' '.join(awake)}: back, and not counted")

    def _look_unless_frozen(self, length: int) -> None:
        """Nobody votes on anything else while an emergency is open; what is refused then is asked again later."""
        passed, was_frozen = 0, False
        while passed < length or (was_frozen and passed < length + AWAKE_AGAIN):
            is_frozen = self.progress.is_frozen()
            was_frozen |= is_frozen
            self._look(MINUTE)
            passed = 0 if is_frozen else passed + MINUTE

    def _are_dormant(self, nodes: list[Node]) -> bool:
        """Do none of them count any more?"""
        newest = self.agreement.newest
        return newest is not None and not {node.address for node in nodes} & set(newest.counted)

    def _until(self, epochs: int, longest: int) -> None:
        end = self.world.clock.now + longest
        while self.world.clock.now < end and self.counters.count["epochs"] < epochs:
            self._look(_LOOK_EVERY)

    def _rest(self) -> None:
        """All that is open is decided, by votes or by time; then nothing is left over and nobody waits."""
        world = self.world
        self.sabotage.rest()
        self._look(MINUTE)
        self.people.look_again()
        self._call_the_roll()
        began, patience = world.clock.now, 2 * self.progress.bound()
        while not self.progress.is_quiet():
            # Who comes in meanwhile waits anew for those who are silent, and where stewards decide, twice.
            is_waiting, can_progress = self.progress.waits_for_silence(), self.progress.can_progress()
            if world.clock.now >= began + (6 if is_waiting else 3) * DAY:
                break
            if not self._is_busy():
                self._look(HOUR)
                patience = 2 * self.progress.bound()
            elif patience > 0:
                is_frozen = self.progress.is_frozen()
                self._look(_LOOK_EVERY)
                patience -= 0 if is_frozen else _LOOK_EVERY
            elif not can_progress:
                break
            elif is_waiting:
                self._look(HOUR)
                patience = 2 * self.progress.bound()
            elif self.progress.is_welcome_missing():
                self._look(MINUTE)
            else:
                raise Broken("P3", f"a round does not end: {self._who_is_busy()}")
        self._call_the_roll()
        for _ in range(15):
            self._look(_LOOK_EVERY)
        self._call_the_roll()
        for _ in range(15):
            self._look(_LOOK_EVERY)
        while self._is_busy() and patience > 0 and self.progress.can_progress():
            self._look(_LOOK_EVERY)  # a commit is on its way still
            patience -= _LOOK_EVERY
        self.agreement.together(self.progress.is_given_up)
        self.progress.ended()
        if self.progress.can_progress():
            self._look(_REPAIR_MOST)
            if self.reading.is_fetching():
                self._look(_GIVEN_UP_AFTER)
        self.reading.check(self.progress)

    def _is_busy(self) -> bool:
        return bool(self._who_is_busy())

    def _who_is_busy(self) -> str:
        """Who is in an open round, in which epoch and view."""
        busy = (
            f"{node.name} in view {node.state.round.at.view} of epoch {node.state.epoch}"
            for node in self.world.members()
            if node.state is not None
            and node.state.round.is_open
            and self._is_in(node)
            and not self.world.is_bad(node)
            and not self.progress.is_excused(node)
        )
        return ", ".join(busy)

    def _is_in(self, node: Node) -> bool:
        newest = self.agreement.newest
        return newest is not None and any(address == node.address for address, _, _ in newest.roster)

    def _look(self, length: int) -> None:
        self.world.clock.run(self.world.clock.now + length)
        self.progress.watch()

    def _call_the_roll(self) -> None:
        """Everybody says something, so that gaps show and whoever is behind is heard."""
        for node in self.world.members():
            try:
                self.people.talk(node)
            except RequestRefused:
                continue
