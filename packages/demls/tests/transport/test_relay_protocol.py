"""The relay's wire: what is encoded decodes to the same; all else raises the one error."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from demls.transport import relay_protocol as wire
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = st.integers(0, 2**32 - 1)
SEQS = st.integers(0, 2**63 - 1)
TOPICS = st.binary(min_size=32, max_size=32)
REASONS = st.sampled_from(list(wire.Reason))
NODE_FRAMES = st.one_of(
    st.builds(wire.Hello, NUMBERS, NUMBERS),
    st.builds(wire.Publish, NUMBERS, TOPICS, st.binary(max_size=200)),
    st.builds(wire.Subscribe, NUMBERS, TOPICS, SEQS),
    st.builds(wire.Unsubscribe, NUMBERS),
    st.builds(wire.Credit, NUMBERS),
)
RELAY_FRAMES = st.one_of(
    st.builds(wire.Welcome, NUMBERS, st.binary(min_size=16, max_size=16), NUMBERS, NUMBERS),
    st.builds(wire.Accepted, NUMBERS),
    st.builds(wire.Refused, NUMBERS, REASONS, st.text(max_size=100)),
    st.builds(wire.Deliver, NUMBERS, SEQS, st.binary(max_size=200)),
    st.builds(wire.CaughtUp, NUMBERS),
    st.builds(wire.Failed, REASONS, st.text(max_size=100)),
)


@given(st.lists(NODE_FRAMES, min_size=1, max_size=10))
def test_what_a_node_says_is_understood(frames: list[wire.NodeFrame]) -> None:
    assert wire.decode_from_node(wire.encode(frames)) == frames


@given(st.lists(RELAY_FRAMES, min_size=1, max_size=10))
def test_what_a_relay_says_is_understood(frames: list[wire.RelayFrame]) -> None:
    assert wire.decode_from_relay(wire.encode(frames)) == frames


@given(st.one_of(st.binary(max_size=500), st.text(max_size=100)))
def test_any_bytes_are_a_message_or_raise_the_one_error(data: bytes | str) -> None:
    for decode in (wire.decode_from_node, wire.decode_from_relay):
        with contextlib.suppress(wire.NotUnderstood):
            assert decode(data)


@given(st.lists(st.one_of(NODE_FRAMES, RELAY_FRAMES), min_size=1, max_size=4), st.data())
def test_changed_cut_or_lengthened_messages_raise_nothing_but_the_one_error(
    frames: list[wire.NodeFrame | wire.RelayFrame], data: st.DataObject
) -> None:
    message = bytearray(wire.encode(frames))
    place = data.draw(st.integers(0, len(message) - 1))
    message[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(message)))
    for changed in (bytes(message), bytes(message[:cut]), bytes(message) + b"\x00"):
        for decode in (wire.decode_from_node, wire.decode_from_relay):
            with contextlib.suppress(wire.NotUnderstood):
                decode(changed)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(msgspec.msgpack.encode([]), id="no frame"),
        pytest.param(msgspec.msgpack.encode([[2, 1, b"t" * 31, b""]]), id="a short topic"),
        pytest.param(msgspec.msgpack.encode([[3, 1, b"t" * 32, -1]]), id="a negative sequence"),
        pytest.param(msgspec.msgpack.encode([[3, 1, b"t" * 32, 2**63]]), id="a sequence beyond 63 bits"),
        pytest.param(msgspec.msgpack.encode([[1, 1, 0, "more"]]), id="a field too many"),
        pytest.param(msgspec.msgpack.encode([[1, 1]]), id="a field too few"),
        pytest.param(msgspec.msgpack.encode([[99, 1]]), id="an unknown kind"),
        pytest.param(msgspec.msgpack.encode([[18, 1]]), id="a relay's frame"),
        pytest.param(msgspec.msgpack.encode([[5, 1]] * (wire.MESSAGE_FRAMES_MAX + 1)), id="too many frames"),
        pytest.param(b"\x91" * 100_000, id="nested beyond measure"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="an array that claims four thousand million frames"),
        pytest.param(
            b"\x91\x94\x02\x01\xc4\x20" + b"t" * 32 + b"\xc6\xff\xff\xff\xff", id="a payload that claims 4 GB"
        ),
        pytest.param("[[1,1,0]]", id="text"),
    ],
)
def test_a_node_is_refused_that_says(message: bytes | str) -> None:
    with pytest.raises(wire.NotUnderstood):
        wire.decode_from_node(message)
