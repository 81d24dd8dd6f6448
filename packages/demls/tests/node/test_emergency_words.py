"""Do people understand scores, emergencies, the freeze and recovery from what they read?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from demls.api.models import TimelineEntry as Line
from demls.node import cards, present
from demls.node.cards import Known
from demls.node.proofs import FAULTS, case_against, proof_sentence
from demls.node.recovery import recovery_sentence
from demls.node.timeline import Context, entry, rows
from demls.protocol import events
from demls.protocol.checks import RULES, Check, Verdict
from demls.protocol.policy import DAY_POLICY, SCORE_HISTORY_KEPT, SCORING
from demls.protocol.scores import Cause
from demls.protocol.views import GroupStatus, ProposalKind, ProposalStatus, ProposalView, ProvenView, ScoreEntry
from demls.storage.store import TimelineEntry
from demls.wire.ids import Address, Epoch, Instant, ProposalId
from demls.wire.messages import Emergency
from demls.wire.statements import DoubleStatement, DoubleVote, FaultyOffer, Proof, RoundStatement, StatementKind
from demls.wire.violations import Violation
from demls_consensus import Choice, SignedVote
from sights import BOB, CAROL, FRIENDS, ME, NAMES, NOON, PROPOSAL, commit_round, group, member_view, proposal, shown

DANA = Address(b"\x04" * 20)
NOTHING: Known = {}


def statement(candidate: bytes, kind: StatementKind = StatementKind.ACK, view: int = 0) -> RoundStatement:
    return RoundStatement(4, bytes(32), view, candidate, b"", BOB, bytes(64), int(kind))


def signed_vote(choice: Choice) -> bytes:
    return SignedVote(b"\x3f\x2a" + bytes(30), BOB, choice, 1, bytes(64)).encode()


def offer(check: str = "V10", candidate: bytes = b"c" * 32) -> Proof:
    return Proof(FaultyOffer(4, bytes(32), 1, candidate, BOB, bytes(64), check))


ACKS = Proof(DoubleStatement(statement(b"a" * 32), statement(b"b" * 32)))
VOTES = Proof(DoubleVote(4, signed_vote(Choice.YES), signed_vote(Choice.NO)))


@pytest.mark.parametrize(
    ("proof", "sentence"),
    [
        (
            ACKS,
            "Bob signed that it acknowledged one commit, and that it acknowledged another, in epoch 4, attempt 1.",
        ),
        (
            Proof(DoubleStatement(*(statement(one, StatementKind.LOCK, 2) for one in (b"a" * 32, b"")))),
            "Bob signed that it locked a commit, and that it locked none, in epoch 4, attempt 3.",
        ),
        (VOTES, "Bob signed both yes and no on proposal 3f2a0000, in epoch 4."),
        (Proof(DoubleVote(4, b"x", b"y")), "Bob signed both yes and no on one proposal, in epoch 4."),
        (
            offer(),
            "Bob signed a commit that does something else than was decided, in epoch 4, attempt 2 (check V10).",
        ),
        (offer("V99"), "Bob signed a commit that breaks the rules, in epoch 4, attempt 2 (check V99)."),
    ],
)
def test_a_proof_is_said_in_words(proof: Proof, sentence: str) -> None:
    assert proof_sentence(proof, "Bob") == sentence
    assert proof_sentence(ACKS, "You", is_me=True).startswith("You signed that you acknowledged one commit")


def test_every_check_that_costs_somebody_has_words() -> None:
    assert set(FAULTS) == {rule.check for rule in RULES if rule.verdict is Verdict.INVALID} - {Check.KNOWN}


# --- The card -----------------------------------------------------------------------------------------------------


def accused(*proofs: Proof, me: Address = CAROL, **changes: Any) -> Any:
    """The card of an emergency that Alice opened about Bob, as ``me`` sees it."""
    removes = changes.pop("removes", True)
    about = changes.pop("about", Violation.EQUIVOCATION)
    kind = Violation.SCORE_BELOW_THRESHOLD if removes else about
    fields = {
        "kind": ProposalKind.EMERGENCY,
        "violation": about,
        "removes": removes,
        "silence_is_yes": False,
        "my_vote": None,
        "emergency": Emergency(kind, BOB if about is not Violation.DEADLOCK else b"", proofs, ()),
        "is_confirmed": True,
    }
    return cards.proposal(proposal(**{**fields, **changes}), FRIENDS, NAMES.__getitem__, NOTHING, me)


def test_an_emergency_says_who_accuses_whom_and_what_a_vote_means() -> None:
    card = accused(ACKS, VOTES)
    about = card.emergency
    assert (card.title, about.accuser.name, about.accused.name) == (
        "Remove Bob at once: has signed two different things",
        "Alice",
        "Bob",
    )
    assert about.sentence == "Alice accuses Bob: Bob has signed two different things."
    assert len(about.proofs) == 2
    assert about.yes == "Bob goes at once, with a commit that waits for nothing else."
    assert about.no == "Bob stays, and nodes do not ask about the same acts again. Alice loses 50 points."
    assert (about.nodes_vote_at, about.node_votes, about.confirmed) == (NOON + 15_000, True, True)
    assert about.nodes == (
        "You may vote before: from 12:00:15 on, nodes that have confirmed all proofs say yes for people who have not "
        "voted. Yours has confirmed them."
    )


def test_an_emergency_is_told_to_the_accused_the_accuser_and_whoever_cannot_check_it() -> None:
    mine = accused(ACKS, me=BOB).emergency
    assert mine.sentence == "Alice accuses you: you have signed two different things."
    assert mine.proofs[0].startswith("You signed that you acknowledged")
    assert (mine.yes[:11], mine.node_votes) == ("You go at o", False)
    assert mine.nodes.endswith("Yours never does, since it is about you.")
    own = accused(ACKS, me=ME, removes=False).emergency
    assert own.sentence.startswith("You accuse Bob")
    assert (own.yes, own.no) == (
        "It is noted, and every node scores it. Bob stays a member.",
        "Bob stays. You lose 50 points.",
    )
    unseen = accused(ACKS, is_confirmed=False).emergency
    assert not unseen.node_votes
    assert unseen.nodes.endswith("Yours could not confirm them, so it leaves the vote to you.")


def test_an_emergency_that_ended_says_how() -> None:
    noted = accused(ACKS, removes=False, status=ProposalStatus.NOTED, reason="Approved by vote.")
    assert (noted.status, noted.emergency.nodes) == ("noted", "")
    assert noted.result == (
        "Approved by vote. It is noted: Bob stays a member, with a lower score. There is nothing to commit."
    )
    gone = accused(ACKS, status=ProposalStatus.COMMITTED, reason="Approved by vote.", epoch=Epoch(7))
    assert gone.result == "Approved by vote. Bob went with the commit of epoch 7."


def test_a_deadlock_is_about_nobody_alone() -> None:
    stuck = tuple(statement(b"", view=3) for _ in range(3))
    card = accused(
        about=Violation.DEADLOCK, removes=False, emergency=Emergency(Violation.DEADLOCK, b"", (), stuck), subject=ME
    )
    about = card.emergency
    assert about.accused is None
    assert about.sentence == "Alice says that the stewards have not committed for a whole round."
    assert about.proofs == ["3 members signed that no commit came at attempt 4, past the last steward."]
    assert about.yes.startswith("It is noted. Nothing else changes")
    assert about.no == "It is not noted, and Alice loses 50 points."


# --- What somebody can be accused of --------------------------------------------------------------------------------


def proven(proof: Proof, violation: Violation = Violation.EQUIVOCATION) -> ProvenView:
    return ProvenView(proof, violation)


def asked(*proofs: Proof, about: Violation, status: ProposalStatus = ProposalStatus.NOTED) -> ProposalView:
    emergency = Emergency(about, BOB, proofs, ())
    removes = about is Violation.SCORE_BELOW_THRESHOLD
    return proposal(kind=ProposalKind.EMERGENCY, emergency=emergency, status=status, violation=about, removes=removes)


BROKEN = proven(offer("V01"), Violation.BROKEN_COMMIT)
OTHER = proven(offer("V10", b"d" * 32), Violation.BROKEN_MLS_PROPOSAL)


def test_without_a_proof_nobody_can_be_accused() -> None:
    case = case_against(member_view(score=-40), (), SCORING)
    assert case.emergency is None
    assert case.sentence.startswith("Your node has no proof that Bob broke a rule")
    assert case.sentence.endswith("propose the removal.")
    assert "cannot accuse yourself" in case_against(member_view(is_self=True), (), SCORING).sentence


def test_what_is_enough_for_a_removal_asks_for_one() -> None:
    view = member_view(proven=(proven(ACKS),), case=(ACKS,))
    case = case_against(view, (), SCORING)
    assert case.emergency == Emergency(Violation.SCORE_BELOW_THRESHOLD, BOB, (ACKS,), ())
    assert "enough to ask for the removal of Bob at once" in case.sentence
    going = asked(ACKS, about=Violation.SCORE_BELOW_THRESHOLD, status=ProposalStatus.OPEN)
    decided = case_against(view, (going,), SCORING)
    assert (decided.emergency, "being decided already" in decided.sentence) == (None, True)


def test_else_the_worst_that_is_not_noted_yet_can_be_noted() -> None:
    view = member_view(proven=(BROKEN, OTHER))
    first = case_against(view, (), SCORING)
    assert first.emergency == Emergency(Violation.BROKEN_COMMIT, BOB, (BROKEN.proof,), ())
    assert "has offered a broken commit" in first.sentence
    noted = asked(BROKEN.proof, about=Violation.BROKEN_COMMIT)
    second = case_against(view, (noted,), SCORING)
    assert second.emergency == Emergency(Violation.BROKEN_MLS_PROPOSAL, BOB, (OTHER.proof,), ())
    being = asked(OTHER.proof, about=Violation.BROKEN_MLS_PROPOSAL, status=ProposalStatus.OPEN)
    third = case_against(view, (noted, being), SCORING)
    assert third.emergency is None
    assert "have decided, or are deciding, on all" in third.sentence
    rejected = replace(being, status=ProposalStatus.REJECTED)
    assert case_against(view, (noted, rejected), SCORING).emergency == second.emergency


def test_a_member_carries_what_can_be_proven_and_how_its_score_went() -> None:
    moves = (ScoreEntry(Epoch(4), Cause.BROKEN_COMMIT.value, -50), ScoreEntry(Epoch(5), Cause.COMMITTED.value, 10))
    view = member_view(*moves, score=62, proven=(BROKEN,))
    (member,) = present.members([view], None, SCORING)
    assert [move.after for move in member.score_history] == [50, 60]
    assert (member.accusation, len(member.proofs)) == ("note", 1)
    assert member.proofs[0].startswith("Bob signed a commit that is no commit at all")
    (removable,) = present.members([replace(view, case=(BROKEN.proof,))], None, SCORING)
    assert removable.accusation == "remove"
    (clean,) = present.members([member_view()], None, SCORING)
    assert (clean.accusation, clean.accusation_sentence, clean.proofs) == ("", "", [])
    long = tuple(ScoreEntry(Epoch(number), Cause.LOST_TURN.value, -1) for number in range(SCORE_HISTORY_KEPT))
    (old,) = present.members([member_view(*long, score=40)], None, SCORING)
    assert (old.score_history[0].after, old.score_history[-1].after) == (71, 40)


# --- The freeze -----------------------------------------------------------------------------------------------------


def held(owner: Address = ME, **changes: Any) -> ProposalView:
    return proposal(**{"owner": owner, "voters": 0, "yes": 0, "silent": 0, "my_vote": None, **changes})


def test_what_waits_is_shown_as_waiting() -> None:
    other = held(BOB, kind=ProposalKind.INVITE, subject=CAROL, subject_name="Carol", proposal_id=ProposalId(b"q" * 32))
    mine = held()
    seen = shown(frozen_until=Instant(NOON + 600_000), held=2, waiting=(other, mine))
    assert seen.frozen.endswith("Chat, open votes and leaving go on. 2 proposals wait so far, 1 of them yours.")
    assert [(one.title, one.is_mine) for one in seen.waiting] == [("Admit Carol", False), ("Remove Bob", True)]
    assert seen.waiting[0].sentence == (
        "Bob proposes it; it waits for the emergency to be decided, and is opened then by itself."
    )
    assert seen.waiting[1].sentence.startswith("You propose it;")
    assert present.summary(seen, None).frozen
    alone = shown(frozen_until=Instant(NOON), held=1, waiting=(mine,))
    assert alone.frozen.endswith("1 proposal waits so far, yours.")
    later = shown(held=1, waiting=(held(kind=ProposalKind.EMERGENCY, violation=Violation.EQUIVOCATION),))
    assert "waits for the commit that is due" in later.waiting[0].sentence
    assert not later.frozen
    assert not present.summary(later, None).frozen


def told(event: events.Event, view: ProposalView, **known: Any) -> list[Line]:
    context = Context(ME, NAMES.__getitem__, {PROPOSAL: view}, **{"now": group(), "before": group(), **known})
    made = rows("scope", [event], context, Instant(5))
    return [entry(TimelineEntry(1, row.scope, row.at, row.kind, row.body)) for row in made]


def test_the_end_of_a_freeze_says_whether_something_waited() -> None:
    (line,) = told(events.Frozen(False, Instant(NOON)), proposal(), before=group(held=1))
    assert line.text == "The emergency is over; what has waited is opened now."
    waiting = held(kind=ProposalKind.EMERGENCY, violation=Violation.EQUIVOCATION)
    (own,) = told(events.ProposalHeld(PROPOSAL), proposal(), now=group(waiting=(waiting,)))
    assert own.text == "Your emergency waits until the commit that is due is made; it is opened then, by itself."


def test_own_points_lost_by_accusing_are_told_and_other_moves_are_not() -> None:
    (line,) = told(events.ScoreChanged(ME, 100, 50, Cause.REJECTED.value), proposal())
    assert (line.kind, line.text) == (
        "quiet",
        "Your score has fallen from 100 to 50: the members said no to what you accused somebody of.",
    )
    assert told(events.ScoreChanged(BOB, 100, 50, Cause.REJECTED.value), proposal()) == []
    assert told(events.ScoreChanged(ME, 90, 100, Cause.COMMITTED.value), proposal()) == []


# --- Recovery -------------------------------------------------------------------------------------------------------


def election(status: ProposalStatus = ProposalStatus.OPEN, retry_round: int = 0, epoch: int = 5) -> ProposalView:
    return proposal(
        kind=ProposalKind.ELECTION, status=status, retry_round=retry_round, opened_in=Epoch(epoch), stewards=(BOB,)
    )


TRIES = DAY_POLICY.reelections_max
LED_BY_DANA = commit_round(view=2, leader=DANA, leader_is_steward=False, passed=(BOB, CAROL))
STEWARDS = {"stewards": (BOB, CAROL), "epoch_steward": BOB, "backup_steward": CAROL, "first_leader": BOB}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, ""),
        ({"round": commit_round(view=0, leader=BOB)}, ""),
        (
            {"round": commit_round(view=1, leader=CAROL, passed=(BOB,))},
            "Bob has not committed; Carol, the backup steward, does it instead.",
        ),
        (
            {"stewards": (BOB, CAROL, ME), "round": commit_round(view=2, leader=ME, passed=(BOB, CAROL))},
            "Bob and Carol have not committed; Alice, the next steward, does it instead.",
        ),
        ({"round": LED_BY_DANA}, "The stewards are silent; Dana, a member, commits in their place."),
        (
            {"round": LED_BY_DANA, "proposals": (election(),)},
            "The stewards are silent; Dana, a member, commits in their place; the nodes are electing new ones.",
        ),
        ({"proposals": (election(),)}, "The nodes are electing new stewards."),
        (
            {"proposals": (election(retry_round=1), election(ProposalStatus.REJECTED))},
            "The nodes are electing new stewards (round 2).",
        ),
        (
            {"proposals": (election(ProposalStatus.APPROVED),)},
            "New stewards are elected, and serve from the next commit on.",
        ),
        ({"proposals": (election(ProposalStatus.COMMITTED),)}, ""),
        (
            {"proposals": (election(ProposalStatus.REJECTED, TRIES),)},
            "3 elections of new stewards came to nothing; the list goes round, and the next epoch brings another try.",
        ),
        ({"proposals": (election(ProposalStatus.REJECTED, TRIES, epoch=4),)}, ""),
        (
            {"first_leader": DANA},
            "The stewards have let their turns pass; Dana, a member, makes the next commit.",
        ),
        (
            {"first_leader": DANA, "proposals": (election(),)},
            "The stewards have let their turns pass; Dana, a member, makes the next commit; "
            "the nodes are electing new ones.",
        ),
        (
            {"round": commit_round(view=2, leader=DANA, passed=(BOB, CAROL), missing=(BOB, CAROL), short=1)},
            "Too few members are heard to make a commit, waiting for 1 of: Bob, Carol.",
        ),
        (
            {"round": commit_round(view=3, leader=BOB, passed=(BOB, CAROL, DANA))},
            "Nobody whose turn came has made the commit so far; it is the turn of Bob.",
        ),
        ({"round": commit_round(view=1, leader=None)}, ""),
        ({"round": LED_BY_DANA, "is_halted": True}, ""),
        ({"round": LED_BY_DANA, "status": GroupStatus.LEFT}, ""),
    ],
)
def test_recovery_is_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    names = {**NAMES, CAROL: "Carol", DANA: "Dana"}
    view = group(**{**STEWARDS, **changes})
    assert recovery_sentence(view, names.__getitem__) == sentence


def test_a_deadlock_can_be_noted_past_the_last_steward_once() -> None:
    stuck = group(**{**STEWARDS, "round": LED_BY_DANA})
    assert present.is_deadlocked(stuck)
    assert not present.is_deadlocked(group(**{**STEWARDS, "round": commit_round(view=1, leader=CAROL, passed=(BOB,))}))
    noted = proposal(kind=ProposalKind.EMERGENCY, violation=Violation.DEADLOCK)
    assert not present.is_deadlocked(replace(stuck, proposals=(noted,)))
