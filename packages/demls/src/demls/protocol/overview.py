"""What do people see of a group? Views made from the state, never stored."""

from __future__ import annotations

from dataclasses import replace

from demls_consensus import Silence

from demls.protocol.admission import meaning_of
from demls.protocol.credential import CredentialRefused, parse_credential
from demls.protocol.engine import EngineError
from demls.protocol.evidence import Standing, violation_of
from demls.protocol.items import Item
from demls.protocol.returning import Returning
from demls.protocol.state import GroupState
from demls.protocol.validation import amended
from demls.protocol.views import (
    GroupStatus,
    GroupView,
    MemberView,
    ProposalKind,
    ProposalStatus,
    ProposalView,
    ProvenView,
    RequestView,
    ReturningView,
    RoundView,
    ScoreEntry,
    SuccessorView,
)
from demls.wire.charters import Charter
from demls.wire.ids import Address, Epoch, Instant
from demls.wire.links import invite_text
from demls.wire.messages import (
    Awake,
    Change,
    Dormant,
    Emergency,
    Invite,
    Leave,
    Proposal,
    Refresh,
    Remove,
    Resync,
    Settings,
    StewardElection,
    SuccessorNotice,
    decode_message,
)
from demls.wire.statements import FaultyOffer, Proof, StatementKind
from demls.wire.violations import Violation

_KINDS: dict[type[Change], ProposalKind] = {
    Invite: ProposalKind.INVITE,
    Remove: ProposalKind.REMOVE,
    Leave: ProposalKind.LEAVE,
    StewardElection: ProposalKind.ELECTION,
    Settings: ProposalKind.SETTINGS,
    Emergency: ProposalKind.EMERGENCY,
    Dormant: ProposalKind.DORMANT,
    Awake: ProposalKind.AWAKE,
    Resync: ProposalKind.RESYNC,
}
_RANK = {ProposalStatus.OPEN: 0, ProposalStatus.APPROVED: 1}


def proposal_views(state: GroupState) -> tuple[ProposalView, ...]:
    """Open and approved first, then the newest that ended."""
    items = sorted(
        (item for item in state.governance.items.values() if not isinstance(item.change, Refresh)),
        key=lambda item: (_RANK.get(item.status, 2), -(item.ended_at or 0), item.order()),
    )
    return tuple(_proposal_view(state, item) for item in items)


def group_view(state: GroupState, waiting: tuple[Address, ...]) -> GroupView:
    """O(members + proposals)."""
    stewards = state.state.stewards
    turns = stewards.rotated(state.epoch, state.roster)
    return GroupView(
        state.group_id,
        state.charter.name,
        state.charter.description,
        state.charter.policy.preset,
        GroupStatus.MEMBER,
        state.epoch,
        state.mls.authenticator(),
        state.own,
        tuple(member for member in stewards.members if member in turns),
        turns[0] if turns else None,
        turns[1] if len(turns) > 1 else None,
        len(state.roster.seats),
        proposal_views(state),
        tuple(
            RequestView(
                request_id,
                Address(kept.address),
                kept.name,
                Address(kept.issuer),
                Instant(kept.received_at),
                needs_sponsor=not kept.token,
            )
            for request_id, kept in state.requests.waiting.items()
        ),
        _round_view(state, waiting),
        state.charter.policy,
        state.charter.digest,
        state.roster.n,
        Epoch(stewards.since + len(stewards.members) - 1),
        state.is_halted,
        tuple(_successor_view(state, notice) for _, notice in sorted(state.successors.known.items())),
        state.emergencies.deadline() if state.emergencies.is_frozen(state.now) else None,
        len(state.emergencies.waiting()),
        tuple(filter(None, (_held_view(state, proposal) for proposal in state.emergencies.waiting()))),
        state.introducer,
        state.state.leaders[0],
        fetching=state.chat.fetching(),
    )


def returning_view(returning: Returning) -> GroupView:
    """A group in which the own member waits for a new seat: what it was, as far as that is known."""
    record, charter = returning.record, returning.charter
    view = GroupView.of_ended(
        returning.group_id, charter, GroupStatus.RETURNING, Epoch(record.epoch), Address(record.address)
    )
    waiting = ReturningView(
        record.reason, Instant(record.began_at), returning.waits_for, returning.unsent, record.saved_at
    )
    return replace(view, members=len(record.roster), returning=waiting)


def _successor_view(state: GroupState, notice: SuccessorNotice) -> SuccessorView:
    link = state.successors.link_for(notice, state.own)
    return SuccessorView(
        Address(notice.member), state.successors.name_of(notice), invite_text(link) if link is not None else ""
    )


def _proposal_view(state: GroupState, item: Item) -> ProposalView:
    change, tally = item.change, item.tally
    mine = state.governance.vote_of(item, state.own)
    return ProposalView(
        item.proposal_id,
        _KINDS[type(change)],
        item.subject,
        _name_of(state, item.subject, change),
        Address(item.proposal.owner),
        _sponsor(change),
        item.first_seen,
        item.deadline,
        tally.silence is Silence.COUNTS_AS_YES and tally.n > 2,
        tally.n,
        state.governance.needed(item),
        tally.yes,
        tally.no,
        tally.silent,
        mine,
        item.needs_votes
        and item.status is ProposalStatus.OPEN
        and mine is None
        and state.own in tally.voters
        and state.may_sign(item),
        item.status,
        item.reason,
        item.epoch,
        len(item.ballots) > 1 and item.place == 0,
        *_details(state, change),
        isinstance(change, Emergency) and state.emergencies.is_confirmed(change),
        Epoch(item.proposal.epoch),
    )


