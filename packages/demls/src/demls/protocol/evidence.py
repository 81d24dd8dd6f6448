"""Does this prove that a member broke a rule? Proofs that every member can check alone.

Signed messages prove what their signer did; silence proves nothing against a network that may drop packets, so no
proof of it exists. A faulty candidate is confirmed by whoever has judged its bytes itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from demls_consensus import Malformed, SignedVote

from demls.protocol import policy as bounds
from demls.protocol.checks import Check
from demls.protocol.commit_round import OFFER_LABEL, ROUND_LABEL
from demls.protocol.electorates import VOTE_LABEL
from demls.protocol.engine import Engine
from demls.protocol.records import Ledger
from demls.wire.charters import Scoring
from demls.wire.framing import digest
from demls.wire.ids import Address, CandidateId, GroupId, LeafKey
from demls.wire.messages import encode_message
from demls.wire.statements import DoubleStatement, DoubleVote, FaultyOffer, Proof
from demls.wire.violations import Violation


class Standing(Enum):
    PROVEN = "proven"
    UNKNOWN = "unknown"
    """Not to be told here: the own node never judged the candidate, or does not know the keys of that epoch."""
    FALSE = "false"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a proof comes to; ``violation``: what it proves."""

    standing: Standing
    member: Address | None = None
    violation: Violation = Violation.EQUIVOCATION


_FALSE, _UNKNOWN = Finding(Standing.FALSE), Finding(Standing.UNKNOWN)

_BROKEN_COMMIT = (Check.STAGES, Check.CONTEXT, Check.COMMITTER)
_BROKEN_PROPOSAL = (Check.NOTHING_ELSE, Check.EXACT, Check.UPDATES)


def violation_of(check: str) -> Violation:
    """Under which entry of the violation list a faulty candidate falls (LIP-104 §Steward violation list)."""
    if check in _BROKEN_COMMIT:
        return Violation.BROKEN_COMMIT
    return Violation.BROKEN_MLS_PROPOSAL if check in _BROKEN_PROPOSAL else Violation.MISBEHAVING_COMMIT


def weight(violation: Violation, scoring: Scoring) -> int:
    """How many points a proven violation costs."""
    match violation:
        case Violation.BROKEN_COMMIT:
            return scoring.broken_commit
        case Violation.BROKEN_MLS_PROPOSAL:
            return scoring.broken_proposal
        case Violation.EQUIVOCATION:
            return scoring.equivocation
        case _:
            return scoring.misbehaving


def proof_id(proof: Proof) -> bytes:
    """Names what is proven, so that one act counts once, however often it is shown: 32 bytes."""
    match proof.payload:
        case DoubleStatement(first=first):
            return digest(b"demls act 1", b"statement", first.head, first.view, first.kind, first.member)
        case DoubleVote(first=first):
            try:
                vote = SignedVote.decode(first)
            except Malformed:
                return digest(b"demls act 1", b"nothing", encode_message(proof))
            return digest(b"demls act 1", b"vote", vote.proposal_id, vote.voter)
        case FaultyOffer(candidate=candidate, leader=leader):
            return digest(b"demls act 1", b"offer", candidate, leader)


class Court:
    """Checks the proofs of one group, and remembers which candidates the own node has found faulty."""

    def __init__(
        self,
        ledger: Ledger,
        engine: Engine,
        group_id: GroupId,
        key_of: Callable[[bytes, int], LeafKey | None],
        is_known: Callable[[int], bool],
    ) -> None:
        """``key_of(member, epoch)``: with which key it signed; ``is_known(epoch)``: are that epoch's keys known?"""
        self._ledger = ledger
        self._engine = engine
        self._group_id = group_id
        self._key_of = key_of
        self._is_known = is_known
        self._judged: dict[bytes, str] = dict(ledger.under(b"judged/", str))
        self._proven: dict[Proof, Finding] = {}
        self.changes = 0
        """How often something was judged, to notice that proofs may be confirmed now."""

    def judged(self, head: bytes, candidate: CandidateId, check: str) -> None:
        """The own node has found this candidate faulty in the state ``head``.

        Of that state alone: any candidate is faulty after its epoch, and who offered it in time is not to blame.
        """
        self.changes += 1
        self._judged[head + candidate] = check
        self._ledger.put(b"judged/" + head + candidate, check)
        while len(self._judged) > bounds.JUDGED_KEPT:
            oldest = next(iter(self._judged))
            del self._judged[oldest]
            self._ledger.delete(b"judged/" + oldest)

    def find(self, proof: Proof) -> Finding:
        """Never raises; O(1). What has been proven stays so, and is not verified again."""
        known = self._proven.get(proof)
        if known is not None:
            return known
        finding = self._examine(proof)
        if finding.standing is Standing.PROVEN:
            self._proven[proof] = finding
            if len(self._proven) > bounds.JUDGED_KEPT:
                del self._proven[next(iter(self._proven))]
        return finding

    def _examine(self, proof: Proof) -> Finding:
        match proof.payload:
            case DoubleStatement() as double:
                return self._double_statement(double)
            case DoubleVote() as votes:
                return self._double_vote(votes)
            case FaultyOffer() as offer:
                return self._faulty_offer(offer)

    def _fault_of_signature(
        self, member: bytes, epoch: int, label: str, content: bytes, signature: bytes
    ) -> Finding | None:
        """None if it is the member's. With another key than those known here it may have signed in an unknown epoch."""
        key = self._key_of(member, epoch)
        if key is not None and self._engine.verify(key, label, content, signature):
            return None
        return _FALSE if self._is_known(epoch) else _UNKNOWN

    def _double_statement(self, double: DoubleStatement) -> Finding:
        first, second = double.first, double.second
        place = (first.epoch, first.head, first.view, first.kind, first.member)
        if place != (second.epoch, second.head, second.view, second.kind, second.member):
            return _FALSE
        if first.candidate == second.candidate:
            return _FALSE  # repeated, or with other choices: what it is about is one and the same
        for statement in (first, second):
            content = statement.content(self._group_id)
            wrong = self._fault_of_signature(
                statement.member, statement.epoch, ROUND_LABEL, content, statement.signature
            )
            if wrong is not None:
                return wrong
        return Finding(Standing.PROVEN, Address(first.member))

    def _double_vote(self, votes: DoubleVote) -> Finding:
        try:
            first, second = SignedVote.decode(votes.first), SignedVote.decode(votes.second)
        except Malformed:
            return _FALSE
        if (first.proposal_id, first.voter) != (second.proposal_id, second.voter) or first.choice is second.choice:
            return _FALSE
        for vote in (first, second):
            wrong = self._fault_of_signature(vote.voter, votes.epoch, VOTE_LABEL, vote.content, vote.signature)
            if wrong is not None:
                return wrong
        return Finding(Standing.PROVEN, Address(first.voter))

    def _faulty_offer(self, offer: FaultyOffer) -> Finding:
        content = offer.content(self._group_id)
        wrong = self._fault_of_signature(offer.leader, offer.epoch, OFFER_LABEL, content, offer.signature)
        if wrong is not None:
            return wrong
        check = self._judged.get(offer.head + offer.candidate)
        if check is None:
            return _UNKNOWN
        if check != offer.check:
            return _FALSE
        return Finding(Standing.PROVEN, Address(offer.leader), violation_of(check))
