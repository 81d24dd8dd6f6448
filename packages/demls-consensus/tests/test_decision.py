"""What do these counts decide?"""

import itertools

import pytest
from demls_consensus import Share, Silence, Verdict, decide, is_refusal, quorum
from hypothesis import given
from hypothesis import strategies as st

PENDING = Verdict.PENDING
YES, YES_BY_SILENCE = Verdict.YES_BY_VOTES, Verdict.YES_BY_SILENCE
NO, NO_BY_SILENCE = Verdict.NO_BY_VOTES, Verdict.NO_BY_SILENCE


@pytest.mark.parametrize(
    ("n", "yes", "no", "before", "consent", "nothing"),
    [
        # n, yes, no, before the deadline, at it when silence is consent, at it when silence is nothing
        (1, 0, 0, PENDING, NO_BY_SILENCE, NO_BY_SILENCE),
        (1, 1, 0, YES, YES, YES),
        (1, 0, 1, NO, NO, NO),
        (2, 0, 0, PENDING, NO_BY_SILENCE, NO_BY_SILENCE),
        (2, 1, 0, PENDING, NO_BY_SILENCE, NO_BY_SILENCE),
        (2, 1, 1, NO, NO, NO),
        (2, 2, 0, YES, YES, YES),
        (3, 0, 0, PENDING, YES_BY_SILENCE, NO_BY_SILENCE),
        (3, 1, 0, PENDING, YES_BY_SILENCE, NO_BY_SILENCE),
        (3, 2, 0, YES, YES, YES),
        (3, 1, 1, PENDING, YES_BY_SILENCE, NO_BY_SILENCE),
        (3, 0, 1, PENDING, YES_BY_SILENCE, NO_BY_SILENCE),
        (3, 0, 2, NO, NO, NO),
        (3, 1, 2, NO, NO, NO),
        (3, 2, 1, YES, YES, YES),
        (4, 0, 1, PENDING, YES_BY_SILENCE, NO_BY_SILENCE),
        (4, 0, 2, NO, NO, NO),
        (4, 2, 1, PENDING, YES_BY_SILENCE, NO_BY_SILENCE),
        (4, 2, 2, NO, NO, NO),
        (4, 3, 0, YES, YES, YES),
        (6, 0, 2, PENDING, YES_BY_SILENCE, NO_BY_SILENCE),
        (6, 0, 3, NO, NO, NO),
        (6, 3, 3, NO, NO, NO),
        (6, 4, 2, YES, YES, YES),
        (10_000, 6_666, 3_333, PENDING, YES_BY_SILENCE, NO_BY_SILENCE),
        (10_000, 6_667, 3_333, YES, YES, YES),
        (10_000, 0, 3_334, NO, NO, NO),
    ],
)
def test_threshold_cases(n: int, yes: int, no: int, before: Verdict, consent: Verdict, nothing: Verdict) -> None:
    for silence, at_deadline in ((Silence.COUNTS_AS_YES, consent), (Silence.COUNTS_FOR_NOTHING, nothing)):
        assert decide(n, yes=yes, no=no, silence=silence, deadline_passed=False) is before
        assert decide(n, yes=yes, no=no, silence=silence, deadline_passed=True) is at_deadline


def counts(n: int) -> list[tuple[int, int]]:
    return [(yes, no) for yes, no in itertools.product(range(n + 1), repeat=2) if yes + no <= n]


@pytest.mark.parametrize("share", list(Share))
@pytest.mark.parametrize("silence", list(Silence))
def test_a_decision_before_the_deadline_is_made_exactly_when_honest_votes_cannot_overtake_it(
    silence: Silence, share: Share
) -> None:
    for n in range(1, 9):
        for yes, no in counts(n):
            silent = n - yes - no
            endings = (
                {
                    decide(n, yes=yes + a, no=no + b, silence=silence, deadline_passed=True, share=share).is_yes
                    for a, b in counts(silent)
                }
                if silent
                else {decide(n, yes=yes, no=no, silence=silence, deadline_passed=True, share=share).is_yes}
            )
            now = decide(n, yes=yes, no=no, silence=silence, deadline_passed=False, share=share)
            if now.is_yes:
                assert endings == {True}, (n, yes, no)
            elif now.is_no:
                assert endings == {False}, (n, yes, no)
            else:
                assert endings == {True, False}, (n, yes, no)


