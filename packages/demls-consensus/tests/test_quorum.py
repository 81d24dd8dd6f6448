"""How many votes decide?"""

import pytest
from demls_consensus import faults, quorum, tolerated_noes
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
