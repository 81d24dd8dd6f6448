"""Digests of many are those of each."""

from __future__ import annotations

from demls.wire.framing import by_digest, digest, digester
from hypothesis import given
from hypothesis import strategies as st

PARTS = st.lists(st.one_of(st.binary(max_size=8), st.integers(0, 2**64 - 1)), max_size=3)


@given(st.sets(st.binary(max_size=4), max_size=8), st.binary(max_size=8), PARTS)
def test_each_has_the_digest_that_it_has_alone(members: set[bytes], domain: bytes, parts: list[bytes | int]) -> None:
    digest_of = digester(domain, *parts)
    found = by_digest(members, domain, *parts)
    assert {member: of for of, member in found.items()} == {member: digest_of(member) for member in members}
    assert all(digest_of(member) == digest(domain, *parts, member) for member in members)
