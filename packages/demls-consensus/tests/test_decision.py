"""What do these counts decide?"""

import itertools

import pytest
from demls_consensus import Silence, Verdict, decide, is_refusal, quorum

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


@pytest.mark.parametrize("silence", list(Silence))
def test_a_decision_before_the_deadline_is_made_exactly_when_honest_votes_cannot_overtake_it(silence: Silence) -> None:
    for n in range(1, 9):
        for yes, no in counts(n):
            silent = n - yes - no
            endings = (
                {
                    decide(n, yes=yes + a, no=no + b, silence=silence, deadline_passed=True).is_yes
                    for a, b in counts(silent)
                }
                if silent
                else {decide(n, yes=yes, no=no, silence=silence, deadline_passed=True).is_yes}
            )
            now = decide(n, yes=yes, no=no, silence=silence, deadline_passed=False)
            if now.is_yes:
                assert endings == {True}, (n, yes, no)
            elif now.is_no:
                assert endings == {False}, (n, yes, no)
            else:
                assert endings == {True, False}, (n, yes, no)


@pytest.mark.parametrize("silence", list(Silence))
def test_full_turnout_never_waits_for_the_deadline(silence: Silence) -> None:
    for n in range(1, 40):
        for yes in range(n + 1):
            early = decide(n, yes=yes, no=n - yes, silence=silence, deadline_passed=False)
            assert early is not PENDING
            assert early is decide(n, yes=yes, no=n - yes, silence=silence, deadline_passed=True)
            assert early.is_yes == (yes >= quorum(n))


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


@pytest.mark.parametrize("silence", list(Silence))
def test_a_certificate_with_a_quorum_of_yes_is_no_refusal_and_agrees_with_the_tally_at_the_deadline(
    silence: Silence,
) -> None:
    for n in range(1, 9):
        for yes, no in counts(n):
            for none in range(n - yes - no + 1):
                refused = is_refusal(n, yes=yes, no=no, none=none, silence=silence)
                at_deadline = decide(n, yes=yes, no=no, silence=silence, deadline_passed=True)
                assert refused is not at_deadline.is_yes


@pytest.mark.parametrize(("yes", "no", "none"), [(2, 1, 1), (-1, 0, 0), (0, -1, 1), (0, 1, -1)])
def test_impossible_counts_of_a_certificate_are_an_error_of_the_caller(yes: int, no: int, none: int) -> None:
    with pytest.raises(ValueError, match=r"voters|negative"):
        is_refusal(3, yes=yes, no=no, none=none)
