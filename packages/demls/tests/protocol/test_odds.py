"""How likely a list drawn from the members falls to the bad ones: against known figures and small counts by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from demls.protocol.odds import SHARES_BAD, chance, odds, odds_of_committee, odds_of_stewards
from demls.protocol.policy import COUNCIL, QUICK
from demls_consensus import Share
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(("drawn", "captured"), [(7, 0.0452), (64, 2.94e-8)])
def test_capture_of_a_list_of_ten_thousand_with_a_third_malicious(drawn: int, captured: float) -> None:
    assert odds(10_000, 3_333, drawn).captured == pytest.approx(captured, rel=0.01)


@pytest.mark.parametrize(
    ("drawn", "bad", "third"),
    [(256, 1_000, 1.27e-25), (256, 2_000, 1.65e-7), (256, 2_500, 1.12e-3), (512, 2_500, 7.5e-6)],
)
def test_a_third_of_a_committee_of_ten_thousand_is_bad(drawn: int, bad: int, third: float) -> None:
    assert odds(10_000, bad, drawn).third == pytest.approx(third, rel=0.01)


@given(st.integers(1, 8), st.data())
def test_chances_are_shares_of_all_draws(members: int, data: st.DataObject) -> None:
    bad, drawn = data.draw(st.integers(0, members)), data.draw(st.integers(0, members))
    least = data.draw(st.integers(-1, drawn + 1))
    draws = list(combinations(range(members), drawn))
    hits = sum(1 for draw in draws if sum(one < bad for one in draw) >= least)
    assert chance(members, bad, drawn, least) == pytest.approx(hits / len(draws))


@given(st.integers(1, 60), st.data())
def test_who_is_captured_is_blocked_too(members: int, data: st.DataObject) -> None:
    bad, drawn = data.draw(st.integers(0, members)), data.draw(st.integers(1, members))
    for share in Share:
        found = odds(members, bad, drawn, share)
        assert 0 <= found.captured <= 1
        assert found.captured <= found.third or share is not Share.TWO_THIRDS
        assert share is Share.MORE_THAN_HALF or found.captured <= found.blocked


@pytest.mark.parametrize(("members", "bad", "drawn"), [(5, 6, 2), (5, 2, 6), (5, -1, 2), (5, 2, -1)])
def test_counts_that_cannot_be_are_refused(members: int, bad: int, drawn: int) -> None:
    with pytest.raises(ValueError, match="cannot both be among"):
        chance(members, bad, drawn, 1)


def test_a_list_of_all_members_is_not_drawn_and_has_no_odds() -> None:
    assert not list(odds_of_stewards(COUNCIL, 64))
    assert [one.drawn for one in odds_of_stewards(COUNCIL, 65)] == [64] * len(SHARES_BAD)
    assert not list(odds_of_committee(COUNCIL, 1_000))
    assert [one.drawn for one in odds_of_committee(COUNCIL, 1_001)] == [256] * len(SHARES_BAD)
    assert [one.drawn for one in odds_of_committee(replace(QUICK, ack_limit=6, committee=4), 8)] == [4] * 4


def test_the_odds_of_stewards_are_those_of_the_share_by_which_they_decide() -> None:
    by_half = replace(COUNCIL, invite=replace(COUNCIL.invite, share=Share.MORE_THAN_HALF.code))
    third = int(1_000 / 3)
    assert list(odds_of_stewards(by_half, 1_000))[-1] == odds(1_000, third, 64, Share.MORE_THAN_HALF)
    assert list(odds_of_stewards(COUNCIL, 1_000))[-1] == odds(1_000, third, 64)