@pytest.mark.parametrize("share", list(Share))
@pytest.mark.parametrize("silence", list(Silence))
def test_full_turnout_never_waits_for_the_deadline(silence: Silence, share: Share) -> None:
    for n in range(1, 40):
        for yes in range(n + 1):
            early = decide(n, yes=yes, no=n - yes, silence=silence, deadline_passed=False, share=share)
            assert early is not PENDING
            assert early is decide(n, yes=yes, no=n - yes, silence=silence, deadline_passed=True, share=share)
            assert early.is_yes == (yes >= share.needed(n))


def test_only_yes_by_votes_is_final() -> None:
    assert [verdict for verdict in Verdict if verdict.is_final] == [YES]
    assert [verdict for verdict in Verdict if verdict.is_yes] == [YES, YES_BY_SILENCE]
    assert [verdict for verdict in Verdict if verdict.is_no] == [NO, NO_BY_SILENCE]


@pytest.mark.parametrize(("n", "yes", "no"), [(3, -1, 0), (3, 0, -1), (3, 2, 2), (0, 0, 0)])
def test_impossible_counts_are_an_error_of_the_caller(n: int, yes: int, no: int) -> None:
    with pytest.raises(ValueError, match="voter"):
        decide(n, yes=yes, no=no, silence=Silence.COUNTS_AS_YES, deadline_passed=False)


@pytest.mark.parametrize(
    ("n", "yes", "no", "none", "refused_with_consent", "refused_without"),
    [
        (1, 1, 0, 0, False, False),
        (1, 0, 1, 0, True, True),
        (1, 0, 0, 1, True, True),
        (1, 0, 0, 0, True, True),
        (2, 2, 0, 0, False, False),
        (2, 1, 0, 1, True, True),
        (2, 1, 1, 0, True, True),
        (3, 0, 0, 2, False, True),
        (3, 0, 1, 1, False, True),
        (3, 0, 2, 0, True, True),
        (3, 2, 0, 0, False, False),
        (4, 0, 1, 2, False, True),
        (4, 1, 2, 0, True, True),
        (4, 3, 1, 0, False, False),
        (10, 0, 3, 4, False, True),
        (10, 3, 4, 0, True, True),
        (10, 7, 0, 0, False, False),
    ],
)
def test_a_certificate_refuses_when_its_noes_leave_no_room(
    n: int, yes: int, no: int, none: int, refused_with_consent: bool, refused_without: bool
) -> None:
    assert is_refusal(n, yes=yes, no=no, none=none) is refused_with_consent
    assert is_refusal(n, yes=yes, no=no, none=none, silence=Silence.COUNTS_FOR_NOTHING) is refused_without


@pytest.mark.parametrize("share", list(Share))
@pytest.mark.parametrize("silence", list(Silence))
def test_a_certificate_with_enough_yes_is_no_refusal_and_agrees_with_the_tally_at_the_deadline(
    silence: Silence, share: Share
) -> None:
    for n in range(1, 9):
        for yes, no in counts(n):
            for none in range(n - yes - no + 1):
                refused = is_refusal(n, yes=yes, no=no, none=none, silence=silence, share=share)
                at_deadline = decide(n, yes=yes, no=no, silence=silence, deadline_passed=True, share=share)
                assert refused is not at_deadline.is_yes


@pytest.mark.parametrize(("yes", "no", "none"), [(2, 1, 1), (-1, 0, 0), (0, -1, 1), (0, 1, -1)])
def test_impossible_counts_of_a_certificate_are_an_error_of_the_caller(yes: int, no: int, none: int) -> None:
    with pytest.raises(ValueError, match=r"voters|negative"):
        is_refusal(3, yes=yes, no=no, none=none)


