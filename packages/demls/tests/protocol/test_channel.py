"""Sealed, padded envelopes show nothing to outsiders."""

from __future__ import annotations

import pytest
from demls.protocol.channel import channel_of, joiner_channel, padded_size, seal, unseal
from demls.wire.messages import Frame, JoinAnswer, KeyPackageRequest, PrivateMessage, encode_message
from demls_engine import Engine

ENGINE = Engine(bytes(32))
CHANNEL = channel_of(b"s" * 32)
MESSAGE = KeyPackageRequest(b"r" * 32)

SIZES = [
    (0, 176),
    (172, 176),
    (173, 256),
    (252, 256),
    (253, 512),
    (508, 512),
    (509, 1024),
    (32 * 1024 - 4, 32 * 1024),
    (32 * 1024 - 3, 64 * 1024),
    (64 * 1024 - 4, 64 * 1024),
    (64 * 1024 - 3, 80 * 1024),
    (80 * 1024 - 4, 80 * 1024),
    (80 * 1024 - 3, 96 * 1024),
]


@pytest.mark.parametrize(("size", "padded"), SIZES)
def test_sizes_are_padded_to_classes(size: int, padded: int) -> None:
    assert padded_size(size) == padded


@pytest.mark.parametrize("length", [1, 100, 300, 5_000, 60_000, 100_000])
def test_what_is_sealed_is_opened_and_has_the_size_of_its_class(length: int) -> None:
    message = PrivateMessage(b"m" * length)
    sealed = seal(CHANNEL, message, ENGINE)
    overhead = len(ENGINE.seal(CHANNEL.key, b"", CHANNEL.topic))
    assert len(sealed) - overhead == padded_size(len(encode_message(Frame(message))))
    assert unseal(CHANNEL, sealed, ENGINE) == message


def test_messages_of_one_class_have_one_size() -> None:
    sizes = {len(seal(CHANNEL, JoinAnswer("x" * n, bytes(20), bytes(64)), ENGINE)) for n in range(1, 60)}
    assert len(sizes) == 1


def test_nothing_opens_on_another_channel() -> None:
    sealed = seal(CHANNEL, MESSAGE, ENGINE)
    other = channel_of(b"x" * 32)
    assert unseal(other, sealed, ENGINE) is None
    assert unseal(type(CHANNEL)(other.topic, CHANNEL.key), sealed, ENGINE) is None


def _sealed(padded: bytes) -> bytes:
    return ENGINE.seal(CHANNEL.key, padded, CHANNEL.topic)


FRAME = encode_message(Frame(MESSAGE))
FRAMED = len(FRAME).to_bytes(4, "big") + FRAME

MALFORMED = {
    "nothing": b"",
    "three bytes": b"abc",
    "no padding": FRAMED,
    "padding of another class": FRAMED.ljust(512, b"\0"),
    "padding that is not zero at its end": FRAMED.ljust(175, b"\0") + b"x",
    "padding that is not zero at its beginning": (FRAMED + b"x").ljust(176, b"\0"),
    "a length beyond the end": (2**32 - 1).to_bytes(4, "big").ljust(176, b"\0"),
    "a length that is too short": (len(FRAME) - 1).to_bytes(4, "big").ljust(4) + FRAME.ljust(172, b"\0"),
    "a frame that is no frame": (5).to_bytes(4, "big") + b"hello".ljust(172, b"\0"),
    "an empty frame": (0).to_bytes(4, "big").ljust(176, b"\0"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_sealed_by_a_member_but_malformed_is_not_opened(case: str) -> None:
    assert unseal(CHANNEL, _sealed(MALFORMED[case]), ENGINE) is None


def test_a_well_formed_frame_is_opened() -> None:
    assert unseal(CHANNEL, _sealed(FRAMED.ljust(176, b"\0")), ENGINE) == MESSAGE


def test_topics_say_nothing_of_keys_and_a_channel_does_not_print_its_key() -> None:
    assert CHANNEL.topic != CHANNEL.key
    assert CHANNEL.key.hex() not in repr(CHANNEL)
    assert joiner_channel(b"one") != joiner_channel(b"other")
