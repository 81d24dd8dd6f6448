"""What is measured together? ``python bench all`` in under 30 minutes on two quiet cores, ``--quick`` in under 3.

Each benchmark runs in a process of its own and leaves its results in ``bench/results/``; at the end plots are drawn
there. The two that take longest run side by side at last. One that fails stops nothing, and is named.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from performance import draw_all
from report import RESULTS

FULL = (
    ("consensus", "--voters", "100", "1000", "10000"),
    ("group", "--beside", "--members", "3", "5", "10", "20", "50", "100", "200", "400"),
    ("where", "--members", "3", "10", "100", "--runs", "3"),
    ("node",),
    ("latency", "--members", "10", "100", "1000", "9999", "--full", "20"),
)
FULL_TOGETHER = (
    ("large", "--members", "10000", "--full", "32", "--budget", "370"),
    ("month", "--members", "10000", "--months", "2", "--budget", "740"),
)
QUICK = (
    ("consensus", "--voters", "100", "1000", "--runs", "2"),
    ("group", "--beside", "--if-built", "--members", "3", "5", "10", "20", "50", "--runs", "1"),
    ("where", "--members", "3", "--runs", "3"),
    ("node", "--members", "10", "--messages", "300", "--groups", "10", "--runs", "10"),
    ("latency", "--members", "10", "50", "--runs", "1"),
)
QUICK_TOGETHER = (
    ("large", "--members", "500", "--full", "13", "--epochs", "10", "--budget", "30"),
    ("month", "--members", "500", "--months", "0.2", "--budget", "30"),
)


def _run(commands: Iterable[Sequence[str]]) -> list[str]:
    """All of these at once; returns which failed."""
    running = {}
    for name, *told in commands:
        print(f"bench {name} {' '.join(told)}", file=sys.stderr, flush=True)
        running[name] = subprocess.Popen([sys.executable, str(Path(__file__).parent), name, *told])
    return [name for name, process in running.items() if process.wait() != 0]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench all", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes")
    arguments = parser.parse_args()
    one_by_one, together = (QUICK, QUICK_TOGETHER) if arguments.quick else (FULL, FULL_TOGETHER)
    failed = []
    began = time.monotonic()
    for step in (*((told,) for told in one_by_one), together):
        failed += _run(step)
        print(f"  {time.monotonic() - began:,.0f} s so far", file=sys.stderr, flush=True)
    draw_all(RESULTS, RESULTS)
    print(f"Results and plots are in {RESULTS}.", file=sys.stderr)
    if failed:
        sys.exit(f"These failed: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
