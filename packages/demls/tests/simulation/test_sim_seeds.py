"""Seeds are stories that go the same way every time, and keep all promises."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from demls.protocol.policy import fault_of
from demls.simulation.people import ACTS
from demls.simulation.run import Outcome, engine_for, simulate
from demls.simulation.scenario import MEMBERS_MAX, MEMBERS_MIN, Scenario
from demls.simulation.seeds import NAMED, NamedSeed

REGRESSION = sorted({*range(1000, 1022)}.difference(named.seed for named in NAMED))


def run_named(named: NamedSeed) -> Outcome:
    return simulate(named.seed, members=named.members, engine=named.engine)


@pytest.mark.parametrize("seed", REGRESSION)
def test_the_promises_are_kept(seed: int) -> None:
    outcome = simulate(seed, members=2 + seed % 2, engine="model")
    assert (outcome.promise, outcome.detail) == ("", "")
    assert outcome.counts["epochs"] > 0


@pytest.mark.parametrize("named", NAMED, ids=lambda named: named.name)
def test_what_named_seeds_once_showed(named: NamedSeed, request: pytest.FixtureRequest) -> None:
    if named.still_fails:
        request.applymarker(pytest.mark.xfail(reason=named.still_fails, strict=False))
    outcome = run_named(named)
    assert not outcome.promise, outcome.detail
    assert not any(outcome.counts[name] for name in named.never)


def test_the_same_seed_is_the_same_story() -> None:
    one, two = (simulate(7, members=4, engine="model", trace=True) for _ in range(2))
    assert one.transcript
    assert replace(one, took=0.0) == replace(two, took=0.0)


def test_a_story_does_not_depend_on_the_process() -> None:
    program = (
        "from demls.simulation.run import simulate;"
        "import hashlib;"
        "o = simulate(11, members=4, engine='model', trace=True);"
        "print(hashlib.sha256('\\n'.join(o.transcript).encode()).hexdigest())"
    )

    def run(hash_seed: str) -> str:
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
        ).stdout

    assert run("1") == run("2")


def test_the_real_engine_keeps_the_promises_too() -> None:
    outcome = simulate(25, members=3)
    assert (outcome.engine, outcome.promise) == ("real", "")


def test_most_seeds_run_on_the_model() -> None:
    assert [engine_for(seed) for seed in (24, 25, 26)] == ["model", "real", "model"]


def test_scenarios_stay_within_what_is_promised() -> None:
    for seed in range(300):
        scenario = Scenario.draw(seed, "model")
        assert MEMBERS_MIN <= scenario.members <= MEMBERS_MAX
        assert not fault_of(scenario.policy)
        assert scenario.policy.stewards_max <= 7 or scenario.policy.preset == "council"
        assert scenario.weather.loss <= 0.3
        assert scenario.members > 3 or not scenario.adversaries


def test_a_story_names_people_and_what_they_do() -> None:
    told = "\n".join(simulate(3, members=4, engine="model", trace=True).transcript)
    for words in ("ann  is a member, in epoch 0", "asks to join", "votes yes", "offers", "acks", "locks", "merges"):
        assert words in told


def test_acts_have_names_of_their_own() -> None:
    assert len({act.name for act in ACTS}) == len(ACTS)
