"""How is a group's policy typed? ``--set FIELD=VALUE``, each field by its name, durations with their unit."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from demls.api import models

RULES = ("invite", "remove", "election", "settings", "emergency")
UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
SHARES = {"half": "more than half", "two-thirds": "two thirds", "three-quarters": "three quarters", "all": "all"}
HELP = (
    "Change one field; may be given several times. Of each kind (invite, remove, election, settings, emergency): "
    "KIND.duration=2h, KIND.share=two-thirds (or half, three-quarters, all), KIND.silence=yes (or no), "
    "KIND.decided-by=members (or stewards). Of the group: stewards-min=3, stewards-max=9, batch-window=5s, "
    "delivery-time=2s, reelections=2, dormant-after=14d (or never), ack-limit=1000, committee=256. Points of the "
    "scores: scoring.start=100, and so threshold, heal, broken-commit, broken-proposal, misbehaving, equivocation, "
    "lost-turn, committed, upheld, rejected."
)

SetOption = Annotated[list[str] | None, typer.Option("--set", help=HELP, metavar="FIELD=VALUE")]
StewardsMinOption = Annotated[int | None, typer.Option(min=1, help="The fewest stewards, the same as --set.")]
StewardsMaxOption = Annotated[int | None, typer.Option(min=1, help="The most stewards, the same as --set.")]
PresetMeta = "quick|day|council"


def policy_change(
    given: Sequence[str] | None, stewards_min: int | None, stewards_max: int | None
) -> models.PolicyChange:
    """What the options ask for. Raises BadParameter."""
    from demls.api.models import PolicyChange  # noqa: PLC0415 (commands start faster)

    change: dict[str, Any] = {}
    for text in given or ():
        field, equals, value = (part.strip().lower() for part in text.partition("="))
        if not equals or not value:
            raise _bad(f"“{text}” is not of the form FIELD=VALUE, such as invite.duration=2h.")
        kind, dot, rest = field.partition(".")
        known = _known(kind, rest) if dot else _OF_GROUP.get(field)
        if known is None:
            raise _bad(f"There is no field “{field}”; “--help” lists them.")
        name, read = known
        try:
            (change.setdefault(kind, {}) if dot else change)[name] = read(value)
        except (ValueError, KeyError):
            raise _bad(f"“{value}” is no value for {field}; “--help” shows what is.") from None
    change |= {} if stewards_min is None else {"stewards_min": stewards_min}
    change |= {} if stewards_max is None else {"stewards_max": stewards_max}
    try:
        return PolicyChange.model_validate(change)
    except ValueError:
        raise _bad("A number is too large; “--help” shows what can be set.") from None


def duration_ms(text: str) -> int:
    """``90s``, ``2h``, ``14d`` as milliseconds. Raises ValueError."""
    found = re.fullmatch(r"([0-9]{1,12})(ms|s|m|h|d)", text)
    if found is None:
        raise ValueError(text)
    return int(found[1]) * UNITS[found[2]]


def preset_name(text: str) -> models.Preset:
    """Raises BadParameter."""
    match text:
        case "quick" | "day" | "council":
            return text
    raise typer.BadParameter("Choose quick, day or council.", param_hint="--preset")


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise ValueError(text)
    return int(text)


_OF_RULE: dict[str, tuple[str, Callable[[str], object]]] = {
    "duration": ("duration_ms", duration_ms),
    "share": ("share", SHARES.__getitem__),
    "silence": ("silence_is_yes", {"yes": True, "no": False}.__getitem__),
    "decided-by": ("decided_by", {"members": "members", "stewards": "stewards"}.__getitem__),
}
_OF_GROUP: dict[str, tuple[str, Callable[[str], object]]] = {
    "stewards-min": ("stewards_min", _count),
    "stewards-max": ("stewards_max", _count),
    "batch-window": ("batch_window_ms", duration_ms),
    "delivery-time": ("delivery_time_ms", duration_ms),
    "ack-limit": ("ack_limit", _count),
    "committee": ("committee", _count),
    "reelections": ("reelections_max", _count),
    "dormant-after": ("dormant_after_ms", lambda text: 0 if text == "never" else duration_ms(text)),
}


_POINTS = {
    *("start", "threshold", "heal", "broken-commit", "broken-proposal", "misbehaving", "equivocation"),
    *("lost-turn", "committed", "upheld", "rejected"),
}


def _known(kind: str, rest: str) -> tuple[str, Callable[[str], object]] | None:
    """The field ``kind.rest``, and how its value is read."""
    if kind == "scoring":
        return (rest.replace("-", "_"), _count) if rest in _POINTS else None
    return _OF_RULE.get(rest) if kind in RULES else None


def _bad(sentence: str) -> typer.BadParameter:
    return typer.BadParameter(sentence, param_hint="--set")
