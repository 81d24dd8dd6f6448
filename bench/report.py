"""What a benchmark prints: machine, versions and commit beside its results, as JSON; a table on a terminal.

What was printed is also kept in ``bench/results/``, one file a benchmark, from which ``python bench docs`` writes the
pages of the documentation.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from demls_engine import LIBRARY_VERSION
from rich.console import Console
from rich.table import Table

Result: TypeAlias = dict[str, Any]

PACKAGES = ("demls", "demls-consensus", "demls-engine", "cryptography", "coincurve", "protobuf", "msgspec")
ROOT = Path(__file__).parents[1]
RESULTS = Path(os.environ.get("DEMLS_BENCH_RESULTS") or ROOT / "bench" / "results")

_RUNS = ((10, 10), (50, 3), (100, 2))
"""Up to so many members, so many runs; one run beyond."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What all benchmarks take."""
    parser.add_argument("--runs", type=int, metavar="R", help="of several runs the smallest counts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write there instead of to standard output")


def runs_for(size: int, wanted: int | None) -> int:
    """How often to measure a group of this size, if nothing else is wanted."""
    return wanted or next((runs for most, runs in _RUNS if size <= most), 1)


def smallest(turns: Sequence[Result], kinds: Iterable[str]) -> Result:
    """Of several measurements of one size, the smallest of each kind; what is no kind is the first's."""
    return turns[0] | {kind: min((one[kind] for one in turns), key=lambda cost: cost["cpu_ms"]) for kind in kinds}


def report(name: str, results: list[Result]) -> Result:
    """The results with all that they depend on."""
    return {
        "bench": name,
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        },
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in PACKAGES},
            "mls": LIBRARY_VERSION,
        },
        "commit": _commit(),
        "results": results,
    }


def keep(name: str, results: list[Result]) -> str:
    """Write the JSON to the results folder, and return it."""
    text = json.dumps(report(name, results), indent=2) + "\n"
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(text)
    return text


def publish(
    name: str, results: list[Result], *, columns: list[tuple[str, Callable[[Result], str]]], file: Path | None
) -> None:
    """The JSON to ``file`` if there is one, else to standard output; a table for people who look on."""
    text = keep(name, results)
    if file is None:
        sys.stdout.write(text)
    else:
        file.write_text(text)
    if sys.stderr.isatty() and columns:
        table = Table()
        for title, _ in columns:
            table.add_column(title, justify="right")
        for result in results:
            table.add_row(*(show(result) for _, show in columns))
        Console(stderr=True).print(table)


def say(text: str) -> None:
    """Progress, for people only."""
    if sys.stderr.isatty() or os.environ.get("DEMLS_BENCH_TALKS"):
        print(text, file=sys.stderr, flush=True)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def _commit() -> str:
    """The commit, with a plus sign behind it if files differ from it; empty without git."""
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
