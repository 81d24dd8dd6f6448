"""How are people, durations and times called in sentences?"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from demls.protocol.policy import DAY, HOUR, MINUTE, SECOND
from demls.wire.ids import Address, address_text

NAMES_MAX = 5


def called(address: Address, name: str) -> str:
    """How sentences name somebody."""
    return name or f"{address_text(address)[:8]}…"


def listed(names: Iterable[str], most: int = NAMES_MAX) -> str:
    """Names in a sentence; more than ``most`` are counted."""
    names = _shortened(names, most)
    if len(names) < 2:
        return names[0] if names else "nobody"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def enumerated(names: Iterable[str], most: int = 2 * NAMES_MAX) -> str:
    """Names after a colon; more than ``most`` are counted."""
    return ", ".join(_shortened(names, most))


def _shortened(names: Iterable[str], most: int) -> list[str]:
    names = list(names)
    return names if len(names) <= most else [*names[:most], f"{len(names) - most} more"]


def duration_words(milliseconds: int) -> str:
    """A duration in the largest unit that divides it."""
    for unit, word in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second")):
        if milliseconds >= unit and milliseconds % unit == 0:
            return counted(milliseconds // unit, word)
    return counted(milliseconds, "millisecond")


def ago(milliseconds: int) -> str:
    """How long ago, in one unit."""
    for unit, word in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if milliseconds >= unit:
            return f"{counted(milliseconds // unit, word)} ago"
    return "just now"


def counted(count: int, word: str) -> str:
    return f"{count} {word}" + ("s" if count != 1 else "")


def points_words(count: int) -> str:
    return counted(count, "point")


def times_words(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def time_words(at: int, since: int) -> str:
    """A time by this machine's clock and zone; with its date unless it is on the day of ``since``."""
    try:
        then, begun = (datetime.fromtimestamp(one / 1000).astimezone() for one in (at, since))
    except (ValueError, OverflowError, OSError):
        return "the end of time"
    if then.date() == begun.date():
        return then.strftime("%H:%M:%S")
    return f"{then.strftime('%H:%M')} on {then.day} {then.strftime('%B')}"


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def uncapital(text: str) -> str:
    return text[:1].lower() + text[1:]


def ended(reason: str) -> str:
    """A reason as a whole sentence."""
    reason = reason.strip()
    return reason if reason.endswith((".", "!", "?")) else f"{reason}."


def joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
