"""A leaf speaks for a person only with the person's wallet behind it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from demls.protocol.credential import (
    BINDING_EXTENSION,
    CredentialRefused,
    Device,
    binding_sentence,
    check_leaf,
    credential_date,
    parse_credential,
)
from demls.protocol.policy import DAY, MINUTE
from demls.wire.ids import Address, Instant, LeafKey
from demls.wire.messages import Binding, Credential, encode_message
from demls_consensus import wallet_sign
from demls_engine import Engine
from hypothesis import given
from hypothesis import strategies as st
from world import START, make_device

WALLET = b"w" * 32
ENGINE = Engine(bytes(32))


@pytest.fixture
def device() -> Device:
    return make_device(ENGINE, WALLET, "Alice", START)


def bound(device: Device, issued: int, expires: int, wallet: bytes = WALLET) -> Device:
    sentence = binding_sentence(device.address, device.leaf_key, device.device, Instant(issued), Instant(expires))
    return replace(device, binding=Binding(issued, expires, wallet_sign(wallet, sentence.encode())))


def check(device: Device, now: int | None = START) -> Credential:
    at = None if now is None else Instant(now)
    return check_leaf(device.credential(), device.leaf_key, device.extensions(), at)


def test_a_device_that_its_wallet_bound_passes(device: Device) -> None:
    assert check(device) == Credential(device.address, "laptop", "Alice")


def test_the_wallet_signs_a_sentence_that_people_can_read(device: Device) -> None:
    sentence = binding_sentence(device.address, device.leaf_key, "laptop", START, Instant(START + DAY))
    assert sentence.startswith("demls ")
    for part in (device.address.hex(), device.leaf_key.hex(), "laptop", "2027-01-15T08:00:00.000Z"):
        assert part in sentence


REFUSED: dict[str, tuple[Callable[[Device], Device], str]] = {
    "of another wallet": (lambda d: bound(d, START, START + DAY, b"x" * 32), "not signed by the wallet"),
    "for another key": (lambda d: replace(d, leaf_key=LeafKey(b"k" * 32)), "not signed by the wallet"),
    "for another device": (lambda d: replace(d, device="phone"), "not signed by the wallet"),
    "for another address": (lambda d: replace(d, address=Address(b"a" * 20)), "not signed by the wallet"),
    "with other dates": (
        lambda d: replace(d, binding=replace(d.binding, expires=d.binding.expires - 1)),
        "not signed by the wallet",
    ),
    "that has expired": (lambda d: bound(d, START - DAY, START), "has expired"),
    "that begins later": (lambda d: bound(d, START + MINUTE + 1, START + DAY), "begins in the future"),
    "that lasts too long": (lambda d: bound(d, START, START + 366 * DAY + 1), "longer than a year"),
    "that ends before it begins": (lambda d: bound(d, START, START - 1), "for no time at all"),
    "that lasts no time": (lambda d: bound(d, START, START), "for no time at all"),
    "without a signature": (lambda d: replace(d, binding=replace(d.binding, signature=bytes(65))), "not signed"),
    "with dates that no calendar has": (
        lambda d: replace(d, binding=Binding(2**63, 2**63 + 1, bytes(65))),
        r"out of range|in the future",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_binding_is_refused(case: str, device: Device) -> None:
    change, sentence = REFUSED[case]
    with pytest.raises(CredentialRefused, match=sentence):
        check(change(device))


@pytest.mark.parametrize("case", ["that has expired", "that begins later"])
def test_dates_do_not_matter_for_who_is_in(case: str, device: Device) -> None:
    assert check(REFUSED[case][0](device), None).address == device.address


def test_a_binding_counts_from_a_minute_before_it_begins_to_its_last_millisecond(device: Device) -> None:
    check(bound(device, START + MINUTE, START + DAY))
    check(bound(device, START - DAY, START + 1))


EXTENSIONS = {
    "missing": ({}, "is missing"),
    "unreadable": ({BINDING_EXTENSION: b"binding"}, "cannot be read"),
    "under another number": ({BINDING_EXTENSION + 1: b""}, "is missing"),
}


@pytest.mark.parametrize("case", EXTENSIONS)
def test_a_leaf_without_a_binding_is_refused(case: str, device: Device) -> None:
    extensions, sentence = EXTENSIONS[case]
    with pytest.raises(CredentialRefused, match=sentence):
        check_leaf(device.credential(), device.leaf_key, extensions, START)


@pytest.mark.parametrize(
    "identity",
    [
        b"",
        b"alice",
        encode_message(Credential(b"a" * 20, "laptop", "Al\nice")),
        encode_message(Credential(b"a" * 20, "\x00", "")),
    ],
)
def test_a_credential_that_cannot_be_shown_is_refused(identity: bytes) -> None:
    with pytest.raises(CredentialRefused):
        parse_credential(identity)


def test_a_device_does_not_print_its_secret(device: Device) -> None:
    assert device.leaf_private.hex() not in repr(device)
    assert repr(device.leaf_private) not in repr(device)


@given(st.integers(0, 253_402_300_799_999))
def test_a_date_is_shown_to_the_millisecond(at: int) -> None:
    seconds, rest = divmod(at, 1000)
    assert credential_date(at) == time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:03d}Z"


def test_a_date_beyond_all_calendars_is_refused() -> None:
    for at in (253_402_300_800_000, (1 << 64) - 1):
        with pytest.raises(CredentialRefused, match="out of range"):
            credential_date(at)
