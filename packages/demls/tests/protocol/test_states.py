"""The states of a group's work: each is reached, in each people talk and vote, and from each the group comes back.

``docs/states.md`` sets them beside the states of the reference applications.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest
from demls.protocol.channel import unseal
from demls.protocol.commit_round import Phase
from demls.protocol.errors import RequestRefused
from demls.protocol.policy import PRESETS
from demls.protocol.views import ProposalStatus
from demls.simulation.model_engine import ModelEngine
from demls.wire.messages import Digest, Offer, Remove, SettledCommit
from demls.wire.statements import RoundStatement, StatementKind
from insider import Insider
from world import Envelope, Person, World

NAMES = ("alice", "bob", "carol", "dave", "erin")
BOUND = 120_000
"""After healing: a few views of the longest length that these stories can reach."""

SEEDS = 60


def group(size: int, policy: str = "day", seed: int = 5) -> World:
    world = World(seed, ModelEngine)
    world.group_of(*NAMES[:size], policy=PRESETS[policy])
    world.run(30_000)
    return world


def phase(world: World, name: str) -> Phase:
    return world.person(name).group._state.round.at.phase


def line_up(world: World) -> list[str]:
    """By views."""
    return [world.name_of(address) for address in world.person("alice").group._state.state.leaders]


def decide_removal(world: World, names: Iterable[str], victim: str) -> None:
    first, *others = names
    world.do(first, lambda group: group.propose(Remove(world.person(victim).address), world.now))
    world.vote_on_everything(*others)


def losing(
    world: World, kinds: tuple[type, ...], only: StatementKind | None = None
) -> Callable[[Person, Envelope], bool]:
    """What of these kinds of messages is under way between members gets lost."""

    def lose(person: Person, envelope: Envelope) -> bool:
        if person.name == envelope.sender or not person.is_member:
            return False
        insider = Insider(world, person.name)
        opened = unseal(insider.channel, envelope.payload, person.engine)
        if not isinstance(opened, kinds):
            return False
        return only is None or (isinstance(opened, RoundStatement) and opened.kind == only)

    return lose


# --- Each state is reached, and people go on -------------------------------------------------------------------------


def idle(world: World) -> None:
    """Nothing is approved."""


def waiting(world: World) -> None:
    """Work is approved, and the leader's offer is not there."""
    world.lose = losing(world, (Offer, SettledCommit))
    decide_removal(world, line_up(world)[1:], line_up(world)[-1])


def acked(world: World) -> None:
    """The leader's candidate is acknowledged, and the others' acks are not heard."""
    world.lose = losing(world, (RoundStatement, Digest, SettledCommit))
    decide_removal(world, line_up(world)[1:], line_up(world)[-1])
    world.run(7_000)


def locked(world: World) -> None:
    """A quorum has acknowledged, and the others' locks are not heard."""
    world.lose = losing(world, (RoundStatement, SettledCommit), StatementKind.LOCK)
    decide_removal(world, line_up(world)[1:], line_up(world)[-1])
    world.run(7_000)


REACHED: dict[Phase, Callable[[World], None]] = {
    Phase.IDLE: idle,
    Phase.WAITING: waiting,
    Phase.ACKED: acked,
    Phase.LOCKED: locked,
}


@pytest.mark.parametrize("name", list(Phase))
def test_people_talk_and_vote_in_every_state(name: Phase) -> None:
    world = group(4)
    REACHED[name](world)
    one, two = line_up(world)[1:3]
    assert phase(world, one) is phase(world, two) is name
    world.do(one, lambda group: group.send("still here", world.now))
    world.do(one, lambda group: group.propose(Remove(world.person(line_up(world)[0]).address), world.now))
    world.deliver()
    assert "still here" in world.person(two).heard()
    open_one = next(p for p in world.proposals(two) if p.status is ProposalStatus.OPEN)
    assert open_one.may_vote
    world.do(two, lambda group: group.vote(open_one.proposal_id, False, world.now))
    world.deliver()
    seen = next(p for p in world.proposals(one) if p.proposal_id == open_one.proposal_id)
    assert (seen.yes, seen.no) == (1, 1)


@pytest.mark.parametrize("name", list(Phase))
def test_everybody_is_back_to_working_from_every_state(name: Phase) -> None:
    world = group(4)
    REACHED[name](world)
    world.heal()
    world.lose = lambda person, envelope: False
    world.run(BOUND)
    check_working(world)


