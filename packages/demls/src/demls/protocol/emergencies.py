"""Who accuses whom of what, with which proofs, and what waits meanwhile? Emergency criteria proposals (LIP-104).

Proofs are checked before anybody votes; an accusation that does not hold is refused and costs whoever signed it. While
an emergency is open, elections and commit proposals wait: they are held, not lost, chat goes on, and the freeze is a
function of what is open and of the time, so it lifts whichever way the emergency ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from demls.protocol import policy as bounds
from demls.protocol.events import Faulted, Frozen, Misbehaved, ProposalDecided, Reason, Unproven
from demls.protocol.evidence import Court, Standing, proof_id, violation_of, weight
from demls.protocol.governance import Governance
from demls.protocol.items import Item
from demls.protocol.records import Ledger
from demls.protocol.scores import Cause, Scores
from demls.protocol.step import Step
from demls.protocol.validation import State
from demls.protocol.views import ProposalStatus
from demls.wire.charters import Scoring
from demls.wire.fields import PROOFS_MAX
from demls.wire.framing import digest
from demls.wire.ids import Address, CandidateId, Epoch, Instant, ProposalId
from demls.wire.messages import Emergency, Leave, Proposal, Refresh, Resync, decode_message, encode_message
from demls.wire.statements import FaultyOffer, Proof, RoundStatement, StatementKind
from demls.wire.violations import Violation

CAUSES = {
    Violation.BROKEN_COMMIT: Cause.BROKEN_COMMIT,
    Violation.BROKEN_MLS_PROPOSAL: Cause.BROKEN_PROPOSAL,
    Violation.MISBEHAVING_COMMIT: Cause.MISBEHAVING,
    Violation.EQUIVOCATION: Cause.EQUIVOCATION,
}


class Emergencies:
    """The emergencies of one group: accusations, proofs against members, and the partial freeze."""

    def __init__(
        self,
        ledger: Ledger,
        governance: Governance,
        scores: Scores,
        court: Court,
        is_signed: Callable[[RoundStatement], bool],
    ) -> None:
        self._ledger = ledger
        self._governance = governance
        self._scores = scores
        self._court = court
        self._is_signed = is_signed
        self._against: dict[Address, dict[bytes, Proof]] = {}
        for key, raw in ledger.bytes_under(b"proof/"):
            self._against.setdefault(Address(key[:20]), {})[key[20:]] = decode_message(raw, Proof)
        self._waiting: dict[ProposalId, Proposal] = {
            (proposal := decode_message(raw, Proposal)).id: proposal for _, raw in ledger.bytes_under(b"frozen/")
        }
        self._unconfirmed: dict[Address, dict[ProposalId, Proposal]] = {}
        self._began_at = Instant(ledger.find(b"freeze/began", int) or 0)
        self._lifted_at = Instant(0)
        self._owes_commit = bool(ledger.find(b"freeze/owes", bool))
        self._is_on = bool(ledger.find(b"freeze/on", bool))
        self._tried: dict[Address, list[bytes]] = {
            Address(key): acts for key, acts in ledger.under(b"tried/", list[bytes])
        }
        """Acts about which the members have decided whether their author goes."""

    # --- Proofs -------------------------------------------------------------------------------------------------

    def learn(self, step: Step, epoch: Epoch, scoring: Scoring) -> None:
        """Score what this step has proven or decided, and keep the proofs."""
        news, step.learned = step.events[step.learned :], len(step.events)
        for event in news:
            match event:
                case Faulted(member=member, proof=proof):
                    offer = proof.payload
                    assert isinstance(offer, FaultyOffer)
                    self._court.judged(offer.head, CandidateId(offer.candidate), offer.check)
                    self._convict(member, violation_of(offer.check), proof, epoch, scoring, step)
                case Misbehaved(member=member, proof=proof):
                    self._convict(member, Violation.EQUIVOCATION, proof, epoch, scoring, step)
                case Unproven(member=member, proposal_id=proposal_id):
                    self._scores.apply(member, Cause.UNPROVEN, proposal_id, epoch, scoring, step)
                case ProposalDecided(proposal_id=proposal_id, approved=approved):
                    item = self._governance.items.get(proposal_id)
                    if item is not None and isinstance(item.change, Emergency):
                        self._decided(item, approved, epoch, scoring, step)

    def _convict(
        self, member: Address, violation: Violation, proof: Proof, epoch: Epoch, scoring: Scoring, step: Step
    ) -> None:
        key = proof_id(proof)
        kept = self._against.setdefault(member, {})
        if key not in kept:
            kept[key] = proof
            self._ledger.put_bytes(b"proof/" + member + key, encode_message(proof))
            while len(kept) > PROOFS_MAX:
                oldest = next(iter(kept))
                del kept[oldest]
                self._ledger.delete(b"proof/" + member + oldest)
        self._scores.apply(member, CAUSES[violation], key, epoch, scoring, step)

    def case_against(self, member: Address, epoch: Epoch, scoring: Scoring) -> tuple[Proof, ...]:
        """Proofs that together take a newcomer's score to the threshold, one of them of an act not yet decided on.

        Empty if those kept do not.
        """
        kept = self._against.get(member, {})
        if not kept.keys() - set(self._tried.get(member, ())):
            return ()
        proofs = tuple(kept.values())
        signed = tuple(
            proof for proof in proofs if not isinstance(proof.payload, FaultyOffer)
        )  # anybody can check them
        for case in (proofs, signed):
            is_enough = self._sum(member, case, scoring) >= scoring.start - scoring.threshold
            accusation = Emergency(Violation.SCORE_BELOW_THRESHOLD, member, case, ())
            if is_enough and self._governance.can_convince(accusation, epoch):
                return case
        return ()

    def _sum(self, target: Address, proofs: Iterable[Proof], scoring: Scoring) -> int:
        """Points that the proofs against ``target`` come to; each act counts once."""
        acts = {}
        for proof in proofs:
            finding = self._court.find(proof)
            if finding.standing is Standing.PROVEN and finding.member == target:
                acts[proof_id(proof)] = weight(finding.violation, scoring)
        return sum(acts.values())

    # --- Checking an accusation ---------------------------------------------------------------------------------

    def fault_of(self, proposal: Proposal, emergency: Emergency, state: State) -> tuple[Reason, str] | None:
        """Why an emergency is no case for a vote, None if it is one. Its proofs are checked, one by one."""
        try:
            violation = Violation(emergency.violation_type)
        except ValueError:
            return Reason.INVALID, "an emergency of no known kind"
        if violation is Violation.CENSORSHIP_INACTIVITY:
            return Reason.INVALID, "silence cannot be proven: it costs turns, never membership"
        if violation is not Violation.SCORE_BELOW_THRESHOLD and self._is_noted(emergency):
            return Reason.STALE, "an emergency about what is being decided, or was decided"
        if violation is Violation.DEADLOCK:
            return self._deadlock_fault(emergency, state)
        target = Address(emergency.target_member_id)
        if not target or emergency.stuck or not emergency.proofs:
            return Reason.INVALID, "an emergency without a target or a proof"
        if state.roster.seat(target) is None:  # its old keys could feed emergencies without end
            return Reason.STALE, "an emergency about somebody who is no member"
        findings = [self._court.find(proof) for proof in emergency.proofs]
        is_later = any(proof.epoch > proposal.epoch for proof in emergency.proofs)
        if is_later or any(finding.standing is Standing.FALSE for finding in findings):
            return Reason.FORGED, UNPROVEN
        is_unknown = any(finding.standing is Standing.UNKNOWN for finding in findings)
        if is_unknown and self._governance.is_approved_early(proposal):
            return None  # so many have confirmed it that some of them are honest
        if is_unknown:
            self._unconfirmed.setdefault(Address(proposal.owner), {})[proposal.id] = proposal
            while len(self._unconfirmed[Address(proposal.owner)]) > bounds.ELECTIONS_HELD_PER_MEMBER:
                held = self._unconfirmed[Address(proposal.owner)]
                del held[next(iter(held))]
            return Reason.STALE, "an emergency that cannot be judged here yet"
        if any(finding.member != target for finding in findings):
            return Reason.FORGED, UNPROVEN
        if violation is Violation.SCORE_BELOW_THRESHOLD:
            electorate = self._governance.electorates.get(proposal.epoch)
            scoring = electorate.policy.scoring if electorate is not None else state.charter.policy.scoring
            if self._sum(target, emergency.proofs, scoring) < scoring.start - scoring.threshold:
                return Reason.FORGED, UNPROVEN
        elif any(finding.violation is not violation for finding in findings):
            return Reason.FORGED, UNPROVEN
        return None

    def is_confirmed(self, emergency: Emergency) -> bool:
        """Has the own node seen for itself that all its proofs hold? Those of a deadlock were checked on receipt."""
        return all(self._court.find(proof).standing is Standing.PROVEN for proof in emergency.proofs)

    def _is_noted(self, emergency: Emergency) -> bool:
        """Is there one of the same kind against the same member that is open, or was decided YES on the same acts?"""
        about = emergency.violation_type, emergency.target_member_id
        for item in self._governance.emergencies.values():
            known = item.change
            assert isinstance(known, Emergency)
            if (known.violation_type, known.target_member_id) != about:
                continue
            is_open = item.status is ProposalStatus.OPEN
            if is_open or (item.status is ProposalStatus.NOTED and _acts_of(emergency) <= _acts_of(known)):
                return True
        return False

    def _deadlock_fault(self, emergency: Emergency, state: State) -> tuple[Reason, str] | None:
        """A deadlock is proven by a quorum of nil acks of one view past the last steward."""
        members: set[bytes] = set()
        stewards = len(state.stewards.rotated(state.epoch, state.roster))
        places = {(ack.epoch, ack.head) for ack in emergency.stuck}
        if len(places) == 1 and places != {(state.epoch, state.head)}:
            return Reason.STALE, "a deadlock of another state than the present one"
        for ack in emergency.stuck:
            about = (ack.epoch, ack.head, ack.view, ack.candidate, ack.kind)
            first = emergency.stuck[0].view
            if about != (state.epoch, state.head, first, b"", StatementKind.ACK) or not self._is_signed(ack):
                return Reason.FORGED, UNPROVEN
            members.add(ack.member)
        if emergency.target_member_id or emergency.proofs or len(members) < state.electorate.committee().q:
            return Reason.FORGED, UNPROVEN
        if emergency.stuck[0].view + 1 < stewards:
            return Reason.INVALID, "a deadlock although not every steward has had its turn"
        return None

    def release_unconfirmed(self) -> list[Proposal]:
        """Emergencies that could not be confirmed, to be tried once more."""
        held = [proposal for kept in self._unconfirmed.values() for proposal in kept.values()]
        self._unconfirmed.clear()
        return held

    @property
    def has_held(self) -> bool:
        """Does anything wait to be confirmed, or for a freeze to end?"""
        return bool(self._unconfirmed or self._waiting)

    # --- What follows -------------------------------------------------------------------------------------------

    def _decided(self, item: Item, approved: bool, epoch: Epoch, scoring: Scoring, step: Step) -> None:
        """An emergency was decided: NO costs whoever opened it, YES of a single violation is noted."""
        owner = Address(item.proposal.owner)
        if not approved:
            if item.tally.verdict(deadline_passed=False).is_no:  # that others could not confirm it is no fault
                self._scores.apply(owner, Cause.REJECTED, item.proposal_id, epoch, scoring, step)
            self._note_tried(item)
            return
        emergency = item.change
        assert isinstance(emergency, Emergency)
        if emergency.violation_type == Violation.SCORE_BELOW_THRESHOLD:
            return  # the chain says so, once it is committed
        act = digest(b"demls upheld 1", *sorted(_acts_of(emergency)))
        self._scores.apply(owner, Cause.UPHELD, act, epoch, scoring, step)  # an act is rewarded once, as it costs once
        for proof in emergency.proofs:
            finding = self._court.find(proof)
            if finding.member is not None:
                self._convict(finding.member, finding.violation, proof, epoch, scoring, step)

    def _note_tried(self, item: Item) -> None:
        """The members have decided on these acts; nodes do not open that question again."""
        emergency = item.change
        assert isinstance(emergency, Emergency)
        if emergency.violation_type != Violation.SCORE_BELOW_THRESHOLD:
            return
        target = Address(emergency.target_member_id)
        known = self._tried.get(target, [])
        tried = [*known, *sorted(_acts_of(emergency) - set(known))][-bounds.ACTS_TRIED_KEPT :]
        self._tried[target] = tried
        self._ledger.put(b"tried/" + target, tried)

    def is_accused(self, member: Address) -> bool:
        """Is it being decided, or about to be, whether this member goes?"""
        held = (*self._waiting.values(), *(p for kept in self._unconfirmed.values() for p in kept.values()))
        changes = [proposal.change.payload for proposal in held]
        changes += [item.change for item in self._governance.in_flight()]
        return any(
            isinstance(change, Emergency)
            and (change.violation_type, change.target_member_id) == (Violation.SCORE_BELOW_THRESHOLD, member)
            for change in changes
        )

    def accused(self, state: State, own: Address, scoring: Scoring) -> list[tuple[Address, tuple[Proof, ...]]]:
        """Members at the threshold whom the own node can prove to belong there."""
        below = self._scores.below(state.roster.addresses, scoring)
        cases = ((member, self.case_against(member, state.epoch, scoring)) for member in below)
        return [(member, proofs) for member, proofs in cases if proofs and member != own]

    # --- The partial freeze -------------------------------------------------------------------------------------

    def open(self) -> list[Item]:
        """Emergencies that are being decided."""
        return [item for item in self._governance.emergencies.values() if item.status is ProposalStatus.OPEN]

    def is_frozen(self, now: Instant) -> bool:
        """Do elections and commit proposals wait now?"""
        return self._is_on and now < self._began_at + bounds.FREEZE_MAX

    def is_urgent(self) -> bool:
        """Is an emergency decided YES, and not yet committed?"""
        return any(isinstance(item.change, Emergency) for item in self._governance.approved())

    def must_wait(self, proposal: Proposal, now: Instant) -> bool:
        """Does this proposal have to wait: for an emergency, or, being one, for the work held by the last freeze?"""
        if isinstance(proposal.change.payload, Emergency):
            is_owed = self._owes_commit and not self._is_on and self._governance.has_ordinary_work()
            return is_owed and not self._governance.is_approved_early(proposal)
        return self.is_frozen(now) and not isinstance(proposal.change.payload, Leave | Refresh | Resync)

    def hold(self, proposal: Proposal) -> bool:
        """Keep a proposal until it may be opened; False if there is no room for it."""
        mine = sum(1 for held in self._waiting.values() if held.owner == proposal.owner)
        if proposal.id in self._waiting:
            return True
        if mine >= bounds.FROZEN_PROPOSALS_PER_MEMBER_MAX or len(self._waiting) >= bounds.FROZEN_PROPOSALS_MAX:
            return False
        self._waiting[proposal.id] = proposal
        self._ledger.put_bytes(b"frozen/" + proposal.id, encode_message(proposal))
        return True

    def refresh(self, step: Step) -> list[Proposal]:
        """Bring the freeze in line with what is open; returns what may be opened now."""
        is_on = bool(self.open())
        if is_on and not self._is_on:
            self._began_at = step.now
            self._ledger.put(b"freeze/began", step.now)
            step.tell(Frozen(True, Instant(step.now + bounds.FREEZE_MAX)))
        if not is_on and self._is_on:
            self._owe(True)
            self._lifted_at = min(step.now, Instant(self._began_at + bounds.FREEZE_MAX))
            step.tell(Frozen(False, step.now))
        if is_on is not self._is_on:
            self._is_on = is_on
            self._ledger.put(b"freeze/on", is_on)
        free = [proposal for proposal in self._waiting.values() if not self.must_wait(proposal, step.now)]
        for proposal in free:
            del self._waiting[proposal.id]
            self._ledger.delete(b"frozen/" + proposal.id)
        return free

    def settled(self, carried: Iterable[ProposalId]) -> None:
        """A commit with these entries was settled: held work has had its round."""
        self._owe(False)
        for item in filter(None, map(self._governance.items.get, carried)):
            if isinstance(item.change, Emergency):
                self._note_tried(item)

    def _owe(self, owes: bool) -> None:
        self._owes_commit = owes
        self._ledger.put(b"freeze/owes", owes)

    def deadline(self) -> Instant | None:
        return Instant(self._began_at + bounds.FREEZE_MAX) if self._is_on else None

    def lifted_at(self, now: Instant) -> Instant:
        """Since when nothing waits any more, as far as that is known here."""
        end = Instant(self._began_at + bounds.FREEZE_MAX)
        return end if self._is_on and now >= end else self._lifted_at

    def waiting(self) -> tuple[Proposal, ...]:
        """What is held."""
        return tuple(self._waiting.values())


def _acts_of(emergency: Emergency) -> set[bytes]:
    """What it is about: the acts that its proofs show, or the state that is stuck."""
    return {proof_id(proof) for proof in emergency.proofs} | {ack.head for ack in emergency.stuck}


UNPROVEN = "an emergency whose proofs do not prove it"
