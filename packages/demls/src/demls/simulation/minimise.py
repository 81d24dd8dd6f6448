"""Which is the smallest world in which the promise still breaks? Fewer members, a shorter life, fewer faults.

Each part of a failing world is taken away by itself; if the same promise still breaks without it, it stays away. This
goes on until nothing can be taken away any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from demls.simulation.run import Outcome, play
from demls.simulation.scenario import CALM, EPOCHS_SHORTEST, MEMBERS_MIN, Scenario

RUNS_MAX = 200
"""So many worlds are tried at most."""

Play = Callable[..., Outcome]


@dataclass(frozen=True, slots=True)
class Smallest:
    """A failing world from which nothing can be taken away; ``taken``: what was, in words, in this order."""

    scenario: Scenario
    without: tuple[str, ...]
    """Strategies that no bad member follows."""
    outcome: Outcome
    taken: tuple[str, ...]
    runs: int


_World = tuple[Scenario, tuple[str, ...]]


def minimise(scenario: Scenario, *, run: Play = play, runs_max: int = RUNS_MAX) -> Smallest | None:
    """None if the world as it is keeps all promises."""
    outcome = run(scenario)
    if not outcome.promise:
        return None
    best, taken, runs = scenario, list[str](), 1
    without: tuple[str, ...] = ()
    is_smaller = True
    while is_smaller and runs < runs_max:
        is_smaller = False
        for what, (smaller, left_out) in list(_smaller(best, without, outcome)):
            if runs >= runs_max:
                break
            found = run(smaller, without=left_out)
            runs += 1
            if found.promise == outcome.promise:
                best, without, outcome, is_smaller = smaller, left_out, found, True
                taken.append(what)
                break
    return Smallest(best, tuple(without), outcome, tuple(taken), runs)


def _smaller(scenario: Scenario, without: tuple[str, ...], outcome: Outcome) -> Iterator[tuple[str, _World]]:
    """All that can be taken away from this world, the greatest parts first."""
    weather = scenario.weather
    for members in sorted({MEMBERS_MIN, 3, 4, scenario.members // 2, scenario.members - 1}):
        if MEMBERS_MIN <= members < scenario.members:
            bad = min(scenario.adversaries, max(0, (members - 1) // 3))
            yield f"{members} members", (replace(scenario, members=members, adversaries=bad), without)
    for epochs in sorted({EPOCHS_SHORTEST, scenario.epochs // 2, scenario.epochs - 3}):
        if EPOCHS_SHORTEST <= epochs < scenario.epochs:
            yield f"{epochs} epochs", (replace(scenario, epochs=epochs), without)
    if scenario.adversaries:
        yield "no bad members", (replace(scenario, adversaries=0), without)
        for name in sorted(set(outcome.acts) - set(without)):
            yield f"no {name}", (scenario, tuple(sorted({*without, name})))
    if weather != CALM:
        yield "calm weather", (replace(scenario, weather=CALM), without)
    parts = {
        "loss": replace(weather, loss=0.0),
        "repeats": replace(weather, repeats=0.0),
        "stragglers": replace(weather, stragglers=0.0),
        "a heavy tail": replace(weather, tail=0.0),
    }
    for what, calmer in parts.items():
        if calmer != weather:
            yield f"no {what}", (replace(scenario, weather=calmer), without)
    switches: dict[str, Scenario] = {
        "crashes": replace(scenario, crashes=0.0),
        "strikes": replace(scenario, strikes=0.0),
        "partitions": replace(scenario, partitions=False),
        "blackouts": replace(scenario, blackouts=False),
        "naps": replace(scenario, naps=False),
        "dozing": replace(scenario, dozes=False),
        "muffling": replace(scenario, muffles=False),
        "slow disks": replace(scenario, slow_disks=0),
        "wrong clocks": replace(scenario, skew=0),
        "forgetful relay": replace(scenario, forgets=0.0),
        "withholding relay": replace(scenario, hides=False),
        "backups": replace(scenario, restores=False),
        "real disks": replace(scenario, real_disk=False),
        "history": replace(scenario, has_history=False, forgets=0.0),
    }
    for what, smaller in switches.items():
        if smaller != scenario:
            yield f"no {what}", (smaller, without)


def told(smallest: Smallest) -> list[str]:
    """What it is, in sentences; its trace is the outcome's."""
    scenario = smallest.scenario
    lines = [f"After {smallest.runs} runs: {scenario.members} members, {scenario.epochs} epochs."]
    lines.append(f"Taken away: {', '.join(smallest.taken) or 'nothing'}.")
    lines.append(f"It breaks {smallest.outcome.promise}: {smallest.outcome.detail}")
    return lines
