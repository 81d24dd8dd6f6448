"""How old keys are, as people read it."""

from __future__ import annotations

import pytest
from demls.node import keys, timeline
from demls.node.timeline import Context
from demls.node.words import ago
from demls.protocol.events import KeysRenewed
from demls.protocol.policy import DAY, HOUR, MINUTE
from demls.wire.ids import Address, Epoch, Instant
from sights import BOB, member_view

NOW = Instant(1_800_000_000_000)


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (0, "just now"),
        (-5, "just now"),
        (MINUTE, "1 minute ago"),
        (59 * MINUTE, "59 minutes ago"),
        (HOUR, "1 hour ago"),
        (3 * DAY + HOUR, "3 days ago"),
    ],
)
def test_times_gone_by(age: int, words: str) -> None:
    assert ago(age) == words


def test_each_members_keys_have_an_age() -> None:
    view = member_view(keys_epoch=Epoch(4), keys_at=Instant(NOW - 6 * DAY))
    assert keys.sentence(view, NOW) == "Keys renewed 6 days ago."
    mine = member_view(is_self=True, keys_epoch=Epoch(4), keys_at=Instant(NOW - 6 * DAY))
    assert keys.sentence(mine, NOW) == "Your keys in this group were renewed 6 days ago."
    assert keys.sentence(member_view(), NOW) == ""
    assert keys.remarks(mine, NOW) == []


def test_old_keys_and_old_bindings_are_marked_in_words() -> None:
    old = member_view(keys_epoch=Epoch(4), keys_at=Instant(NOW - 40 * DAY))
    assert keys.remarks(old, NOW) == ["keys not renewed for 40 days"]
    over = member_view(binding_ends=NOW)
    assert keys.remarks(over, NOW) == ["wallet's statement for this device has ended"]
    soon = Instant(NOW + 20 * DAY)
    assert keys.remarks(member_view(binding_ends=soon), NOW) == []
    assert "renew your keys" in keys.remarks(member_view(binding_ends=soon, is_self=True), NOW)[0]


def test_only_the_own_new_keys_are_told() -> None:
    other = Address(b"o" * 20)
    for members, lines in (((BOB,), 1), ((other,), 0), ((other, BOB), 1)):
        context = Context(BOB, lambda address: "", {})
        told = timeline.rows("g", [KeysRenewed(Epoch(7), members)], context, NOW)
        assert len(told) == lines
        assert all(row.kind == "quiet" for row in told)
