"""How does a wallet let a device speak for it? By signing a sentence that names the device's key and two dates."""

from __future__ import annotations

from typing import Protocol

from demls.protocol.credential import binding_sentence
from demls.wire.ids import Address, Duration, Instant, LeafKey
from demls.wire.messages import Binding

BINDING_DURATION = Duration(365 * 86_400_000)
"""How long a new binding is valid unless the caller says otherwise: one year."""

LEAF_KEY_BYTES = 32


class Signer(Protocol):
    """Whoever signs for an address: ``Wallet``, or a person with a wallet of their own."""

    address: Address

    def sign_text(self, text: str) -> bytes:
        """The EIP-191 signature over ``text``, 65 bytes."""


def bind_device(
    wallet: Signer,
    leaf_public: LeafKey,
    device_name: str,
    now: Instant,
    *,
    duration: Duration = BINDING_DURATION,
) -> Binding:
    """The wallet's statement that the leaf with the Ed25519 key ``leaf_public`` may speak and vote for it.

    ``device_name``: as people call it, printable. Valid from ``now`` for ``duration`` milliseconds.
    Raises ValueError for a key of another size or a name that is empty, unprintable or too long for a sentence.
    """
    if len(leaf_public) != LEAF_KEY_BYTES:
        raise ValueError("A leaf key has 32 bytes.")
    if not device_name.isprintable() or not 0 < len(device_name.encode()) <= 64:
        raise ValueError("A device's name has 1 to 64 bytes of printable characters.")
    expires = Instant(now + duration)
    sentence = binding_sentence(wallet.address, leaf_public, device_name, now, expires)
    return Binding(issued=now, expires=expires, signature=wallet.sign_text(sentence))
