"""What happened, in words? One line an event, with names: only made when somebody wants to read it."""

from __future__ import annotations

from demls.protocol.effects import Effects
from demls.protocol.events import (
    Event,
    Faulted,
    Frozen,
    Joined,
    JoinRefused,
    MessageReceived,
    MessagesMissing,
    Misbehaved,
    ProposalDecided,
    ProposalOpened,
    ProposalWithdrawn,
    Rejected,
    Removed,
    Returned,
    ScoreChanged,
    SeatAsked,
    Settled,
    Stranded,
    Unproven,
    Waiting,
)
from demls.protocol.items import Item
from demls.simulation.clock import START
from demls.simulation.inside import Machine
from demls.simulation.network import Envelope
from demls.simulation.nodes import Node
from demls.simulation.world import CrashPoint, Watcher, World
from demls.wire.messages import Offer, Payload
from demls.wire.statements import RoundStatement, StatementKind


class Story(Watcher):
    """The transcript of a seed."""

    def __init__(self, world: World, *, rejected: bool = False) -> None:
        """``rejected``: also tell what was refused from the network."""
        self.lines: list[str] = []
        self._world = world
        self._rejected = rejected
        self._at: dict[str, tuple[int, int]] = {}

    def noted(self, who: str, what: str) -> None:
        seconds = (self._world.clock.now - START) / 1000
        self.lines.append(f"{seconds:10.3f}  {who:<4} {what}")

    def stepped(self, node: Node, effects: Effects, cause: Envelope | None) -> None:  # noqa: ARG002 - one form
        for event in effects.events:
            line = self._line(node, event)
            if line:
                self.noted(node.name, line)
        state = node.state
        if state is None:
            return
        at = state.round.at
        place = int(state.epoch), at.view
        if place != self._at.get(node.name, place) and at.view:
            lock = f", locked on {at.lock.hex()[:6]} of view {at.lock_view}" if at.lock else ""
            self.noted(node.name, f"enters view {at.view} of epoch {state.epoch}{lock}")
        self._at[node.name] = place

    def said(self, node: Node, payload: Payload) -> None:
        if isinstance(payload, RoundStatement):
            word = "acks" if payload.kind == StatementKind.ACK else "locks"
            what = payload.candidate.hex()[:6] or "nil"
            self.noted(node.name, f"{word} {what} in view {payload.view} of epoch {payload.epoch}")
        elif isinstance(payload, Offer):
            again = f", certified in view {payload.certificate[0].view}" if payload.certificate else ""
            what = payload.candidate.id.hex()[:6]
            self.noted(node.name, f"offers {what} in view {payload.view} of epoch {payload.epoch}{again}")

    def killed(self, node: Node, machine: Machine, point: CrashPoint | None) -> None:  # noqa: ARG002 - one form
        where = {
            None: "is switched off",
            CrashPoint.BEFORE: "crashes before a write",
            CrashPoint.AFTER: "crashes after a write",
            CrashPoint.DURING: "crashes while publishing",
        }
        self.noted(node.name, where[point])

    def restarted(self, node: Node) -> None:
        self.noted(node.name, "runs again")

    def _names(self, addresses: tuple[bytes, ...]) -> str:
        return " ".join(self._world.name_of(address) for address in addresses)

    def _item(self, node: Node, proposal_id: bytes) -> Item | None:
        state = node.state
        return state.governance.items.get(proposal_id) if state is not None else None  # type: ignore[call-overload]

    def _line(self, node: Node, event: Event) -> str:
        match event:
            case ProposalOpened():
                item = self._item(node, event.proposal_id)
                if item is None or event.owner != node.address:
                    return ""
                kind = type(item.change).__name__.lower()
                return f"opens {event.proposal_id.hex()[:6]}: {kind} {self._names((item.subject,))}"
            case ProposalDecided():
                verdict = "approved" if event.approved else "refused"
                how = " by silence" if event.by_silence else ""
                return f"sees {event.proposal_id.hex()[:6]} {verdict}{how}"
            case ProposalWithdrawn():
                return f"drops {event.proposal_id.hex()[:6]}: {event.reason}"
            case Settled():
                parts = [
                    f"merges {event.candidate.hex()[:6]} by {self._names((event.committer,))}: epoch {event.epoch}"
                ]
                parts += [f"in: {self._names(event.joined)}"] if event.joined else []
                parts += [f"out: {self._names(event.left)}"] if event.left else []
                return "; ".join(parts)
            case Returned():
                return f"has a new seat, in epoch {event.epoch}" + ("" if event.is_vouched else ", not vouched")
            case SeatAsked():
                return f"asks for a new seat, having been in epoch {event.epoch}"
            case Stranded():
                return f"is too far behind, in epoch {event.epoch}"
            case Joined():
                return f"is a member, in epoch {event.epoch}"
            case Removed():
                return f"is out at epoch {event.epoch}" + (", by its own wish" if event.by_own_wish else "")
            case JoinRefused():
                return f"is refused: {event.reason}"
            case MessageReceived():
                own = event.sender == node.address
                return f"says “{event.text}” in epoch {event.epoch}" if own else ""
            case MessagesMissing():
                return f"misses messages {event.first} to {event.last} of {self._names((event.sender,))}"
            case Misbehaved():
                return f"sees that {self._names((event.member,))} {event.what}"
            case Faulted():
                return f"sees that {self._names((event.member,))} offered what breaks {event.check}: {event.detail}"
            case Unproven():
                name = self._names((event.member,))
                return f"refuses {event.proposal_id.hex()[:6]}: {name} accuses somebody without proof"
            case ScoreChanged() if event.after < event.before:
                return f"thinks less of {self._names((event.member,))}, {event.after}: {event.cause}"
            case Frozen():
                return "waits for an emergency" if event.is_on else "no longer waits for an emergency"
            case Waiting():
                return f"waits for {self._names(event.missing)}" if event.missing else ""
            case Rejected():
                return f"refuses: {event.reason.value}, {event.detail}" if self._rejected else ""
            case _:
                return ""
