"""Binding a device: everybody verifies what the wallet signed, and it fits no other key, device or date."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from demls.identity.device import BINDING_DURATION, bind_device
from demls.identity.wallet import Wallet
from demls.protocol.credential import BINDING_EXTENSION, BINDING_VALIDITY, CredentialRefused, check_leaf
from demls.wire.ids import Duration, Instant, LeafKey
from demls.wire.messages import Binding, Credential, encode_message

NOW = Instant(1_700_000_000_000)
LEAF = LeafKey(bytes(range(32)))


def check(
    wallet: Wallet, binding: Binding, *, leaf: LeafKey = LEAF, device: str = "laptop", now: Instant = NOW
) -> None:
    identity = encode_message(Credential(wallet.address, device, "Alice"))
    check_leaf(identity, leaf, {BINDING_EXTENSION: encode_message(binding)}, now)


def test_a_binding_verifies_until_it_expires() -> None:
    wallet = Wallet.create()
    binding = bind_device(wallet, LEAF, "laptop", NOW)
    assert (binding.issued, binding.expires) == (NOW, NOW + BINDING_DURATION)
    check(wallet, binding)
    check(wallet, binding, now=Instant(NOW + BINDING_DURATION - 1))
    with pytest.raises(CredentialRefused, match="expired"):
        check(wallet, binding, now=Instant(NOW + BINDING_DURATION))


def test_a_binding_fits_no_other_wallet_key_device_or_date() -> None:
    wallet = Wallet.create()
    binding = bind_device(wallet, LEAF, "laptop", NOW)
    later = Binding(binding.issued, binding.expires + 1, binding.signature)
    attempts: tuple[Callable[[], None], ...] = (
        lambda: check(Wallet.create(), binding),
        lambda: check(wallet, binding, leaf=LeafKey(bytes(32))),
        lambda: check(wallet, binding, device="phone"),
        lambda: check(wallet, later),
    )
    for attempt in attempts:
        with pytest.raises(CredentialRefused, match="not signed"):
            attempt()


def test_the_default_duration_is_one_that_others_accept() -> None:
    assert BINDING_DURATION <= BINDING_VALIDITY


def test_another_duration_can_be_chosen() -> None:
    wallet = Wallet.create()
    binding = bind_device(wallet, LEAF, "laptop", NOW, duration=Duration(1_000))
    assert binding.expires == NOW + 1_000
    check(wallet, binding)


@pytest.mark.parametrize("name", ["", "two\nlines", "\x1b[31m", "x" * 65, "ü" * 33])
def test_a_device_name_that_would_garble_the_sentence_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="device's name"):
        bind_device(Wallet.create(), LEAF, name, NOW)


def test_a_leaf_key_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        bind_device(Wallet.create(), LeafKey(bytes(31)), "laptop", NOW)
