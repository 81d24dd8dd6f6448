"""Is nobody blamed for what it did not do? P7, from the side of the innocent: whoever is not bad in this world.

Against an innocent member no emergency is ever put to the vote, it goes only by a removal that people voted on or by
its own leave, and its score falls only for turns that the chain says it lost, never below halfway to the threshold, or
for an emergency that it opened and the members rejected.
"""

from __future__ import annotations

from collections import Counter

from demls.protocol.effects import Effects
from demls.protocol.events import Faulted, Misbehaved, ProposalOpened, ScoreChanged, Settled, Unproven
from demls.protocol.scores import Cause
from demls.simulation.inside import change_of
from demls.simulation.network import Envelope
from demls.simulation.nodes import Node
from demls.simulation.world import Broken, Watcher, World
from demls.wire.ids import Address, ProposalId
from demls.wire.messages import Emergency, Leave, Remove


class Innocence(Watcher):
    """P7, at every step of every node."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._wishes: set[tuple[ProposalId, Address]] = set()
        """Removals that people decide and leaves, and whom they concern; nodes forget what was committed long ago."""
        self._opened: dict[Address, set[ProposalId]] = {}
        """Emergencies that honest nodes have opened."""
        self._rejected: Counter[tuple[str, int, Address]] = Counter()
        """(who has counted it, in which life, whose emergency)"""

    def stepped(self, node: Node, effects: Effects, cause: Envelope | None) -> None:  # noqa: ARG002 - one form
        for event in effects.events:
            match event:
                case ProposalOpened():
                    self._check_opened(node, event)
                case ScoreChanged() if event.after < event.before and self._is_innocent(event.member):
                    self._check_score(node, event)
                case Settled() if not node.is_adversary:
                    self._check_left(event)
                case Misbehaved() | Faulted() | Unproven() if self._is_innocent(event.member):
                    raise Broken("P7", f"{node.name} accuses {self.world.name_of(event.member)}: {event}")
                case _:
                    pass

    def _is_innocent(self, member: Address) -> bool:
        return not self.world.node_of(member).is_adversary

    def _check_opened(self, node: Node, event: ProposalOpened) -> None:
        """Nobody honest votes on an emergency against an innocent member."""
        found = change_of(node.state, event.proposal_id) if node.state is not None else None
        if found is not None and isinstance(found[0], Remove | Leave):
            self._wishes.add((event.proposal_id, found[2]))
        if found is None or not isinstance(found[0], Emergency):
            return
        emergency = found[0]
        if event.owner == node.address:
            self._opened.setdefault(node.address, set()).add(event.proposal_id)
        target = Address(emergency.target_member_id)
        if target and not node.is_adversary and self._is_innocent(target):
            accuser, name = self.world.name_of(event.owner), self.world.name_of(target)
            raise Broken("P7", f"{node.name} lets members vote on an emergency by {accuser} against {name}")

    def _check_score(self, node: Node, event: ScoreChanged) -> None:
        name = f"{node.name}'s score of {self.world.name_of(event.member)}"
        if event.cause == Cause.LOST_TURN:
            scoring = node.state.charter.policy.scoring if node.state is not None else None
            if scoring is not None and event.after < (scoring.start + scoring.threshold) // 2:
                raise Broken("P7", f"{name} falls to {event.after} for lost turns alone")
        elif event.cause == Cause.REJECTED:
            about = node.name, node.life, event.member
            self._rejected[about] += 1
            if self._rejected[about] > len(self._opened.get(event.member, ())):
                raise Broken("P7", f"{name} falls to {event.after} for an emergency that it never opened")
        else:
            raise Broken("P7", f"{name} falls to {event.after}: {event.cause}")

    def _check_left(self, event: Settled) -> None:
        """Whoever is out and innocent was removed by a vote of people, or has left."""
        for member in filter(self._is_innocent, event.left):
            if not any((carried, member) in self._wishes for carried in event.carried):
                name = self.world.name_of(member)
                raise Broken("P7", f"{name} is out at epoch {event.epoch}, and neither people nor it wanted that")
