"""A small group whose network does exactly what a story says: which message reaches whom, and which never does.

Everything else is as in the simulator: real cores, the model engine, virtual time. What a promise forbids is noted
while the story goes on, and ``end`` looks whether the group has come to rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from enum import Enum, auto
from typing import Any

from demls_consensus import quorum

from demls.protocol.channel import seal
from demls.protocol.commit_round import OFFER_LABEL, ROUND_LABEL, Position
from demls.protocol.effects import Effects, Outbound
from demls.protocol.events import Faulted, Misbehaved, ProposalOpened, Settled
from demls.protocol.policy import HOUR, MINUTE, QUICK, SECOND
from demls.protocol.state import GroupState
from demls.protocol.views import ProposalStatus
from demls.simulation.network import Envelope
from demls.simulation.nodes import Node
from demls.simulation.scenario import CALM, Scenario
from demls.simulation.traffic import open_body, payload_of
from demls.simulation.world import NAMES, Broken, Watcher, World
from demls.wire.charters import Policy, Rule
from demls.wire.ids import Epoch, ProposalId
from demls.wire.messages import Change, Offer, Payload
from demls.wire.statements import RoundStatement, StatementKind

_HEALED = 4 * MINUTE
_A_MOMENT = 100


class Fate(Enum):
    """What becomes of a message on its way to one member."""

    ARRIVES = auto()
    IS_LOST = auto()
    WAITS = auto()
    """Until ``Drill.release``."""


Rules = Callable[[str, str, Payload], Fate]
"""(sender, receiver, message): what happens."""


def everything_arrives(sender: str, receiver: str, message: Payload) -> Fate:  # noqa: ARG001 - one form for all
    return Fate.ARRIVES


def _nothing_gets_out(node: Node, outbound: Outbound, message: Payload | None) -> bool:  # noqa: ARG001 - one form
    return True


class Directed(World):
    """A world in which a story decides what arrives."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.rules: Rules = everything_arrives
        self.waiting: list[tuple[Node, Envelope]] = []

    def _receive(self, node: Node, envelope: Envelope) -> bool:
        sender = self.nodes[envelope.sender]
        channel = sender.channels.get(envelope.topic)
        body = open_body(channel, envelope.payload, sender.engine) if channel is not None else None
        message = payload_of(body) if body is not None else None
        fate = self.rules(sender.name, node.name, message) if message is not None else Fate.ARRIVES
        if fate is Fate.WAITS:
            self.waiting.append((node, envelope))
        return fate is Fate.ARRIVES and super()._receive(node, envelope)

    def release(self) -> None:
        """What waits arrives now, and nothing is held back any more."""
        self.rules = everything_arrives
        waiting, self.waiting = self.waiting, []
        for node, envelope in waiting:
            super()._receive(node, envelope)


class Look(Watcher):
    """P1, P2, P5 and P7, as far as stories need them; the first break of a promise is kept."""

    def __init__(self, drill: Drill) -> None:
        self._drill = drill
        self.broken: Broken | None = None
        self.stewards: dict[Epoch, object] = {}
        self._heads: dict[Epoch, bytes] = {}
        self._stated: dict[tuple[str, bytes, int, int], bytes] = {}

    def breaks(self, promise: str, detail: str) -> None:
        self.broken = self.broken or Broken(promise, detail)

    def said(self, node: Node, payload: Payload) -> None:
        if isinstance(payload, RoundStatement) and payload.member == node.address and not node.is_adversary:
            place = node.name, payload.head, payload.view, payload.kind
            if self._stated.setdefault(place, payload.candidate) != payload.candidate:
                self.breaks("P5", f"{node.name} signed two things in view {payload.view}")

    def stepped(self, node: Node, effects: Effects, cause: Envelope | None) -> None:  # noqa: ARG002 - one form
        if node.is_adversary:
            return
        world = self._drill.world
        for event in effects.events:
            if isinstance(event, Misbehaved | Faulted) and not world.node_of(event.member).is_adversary:
                self.breaks("P7", f"{node.name} names {world.name_of(event.member)}, which is honest")
            if isinstance(event, ProposalOpened) and self._drill.votes_yes:
                self._drill.soon(lambda it=event.proposal_id: self._drill.vote(node.name, it, yes=True))  # type: ignore[misc]
            if isinstance(event, Settled):
                for proposal_id in event.carried:
                    self._check_consent(proposal_id)
        self._check_state(node)

    def _check_state(self, node: Node) -> None:
        state = node.state
        if state is None:
            return
        if self._heads.setdefault(state.epoch, state.state.head) != state.state.head:
            self.breaks("P1", f"{node.name} is on another commit than others in epoch {state.epoch}")
        elif self.stewards.setdefault(state.epoch, state.state.stewards) != state.state.stewards:
            self.breaks("P1", f"{node.name} has other stewards than others in epoch {state.epoch}")

    def _check_consent(self, proposal_id: ProposalId) -> None:
        refusals, n = self._drill.refusals.get(proposal_id, 0), self._drill.members
        if refusals > 2 * (n - quorum(n)):
            self.breaks("P2", f"settled against the votes of {refusals} of {n}")


