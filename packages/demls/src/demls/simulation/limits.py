"""Does what others send stay bounded? P6: what a node holds of others, and how long it waits for emergencies."""

from __future__ import annotations

from demls.protocol import policy as bounds
from demls.protocol.effects import Effects
from demls.protocol.events import Frozen, Settled
from demls.protocol.views import ProposalStatus
from demls.simulation.inside import held_by
from demls.simulation.network import Envelope
from demls.simulation.nodes import Node
from demls.simulation.world import Broken, Watcher, World
from demls.wire.ids import Instant, ProposalId
from demls.wire.messages import Emergency, Refresh, Resync

_LOOK_EVERY = 10_000

_Person = tuple[str, int]
"""Name and life."""


class Limits(Watcher):
    """P6, at the steps of honest nodes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._frozen: dict[_Person, Instant] = {}
        """Since when nodes are frozen."""
        self._owed: dict[_Person, set[ProposalId]] = {}
        """What was approved by vote when a freeze ended, until something is committed."""
        self._looked: dict[_Person, int] = {}

    def stepped(self, node: Node, effects: Effects, cause: Envelope | None) -> None:  # noqa: ARG002 - one form
        if node.is_adversary:
            return
        for event in effects.events:
            if isinstance(event, Settled):
                self._owed.pop((node.name, node.life), None)
            elif isinstance(event, Frozen):
                self._note(node, (node.name, node.life), event)
        self._look(node)

    def idled(self, node: Node, cause: Envelope | None) -> None:  # noqa: ARG002 - one form
        if not node.is_adversary:
            self._look(node)

    def _look(self, node: Node) -> None:
        person, now, state = (node.name, node.life), self.world.now_of(node), node.state
        if state is None:
            return
        began = self._frozen.get(person)
        if began is not None and state.emergencies.is_frozen(now) and now >= began + bounds.FREEZE_MAX:
            raise Broken("P6", f"{node.name} waits for emergencies since {now - began} ms")
        if now >= self._looked.get(person, 0) + _LOOK_EVERY:
            self._looked[person] = now
            self._check_held(node)

    def _note(self, node: Node, person: _Person, event: Frozen) -> None:
        state, now = node.state, self.world.now_of(node)
        if not event.is_on:
            self._frozen.pop(person, None)
            work = state.governance.approved() if state is not None else []
            self._owed[person] = {
                item.proposal_id for item in work if not isinstance(item.change, Emergency | Resync | Refresh)
            }
            return
        self._frozen[person] = now
        if event.until > now + bounds.FREEZE_MAX:
            raise Broken("P6", f"{node.name} means to wait for emergencies until {event.until}")
        items = state.governance.items if state is not None else {}
        for proposal_id in self._owed.get(person, ()):
            item = items.get(proposal_id)
            if item is not None and item.status is ProposalStatus.APPROVED:
                raise Broken("P6", f"{node.name} waits again before {proposal_id.hex()[:6]} is committed")

    def _check_held(self, node: Node) -> None:
        assert node.state is not None
        for what, count, most in held_by(node.state):
            if count > most:
                raise Broken("P6", f"{node.name} holds {count} {what}, at most {most} are allowed")
