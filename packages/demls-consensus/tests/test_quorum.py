"""How many votes decide?"""

import pytest
from demls_consensus import Share, faults, quorum, tolerated_noes
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("n", "expected_quorum", "expected_faults"),
    [
        (1, 1, 0),
        (2, 2, 0),
        (3, 2, 0),
        (4, 3, 1),
        (5, 4, 1),
        (6, 4, 1),
        (7, 5, 2),
        (8, 6, 2),
        (9, 6, 2),
        (10, 7, 3),
        (100, 67, 33),
        (1_000, 667, 333),
        (10_000, 6_667, 3_333),
    ],
)
def test_the_thresholds_are_two_thirds_rounded_up_and_less_than_a_third(
    n: int, expected_quorum: int, expected_faults: int
) -> None:
    assert (quorum(n), faults(n)) == (expected_quorum, expected_faults)
    assert tolerated_noes(n) == n - expected_quorum


@given(st.integers(1, 10**9))
def test_any_two_quorums_share_more_voters_than_may_be_malicious(n: int) -> None:
    smallest_overlap = 2 * quorum(n) - n
    assert smallest_overlap >= faults(n) + 1


@given(st.integers(1, 60), st.randoms())
def test_two_drawn_quorums_share_an_honest_voter(n: int, random: object) -> None:
    voters = range(n)
    one = set(random.sample(voters, quorum(n)))  # type: ignore[attr-defined]
    other = set(random.sample(voters, quorum(n)))  # type: ignore[attr-defined]
    assert len(one & other) >= faults(n) + 1


@given(st.integers(1, 10**9))
def test_the_honest_alone_reach_the_quorum(n: int) -> None:
    assert n - faults(n) >= quorum(n)


@given(st.integers(1, 10**9))
def test_a_quorum_and_a_refusal_never_fit_into_one_electorate(n: int) -> None:
    assert quorum(n) + tolerated_noes(n) + 1 > n


@pytest.mark.parametrize("function", [quorum, faults, tolerated_noes])
@pytest.mark.parametrize("n", [0, -1])
def test_an_electorate_without_voters_is_an_error_of_the_caller(function: object, n: int) -> None:
    with pytest.raises(ValueError, match="at least one voter"):
        function(n)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("n", "more_than_half", "two_thirds", "three_quarters"),
    [
        (1, 1, 1, 1),
        (2, 2, 2, 2),
        (3, 2, 2, 3),
        (4, 3, 3, 3),
        (5, 3, 4, 4),
        (6, 4, 4, 5),
        (7, 4, 5, 6),
        (8, 5, 6, 6),
        (9, 5, 6, 7),
        (10, 6, 7, 8),
        (100, 51, 67, 75),
        (10_000, 5_001, 6_667, 7_500),
    ],
)
def test_each_share_needs_so_many(n: int, more_than_half: int, two_thirds: int, three_quarters: int) -> None:
    assert [share.needed(n) for share in Share] == [more_than_half, two_thirds, three_quarters, n]


@given(st.integers(1, 10**9))
def test_a_share_is_the_smallest_whole_number_of_voters_that_is_enough(n: int) -> None:
    half, thirds, quarters, everybody = (share.needed(n) for share in Share)
    assert 2 * half > n >= 2 * (half - 1)
    assert 3 * thirds >= 2 * n > 3 * (thirds - 1)
    assert 4 * quarters >= 3 * n > 4 * (quarters - 1)
    assert everybody == n


@given(st.integers(1, 10**9), st.sampled_from(list(Share)))
def test_one_more_voter_needs_the_same_or_one_more(n: int, share: Share) -> None:
    assert share.needed(n) <= share.needed(n + 1) <= share.needed(n) + 1
    assert 1 <= share.needed(n) <= n


@given(st.integers(1, 10**9))
def test_a_larger_share_needs_as_many_or_more(n: int) -> None:
    needed = [share.needed(n) for share in Share]
    assert needed == sorted(needed)


@given(st.integers(1, 10**9), st.sampled_from(list(Share)))
def test_a_share_and_its_refusal_never_fit_into_one_electorate(n: int, share: Share) -> None:
    assert share.needed(n) + tolerated_noes(n, share=share) == n
    assert 2 * share.needed(n) > n


@given(st.integers(1, 10**9))
def test_two_thirds_are_the_quorum(n: int) -> None:
    assert Share.TWO_THIRDS.needed(n) == quorum(n) == -(-2 * n // 3)
    assert tolerated_noes(n) == n - quorum(n)


@given(st.integers(1, 10**9))
def test_two_thirds_take_a_majority_of_the_honest_and_no_malicious_voter(n: int) -> None:
    honest = n - faults(n)
    assert 2 * (Share.TWO_THIRDS.needed(n) - faults(n)) > honest >= Share.TWO_THIRDS.needed(n)


def test_less_or_more_than_two_thirds_give_the_malicious_a_say() -> None:
    n, honest = 10, 10 - faults(10)
    assert 2 * (Share.MORE_THAN_HALF.needed(n) - faults(n)) < honest
    assert all(share.needed(n) > honest for share in (Share.THREE_QUARTERS, Share.ALL))


@pytest.mark.parametrize("share", list(Share))
def test_of_one_or_two_voters_all_are_needed(share: Share) -> None:
    assert [share.needed(n) for n in (1, 2)] == [1, 2]


@pytest.mark.parametrize("n", [0, -1])
@pytest.mark.parametrize("share", list(Share))
def test_a_share_of_nobody_is_an_error_of_the_caller(share: Share, n: int) -> None:
    for function in (share.needed, share.words):
        with pytest.raises(ValueError, match="at least one voter"):
            function(n)
    with pytest.raises(ValueError, match="at least one voter"):
        tolerated_noes(n, share=share)


def test_the_numbers_of_the_shares_are_pinned() -> None:
    assert {share.name: share.code for share in Share} == {
        "MORE_THAN_HALF": 1,
        "TWO_THIRDS": 2,
        "THREE_QUARTERS": 3,
        "ALL": 4,
    }
    assert [Share.from_code(code) for code in (1, 2, 3, 4)] == list(Share)


@pytest.mark.parametrize("code", [0, 5, -1, 2**64])
def test_a_number_of_no_share_is_refused_with_a_sentence(code: int) -> None:
    with pytest.raises(ValueError, match=rf"^The number of a share is 1, 2, 3 or 4, not {code}\.$"):
        Share.from_code(code)


def test_people_read_words() -> None:
    assert [share.label for share in Share] == ["more than half", "two thirds", "three quarters", "all"]
    assert [share.words(6) for share in Share] == ["4 of 6", "4 of 6", "5 of 6", "6 of 6"]