@pytest.mark.parametrize(
    ("share", "n", "yes", "no", "before", "consent", "nothing"),
    [
        # share, n, yes, no, before the deadline, at it when silence is consent, at it when silence is nothing
        (Share.MORE_THAN_HALF, 1, 0, 0, PENDING, NO_BY_SILENCE, NO_BY_SILENCE),
        (Share.MORE_THAN_HALF, 2, 1, 0, PENDING, NO_BY_SILENCE, NO_BY_SILENCE),
        (Share.MORE_THAN_HALF, 2, 1, 1, NO, NO, NO),
        (Share.MORE_THAN_HALF, 10, 6, 4, YES, YES, YES),
        (Share.MORE_THAN_HALF, 10, 5, 4, PENDING, YES_BY_SILENCE, NO_BY_SILENCE),
        (Share.MORE_THAN_HALF, 10, 5, 5, NO, NO, NO),
        (Share.MORE_THAN_HALF, 10, 0, 5, NO, NO, NO),
        (Share.TWO_THIRDS, 10, 6, 3, PENDING, YES_BY_SILENCE, NO_BY_SILENCE),
        (Share.TWO_THIRDS, 10, 6, 4, NO, NO, NO),
        (Share.THREE_QUARTERS, 10, 7, 0, PENDING, YES_BY_SILENCE, NO_BY_SILENCE),
        (Share.THREE_QUARTERS, 10, 8, 2, YES, YES, YES),
        (Share.THREE_QUARTERS, 10, 0, 2, PENDING, YES_BY_SILENCE, NO_BY_SILENCE),
        (Share.THREE_QUARTERS, 10, 0, 3, NO, NO, NO),
        (Share.ALL, 2, 2, 0, YES, YES, YES),
        (Share.ALL, 3, 0, 0, PENDING, YES_BY_SILENCE, NO_BY_SILENCE),
        (Share.ALL, 10, 9, 0, PENDING, YES_BY_SILENCE, NO_BY_SILENCE),
        (Share.ALL, 10, 9, 1, NO, NO, NO),
        (Share.ALL, 10, 0, 1, NO, NO, NO),
        (Share.ALL, 10, 10, 0, YES, YES, YES),
    ],
)
def test_threshold_cases_of_every_share(
    share: Share, n: int, yes: int, no: int, before: Verdict, consent: Verdict, nothing: Verdict
) -> None:
    for silence, at_deadline in ((Silence.COUNTS_AS_YES, consent), (Silence.COUNTS_FOR_NOTHING, nothing)):
        assert decide(n, yes=yes, no=no, silence=silence, deadline_passed=False, share=share) is before
        assert decide(n, yes=yes, no=no, silence=silence, deadline_passed=True, share=share) is at_deadline


shares = st.sampled_from(list(Share))
silences = st.sampled_from(list(Silence))
counted = st.integers(1, 500).flatmap(
    lambda n: st.integers(0, n).flatmap(lambda yes: st.tuples(st.just(n), st.just(yes), st.integers(0, n - yes)))
)


def by_two_thirds(n: int, yes: int, no: int, silence: Silence, deadline_passed: bool) -> Verdict:
    """The rule for two thirds, written out."""
    if 3 * yes >= 2 * n:
        return YES
    if 3 * (n - no) < 2 * n:
        return NO
    if not deadline_passed:
        return PENDING
    return YES_BY_SILENCE if silence is Silence.COUNTS_AS_YES and n > 2 else NO_BY_SILENCE


