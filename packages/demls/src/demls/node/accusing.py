"""How does a person open an emergency? As its node would: with proofs that every member can check, and its own yes."""

from __future__ import annotations

from demls.protocol import policy as bounds
from demls.protocol.effects import Effects
from demls.protocol.errors import RequestRefused
from demls.protocol.events import ProposalHeld, Rejected
from demls.protocol.group import Group
from demls.protocol.step import Step
from demls.protocol.wishes import cast_vote, open_proposal
from demls.wire.ids import Instant
from demls.wire.messages import Emergency, StatementKind
from demls.wire.violations import Violation

NIL = b""


def open_emergency(group: Group, emergency: Emergency, now: Instant) -> Effects:
    """Propose it in the own name, with the own yes. Raises RequestRefused; then nothing has changed."""
    state = group._live()
    step = Step(now, state.channel)
    item = open_proposal(emergency, state, step)
    is_held = any(isinstance(event, ProposalHeld) for event in step.events)
    if item is None and not is_held:
        detail = next((event.detail for event in step.events if isinstance(event, Rejected)), "it was refused")
        raise RequestRefused(f"This emergency cannot be opened now: {detail}.")
    if item is not None and state.governance.vote_of(item, state.own) is not None:
        raise RequestRefused("This is being decided already; vote on the open proposal.")
    if item is not None and state.own in item.tally.voters:
        cast_vote(item, True, state, step)
    return group._finish(step)


def deadlock_of(group: Group) -> Emergency | None:
    """The emergency about stewards who have not committed, with its proof; None if there is none.

    Its proof is a quorum of members who signed that they have no commit to acknowledge, in one view past the last
    steward.
    """
    state = group._live()
    last = len(state.state.stewards.rotated(state.epoch, state.roster)) - 1
    now = state.round.at.view
    for view in range(now, max(last, now - bounds.VIEWS_BEHIND_MAX) - 1, -1):
        acks = state.round.supporters(StatementKind.ACK, view, NIL)
        if len(acks) >= state.roster.q:
            return Emergency(Violation.DEADLOCK, b"", (), acks[: state.roster.q])
    return None
