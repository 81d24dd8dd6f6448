"""How are signatures checked?"""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from demls_consensus import (
    Ed25519Scheme,
    SignatureScheme,
    WalletScheme,
    wallet_address,
    wallet_recover,
    wallet_sign,
)
from hypothesis import given, settings
from hypothesis import strategies as st

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
WALLET_KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
keys = st.integers(1, CURVE_ORDER - 1).map(lambda number: number.to_bytes(32, "big"))


def ed25519_pair(seed: bytes) -> tuple[Ed25519PrivateKey, bytes]:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return private, private.public_key().public_bytes_raw()


def test_ed25519_knows_the_first_vector_of_rfc_8032() -> None:
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    signature = bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert Ed25519Scheme().verify(public, b"", signature)
    assert not Ed25519Scheme().verify(public, b"x", signature)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100), st.data())
@settings(deadline=None, max_examples=50)
def test_ed25519_accepts_its_signature_and_no_damaged_one(seed: bytes, content: bytes, data: st.DataObject) -> None:
    private, public = ed25519_pair(seed)
    signature = bytearray(private.sign(content))
    assert Ed25519Scheme().verify(public, content, bytes(signature))
    signature[data.draw(st.integers(0, 63))] ^= data.draw(st.integers(1, 255))
    assert not Ed25519Scheme().verify(public, content, bytes(signature))


@pytest.mark.parametrize("scheme", [Ed25519Scheme(), WalletScheme()], ids=["ed25519", "wallet"])
@given(key=st.binary(max_size=70), content=st.binary(max_size=70), signature=st.binary(max_size=70))
@settings(deadline=None)
def test_garbage_is_a_bad_signature_and_no_error(
    scheme: SignatureScheme, key: bytes, content: bytes, signature: bytes
) -> None:
    assert not scheme.verify(key, content, signature)
    assert not scheme.verify(key, content, signature[:20].ljust(64, b"\xff") + b"\x1b")
    assert scheme.verify_batch([(key, content, signature)] * 2) == [False, False]


def test_a_batch_says_of_each_item_what_the_single_check_says() -> None:
    pairs = [ed25519_pair(bytes([index]) * 32) for index in range(4)]
    items = [(public, b"content", private.sign(b"content")) for private, public in pairs]
    items[2] = (items[2][0], b"other content", items[2][2])
    assert Ed25519Scheme().verify_batch(items) == [True, True, False, True]
    address = wallet_address(WALLET_KEY)
    wallet_items = [(address, b"a", wallet_sign(WALLET_KEY, b"a")), (address, b"b", wallet_sign(WALLET_KEY, b"a"))]
    assert WalletScheme().verify_batch(wallet_items) == [True, False]
    assert WalletScheme().verify_batch([]) == Ed25519Scheme().verify_batch([]) == []


def test_a_wallet_signs_like_the_golden_vector_of_the_reference_crates() -> None:
    content = bytes.fromhex(
        "a00184868808aa0114f39fd6e51aad88f6f4ce6ab8827279cfffb92266b0018d98ac50b80180e2cfaa06c00101"
        "da0120d68b8f98f77931fbbc9fbb8f0f615493f37a2542f55e5187bcfbeb28b52f8fae"
    )
    signature = bytes.fromhex(
        "485b66523e9e0ac492370a0f1a784e4cb6ecec00f663319203b59c3590ba527d"
        "781139458c60fa58dd8bfa966c51ec00bbbe73ee26f11344d19bf0e95346f7aa1c"
    )
    assert wallet_address(WALLET_KEY).hex() == "f39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    assert wallet_sign(WALLET_KEY, content) == signature
    assert wallet_recover(content, signature) == wallet_address(WALLET_KEY)


@given(keys, st.binary(max_size=200))
@settings(deadline=None, max_examples=50)
def test_a_wallet_signature_leads_back_to_its_address_in_every_accepted_form(key: bytes, message: bytes) -> None:
    signature, address = wallet_sign(key, message), wallet_address(key)
    parity = signature[64] - 27
    assert parity in (0, 1)
    assert int.from_bytes(signature[32:64], "big") <= CURVE_ORDER // 2
    for v in (parity, 27 + parity, 35 + parity, 37 + parity, 253 + parity):
        assert wallet_recover(message, signature[:64] + bytes([v])) == address
        assert WalletScheme().verify(address, message, signature[:64] + bytes([v]))
    high_s = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    flipped = signature[:32] + high_s.to_bytes(32, "big") + bytes([27 + (1 - parity)])
    assert wallet_recover(message, flipped) == address


@pytest.mark.parametrize("v", [*range(2, 27), *range(29, 35)])
def test_other_recovery_bytes_are_refused(v: int) -> None:
    signature = wallet_sign(WALLET_KEY, b"message")
    assert wallet_recover(b"message", signature[:64] + bytes([v])) is None


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\x00" * 64,
        b"\x00" * 66,
        b"\x00" * 64 + b"\x1b",
        b"\x00" * 32 + b"\x01" * 32 + b"\x1b",
        b"\x01" * 32 + b"\x00" * 32 + b"\x1b",
        CURVE_ORDER.to_bytes(32, "big") + b"\x01" * 32 + b"\x1b",
        b"\x01" * 32 + CURVE_ORDER.to_bytes(32, "big") + b"\x1b",
        b"\xff" * 65,
    ],
)
def test_numbers_that_are_no_signature_lead_to_no_address(signature: bytes) -> None:
    assert wallet_recover(b"message", signature) is None


def test_a_wallet_signature_fits_one_message_and_one_address_of_20_bytes() -> None:
    signature, address = wallet_sign(WALLET_KEY, b"message"), wallet_address(WALLET_KEY)
    assert not WalletScheme().verify(address, b"another", signature)
    assert not WalletScheme().verify(b"\x00" * 20, b"message", signature)
    assert not WalletScheme().verify(address + b"\x00", b"message", signature)


@pytest.mark.parametrize("key", [b"", b"\x01" * 31, b"\x01" * 33, b"\x00" * 32, CURVE_ORDER.to_bytes(32, "big")])
def test_what_is_no_private_key_is_an_error_of_the_caller(key: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        wallet_sign(key, b"message")
    with pytest.raises(ValueError, match=r"."):
        wallet_address(key)
