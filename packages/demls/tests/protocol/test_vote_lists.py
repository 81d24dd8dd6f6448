"""Votes in lists: do the same votes come out as went in, and of lists that mean nothing, none?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from demls.protocol import vote_lists
from demls.protocol.ballots import Ballot
from demls.protocol.electorates import Electorate, Electorates
from demls.protocol.policy import PRESETS
from demls.protocol.records import Ledger
from demls.protocol.vote_lists import listed, votes_in
from demls.wire.chain import Seat
from demls.wire.ids import Address, Epoch, Instant, ProposalId
from demls.wire.messages import VoteList, decode_message, encode_message
from demls_consensus import Choice, SignedVote, Silence, Tally
from hypothesis import given
from hypothesis import strategies as st

EPOCH = Epoch(7)
BALLOT = ProposalId(b"b" * 32)


def members(size: int) -> list[Address]:
    """Not in the order of their addresses."""
    return [Address(bytes([place * 37 % 251]) * 20) for place in range(size)]


def electorate(size: int) -> Electorate:
    seats = {address: Seat(address, place, b"k" * 32, 1, False) for place, address in enumerate(members(size))}
    return Electorate(EPOCH, seats, (), PRESETS["quick"])


def known(size: int) -> Electorates:
    electorates = Electorates(Ledger())
    electorates.add(electorate(size))
    return electorates


def ballot(size: int, votes: dict[tuple[int, Choice], int]) -> Ballot:
    made = Ballot(BALLOT, Tally(members(size), Silence.COUNTS_FOR_NOTHING), Instant(1))
    for (place, choice), time_ms in votes.items():
        voter = members(size)[place]
        made.votes[voter, choice] = SignedVote(BALLOT, voter, choice, time_ms, bytes([place]) * 63 + b"s")
    return made


def lists(size: int, votes: dict[tuple[int, Choice], int]) -> list[VoteList]:
    return list(listed((ballot(size, votes),), electorate(size)))


sizes = st.integers(1, 40)
cast = sizes.flatmap(
    lambda size: st.tuples(
        st.just(size),
        st.dictionaries(
            st.tuples(st.integers(0, size - 1), st.sampled_from(Choice)),
            st.integers(0, (1 << 48) - 1),
            max_size=2 * size,
        ),
    )
)


@given(cast)
def test_the_same_votes_come_out_as_went_in(made: tuple[int, dict[tuple[int, Choice], int]]) -> None:
    size, votes = made
    packed = [decode_message(encode_message(one), VoteList) for one in lists(size, votes)]
    assert len(packed) == len({choice for _, choice in votes})
    unpacked = votes_in(packed, known(size))
    assert {(vote.voter, vote.choice): vote for vote in unpacked} == ballot(size, votes).votes
    assert len(unpacked) == len(votes)


def test_a_vote_takes_half_the_room_that_it_has_alone() -> None:
    votes = {(place, Choice.YES): 1_700_000_000_000 for place in range(200)}
    (one,) = lists(200, votes)
    alone = sum(len(vote.encode()) for vote in ballot(200, votes).votes.values())
    assert len(encode_message(one)) < 0.6 * alone


GOOD = lists(9, {(place, Choice.YES): 5 for place in (0, 3, 8)})[0]

BAD = {
    "of an epoch that is not known": replace(GOOD, epoch=8),
    "of no choice": replace(GOOD, choice=0),
    "of another choice": replace(GOOD, choice=3),
    "of nobody": replace(GOOD, voters=b""),
    "of too few": replace(GOOD, voters=b"\x01"),
    "of more than there are": replace(GOOD, voters=b"\x01\xfe"),
    "with a time too few": replace(GOOD, times=(5, 5)),
    "with a signature too few": replace(GOOD, signatures=GOOD.signatures[64:]),
    "with half a signature": replace(GOOD, signatures=GOOD.signatures[:-1]),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_list_that_means_nothing_holds_no_votes_and_takes_none_from_others(bad: VoteList) -> None:
    assert votes_in([bad], known(9)) == []
    assert len(votes_in([bad, GOOD, bad], known(9))) == 3


def test_of_a_flood_of_lists_only_so_many_votes_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vote_lists, "VOTES_IN_OFFER_MAX", 7)
    assert len(votes_in([GOOD] * 2, known(9))) == 6
    assert len(votes_in([GOOD] * 200, known(9))) == 7


@given(
    st.builds(
        VoteList,
        st.just(BALLOT),
        st.just(EPOCH),
        st.integers(0, 3),
        st.binary(max_size=4),
        st.lists(st.integers(0, (1 << 64) - 1), min_size=1, max_size=5).map(tuple),
        st.integers(64, 400).map(bytes),
    )
)
def test_whatever_stands_in_a_list_nothing_is_raised(one: VoteList) -> None:
    for vote in votes_in([one], known(9)):
        assert len(vote.signature) == 64