@given(counted, silences, st.booleans(), st.data())
def test_without_a_share_two_thirds_decide(
    drawn: tuple[int, int, int], silence: Silence, deadline_passed: bool, data: st.DataObject
) -> None:
    n, yes, no = drawn
    expected = by_two_thirds(n, yes, no, silence, deadline_passed)
    assert decide(n, yes=yes, no=no, silence=silence, deadline_passed=deadline_passed) is expected
    assert (
        decide(n, yes=yes, no=no, silence=silence, deadline_passed=deadline_passed, share=Share.TWO_THIRDS) is expected
    )
    none = data.draw(st.integers(0, n - yes - no))
    consent = silence is Silence.COUNTS_AS_YES and n > 2
    refused = no > n - quorum(n) if consent else yes < quorum(n)
    assert is_refusal(n, yes=yes, no=no, none=none, silence=silence) is refused
    assert is_refusal(n, yes=yes, no=no, none=none, silence=silence, share=Share.TWO_THIRDS) is refused


@given(counted, silences, shares, st.booleans())
def test_votes_decide_when_enough_say_yes_or_enough_no_longer_can(
    drawn: tuple[int, int, int], silence: Silence, share: Share, deadline_passed: bool
) -> None:
    n, yes, no = drawn
    verdict = decide(n, yes=yes, no=no, silence=silence, deadline_passed=deadline_passed, share=share)
    assert (verdict is YES) is (yes >= share.needed(n))
    assert (verdict is NO) is (n - no < share.needed(n))


@given(counted, shares)
def test_silence_that_counts_decides_when_yes_and_silent_are_enough_together(
    drawn: tuple[int, int, int], share: Share
) -> None:
    n, yes, no = drawn
    verdict = decide(n, yes=yes, no=no, silence=Silence.COUNTS_AS_YES, deadline_passed=True, share=share)
    silent = n - yes - no if n > 2 else 0
    assert verdict.is_yes is (yes + silent >= share.needed(n))


@given(counted, silences, shares, st.booleans())
def test_one_more_yes_never_turns_a_yes_into_anything_else(
    drawn: tuple[int, int, int], silence: Silence, share: Share, deadline_passed: bool
) -> None:
    n, yes, no = drawn
    before = decide(n, yes=yes, no=no, silence=silence, deadline_passed=deadline_passed, share=share)
    of_the_silent = [(yes + 1, no)] if yes + no < n else []
    of_a_no = [(yes + 1, no - 1)] if no else []
    for more, fewer in of_the_silent + of_a_no:
        after = decide(n, yes=more, no=fewer, silence=silence, deadline_passed=deadline_passed, share=share)
        assert after.is_yes or not before.is_yes
        assert after is YES or before is not YES
        assert before.is_no or not after.is_no


@given(counted, silences, st.booleans())
def test_a_smaller_share_approves_whatever_a_larger_one_does(
    drawn: tuple[int, int, int], silence: Silence, deadline_passed: bool
) -> None:
    n, yes, no = drawn
    approved = [
        decide(n, yes=yes, no=no, silence=silence, deadline_passed=deadline_passed, share=share).is_yes
        for share in Share
    ]
    refused = [
        decide(n, yes=yes, no=no, silence=silence, deadline_passed=deadline_passed, share=share).is_no
        for share in Share
    ]
    assert approved == sorted(approved, reverse=True)
    assert refused == sorted(refused)


@pytest.mark.parametrize(
    ("share", "no", "refused"),
    [
        (Share.MORE_THAN_HALF, 4, False),
        (Share.MORE_THAN_HALF, 5, True),
        (Share.THREE_QUARTERS, 2, False),
        (Share.THREE_QUARTERS, 3, True),
        (Share.ALL, 0, False),
        (Share.ALL, 1, True),
    ],
)
def test_a_certificate_of_ten_refuses_with_so_many_noes(share: Share, no: int, refused: bool) -> None:
    assert is_refusal(10, yes=0, no=no, none=7 - no, share=share) is refused


@pytest.mark.parametrize("share", list(Share))
def test_a_certificate_where_silence_is_nothing_refuses_with_one_yes_too_few(share: Share) -> None:
    for n in range(1, 30):
        needed = share.needed(n)
        nothing = Silence.COUNTS_FOR_NOTHING
        assert not is_refusal(n, yes=needed, no=0, none=0, silence=nothing, share=share)
        assert is_refusal(n, yes=needed - 1, no=0, none=1, silence=nothing, share=share)
