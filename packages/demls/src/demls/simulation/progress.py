"""Did the work get done, and was every message read or missed by name? P3 progress and P4 nothing lost.

Known limits, as the protocol's description names them: without two thirds there is no commit; and a message that only
its sender had, who is gone, is missed by nobody.
"""

from __future__ import annotations

from collections import Counter

from demls_consensus import quorum

from demls.protocol import policy as bounds
from demls.protocol.effects import Effects
from demls.protocol.events import MessageReceived, MessagesMissing, ProposalDecided, ProposalWithdrawn
from demls.protocol.joining import ASK_AGAIN_MOST, Joining
from demls.protocol.views import ProposalStatus
from demls.simulation.inside import Seen
from demls.simulation.network import Envelope
from demls.simulation.nodes import Node
from demls.simulation.promises import Agreement
from demls.simulation.world import Broken, Watcher, World
from demls.wire.ids import Address, Instant, ProposalId

_ENDED = (ProposalStatus.COMMITTED, ProposalStatus.WITHDRAWN, ProposalStatus.NOTED, ProposalStatus.REJECTED)
"""Rejected: silence was taken for consent, and a late NO came in before the commit."""


class Progress(Watcher):
    """P3: on a whole network, with a quorum of honest members there, approved work is committed in bounded time."""

    def __init__(self, world: World, agreement: Agreement) -> None:
        self.world = world
        self._agreement = agreement
        self.healed_at: Instant | None = None
        self.vanished: set[str] = set()
        """Nodes that were switched off for good, or for long: nobody waits for them."""
        self.together_in: int | None = None
        """How long after healing two thirds were in one epoch, as the promise demands, in ms."""
        self.heal_bound = 0
        self._can_heal = False
        """Were enough there for it since the faults ended? Else people have to come back first."""
        """How long that might have taken."""
        self.longest = 0
        """The longest that approved work has waited on the whole network, in ms."""
        self.tightest = 0.0
        """The largest share of its bound that approved work has waited."""
        self._first: dict[ProposalId, Instant] = {}
        self._frozen: dict[ProposalId, int] = {}
        """How long approved work has waited for emergencies, in ms."""
        self._looked_at = Instant(0)
        self._whole_since: Instant | None = None
        self._apart_since: Instant | None = None
        self._approved: dict[tuple[str, int], set[ProposalId]] = {}

    def stepped(self, node: Node, effects: Effects, cause: Envelope | None) -> None:  # noqa: ARG002 - one form
        if node.is_adversary:
            return
        for event in effects.events:
            if isinstance(event, ProposalDecided) and event.approved:
                self._approved.setdefault((node.name, node.life), set()).add(event.proposal_id)
            elif isinstance(event, ProposalWithdrawn) and not event.reason:
                raise Broken("P4", f"{node.name} is told of a withdrawal without a reason")

    # --- The bound ----------------------------------------------------------------------------------------------

    def bound(self) -> int:
        """How long approved work may wait: until the round that is open, and one more, has passed all bad leaders.

        A view lasts at most twice its time: for the offer, and half of it each for acks and locks. In the first one
        members may still be on their way to each other, and repeat themselves at the pace of a view that lasts. What
        was approved for less than ``PATIENCE_VIEWS`` may be left out of a commit, so it may have to wait for the next.
        """
        newest = self._agreement.newest
        if newest is None:
            return 0
        policy = newest.charter.policy
        base = max(bounds.VIEW_TIME_MIN, 2 * policy.delivery_time)
        repair = 2 * bounds.REPEAT_EVERY + 2 * policy.delivery_time
        bad = len(newest.counted) - len(self._owed(newest))
        now = max((node.state.round.at.view for node in self._here(newest) if node.state is not None), default=0)
        views = [*range(now, now + bad + 2), *range(bad + 1)]
        lengths = [int(2 * base * min(10 + 4 * view, 60) // 10 + repair) for view in views]
        rest = 2 * policy.batch_window + bounds.PATIENCE_VIEWS * base + bounds.REPEAT_MOST
        return sum(lengths) + rest

    def heal(self) -> None:
        """From now on progress is demanded."""
        self.healed_at = self.world.clock.now
        self.heal_bound = self.bound() + self._longest_pause()
        self._can_heal = self.can_progress()

    def _longest_pause(self) -> int:
        """Until the last newcomer whose welcome was lost asks again, if the members cannot do without it."""
        newest, now = self._agreement.newest, self.world.clock.now
        if newest is None or self._is_quorum(self._here(newest), newest):
            return 0
        waiting = (node for node in self._owed(newest) if isinstance(node.machine, Joining) and node.state is None)
        return max((node.hand.when(node.deadline) - now for node in waiting if node.deadline is not None), default=0)

    # --- Who is there -------------------------------------------------------------------------------------------

    def is_excused(self, node: Node) -> bool:
        """Is there nobody to be waited for in this member's place?"""
        is_away = self.is_ghost(node) or self.is_lost(node) or self.has_gone(node) or self.is_returning(node)
        return node.name in self.vanished or is_away

    def is_given_up(self, node: Node) -> bool:
        """Is it right that it is not where the others are, when everything has come to rest?

        Whoever is too far behind, or waits for a new seat, comes back as long as a quorum of the others is there.
        """
        if node.name in self.vanished or self.is_ghost(node) or self.has_gone(node):
            return True
        return (self.is_lost(node) or self.is_returning(node)) and not self.can_progress()

    def is_coming_back(self, node: Node) -> bool:
        """Is it still on its way back into a group that can give it a new seat?"""
        newest = self._agreement.newest
        is_in = newest is not None and any(address == node.address for address, _, _ in newest.roster)
        is_away = self.is_lost(node) or self.is_returning(node)
        return is_in and is_away and not node.is_adversary and not self.is_given_up(node)

    def has_gone(self, node: Node) -> bool:
        """Is it out by a commit that nobody honest has seen who is still in, or has it closed the group as the last?"""
        newest, left = self._agreement.newest, self._agreement.left.get(node.address)
        if newest is None or left is None:
            return False
        return left > newest.epoch or (left == newest.epoch and any(one == node.address for one, _, _ in newest.roster))

    def is_lost(self, node: Node) -> bool:
        """So far behind that nobody who is still there was there then: only a resync could bring it back."""
        newest, state = self._agreement.newest, node.state
        if newest is None or state is None or state.epoch >= newest.epoch:
            return False
        helpers = (other.state for other in self.world.members() if other is not node and other.state is not None)
        return not any(helper.history.leaving(state.epoch) is not None for helper in helpers)

    def is_returning(self, node: Node) -> bool:
        """Does it wait for a new seat? Nobody can count on it until it has that."""
        return node.returning is not None

    def is_ghost(self, node: Node) -> bool:
        """Was it admitted with the leaf of an earlier device, which the person has thrown away to ask anew?

        Or has everybody gone, or come back with a new seat, who could have had its welcome, before it asked for that
        again?
        """
        newest = self.world.newest()
        seat = newest.state.roster.seat(node.address) if newest is not None and newest.state is not None else None
        if seat is None or node.is_member or not node.is_up:
            return False
        there = (other.state for other in self.world.members() if not other.is_adversary)
        is_held = any(state.chat.since() <= seat.since for state in there if state is not None)
        return seat.leaf_key != node.leaf_key or not is_held

    def _owed(self, newest: Seen) -> list[Node]:
        """Counted members who are honest and can be expected to take part."""
        nodes = (self.world.node_of(address) for address in newest.counted)
        return [node for node in nodes if not self.world.is_bad(node) and not self.is_excused(node)]

    def _here(self, newest: Seen) -> list[Node]:
        nodes = (self.world.node_of(address) for address in newest.counted)
        there = [node for node in nodes if node.is_up and not self.world.is_bad(node)]
        return [node for node in there if node.state is not None and node.state.epoch == newest.epoch]

    def can_progress(self) -> bool:
        """Are two thirds of the newest epoch, or of its committee, honest, and not lost for good?

        Of a group in which only those are left who were bad before, nothing is known.
        """
        newest = self._agreement.newest
        owed = self._owed(newest) if newest is not None else []
        return newest is not None and any(not node.is_adversary for node in owed) and self._is_quorum(owed, newest)

    @staticmethod
    def _is_quorum(nodes: list[Node], newest: Seen) -> bool:
        speaking = sum(1 for node in nodes if node.address in newest.committee)
        return speaking >= quorum(len(newest.committee))

    def has_quorum(self) -> bool:
        """Are two thirds of the newest epoch, or of its committee, there, honest and in it?"""
        newest = self._agreement.newest
        return newest is not None and self._is_quorum(self._here(newest), newest)

    # --- Watching -----------------------------------------------------------------------------------------------

    def _waiting(self, here: list[Node], needed: int) -> dict[ProposalId, Node]:
        """Work that can be committed, and a member that knows of it.

        What is approved by silence is so for two thirds: who joined after it was opened waits its time anew.
        """
        waiting: dict[ProposalId, Node] = {}
        silent = self._by_silence(here)
        for node in here:
            assert node.state is not None
            for item in node.state.work(self.world.now_of(node)):
                waiting.setdefault(item.proposal_id, node)
        return {known: node for known, node in waiting.items() if silent[known] == 0 or silent[known] >= needed}

    def _by_silence(self, here: list[Node]) -> Counter[ProposalId]:
        """For how many of these members work is approved by silence."""
        states = ((node.state, self.world.now_of(node)) for node in here)
        work = (item for state, now in states if state is not None for item in state.work(now))
        return Counter(item.proposal_id for item in work if item.by_silence)

    def waits_for_silence(self) -> bool:
        """Is work approved by silence for some, while others who joined later wait for its time?"""
        newest = self._agreement.newest
        if newest is None:
            return False
        needed = quorum(len(newest.counted))
        return any(count < needed for count in self._by_silence(self._here(newest)).values())

    def watch(self) -> None:
        """Look at the approved work of all honest members; to be called now and then."""
        newest, now = self._agreement.newest, self.world.clock.now
        if newest is None or self.healed_at is None or self.world.newest() is None:
            return
        here = self._here(newest)
        if not self._is_quorum(here, newest):
            self._whole_since = None
            self._looked_at = now
            can_progress = self.can_progress()
            self._can_heal = self._can_heal and can_progress
            is_due = can_progress and not self.is_welcome_missing()
            self._apart_since = (self._apart_since or now) if is_due else None
            late = now - (self._apart_since or now)
            if late > self.bound():
                raise Broken("P3", f"q could be in epoch {newest.epoch} since {late} ms, and are not")
            return
        if self.together_in is None and self._can_heal:
            self.together_in = now - self.healed_at
        self._apart_since = None
        self._whole_since = self._whole_since or now
        waiting = self._waiting(here, quorum(len(newest.counted)))
        self._first = {proposal_id: at for proposal_id, at in self._first.items() if proposal_id in waiting}
        self._frozen = {proposal_id: held for proposal_id, held in self._frozen.items() if proposal_id in waiting}
        passed, is_frozen = now - self._looked_at, self._is_frozen(here)
        bound = self.bound() if waiting else 1
        self._looked_at = now
        for proposal_id, node in waiting.items():
            since = max(self._first.setdefault(proposal_id, now), self._whole_since)
            held = self._frozen.get(proposal_id, 0) + (passed if is_frozen and since < now else 0)
            self._frozen[proposal_id] = held
            waited = now - since - held
            self.longest = max(self.longest, waited)
            self.tightest = max(self.tightest, waited / bound)
            name = f"{proposal_id.hex()[:6]} is approved at {node.name}"
            if waited > bound:
                raise Broken("P3", f"{name} and not committed for {waited} ms")
            if held > bounds.FREEZE_MAX + bound:
                raise Broken("P3", f"{name} and held up by emergencies for {held} ms")

    def is_frozen(self) -> bool:
        """Does an emergency hold up commits at an honest member of the newest epoch?"""
        newest = self._agreement.newest
        return newest is not None and self._is_frozen(self._here(newest))

    def _is_frozen(self, here: list[Node]) -> bool:
        """Does an emergency hold up commits at one of them? The others may be too few to go on."""
        states = [(node.state, self.world.now_of(node)) for node in here if node.state is not None]
        return any(it.emergencies.is_frozen(now) and not it.emergencies.is_urgent() for it, now in states)

    def is_welcome_missing(self) -> bool:
        """Has a newcomer not asked for its lost welcome since the network is whole? It does so ever more rarely."""
        healed_at, newest = self.healed_at or 0, self._agreement.newest
        if newest is None:
            return False
        joining = [(node, node.machine) for node in self._owed(newest) if isinstance(node.machine, Joining)]
        return any(
            it.group is None and node.hand.when(it.asked_at) < healed_at and self._waited(node.hand.when(it.asked_at))
            for node, it in joining
        )

    def _waited(self, asked_at: int) -> bool:
        """Is it still within the longest pause between two requests?"""
        return self.world.clock.now < max(asked_at, self.healed_at or 0) + ASK_AGAIN_MOST

    def is_quiet(self) -> bool:
        """Is nothing open, nothing approved, and nobody in a round or on the way in?"""
        newest = self._agreement.newest
        members = {address for address, _, _ in newest.roster} if newest is not None else set()
        for node in self.world.nodes.values():
            state = node.state
            if self.is_coming_back(node):
                return False
            if node.machine is None or (state is None and node.is_out) or self.is_excused(node):
                continue
            if self.world.is_bad(node):
                continue  # whoever says nothing is not answered either
            if newest is None or node.address not in members:
                continue
            asking = () if state is None else (it for it in state.requests.waiting.values() if it.token)
            if state is None or state.round.is_open or any(state.governance.in_flight()) or any(asking):
                return False
        return True

    def ended(self) -> None:
        """P4: everything that was ever approved has ended, one way or the other, where there is a quorum for it."""
        if not self.can_progress():
            return
        for node in self.world.honest():
            state, newest = node.state, self._agreement.newest
            if state is None or newest is None or state.epoch != newest.epoch:
                continue
            for proposal_id in self._approved.get((node.name, node.life), ()):
                item = state.governance.items.get(proposal_id)
                is_due = item is not None and state.resyncs.is_due(item, self.world.clock.now)
                if item is not None and is_due and item.status not in _ENDED:
                    raise Broken(
                        "P4", f"{proposal_id.hex()[:6]} was approved at {node.name} and is {item.status.value}"
                    )


_Person = tuple[str, int]
"""Name and life."""


class Reading(Watcher):
    """P4: what was said is read by every honest member of its epoch who stays, or is named as lost."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.messages = 0
        self.recovered = 0
        self._epochs: dict[_Person, dict[int, int]] = {}
        """In which epoch each message was said."""
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
            self._epochs.setdefault(sender, {})[event.counter] = event.epoch
            known = self._sent.setdefault(sender, {}).setdefault(event.counter, event.message_id)
            if known != event.message_id:
                raise Broken("P5", f"{node.name} counted two messages as number {event.counter}")
            return
        read = self._read.setdefault(reader, {}).setdefault(sender, set())
        if event.counter in read:
            raise Broken("P4", f"{node.name} is told message {event.counter} of {sender[0]} twice")
        read.add(event.counter)
        self.recovered += event.is_recovered

    def is_fetching(self) -> bool:
        """Does anybody still ask for messages, also for those that may not be for it?"""
        states = (node.state for node in self.world.honest() if node.state is not None)
        return any(not gap.is_told for state in states for heard in state.chat.heard.values() for gap in heard.gaps)

    def check(self, progress: Progress) -> None:
        """Of those who are in and of those who have left; of all messages that somebody who is there could say."""
        here = [node for node in self.world.honest() if self._is_here(node, progress)]
        readers = {(node.name, node.life): node for node in here}
        for node in self.world.honest():
            if node.state is None or not node.is_up:
                continue
            reader = node.name, node.life
            for sender, said in self._epochs.items():
                if self.world.nodes[sender[0]].is_adversary or sender[0] == node.name:
                    continue
                read = self._read.get(reader, {}).get(sender, set())
                owed = set(range(min(read) + 1, max(read))) if read else set()
                if reader in readers:
                    owed |= self._owed(node, sender, said, readers)
                known = read.union(
                    *(self._read.get((node.name, life), {}).get(sender, ()) for life in range(node.life))
                )
                if not progress.can_progress():
                    known |= self._fetched(node, sender)
                for counter in self._gaps(reader, sender, known, owed):
                    name = f"number {counter} of {sender[0]}, said in epoch {said.get(counter)}"
                    raise Broken("P4", f"{node.name} does not know that it misses a message, {name}")

    def _fetched(self, node: Node, sender: _Person) -> set[int]:
        """What a node asks for still; of a group that has come to a halt the end is not waited for."""
        assert node.state is not None
        heard = node.state.chat.heard.items()
        gaps = (gap for (member, _), one in heard for gap in one.gaps if self.world.name_of(member) == sender[0])
        return {counter for gap in gaps for counter in range(gap.first, gap.last + 1)}

    def _is_here(self, node: Node, progress: Progress) -> bool:
        newest = self.world.newest()
        if newest is None or newest.state is None or node.state is None or not node.is_up:
            return False
        return node.state.epoch == newest.state.epoch and not progress.is_excused(node)

    def _owed(self, node: Node, sender: _Person, said: dict[int, int], readers: dict[_Person, Node]) -> set[int]:
        """What was said for this member, and somebody who is there has."""
        assert node.state is not None
        since = node.state.chat.since()
        if sender in readers:
            return {counter for counter, epoch in said.items() if epoch >= since}
        heard = (self._read.get(reader, {}).get(sender, set()) for reader in readers)
        return {counter for counter in set().union(*heard) if said[counter] >= since}

    def _gaps(self, reader: _Person, sender: _Person, read: set[int], owed: set[int]) -> list[int]:
        """Which of these messages are neither read nor named."""
        named = self._missed.get((reader, self.world.nodes[sender[0]].address), [])
        return [one for one in sorted(owed - read) if not any(first <= one <= last for first, last in named)]
