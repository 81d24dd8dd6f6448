"""Which seeds have a story of their own? Those that once broke a promise, kept with what they showed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NamedSeed:
    """``still_fails``: why it does, as long as it does; empty once it is mended."""

    name: str
    seed: int
    shows: str
    members: int | None = None
    engine: str = "model"
    still_fails: str = ""
    never: tuple[str, ...] = ()
    """Counters that must stay at nought in it."""


_REVIVED = (
    "A refused proposal is approved after all when electors leave; whoever joined in between was never sent it, "
    "cannot acknowledge a commit that carries it, and the round goes on for ever."
)

_PRUNED = (
    "A joiner takes over electorates and drops the older ones again before it reads the open proposals, so it refuses "
    "those that were opened more than four epochs ago."
)

NAMED: tuple[NamedSeed, ...] = (
    NamedSeed("open work older than a joiner", 1000, "P3 in a group of two", 2, still_fails=_PRUNED),
    NamedSeed("refused work comes back, of three", 1013, "P3 in a group of three", 3, still_fails=_REVIVED),
    NamedSeed("refused work comes back, of four", 1006, "P3 in a group of four", 4, still_fails=_REVIVED),
)