def _held_view(state: GroupState, proposal: Proposal) -> ProposalView | None:
    """A proposal that waits for an emergency: nobody can vote on it yet."""
    change, owner = proposal.change.payload, Address(proposal.owner)
    meaning = meaning_of(change, owner, state.read_key_package)
    if meaning is None:
        return None
    return ProposalView(
        proposal.id,
        _KINDS[type(change)],
        meaning.subject,
        _name_of(state, meaning.subject, change),
        owner,
        _sponsor(change),
        Instant(proposal.created_at),
        Instant(proposal.created_at + proposal.duration),
        *(False, 0, 0, 0, 0, 0, None, False),
        ProposalStatus.OPEN,
        "",
        None,
        False,
        *_details(state, change),
        opened_in=Epoch(proposal.epoch),
    )


def _sponsor(change: Change) -> Address | None:
    return Address(change.sponsor) if isinstance(change, Invite) and change.sponsor else None


def _details(
    state: GroupState, change: Change
) -> tuple[tuple[Address, ...], int, Charter | None, Violation | None, bool, Emergency | None]:
    """What only some kinds have: stewards, retry round, settings, violation, whether it removes, the emergency."""
    emergency = change if isinstance(change, Emergency) else None
    return (
        tuple(map(Address, change.proposed_stewards)) if isinstance(change, StewardElection) else (),
        change.retry_round if isinstance(change, StewardElection) else 0,
        amended(state.charter, change) if isinstance(change, Settings) else None,
        _violation(emergency) if emergency is not None else None,
        emergency is not None and emergency.violation_type == Violation.SCORE_BELOW_THRESHOLD,
        emergency,
    )


def _violation(emergency: Emergency) -> Violation:
    """What an emergency says; of one about a score, what all its proofs show if that is the same."""
    said = Violation(emergency.violation_type)
    if said is not Violation.SCORE_BELOW_THRESHOLD:
        return said
    shown = {
        violation_of(proof.payload.check) if isinstance(proof.payload, FaultyOffer) else Violation.EQUIVOCATION
        for proof in emergency.proofs
    }
    return shown.pop() if len(shown) == 1 else said


def _name_of(state: GroupState, subject: Address, change: Change) -> str:
    """What the subject calls itself, from the roster or from its key package."""
    known = state.name_of(subject)
    if known:
        return known
    if isinstance(change, Invite):
        try:
            package = state.read_key_package(change.key_package_bytes)
            return parse_credential(package.credential).name
        except (EngineError, CredentialRefused):
            return ""
    return ""


def _round_view(state: GroupState, waiting: tuple[Address, ...]) -> RoundView:
    current = state.round
    heard = current.statements(StatementKind.ACK, current.at.view)
    leader = current.leader(current.at.view) if current.is_open else None
    return RoundView(
        current.is_open,
        current.at.view,
        leader,
        state.committee.q,
        len(heard),
        waiting,
        state.short() if waiting else 0,
        leader_is_steward=leader in state.state.stewards.members,
        passed=state.state.leaders[: current.at.view] if current.is_open else (),
    )


def member_views(state: GroupState) -> tuple[MemberView, ...]:
    """All members by leaf. O(n)."""
    turns = state.state.stewards.rotated(state.epoch, state.roster)
    scoring = state.charter.policy.scoring
    stewards, lost = frozenset(turns), {turn.member_id for turn in state.state.lost}
    leaving = {item.subject for item in state.governance.approved() if item.effect[0] == "remove"}
    proven, ages = _proven(state), {age.member_id: age for age in state.state.keys}
    return tuple(
        MemberView(
            seat.address,
            seat.name,
            seat.device,
            seat.leaf,
            seat.address == state.own,
            seat.address in stewards,
            bool(turns) and seat.address == turns[0],
            seat.address in leaving,
            seat.dormant,
            seat.address in lost,
            state.scores.of(seat.address, scoring).points,
            tuple(
                ScoreEntry(Epoch(entry.epoch), entry.cause, entry.points)
                for entry in state.scores.of(seat.address, scoring).history
            ),
            proven.get(seat.address, ()),
            state.emergencies.case_against(seat.address, state.epoch, scoring) if seat.address in proven else (),
            Epoch(age.epoch) if (age := ages.get(seat.address)) is not None else None,
            Instant(age.time) if age is not None else None,
            _binding_ends(state, seat.address),
        )
        for seat in state.roster.seats
    )


def _binding_ends(state: GroupState, member: Address) -> Instant | None:
    binding = state.roster.binding_of(member)
    return Instant(binding.expires) if binding is not None else None


def _proven(state: GroupState) -> dict[Address, tuple[ProvenView, ...]]:
    """Of every member against whom the own node keeps proofs, those that it has confirmed."""
    proven: dict[Address, tuple[ProvenView, ...]] = {}
    for key, raw in state.ledger.bytes_under(b"proof/"):
        proof, member = decode_message(raw, Proof), Address(key[:20])
        finding = state.court.find(proof)
        if finding.standing is Standing.PROVEN and finding.member == member:
            proven[member] = (*proven.get(member, ()), ProvenView(proof, finding.violation))
    return proven