@pytest.mark.parametrize("name", list(Phase))
def test_a_restart_in_every_state_changes_nothing(name: Phase) -> None:
    world = group(4)
    REACHED[name](world)
    for person in world.members():
        before = phase(world, person.name)
        world.restart(person.name)
        assert phase(world, person.name) is before
    world.lose = lambda person, envelope: False
    world.run(BOUND)
    check_working(world)


def check_working(world: World) -> None:
    """All are idle, in one epoch, and nothing that was approved is left."""
    members = world.members()
    assert {phase(world, person.name) for person in members} == {Phase.IDLE}
    assert len({person.group.view(world.now).epoch for person in members}) == 1
    left = [p for person in members for p in world.proposals(person.name) if p.status is ProposalStatus.APPROVED]
    assert not left


# --- From any state that chance leads to -----------------------------------------------------------------------------


class Mishaps:
    """A random life for a while: messages of the round get lost for some, nodes are switched off, people propose."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.world = group(3 + seed % 3, "quick" if seed % 2 else "day", seed)
        self.changes: set[tuple[ProposalStatus, ProposalStatus]] = set()
        self._status: dict[tuple[str, bytes], ProposalStatus] = {}
        self._loss = self.dice.choice((0.2, 0.4, 0.6))

    def live(self, steps: int = 12) -> frozenset[Phase]:
        """Says in which states it has left the members."""
        self.world.lose = lambda person, envelope: person.name != envelope.sender and self.dice.random() < self._loss
        for _ in range(steps):
            self._act()
            self.world.run(self.dice.choice((200, 1_000, 3_000, 8_000)))
            self._look()
        return frozenset(phase(self.world, person.name) for person in self.world.members())

    def heal(self) -> None:
        self.world.lose = lambda person, envelope: False
        for person in self.world.people.values():
            person.online = True
        self.world.deliver()
        for _ in range(BOUND // 10_000):
            self.world.run(10_000)
            self._look()

    def _act(self) -> None:
        name = self.dice.choice([person.name for person in self.world.members()])
        person, kind = self.world.person(name), self.dice.random()
        try:
            if kind < 0.3:
                person.online = not person.online
            elif kind < 0.6 and len(self.world.members()) > 2:
                other = self.dice.choice(self.world.members()).address
                self.world.do(name, lambda group: group.propose(Remove(other), self.world.now))
            else:
                self._vote(name)
        except RequestRefused:
            return

    def _vote(self, name: str) -> None:
        for proposal in self.world.proposals(name):
            if proposal.may_vote:
                yes = self.dice.random() < 0.7
                self.world.do(name, lambda group, it=proposal, y=yes: group.vote(it.proposal_id, y, self.world.now))  # type: ignore[misc]

    def _look(self) -> None:
        for person in self.world.members():
            for proposal in self.world.proposals(person.name):
                place = person.name, proposal.proposal_id
                before = self._status.get(place, ProposalStatus.OPEN)
                self._status[place] = proposal.status
                if before is not proposal.status:
                    self.changes.add((before, proposal.status))


SEEN: set[Phase] = set()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_state_is_a_trap(seed: int) -> None:
    life = Mishaps(seed)
    SEEN.update(life.live())
    life.heal()
    check_working(life.world)
    final = (ProposalStatus.COMMITTED, ProposalStatus.WITHDRAWN)
    assert not [change for change in life.changes if change[0] in final]


def test_chance_has_led_to_every_state() -> None:
    for seed in range(SEEDS):
        if set(Phase) <= SEEN:
            return
        SEEN.update(Mishaps(seed).live())
    assert set(Phase) <= SEEN


# --- Voting ends -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["quick", "day"])
def test_a_vote_ends_at_its_deadline_whoever_is_there(policy: str) -> None:
    world = group(4, policy)
    world.do("alice", lambda group: group.propose(Remove(world.person("dave").address), world.now))
    world.deliver()
    for name in ("bob", "carol", "dave"):
        world.person(name).online = False
    world.run(PRESETS[policy].remove.duration + 1_000)
    assert [p.status for p in world.proposals("alice")][-1] is not ProposalStatus.OPEN


@pytest.mark.parametrize("steward_is_there", [True, False])
def test_whoever_commits_is_back_to_working_with_the_others(steward_is_there: bool) -> None:
    """The steward, or the member that leads after it."""
    world = group(4)
    leaders = line_up(world)
    absent = [] if steward_is_there else leaders[:1]
    for name in absent:
        world.person(name).online = False
    decide_removal(world, [name for name in leaders if name not in absent], leaders[-1])
    world.run(BOUND)
    for name in absent:
        world.person(name).online = True
    world.run(30_000)
    check_working(world)
    assert leaders[-1] not in [person.name for person in world.members()]
