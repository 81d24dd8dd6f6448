"""What came of many seeds? Sums, shares and times, for people and for programs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

from demls.simulation.counters import NAMES
from demls.simulation.run import Outcome, simulate

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One counter over all seeds."""

    name: str
    total: int
    seeds: int
    """In how many seeds it occurred."""


@dataclass(frozen=True, slots=True)
class Report:
    """All seeds of a run, in their order."""

    outcomes: tuple[Outcome, ...]

    @property
    def broken(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.promise)

    def rows(self) -> tuple[Row, ...]:
        rows = []
        for name in NAMES:
            counts = [outcome.counts.get(name, 0) for outcome in self.outcomes]
            rows.append(Row(name, sum(counts), sum(1 for count in counts if count)))
        return tuple(rows)

    def pace(self) -> dict[int, tuple[int, float]]:
        """By size of the group: how many seeds, and seconds for each."""
        sizes = sorted({outcome.members for outcome in self.outcomes})
        found = {}
        for size in sizes:
            times = [outcome.took for outcome in self.outcomes if outcome.members == size]
            found[size] = len(times), sum(times) / len(times)
        return found

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON; transcripts only of seeds in which a promise broke."""
        return {
            "format": FORMAT,
            "versions": versions(),
            "seeds": len(self.outcomes),
            "broken": [asdict(outcome) for outcome in self.broken],
            "counters": {row.name: {"total": row.total, "seeds": row.seeds} for row in self.rows()},
            "slowest_commit_s": max((outcome.slowest_commit for outcome in self.outcomes), default=0.0),
            "share_of_bound": max((outcome.share_of_bound for outcome in self.outcomes), default=0.0),
            "seconds_by_members": {
                str(size): {"seeds": seeds, "seconds": round(seconds, 3)}
                for size, (seeds, seconds) in self.pace().items()
            },
            "runs": [
                {key: value for key, value in asdict(outcome).items() if key not in ("transcript", "detail")}
                for outcome in self.outcomes
            ],
        }


def versions() -> dict[str, str]:
    """What was run, on what."""
    packages = {name: version(name) for name in ("demls", "demls-consensus", "demls-engine")}
    return packages | {"python": sys.version.split()[0], "system": platform.platform()}


def run_seeds(
    seeds: Sequence[int], *, members: int | None, engine: str | None, profile: str, trace: bool, jobs: int
) -> Iterable[Outcome]:
    """The outcomes of all seeds as they come; with one job in this process."""
    one = partial(simulate, members=members, engine=engine, profile=profile, trace=trace)
    if jobs <= 1 or len(seeds) == 1:
        yield from map(one, seeds)
        return
    with ProcessPoolExecutor(max_workers=min(jobs, len(seeds))) as pool:
        running = [pool.submit(one, seed) for seed in seeds]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            for waiting in running:
                waiting.cancel()


def report_of(outcomes: Iterable[Outcome]) -> Report:
    return Report(tuple(sorted(outcomes, key=lambda outcome: outcome.seed)))
