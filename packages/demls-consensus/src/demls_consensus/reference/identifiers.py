"""Where do the ids of the reference crates come from?"""

import hashlib

_MASK = 0xFFFF_FFFF
UUID_BYTES = 16


def fold_uuid(uuid: bytes) -> int:
    """Return the 32-bit proposal or vote id that the crates make of a random UUIDv4 (16 bytes).

    The four 32-bit words are combined by exclusive or. So an id is its sender's choice and says
    nothing about content. Raises ValueError for another length.
    """
    if len(uuid) != UUID_BYTES:
        raise ValueError(f"A UUID has {UUID_BYTES} bytes, not {len(uuid)}.")
    number = int.from_bytes(uuid, "big")
    return (number >> 96 ^ number >> 64 ^ number >> 32 ^ number) & _MASK


def self_leave_proposal_id(member_id: bytes) -> int:
    """Return the proposal id of a member's own leave: the first four bytes of SHA-256 of its id, big-endian."""
    return int.from_bytes(hashlib.sha256(member_id).digest()[:4], "big")
