"""Which of the rare things happened in this seed? Counted from the states of machines and from traffic."""

from __future__ import annotations

from demls.protocol import policy as bounds
from demls.protocol.effects import Effects
from demls.protocol.events import (
    Event,
    Frozen,
    Joined,
    KeysRenewed,
    ProposalDecided,
    ProposalOpened,
    Removed,
    Settled,
    Unproven,
    WelcomeArriving,
    WentToAll,
)
from demls.simulation.inside import Machine, change_of
from demls.simulation.network import Envelope
from demls.simulation.nodes import Node
from demls.simulation.promises import Agreement
from demls.simulation.traffic import SETTLED, open_body
from demls.simulation.world import CrashPoint, Watcher, World
from demls.wire.messages import Emergency, Offer, Payload
from demls.wire.statements import RoundStatement, StatementKind

NAMES = (
    "epochs",
    "view changes",
    "lock carried over a view",
    "certified candidate re-proposed",
    "catch-up",
    "dead steward list",
    "backup takeover",
    "recovery mode",
    "resync",
    "crash inside a merge",
    "restored backup",
    "joiner during a round",
    "election",
    "re-election",
    "settings changed",
    "committed by a committee",
    "left to all by stewards",
    "keys renewed",
    "member dormant",
    "member awake",
    "open request admitted",
    "return from far behind",
    "stranded",
    "welcome in parts",
    "adversary acts",
    "emergencies opened",
    "emergencies upheld",
    "emergencies refused",
    "unproven accusations",
    "removed by emergency",
    "freezes",
    "crashes",
    "partitions",
    "ghost members",
    "halted groups",
    "chat messages",
)


