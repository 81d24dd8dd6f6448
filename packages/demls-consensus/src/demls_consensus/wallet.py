"""Votes signed by an Ethereum wallet: EIP-191 personal messages over secp256k1.

A signature is 65 bytes, r (32, big-endian), s (32), v (1). The signer is not named in it but
recovered from it, and must have the expected 20-byte address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, unique

from coincurve import PrivateKey, PublicKey
from eth_hash.backends import pycryptodome
from eth_hash.main import Keccak256

from .schemes import SignedItem

ADDRESS_BYTES = 20
WALLET_SIGNATURE_BYTES = 65
PRIVATE_KEY_BYTES = 32
_EIP155_V_MIN = 35

_keccak = Keccak256(pycryptodome.backend)


@unique
class WalletFault(Enum):
    """Why no address can be recovered from a signature, or not the expected one."""

    LENGTH = "not 65 bytes"
    RECOVERY_BYTE = "the last byte is none of 0, 1, 27, 28 or 35 and above"
    NO_POINT = "r and s belong to no public key"


@dataclass(frozen=True, slots=True)
class WalletScheme:
    """EIP-191 signatures with 20-byte Ethereum addresses as keys.

    As in the reference crates, v is 0, 1, 27, 28 or 35 and above, and a high s is accepted; so a
    signature is not unique for its content, and no rule may identify a vote by its signature.
    """

    def verify(self, key: bytes, content: bytes, signature: bytes) -> bool:
        """Say whether the wallet with the address `key` signed `content`."""
        return len(key) == ADDRESS_BYTES and wallet_recover(content, signature) == key

    def verify_batch(self, items: Sequence[SignedItem]) -> list[bool]:
        """Return for each item, in order, what `verify` says of it."""
        return [self.verify(*item) for item in items]


def wallet_address(private_key: bytes) -> bytes:
    """Return the 20-byte address of a 32-byte private key; ValueError if it is none."""
    return _address_of(_load(private_key).public_key)


def wallet_sign(private_key: bytes, message: bytes) -> bytes:
    """Sign `message` as an EIP-191 personal message: r, s, v with v 27 or 28, deterministic (RFC 6979), low s.

    private_key: 32 bytes; ValueError if it is none.
    """
    signature = _load(private_key).sign_recoverable(personal_message_hash(message), hasher=None)
    return signature[:64] + bytes([27 + signature[64]])


def wallet_recover(message: bytes, signature: bytes) -> bytes | None:
    """Return the address whose wallet signed `message` with EIP-191, or None when there is none."""
    recovered = recover_or_fault(message, signature)
    return recovered if isinstance(recovered, bytes) else None


def recover_or_fault(message: bytes, signature: bytes) -> bytes | WalletFault:
    """Return the address that signed `message` with EIP-191, or what is wrong with the signature."""
    if len(signature) != WALLET_SIGNATURE_BYTES:
        return WalletFault.LENGTH
    parity = _parity(signature[64])
    if parity is None:
        return WalletFault.RECOVERY_BYTE
    try:
        key = PublicKey.from_signature_and_message(
            signature[:64] + bytes([parity]), personal_message_hash(message), hasher=None
        )
    except ValueError:
        return WalletFault.NO_POINT
    return _address_of(key)


def personal_message_hash(message: bytes) -> bytes:
    """Return the 32-byte Keccak-256 hash that a wallet signs for `message` (EIP-191, version 0x45)."""
    return _keccak(b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message)


def _parity(v: int) -> int | None:
    if v in (0, 1):
        return v
    if v in (27, 28) or v >= _EIP155_V_MIN:
        return (v - 27) % 2
    return None


def _address_of(key: PublicKey) -> bytes:
    return _keccak(key.format(compressed=False)[1:])[-ADDRESS_BYTES:]


def _load(private_key: bytes) -> PrivateKey:
    if len(private_key) != PRIVATE_KEY_BYTES:
        raise ValueError(f"A wallet's private key has {PRIVATE_KEY_BYTES} bytes, not {len(private_key)}.")
    return PrivateKey(private_key)
