"""Who is a member: what is taken from the roster before, and what is read anew."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from demls.protocol import roster as module
from demls.protocol.roster import Roster
from demls.wire.ids import Address, Epoch
from demls.wire.messages import Credential, encode_message
from hypothesis import given
from hypothesis import strategies as st


@dataclass(frozen=True)
class Leaf:
    leaf: int
    credential: bytes
    signature_key: bytes = bytes(32)
    extensions: tuple[tuple[int, bytes], ...] = ()


def leaf(place: int, person: int, name: str = "") -> Leaf:
    identity = encode_message(Credential(bytes([person]) * 20, f"device {place}", name))
    return Leaf(place, identity, bytes([place]) * 32)


def seats(roster: Roster) -> list[tuple[int, str, str, bytes]]:
    return [(seat.leaf, seat.device, seat.name, seat.leaf_key) for seat in roster.seats]


def test_who_stays_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Roster([leaf(0, 1), leaf(1, 2)], Epoch(1), {})
    read: list[bytes] = []
    parse = module.parse_credential

    def note(identity: bytes) -> Credential:
        read.append(identity)
        return parse(identity)

    monkeypatch.setattr(module, "parse_credential", note)
    now = [leaf(0, 1), leaf(1, 2), leaf(2, 3)]
    after = Roster(now, Epoch(2), before.since(), before=before)
    assert read == [now[2].credential]
    assert seats(after) == seats(Roster(now, Epoch(2), before.since()))


@pytest.mark.parametrize(
    "changed",
    [leaf(1, 3), leaf(1, 2, "another name"), replace(leaf(1, 2), credential=b"?"), replace(leaf(1, 2), leaf=7)],
)
def test_what_has_changed_is_read_anew(changed: Leaf) -> None:
    before = Roster([leaf(0, 1), leaf(1, 2), leaf(2, 2)], Epoch(1), {})
    now = [leaf(0, 1), changed, leaf(2, 2)]
    assert seats(Roster(now, Epoch(2), {}, before=before)) == seats(Roster(now, Epoch(2), {}))


PEOPLE = [Address(bytes([person]) * 20) for person in range(6)]
LEAVES = st.one_of(
    st.none(),
    st.builds(lambda person, name: ("read", person, name), st.integers(0, 5), st.sampled_from(["", "a name"])),
    st.just(("unreadable", 0, "")),
)
CHANGES = st.dictionaries(st.integers(0, 7), LEAVES, max_size=4)


@given(st.lists(st.tuples(CHANGES, st.sets(st.sampled_from(PEOPLE))), min_size=1, max_size=6))
def test_a_roster_after_changes_is_that_of_the_whole_tree(
    epochs: list[tuple[dict[int, tuple[str, int, str] | None], set[Address]]],
) -> None:
    tree: dict[int, Leaf] = {}
    following = Roster.empty()
    for epoch, (changes, dormant) in enumerate(epochs):
        changed: dict[int, Leaf | None] = {}
        for place, what in changes.items():
            changed[place] = leaf(place, what[1], what[2]) if what is not None else None
            if what is not None and what[0] == "unreadable":
                changed[place] = replace(leaf(place, 0), credential=b"?")
        tree = {place: one for place, one in (tree | changed).items() if one is not None}
        whole = Roster(tree.values(), Epoch(epoch), following.since(), dormant)
        following = following.after(changed, Epoch(epoch), dormant)
        assert seen(following) == seen(whole)


def seen(roster: Roster) -> object:
    """All that a roster tells."""
    addresses = [seat.address for seat in roster.seats]
    members = [
        (roster.index(a), roster.seat(a), roster.leaves_of(a), roster.extensions_of(a), roster.since()[a])
        for a in addresses
    ]
    sets = roster.addresses, roster.counted, roster.dormant
    stated = [seat.stated for seat in roster.seats]
    return roster.seats, stated, members, sets, dict(roster.owners()), roster.bitmap(roster.counted)


def test_after_changes_whoever_did_not_change_keeps_its_seat() -> None:
    before = Roster([leaf(0, 1), leaf(1, 2), leaf(2, 3)], Epoch(1), {})
    after = before.after({1: None, 3: leaf(3, 4)}, Epoch(2))
    assert after.seats[0] is before.seats[0]
    assert after.seats[1] is before.seats[2]
    assert after.beyond(before) == (PEOPLE[4],)
    assert before.beyond(after) == (PEOPLE[2],)
    assert before.addresses == {PEOPLE[1], PEOPLE[2], PEOPLE[3]}
