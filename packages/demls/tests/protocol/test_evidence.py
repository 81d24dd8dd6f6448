"""Does a proof prove what it says, and nothing about anybody else?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from council import ENGINE, GROUP, KEYS, RETURNED, address
from demls.protocol import policy as bounds
from demls.protocol.checks import RULES, Check, Verdict
from demls.protocol.commit_round import OFFER_LABEL, ROUND_LABEL
from demls.protocol.electorates import VOTE_LABEL
from demls.protocol.evidence import Court, Finding, Standing, proof_id, violation_of, weight
from demls.protocol.policy import SCORING
from demls.protocol.records import Ledger
from demls.wire.codec import WireError
from demls.wire.ids import CandidateId, GroupId, LeafKey
from demls.wire.messages import decode_message, encode_message
from demls.wire.statements import DoubleStatement, DoubleVote, FaultyOffer, Proof, RoundStatement, StatementKind
from demls.wire.violations import Violation
from demls_consensus import Choice, SignedVote
from hypothesis import given
from hypothesis import strategies as st

HEAD, OTHER_HEAD = b"h" * 32, b"i" * 32
X, Y = b"x" * 32, b"y" * 32
KNOWN_EPOCHS = (2, 3)
"""In epoch 3 the members have come back with other keys."""


def key_of(member: bytes, epoch: int) -> LeafKey | None:
    """As a group answers: of an epoch that it does not know, the key that the member has now."""
    number = member[0] - 1
    keys = KEYS if epoch == 2 else RETURNED
    return LeafKey(keys[number].public) if 0 <= number < len(keys) else None


def court(ledger: Ledger | None = None, group: GroupId = GROUP) -> Court:
    return Court(ledger or Ledger(), ENGINE, group, key_of, lambda epoch: epoch in KNOWN_EPOCHS)


def statement(
    number: int, candidate: bytes, *, keys: Any = KEYS, group: bytes = GROUP, **fields: Any
) -> RoundStatement:
    values: dict[str, Any] = {
        "epoch": 2,
        "head": HEAD,
        "view": 0,
        "candidate": candidate,
        "choices": b"",
        "member": address(number),
        "signature": bytes(64),
        "kind": int(StatementKind.ACK),
    }
    unsigned = RoundStatement(**(values | fields))
    signature = ENGINE.sign(keys[number].private, ROUND_LABEL, unsigned.content(group))
    return replace(unsigned, signature=signature)


def vote(number: int, choice: Choice, *, proposal: bytes = X, time: int = 5, keys: Any = KEYS) -> bytes:
    def sign(content: bytes) -> bytes:
        return ENGINE.sign(keys[number].private, VOTE_LABEL, content)

    return SignedVote.cast(proposal, address(number), choice, time, sign).encode()


def offer(number: int, candidate: bytes = X, *, keys: Any = KEYS, group: bytes = GROUP, **fields: Any) -> FaultyOffer:
    values: dict[str, Any] = {
        "epoch": 2,
        "head": HEAD,
        "view": 0,
        "candidate": candidate,
        "leader": address(number),
        "signature": bytes(64),
        "check": Check.EXACT.value,
    }
    unsigned = FaultyOffer(**(values | fields))
    return replace(unsigned, signature=ENGINE.sign(keys[number].private, OFFER_LABEL, unsigned.content(group)))


STATEMENTS = DoubleStatement(statement(1, X), statement(1, Y))
VOTES = DoubleVote(2, vote(1, Choice.YES), vote(1, Choice.NO))

PROVEN: dict[str, DoubleStatement | DoubleVote] = {
    "two acks in one view": STATEMENTS,
    "the same the other way round": DoubleStatement(STATEMENTS.second, STATEMENTS.first),
    "an ack and a nil ack": DoubleStatement(statement(1, X), statement(1, b"")),
    "two locks in one view": DoubleStatement(statement(1, X, kind=2), statement(1, Y, kind=2)),
    "two acks under the keys of a later epoch": DoubleStatement(
        statement(1, X, keys=RETURNED, epoch=3), statement(1, Y, keys=RETURNED, epoch=3)
    ),
    "a yes and a no": VOTES,
    "a no and a yes": DoubleVote(2, VOTES.second, VOTES.first),
    "a yes and a later no": DoubleVote(2, VOTES.first, vote(1, Choice.NO, time=99)),
}

FALSE: dict[str, DoubleStatement | DoubleVote] = {
    "one statement, shown twice": replace(STATEMENTS, second=STATEMENTS.first),
    "one statement that was repeated with other choices": replace(STATEMENTS, second=statement(1, X, choices=b"\1")),
    "acks of two views": replace(STATEMENTS, second=statement(1, Y, view=1)),
    "acks of two states": replace(STATEMENTS, second=statement(1, Y, head=OTHER_HEAD)),
    "acks of two epochs": replace(STATEMENTS, second=statement(1, Y, epoch=3, keys=RETURNED)),
    "an ack and a lock": replace(STATEMENTS, second=statement(1, Y, kind=2)),
    "acks of two members": replace(STATEMENTS, second=statement(2, Y)),
    "a second ack under another's name": replace(STATEMENTS, second=replace(statement(2, Y), member=address(1))),
    "a second ack with the first one's signature": replace(
        STATEMENTS, second=replace(STATEMENTS.second, signature=STATEMENTS.first.signature)
    ),
    "acks in another group": DoubleStatement(statement(1, X, group=b"G" * 32), statement(1, Y, group=b"G" * 32)),
    "acks under keys of another epoch": DoubleStatement(statement(1, X, keys=RETURNED), statement(1, Y, keys=RETURNED)),
    "acks of nobody known": DoubleStatement(
        replace(STATEMENTS.first, member=b"n" * 20), replace(STATEMENTS.second, member=b"n" * 20)
    ),
    "one vote, shown twice": replace(VOTES, second=VOTES.first),
    "two votes of one choice": replace(VOTES, second=vote(1, Choice.YES, time=6)),
    "votes on two proposals": replace(VOTES, second=vote(1, Choice.NO, proposal=Y)),
    "votes of two members": replace(VOTES, second=vote(2, Choice.NO)),
    "a no that another signed": replace(
        VOTES, second=replace(SignedVote.decode(vote(2, Choice.NO)), voter=address(1)).encode()
    ),
    "votes under keys of another epoch": replace(VOTES, epoch=3),
    "bytes that are no votes": DoubleVote(2, b"yes", b"no"),
}


@pytest.mark.parametrize("case", PROVEN)
def test_two_different_things_signed_by_one_member_are_proven(case: str) -> None:
    expected = Finding(Standing.PROVEN, address(1), Violation.EQUIVOCATION)
    assert court().find(Proof(PROVEN[case])) == expected


@pytest.mark.parametrize("case", FALSE)
def test_nothing_is_proven_by(case: str) -> None:
    assert court().find(Proof(FALSE[case])) == Finding(Standing.FALSE)


@pytest.mark.parametrize("case", ["a yes and a no", "two acks in one view"])
def test_a_proof_from_an_epoch_whose_keys_are_not_known_is_not_called_forged(case: str) -> None:
    """A joiner has only the newest electorates, and whoever left and came back has another key now."""
    newcomers = Court(Ledger(), ENGINE, GROUP, lambda member, _: key_of(member, 3), lambda epoch: epoch == 3)
    assert newcomers.find(Proof(PROVEN[case])).standing is Standing.UNKNOWN


def test_a_proof_under_the_key_that_the_member_still_has_is_judged_in_any_epoch() -> None:
    newcomers = Court(Ledger(), ENGINE, GROUP, lambda member, _: key_of(member, 2), lambda epoch: epoch == 9)
    assert newcomers.find(Proof(STATEMENTS)).standing is Standing.PROVEN


# --- Candidates ---------------------------------------------------------------------------------------------------


def judged(check: Check = Check.EXACT, head: bytes = HEAD, candidate: bytes = X) -> Court:
    made = court()
    made.judged(head, CandidateId(candidate), check.value)
    return made


def test_a_faulty_candidate_is_proven_where_it_was_judged() -> None:
    assert judged().find(Proof(offer(1))) == Finding(Standing.PROVEN, address(1), Violation.BROKEN_MLS_PROPOSAL)


def test_a_candidate_that_was_not_judged_here_is_unknown() -> None:
    assert court().find(Proof(offer(1))) == Finding(Standing.UNKNOWN)
    assert judged(candidate=Y).find(Proof(offer(1))) == Finding(Standing.UNKNOWN)


FALSE_OFFERS: dict[str, Callable[[], FaultyOffer]] = {
    "that another signed": lambda: replace(offer(2), leader=address(1)),
    "in another group": lambda: offer(1, group=b"G" * 32),
    "under the key of another epoch": lambda: offer(1, keys=RETURNED),
    "of another view than was signed": lambda: replace(offer(1), view=1),
    "of another candidate than was signed": lambda: replace(offer(1, Y), candidate=X),
    "for another fault than it has": lambda: offer(1, check=Check.STAGES.value),
    "by nobody known": lambda: replace(offer(1), leader=b"n" * 20),
}


@pytest.mark.parametrize("case", FALSE_OFFERS)
def test_nothing_is_proven_by_an_offer(case: str) -> None:
    assert judged().find(Proof(FALSE_OFFERS[case]())) == Finding(Standing.FALSE)


def test_a_sound_offer_is_not_made_faulty_by_saying_it_again_in_a_later_state() -> None:
    """Every candidate fails once its state is over; who said it again is to blame for that, not who made it."""
    later = judged(Check.STAGES, head=OTHER_HEAD)
    assert later.find(Proof(offer(1, check=Check.STAGES.value))).standing is Standing.UNKNOWN
    again = offer(2, head=OTHER_HEAD, epoch=3, keys=RETURNED, check=Check.STAGES.value)
    assert later.find(Proof(again)).member == address(2)


def test_a_bounded_number_of_faulty_candidates_is_remembered_and_survives_a_restart() -> None:
    ledger = Ledger()
    made = court(ledger)
    for number in range(bounds.JUDGED_KEPT + 5):
        made.judged(HEAD, CandidateId(number.to_bytes(32, "big")), Check.EXACT.value)
    assert len(list(ledger.under(b"judged/", str))) == bounds.JUDGED_KEPT
    newest = Proof(offer(1, (bounds.JUDGED_KEPT + 4).to_bytes(32, "big")))
    oldest = Proof(offer(1, bytes(32)))
    for one in (made, court(Ledger(ledger.snapshot()))):
        assert one.find(newest).standing is Standing.PROVEN
        assert one.find(oldest).standing is Standing.UNKNOWN


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.verdict is Verdict.INVALID], ids=lambda r: r.check)
def test_every_fault_of_structure_has_a_violation_and_a_price(rule: Any) -> None:
    violation = violation_of(rule.check)
    assert violation in (Violation.BROKEN_COMMIT, Violation.BROKEN_MLS_PROPOSAL, Violation.MISBEHAVING_COMMIT)
    assert weight(violation, SCORING) > 0
    assert judged(rule.check).find(Proof(offer(1, check=rule.check.value))).violation is violation


# --- One act ------------------------------------------------------------------------------------------------------

SAME_ACT = {
    "a double vote": [name for name in PROVEN if "yes" in name],
    "a double ack": ["two acks in one view", "the same the other way round", "an ack and a nil ack"],
}


@pytest.mark.parametrize("case", SAME_ACT)
def test_one_act_has_one_name_in_whichever_form_it_is_shown(case: str) -> None:
    assert len({proof_id(Proof(PROVEN[form])) for form in SAME_ACT[case]}) == 1


def test_one_faulty_candidate_of_a_leader_is_one_act_in_however_many_views() -> None:
    assert proof_id(Proof(offer(1))) == proof_id(Proof(offer(1, view=4, check=Check.STAGES.value)))


def test_different_acts_have_different_names() -> None:
    acts = [
        *(PROVEN[name] for name in ("a yes and a no", "two acks in one view", "two locks in one view")),
        DoubleStatement(statement(1, X, view=1), statement(1, Y, view=1)),
        DoubleStatement(statement(2, X), statement(2, Y)),
        DoubleVote(2, vote(1, Choice.YES, proposal=Y), vote(1, Choice.NO, proposal=Y)),
        DoubleVote(2, vote(2, Choice.YES), vote(2, Choice.NO)),
        offer(1),
        offer(1, Y),
        offer(2),
    ]
    assert len({proof_id(Proof(act)) for act in acts}) == len(acts)


def test_a_proof_says_when() -> None:
    assert [Proof(act).epoch for act in (STATEMENTS, VOTES, offer(1, epoch=3))] == [2, 2, 3]


@given(st.sampled_from([*PROVEN, "offer"]), st.integers(0, 10_000), st.integers(0, 7))
def test_a_proof_with_one_bit_changed_proves_nothing_new(case: str, place: int, bit: int) -> None:
    """It either cannot be read, or proves nothing, or proves the same of the same member."""
    act = PROVEN.get(case) or offer(1)
    raw = bytearray(encode_message(Proof(act)))
    raw[place % len(raw)] ^= 1 << bit
    try:
        changed = decode_message(bytes(raw), Proof)
    except WireError:
        return
    finding = judged().find(changed)
    assert finding.standing is not Standing.PROVEN or finding.member == address(1)
    if finding.standing is Standing.PROVEN and changed != Proof(act):
        assert proof_id(changed) == proof_id(Proof(act)), "one act became two"
