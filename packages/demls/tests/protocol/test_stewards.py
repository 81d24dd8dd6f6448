"""Steward lists are those of the reference crate, and everybody gets a turn."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from demls.protocol.roster import Roster
from demls.protocol.stewards import (
    StewardList,
    departed,
    generate,
    is_genuine,
    is_settled,
    leader_of,
    leaders,
    list_size,
)
from demls.wire.chain import LostTurn
from demls.wire.ids import Address, Epoch, GroupId, Head, View
from demls.wire.messages import (
    Credential,
    encode_message,
)
from hypothesis import given
from hypothesis import strategies as st
from leaves import GROUP, Leaf, address

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "stewards.json").read_text())
HEAD = Head(b"h" * 32)


def roster(*numbers: int, newcomers: tuple[int, ...] = (), dormant: tuple[int, ...] = ()) -> Roster:
    """Members since epoch 0, but for ``newcomers``, who joined in epoch 5."""
    since = {address(number): Epoch(0) for number in numbers if number not in newcomers}
    return Roster([Leaf(number) for number in numbers], Epoch(5), since, map(address, dormant))


def listed(*numbers: int, since: int = 0, election_epoch: int = 1) -> StewardList:
    return StewardList(tuple(address(number) for number in numbers), Epoch(since), Epoch(election_epoch))


def test_generated_lists_are_those_of_the_reference_crate() -> None:
    for case in VECTORS["generate"]:
        pool = [Address(leaf.to_bytes(4, "big")) for leaf in range(case["n"])]
        group = GroupId(bytes.fromhex(case["conversation_id"]))
        made = generate(pool, case["sn"], Epoch(int(case["epoch"])), case["retry_round"], group)
        assert [member.hex() for member in made] == case["list"], case


def test_lists_of_ids_of_any_length_are_those_of_the_reference_crate() -> None:
    case = VECTORS["odd_ids"]
    pool = [Address(bytes.fromhex(member)) for member in case["pool"]]
    group = GroupId(bytes.fromhex(case["conversation_id"]))
    made = generate(pool, len(pool), Epoch(int(case["epoch"])), case["retry_round"], group)
    assert [member.hex() for member in made] == case["list"]


def test_list_sizes_are_those_of_the_reference_crate() -> None:
    for case in VECTORS["sizes"]:
        assert list_size(case["members"], case["sn_min"], case["sn_max"]) == case["size"], case


@given(st.permutations(range(9)), st.integers(1, 9))
def test_a_list_depends_on_the_set_of_members_only(order: list[int], size: int) -> None:
    pool = [address(number) for number in order]
    again = generate([*pool, *pool], size, Epoch(4), 0, GROUP)
    assert again == generate([address(number) for number in range(9)], size, Epoch(4), 0, GROUP)


# --- Turns --------------------------------------------------------------------------------------------------------


def test_turns_rotate_with_the_epoch() -> None:
    stewards, members = listed(0, 1, 2, since=5), roster(0, 1, 2, 3)
    first = [stewards.rotated(Epoch(epoch), members)[0] for epoch in range(5, 12)]
    assert first == [address(number % 3) for number in range(7)]
    assert stewards.rotated(Epoch(6), members) == (address(1), address(2), address(0))
    assert StewardList((), Epoch(0), Epoch(0)).rotated(Epoch(3), members) == ()


@given(st.integers(1, 9), st.integers(0, 2**40), st.integers(0, 30))
def test_a_list_is_used_up_when_each_of_its_stewards_had_an_epoch(size: int, since: int, later: int) -> None:
    stewards = listed(*range(size), since=since)
    assert stewards.is_exhausted(Epoch(since + later)) == (later >= size)


NOT_ELIGIBLE = {
    "who left": roster(0, 2, 3),
    "who is dormant": roster(0, 1, 2, 3, dormant=(1,)),
    "who left and came back": roster(0, 1, 2, 3, newcomers=(1,)),
}


@pytest.mark.parametrize("case", NOT_ELIGIBLE)
def test_the_rotation_walks_past(case: str) -> None:
    """The next in the list serves in its place, and the turns of all others stay where they are."""
    stewards = listed(0, 1, 2, 3)
    turns = [stewards.rotated(Epoch(epoch), NOT_ELIGIBLE[case])[0] for epoch in range(4)]
    assert turns == [address(0), address(2), address(2), address(3)]
    assert not stewards.is_exhausted(Epoch(3))


def test_every_member_leads_some_view_and_stewards_lead_first() -> None:
    order = leaders(listed(4, 2), roster(*range(6)), Epoch(1), HEAD)
    assert order[:2] == (address(2), address(4))
    assert set(order) == {address(number) for number in range(6)}
    assert len(order) == 6
    assert leader_of(order, View(7)) == order[1]


def test_the_order_after_the_stewards_depends_on_the_state() -> None:
    stewards, members = listed(), roster(*range(6))
    orders = {leaders(stewards, members, Epoch(0), Head(bytes([number]) * 32)) for number in range(8)}
    assert len(orders) > 1


def test_a_steward_that_left_does_not_lead() -> None:
    order = leaders(listed(9, 1), roster(0, 1, 2), Epoch(0), HEAD)
    assert address(9) not in order
    assert order[0] == address(1)


def test_a_dormant_member_leads_no_view() -> None:
    order = leaders(listed(0, 1), roster(*range(5), dormant=(0, 3)), Epoch(0), HEAD)
    assert order[0] == address(1)
    assert set(order) == {address(1), address(2), address(4)}


def test_who_lost_its_turn_leads_last_in_the_same_order() -> None:
    stewards, members = listed(0, 1, 2), roster(*range(6))
    before = leaders(stewards, members, Epoch(0), HEAD)
    lost = [LostTurn(address(0), 1), LostTurn(address(2), 1), LostTurn(address(9), 1)]
    after = leaders(stewards, members, Epoch(0), HEAD, lost)
    behind = {address(0), address(2)}
    assert after == (*(a for a in before if a not in behind), address(0), address(2))


# --- Made again ---------------------------------------------------------------------------------------------------


def test_only_who_was_in_before_an_epoch_is_settled_for_it() -> None:
    assert is_settled(Epoch(3), Epoch(4))
    assert not is_settled(Epoch(4), Epoch(4))
    assert is_settled(Epoch(0), Epoch(0))
    assert not is_settled(Epoch(1), Epoch(0))


SINCE = {address(number): Epoch(0) for number in range(6)}
GENUINE = StewardList(generate(set(SINCE) - {address(5)}, 3, Epoch(4), 1, GROUP), Epoch(5), Epoch(4), 1, (address(5),))

FORGED: dict[str, dict[str, Any]] = {
    "in another order": {"members": GENUINE.members[::-1]},
    "without its first": {"members": GENUINE.members[1:]},
    "of nobody": {"members": ()},
    "of another round": {"retry_round": 2},
    "of another epoch": {"election_epoch": Epoch(3)},
    "without whom it left out": {"excluded": ()},
    "of more than there are": {"members": (*GENUINE.members, *(address(number) for number in range(10, 16)))},
    "that names a stranger": {"members": (address(9), *GENUINE.members[1:])},
}


def test_a_list_is_known_again_by_what_it_was_made_from() -> None:
    assert is_genuine(GENUINE, SINCE, GROUP)
    newcomers = SINCE | {address(7): Epoch(4)}
    assert is_genuine(GENUINE, newcomers, GROUP)


@pytest.mark.parametrize("case", FORGED)
def test_a_list_is_not_genuine(case: str) -> None:
    forged = replace(GENUINE, **FORGED[case])
    if case == "without whom it left out":
        assert is_genuine(forged, SINCE, GROUP) == (forged.members == generate(SINCE, 3, Epoch(4), 1, GROUP))
    else:
        assert not is_genuine(forged, SINCE, GROUP)


def test_a_list_stays_genuine_when_members_leave_and_come_back() -> None:
    gone = SINCE.copy()
    del gone[GENUINE.members[0]]
    shorter = departed(GENUINE, SINCE, gone, GENUINE.members)
    assert shorter.departed == GENUINE.members[:1]
    assert is_genuine(shorter, gone, GROUP)
    back = gone | {GENUINE.members[0]: Epoch(7)}
    assert departed(shorter, gone, back, GENUINE.members) == shorter
    assert is_genuine(shorter, back, GROUP)
    assert shorter.active(back) == GENUINE.members[1:]
    assert not is_genuine(GENUINE, gone, GROUP)


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
