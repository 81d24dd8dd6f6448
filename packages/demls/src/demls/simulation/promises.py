"""Was a promise broken? P1 agreement, P2 consent, P5 durability and P7 accountability, checked at every step.

Only what honest members see counts. The ground truth is what the simulated people did (``people.Truth``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from demls_consensus import quorum

from demls.protocol.effects import Effects
from demls.protocol.events import Faulted, Joined, Misbehaved, ProposalOpened, Settled, Unproven
from demls.protocol.views import ProposalKind
from demls.simulation.inside import Machine, Seen, group_of, seen_by
from demls.simulation.network import Envelope
from demls.simulation.nodes import Node
from demls.simulation.people import Truth
from demls.simulation.world import Broken, CrashPoint, Watcher, World
from demls.wire.ids import Address, Epoch, Instant, ProposalId
from demls.wire.messages import Payload, RoundStatement, Vote

_VOTED_BY_NODES = (ProposalKind.ELECTION, ProposalKind.DORMANT, ProposalKind.AWAKE, ProposalKind.EMERGENCY)
"""What nodes say yes to by themselves, so that a person's silence means nothing; a person may still say no."""

_REMOVING = (ProposalKind.REMOVE, ProposalKind.LEAVE, ProposalKind.EMERGENCY)


class Agreement(Watcher):
    """P1: one commit for one epoch, and all see the same state in it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.epochs: dict[Epoch, Seen] = {}
        self.settled_at: dict[Epoch, Instant] = {}
        self._who: dict[Epoch, str] = {}

    def stepped(self, node: Node, effects: Effects, cause: Envelope | None) -> None:  # noqa: ARG002 - one form
        if node.is_adversary or node.state is None:
            return
        if any(type(event) in (Settled, Joined) for event in effects.events):
            seen = seen_by(node.state)
            if seen.epoch not in self.epochs:
                self.epochs[seen.epoch] = seen
                self.settled_at[seen.epoch] = self.world.clock.now
                self._who[seen.epoch] = node.name
            elif self.epochs[seen.epoch] != seen:
                other = self.epochs[seen.epoch]
                differing = [name for name in Seen.__slots__ if getattr(other, name) != getattr(seen, name)]
                raise Broken(
                    "P1",
                    f"{node.name} and {self._who[seen.epoch]} differ in epoch {seen.epoch}: {', '.join(differing)}",
                )

    @property
    def newest(self) -> Seen | None:
        return self.epochs[max(self.epochs)] if self.epochs else None

    def together(self, excused: Callable[[Node], bool]) -> None:
        """After healing: every honest member of the newest epoch is in it, unless the last one has closed the group."""
        newest = self.newest
        if newest is None or self.world.newest() is None:
            return
        for address, _, _ in newest.roster:
            node = self.world.node_of(address)
            if node.is_adversary or excused(node):
                continue
            epoch = node.state.epoch if node.state is not None else None
            if epoch != newest.epoch:
                raise Broken("P1", f"{node.name} is in epoch {epoch}, the others are in {newest.epoch}")


@dataclass(frozen=True, slots=True)
class Case:
    """What was opened for decision: by whom, in which epoch, and what silence means at its deadline."""

    kind: ProposalKind
    subject: Address
    owner: Address
    epoch: Epoch
    deadline: Instant
    silence_is_yes: bool


class Consent(Watcher):
    """P2: nobody joins or leaves without a decision of those who decide, or the own wish."""

    def __init__(self, world: World, truth: Truth) -> None:
        self.world = world
        self._truth = truth
        self._cases: dict[ProposalId, Case] = {}
        self._checked: set[Epoch] = set()
        self._rosters: dict[Epoch, dict[Address, int]] = {}
        """Of every epoch, also of those that were passed in the middle of a step: who was in, since when."""

    def stepped(self, node: Node, effects: Effects, cause: Envelope | None) -> None:  # noqa: ARG002 - one form
        for event in effects.events:
            if isinstance(event, ProposalOpened) and event.proposal_id not in self._cases and node.state is not None:
                self._cases[event.proposal_id] = self._case(node, event.proposal_id)
            elif isinstance(event, Settled) and not node.is_adversary and event.epoch not in self._checked:
                self._checked.add(event.epoch)
                before = self._rosters.get(Epoch(event.epoch - 1), {})
                stayed = {address: since for address, since in before.items() if address not in event.left}
                self._rosters[event.epoch] = stayed | dict.fromkeys(event.joined, int(event.epoch))
                self._check(event)
            elif isinstance(event, Joined) and event.epoch not in self._rosters and node.state is not None:
                self._rosters[event.epoch] = {seat.address: int(seat.since) for seat in node.state.roster.seats}

    def _case(self, node: Node, proposal_id: ProposalId) -> Case:
        """What the proposal's card says, and the epoch in which it was opened."""
        group, state = node.group, node.state
        assert group is not None
        assert state is not None
        cards = group.view(self.world.clock.now).proposals
        card = next(card for card in cards if card.proposal_id == proposal_id)
        epoch = Epoch(state.governance.items[proposal_id].proposal.epoch)
        return Case(card.kind, card.subject, card.owner, epoch, card.deadline, card.silence_is_yes)

    def _check(self, event: Settled) -> None:
        name_of = self.world.name_of
        cases = [self._cases[proposal_id] for proposal_id in event.carried if proposal_id in self._cases]
        if len(cases) < len(event.carried):
            raise Broken("P2", f"epoch {event.epoch} carries what nobody opened")
        joined = {case.subject for case in cases if case.kind is ProposalKind.INVITE}
        left = {case.subject for case in cases if case.kind in _REMOVING}
        if (set(event.joined), set(event.left)) != (joined, left):
            raise Broken("P2", f"epoch {event.epoch} admits or removes others than it says")
        for proposal_id, case in zip(event.carried, cases, strict=True):
            what = f"{case.kind.value} {name_of(case.subject)} ({proposal_id.hex()[:6]})"
            if case.kind is ProposalKind.LEAVE:
                if case.subject not in self._truth.leaves or case.owner != case.subject:
                    raise Broken("P2", f"{name_of(case.subject)} never wished to leave")
                continue
            if case.kind is ProposalKind.INVITE and case.subject not in self._truth.asked:
                raise Broken("P2", f"{name_of(case.subject)} never asked to join")
            if not self._is_consented(proposal_id, case, Epoch(event.epoch - 1)):
                raise Broken("P2", f"epoch {event.epoch} carries {what} without consent")

    def _is_consented(self, proposal_id: ProposalId, case: Case, before: Epoch) -> bool:
        """Enough YES of the electorate as it was at some time since; or silence, where it counts, and its end.

        Adversaries count as YES. A late NO may not have been heard: a certificate of q members stands for what was
        known to them, so silence is refuted only by more NO than any two such sets leave room for.
        """
        votes = dict(self._truth.votes.get(proposal_id, {}))
        if (case.owner, case.subject) in self._truth.removals:
            votes.setdefault(case.owner, True)
        for epoch in range(case.epoch, before + 1):
            roster = self._rosters.get(Epoch(epoch), {})
            voters = [address for address, since in roster.items() if since <= case.epoch]
            bad = sum(1 for voter in voters if self.world.node_of(voter).is_adversary)
            honest = [votes.get(voter) for voter in voters if not self.world.node_of(voter).is_adversary]
            n, q = len(voters), quorum(len(voters)) if voters else 0
            if n and bad + honest.count(True) >= q:
                return True
            if n and case.kind in _VOTED_BY_NODES and honest.count(False) <= n - q:
                return True
            is_due = case.silence_is_yes and n > 2 and self.world.clock.now >= case.deadline
            if is_due and honest.count(False) <= 2 * (n - q):
                return True
        return False


