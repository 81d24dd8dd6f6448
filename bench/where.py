"""Where does the processor time of a change go: to the engine, to the wire, to the store's records, to the protocol?

    python bench where --members 3 10 100 [--kind add] [--runs R] [--json FILE]

The same group and the same change as in ``group``, summed over all members. Time inside the engine's calls is measured
as it is; the rest of an unprofiled run is shared out as a profile shares it out, since the profiler slows Python down.
See README.md.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median

from demls.protocol.effects import Effects
from demls.protocol.policy import QUICK
from demls.wire.ids import Address
from group import STEWARDS, WARM_UP
from leaves import make
from people import Member, People
from report import Result, add_arguments, publish, runs_for, say

RUNS = 10
ROOMS = ("protocol", "wire", "engine", "other")
"""Of Python; the engine has a Python face, too. Other: the consensus library, msgspec, hashes, and the like."""

_MLS = "demls_engine."
_SIGNATURES = ("sign", "verify", "verify_batch")
_SEALS = ("seal", "unseal", "unseal_many")
KINDS = ("chat", "add", "remove", "election")


def measure(size: int, kind: str, runs: int) -> Result:
    """Plain runs for the time, profiled ones for its shares."""
    plain, _ = _play(size, kind, runs, None)
    profile = cProfile.Profile(builtins=True)
    profiled, people_steps = _play(size, kind, runs, profile)
    shares = by_part(pstats.Stats(profile), runs)
    parts = share_out(plain, shares)
    return {
        "members": size,
        "kind": kind,
        "cpu_ms": round(plain, 2),
        "profiled_ms": round(profiled, 2),
        "calls_of_members": people_steps,
        "parts_ms": {part: round(ms, 2) for part, ms in sorted(parts.items(), key=lambda one: -one[1])},
    }


def share_out(plain: float, shares: Mapping[str, float]) -> dict[str, float]:
    """The ``plain`` ms of an unprofiled run, by part, from the ms of a profiled one.

    The engine's calls as they are, what is left to the rooms of Python in the profile's proportions. Where the profiled
    run was disturbed so much that its engine alone took longer than the whole of the other, the engine's are shrunk.
    """
    engine = {part: ms for part, ms in shares.items() if part not in ROOMS}
    python = {room: shares[room] for room in ROOMS if room in shares}
    shrunk = min(1.0, plain / sum(engine.values())) if engine else 1.0
    left = plain - shrunk * sum(engine.values())
    stretch = left / sum(python.values()) if python else 0.0
    return {part: shrunk * ms for part, ms in engine.items()} | {room: stretch * ms for room, ms in python.items()}


def _play(size: int, kind: str, runs: int, profile: cProfile.Profile | None) -> tuple[float, int]:
    """(the median of ms, calls of machines in one run)."""
    people = People(
        make(size, policy=replace(QUICK, stewards_max=STEWARDS), leading=size, ordinary=0), stewards=STEWARDS
    )
    took: list[float] = []
    is_on = False
    calls = watch(people, lambda _: is_on, profile)
    people.release()
    people.pass_time(1_000)
    for number in range(runs):
        say(f"{size} members, {kind}, run {number + 1} of {runs}{', profiled' if profile else ''}")
        newcomer = people.newcomer()
        acts: dict[str, Callable[[], None]] = {
            "chat": lambda: people.chat("hello, everybody"),
            "add": lambda newcomer=newcomer: people.add([newcomer]),
            "remove": lambda newcomer=newcomer: people.remove(newcomer.address),
            "election": people.elect,
        }
        for name, act in acts.items():
            people.take_cost()
            is_on = name == kind
            act()
            if name == kind:
                took.append(people.take_cost().cpu_ms)
            is_on = False
            if name == "remove":
                people.all.remove(newcomer)
            if name != "remove":
                people.release()
                people.pass_time(1_000)
                people.forget(everything=True)
    return median(took), sum(calls.values()) // runs


def watch(people: People, is_on: Callable[[Member], bool], profile: cProfile.Profile | None = None) -> Counter[Address]:
    """Profile from now on what machines do of members for which it ``is_on``, and count how often they are called."""
    calls: Counter[Address] = Counter()
    step = people._step

    def watched_step(member: Member, call: Callable[[], Effects]) -> None:
        if not is_on(member):
            step(member, call)
            return
        calls[member.address] += 1
        step(member, call if profile is None else lambda: profile.runcall(call))

    people._step = watched_step  # type: ignore[method-assign]
    return calls


def by_part(stats: pstats.Stats, runs: int) -> Counter[str]:
    """Own time by part, in ms of one run."""
    parts: Counter[str] = Counter()
    for (file, _, name), (_, _, own, _, _) in stats.stats.items():  # type: ignore[attr-defined]
        parts[_part_of(file, name)] += own * 1000 / runs
    return parts


def _part_of(file: str, name: str) -> str:
    if file == "~":
        if _MLS not in name and "demls_engine" not in name:
            return "other"
        method = name.split("'")[1] if "'" in name else name
        if method in _SIGNATURES:
            return "engine: signatures"
        return "engine: sealing" if method in _SEALS else "engine: MLS"
    parts = Path(file).parts
    if "demls" in parts and "wire" in parts:
        return "wire"
    if "demls_engine" in parts:
        return "engine"
    return "protocol" if "protocol" in parts else "other"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench where", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, nargs="+", default=[3, 10, 50], metavar="N")
    parser.add_argument("--kind", choices=KINDS, default="add")
    add_arguments(parser)
    arguments = parser.parse_args()
    _play(WARM_UP, arguments.kind, 2, None)  # what is only made once is no cost of the first size
    results = [
        measure(size, arguments.kind, arguments.runs or max(2, RUNS * runs_for(size, None) // 3))
        for size in arguments.members
    ]
    columns = [("members", lambda r: str(r["members"])), ("ms", lambda r: f"{r['cpu_ms']:,.1f}")]
    publish("where", results, columns=columns, file=arguments.json)


if __name__ == "__main__":
    main()