class Drill:
    """A group of so many, all honest and together, in calm weather."""

    def __init__(self, members: int, policy: Policy | None = None, seed: int = 1) -> None:
        scenario = replace(
            Scenario.draw(seed, "model", members),
            policy=policy or BY_VOTES,
            weather=CALM,
            has_history=False,
            adversaries=0,
        )
        self.members = members
        self.world = Directed(scenario)
        self.world.mean_down = 2 * SECOND
        self.look = Look(self)
        self.world.watchers.append(self.look)
        self.votes_yes = True
        self.refusals: dict[ProposalId, int] = {}
        self.patches = ExitStack()
        for name in NAMES[: members + 2]:
            self.world.add(name)
        self._found(NAMES[:members])
        self._names = NAMES[:members]
        self.leaders: list[str] = []
        """By views of the epoch in which they were lined up."""
        self.line_up()

    def line_up(self) -> None:
        """Who leads from now on; whoever never does stands at the end."""
        listed = [self.world.name_of(address) for address in self.state(self._names[0]).state.leaders]
        self.leaders = listed + [name for name in self._names if name not in listed]

    def _found(self, names: list[str]) -> None:
        self.world.found(names[0])
        for name in names[1:]:
            self.ask(name, names[0])
        self.until(lambda: all(self.world.nodes[name].is_member for name in names))
        self.run(MINUTE)
        self.votes_yes = False

    # --- What happens ---------------------------------------------------------------------------------------------

    def state(self, name: str) -> GroupState:
        state = self.world.nodes[name].state
        assert state is not None, f"{name} is no member"
        return state

    def at(self, name: str) -> Position:
        """Where this member stands in the round."""
        return self.state(name).round.at

    def run(self, milliseconds: int) -> None:
        self.world.clock.run(self.world.clock.now + milliseconds)

    def until(self, holds: Callable[[], bool], most: int = 2 * MINUTE) -> bool:
        """Let time pass until something holds. Says whether it does."""
        end = self.world.clock.now + most
        while not holds() and self.world.clock.now < end:
            self.run(_A_MOMENT)
        return holds()

    def soon(self, action: Callable[[], None]) -> None:
        self.world.clock.after(_A_MOMENT, action)

    def ask(self, name: str, sponsor: str) -> None:
        """Somebody asks to join with a link of a member."""
        link = self.world.link(self.world.nodes[sponsor], HOUR)
        assert link is not None
        self.world.ask(self.world.nodes[name], link)

    def propose(self, name: str, change: Change) -> ProposalId:
        """Propose it; whoever does has voted yes."""
        before = set(self.state(name).governance.items)
        node, now = self.world.nodes[name], self.world.clock.now
        self.world.do(node, lambda group: group.propose(change, now))
        return next(iter(set(self.state(name).governance.items) - before))

    def vote(self, name: str, proposal_id: ProposalId, *, yes: bool) -> None:
        node = self.world.nodes[name]
        group = node.group
        if group is None or not any(
            card.proposal_id == proposal_id and card.may_vote for card in group.view(self.world.clock.now).proposals
        ):
            return
        self.refusals[proposal_id] = self.refusals.get(proposal_id, 0) + (not yes)
        self.world.do(node, lambda group: group.vote(proposal_id, yes, self.world.clock.now))

    def decide(self, by: Iterable[str], *changes: Change) -> None:
        """The first of them proposes, the others vote yes as soon as they hear of it."""
        proposer, *others = by
        for change in changes:
            proposal_id = self.propose(proposer, change)
            self.run(200)
            for name in others:
                self.vote(name, proposal_id, yes=True)

    def open_id(self, name: str) -> ProposalId:
        """What is open at this member."""
        items = self.state(name).governance.items
        return next(i for i, item in items.items() if item.status is ProposalStatus.OPEN)

    def restart(self, *names: str) -> None:
        """Their nodes die and come back."""
        for name in names:
            self.world.kill(self.world.nodes[name], down=_A_MOMENT)
        self.run(2 * _A_MOMENT)

    # --- Bad members ----------------------------------------------------------------------------------------------

    def corrupt(self, name: str) -> None:
        """Nothing of what this member's node says gets out; the story speaks for it."""
        node = self.world.nodes[name]
        node.is_adversary = True
        self.world.sabotage = _nothing_gets_out

    def say(self, name: str, message: Payload, only: Iterable[str] | None = None) -> None:
        node, channel = self.world.nodes[name], self.state(name).channel
        sealed = seal(channel, message, node.engine)
        self.world.network.publish(name, channel.topic, sealed, None if only is None else frozenset(only))

    def sign_offer(self, name: str, unsigned: Offer) -> Offer:
        state = self.state(name)
        return replace(unsigned, signature=state.sign(OFFER_LABEL, unsigned.content(state.group_id)))

    def statement(self, name: str, kind: StatementKind, view: int, candidate: bytes) -> RoundStatement:
        state = self.state(name)
        unsigned = RoundStatement(state.epoch, state.state.head, view, candidate, b"", state.own, bytes(64), int(kind))
        return replace(unsigned, signature=state.sign(ROUND_LABEL, unsigned.content(state.group_id)))

    def patch(self, place: Any, name: str, value: object) -> None:
        """For this story only: a bad member's own program."""
        before = getattr(place, name)
        setattr(place, name, value)
        self.patches.callback(setattr, place, name, before)

    # --- The end --------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """The network is whole for some minutes: then everything approved is done, and all are together."""
        self.world.release()
        self.run(_HEALED)
        honest = [node for node in self.world.members() if not node.is_adversary]
        states = [node.state for node in honest if node.state is not None]
        for node, state in zip(honest, states, strict=True):
            if any(item.status is ProposalStatus.APPROVED for item in state.governance.items.values()):
                self.look.breaks("P3", f"{node.name} still waits for approved work")
        if len({state.epoch for state in states}) > 1:
            self.look.breaks("P3", "they do not come together again")


BY_VOTES = replace(
    QUICK,
    invite=Rule(10 * MINUTE, False),
    remove=Rule(10 * MINUTE, False),
    settings=Rule(10 * MINUTE, False),
    stewards_max=1,
)
"""Nothing is decided by silence; there is one steward."""

BY_SILENCE = replace(BY_VOTES, invite=Rule(8 * SECOND, True))
"""Invites are accepted after a while unless somebody objects."""
