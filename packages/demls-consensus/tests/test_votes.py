"""What is a vote, and what exactly does it sign?"""

import dataclasses
from typing import Any

import pytest
from demls_consensus import Choice, Malformed, SignedVote, vote_content
from hypothesis import given, settings
from hypothesis import strategies as st

ids = st.binary(min_size=32, max_size=32)
voters = st.binary(min_size=20, max_size=20)
choices = st.sampled_from(list(Choice))
times = st.integers(0, 2**64 - 1)
signed_votes = st.builds(SignedVote, ids, voters, choices, times, st.binary(min_size=1, max_size=255))


def test_the_signed_content_is_pinned() -> None:
    content = vote_content(b"\x11" * 32, b"\x22" * 20, Choice.YES, 1_700_000_000_123)
    assert content.hex() == (
        "0016"
        + b"demls-consensus/vote/1".hex()
        + "0020"
        + "11" * 32
        + "0014"
        + "22" * 20
        + "0001"
        + "01"
        + "0008"
        + "0000018bcfe5687b"
    )


def test_the_encoding_is_pinned() -> None:
    vote = SignedVote(b"\x11" * 32, b"\x22" * 20, Choice.NO, 258, b"\xaa\xbb")
    assert vote.encode().hex() == "01" + "11" * 32 + "22" * 20 + "00" + "0000000000000102" + "02aabb"


@given(st.tuples(ids, voters, choices, times), st.tuples(ids, voters, choices, times))
def test_different_votes_sign_different_bytes(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    assert (vote_content(*one) == vote_content(*other)) == (one == other)


@given(signed_votes)
def test_an_encoded_vote_decodes_to_itself(vote: SignedVote) -> None:
    assert SignedVote.decode(vote.encode()) == vote


def decodes_canonically(data: bytes) -> bool:
    try:
        vote = SignedVote.decode(data)
    except Malformed:
        return False
    assert vote.encode() == data
    return True


@given(st.binary(max_size=400))
@settings(deadline=None)
def test_garbage_is_refused_or_is_the_canonical_bytes_of_a_vote(data: bytes) -> None:
    decodes_canonically(data)


@given(signed_votes, st.data())
@settings(deadline=None)
def test_a_damaged_vote_is_refused_or_is_the_canonical_bytes_of_another(vote: SignedVote, data: st.DataObject) -> None:
    encoded = bytearray(vote.encode())
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] ^= data.draw(st.integers(1, 255))
    if decodes_canonically(bytes(encoded)):
        assert SignedVote.decode(bytes(encoded)) != vote


@given(signed_votes, st.binary(min_size=1, max_size=3))
def test_bytes_missing_or_left_over_are_refused(vote: SignedVote, rest: bytes) -> None:
    assert not decodes_canonically(vote.encode() + rest)
    assert not decodes_canonically(vote.encode()[: -len(rest)])


@pytest.mark.parametrize(
    "change",
    [
        {"proposal_id": b"short"},
        {"voter": b"\x00" * 21},
        {"time_ms": -1},
        {"time_ms": 2**64},
        {"signature": b""},
        {"signature": b"\x00" * 256},
    ],
)
def test_fields_out_of_range_are_an_error_of_the_caller(change: dict[str, Any]) -> None:
    vote = SignedVote(b"\x11" * 32, b"\x22" * 20, Choice.NO, 0, b"s")
    with pytest.raises(ValueError, match=r"bytes|milliseconds"):
        dataclasses.replace(vote, **change)


def test_casting_signs_the_content() -> None:
    vote = SignedVote.cast(b"\x11" * 32, b"\x22" * 20, Choice.YES, 5, lambda content: content[:9])
    assert vote.signature == vote.content[:9]


def test_votes_are_frozen_and_slotted() -> None:
    vote = SignedVote(b"\x11" * 32, b"\x22" * 20, Choice.NO, 0, b"s")
    with pytest.raises(dataclasses.FrozenInstanceError):
        vote.time_ms = 3  # type: ignore[misc]
    assert not hasattr(vote, "__dict__")
