"""How long did things take? From proposal to commit, through how many views, and from healing to being together."""

from __future__ import annotations

from demls.protocol.effects import Effects
from demls.protocol.events import ProposalOpened, Settled
from demls.simulation.network import Envelope
from demls.simulation.nodes import Node
from demls.simulation.world import Watcher, World
from demls.wire.ids import Epoch, ProposalId


class Timing(Watcher):
    """Measures, and demands nothing; in virtual milliseconds."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.latencies: list[int] = []
        """From a proposal's first being known to the first merge of its commit; people's hesitation is in it."""
        self.views: list[int] = []
        """Of each epoch, the view in which it was settled."""
        self._opened: dict[ProposalId, int] = {}
        self._settled: set[Epoch] = set()

    def stepped(self, node: Node, effects: Effects, cause: Envelope | None) -> None:  # noqa: ARG002 - one form
        now = self._world.clock.now
        for event in effects.events:
            if isinstance(event, ProposalOpened):
                self._opened.setdefault(event.proposal_id, now)
            elif isinstance(event, Settled) and event.epoch not in self._settled and not node.is_adversary:
                self._settled.add(event.epoch)
                self.views.append(int(event.view))
                for carried in event.carried:
                    opened = self._opened.pop(carried, None)
                    if opened is not None:
                        self.latencies.append(now - opened)
