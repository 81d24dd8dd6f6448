"""How old are a member's keys, in words, and what should be done about it?"""

from __future__ import annotations

from demls.node.words import ago
from demls.protocol.policy import BINDING_RENEWED_BEFORE, DAY, REFRESH_AFTER
from demls.protocol.views import MemberView
from demls.wire.ids import Instant

OLD_AFTER = 4 * REFRESH_AFTER
"""Keys older than this are remarked upon: where nodes ask by themselves, theirs must have been away."""


def sentence(view: MemberView, now: Instant | None) -> str:
    """When the encryption key of a member's leaf was last renewed; empty if that is not known."""
    if view.keys_at is None or now is None:
        return ""
    when = ago(now - view.keys_at)
    return f"Your keys in this group were renewed {when}." if view.is_self else f"Keys renewed {when}."


def remarks(view: MemberView, now: Instant | None) -> list[str]:
    """What is unusual about them."""
    if now is None:
        return []
    told = []
    if view.keys_at is not None and now - view.keys_at > OLD_AFTER:
        told.append(f"keys not renewed for {(now - view.keys_at) // DAY} days")
    if view.binding_ends is not None and view.binding_ends <= now:
        told.append("wallet's statement for this device has ended")
    elif view.is_self and view.binding_ends is not None and view.binding_ends <= now + BINDING_RENEWED_BEFORE:
        told.append("your wallet's statement for this device ends soon: renew your keys")
    return told
