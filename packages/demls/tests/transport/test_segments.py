"""Segmentation: anything travels, nothing false is believed, nothing grows without bound, no restart loses anything."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest
from demls.transport.base import EnvelopeRefused
from demls.transport.segments import (
    FRAME_BYTES_MIN,
    PAYLOAD_BYTES_MAX,
    Complete,
    FrameRefused,
    Reassembler,
    ReassemblyLimits,
    Segment,
    parse_frame,
    split,
)
from demls.wire.ids import Cursor, Topic
from hypothesis import given
from hypothesis import strategies as st

TOPIC = Topic(b"t" * 32)
SMALL = FRAME_BYTES_MIN
OTHER = Topic(b"o" * 32)


def cursor(number: int) -> Cursor:
    return Cursor(number.to_bytes(8, "big"))


def feed(reassembler: Reassembler, frames: list[bytes], start: int = 0, topic: Topic = TOPIC) -> list[Complete]:
    results = [reassembler.add(topic, cursor(start + place + 1), frame) for place, frame in enumerate(frames)]
    return [result for result in results if result is not None]


def payload_of(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


@given(st.integers(0, 60_000), st.integers(FRAME_BYTES_MIN, 20_000), st.randoms(use_true_random=False))
def test_a_payload_arrives_whole_whatever_the_order_and_the_copies_of_its_frames(
    size: int, limit: int, shuffled: random.Random
) -> None:
    payload = payload_of(size, size)
    frames = split(payload, limit)
    assert all(len(frame) <= limit for frame in frames)
    arriving = frames + shuffled.choices(frames, k=2)
    shuffled.shuffle(arriving)
    reassembler = Reassembler()
    reassembler.begin(TOPIC, Cursor(b""))
    complete = feed(reassembler, arriving)
    assert complete
    assert all(found.payload == payload for found in complete)


@given(st.one_of(st.binary(max_size=2_000), st.binary(max_size=300).map(lambda data: b"\x01\x00\x00" + data)))
def test_any_bytes_are_a_frame_or_are_refused(data: bytes) -> None:
    try:
        parsed = parse_frame(data)
    except FrameRefused:
        return
    assert isinstance(parsed, bytes | Segment)


@given(st.data())
def test_a_changed_segment_is_refused_or_belongs_to_another_payload(data: st.DataObject) -> None:
    frame = data.draw(st.sampled_from(split(payload_of(1, 30_000), SMALL)))
    place = data.draw(st.integers(0, len(frame) - 1))
    changed = bytearray(frame)
    changed[place] ^= data.draw(st.integers(1, 255))
    original = parse_frame(frame)
    assert isinstance(original, Segment)
    try:
        parsed = parse_frame(bytes(changed))
    except FrameRefused:
        return
    assert isinstance(parsed, bytes) or parsed.name != original.name


def test_false_pieces_injected_by_others_do_not_spoil_a_payload() -> None:
    payload = payload_of(2, 20_000)
    frames = split(payload, SMALL)
    false = [frame[:-1] + bytes((frame[-1] ^ 1,)) for frame in frames]
    reassembler = Reassembler()
    reassembler.begin(TOPIC, Cursor(b""))
    mixed = [frame for pair in zip(false, frames, strict=True) for frame in pair]
    assert [found.payload for found in feed(reassembler, mixed)] == [payload]
    assert reassembler.refused_count == len(false)


def test_a_payload_that_is_too_large_is_refused_with_a_sentence() -> None:
    with pytest.raises(EnvelopeRefused, match="send a smaller one"):
        split(bytes(PAYLOAD_BYTES_MAX + 1), 256 * 1024)
    with pytest.raises(EnvelopeRefused, match="send a smaller one"):
        split(bytes(PAYLOAD_BYTES_MAX), FRAME_BYTES_MIN)
    assert len(split(bytes(PAYLOAD_BYTES_MAX), 256 * 1024)) < 70


def test_the_largest_payload_arrives_within_the_default_bounds() -> None:
    payload = payload_of(3, PAYLOAD_BYTES_MAX)
    reassembler = Reassembler()
    reassembler.begin(TOPIC, Cursor(b""))
    (complete,) = feed(reassembler, split(payload, 256 * 1024))
    assert sha256(complete.payload).digest() == sha256(payload).digest()
    assert reassembler.size == 0


def test_incomplete_payloads_are_bounded_in_bytes_and_a_flood_costs_only_its_own_topic() -> None:
    reassembler = Reassembler(ReassemblyLimits(bytes_max=100_000))
    reassembler.begin(TOPIC, Cursor(b""))
    reassembler.begin(OTHER, Cursor(b""))
    wanted = payload_of(4, 15_000)
    frames = split(wanted, SMALL)
    feed(reassembler, frames[:-1], topic=OTHER)
    for seed in range(100):
        feed(reassembler, split(payload_of(seed, 15_000), SMALL)[:-1])
        assert reassembler.size <= 100_000
    assert reassembler.given_up_count > 0
    assert [found.payload for found in feed(reassembler, frames[-1:], topic=OTHER)] == [wanted]


def test_incomplete_payloads_are_bounded_in_number_and_the_smallest_goes_first() -> None:
    reassembler = Reassembler(ReassemblyLimits(open_max=3))
    reassembler.begin(TOPIC, Cursor(b""))
    wanted = payload_of(5, 40_000)
    frames = split(wanted, SMALL)
    feed(reassembler, frames[:-1])
    for seed in range(50):
        feed(reassembler, split(payload_of(seed, 6_000), SMALL)[:1])
    assert reassembler.given_up_count == 48
    assert [found.payload for found in feed(reassembler, frames[-1:])] == [wanted]


def test_an_incomplete_payload_holds_the_cursor_back_only_as_long_as_patience_lasts() -> None:
    reassembler = Reassembler(ReassemblyLimits(patience=10))
    reassembler.begin(TOPIC, cursor(7))
    feed(reassembler, split(payload_of(6, 20_000), SMALL)[:1], start=7)
    results = feed(reassembler, [split(b"small", SMALL)[0]] * 12, start=8)
    assert results[0].cursor == cursor(7)
    assert results[-1].cursor == cursor(20)


def test_stray_copies_of_a_complete_payload_hold_no_cursor_back_and_a_whole_copy_arrives_again() -> None:
    payload = payload_of(7, 20_000)
    frames = split(payload, SMALL)
    reassembler = Reassembler()
    reassembler.begin(TOPIC, Cursor(b""))
    feed(reassembler, frames)
    (small,) = feed(reassembler, [frames[0], split(b"small", SMALL)[0]], start=10)
    assert small.cursor == cursor(12)
    (again,) = feed(reassembler, frames[1:], start=12)
    assert again.payload == payload


@given(st.data())
def test_a_restart_from_any_delivered_cursor_loses_nothing(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 15_000), min_size=1, max_size=6))
    payloads = [payload_of(place, size) for place, size in enumerate(sizes)]
    queues = [split(payload, SMALL) for payload in payloads]
    log: list[bytes] = []
    while any(queues):
        queue = data.draw(st.sampled_from([queue for queue in queues if queue]))
        log.append(queue.pop(0))
    got: set[bytes] = set()
    saved = 0
    for _ in range(3):  # two runs that end somewhere, and one to the end
        reassembler = Reassembler()
        reassembler.begin(TOPIC, cursor(saved))
        end = data.draw(st.integers(saved, len(log)))
        for complete in feed(reassembler, log[saved:end], start=saved):
            got.add(complete.payload)
            saved = int.from_bytes(complete.cursor, "big")
    reassembler = Reassembler()
    reassembler.begin(TOPIC, cursor(saved))
    got |= {complete.payload for complete in feed(reassembler, log[saved:], start=saved)}
    assert got == set(payloads)
