"""How does a node come back into a group that it cannot follow any more, and what are people told meanwhile?"""

from __future__ import annotations

from datetime import UTC, datetime

from demls.node.words import joined
from demls.protocol.views import GroupStatus, GroupView, ReturningView
from demls.wire.messages import ResyncReason

FROM_BACKUP = (
    "This group comes from a restored backup. It may have gone on since, so nothing is sent from its old state; "
    "“demls group rejoin” asks the group for a new seat, as soon as the wallet is there."
)
STRANDED = (
    "This node has missed so much of this group that no member can help it any more. Ask the group for a new seat "
    "with “demls group rejoin”; it needs no vote."
)
ASKED = "Your node asks the group for a new seat; it needs no vote. Until it is there, what you write is kept."
MOVED = (
    "This group goes on at another copy of your node, which has asked for its seat. You can read here what was written "
    "before."
)

_WHY = {
    ResyncReason.RESTORED_BACKUP: "This node was restored from a backup",
    ResyncReason.LOST_STATE: "This node has lost its keys of this group",
    ResyncReason.TOO_FAR_BEHIND: "This node has missed more of this group than anybody can tell it",
    ResyncReason.WISH: "You asked for a new seat in this group",
}


def asking_sentence(reason: int, saved_at: int) -> str:
    """Why the node asks for a new seat, and what happens until it has one."""
    why = _WHY[ResyncReason(reason)]
    if saved_at:
        why += f" of {_day(saved_at)}"
    return (
        f"{why}; it asks the group for a new seat, which needs no vote, and says nothing until it is there. "
        "What was said in between will not be readable here."
    )


def _day(at: int) -> str:
    day = datetime.fromtimestamp(at / 1000, UTC)
    return f"{day.day} {day:%b %Y}"


def returning_sentence(returning: ReturningView) -> str:
    """What the group's card says while the node waits."""
    go = "goes" if returning.unsent == 1 else "go"
    kept = f"{returning.unsent} of your messages {go} out then." if returning.unsent else ""
    return joined(asking_sentence(returning.reason, returning.saved_at), returning.waits_for, kept)


def rejoin_sentence(view: GroupView) -> str:
    """Why this group stands still until the node has a new seat; empty if it does not."""
    if view.returning is not None:
        return returning_sentence(view.returning)
    return STRANDED if view.is_stranded and view.status is GroupStatus.MEMBER else ""
