"""What does a proof show, and what can a member be accused of? Evidence in words that need no protocol."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

from demls_consensus import Malformed, SignedVote

from demls.node.words import called
from demls.protocol import accusing
from demls.protocol.checks import Check
from demls.protocol.errors import RequestRefused
from demls.protocol.views import MemberView, ProposalView
from demls.wire.charters import Scoring
from demls.wire.messages import Emergency
from demls.wire.statements import DoubleStatement, DoubleVote, FaultyOffer, Proof, StatementKind
from demls.wire.violations import Violation

SHORT_ID_DIGITS = 8

VIOLATIONS = MappingProxyType(
    {
        Violation.BROKEN_COMMIT: "has offered a broken commit",
        Violation.BROKEN_MLS_PROPOSAL: "has offered a commit that does something else than was decided",
        Violation.CENSORSHIP_INACTIVITY: "has been silent",
        Violation.SCORE_BELOW_THRESHOLD: "has broken the rules so often that its score is at the threshold",
        Violation.DEADLOCK: "the stewards have not committed for a whole round",
        Violation.MISBEHAVING_COMMIT: "has offered a commit against the rules",
        Violation.EQUIVOCATION: "has signed two different things",
    }
)
"""What an emergency is about, in words that follow a name; a deadlock is about nobody alone."""

FAULTS = MappingProxyType(
    {
        Check.STAGES: "is no commit at all for the epoch that it was offered in",
        Check.CONTEXT: "continues another state than the group’s",
        Check.COMMITTER: "was not made by the member whose turn it was",
        Check.CANONICAL: "lists decisions twice or out of order",
        Check.NOTHING_ELSE: "holds changes that no vote can decide",
        Check.NOT_ITSELF: "removes its own maker",
        Check.PATH: "gives its maker another key or identity",
        Check.WELCOME: "does not bring newcomers what they need",
        Check.EXACT: "does something else than was decided",
        Check.FOLLOWS: "tells newcomers something false about the stewards",
        Check.RESYNC: "gives a new seat to somebody who may not have one now",
        Check.UPDATES: "renews other keys than was asked for",
    }
)
"""What is wrong with a commit that breaks a numbered check; the others are nobody's fault."""


def proof_sentence(proof: Proof, who: str, *, is_me: bool = False) -> str:
    """What the signatures of ``who`` show."""
    it = "you" if is_me else "it"
    match proof.payload:
        case DoubleStatement(first=first, second=second):
            said = "acknowledged" if first.kind == StatementKind.ACK else "locked"
            at = f"in epoch {first.epoch}, attempt {first.view + 1}"
            if first.candidate and second.candidate:
                return f"{who} signed that {it} {said} one commit, and that {it} {said} another, {at}."
            return f"{who} signed that {it} {said} a commit, and that {it} {said} none, {at}."
        case DoubleVote(epoch=epoch, first=first_vote):
            return f"{who} signed both yes and no on {_proposal_of(first_vote)}, in epoch {epoch}."
        case FaultyOffer(epoch=epoch, view=view, check=check):
            at = f"in epoch {epoch}, attempt {view + 1}"
            return f"{who} signed a commit that {_fault(check)}, {at} (check {check})."


def _fault(check: str) -> str:
    return FAULTS[Check(check)] if check in set(FAULTS) else "breaks the rules"


def _proposal_of(vote: bytes) -> str:
    try:
        return f"proposal {SignedVote.decode(vote).proposal_id.hex()[:SHORT_ID_DIGITS]}"
    except Malformed:
        return "one proposal"


@dataclass(frozen=True, slots=True)
class Case:
    """What a member could be accused of now. ``emergency``: to be proposed; None: ``sentence`` says why not."""

    emergency: Emergency | None
    sentence: str


def case_against(view: MemberView, proposals: Iterable[ProposalView], scoring: Scoring) -> Case:
    """Its removal if what the own node can prove is enough for that, else the worst that is not yet noted."""
    try:
        emergency = accusing.case_against(view, proposals, scoring)
    except RequestRefused as refusal:
        return Case(None, str(refusal))
    who, worst = called(view.address, view.name), Violation(emergency.violation_type)
    if worst is Violation.SCORE_BELOW_THRESHOLD:
        return Case(emergency, f"What your node can prove is enough to ask for the removal of {who} at once.")
    return Case(
        emergency,
        f"Your node can prove that {who} {VIOLATIONS[worst]}. That is not enough for a removal at once: the members "
        "would only note it, and every node would score it.",
    )


def proven_sentences(view: MemberView) -> list[str]:
    """What the own node can prove against a member, oldest first."""
    who = "You" if view.is_self else called(view.address, view.name)
    newest_last = sorted(view.proven, key=lambda one: one.proof.epoch)
    return [proof_sentence(one.proof, who, is_me=view.is_self) for one in newest_last]
