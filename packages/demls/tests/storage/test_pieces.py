"""Cutting: nothing is lost, pieces have their bounds, and a change moves only the cuts around it."""

from __future__ import annotations

import random

import pytest
from demls.storage.pieces import PIECE_BYTES_MAX, PIECE_BYTES_MIN, cut
from hypothesis import given
from hypothesis import strategies as st

RECORD = random.Random(1).randbytes(1_000_000)

SHAPES = {
    "random": RECORD,
    "zeros": bytes(100_000),
    "text": b"all work and no play " * 5_000,
    "ends only": b"\x97\x00" * 50_000,
    "members of one shape": b"".join(
        b"\x83\xa9member_id\xc4\x14"
        + RECORD[at : at + 20]
        + b"\xa5epoch\xcc\xc5\xa4time\xcf\x00\x00\x01\xa3\x18\x5c\x50\x00"
        for at in range(0, 200_000, 20)
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_pieces_make_the_record_and_have_their_bounds(shape: str) -> None:
    pieces = cut(SHAPES[shape])
    assert b"".join(pieces) == SHAPES[shape]
    assert all(PIECE_BYTES_MIN < len(piece) <= PIECE_BYTES_MAX for piece in pieces[:-1])
    assert 0 < len(pieces[-1]) <= PIECE_BYTES_MAX


@given(st.binary(max_size=30_000))
def test_any_bytes_come_together_again(record: bytes) -> None:
    assert b"".join(cut(record)) == record


@pytest.mark.parametrize("shape", ["random", "members of one shape"])
@pytest.mark.parametrize("put_in", [b"", b"x", bytes(5_000)])
@pytest.mark.parametrize("taken_out", [0, 1, 5_000])
@pytest.mark.parametrize("place", [0, 0.3, 0.999])
def test_a_change_in_one_place_changes_the_pieces_around_it(
    shape: str, put_in: bytes, taken_out: int, place: float
) -> None:
    record = SHAPES[shape]
    at = int(len(record) * place)
    changed = record[:at] + put_in + record[at + taken_out :]
    new = set(cut(changed)) - set(cut(record))
    assert sum(map(len, new)) <= 100_000
    assert len(new) <= 16


def test_pieces_of_random_bytes_are_of_about_a_page() -> None:
    assert 3_500 < len(RECORD) / len(cut(RECORD)) < 4_600