class Counters(Watcher):
    """``count`` has a number for each of ``NAMES``."""

    def __init__(self, world: World, agreement: Agreement) -> None:
        self.count: dict[str, int] = dict.fromkeys(NAMES, 0)
        self._world = world
        self._agreement = agreement
        self._at: dict[str, tuple[int, int]] = {}
        self._again: dict[tuple[bytes, int], bytes] = {}
        """Certified offers that nobody has acked yet: (head, view) to candidate."""
        self._settled: set[int] = set()
        self._renewed: set[int] = set()
        self._emergencies: dict[str, set[bytes]] = {}
        """Those that were counted, by what became of them."""
        self._frozen: set[str] = set()
        self._far: set[tuple[str, int]] = set()
        """Who is catching up with more epochs than channels are read."""

    def stepped(self, node: Node, effects: Effects, cause: Envelope | None) -> None:
        state = node.state
        if not node.is_adversary:
            for event in effects.events:
                self._note_emergency(node, event)
                self.count["welcome in parts"] += isinstance(event, WelcomeArriving) and not event.received
        if state is None:
            return
        position = state.round.at
        epoch, view = int(state.epoch), position.view
        at = self._at.get(node.name)
        if at != (epoch, view):
            self._at[node.name] = epoch, view
            if at is not None and at[0] == epoch and view > at[1]:
                self.count["view changes"] += 1
                if position.lock and position.lock_view < view:
                    self.count["lock carried over a view"] += 1
        for event in effects.events:
            if isinstance(event, Settled):
                self._note_settled(node, event, cause)
            elif isinstance(event, WentToAll):
                self._count_once("left to all by stewards", event.proposal_id)
            elif isinstance(event, KeysRenewed) and event.epoch not in self._renewed:
                self._renewed.add(int(event.epoch))
                self.count["keys renewed"] += len(event.members)
            elif isinstance(event, Joined):
                self.count["joiner during a round"] += self._is_round_elsewhere(node)
                self.count["open request admitted"] += node.is_open_guest

    def _note_emergency(self, node: Node, event: Event) -> None:
        """Each emergency counts once, a freeze when the first member is frozen."""
        match event:
            case Frozen(is_on=True):
                self.count["freezes"] += not self._frozen
                self._frozen.add(node.name)
            case Frozen() | Removed():
                self._frozen.discard(node.name)
            case Unproven():
                self._count_once("unproven accusations", event.proposal_id)
            case ProposalOpened() if self._is_emergency(node, event.proposal_id):
                self._count_once("emergencies opened", event.proposal_id)
            case ProposalDecided() if self._is_emergency(node, event.proposal_id):
                became = "emergencies upheld" if event.approved else "emergencies refused"
                self._count_once(became, event.proposal_id)
            case Settled():
                for carried in event.carried:
                    if self._is_emergency(node, carried):
                        self._count_once("removed by emergency", carried)

    def _is_emergency(self, node: Node, proposal_id: bytes) -> bool:
        found = change_of(node.state, proposal_id) if node.state is not None else None
        return found is not None and isinstance(found[0], Emergency)

    def _count_once(self, name: str, proposal_id: bytes) -> None:
        counted = self._emergencies.setdefault(name, set())
        self.count[name] += proposal_id not in counted
        counted.add(proposal_id)

    def _is_round_elsewhere(self, node: Node) -> bool:
        others = (other for other in self._world.nodes.values() if other is not node)
        return any(other.state is not None and other.state.round.is_open for other in others)

    def _note_settled(self, node: Node, event: Settled, cause: Envelope | None) -> None:
        if cause is not None:
            channel = node.channels.get(cause.topic)
            body = open_body(channel, cause.payload, node.engine) if channel is not None else None
            if body is not None and body.startswith(SETTLED):
                self.count["catch-up"] += 1
                newest = self._agreement.newest
                if newest is not None and event.epoch < newest.epoch - bounds.CHANNELS_KEPT:
                    self._far.add((node.name, node.life))
        newest = self._agreement.newest
        if newest is not None and event.epoch == newest.epoch and (node.name, node.life) in self._far:
            self._far.discard((node.name, node.life))
            self.count["return from far behind"] += 1
        if event.epoch in self._settled:
            return
        self._settled.add(int(event.epoch))
        self.count["epochs"] += 1
        before = self._agreement.epochs.get(event.epoch - 1)  # type: ignore[call-overload]
        after = self._agreement.epochs.get(event.epoch)
        if before is not None and after is not None:
            is_elected = after.stewards.since == after.epoch and after.stewards.election_epoch < after.epoch
            self.count["election"] += is_elected
            self.count["re-election"] += is_elected and after.stewards.retry_round > 0
            self.count["settings changed"] += before.charter != after.charter
            self.count["committed by a committee"] += len(before.committee) < len(before.counted)
            self.count["member dormant"] += len(after.dormant - before.dormant)
            self.count["member awake"] += len((before.dormant - after.dormant) & after.since.keys())
        if before is not None and before.stewards.members:
            is_steward = event.committer in before.stewards.members
            self.count["backup takeover"] += is_steward and event.view > 0
            self.count["recovery mode"] += not is_steward
        if (
            before is not None
            and event.committer not in before.stewards.members
            and all(self._is_away(address) for address in before.stewards.members)
        ):
            self.count["dead steward list"] += 1

    def _is_away(self, address: bytes) -> bool:
        steward = self._world.node_of(address)
        return not steward.is_up or steward.name in self._world.silent

    def said(self, node: Node, payload: Payload) -> None:
        if isinstance(payload, Offer) and payload.certificate:
            self._again[payload.head, payload.view] = payload.candidate.id
        elif isinstance(payload, RoundStatement) and payload.kind == StatementKind.ACK and payload.candidate:
            place = payload.head, payload.view
            if self._again.get(place) == payload.candidate and payload.member == node.address:
                del self._again[place]
                self.count["certified candidate re-proposed"] += 1

    def killed(self, node: Node, machine: Machine, point: CrashPoint | None) -> None:  # noqa: ARG002 - one form
        self.count["crashes"] += 1
