"""What things are called: identifiers, topics and times, as distinct types over bytes and integers."""

from typing import NewType

Address = NewType("Address", bytes)
"""A member: the 20-byte Ethereum address of the person's wallet (LIP-104 member id)."""

LeafKey = NewType("LeafKey", bytes)
"""A device in one group: the 32-byte Ed25519 public key of its MLS leaf."""

GroupId = NewType("GroupId", bytes)
"""32 random bytes, chosen by the founder."""

ProposalId = NewType("ProposalId", bytes)
"""SHA-256 over everything a voting proposal says (32 bytes)."""

CandidateId = NewType("CandidateId", bytes)
"""SHA-256 over a commit and all that travels with it (32 bytes)."""

Head = NewType("Head", bytes)
"""Names a state: the hash chain over all settled candidates of the group (32 bytes)."""

Epoch = NewType("Epoch", int)
"""MLS epoch."""

View = NewType("View", int)
"""Attempt within a commit round, counted from 0."""

Topic = NewType("Topic", bytes)
"""Where envelopes are published: 32 bytes that say nothing to outsiders."""

Cursor = NewType("Cursor", bytes)
"""A place in a topic's history, meaningful to the transport that gave it; b"" is the beginning."""

Instant = NewType("Instant", int)
"""A point in time: milliseconds since 1970-01-01 UTC, always given by the caller."""

Duration = NewType("Duration", int)
"""Milliseconds."""

ADDRESS_BYTES = 20
DIGEST_BYTES = 32


def address_text(address: bytes) -> str:
    """An address as people write it: 0x and 40 hexadecimal digits."""
    return "0x" + address.hex()


def parse_address(text: str) -> Address:
    """The address in ``text``, with or without 0x, in any case.

    Raises ValueError with a sentence for people.
    """
    digits = text.strip().lower().removeprefix("0x")
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        raw = b""
    if len(raw) != ADDRESS_BYTES:
        raise ValueError(
            f"“{text.strip()}” is not a wallet address: it has 40 hexadecimal digits, with or without 0x in front."
        )
    return Address(raw)
