"""Did the work get done, and was every message read or missed by name? P3 progress and P4 nothing lost.

Known limits, as the protocol's description names them: without two thirds there is no commit; a joiner whose welcome
got lost asks again ever more rarely; a member who missed more epochs than channels are kept (``CHANNELS_KEPT``), on a
network without history, cannot be heard by the others; and a message after which its sender said nothing more, or
before which a reader had heard nothing of the sender, leaves no gap.
"""

from __future__ import annotations

from demls.protocol import policy as bounds
from demls.protocol.effects import Effects
from demls.protocol.events import MessageReceived, MessagesMissing, ProposalDecided, ProposalWithdrawn, Rejected
from demls.protocol.views import ProposalStatus
from demls.simulation.inside import Seen
from demls.simulation.network import Envelope
from demls.simulation.nodes import Node
from demls.simulation.promises import Agreement
from demls.simulation.world import Broken, Watcher, World
from demls.wire.ids import Address, Instant, ProposalId

_NO_ISSUER = "a welcome by people of whom none made the invite link"
_ENDED = (ProposalStatus.COMMITTED, ProposalStatus.WITHDRAWN, ProposalStatus.REJECTED)
"""Rejected: silence was taken for consent, and a late NO came in before the commit."""


class Progress(Watcher):
    """P3: on a whole network, with a quorum of honest members there, approved work is committed in bounded time."""

    def __init__(self, world: World, agreement: Agreement) -> None:
        self.world = world
        self._agreement = agreement
        self.healed_at: Instant | None = None
        self.stranded: frozenset[str] = frozenset()
        self.longest = 0
        """The longest that approved work has waited on the whole network, in ms."""
        self._turned_away: set[tuple[str, int]] = set()
        self._first: dict[ProposalId, Instant] = {}
        self._whole_since: Instant | None = None
        self._approved: dict[tuple[str, int], set[ProposalId]] = {}

    def stepped(self, node: Node, effects: Effects, cause: Envelope | None) -> None:  # noqa: ARG002 - one form
        if node.is_adversary:
            return
        for event in effects.events:
            if isinstance(event, ProposalDecided) and event.approved:
                self._approved.setdefault((node.name, node.life), set()).add(event.proposal_id)
            elif isinstance(event, ProposalWithdrawn) and not event.reason:
                raise Broken("P4", f"{node.name} is told of a withdrawal without a reason")
            elif isinstance(event, Rejected) and event.detail == _NO_ISSUER:
                self._turned_away.add((node.name, node.life))

    def bound(self) -> int:
        """One view for each bad leader, some more for those in which members meet, each of the longest length twice."""
        policy = self.world.scenario.policy
        longest_view = 6 * max(bounds.VIEW_TIME_MIN, 2 * policy.delivery_time)
        newest = self._agreement.newest
        faults = (len(newest.roster) - 1) // 3 if newest is not None else 0
        return policy.batch_window + 2 * longest_view * (faults + 3) + 30_000

    def heal(self) -> None:
        """From now on progress is demanded."""
        self.healed_at = self.world.clock.now
        newest = self._agreement.newest
        if newest is None or self.world.scenario.has_history:
            return
        self.stranded = frozenset(
            node.name
            for node in self.world.honest()
            if node.state is not None and node.state.epoch < newest.epoch - bounds.CHANNELS_KEPT
        )

    def is_excused(self, node: Node) -> bool:
        """Is it further behind than the others can hear, since before the network was whole; or is it a ghost?"""
        return node.name in self.stranded or self.is_ghost(node)

    def is_ghost(self, node: Node) -> bool:
        """Admitted, but nobody comes in.

        The welcome was turned away since the maker of the invite link had gone, or the leaf is that of an earlier
        request, which had been refused and was approved after all when electors left.
        """
        newest = self.world.newest()
        seat = newest.state.roster.seat(node.address) if newest is not None and newest.state is not None else None
        if seat is None or node.is_member or not node.is_up:
            return False
        return seat.leaf_key != node.leaf_key or (node.name, node.life) in self._turned_away

    def has_quorum(self) -> bool:
        """Are two thirds of the newest epoch there, honest and in it?"""
        newest = self._agreement.newest
        return newest is not None and 3 * len(self._here(newest)) >= 2 * len(newest.roster)

    def _here(self, newest: Seen) -> list[Node]:
        nodes = (self.world.node_of(address) for address, _, _ in newest.roster)
        return [
            node
            for node in nodes
            if not node.is_adversary and node.is_up and node.state is not None and node.state.epoch == newest.epoch
        ]

    def watch(self) -> None:
        """Look at the approved work of all honest members; to be called now and then."""
        newest, now = self._agreement.newest, self.world.clock.now
        if newest is None or self.healed_at is None:
            return
        here = self._here(newest)
        if 3 * len(here) < 2 * len(newest.roster):
            self._whole_since = None
            return
        self._whole_since = self._whole_since or now
        waiting: dict[ProposalId, Node] = {}
        for node in here:
            assert node.state is not None
            for item in node.state.governance.approved():
                waiting.setdefault(item.proposal_id, node)
        self._first = {proposal_id: at for proposal_id, at in self._first.items() if proposal_id in waiting}
        for proposal_id, node in waiting.items():
            since = max(self._first.setdefault(proposal_id, now), self._whole_since)
            self.longest = max(self.longest, now - since)
            if now - since > self.bound():
                raise Broken(
                    "P3", f"{proposal_id.hex()[:6]} is approved at {node.name} and not committed for {now - since} ms"
                )

    def is_quiet(self) -> bool:
        """Is nothing open, nothing approved, and nobody in a round or on the way in?"""
        newest = self._agreement.newest
        members = {address for address, _, _ in newest.roster} if newest is not None else set()
        for node in self.world.nodes.values():
            state = node.state
            if node.machine is None or (state is None and node.is_out) or self.is_excused(node):
                continue
            if newest is None or node.address not in members:
                continue
            if state is None or state.round.is_open or state.governance.in_flight() or state.requests.waiting:
                return False
        return True

    def ended(self) -> None:
        """P4: everything that was ever approved has ended, one way or the other, where there is a quorum for it."""
        if not self.has_quorum():
            return
        for node in self.world.honest():
            state, newest = node.state, self._agreement.newest
            if state is None or newest is None or state.epoch != newest.epoch:
                continue
            for proposal_id in self._approved.get((node.name, node.life), ()):
                item = state.governance.items.get(proposal_id)
                if item is not None and item.status not in _ENDED:
                    raise Broken(
                        "P4", f"{proposal_id.hex()[:6]} was approved at {node.name} and is {item.status.value}"
                    )


