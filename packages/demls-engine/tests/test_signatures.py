"""Signatures of leaf keys are judged by the ZIP 215 rules, alone and in batches."""

import json
import os
from itertools import product
from pathlib import Path

import pytest
from demls_engine import Engine
from hypothesis import given
from hypothesis import strategies as st

ENGINE = Engine(b"\0" * 32)
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
FIELD = 2**255 - 19
ORDER_EIGHT_Y = (
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
)


def encoded_point(y: int, sign: int) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


def small_order_points() -> list[bytes]:
    """All 14 encodings of points of order 1, 2, 4 and 8; those of y >= p and of "negative zero" included."""
    known = [int.from_bytes(bytes.fromhex(y), "little") for y in ORDER_EIGHT_Y]
    ys = [1, FIELD - 1, 0, FIELD, FIELD + 1, *known]
    return [encoded_point(y, sign) for y in ys for sign in (0, 1)]


@pytest.mark.parametrize("public", small_order_points())
def test_small_order_points_verify_as_zip_215_says(public: bytes) -> None:
    """With the cofactor every such signature holds; implementations without it disagree among each other."""
    signatures = [point + bytes(32) for point in small_order_points()]
    items = [(public, "label", b"Zcash", signature) for signature in signatures]
    assert [ENGINE.verify(*item) for item in items] == [True] * 14
    assert ENGINE.verify_batch(items) == [True] * 14


def test_a_scalar_that_is_not_reduced_is_refused() -> None:
    key = ENGINE.signature_key()
    signature = ENGINE.sign(key.private, "label", b"content")
    scalar = int.from_bytes(signature[32:], "little") + GROUP_ORDER
    other = signature[:32] + scalar.to_bytes(32, "little")
    assert ENGINE.verify(key.public, "label", b"content", signature)
    assert not ENGINE.verify(key.public, "label", b"content", other)
    assert ENGINE.verify_batch([(key.public, "label", b"content", other)]) == [False]


def test_what_a_key_has_signed_before_proves_nothing() -> None:
    key, other = ENGINE.signature_key(), ENGINE.signature_key()
    signed = [
        (key.public, "label", content, ENGINE.sign(key.private, "label", content)) for content in (b"one", b"two")
    ]
    of_other = (other.public, "label", b"one", ENGINE.sign(other.private, "label", b"one"))
    assert ENGINE.verify_batch([*signed, of_other]) == [True] * 3
    swapped = [(key.public, "label", b"two", signed[0][3]), (other.public, "label", b"two", signed[1][3])]
    assert ENGINE.verify_batch([*signed, *swapped, of_other]) == [True, True, False, False, True]
    assert ENGINE.verify_batch([*signed, *signed]) == [True] * 4


def crafted_items() -> list[tuple[bytes, str, bytes, bytes]]:
    key = ENGINE.signature_key()
    honest = ENGINE.sign(key.private, "label", b"content")
    publics = [key.public, *small_order_points()[:4], b"\xff" * 32, b"\x02" + bytes(31), b"", bytes(33)]
    signatures = [
        honest,
        honest[:32] + small_order_points()[0],
        small_order_points()[5] + honest[32:],
        small_order_points()[7] + bytes(32),
        b"\xff" * 64,
        b"",
        bytes(63),
    ]
    return [(public, "label", b"content", signature) for public, signature in product(publics, signatures)]


CRAFTED = crafted_items()


@given(st.lists(st.sampled_from(CRAFTED), max_size=12))
def test_a_batch_always_says_what_single_verification_says(items: list[tuple[bytes, str, bytes, bytes]]) -> None:
    assert ENGINE.verify_batch(items) == [ENGINE.verify(*item) for item in items]


@given(st.binary(max_size=64), st.text(max_size=300), st.binary(max_size=20_000))
def test_labels_and_contents_of_any_length_can_be_signed(public: bytes, label: str, content: bytes) -> None:
    key = ENGINE.signature_key()
    signature = ENGINE.sign(key.private, label, content)
    assert ENGINE.verify(key.public, label, content, signature)
    assert not ENGINE.verify(key.public, label + "x", content, signature)
    assert not ENGINE.verify(key.public, label, content + b"x", signature)
    assert public == key.public or not ENGINE.verify(public, label, content, signature)


def test_label_and_content_cannot_be_moved_into_each_other() -> None:
    key = ENGINE.signature_key()
    signature = ENGINE.sign(key.private, "ab", b"c")
    assert not ENGINE.verify(key.public, "a", b"bc", signature)


@pytest.mark.skipif("DEMLS_MLS_VECTORS" not in os.environ, reason="no folder with the working group's vectors is named")
def test_the_working_group_vectors_of_sign_with_label_hold() -> None:
    file = Path(os.environ["DEMLS_MLS_VECTORS"]) / "crypto-basics.json"
    vectors = [vector for vector in json.loads(file.read_text()) if vector["cipher_suite"] in (1, 3)]
    assert len(vectors) == 2
    for vector in vectors:
        case = vector["sign_with_label"]
        private, public, content, signature = (
            bytes.fromhex(case[name]) for name in ("priv", "pub", "content", "signature")
        )
        assert ENGINE.verify(public, case["label"], content, signature)
        assert ENGINE.sign(private[:32], case["label"], content) == signature
