"""What can a member be accused of?"""

from __future__ import annotations

from enum import IntEnum


class Violation(IntEnum):
    """What a member is accused of (LIP-104 §Steward violation list; numbers of the reference node, 101 is ours)."""

    BROKEN_COMMIT = 1
    BROKEN_MLS_PROPOSAL = 2
    CENSORSHIP_INACTIVITY = 3
    SCORE_BELOW_THRESHOLD = 4
    DEADLOCK = 5
    MISBEHAVING_COMMIT = 6
    EQUIVOCATION = 101
