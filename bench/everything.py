"""What is measured together? ``python bench all`` in under 30 minutes on two quiet cores, ``--quick`` in under 3.

Each benchmark runs in a process of its own and leaves its results in ``bench/results/``; at the end plots are drawn
there. One that fails stops nothing, and is named.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from performance import draw_all
from report import RESULTS

FULL = (
    ("consensus", "--voters", "100", "1000", "10000"),
    ("group", "--members", "3", "5", "10", "20", "50", "100", "200", "400"),
    ("reference", "--members", "3", "5", "10", "20", "50", "100", "200"),
    ("where", "--members", "3", "10", "100", "--runs", "3"),
    ("node",),
    ("latency", "--members", "10", "100", "1000", "9999", "--full", "20"),
    ("large", "--members", "10000", "--full", "16", "--budget", "150"),
    ("month", "--members", "10000", "--months", "2", "--budget", "330"),
)
QUICK = (
    ("consensus", "--voters", "100", "1000", "--runs", "2"),
    ("group", "--members", "3", "5", "10", "20", "50", "--runs", "1"),
    ("reference", "--if-built", "--members", "3", "5", "10", "20", "50", "--runs", "1"),
    ("where", "--members", "3", "--runs", "3"),
    ("node", "--members", "10", "--messages", "300", "--groups", "10", "--runs", "10"),
    ("latency", "--members", "10", "50", "--runs", "1"),
    ("large", "--members", "500", "--full", "12", "--many", "10", "--epochs", "10", "--budget", "20"),
    ("month", "--members", "500", "--months", "0.2", "--budget", "15"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench all", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes")
    arguments = parser.parse_args()
    failed = []
    began = time.monotonic()
    for name, *told in QUICK if arguments.quick else FULL:
        print(f"bench {name} {' '.join(told)}", file=sys.stderr, flush=True)
        done = subprocess.run([sys.executable, str(Path(__file__).parent), name, *told], check=False)
        print(f"  {time.monotonic() - began:,.0f} s so far", file=sys.stderr, flush=True)
        if done.returncode != 0:
            failed.append(name)
    draw_all(RESULTS, RESULTS)
    print(f"Results and plots are in {RESULTS}.", file=sys.stderr)
    if failed:
        sys.exit(f"These failed: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
