"""What do people do? They talk, invite, sponsor, ask to join, propose removals and other settings, wish for new keys,
leave, come back, and vote or stay silent.

``ACTS`` is the list of acts: a new kind of request is one more line. What people did is kept as the truth that the
promises are compared with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from demls.protocol.effects import Effects
from demls.protocol.errors import RequestRefused
from demls.protocol.events import Event, Joined, ProposalOpened, RequestReceived, WentToAll
from demls.protocol.items import Item
from demls.protocol.joining import Joining
from demls.protocol.policy import HOUR, MINUTE, SECOND
from demls.protocol.views import ProposalStatus
from demls.simulation.nodes import Node
from demls.simulation.world import Watcher, World
from demls.wire.charters import Deciders, Policy
from demls.wire.ids import Address, Epoch, ProposalId
from demls.wire.messages import Invite, Remove, Settings

_BOREDOM = 1_500
_BY_PEOPLE = (Invite, Remove, Settings)
"""Changes on which people vote; on the others their nodes do."""

_LOOKS_AGAIN = 7 * SECOND
"""A person whose node is down looks again after so long."""


@dataclass(slots=True)
class Truth:
    """What people really did."""

    votes: dict[ProposalId, dict[Address, bool]] = field(default_factory=dict)
    proposed: set[tuple[type, Address, Address]] = field(default_factory=set)
    """What was proposed, by whom, about whom: that is a YES."""
    leaves: set[tuple[Address, Epoch]] = field(default_factory=set)
    """Who wants to be gone, and in which epoch it said so."""
    asked: Counter[Address] = field(default_factory=Counter)
    """How often somebody wished to be in."""
    admitted: dict[Address, set[Epoch]] = field(default_factory=dict)
    """In which epochs such wishes were fulfilled."""
    seats: dict[Address, set[ProposalId]] = field(default_factory=dict)
    """Who has asked for a new seat, by which requests."""
    refreshed: set[Address] = field(default_factory=set)
    """Who has ever wished for new keys of its leaf."""
    talks: int = 0


@dataclass(frozen=True, slots=True)
class Act:
    """Something that a person may do. ``weight``: how likely, given how many are in and how many shall be.

    ``do`` says whether it was possible; a refusal by the core counts as that too.
    """

    name: str
    weight: Callable[[int, int], float]
    do: Callable[[People, Node], bool]


class People(Watcher):
    """All persons of a world, each with a node."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.truth = Truth()
        self.is_resting = False
        self.is_eager = True
        """Does everybody vote yes at once? So groups begin."""
        self._dice: Random = world.dice("people")
        self._moods: dict[ProposalId, float] = {}

    # --- A life -------------------------------------------------------------------------------------------------

    def live(self) -> None:
        """Act now and then, until they rest."""
        world = self.world

        def act() -> None:
            if self.is_resting:
                return
            self._act()
            pause = int(self._dice.expovariate(1 / world.scenario.pace))
            world.clock.after(pause if self._is_busy() else min(pause, _BOREDOM), act)

        act()

    def _is_busy(self) -> bool:
        """Is anything being decided? If not, people do something sooner."""
        newest = self.world.newest()
        return newest is not None and newest.state is not None and any(newest.state.governance.in_flight())

    def _act(self) -> None:
        members = self.world.members()
        inside, wanted = len(members), self.world.scenario.members
        act = self._dice.choices(ACTS, [act.weight(inside, wanted) for act in ACTS])[0]
        if members:
            self._try(act, self._dice.choice(members))

    def _try(self, act: Act, node: Node) -> bool:
        try:
            return act.do(self, node)
        except RequestRefused:
            return False

    def stepped(self, node: Node, effects: Effects, cause: object) -> None:  # noqa: ARG002 - one form for all
        for event in effects.events:
            self._hear(node, event)

    def _hear(self, node: Node, event: Event) -> None:
        if isinstance(event, ProposalOpened):
            pause = self._dice.randint(100, 1_500) if self.is_eager else int(self._dice.expovariate(1 / 6_000)) + 300
            self.world.clock.after(pause, lambda: self._decide(node, event.proposal_id))
        elif isinstance(event, WentToAll):
            if node.address not in self.truth.votes.get(event.proposal_id, {}):
                pause = self._dice.randint(100, 1_500)
                self.world.clock.after(pause, lambda: self._decide(node, event.proposal_id))
        elif isinstance(event, Joined):
            self.truth.admitted.setdefault(node.address, set()).add(event.epoch)
        elif isinstance(event, RequestReceived):
            pause = self._dice.randint(500, 8_000)
            if self._dice.random() < (0.9 if event.sponsor == node.address else 0.1):
                self.world.clock.after(pause, lambda: self._sponsor(node, event.request_id))

    # --- Voting -------------------------------------------------------------------------------------------------

    def _decide(self, node: Node, proposal_id: ProposalId) -> None:
        """Yes, no or silence, by the mood about a proposal."""
        state = node.state
        if not node.is_up:
            self.world.clock.after(_LOOKS_AGAIN, lambda: self._decide(node, proposal_id))
            return
        if state is None:
            return
        item = state.governance.items.get(proposal_id)
        if item is None or not isinstance(item.change, _BY_PEOPLE) or item.status is not ProposalStatus.OPEN:
            return
        if self.is_eager:
            yes = True
        else:
            if proposal_id not in self._moods:
                self._moods[proposal_id] = self._dice.choice((0.97, 0.97, 0.97, 0.9, 0.6, 0.2))
            die = self._dice.random()
            if die < 0.05:
                return
            if die < 0.2:
                self.world.clock.after(self._dice.randint(10_000, 30_000), lambda: self._decide(node, proposal_id))
                return
            yes = self._dice.random() < self._moods[proposal_id]
        self.vote(node, proposal_id, yes=yes)

    def vote(self, node: Node, proposal_id: ProposalId, *, yes: bool) -> None:
        votes = self.truth.votes.setdefault(proposal_id, {})
        before = votes.get(node.address)
        votes[node.address] = yes  # true from the first moment of the step, in which everything may be settled
        done = None
        self._note(node, f"votes {'yes' if yes else 'no'} on {proposal_id.hex()[:6]}")
        try:
            done = self.world.do(node, lambda group: group.vote(proposal_id, yes, self.world.now_of(node)))
        except RequestRefused as problem:
            self._note(node, f"cannot: {problem}")
        if done is None:
            del votes[node.address]
            if before is not None:
                votes[node.address] = before

    def look_again(self) -> None:
        """Everybody votes on what is still open, or most of them: after healing nothing shall hang on forgetting."""
        for node in self.world.members():
            state = node.state
            for item in list(state.governance.items.values()) if state is not None else []:
                if not isinstance(item.change, _BY_PEOPLE):
                    continue
                if item.status is ProposalStatus.OPEN and self._dice.random() < 0.8:
                    self.vote(node, item.proposal_id, yes=self._dice.random() < self._moods.get(item.proposal_id, 0.9))
                if not node.is_up:
                    break

    def _note(self, node: Node, what: str) -> None:
        for watcher in self.world.watchers:
            watcher.noted(node.name, what)

    def is_free(self, node: Node) -> bool:
        """May this person ask to join? Whoever was refused may, if nothing about it is under way any more."""
        if not node.is_up or node.is_out:
            return node.is_up
        if node.group is not None or not isinstance(node.machine, Joining):
            return False
        is_tired = self.world.clock.now > node.machine.asked_at + (20_000 if node.machine.refused else 120_000)
        if not is_tired:
            return False
        return self._dice.random() < 0.01 or not any(self._concerns(other, node) for other in self.world.nodes.values())

    @staticmethod
    def _concerns(member: Node, guest: Node) -> bool:
        """Does this member still have to do with the guest?"""
        state = member.state
        if state is None:
            return False
        if guest.address in state.roster.addresses:
            return True
        if any(request.address == guest.address for request in state.requests.waiting.values()):
            return True
        about = (item for item in state.governance.items.values() if item.subject == guest.address)
        return any(item.ended_at is None or _may_come_back(item) for item in about)

    # --- Acts ---------------------------------------------------------------------------------------------------

    def talk(self, node: Node) -> bool:
        self.truth.talks += 1
        text = f"{node.name} {node.life}: {self.truth.talks}"
        return self.world.do(node, lambda group: group.send(text, self.world.now_of(node))) is not None

    def invite(self, node: Node) -> bool:
        """Give a link to somebody outside, who asks with it a little later."""
        outside = [other for other in self.world.nodes.values() if self.is_free(other)]
        if not outside:
            return False
        guest = self._dice.choice(outside)
        is_open = self._dice.random() < 0.25
        link = self.world.link(node, self._dice.choice((10 * MINUTE, HOUR)), is_open=is_open)
        if link is None:
            return False

        def ask() -> None:
            if self.is_free(guest):
                self.truth.asked[guest.address] += 1
                kind = "an open link" if is_open else "a link"
                self._note(guest, f"asks to join with {kind} by {node.name}")
                guest.is_open_guest = is_open
                try:
                    self.world.ask(guest, link)
                except RequestRefused:
                    return

        self.world.clock.after(self._dice.randint(100, 3_000), ask)
        return True

    def _sponsor(self, node: Node, request_id: bytes) -> None:
        """Answer for somebody who came by an open link."""
        state = node.state
        request = state.requests.waiting.get(request_id) if state is not None and node.is_up else None
        if request is None or request.token:
            return
        self.truth.proposed.add((Invite, node.address, Address(request.address)))
        self._note(node, f"sponsors {self.world.name_of(request.address)}")
        try:
            self.world.do(node, lambda group: group.sponsor(request_id, self.world.now_of(node)))
        except RequestRefused as problem:
            self._note(node, f"cannot: {problem}")

    def remove(self, node: Node) -> bool:
        others = [member for member in (node.group.members() if node.group else ()) if not member.is_self]
        if not others:
            return False
        subject = self._dice.choice(others).address
        self.truth.proposed.add((Remove, node.address, subject))
        return self.world.do(node, lambda group: group.propose(Remove(subject), self.world.now_of(node))) is not None

    def leave(self, node: Node) -> bool:
        self.truth.leaves.add((node.address, node.state.epoch if node.state is not None else Epoch(0)))
        self._note(node, "wants to leave")
        return self.world.do(node, lambda group: group.leave(self.world.now_of(node))) is not None

    def refresh_keys(self, node: Node) -> bool:
        """Wish for new keys, sometimes with a new wallet binding."""
        self.truth.refreshed.add(node.address)
        self._note(node, "wants new keys")
        now = self.world.now_of(node)
        binding = node.new_binding(now) if self._dice.random() < 0.3 else None
        return self.world.do(node, lambda group: group.refresh_keys(now, binding)) is not None

    def change_settings(self, node: Node) -> bool:
        """Another name, other bounds of the steward list, other durations."""
        state = node.state
        assert state is not None
        name, policy = state.charter.name, state.charter.policy
        if self._dice.random() < 0.3:
            name = f"friends {self._dice.randint(1, 1_000_000)}"
        else:
            policy = self._other_policy(policy)
        self.truth.proposed.add((Settings, node.address, node.address))
        now = self.world.now_of(node)
        return self.world.do(node, lambda group: group.change_settings(now, name=name, policy=policy)) is not None

    def _other_policy(self, policy: Policy) -> Policy:
        dice = self._dice
        is_council = Deciders.STEWARDS in (policy.invite.decided_by, policy.remove.decided_by)
        if dice.random() < 0.5 and not is_council:
            most = dice.choice((1, 2, 3, 4, 7))
            return replace(policy, stewards_min=dice.randint(1, most), stewards_max=most)
        duration = dice.choice((8, 20, 30)) * SECOND
        return replace(
            policy,
            invite=replace(policy.invite, duration=duration),
            remove=replace(policy.remove, duration=duration),
            election=replace(policy.election, duration=dice.choice((10, 30)) * SECOND),
            batch_window=dice.choice((0, 300, 2_000)),
            delivery_time=dice.choice((policy.delivery_time, 1_000, 3_000)),
            reelections_max=dice.randint(0, 3),
        )


def _may_come_back(item: Item) -> bool:
    """A refused invite is approved after all when electors leave: whoever asks anew meanwhile is let in as a ghost."""
    return item.status is ProposalStatus.REJECTED and not item.is_void


def _needs_people(inside: int, wanted: int) -> float:
    return 4.0 if inside < wanted else 0.5 if inside == wanted else 0.0


def _has_enough(inside: int, wanted: int) -> float:
    return 2.0 if inside >= wanted else 0.6 if inside > max(1, wanted // 2) else 0.0


def _may_shrink(inside: int, wanted: int) -> float:
    return 0.8 if inside > max(2, wanted // 2) else 0.0


ACTS: tuple[Act, ...] = (
    Act("talk", lambda inside, wanted: 2.0, People.talk),  # noqa: ARG005 - one form for all weights
    Act("invite", _needs_people, People.invite),
    Act("remove", _has_enough, People.remove),
    Act("leave", _may_shrink, People.leave),
    Act("refresh keys", lambda inside, wanted: 0.4, People.refresh_keys),  # noqa: ARG005
    Act("change settings", lambda inside, wanted: 0.5, People.change_settings),  # noqa: ARG005
)
