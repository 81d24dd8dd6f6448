"""How do people come back who restore a backup, lose their state, or were too far behind?

They make backups of what their nodes have stored and begin again with one, as after a broken disk; or only wallet and
leaf key are left. Whoever is told that nobody can help asks for a new seat. What they really asked for is
kept as the truth that consent is compared with.
"""

from __future__ import annotations

from demls_consensus import quorum

from demls.protocol import policy as bounds
from demls.protocol.effects import Effects
from demls.protocol.events import Returned, Stranded
from demls.protocol.policy import SECOND
from demls.simulation.network import Envelope
from demls.simulation.nodes import Node
from demls.simulation.people import Truth
from demls.simulation.promises import Agreement
from demls.simulation.world import Backup, Watcher, World
from demls.wire.ids import Address, Instant, ProposalId
from demls.wire.messages import Proposal, ResyncReason, decode_message

_PACE = 45 * SECOND
"""Mean time between two mishaps in a world."""


class Returns(Watcher):
    """The mishaps of a world, and how people come back from them."""

    def __init__(self, world: World, truth: Truth, agreement: Agreement) -> None:
        self.world = world
        self.restored = 0
        self.returned = 0
        self.stranded = 0
        self.is_resting = False
        self._truth = truth
        self._agreement = agreement
        self._dice = world.dice("returns")
        self._backups: dict[str, Backup] = {}
        self._came_back: dict[Address, Instant] = {}

    def live(self) -> None:
        """Something goes wrong now and then, where the scenario has it so."""
        if not self.world.scenario.restores:
            return

        def act() -> None:
            if self.is_resting:
                return
            self._act()
            self.world.clock.after(int(self._dice.expovariate(1 / _PACE)), act)

        self.world.clock.after(int(self._dice.expovariate(1 / _PACE)), act)

    def _act(self) -> None:
        honest = [node for node in self.world.honest() if node.is_up and node.is_member]
        for node in honest:
            if self._dice.random() < 0.4:
                self._backups[node.name] = self.world.back_up(node)
        if not honest:
            return
        node = self._dice.choice(honest)
        backup = self._backups.get(node.name)
        if not self._may_lose(node):
            return
        if self._dice.random() < 0.2:
            self._note(node, "has lost all but its keys")
            self._restore(node, Backup(node.life, {b"group": node.records[b"group"]}), ResyncReason.LOST_STATE)
        elif backup is not None and backup.life == node.life:
            self._note(node, "restores a backup")
            self.restored += 1
            self._restore(node, backup, ResyncReason.RESTORED_BACKUP)

    def _may_lose(self, node: Node) -> bool:
        """Lost disks and bad members together leave a quorum; of two, the other helps. Not twice within an hour."""
        newest, now = self._agreement.newest, self.world.clock.now
        if newest is None or node.address not in newest.counted or node.state is None:
            return False
        last = self._came_back.get(node.address)
        if last is not None and now < last + bounds.RESYNC_EVERY + 2 * bounds.RESYNC_MARGIN:
            return False
        n = len(newest.counted)
        nodes = [self.world.node_of(address) for address in newest.counted if address != node.address]
        away = [one for one in nodes if one.is_adversary or one.state is None]
        speaking = min(n, len(newest.committee))
        return not away if n == 2 else n > 2 and len(away) + 1 <= speaking - quorum(speaking)

    def _restore(self, node: Node, backup: Backup, reason: ResyncReason) -> None:
        self._backups.pop(node.name, None)
        self.world.restore(node, backup, reason)

    def stepped(self, node: Node, effects: Effects, cause: Envelope | None) -> None:  # noqa: ARG002 - one form
        returning = node.returning
        if returning is not None:
            request = decode_message(returning.record.request, Proposal)
            self._truth.seats.setdefault(node.address, set()).add(ProposalId(request.id))
        for event in effects.events:
            if isinstance(event, Returned):
                self.returned += 1
                self._came_back[node.address] = self.world.clock.now
            elif isinstance(event, Stranded):
                self.stranded += 1
                self.world.clock.after(self._dice.randint(500, 5_000), lambda: self._rejoin(node))

    def _rejoin(self, node: Node) -> None:
        """Nobody can help any more, so its person, or its node, asks for a new seat."""
        group, now = node.group, self.world.now_of(node)
        if node.is_up and group is not None and group.is_stranded and not node.is_adversary:
            self._note(node, "asks for a new seat, being too far behind")
            node.life += 1
            self.world.do(node, lambda it: it.rejoin(node.sign, ResyncReason.TOO_FAR_BEHIND, now))

    def _note(self, node: Node, what: str) -> None:
        for watcher in self.world.watchers:
            watcher.noted(node.name, what)

    def is_due(self, node: Node) -> bool:
        """Could the group have given this one its seat by now, as far as the chain's limit goes?"""
        last = self._came_back.get(node.address)
        return last is None or self.world.clock.now > last + bounds.RESYNC_EVERY + 2 * bounds.RESYNC_MARGIN
