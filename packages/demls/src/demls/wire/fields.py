"""What do many messages of the wire have in common? Kinds of fields, and bounds."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from demls.wire.codec import Size

Digest32: TypeAlias = Annotated[bytes, Size(32)]
AddressBytes: TypeAlias = Annotated[bytes, Size(20)]
MaybeAddress: TypeAlias = Annotated[bytes, Size(0, 20)]
Signature: TypeAlias = Annotated[bytes, Size(64)]
Name: TypeAlias = Annotated[str, Size(0, 64)]
UpdateBytes: TypeAlias = Annotated[bytes, Size(1, 8_192)]
KeyPackageBytes: TypeAlias = Annotated[bytes, Size(1, 16_384)]
Bitmap: TypeAlias = Annotated[bytes, Size(0, 1_250)]

ROSTER_MAX = 10_000
STEWARDS_MAX = 1_000
PROOFS_MAX = 8
DEEDS_MAX = 256
COMMIT_BYTES_MAX = 4 * 1024 * 1024
WELCOME_BYTES_MAX = 4 * 1024 * 1024
SYNC_BYTES_MAX = 8 * 1024 * 1024
TREE_BYTES_MAX = 8 * 1024 * 1024
WELCOME_PART_BYTES = 48 * 1024
"""With frame and seal it fits where 64 KiB do."""
WELCOME_PARTS_MAX = -(-(TREE_BYTES_MAX + SYNC_BYTES_MAX) // WELCOME_PART_BYTES)
ENTRIES_MAX = 50
VOTE_LISTS_MAX = 4 * ENTRIES_MAX
"""Of each entry those of two ballots, for two choices."""
VOTES_IN_OFFER_MAX = 50 * 1024
"""In all its lists: each that is not known costs a signature to verify."""
VOTES_TOLD_MAX = 50 * 1024
"""Single votes in what newcomers are told."""
STATED_PROPOSALS_MAX = 512
"""Proposals in one digest or sync."""
