"""Was a promise broken? P1 agreement and P5 durability, checked at every step.

Only what honest members see counts.
"""

from __future__ import annotations

from collections.abc import Callable

from demls.protocol.effects import Effects
from demls.protocol.events import Halted, Joined, Removed, Returned, Settled
from demls.simulation.inside import Machine, Seen, group_of, seen_by
from demls.simulation.network import Envelope
from demls.simulation.nodes import Node
from demls.simulation.people import Truth
from demls.simulation.world import Broken, CrashPoint, Watcher, World
from demls.wire.ids import Address, Epoch, Instant
from demls.wire.messages import Payload, Vote
from demls.wire.statements import RoundStatement


class Agreement(Watcher):
    """P1: one commit for one epoch, and all see the same state in it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.epochs: dict[Epoch, Seen] = {}
        self.settled_at: dict[Epoch, Instant] = {}
        self.left: dict[Address, Epoch] = {}
        """The epoch into which each of them was not taken along, by its own account."""
        self._who: dict[Epoch, str] = {}

    def stepped(self, node: Node, effects: Effects, cause: Envelope | None) -> None:  # noqa: ARG002 - one form
        if node.is_adversary:
            return
        for event in effects.events:
            if isinstance(event, Removed):
                self.left[node.address] = event.epoch
        if node.state is None:
            return
        if any(type(event) in (Settled, Joined, Returned) for event in effects.events):
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


class Durable(Watcher):
    """P5: what was written is there after a crash, and nobody honest says two things."""

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
            if isinstance(event, Halted):
                raise Broken("P1", f"{node.name} sees two certificates of epoch {event.epoch}, and halts")

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
            if (
                node.address in item.tally.voters
                and state.may_sign(item)
                and all(ballot.vote_of(node.address) is None for ballot in item.ballots)
            ):
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
