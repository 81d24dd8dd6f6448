"""What does a malicious member do when its person says so? A message that begins with “cheat:” is a deed, not said."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace

from demls.protocol.commit_round import ROUND_LABEL
from demls.protocol.effects import Effects
from demls.protocol.errors import RequestRefused
from demls.protocol.group import Group
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.protocol.views import ProposalStatus
from demls.protocol.wishes import cast_vote
from demls.wire.ids import Address, Instant, View, parse_address
from demls.wire.messages import Emergency, Vote
from demls.wire.statements import DoubleStatement, Proof, RoundStatement, StatementKind
from demls.wire.violations import Violation

SIGN = "cheat:"
VIEWS_AHEAD = 8
"""Of such a view it signs two things: the round that is under way, or comes next, is not disturbed."""


def sign_twice(state: GroupState, step: Step, argument: str) -> None:  # noqa: ARG001 - deeds have one form
    """Acknowledge two different candidates in one view."""
    for candidate in (os.urandom(32), os.urandom(32)):
        step.say(_signed(state, state.own, candidate))


def vote_twice(state: GroupState, step: Step, argument: str) -> None:
    """Vote both yes and no on an open proposal, named by its id; a yes that was said before is one of the two."""
    item = next((one for one in state.governance.items.values() if one.proposal_id.hex() == argument), None)
    if item is None or item.status is not ProposalStatus.OPEN:
        raise RequestRefused("There is no such open proposal.")
    if state.governance.vote_of(item, state.own) is None:
        cast_vote(item, True, state, step)
    second = state.governance.new_vote(item, state.own, state.device.leaf_private, False, step.now)
    step.say(Vote(second.encode()))


def accuse(state: GroupState, step: Step, argument: str) -> None:
    """Accuse the member with this address, with two statements that it never signed."""
    target = parse_address(argument)
    first, second = (_signed(state, target, hashlib.sha256(bytes([number])).digest()) for number in (1, 2))
    change = Emergency(Violation.SCORE_BELOW_THRESHOLD, target, (Proof(DoubleStatement(first, second)),), ())
    step.say(state.governance.new_proposal(change, state.own, state.device.leaf_private, step.now))


DEEDS: dict[str, Callable[[GroupState, Step, str], None]] = {
    "sign-twice": sign_twice,
    "vote-twice": vote_twice,
    "accuse": accuse,
}


def obey() -> None:
    """From now on this process does what is said after ``SIGN``, with the real keys; all else is sent as it is."""
    honest_send = Group.send

    def send(self: Group, text: str, now: Instant) -> Effects:
        if not text.startswith(SIGN):
            return honest_send(self, text, now)
        name, _, argument = text.removeprefix(SIGN).strip().partition(" ")
        if name not in DEEDS:
            raise RequestRefused(f"There is no deed “{name}”: say one of {', '.join(DEEDS)}.")
        state = self._live()
        step = Step(now, state.channel)
        DEEDS[name](state, step, argument)
        return self._finish(step)

    Group.send = send  # type: ignore[method-assign]


def _signed(state: GroupState, member: Address, candidate: bytes) -> RoundStatement:
    """An ack in the name of ``member``, signed with the own key, whoever that is."""
    unsigned = RoundStatement(
        state.epoch,
        state.state.head,
        View(state.round.at.view + VIEWS_AHEAD),
        candidate,
        b"",
        member,
        bytes(64),
        int(StatementKind.ACK),
    )
    return replace(unsigned, signature=state.sign(ROUND_LABEL, unsigned.content(state.group_id)))
