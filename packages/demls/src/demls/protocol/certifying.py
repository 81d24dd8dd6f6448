"""How do those learn that a commit is settled who do not hear the committee?

A drawn committee says its acknowledgements and locks on its floor. When they settle a candidate, the leader of its view
says the certificate to all members, and each next one in the order of leaders a while later if nobody did. Whoever has
the candidate merges; whoever has only the certificate waits for its lot, and asks a member of the committee.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from demls.protocol import policy as bounds
from demls.protocol.channel import Channel
from demls.protocol.continuity import is_certified
from demls.protocol.events import Reason
from demls.protocol.lots import lot
from demls.protocol.settling import compare_histories, has_certificate, merge_held
from demls.protocol.step import Step
from demls.wire.ids import Address, CandidateId, Epoch, Instant, LeafKey, View
from demls.wire.messages import CertifiedCommit
from demls.wire.statements import Locks, RoundStatement

if TYPE_CHECKING:
    from demls.protocol.committee import Committee
    from demls.protocol.state import GroupState


@dataclass(frozen=True, slots=True)
class _Due:
    """A certificate of a past epoch that the own member says at ``at`` unless somebody else has."""

    said: CertifiedCommit
    channel: Channel
    committee: Committee
    keys: dict[Address, LeafKey]
    at: Instant


class Certifying:
    """What one node says of settled commits, and the certificate whose candidate it lacks; a restart begins anew."""

    def __init__(self) -> None:
        self._due: dict[Epoch, _Due] = {}
        self._lacking: Locks | None = None
        self._ask_at: Instant | None = None

    # --- Saying it ----------------------------------------------------------------------------------------------

    def settled(
        self, state: GroupState, view: View, candidate: CandidateId, locks: tuple[RoundStatement, ...], now: Instant
    ) -> None:
        """The own round has settled a candidate, whose state is about to end."""
        self._lacking = self._ask_at = None
        committee = state.committee
        if not committee.is_drawn or state.own not in committee.members:
            return
        first = state.round.leader(view)
        others = (member for member in state.state.leaders if member != first)
        order = [member for member in (first, *others) if member in committee.members][: bounds.CERTIFIERS_MAX]
        if state.own not in order:
            return
        signatures = {lock.member: lock.signature for lock in locks}
        said = CertifiedCommit(
            state.epoch,
            state.state.head,
            view,
            candidate,
            committee.bitmap(signatures),
            tuple(signatures[member] for member in committee.order if member in signatures),
        )
        seats = ((member, state.roster.seat(member)) for member in committee.order)
        keys = {member: seat.leaf_key for member, seat in seats if seat is not None}
        at = Instant(now + order.index(state.own) * bounds.TAKEOVER_AFTER)
        self._due[state.epoch] = _Due(said, state.channel, committee, keys, at)
        while len(self._due) > bounds.CERTIFICATES_DUE_MAX:
            del self._due[min(self._due)]

    def act(self, state: GroupState, step: Step) -> bool:
        """Say what is due now. Says whether it is time to ask for a candidate that is lacking."""
        for epoch, due in list(self._due.items()):
            if due.at <= step.now:
                step.say(due.said, due.channel)
                del self._due[epoch]
        if self._lacking is None or (self._lacking.epoch, self._lacking.head) != (state.epoch, state.state.head):
            self._lacking = self._ask_at = None
        if self._ask_at is None or step.now < self._ask_at:
            return False
        self._ask_at = Instant(step.now + bounds.CERTIFIED_ASK_WITHIN)
        return True

    def deadline(self) -> Instant | None:
        """When to call ``act`` next."""
        times = [due.at for due in self._due.values()]
        return min(times if self._ask_at is None else [*times, self._ask_at], default=None)

    # --- Hearing it ---------------------------------------------------------------------------------------------

    def receive(self, state: GroupState, said: CertifiedCommit, step: Step) -> None:
        """A certificate from whoever: worth exactly its signatures."""
        if (said.epoch, said.head) != (state.epoch, state.state.head):
            self._receive_of_past(state, said, step)
            return
        locks = _locks(said, state.committee)
        known = self._lacking is not None and self._lacking.candidate == said.candidate
        if state.is_halted or known:
            return
        if not state.committee.is_drawn or not has_certificate(state, locks, state.committee.q):
            step.refuse(Reason.FORGED, "a certificate that is none of the committee")
            return
        self._lacking = locks
        self._ask_at = Instant(
            step.now + lot(locks.candidate, state.own, len(state.roster.seats), bounds.CERTIFIED_ASK_WITHIN)
        )
        self.merge(state, step)

    def merge(self, state: GroupState, step: Step) -> None:
        """Merge the candidate whose certificate is here, if it has come."""
        locks = self._lacking
        if locks is None or (locks.epoch, locks.head) != (state.epoch, state.state.head):
            return
        candidate = state.round.candidates.get(CandidateId(locks.candidate))
        if candidate is not None and state.candidates.prepare(candidate):
            self._lacking = self._ask_at = None
            merge_held(state, candidate, View(locks.view), locks.statements(), step)

    def _receive_of_past(self, state: GroupState, said: CertifiedCommit, step: Step) -> None:
        due = self._due.get(Epoch(said.epoch))
        if due is not None and due.said.candidate == said.candidate:
            locks = _locks(said, due.committee)
            if is_certified(
                locks,
                quorum=due.committee.q,
                key_of=lambda member: due.keys.get(Address(member)),
                group_id=state.group_id,
                engine=state.engine,
            ):
                del self._due[Epoch(said.epoch)]
            return
        electorate = state.governance.electorates.get(said.epoch)
        if electorate is not None and said.epoch < state.epoch:
            compare_histories(state, _locks(said, electorate.committee()), step)


def _locks(said: CertifiedCommit, committee: Committee) -> Locks:
    return Locks(said.epoch, said.head, said.view, said.candidate, committee.marked(said.signers), said.signatures)
