"""Steward lists are those of the reference crate, and everybody gets a turn."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from demls.protocol.roster import Roster
from demls.protocol.stewards import StewardList, continued, generate, leader_of, leaders, list_size
from demls.wire.ids import Address, Epoch, GroupId, Head, View
from demls.wire.messages import Credential, encode_message
from hypothesis import given
from hypothesis import strategies as st

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "stewards.json").read_text())
GROUP = GroupId(b"g" * 32)
HEAD = Head(b"h" * 32)


def address(number: int) -> Address:
    return Address(bytes([number + 1]) * 20)


@dataclass
class Leaf:
    leaf: int

    @property
    def signature_key(self) -> bytes:
        return bytes([self.leaf]) * 32

    @property
    def credential(self) -> bytes:
        return encode_message(Credential(address(self.leaf), "laptop", ""))

    @property
    def extensions(self) -> dict[int, bytes]:
        return {}


def roster(*numbers: int) -> Roster:
    return Roster([Leaf(number) for number in numbers], Epoch(0), {})


def test_generated_lists_are_those_of_the_reference_crate() -> None:
    for case in VECTORS["generate"]:
        pool = [Address(leaf.to_bytes(4, "big")) for leaf in range(case["n"])]
        group = GroupId(bytes.fromhex(case["conversation_id"]))
        made = generate(pool, case["sn"], Epoch(int(case["epoch"])), case["retry_round"], group)
        assert [member.hex() for member in made.members] == case["list"], case


def test_lists_of_ids_of_any_length_are_those_of_the_reference_crate() -> None:
    case = VECTORS["odd_ids"]
    pool = [Address(bytes.fromhex(member)) for member in case["pool"]]
    group = GroupId(bytes.fromhex(case["conversation_id"]))
    made = generate(pool, len(pool), Epoch(int(case["epoch"])), case["retry_round"], group)
    assert [member.hex() for member in made.members] == case["list"]


def test_list_sizes_are_those_of_the_reference_crate() -> None:
    for case in VECTORS["sizes"]:
        assert list_size(case["members"], case["sn_min"], case["sn_max"]) == case["size"], case


@given(st.permutations(range(9)), st.integers(1, 9))
def test_a_list_depends_on_the_set_of_members_only(order: list[int], size: int) -> None:
    pool = [address(number) for number in order]
    again = generate([*pool, *pool], size, Epoch(4), 0, GROUP)
    assert again == generate([address(number) for number in range(9)], size, Epoch(4), 0, GROUP)


def test_turns_rotate_with_the_epoch() -> None:
    stewards = StewardList(tuple(address(number) for number in range(3)), Epoch(5))
    first = [stewards.rotated(Epoch(epoch))[0] for epoch in range(5, 12)]
    assert first == [address(number % 3) for number in range(7)]
    assert stewards.rotated(Epoch(6)) == (address(1), address(2), address(0))
    assert StewardList((), Epoch(0)).rotated(Epoch(3)) == ()


def test_every_member_leads_some_view_and_stewards_lead_first() -> None:
    stewards = StewardList((address(4), address(2)), Epoch(0))
    order = leaders(stewards, roster(*range(6)), Epoch(1), HEAD)
    assert order[:2] == (address(2), address(4))
    assert set(order) == {address(number) for number in range(6)}
    assert len(order) == 6
    assert leader_of(order, View(7)) == order[1]


def test_the_order_after_the_stewards_depends_on_the_state() -> None:
    stewards, members = StewardList((), Epoch(0)), roster(*range(6))
    orders = {leaders(stewards, members, Epoch(0), Head(bytes([number]) * 32)) for number in range(8)}
    assert len(orders) > 1


def test_a_steward_that_left_does_not_lead() -> None:
    order = leaders(StewardList((address(9), address(1)), Epoch(0)), roster(0, 1, 2), Epoch(0), HEAD)
    assert address(9) not in order
    assert order[0] == address(1)


CONTINUED = {
    "nobody left": ((0, 1), (0, 1, 2), StewardList((address(0), address(1)), Epoch(3))),
    "one left": ((0, 1), (1, 2), StewardList((address(1),), Epoch(7))),
    "all left": ((0,), (1, 2), None),
}


@pytest.mark.parametrize("case", CONTINUED)
def test_a_list_is_continued_without_who_left(case: str) -> None:
    before, now, after = CONTINUED[case]
    stewards = StewardList(tuple(address(number) for number in before), Epoch(3))
    members = roster(*now)
    made = continued(stewards, members, Epoch(7), GROUP)
    assert made == (after or generate(members.addresses, 1, Epoch(7), 0, GROUP))


# --- The roster ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "q", "f"), [(1, 1, 0), (2, 2, 0), (3, 2, 0), (4, 3, 1), (5, 4, 1), (6, 4, 1), (7, 5, 2)])
def test_quorum_and_faults(n: int, q: int, f: int) -> None:
    members = roster(*range(n))
    assert (members.n, members.q, members.f) == (n, q, f)
    assert 2 * q - n >= f + 1


@given(st.sets(st.integers(0, 19)), st.binary(max_size=8))
def test_bitmaps_name_members(numbers: set[int], noise: bytes) -> None:
    members = roster(*range(20))
    named = frozenset(address(number) for number in numbers)
    assert members.marked(members.bitmap(named)) == named
    assert members.marked(members.bitmap([*named, Address(b"x" * 20)])) == named
    assert members.marked(noise) <= members.addresses


def test_of_several_leaves_of_one_address_the_lowest_speaks() -> None:
    @dataclass
    class Second(Leaf):
        @property
        def credential(self) -> bytes:
            return encode_message(Credential(address(0), "phone", ""))

    members = Roster([Second(5), Leaf(0), Leaf(1)], Epoch(2), {address(0): Epoch(1)})
    seat = members.seat(address(0))
    assert seat is not None
    assert (seat.leaf, seat.since, members.n) == (0, 1, 2)
    assert members.leaves_of(address(0)) == (0, 5)
    assert members.owner_of(5) == address(0)
