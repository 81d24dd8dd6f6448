"""What is each cost meant to be, what was measured, and what bounds it where it is more? For ``performance.py``.

A goal whose figure was not measured is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from report import Result

Found = dict[str, Result]

TEN_THOUSAND = 9_000
"""From so many members on a measured group stands for one of 10,000: there has to be room for those who are added."""


@dataclass(frozen=True)
class Goal:
    """``most``: the figure is meant to be no larger (``is_least``: no smaller)."""

    what: str
    most: float
    unit: str
    measured: Callable[[Found], float | None]
    bound: str = ""
    """What bounds it, said where it is not reached."""

    is_least: bool = False

    def is_reached(self, value: float) -> bool:
        return value >= self.most if self.is_least else value <= self.most


def _one(found: Found, bench: str, members: int, **fields: Any) -> Result | None:
    """The result of so many members, or of the largest group, if 10,000 are asked for."""
    results = found[bench]["results"] if bench in found else []
    fitting = [one for one in results if all(one.get(name) == value for name, value in fields.items())]
    if members == 10_000:
        return next((one for one in reversed(fitting) if one["members"] >= TEN_THOUSAND), None)
    return next((one for one in fitting if one["members"] == members), None)


def _to_reference(kind: str, members: int) -> Callable[[Found], float | None]:
    def measured(found: Found) -> float | None:
        ours, theirs = _one(found, "group", members), _one(found, "reference", members)
        if ours is None or theirs is None or kind not in theirs:
            return None
        share: float = ours[kind]["cpu_ms"] / theirs[kind]["cpu_ms"]
        return share

    return measured


def _large(decided_by: str, kind: str, measure: str, scale: float = 1) -> Callable[[Found], float | None]:
    def measured(found: Found) -> float | None:
        one = _one(found, "large", 10_000, decided_by=decided_by)
        names = [name for name in one or {} if name == kind or (kind == "catch_up" and name.startswith(kind))]
        if one is None or not names or measure not in one[names[0]]:
            return None
        value: float = one[names[0]][measure] * scale
        if kind == "catch_up" and measure == "cpu_ms":
            value *= 100 / one[names[0]]["epochs"]
        return value

    return measured


def _month(kind: str, measure: str, scale: float = 1) -> Callable[[Found], float | None]:
    """The mean of the second month if there is one, else of all that was played."""

    def measured(found: Found) -> float | None:
        one = _one(found, "month", 10_000)
        spent = one.get("later", one) if one is not None else {}
        if kind not in spent:
            return None
        value: float = spent[kind][measure]["mean"] * scale
        return value

    return measured


def _latency(members: int, *, in_delays: bool = False) -> Callable[[Found], float | None]:
    def measured(found: Found) -> float | None:
        results = found["latency"]["results"] if "latency" in found else []
        one = next((one for one in results if one["members"] >= members), None) if members > 100 else None
        one = one or _one(found, "latency", members)
        if one is None:
            return None
        value: float = one["add"]["from_last_vote_ms"]
        return value / 175 if in_delays else value / 1000  # 50 to 300 ms, 175 in the mean

    return measured


def _node(*path: str) -> Callable[[Found], float | None]:
    def measured(found: Found) -> float | None:
        value: Any = found["node"]["results"][0] if "node" in found else None
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return float(value) if value is not None else None

    return measured


_SMALL = (
    "Small groups: about a third of an add is MLS, signatures and sealing, as much as the whole of the reference's, "
    "for three messages a member where it has one; the rest are thousands of small steps in Python, none of which "
    "stands out (“Where the time goes”)."
)
_MANY = (
    "200 members: each hears three messages of every other where the reference's hear one; signatures, MLS and sealing "
    "are about two fifths of it, the rest is what Python does for each message (“Where the time goes”)."
)
_EPOCH = (
    "10,000 members: more than half of a change is MLS (its parts stand under “A month”): to stage a commit checks "
    "the keys of every leaf and hashes the whole tree three times, to merge it and to write what has changed takes "
    "about 7 ms each. What else is left of n in an epoch is copying, and the two draws by hash: the order of leaders "
    "and the committee."
)
_COLD = (
    "The tree was never warm when the first month begins; the mean is of the changes after 30 days, if those were "
    "played."
)

GOALS = (
    *(
        Goal(
            f"add by vote, {n} members, ours to the reference's",
            most,
            "",
            _to_reference("add", n),
            _SMALL if n <= 10 else _MANY,
        )
        for n, most in ((3, 2), (5, 2), (10, 2), (100, 0.8), (200, 0.3))
    ),
    Goal(
        "one message to 200, ours to the reference's",
        0.5,
        "",
        _to_reference("chat", 200),
        "To decrypt it with MLS is two fifths of it, most of that to verify the sender's signature (`python bench "
        "where --members 200 --kind chat`); the rest reads the message, finds gaps and keeps a copy, in some two "
        "hundred small calls of Python for each member.",
    ),
    Goal("add at 10,000, stewards decide, an ordinary member", 150, "ms", _month("add", "cpu_ms"), _EPOCH),
    Goal("removal at 10,000, stewards decide, an ordinary member", 150, "ms", _month("remove", "cpu_ms"), _EPOCH),
    Goal("add at 10,000, received", 100, "KB", _month("add", "received_bytes", 0.001), _COLD),
    Goal("removal at 10,000, received", 140, "KB", _month("remove", "received_bytes", 0.001), _COLD),
    Goal("add at 10,000, members decide", 3_000, "ms", _large("members", "add", "cpu_ms")),
    Goal(
        "add at 10,000, members decide, received",
        3.5,
        "MB",
        _large("members", "add", "received_bytes", 1e-6),
        "Members decide: 10,000 votes of 216 bytes are 2.2 MB, the offer shows two thirds of them again (0.5 MB) for "
        "those who missed them, and its commit is as large as it can be, since the tree is cold (0.8 MB; about "
        "50 KB in a warm one, see “A month”).",
    ),
    Goal("join to first message at 10,000", 4_000, "ms", _large("stewards", "join", "cpu_ms")),
    Goal(
        "catch-up of 100 epochs at 10,000",
        15,
        "s",
        _large("stewards", "catch_up", "cpu_ms", 0.001),
        "Two members commit in turn there, so half of the tree stays cold, and a third of the time is MLS verifying "
        "paths to single leaves; the rest is MLS hashing the tree, and what is copied or drawn once an epoch.",
    ),
    Goal("restart at 10,000", 2, "s", _large("stewards", "restart", "cpu_ms", 0.001)),
    Goal("memory at 10,000, restarted", 150, "MB", _large("stewards", "restart", "memory_bytes", 1e-6)),
    Goal("95 % of 10,000 in the new epoch, from the last needed vote", 6, "s", _latency(9_000)),
    Goal(
        "10 members in the new epoch, from the last needed vote, in mean delays",
        5,
        "",
        _latency(10, in_delays=True),
        "The slowest of the deliveries counts at each step, not the mean one, and a lost one is repeated after 2 s.",
    ),
    Goal(
        "messages a second through a node, group of 50",
        1_000,
        "",
        _node("throughput", "received_per_second"),
        is_least=True,
    ),
    Goal("start of a node until its API answers", 1_500, "ms", _node("starting", "start_ms")),
)


def table_of_goals(found: Found) -> list[str]:
    """Those whose figures are there, as lines of the page."""
    rows, missed = [], []
    for goal in GOALS:
        value = goal.measured(found)
        if value is None:
            continue
        sign = "at least" if goal.is_least else "at most"
        reached = goal.is_reached(value)
        figure = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        cells = goal.what, f"{sign} {goal.most:,g} {goal.unit}", f"{figure} {goal.unit}", "yes" if reached else "no"
        rows.append("| " + " | ".join(cell.strip() for cell in cells) + " |")
        if not reached and goal.bound and goal.bound not in missed:
            missed.append(goal.bound)
    if not rows:
        return []
    head = ["## Goals", "", "| | goal | measured | reached |", "|---|---:|---:|---|"]
    return [*head, *rows, "", *(f"* {line}" for line in missed), *([""] if missed else [])]
