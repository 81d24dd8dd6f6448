"""How much do adding, removing, renewing keys and talking cost a whole group?

Every member is real, the network is in memory.

    python bench/group.py --members 3 5 10 20 50 [--json FILE] [--runs R]

Processor time is summed over all members; of several runs the smallest counts. See README.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from people import Cost, Member, People
from report import Result, publish, say

BATCH_MAX = 8
"""Newcomers at a time while the group is filled, since a member may have so many proposals open."""


def filled(size: int, *, one_by_one: bool = False) -> People:
    """A group of so many members."""
    people = People(one_by_one=one_by_one)
    while (missing := size - len(people.members())) > 0:
        people.add([people.newcomer() for _ in range(min(missing, BATCH_MAX))])
    return people


def measure(size: int, runs: int, *, one_by_one: bool = False) -> Result:
    """One more is added, one message is said to all, the one is removed, one renews its keys; ``runs`` times."""
    people = filled(size, one_by_one=one_by_one)
    costs: dict[str, list[Cost]] = {"add": [], "remove": [], "refresh": [], "chat": []}
    commits: list[tuple[int, int]] = []

    def run(kind: str, act: Callable[[], None]) -> None:
        people.take_cost()
        act()
        costs[kind].append(people.take_cost())

    for number in range(runs):
        say(f"{size} members, run {number + 1} of {runs}")
        newcomer: Member = people.newcomer()
        run("chat", lambda: people.chat("hello, everybody"))
        run("add", lambda newcomer=newcomer: people.add([newcomer]))
        run("remove", lambda newcomer=newcomer: people.remove(newcomer))
        run("refresh", people.refresh)
        commits.append(people.newest_commit())
    result: Result = {"members": size, **{kind: _smallest(found) for kind, found in costs.items()}}
    commit, update = max(commits)
    return result | {"refresh_commit_bytes": commit, "update_bytes": update}


def _smallest(costs: list[Cost]) -> Result:
    best = min(costs, key=lambda cost: cost.cpu_ms)
    return {"cpu_ms": round(best.cpu_ms, 3), "messages": best.messages, "bytes": best.size_bytes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, nargs="+", default=[3, 5, 10, 20, 50], metavar="N")
    parser.add_argument("--runs", type=int, default=3, metavar="R")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--one-by-one", action="store_true", help="take each envelope in by itself")
    arguments = parser.parse_args()
    results = [measure(size, arguments.runs, one_by_one=arguments.one_by_one) for size in arguments.members]
    kinds = ("add", "remove", "refresh", "chat")
    columns = [("members", lambda result: str(result["members"]))]
    for kind in kinds:
        columns += [
            (f"{kind}\nms", lambda result, kind=kind: f"{result[kind]['cpu_ms']:,.1f}"),
            ("\nsent", lambda result, kind=kind: f"{result[kind]['messages']:,}"),
            ("\nKiB", lambda result, kind=kind: f"{result[kind]['bytes'] / 1024:,.1f}"),
        ]
    columns += [
        ("commit\nbytes", lambda result: f"{result['refresh_commit_bytes']:,}"),
        ("Update\nbytes", lambda result: f"{result['update_bytes']:,}"),
    ]
    publish(results, columns=columns, file=arguments.json)


if __name__ == "__main__":
    main()
