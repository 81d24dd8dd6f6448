"""How do the votes of a fixed electorate stand?"""

import random

import pytest
from demls_consensus import Choice, Recorded, Share, Silence, Tally, Verdict, decide
from hypothesis import given, settings
from hypothesis import strategies as st

Call = tuple[int, Choice]
calls_of = st.integers(1, 9).flatmap(
    lambda n: st.tuples(
        st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.sampled_from(list(Choice))), max_size=3 * n)
    )
)


def voter(index: int) -> bytes:
    return index.to_bytes(20, "big")


shares = st.sampled_from(list(Share))


def tally_of(
    n: int, calls: list[Call], silence: Silence = Silence.COUNTS_AS_YES, share: Share = Share.TWO_THIRDS
) -> Tally:
    tally = Tally(frozenset(voter(index) for index in range(n)), silence, share=share)
    for index, choice in calls:
        tally.record(voter(index), choice)
    return tally


def standing(tally: Tally) -> tuple[object, ...]:
    return (
        tally.yes,
        tally.no,
        tally.silent,
        tally.equivocators,
        tally.verdict(deadline_passed=False),
        tally.verdict(deadline_passed=True),
    )


@given(calls_of, st.randoms(), st.sampled_from(list(Silence)), shares)
@settings(deadline=None)
def test_the_order_and_repetition_of_votes_never_matter(
    drawn: tuple[int, list[Call]], shuffler: random.Random, silence: Silence, share: Share
) -> None:
    n, calls = drawn
    shuffled = calls + calls[: len(calls) // 2]
    shuffler.shuffle(shuffled)
    assert standing(tally_of(n, calls, silence, share)) == standing(tally_of(n, shuffled, silence, share))


@given(calls_of, calls_of, st.sampled_from(list(Silence)), shares)
@settings(deadline=None)
def test_nothing_that_arrives_later_undoes_yes_by_votes(
    drawn: tuple[int, list[Call]], later: tuple[int, list[Call]], silence: Silence, share: Share
) -> None:
    n, calls = drawn
    tally = tally_of(n, calls + [(index, Choice.YES) for index in range(share.needed(n))], silence, share)
    assert tally.verdict(deadline_passed=False) is Verdict.YES_BY_VOTES
    for index, choice in later[1]:
        tally.record(voter(index), choice)
        assert tally.verdict(deadline_passed=True) is Verdict.YES_BY_VOTES


@given(calls_of, st.integers(0, 8), st.booleans(), shares)
@settings(deadline=None)
def test_equivocation_never_undoes_a_yes_of_any_kind(
    drawn: tuple[int, list[Call]], equivocator: int, deadline_passed: bool, share: Share
) -> None:
    n, calls = drawn
    tally = tally_of(n, calls, share=share)
    index = equivocator % n
    has_voted = tally.holds(voter(index), Choice.YES) or tally.holds(voter(index), Choice.NO)
    before = tally.verdict(deadline_passed=deadline_passed)
    for choice in Choice:
        if has_voted:
            tally.record(voter(index), choice)
    if before.is_yes:
        assert tally.verdict(deadline_passed=deadline_passed).is_yes


@given(calls_of, st.integers(0, 8), st.booleans(), st.sampled_from(list(Silence)), shares)
@settings(deadline=None)
def test_a_yes_vote_never_turns_yes_into_no(
    drawn: tuple[int, list[Call]], index: int, deadline_passed: bool, silence: Silence, share: Share
) -> None:
    n, calls = drawn
    tally = tally_of(n, calls, silence, share)
    before = tally.verdict(deadline_passed=deadline_passed)
    tally.record(voter(index % n), Choice.YES)
    after = tally.verdict(deadline_passed=deadline_passed)
    assert after.is_yes or not before.is_yes
    assert before.is_no or not after.is_no


@given(calls_of, st.booleans(), st.sampled_from(list(Silence)))
@settings(deadline=None)
def test_a_tally_without_a_share_is_one_by_two_thirds(
    drawn: tuple[int, list[Call]], deadline_passed: bool, silence: Silence
) -> None:
    n, calls = drawn
    tally = Tally(frozenset(voter(index) for index in range(n)), silence)
    for index, choice in calls:
        tally.record(voter(index), choice)
    assert standing(tally) == standing(tally_of(n, calls, silence, Share.TWO_THIRDS))
    assert tally.verdict(deadline_passed=deadline_passed) is decide(
        n, yes=tally.yes, no=tally.no, silence=silence, deadline_passed=deadline_passed
    )


def test_a_tally_knows_its_share_and_how_many_it_needs() -> None:
    assert [tally_of(10, [], share=share).share for share in Share] == list(Share)
    assert [tally_of(10, [], share=share).needed for share in Share] == [6, 7, 8, 10]
    plain = Tally({voter(index) for index in range(10)}, Silence.COUNTS_AS_YES)
    assert (plain.share, plain.needed) == (Share.TWO_THIRDS, 7)


def test_a_voter_with_both_choices_counts_as_yes_once() -> None:
    for order in (list(Choice), list(reversed(Choice))):
        tally = tally_of(4, [(1, choice) for choice in order])
        assert (tally.yes, tally.no, tally.silent) == (1, 0, 3)
        assert tally.equivocators == {voter(1)}


def test_recording_says_what_it_did() -> None:
    tally = tally_of(3, [])
    assert tally.record(voter(0), Choice.NO) is Recorded.NEW
    assert tally.record(voter(0), Choice.NO) is Recorded.REPEATED
    assert tally.record(voter(0), Choice.YES) is Recorded.EQUIVOCATION
    assert tally.record(voter(0), Choice.YES) is Recorded.REPEATED
    assert tally.record(voter(0), Choice.NO) is Recorded.REPEATED
    assert tally.record(voter(3), Choice.YES) is Recorded.NOT_A_VOTER
    assert (tally.yes, tally.no, tally.silent) == (1, 0, 2)


def test_no_by_votes_can_be_overtaken_only_by_noes_that_turn_out_to_be_double() -> None:
    tally = tally_of(4, [(0, Choice.NO), (1, Choice.NO), (2, Choice.YES), (3, Choice.YES)])
    assert tally.verdict(deadline_passed=False) is Verdict.NO_BY_VOTES
    tally.record(voter(1), Choice.YES)
    assert tally.verdict(deadline_passed=False) is Verdict.YES_BY_VOTES


def test_a_late_no_takes_yes_by_silence_back() -> None:
    tally = tally_of(4, [(0, Choice.NO)])
    assert tally.verdict(deadline_passed=True) is Verdict.YES_BY_SILENCE
    tally.record(voter(1), Choice.NO)
    assert tally.verdict(deadline_passed=True) is Verdict.NO_BY_VOTES


def test_a_frozen_set_of_voters_is_not_copied_and_any_other_is() -> None:
    frozen = frozenset({voter(0)})
    assert Tally(frozen, Silence.COUNTS_AS_YES).voters is frozen
    growing = {voter(0)}
    tally = Tally(growing, Silence.COUNTS_AS_YES)
    growing.add(voter(1))
    assert tally.n == 1


def test_a_tally_without_voters_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="at least one voter"):
        Tally(frozenset(), Silence.COUNTS_AS_YES)


def test_ten_thousand_votes_are_counted() -> None:
    tally = tally_of(10_000, [(index, Choice.YES if index % 3 else Choice.NO) for index in range(9_999)])
    assert (tally.yes, tally.no, tally.silent) == (6_666, 3_333, 1)
    assert tally.verdict(deadline_passed=False) is Verdict.PENDING
    tally.record(voter(9_999), Choice.YES)
    assert tally.verdict(deadline_passed=False) is Verdict.YES_BY_VOTES
