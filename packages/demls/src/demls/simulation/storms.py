"""Random drills: on each way, each kind of message of a view arrives, waits or gets lost, and one member signs twice.

Where ``scenario.py`` draws whole lives, a storm draws one commit round in a small group, over and over: what is lost
stays lost however often it is said again, until the weather changes. Schedules as those of ``drills.py`` come up so.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from demls.protocol.commit_round import NIL
from demls.protocol.effects import Outbound
from demls.protocol.policy import SECOND
from demls.protocol.round_host import Mint
from demls.protocol.step import Step
from demls.simulation.drill import BY_SILENCE, BY_VOTES, Drill, Fate
from demls.simulation.nodes import Node
from demls.simulation.world import Broken
from demls.wire.ids import View
from demls.wire.messages import Offer, Payload, Proposal, Settings, Vote
from demls.wire.statements import RoundStatement, StatementKind

_SLOT = 7 * SECOND
"""So long the weather stays the same."""

_SLOTS = 8
_SIZES = (4, 4, 5, 7)


def storm(seed: int, *, is_bad: bool | None = None) -> Broken | None:
    """Which promise does this seed break? None if all are kept. ``is_bad``: does somebody sign twice?"""
    dice = Random(f"{seed}/storm")  # noqa: S311 - no secrets are made of it
    drill = Drill(dice.choice(_SIZES), dice.choice((BY_VOTES, BY_SILENCE)))
    with drill.patches:
        try:
            Storm(drill, seed, dice, is_bad=dice.random() < 0.5 if is_bad is None else is_bad).blow()
            drill.end()
        except Broken as broken:
            drill.look.breaks(broken.promise, broken.detail)
    return drill.look.broken


class Storm:
    """One commit round, or a few, in bad weather."""

    def __init__(self, drill: Drill, seed: int, dice: Random, *, is_bad: bool) -> None:
        self._drill = drill
        self._seed = seed
        self._dice = dice
        self._began = drill.world.clock.now
        self._loss, self._wait = dice.choice((0.15, 0.3, 0.45)), dice.choice((0.0, 0.1, 0.2))
        self._crashes = dice.choice((0.0, 0.3, 0.6))
        self._others: dict[tuple[bytes, int], Offer] = {}
        self._bad = dice.choice(drill.leaders) if is_bad else ""
        if is_bad:
            drill.world.nodes[self._bad].is_adversary = True
            drill.world.sabotage = self._replace

    def blow(self) -> None:
        drill, dice = self._drill, self._dice
        drill.world.rules = self._rules
        guest = next(name for name, node in drill.world.nodes.items() if not node.is_member)
        drill.ask(guest, dice.choice(drill.leaders))
        for slot in range(_SLOTS):
            members = [name for name in drill.leaders if drill.world.nodes[name].is_member]
            if slot in (0, 3) and self._is_free(members[0]):
                charter = drill.state(members[0]).charter
                drill.decide(members, Settings(charter.digest, f"friends {slot}", "", charter.policy))
            for name in members:
                self._vote(name)
            drill.run(_SLOT // 2)
            for name in members:
                if dice.random() < self._crashes / len(members):
                    drill.restart(name)
            drill.run(_SLOT // 2)

    def _is_free(self, name: str) -> bool:
        """Are no other settings being decided, and does no emergency make them wait?"""
        state = self._drill.state(name)
        if state.emergencies.is_frozen(self._drill.world.clock.now):
            return False
        items = state.governance.in_flight()
        return not any(isinstance(item.change, Settings) for item in items)

    def _vote(self, name: str) -> None:
        node = self._drill.world.nodes[name]
        if node.group is None:
            return
        for card in node.group.view(self._drill.world.clock.now).proposals:
            if card.may_vote and self._dice.random() < 0.5:
                self._drill.vote(name, card.proposal_id, yes=self._dice.random() < 0.5)

    # --- The weather ------------------------------------------------------------------------------------------------

    def _rules(self, sender: str, receiver: str, message: Payload) -> Fate:
        if isinstance(message, Proposal):
            return Fate.ARRIVES
        slot = (self._drill.world.clock.now - self._began) // _SLOT
        about: tuple[object, ...] = (type(message).__name__,)
        if isinstance(message, RoundStatement):
            about = message.kind, message.view, message.member.hex()
        elif isinstance(message, Offer):
            about = "offer", message.view
        elif isinstance(message, Vote):
            slot = 0  # who never hears of a vote does so for the whole story, but for the acks
        die = Random(f"{self._seed}/{slot}/{sender}/{receiver}/{about}").random()  # noqa: S311
        if die < self._loss:
            return Fate.IS_LOST
        return Fate.WAITS if die < self._loss + self._wait else Fate.ARRIVES

    # --- Signing twice ----------------------------------------------------------------------------------------------

    def _replace(self, node: Node, outbound: Outbound, message: Payload | None) -> bool:  # noqa: ARG002 - one form
        """One half hears this, the other half something else."""
        state = node.state
        if not node.is_adversary or state is None or not isinstance(message, RoundStatement | Offer):
            return False
        author = message.member if isinstance(message, RoundStatement) else message.leader
        if (author, message.head) != (node.address, state.state.head):
            return False
        other: RoundStatement | Offer | None
        if isinstance(message, RoundStatement):
            other = self._other_statement(node.name, message)
        else:
            other = self._other_offer(node.name, message)
        if other is None:
            return False
        names = sorted(self._drill.leaders)
        Random(f"{self._seed}/{state.epoch}/halves").shuffle(names)  # noqa: S311 - no secrets are made of it
        half = len(names) // 2
        self._drill.say(node.name, message, names[:half])
        self._drill.say(node.name, other, names[half:])
        return True

    def _other_statement(self, name: str, message: RoundStatement) -> RoundStatement | None:
        known = [bytes(NIL), *sorted(self._drill.state(name).round.candidates)]
        others = [candidate for candidate in known if candidate != message.candidate]
        if not others:
            return None
        chosen = Random(f"{self._seed}/{message.view}/{message.kind}").choice(others)  # noqa: S311
        return self._drill.statement(name, StatementKind(message.kind), message.view, chosen)

    def _other_offer(self, name: str, message: Offer) -> Offer | None:
        """Another genuine candidate for this view."""
        place = message.head, message.view
        if message.certificate:
            return None
        if place not in self._others:
            state = self._drill.state(name)
            fresh = state.candidates.mint(View(message.view), Step(self._drill.world.clock.now, state.channel))
            if not isinstance(fresh, Mint):
                return None
            unsigned = replace(message, candidate=fresh.candidate, votes=fresh.votes, proposals=fresh.proposals)
            self._others[place] = self._drill.sign_offer(name, unsigned)
        return self._others[place]
