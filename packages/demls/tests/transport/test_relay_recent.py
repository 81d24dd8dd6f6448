"""The newest envelopes in memory: complete above the floor, bounded, silent about what it cannot know."""

from __future__ import annotations

from demls.transport.relay_recent import Recent
from demls.wire.ids import Topic

ONE = Topic(b"1" * 32)
TWO = Topic(b"2" * 32)


def test_what_came_after_a_position_is_found_in_order_topic_by_topic() -> None:
    recent = Recent(10_000, floor=5)
    for seq in range(6, 12):
        recent.add(seq, TWO if seq % 2 else ONE, b"%d" % seq)
    assert recent.after(ONE, 5) == [(6, b"6"), (8, b"8"), (10, b"10")]
    assert recent.after(ONE, 8) == [(10, b"10")]
    assert recent.after(TWO, 11) == []
    assert recent.after(Topic(b"3" * 32), 7) == []


def test_below_the_floor_only_the_log_knows() -> None:
    recent = Recent(10 * (64 + 36), floor=0)
    for seq in range(1, 31):
        recent.add(seq, ONE, bytes(36))
    assert recent.floor == 20
    assert recent.after(ONE, 19) is None
    assert [seq for seq, _ in recent.after(ONE, 20) or []] == list(range(21, 31))


def test_whoever_is_far_behind_in_one_topic_is_sent_to_the_log() -> None:
    recent = Recent(10_000_000, floor=0)
    for seq in range(1, 2_001):
        recent.add(seq, ONE, b"")
    assert recent.after(ONE, 0) is None
    assert len(recent.after(ONE, 1_000) or []) == 1_000


def test_an_envelope_larger_than_the_bound_is_not_kept() -> None:
    recent = Recent(1_000, floor=0)
    recent.add(1, ONE, bytes(5_000))
    assert recent.after(ONE, 0) is None
    assert recent.after(ONE, 1) == []
