"""Who is this leaf? The credential of a device and the wallet's statement that it may speak for the person.

The credential names address, device and the name a member calls itself; a leaf extension carries the wallet's
EIP-191 signature over a readable sentence that begins with the word demls, so no signature got elsewhere fits.
Everybody checks it before an invite is voted on and again when it is committed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from demls_consensus import wallet_recover

from demls.wire.codec import WireError
from demls.wire.ids import Address, Duration, Instant, LeafKey, address_text
from demls.wire.messages import Binding, Credential, decode_message, encode_message

BINDING_EXTENSION = 0xF0D1
"""Leaf extension (private use) with the wallet's binding."""

BINDING_VALIDITY = Duration(366 * 86_400_000)
"""Longest time between a binding's dates."""

CLOCK_DIFFERENCE_MAX = Duration(60_000)
"""Honest clocks differ by at most this (fault model)."""


@dataclass(frozen=True, slots=True)
class Device:
    """The own leaf of one group, with its secret. Never logged, never sent."""

    address: Address
    name: str
    device: str
    leaf_key: LeafKey
    leaf_private: bytes
    binding: Binding

    def __repr__(self) -> str:
        return f"Device({address_text(self.address)}, {self.device!r})"

    def credential(self) -> bytes:
        """The bytes for the MLS BasicCredential."""
        return encode_message(Credential(self.address, self.device, self.name))

    def extensions(self) -> dict[int, bytes]:
        """The leaf extensions of this device."""
        return {BINDING_EXTENSION: encode_message(self.binding)}


class CredentialRefused(ValueError):
    """A credential or binding that proves nothing; the text says what is wrong with it."""


def binding_sentence(address: Address, leaf_key: LeafKey, device: str, issued: Instant, expires: Instant) -> str:
    """What the wallet signs: readable, and of no use anywhere but in demls."""
    return (
        "demls device binding\n\n"
        "I let the device below speak and vote for me in one group.\n"
        f"Wallet: {address_text(address)}\n"
        f"Device: {device}\n"
        f"Leaf key: {leaf_key.hex()}\n"
        f"From: {credential_date(issued)}\n"
        f"Until: {credential_date(expires)}"
    )


def credential_date(at: int) -> str:
    """A point in time as wallets show it. Raises CredentialRefused."""
    try:
        moment = datetime.fromtimestamp(at // 1000, UTC)
    except (OverflowError, OSError, ValueError) as problem:
        raise CredentialRefused("The dates of the wallet binding are out of range.") from problem
    return f"{moment.replace(tzinfo=None).isoformat()}.{at % 1000:03d}Z"


def parse_credential(identity: bytes) -> Credential:
    """The credential of a leaf. Raises CredentialRefused."""
    try:
        credential = decode_message(identity, Credential)
    except WireError as problem:
        raise CredentialRefused("The credential cannot be read.") from problem
    if not (credential.device + credential.name).isprintable():
        raise CredentialRefused("A name in the credential is not printable.")
    return credential


def parse_binding(extensions: dict[int, bytes]) -> Binding:
    """The binding among a leaf's extensions. Raises CredentialRefused."""
    return _parse_binding(_encoded_binding(extensions))


def _encoded_binding(extensions: dict[int, bytes]) -> bytes:
    try:
        return extensions[BINDING_EXTENSION]
    except KeyError as problem:
        raise CredentialRefused("The wallet binding is missing.") from problem


def _parse_binding(encoded: bytes) -> Binding:
    try:
        return decode_message(encoded, Binding)
    except WireError as problem:
        raise CredentialRefused("The wallet binding cannot be read.") from problem


@dataclass(frozen=True, slots=True)
class _Leaf:
    """``is_bound``: has the wallet that the credential names signed the binding?"""

    credential: Credential
    binding: Binding
    is_bound: bool


@lru_cache(maxsize=1024)
def _read_leaf(identity: bytes, signature_key: bytes, encoded: bytes) -> _Leaf:
    """What a leaf says of itself; remembered, since each is checked when it is proposed, voted on and committed.

    ``encoded``: its binding. Raises CredentialRefused, which is not remembered: what can be read is small.
    """
    credential, binding = parse_credential(identity), _parse_binding(encoded)
    sentence = binding_sentence(
        Address(credential.address),
        LeafKey(signature_key),
        credential.device,
        Instant(binding.issued),
        Instant(binding.expires),
    )
    signer = wallet_recover(sentence.encode(), binding.signature)
    return _Leaf(credential, binding, signer == credential.address)


def check_leaf(identity: bytes, signature_key: bytes, extensions: dict[int, bytes], now: Instant | None) -> Credential:
    """The credential of a leaf whose wallet binding verifies. Raises CredentialRefused.

    ``now``: also check the dates, as is done when somebody is added; None: only the signature, since an expired
    binding never removes anybody (rule of the identity: it bars new statements only).
    """
    leaf = _read_leaf(identity, signature_key, _encoded_binding(extensions))
    binding = leaf.binding
    if not 0 < binding.expires - binding.issued <= BINDING_VALIDITY:
        raise CredentialRefused("The wallet binding is valid for longer than a year, or for no time at all.")
    if now is not None:
        if binding.issued > now + CLOCK_DIFFERENCE_MAX:
            raise CredentialRefused("The wallet binding begins in the future.")
        if binding.expires <= now:
            raise CredentialRefused("The wallet binding has expired; ask for a fresh one.")
    if not leaf.is_bound:
        raise CredentialRefused("The wallet binding is not signed by the wallet it names.")
    return leaf.credential
