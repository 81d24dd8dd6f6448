"""How is one secret kept in a file under a password? Ethereum's keystore v3 (scrypt), written whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from eth_keyfile.keyfile import create_keyfile_json, decode_keyfile_json

from demls.identity.errors import IdentityError, KeystoreDamaged, KeystoreExists, KeystoreMissing, WrongPassword

SCRYPT_N = 262_144
"""The standard's cost: 0.55 s and 256 MiB for one derivation on one core of a small server."""

_FILE_BYTES_MAX = 64 * 1024
_SCRYPT_MEMORY_MAX = 1024 * 1024 * 1024
_SCRYPT_P_MAX = 16
_PBKDF2_ROUNDS_MAX = 20_000_000


def write_keyfile(path: Path, secret: bytes, password: bytes, *, scrypt_n: int = SCRYPT_N, is_wallet: bool) -> None:
    """Keep ``secret`` (32 bytes) in a new file at ``path``, mode 0600.

    ``scrypt_n``: cost, a power of two; tests take a small one. ``is_wallet`` False leaves out the Ethereum address
    that the format derives from every key, so that nobody takes the file for a wallet.
    Raises KeystoreExists (an existing file is never overwritten), IdentityError if it cannot be written.
    """
    content = create_keyfile_json(secret, password, version=3, kdf="scrypt", iterations=scrypt_n)
    if not is_wallet:
        content.pop("address", None)
    _write_new(path, json.dumps(content).encode())


def read_keyfile(path: Path, password: bytes) -> bytes:
    """The secret in the file at ``path``. Takes as long as the file's scrypt cost says.

    Raises WrongPassword, KeystoreMissing, KeystoreDamaged (also for a cost that no honest file asks for).
    """
    content = _read_json(path)
    _check_cost(path, content)
    try:
        secret = decode_keyfile_json(content, password)
    except ValueError as problem:
        # eth-keyfile tells a wrong password only by this text
        if "MAC mismatch" in str(problem):
            raise WrongPassword(
                f"The password does not open {path}; try again. A lost password cannot be recovered."
            ) from None
        raise _damaged(path) from None
    except (KeyError, TypeError, AttributeError, NotImplementedError, ArithmeticError, AssertionError):
        raise _damaged(path) from None
    if len(secret) != 32:
        raise _damaged(path)
    return secret


def read_address(path: Path) -> str | None:
    """The address that a wallet's keystore file names (40 hexadecimal digits), without the password.

    None if it names none. Nothing proves it before the file has been opened. Raises as ``read_keyfile``.
    """
    address = _read_json(path).get("address")
    return address if isinstance(address, str) else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise KeystoreMissing(f"There is no keystore file {path}; create an identity or import one first.") from None
    except OSError as problem:
        raise IdentityError(f"{path} cannot be read ({problem.strerror}); correct its permissions.") from problem
    try:
        content = json.loads(raw) if len(raw) <= _FILE_BYTES_MAX else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise _damaged(path)
    return {str(key).lower(): value for key, value in content.items()}


def _check_cost(path: Path, content: dict[str, Any]) -> None:
    """A file from elsewhere must not make this machine work for hours or take all of its memory."""
    crypto = content.get("crypto")
    if content.get("version") != 3 or not isinstance(crypto, dict):
        raise _damaged(path)
    crypto = {str(key).lower(): value for key, value in crypto.items()}
    parameters = crypto.get("kdfparams")
    if not isinstance(parameters, dict):
        raise _damaged(path)
    parameters = {str(key).lower(): value for key, value in parameters.items()}
    names = ("n", "r", "p", "dklen") if crypto.get("kdf") == "scrypt" else ("c", "dklen")
    numbers = [parameters.get(name) for name in names]
    if not all(type(number) is int and number > 0 for number in numbers) or parameters["dklen"] != 32:
        raise _damaged(path)
    if crypto.get("kdf") == "scrypt":
        is_bearable = 128 * parameters["n"] * parameters["r"] <= _SCRYPT_MEMORY_MAX and parameters["p"] <= _SCRYPT_P_MAX
    else:
        is_bearable = parameters["c"] <= _PBKDF2_ROUNDS_MAX
    if not is_bearable:
        raise KeystoreDamaged(
            f"{path} asks for more work or memory than this program spends on a keystore (1 GiB); "
            "write it again with the standard cost."
        )


def _write_new(path: Path, content: bytes) -> None:
    """Content first, name second: after a crash there is the whole file or none. Never overwrites."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(part)
        _sync_folder(path.parent)
    except FileExistsError:
        raise KeystoreExists(
            f"{path} exists already and is never overwritten; keep the identity that is there, "
            "or choose another data folder."
        ) from None
    except OSError as problem:
        raise IdentityError(
            f"The keystore file {path} cannot be written ({problem.strerror}); "
            "make room or correct the permissions of its folder, then try again."
        ) from problem
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # folders cannot be opened there, and renames are journalled
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _damaged(path: Path) -> KeystoreDamaged:
    return KeystoreDamaged(f"{path} is not a whole keystore file of version 3; restore it from a backup.")