_Person = tuple[str, int]
"""Name and life."""


class Reading(Watcher):
    """P4: between the first and the last message that a member read of a sender, each is read or its gap is named."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.messages = 0
        self.forgotten = 0
        """Readers who were never told of a gap, because the sender left before it was named: a known weakness."""
        self._sent: dict[_Person, dict[int, bytes]] = {}
        self._read: dict[_Person, dict[_Person, set[int]]] = {}
        self._missed: dict[tuple[_Person, Address], list[tuple[int, int]]] = {}

    def stepped(self, node: Node, effects: Effects, cause: Envelope | None) -> None:  # noqa: ARG002 - one form
        reader = node.name, node.life
        for event in effects.events:
            if isinstance(event, MessageReceived):
                self._note(node, reader, event)
            elif isinstance(event, MessagesMissing):
                self._missed.setdefault((reader, event.sender), []).append((event.first, event.last))

    def _note(self, node: Node, reader: _Person, event: MessageReceived) -> None:
        sender = self.world.name_of(event.sender), int(event.text.split(":")[0].split()[1])
        if event.sender == node.address:
            self.messages += 1
            known = self._sent.setdefault(sender, {}).setdefault(event.counter, event.message_id)
            if known != event.message_id:
                raise Broken("P5", f"{node.name} counted two messages as number {event.counter}")
            return
        read = self._read.setdefault(reader, {}).setdefault(sender, set())
        if event.counter in read:
            raise Broken("P4", f"{node.name} is told message {event.counter} of {sender[0]} twice")
        read.add(event.counter)

    def check(self) -> None:
        for node in self.world.honest():
            if node.state is None:
                continue
            reader = node.name, node.life
            for sender, read in self._read.get(reader, {}).items():
                writer = self.world.nodes[sender[0]]
                if writer.is_adversary:
                    continue
                if not writer.is_member or writer.life != sender[1]:
                    self.forgotten += self._gaps(reader, sender, read) > 0
                    continue
                if self._gaps(reader, sender, read):
                    raise Broken("P4", f"{node.name} does not know that it misses a message of {sender[0]}")

    def _gaps(self, reader: _Person, sender: _Person, read: set[int]) -> int:
        """How many messages between the first and the last one read are neither read nor named."""
        named = self._missed.get((reader, self.world.nodes[sender[0]].address), [])
        return sum(
            1
            for counter in range(min(read) + 1, max(read))
            if counter not in read and not any(first <= counter <= last for first, last in named)
        )
