"""Who is this person? A secp256k1 key, its Ethereum address, and signatures that people can read before they sign."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Self

from coincurve.utils import GROUP_ORDER_INT
from eth_account import Account
from eth_account.messages import encode_defunct

from demls.identity.errors import IdentityError
from demls.identity.keyfile import read_keyfile
from demls.wire.ids import Address, address_text

SECRET_BYTES = 32
SIGNATURE_BYTES = 65

IMPORT_WARNING = (
    "This wallet's address is public wherever it was used: everybody in your groups can look up its past on the chain. "
    "Create a fresh wallet if you do not want that."
)
"""To be shown before a wallet is imported."""

_HEX_SECRET = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")


class Wallet:
    """A wallet whose key is in memory. Neither ``repr`` nor any message shows the key."""

    __slots__ = ("_secret", "address")

    address: Address

    def __init__(self, secret: bytes) -> None:
        """``secret``: 32 bytes. Raises IdentityError if it is no secp256k1 key."""
        if len(secret) != SECRET_BYTES or not 0 < int.from_bytes(secret, "big") < GROUP_ORDER_INT:
            raise IdentityError("This is not a wallet key: it must be a number of 32 bytes below the curve's order.")
        self._secret = secret
        self.address = Address(bytes.fromhex(Account.from_key(secret).address[2:]))

    def __repr__(self) -> str:
        return f"Wallet({address_text(self.address)})"

    @classmethod
    def create(cls) -> Self:
        """A fresh wallet from the operating system's randomness."""
        while True:
            secret = secrets.token_bytes(SECRET_BYTES)
            if 0 < int.from_bytes(secret, "big") < GROUP_ORDER_INT:
                return cls(secret)

    @classmethod
    def from_hex(cls, text: str) -> Self:
        """A wallet from a key of 64 hexadecimal digits, with or without 0x. Show IMPORT_WARNING first.

        Raises IdentityError with a sentence that does not repeat the key.
        """
        found = _HEX_SECRET.fullmatch(text.strip())
        if found is None:
            raise IdentityError("This is not a wallet key: it has 64 hexadecimal digits, with or without 0x in front.")
        return cls(bytes.fromhex(found[1]))

    @classmethod
    def from_keystore_file(cls, path: Path, password: bytes) -> Self:
        """A wallet from another program's keystore v3 file. Show IMPORT_WARNING first.

        Raises WrongPassword, KeystoreMissing, KeystoreDamaged.
        """
        return cls(read_keyfile(path, password))

    def sign_text(self, text: str) -> bytes:
        """The EIP-191 personal signature over ``text``: 65 bytes, r, s and v (27 or 28)."""
        signature = Account.sign_message(encode_defunct(text=text), self._secret).signature
        assert len(signature) == SIGNATURE_BYTES
        return bytes(signature)

    def secret(self) -> bytes:
        """The key itself, 32 bytes: only for writing a keystore file or for an export that the person asked for."""
        return self._secret
