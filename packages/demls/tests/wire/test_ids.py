"""Addresses as people write them."""

import pytest
from demls.wire.ids import address_text, parse_address

RAW = bytes(range(20))
TEXT = "0x000102030405060708090a0b0c0d0e0f10111213"


def test_an_address_is_written_with_0x() -> None:
    assert address_text(RAW) == TEXT


@pytest.mark.parametrize("text", [TEXT, TEXT.upper(), TEXT.removeprefix("0x"), f"  {TEXT}\n", "0X" + TEXT[2:]])
def test_an_address_is_read_however_it_is_written(text: str) -> None:
    assert parse_address(text) == RAW


@pytest.mark.parametrize("text", ["", "0x", "0x12", TEXT + "00", TEXT[:-1], "alice", "0x" + "g" * 40])
def test_what_is_no_address_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is not a wallet address: it has 40 hexadecimal digits"):
        parse_address(text)
