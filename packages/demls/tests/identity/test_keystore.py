"""The keystore: two standard files, never overwritten, never open to others, hostile ones refused."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from demls.identity.errors import IdentityError, KeystoreDamaged, KeystoreExists, KeystoreMissing, WrongPassword
from demls.identity.keyfile import read_keyfile, write_keyfile
from demls.identity.keystore import Keystore
from demls.identity.wallet import Wallet
from eth_keyfile.keyfile import extract_key_from_keyfile
from hypothesis import given
from hypothesis import strategies as st

N = 1024
PASSWORD = b"correct horse"


@pytest.fixture
def keystore(tmp_path: Path) -> Keystore:
    return Keystore(tmp_path / "node" / "keystore", scrypt_n=N)


def test_what_was_created_is_opened_with_the_password(keystore: Keystore) -> None:
    wallet = Wallet.create()
    assert (keystore.has_wallet, keystore.has_storage_key, keystore.wallet_address()) == (False, False, None)
    storage_key = keystore.create(PASSWORD, wallet)
    assert len(storage_key) == 32
    assert keystore.has_wallet
    assert keystore.has_storage_key
    again = Keystore(keystore.folder)
    assert again.storage_key(PASSWORD) == storage_key
    assert again.wallet(PASSWORD).address == wallet.address
    assert again.wallet_address() == wallet.address


def test_the_storage_key_has_nothing_to_do_with_the_wallet(tmp_path: Path) -> None:
    wallet = Wallet.create()
    keys = {Keystore(tmp_path / str(number), scrypt_n=N).create(PASSWORD, wallet) for number in range(2)}
    assert len(keys) == 2


def test_the_files_are_standard_and_closed_to_others(keystore: Keystore) -> None:
    wallet = Wallet.create()
    keystore.create(PASSWORD, wallet)
    assert keystore.folder.stat().st_mode & 0o777 == 0o700
    assert sorted(file.name for file in keystore.folder.iterdir()) == ["storage.json", "wallet.json"]
    for file in keystore.folder.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
    assert extract_key_from_keyfile(str(keystore.folder / "wallet.json"), PASSWORD) == wallet.secret()
    content = json.loads((keystore.folder / "storage.json").read_text())
    assert content["version"] == 3
    assert content["crypto"]["kdf"] == "scrypt"
    assert "address" not in content, "nobody should take it for a wallet"


def test_a_wrong_password_is_a_sentence_and_reveals_nothing(keystore: Keystore) -> None:
    keystore.create(PASSWORD, Wallet.create())
    for password in (b"", b"battery staple", PASSWORD + b" "):
        for read in (keystore.storage_key, keystore.wallet):
            with pytest.raises(WrongPassword, match="try again") as caught:
                read(password)
            assert "staple" not in str(caught.value)
            assert caught.value.__cause__ is None


def test_nothing_is_ever_overwritten(keystore: Keystore) -> None:
    wallet = Wallet.create()
    storage_key = keystore.create(PASSWORD, wallet)
    for other in (wallet, Wallet.create(), None):
        with pytest.raises(KeystoreExists, match="never overwritten"):
            keystore.create(PASSWORD, other)
    assert keystore.storage_key(PASSWORD) == storage_key
    assert keystore.wallet(PASSWORD).address == wallet.address
    assert len(list(keystore.folder.iterdir())) == 2, "no half-written file is left behind"


def test_a_creation_that_was_cut_off_is_continued_with_the_same_wallet_only(keystore: Keystore) -> None:
    wallet = Wallet.create()
    keystore.create(PASSWORD, wallet)
    (keystore.folder / "storage.json").unlink()
    with pytest.raises(KeystoreExists):
        keystore.create(PASSWORD, Wallet.create())
    with pytest.raises(WrongPassword):
        keystore.create(b"another", wallet)
    storage_key = keystore.create(PASSWORD, wallet)
    assert keystore.storage_key(PASSWORD) == storage_key


def test_the_wallet_may_stay_offline(keystore: Keystore) -> None:
    storage_key = keystore.create(PASSWORD, None)
    assert keystore.storage_key(PASSWORD) == storage_key
    assert not keystore.has_wallet
    assert keystore.wallet_address() is None
    with pytest.raises(KeystoreMissing, match="wallet is offline"):
        keystore.wallet(PASSWORD)


def test_before_anything_is_created_people_are_told_to_do_so(keystore: Keystore) -> None:
    for read in (keystore.storage_key, keystore.wallet):
        with pytest.raises(KeystoreMissing, match="create an identity or import one first"):
            read(PASSWORD)


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(IdentityError, match="cannot be written"):
        Keystore(tmp_path / "file" / "keystore", scrypt_n=N).create(PASSWORD, None)
    with pytest.raises(IdentityError, match="cannot be written"):
        write_keyfile(tmp_path / "missing" / "key.json", bytes(31) + b"1", PASSWORD, scrypt_n=N, is_wallet=False)


def good(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "good.json"
    write_keyfile(path, bytes(31) + b"1", PASSWORD, scrypt_n=N, is_wallet=True)
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        "{}",
        '{"version": 3}',
        '{"version": 3, "crypto": []}',
        "[" * 50_000,
        "x" * 70_000,
    ],
)
def test_what_is_no_keystore_is_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(KeystoreDamaged, match=r"bad\.json is not a whole keystore file"):
        read_keyfile(tmp_path / "bad.json", PASSWORD)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("version",), 1),
        (("version",), "3"),
        (("crypto",), None),
        (("crypto", "kdf"), "argon"),
        (("crypto", "kdf"), None),
        (("crypto", "kdfparams"), None),
        (("crypto", "kdfparams", "n"), 1000),
        (("crypto", "kdfparams", "n"), -1),
        (("crypto", "kdfparams", "n"), "1024"),
        (("crypto", "kdfparams", "n"), True),
        (("crypto", "kdfparams", "n"), 2**40),
        (("crypto", "kdfparams", "r"), 2**20),
        (("crypto", "kdfparams", "p"), 2**20),
        (("crypto", "kdfparams", "dklen"), 16),
        (("crypto", "kdfparams", "dklen"), 2**40),
        (("crypto", "kdfparams", "salt"), "zz"),
        (("crypto", "kdfparams", "salt"), None),
        (("crypto", "cipherparams"), {}),
        (("crypto", "cipherparams", "iv"), 5),
        (("crypto", "ciphertext"), 5),
        (("crypto", "ciphertext"), "odd"),
        (("crypto", "mac"), None),
        (("crypto", "mac"), "zz"),
    ],
)
def test_a_damaged_or_hostile_keystore_is_refused_at_once(
    tmp_path: Path, place: tuple[str, ...], value: object
) -> None:
    content = good(tmp_path)
    inner = content
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    (tmp_path / "bad.json").write_text(json.dumps(content))
    with pytest.raises(KeystoreDamaged):
        read_keyfile(tmp_path / "bad.json", PASSWORD)


@given(st.data())
def test_no_change_of_a_file_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    raw = bytearray(json.dumps(good(folder)).encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255))
    (folder / "bad.json").write_bytes(raw)
    with contextlib.suppress(IdentityError):
        read_keyfile(folder / "bad.json", PASSWORD)
