"""Which measurement is wanted? ``python bench NAME ...``; ``python bench`` alone lists them. See README.md."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

NAMES = {
    "group": "adding, removing, electing, talking: every member real, up to 400",
    "where": "which part of the code the time of a change goes to",
    "consensus": "one decision by up to 10,000 voters",
    "large": "a group of 10,000: all changes, joining, restarting, catching up",
    "month": "a month of changes in a group of 10,000, as the tree warms up",
    "latency": "how long a change takes over a network with delay and loss",
    "node": "real processes over a relay: throughput, key press to screen, start-up, memory",
    "reference": "the same as group, by the reference node; needs cargo and protoc",
    "all": "everything, in under 30 minutes; --quick: the small sizes, in under 3",
    "docs": "write docs/performance.md and its plots from the newest results",
}
_MODULES = {"all": "everything", "docs": "performance"}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        width = max(map(len, NAMES))
        print("python bench NAME [--help]\n\n" + "\n".join(f"  {name:{width}}  {does}" for name, does in NAMES.items()))
        sys.exit(0 if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help") else 2)
    name = sys.argv.pop(1)
    sys.path.insert(0, str(Path(__file__).parent))
    importlib.import_module(_MODULES.get(name, name)).main()


if __name__ == "__main__":
    main()
