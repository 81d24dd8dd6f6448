"""Wallets: created or imported, signing what people can read, never showing the key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from demls.identity.errors import IdentityError, KeystoreDamaged, KeystoreMissing, WrongPassword
from demls.identity.wallet import IMPORT_WARNING, Wallet
from demls.wire.ids import address_text
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_keyfile.keyfile import create_keyfile_json

SECRET = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
ADDRESS = "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23"


def test_fresh_wallets_differ_and_sign_what_others_can_verify() -> None:
    one, other = Wallet.create(), Wallet.create()
    assert one.address != other.address
    for text in ("demls device binding\n\nWallet: 0x…", "", "ünï©ode 🗳"):
        signature = one.sign_text(text)
        assert len(signature) == 65
        assert signature[64] in (27, 28)
        recovered = Account.recover_message(encode_defunct(text=text), signature=signature)
        assert recovered.lower() == address_text(one.address)


@pytest.mark.parametrize("text", [SECRET, "0x" + SECRET, f"  {SECRET.upper()}\n"])
def test_a_wallet_is_imported_from_hexadecimal_digits(text: str) -> None:
    assert address_text(Wallet.from_hex(text).address) == ADDRESS


@pytest.mark.parametrize("text", ["", "0x", SECRET[:-1], SECRET + "0", "g" * 64, "0" * 64, "f" * 64, "0x0x" + SECRET])
def test_what_is_no_wallet_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(IdentityError, match="not a wallet key") as caught:
        Wallet.from_hex(text)
    assert SECRET[:16] not in str(caught.value)


@pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2"])
def test_a_wallet_is_imported_from_another_programs_keystore_file(tmp_path: Path, kdf: str) -> None:
    path = tmp_path / "UTC--2020"
    content = create_keyfile_json(bytes.fromhex(SECRET), "pässword".encode(), kdf=kdf, iterations=1024)  # type: ignore[arg-type]
    path.write_text(json.dumps({key.upper(): value for key, value in content.items()}))
    assert address_text(Wallet.from_keystore_file(path, "pässword".encode()).address) == ADDRESS
    with pytest.raises(WrongPassword):
        Wallet.from_keystore_file(path, b"password")
    with pytest.raises(KeystoreMissing):
        Wallet.from_keystore_file(tmp_path / "missing", b"password")
    path.write_text("{}")
    with pytest.raises(KeystoreDamaged):
        Wallet.from_keystore_file(path, b"password")


def test_the_standards_own_test_vector_is_read(tmp_path: Path) -> None:
    """From the Web3 Secret Storage Definition, PBKDF2 case."""
    path = tmp_path / "vector.json"
    path.write_text(
        json.dumps(
            {
                "crypto": {
                    "cipher": "aes-128-ctr",
                    "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
                    "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
                    "kdf": "pbkdf2",
                    "kdfparams": {
                        "c": 262144,
                        "dklen": 32,
                        "prf": "hmac-sha256",
                        "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
                    },
                    "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
                },
                "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
                "version": 3,
            }
        )
    )
    wallet = Wallet.from_keystore_file(path, b"testpassword")
    assert wallet.secret().hex() == "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"


def test_neither_repr_nor_attributes_show_the_key() -> None:
    wallet = Wallet.from_hex(SECRET)
    assert repr(wallet) == f"Wallet({ADDRESS})"
    assert SECRET not in f"{wallet!r} {wallet}"
    assert not hasattr(wallet, "__dict__")


def test_the_warning_before_an_import_says_what_it_reveals() -> None:
    assert "past on the chain" in IMPORT_WARNING
