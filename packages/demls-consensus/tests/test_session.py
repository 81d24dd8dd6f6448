"""How does the vote on one proposal stand, and which signed votes prove it?"""

import dataclasses
import random
from typing import Any

import pytest
from demls_consensus import (
    Accepted,
    Ballot,
    Choice,
    Equivocation,
    Kept,
    Reason,
    Refused,
    Session,
    Share,
    SignedVote,
    Silence,
    Verdict,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def standing(session: Session) -> tuple[object, ...]:
    tally = session.tally
    deadline_ms = session.ballot.deadline_ms
    return (
        tally.yes,
        tally.no,
        tally.equivocators,
        session.verdict(deadline_ms - 1),
        session.verdict(deadline_ms),
        list(session.votes()),
        session.certificate(),
        session.evidence(),
    )


def test_a_vote_is_taken_as_object_or_as_bytes(kit: Any) -> None:
    session = Session(kit.ballot(4))
    assert session.receive(kit.vote(0), kit.scheme()) == Accepted(kit.vote(0), Kept.NEW)
    assert session.receive(kit.vote(1).encode(), kit.scheme()) == Accepted(kit.vote(1), Kept.NEW)
    assert session.tally.yes == 2


def test_what_is_refused_changes_nothing(kit: Any) -> None:
    session = Session(kit.ballot(4))
    forged = dataclasses.replace(kit.vote(1), signature=b"forged")
    cases: list[tuple[SignedVote | bytes, Reason]] = [
        (b"", Reason.MALFORMED),
        (kit.vote(1).encode() + b"\x00", Reason.MALFORMED),
        (kit.vote(1, proposal=b"\x06" * 32), Reason.WRONG_PROPOSAL),
        (kit.vote(4), Reason.NOT_A_VOTER),
        (forged, Reason.BAD_SIGNATURE),
        (dataclasses.replace(kit.vote(1), time_ms=8), Reason.BAD_SIGNATURE),
        (dataclasses.replace(kit.vote(1), voter=kit.voter(2)), Reason.BAD_SIGNATURE),
        (dataclasses.replace(kit.vote(1), choice=Choice.NO), Reason.BAD_SIGNATURE),
    ]
    empty = standing(session)
    for vote, reason in cases:
        assert session.receive(vote, kit.scheme()) == Refused(reason)
        assert standing(session) == empty


def test_a_repeated_vote_costs_no_signature_check(kit: Any) -> None:
    session, scheme = Session(kit.ballot(4)), kit.scheme()
    for time_ms in (7, 7, 8):
        result = session.receive(kit.vote(0, time_ms=time_ms), scheme)
    assert isinstance(result, Accepted)
    assert result.kept is Kept.REPEATED
    assert scheme.checked == 1
    assert session.signed(kit.voter(0), Choice.YES) == kit.vote(0).encode()


def test_both_signed_votes_of_an_equivocator_are_kept_and_reported_once(kit: Any) -> None:
    session = Session(kit.ballot(4))
    session.receive(kit.vote(2, Choice.NO), kit.scheme())
    result = session.receive(kit.vote(2), kit.scheme())
    evidence = Equivocation(kit.vote(2), kit.vote(2, Choice.NO))
    assert result == Accepted(kit.vote(2), Kept.EQUIVOCATION, evidence)
    assert evidence.verify(kit.key(2), kit.scheme())
    assert session.evidence() == [evidence]
    repeated = session.receive(kit.vote(2, Choice.NO), kit.scheme())
    assert repeated == Accepted(kit.vote(2, Choice.NO), Kept.REPEATED)
    assert (session.tally.yes, session.tally.no) == (1, 0)


def test_the_deadline_is_a_duration_from_receipt(kit: Any) -> None:
    session = Session(kit.ballot(4, opened_at_ms=1_000, duration_ms=500))
    assert session.verdict(1_499) is Verdict.PENDING
    assert session.verdict(1_500) is Verdict.YES_BY_SILENCE


@pytest.mark.parametrize(
    ("n", "silence", "verdict"),
    [
        (2, Silence.COUNTS_AS_YES, Verdict.NO_BY_SILENCE),
        (3, Silence.COUNTS_AS_YES, Verdict.YES_BY_SILENCE),
        (3, Silence.COUNTS_FOR_NOTHING, Verdict.NO_BY_SILENCE),
    ],
)
def test_silence_means_what_the_ballot_says(kit: Any, n: int, silence: Silence, verdict: Verdict) -> None:
    session = Session(kit.ballot(n, silence=silence))
    assert session.verdict(session.ballot.deadline_ms) is verdict
    assert session.certificate() is None


def test_late_votes_count_and_a_late_quorum_is_final(kit: Any) -> None:
    session = Session(kit.ballot(4, silence=Silence.COUNTS_FOR_NOTHING))
    assert session.verdict(10_000) is Verdict.NO_BY_SILENCE
    session.receive_batch([kit.vote(index, time_ms=9_000) for index in range(3)], kit.scheme())
    assert session.verdict(10_000) is Verdict.YES_BY_VOTES
    certificate = session.certificate()
    assert certificate is not None
    assert certificate.verify(session.ballot.electorate, kit.scheme())


def test_a_batch_is_one_batch_and_answers_in_order(kit: Any) -> None:
    session, scheme = Session(kit.ballot(4)), kit.scheme()
    forged = dataclasses.replace(kit.vote(1), signature=b"forged")
    results = session.receive_batch(
        [forged, kit.vote(1), b"garbage", kit.vote(1), kit.vote(9), kit.vote(1, Choice.NO)], scheme
    )
    assert [result.kept if isinstance(result, Accepted) else result.reason for result in results] == [
        Reason.BAD_SIGNATURE,
        Kept.NEW,
        Reason.MALFORMED,
        Kept.REPEATED,
        Reason.NOT_A_VOTER,
        Kept.EQUIVOCATION,
    ]
    assert scheme.batches == 1


calls_of = st.integers(1, 7).flatmap(
    lambda n: st.tuples(
        st.just(n), st.lists(st.tuples(st.integers(0, n), st.sampled_from(list(Choice))), max_size=2 * n)
    )
)


@given(calls_of, st.randoms(), st.booleans(), st.sampled_from(list(Share)))
@settings(deadline=None, max_examples=60)
def test_order_repetition_and_batching_never_matter(
    kit: Any, drawn: tuple[int, list[tuple[int, Choice]]], shuffler: random.Random, in_batch: bool, share: Share
) -> None:
    n, calls = drawn
    votes = [kit.vote(index, choice) for index, choice in calls]
    one, other = Session(kit.ballot(n, share=share)), Session(kit.ballot(n, share=share))
    for vote in votes:
        one.receive(vote, kit.scheme())
    again = votes + votes[::2]
    shuffler.shuffle(again)
    if in_batch:
        other.receive_batch(again, kit.scheme())
    else:
        for vote in again:
            other.receive(vote.encode(), kit.scheme())
    assert standing(one) == standing(other)
    restored = Session.replay(kit.ballot(n, share=share), reversed(list(one.votes())))
    assert standing(restored) == standing(one)
    certificate = one.certificate()
    assert (certificate is not None) is (one.verdict(0) is Verdict.YES_BY_VOTES)
    assert certificate is None or certificate.verify(one.ballot.electorate, kit.scheme(), share=share)


@pytest.mark.parametrize(("share", "needed"), list(zip(Share, (6, 7, 8, 10), strict=True)))
def test_the_share_of_the_ballot_decides(kit: Any, share: Share, needed: int) -> None:
    session = Session(kit.ballot(10, share=share))
    assert (session.tally.share, session.tally.needed) == (share, needed)
    session.receive_batch([kit.vote(index) for index in range(needed - 1)], kit.scheme())
    assert session.verdict(0) is Verdict.PENDING
    assert session.certificate() is None
    session.receive(kit.vote(needed - 1), kit.scheme())
    assert session.verdict(0) is Verdict.YES_BY_VOTES
    certificate = session.certificate()
    assert certificate is not None
    assert len(certificate.votes) == needed
    refused = Session(kit.ballot(10, share=share))
    refused.receive_batch([kit.vote(index, Choice.NO) for index in range(10 - needed)], kit.scheme())
    assert refused.verdict(0) is Verdict.PENDING
    assert refused.verdict(refused.ballot.deadline_ms) is Verdict.YES_BY_SILENCE
    refused.receive(kit.vote(9, Choice.NO), kit.scheme())
    assert refused.verdict(0) is Verdict.NO_BY_VOTES


def test_a_ballot_without_a_share_is_one_by_two_thirds(kit: Any) -> None:
    ballot = kit.ballot(4)
    plain = Ballot(
        ballot.proposal_id, ballot.owner, ballot.electorate, ballot.opened_at_ms, ballot.duration_ms, ballot.silence
    )
    assert plain.share is Share.TWO_THIRDS
    assert plain == ballot
    assert dataclasses.replace(plain, share=Share.ALL) != plain


def test_admitting_or_replaying_foreign_votes_is_an_error_of_the_caller(kit: Any) -> None:
    session = Session(kit.ballot(4))
    for vote in (kit.vote(4), kit.vote(0, proposal=b"\x06" * 32)):
        with pytest.raises(ValueError, match="cannot be admitted"):
            session.admit(vote)
        with pytest.raises(ValueError, match="cannot be admitted"):
            Session.replay(kit.ballot(4), [vote])


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_garbage_never_raises(kit: Any, garbage: bytes) -> None:
    session = Session(kit.ballot(3))
    assert isinstance(session.receive(garbage, kit.scheme()), Refused)
    assert isinstance(session.receive(b"\x01" + kit.proposal + garbage, kit.scheme()), Refused)
    assert session.tally.silent == 3


@pytest.mark.parametrize(
    "change",
    [
        {"proposal_id": b""},
        {"owner": b""},
        {"opened_at_ms": -1},
        {"duration_ms": -1},
        {"duration_ms": 2**64},
    ],
)
def test_a_ballot_out_of_range_is_an_error_of_the_caller(kit: Any, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"bytes|milliseconds|negative"):
        dataclasses.replace(kit.ballot(3), **change)


def test_ten_thousand_voters_cost_one_check_and_one_slot_a_vote(kit: Any) -> None:
    session, scheme = Session(kit.ballot(10_000)), kit.scheme()
    votes = [kit.vote(index) for index in range(6_667)]
    session.receive_batch(votes[:-1], scheme)
    assert session.verdict(0) is Verdict.PENDING
    session.receive(votes[-1], scheme)
    assert session.verdict(0) is Verdict.YES_BY_VOTES
    session.receive_batch(votes, scheme)
    assert scheme.checked == 6_667
    assert len(list(session.votes())) == 6_667
