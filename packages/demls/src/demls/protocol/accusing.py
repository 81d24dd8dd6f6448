"""Of what can the own member accuse somebody now? The gravest emergency that its node can prove, or why there is none.

And how a person opens one: as its node would, with proofs that every member can check, and its own yes.
"""

from __future__ import annotations

from collections.abc import Iterable

from demls.protocol import policy as bounds
from demls.protocol.errors import RequestRefused
from demls.protocol.events import ProposalHeld, Rejected
from demls.protocol.evidence import proof_id, weight
from demls.protocol.overview import member_views, proposal_views
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.protocol.views import MemberView, ProposalStatus, ProposalView, ProvenView
from demls.protocol.wishes import cast_vote, check_member, open_proposal
from demls.wire.charters import Scoring
from demls.wire.ids import Address, address_text
from demls.wire.messages import Emergency
from demls.wire.statements import StatementKind
from demls.wire.violations import Violation

NO_DEADLOCK = (
    "There is no deadlock to be shown: it takes a commit round that is past its last steward, and two thirds of the "
    "members who have signed that no commit came."
)
_NIL = b""
_SHORT_ADDRESS = 8


def case_against(view: MemberView, proposals: Iterable[ProposalView], scoring: Scoring) -> Emergency:
    """The member's removal if what the own node can prove is enough for that, else the worst that is not yet noted.

    Raises RequestRefused.
    """
    if view.is_self:
        raise RequestRefused("You cannot accuse yourself; to go, leave the group.")
    who = view.name or f"{address_text(view.address)[:_SHORT_ADDRESS]}…"
    if not view.proven:
        raise RequestRefused(
            f"Your node has no proof that {who} broke a rule: only what {who} has signed is one, silence never is. "
            "If you want the members to decide anyway, propose the removal."
        )
    known = [one for one in proposals if one.subject == view.address]
    going = ProposalStatus.OPEN, ProposalStatus.APPROVED
    if any(one.removes and one.status in going for one in known):
        raise RequestRefused(f"Whether {who} goes at once is being decided already; vote on that proposal.")
    if view.case:
        return Emergency(Violation.SCORE_BELOW_THRESHOLD, view.address, view.case, ())
    fresh = [one for one in view.proven if not _is_asked(one, known)]
    if not fresh:
        raise RequestRefused(
            f"The members have decided, or are deciding, on all that your node can prove against {who}. "
            "If you want them to decide on more, propose the removal."
        )
    worst = max((one.violation for one in fresh), key=lambda one: (weight(one, scoring), one))
    return Emergency(worst, view.address, tuple(one.proof for one in fresh if one.violation is worst), ())


def _is_asked(one: ProvenView, known: Iterable[ProposalView]) -> bool:
    """Is the very same thing being decided, or was it noted?"""
    for card in known:
        asked = card.emergency
        if asked is None or asked.violation_type != one.violation:
            continue
        if card.status is ProposalStatus.OPEN:
            return True
        if card.status is ProposalStatus.NOTED and proof_id(one.proof) in map(proof_id, asked.proofs):
            return True
    return False


def accusation_of(member: Address, state: GroupState) -> Emergency:
    """What this member can be accused of now. O(members + proposals). Raises RequestRefused."""
    check_member(member, state)
    view = next(one for one in member_views(state) if one.address == member)
    return case_against(view, proposal_views(state), state.charter.policy.scoring)


def deadlock_of(state: GroupState) -> Emergency | None:
    """The emergency about stewards who have not committed, with its proof; None if there is none.

    Its proof is a quorum of members who signed that they have no commit to acknowledge, in one view past the last
    steward.
    """
    last = len(state.state.stewards.rotated(state.epoch, state.roster)) - 1
    now = state.round.at.view
    for view in range(now, max(last, now - bounds.VIEWS_BEHIND_MAX) - 1, -1):
        acks = state.round.supporters(StatementKind.ACK, view, _NIL)
        if len(acks) >= state.committee.q:
            return Emergency(Violation.DEADLOCK, b"", (), acks[: state.committee.q])
    return None


def open_emergency(emergency: Emergency, state: GroupState, step: Step) -> None:
    """Propose it in the own name, with the own yes. Raises RequestRefused; then nothing has changed."""
    item = open_proposal(emergency, state, step)
    is_held = any(isinstance(event, ProposalHeld) for event in step.events)
    if item is None and not is_held:
        detail = next((event.detail for event in step.events if isinstance(event, Rejected)), "it was refused")
        raise RequestRefused(f"This emergency cannot be opened now: {detail}.")
    if item is not None and state.governance.vote_of(item, state.own) is not None:
        raise RequestRefused("This is being decided already; vote on the open proposal.")
    if item is not None and state.own in item.tally.voters:
        cast_vote(item, True, state, step)
