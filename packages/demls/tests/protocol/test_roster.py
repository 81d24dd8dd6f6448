"""Who is a member: what is taken from the roster before, and what is read anew."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from demls.protocol import roster as module
from demls.protocol.roster import Roster
from demls.wire.ids import Epoch
from demls.wire.messages import Credential, encode_message


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