class Durable(Watcher):
    """P5: what was written is there after a crash, and nobody honest says two things. P7: nobody honest is accused."""

    def __init__(self, world: World, truth: Truth) -> None:
        self.world = world
        self._truth = truth
        self._stated: dict[tuple[str, int, bytes, int, int], tuple[bytes, bytes]] = {}
        self._voted: dict[tuple[str, int, bytes], int] = {}
        self._restarted: dict[str, tuple[int, int, bytes]] = {}
        self._stood: dict[str, tuple[int, int, bytes]] = {}

    def said(self, node: Node, payload: Payload) -> None:
        if node.is_adversary:
            return
        if isinstance(payload, RoundStatement) and payload.member == node.address:
            place = node.name, node.life, payload.head, payload.view, payload.kind
            content = payload.candidate, payload.choices
            if self._stated.setdefault(place, content) != content:
                raise Broken("P5", f"{node.name} signed two things in view {payload.view} of epoch {payload.epoch}")
        elif isinstance(payload, Vote) and payload.signed_vote[33:53] == node.address:
            vote = node.name, node.life, payload.signed_vote[1:33]
            if self._voted.setdefault(vote, payload.signed_vote[53]) != payload.signed_vote[53]:
                raise Broken("P5", f"{node.name} voted twice on {vote[2].hex()[:6]}")

    def stepped(self, node: Node, effects: Effects, cause: Envelope | None) -> None:  # noqa: ARG002 - one form
        if node.name in self._restarted:
            self._check_restart(node, self._restarted.pop(node.name))
        for event in effects.events:
            if isinstance(event, Misbehaved | Faulted | Unproven) and not self.world.node_of(event.member).is_adversary:
                raise Broken("P7", f"{node.name} accuses {self.world.name_of(event.member)}: {event}")

    def killed(self, node: Node, machine: Machine, point: CrashPoint | None) -> None:
        if point is not CrashPoint.BEFORE and not node.is_adversary:
            self._compare(node, machine)
            self._stood[node.name] = _standing(node)

    def restarted(self, node: Node) -> None:
        stood = self._stood.pop(node.name, None)
        if stood is not None:
            self._restarted[node.name] = stood

    def _check_restart(self, node: Node, stood: tuple[int, int, bytes]) -> None:
        assert node.machine is not None
        self._compare(node, node.machine)
        if _standing(node) < stood:
            raise Broken("P5", f"{node.name} forgot where it stood in the round")
        state = node.state
        for proposal_id, votes in self._truth.votes.items() if state is not None else ():
            item = state.governance.items.get(proposal_id) if state is not None else None
            if state is None or item is None or node.address not in votes or item.ended_at is not None:
                continue
            if node.address in item.tally.voters and state.governance.vote_of(item, node.address) is None:
                raise Broken("P5", f"{node.name} forgot its vote on {proposal_id.hex()[:6]}")

    @staticmethod
    def _compare(node: Node, machine: Machine) -> None:
        """The records are what the machine knows, no more and no less."""
        known = (group_of(machine) or machine).snapshot()
        if known != node.records:
            differing = sorted(
                key for key in known.keys() | node.records.keys() if known.get(key) != node.records.get(key)
            )
            raise Broken("P5", f"{node.name}'s records are not what it knew: {differing[:4]}")


def _standing(node: Node) -> tuple[int, int, bytes]:
    """Life, epoch and view."""
    state = node.state
    if state is None:
        return node.life, -1, b""
    return node.life, int(state.epoch), state.round.at.view.to_bytes(8, "big")
