"""``python -m rogue.node --strategy NAME ...``: a node that cheats as it leads or is told to; else ``demls node``."""

from __future__ import annotations

import argparse

from demls.cli.main import app

from rogue.deeds import obey
from rogue.strategies import STRATEGIES, cheat


def main() -> None:
    parser = argparse.ArgumentParser(prog="rogue.node", description=__doc__)
    parser.add_argument(
        "--strategy",
        action="append",
        default=[],
        metavar="[GROUP=]NAME",
        help=f"how it cheats, in all groups or in those of this name: {', '.join(STRATEGIES)}",
    )
    given, rest = parser.parse_known_args()
    chosen: dict[str, str] = {}
    for text in given.strategy:
        group, _, name = text.rpartition("=")
        if name not in STRATEGIES:
            parser.error(f"there is no strategy “{name}”: say one of {', '.join(STRATEGIES)}")
        chosen[group] = name
    cheat(chosen)
    obey()
    app(["node", *rest])


if __name__ == "__main__":
    main()
