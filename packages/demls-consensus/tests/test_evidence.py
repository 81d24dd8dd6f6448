"""How is it proven that a voter voted both ways?"""

import dataclasses
from typing import Any

import pytest
from demls_consensus import Choice, Equivocation, Malformed
from hypothesis import given, settings
from hypothesis import strategies as st


def equivocation(kit: Any) -> Equivocation:
    return Equivocation.of(kit.vote(3, Choice.NO), kit.vote(3, Choice.YES))


def test_one_pair_of_votes_is_one_piece_of_evidence_in_any_order(kit: Any) -> None:
    yes, no = kit.vote(3, Choice.YES), kit.vote(3, Choice.NO)
    assert Equivocation.of(yes, no) == Equivocation.of(no, yes) == Equivocation(yes, no)
    assert (equivocation(kit).voter, equivocation(kit).proposal_id) == (kit.voter(3), kit.proposal)


def test_it_is_proven_by_both_signatures(kit: Any) -> None:
    good = equivocation(kit)
    assert good.verify(kit.key(3), kit.scheme())
    assert not good.verify(kit.key(4), kit.scheme())
    for field in ("first", "second"):
        forged = dataclasses.replace(getattr(good, field), signature=b"\x00")
        assert not dataclasses.replace(good, **{field: forged}).verify(kit.key(3), kit.scheme())


def test_two_votes_that_do_not_contradict_each_other_are_no_evidence(kit: Any) -> None:
    yes = kit.vote(3)
    others = (kit.vote(3, time_ms=9), kit.vote(4, Choice.NO), kit.vote(3, Choice.NO, proposal=b"\x08" * 32))
    for other in others:
        with pytest.raises(ValueError, match="votes"):
            Equivocation.of(yes, other)


def test_it_survives_the_wire(kit: Any) -> None:
    assert Equivocation.decode(equivocation(kit).encode()) == equivocation(kit)


def test_two_votes_that_are_no_evidence_are_malformed_on_the_wire(kit: Any) -> None:
    yes, no = kit.vote(3).encode(), kit.vote(3, Choice.NO).encode()
    for first, second in ((yes, yes), (no, yes), (yes, kit.vote(4, Choice.NO).encode())):
        with pytest.raises(Malformed):
            Equivocation.decode(b"\x01" + len(first).to_bytes(2, "big") + first + second)


@given(st.binary(max_size=300), st.data())
@settings(deadline=None)
def test_garbage_is_refused_or_is_the_canonical_bytes_of_evidence(
    kit: Any, garbage: bytes, data: st.DataObject
) -> None:
    damaged = bytearray(equivocation(kit).encode())
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    for candidate in (garbage, b"\x01" + garbage, bytes(damaged)):
        try:
            decoded = Equivocation.decode(candidate)
        except Malformed:
            continue
        assert decoded.encode() == candidate
