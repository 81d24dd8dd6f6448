"""How much do adding, removing, electing stewards, renewing keys and talking cost a whole group?

Every member is real, the network is in memory.

    python bench group --members 3 5 10 20 50 [--json FILE] [--runs R] [--beside] [--if-built]

Processor time is summed over all members; of several runs the smallest counts. ``--beside`` measures the reference node
(``python bench reference``) in turns with ours, size by size, so that both meet the same moods of the machine. See
README.md.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import reference
from demls.protocol.policy import QUICK
from leaves import make
from people import Cost, Member, People
from report import Result, add_arguments, keep, publish, runs_for, say, smallest

STEWARDS = 2
"""Two: their list is used up after two commits. The reference node has as many if nothing else is said."""

CHATS = 4
"""Said one after the other in an epoch, as the reference node's: in the first of a member keys are derived (MLS)."""

WARM_UP = 3
TURNS = 2
"""So often each takes its turn."""

KINDS = ("add", "remove", "election", "refresh", "chat")


def measure(size: int, runs: int) -> Result:
    """One is added, one removed, stewards elected, keys renewed twice, elected again; ``runs`` times."""
    policy = replace(QUICK, stewards_max=STEWARDS)
    people = People(make(size, policy=policy, leading=size, ordinary=0), stewards=STEWARDS)
    costs: dict[str, list[Cost]] = {kind: [] for kind in KINDS}
    commits: list[tuple[int, int]] = []

    def run(kind: str, act: Callable[[], None]) -> None:
        people.take_cost()
        act()
        costs[kind].append(people.take_cost())

    def rest() -> None:
        people.release()
        people.pass_time(1_000)
        people.forget(everything=True)  # of the runs before, no newcomer has to hear

    people.wake()
    rest()
    for number in range(runs):
        say(f"{size} members, run {number + 1} of {runs}")
        gc.collect()  # what was done before is no work of this run
        newcomer: Member = people.newcomer()
        for _ in range(CHATS):
            run("chat", lambda: people.chat("hello, everybody"))
        run("add", lambda newcomer=newcomer: people.add([newcomer]))
        rest()
        run("remove", lambda newcomer=newcomer: people.remove(newcomer.address))
        people.all.remove(newcomer)
        run("election", people.elect)
        rest()
        if number and runs > 1:
            continue  # keys are measured once: the commits are what counts
        run("refresh", people.refresh)
        rest()
        run("refresh", people.refresh)
        commits.append(people.newest_commit())
        if number + 1 < runs:
            run("election", people.elect)  # the list is used up
            rest()
    result: Result = {"members": size, **{kind: _smallest(found) for kind, found in costs.items()}}
    commit, update = max(commits)
    return result | {"refresh_commit_bytes": commit, "update_bytes": update}


def _smallest(costs: list[Cost]) -> Result:
    best = min(costs, key=lambda cost: cost.cpu_ms)
    return {"cpu_ms": round(best.cpu_ms, 3), "messages": best.messages, "bytes": best.size_bytes}


def in_turns(sizes: Sequence[int], runs: int | None, *, if_built: bool) -> list[Result]:
    """Ours and the reference node's in turns; keeps the latter, if it can be measured, and returns ours."""
    built = reference.program(if_built=if_built)
    if isinstance(built, str):
        print(built, file=sys.stderr)
        return [measure(size, runs_for(size, runs)) for size in sizes]
    ours, theirs = [], []
    for size in sizes:
        many = runs_for(size, runs)
        if size > reference.MEMBERS_MAX:
            ours.append(measure(size, many))
            continue
        each = -(-many // TURNS)
        turns = [(measure(size, each), reference.measure(built, size, each)) for _ in range(TURNS)]
        ours.append(smallest([one for one, _ in turns], KINDS))
        theirs.append(smallest([one for _, one in turns], reference.KINDS))
    keep("reference", theirs)
    return ours


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench group", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, nargs="+", default=[3, 5, 10, 20, 50, 100, 200, 400], metavar="N")
    parser.add_argument("--beside", action="store_true", help="measure the reference node in turns with it")
    parser.add_argument("--if-built", action="store_true", help="but not if it would have to be built first")
    add_arguments(parser)
    arguments = parser.parse_args()
    measure(WARM_UP, 1)  # what is only made once is no cost of the first size
    if arguments.beside:
        results = in_turns(arguments.members, arguments.runs, if_built=arguments.if_built)
    else:
        results = [measure(size, runs_for(size, arguments.runs)) for size in arguments.members]
    columns = [("members", lambda result: str(result["members"]))]
    for kind in KINDS:
        columns += [
            (f"{kind}\nms", lambda result, kind=kind: f"{result[kind]['cpu_ms']:,.1f}"),
            ("\nsent", lambda result, kind=kind: f"{result[kind]['messages']:,}"),
            ("\nKiB", lambda result, kind=kind: f"{result[kind]['bytes'] / 1024:,.1f}"),
        ]
    publish("group", results, columns=columns, file=arguments.json)


if __name__ == "__main__":
    main()
