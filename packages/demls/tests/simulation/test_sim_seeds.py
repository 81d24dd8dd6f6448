"""Seeds are stories that go the same way every time, and keep all promises."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from demls.protocol.group import Group
from demls.protocol.policy import fault_of
from demls.simulation.people import ACTS
from demls.simulation.run import Outcome, engine_for, simulate
from demls.simulation.scenario import MEMBERS_MAX, MEMBERS_MIN, PROFILES, SKEW_MAX, Scenario
from demls.simulation.seeds import NAMED, NamedSeed

QUICK = range(1, 201)
"""Seeds that every run of the tests plays, in chunks, so that they spread over processes."""

CHUNK = 5


def run_named(named: NamedSeed) -> Outcome:
    return simulate(named.seed, members=named.members, engine=named.engine, profile=named.profile)


@pytest.mark.parametrize("first", QUICK[::CHUNK])
def test_the_promises_are_kept(first: int) -> None:
    """Small groups in worlds with everything that can go wrong; larger ones are for ``demls simulate``."""
    for seed in range(first, first + CHUNK):
        outcome = simulate(seed, members=_SIZES[seed % len(_SIZES)], engine="model")
        assert (outcome.promise, outcome.detail) == ("", ""), f"seed {seed}, {outcome.members} members"
        assert outcome.counts["epochs"] > 0
        assert outcome.time_to_heal is None or outcome.time_to_heal <= outcome.bound_to_heal + _LOOK


_SIZES = (3, 3, 4, 3, 4, 3, 5, 3, 4, 6)
_LOOK = 2.0
"""So often it is looked whether two thirds are together, in seconds."""


@pytest.mark.parametrize("named", NAMED, ids=lambda named: named.name)
def test_what_named_seeds_once_showed(named: NamedSeed) -> None:
    outcome = run_named(named)
    assert not outcome.promise, outcome.detail
    assert not any(outcome.counts[name] for name in named.never)


def test_what_only_large_groups_have_keeps_the_promises() -> None:
    """Committees, and welcomes in parts that get lost on their way."""
    outcome = simulate(5, profile="crowd", engine="model")
    assert not outcome.promise, outcome.detail
    assert outcome.counts["committed by a committee"]
    assert outcome.counts["welcome in parts"]


def test_the_same_seed_is_the_same_story() -> None:
    one, two = (simulate(7, members=4, engine="model", trace=True) for _ in range(2))
    assert one.transcript
    assert one.fingerprint
    assert replace(one, took=0.0) == replace(two, took=0.0)


@pytest.mark.parametrize("engine", ["model", "real"])
def test_a_story_does_not_depend_on_the_process(engine: str) -> None:
    """The whole transcript and, on the model, all records of all nodes in the end; on the real engine, all events."""
    program = (
        "from demls.simulation.run import simulate;"
        f"o = simulate(11, members=3, engine='{engine}', trace=True);"
        "print('\\n'.join(o.transcript));"
        f"print(o.counts, o.fingerprint if '{engine}' == 'model' else '')"
    )

    def run(hash_seed: str) -> str:
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
        ).stdout

    told = run("1")
    assert "merges" in told
    assert told == run("2")


def test_the_real_engine_keeps_the_promises_too() -> None:
    outcome = simulate(25, members=3, profile="plain")
    assert (outcome.engine, outcome.promise) == ("real", "")


def test_most_seeds_run_on_the_model() -> None:
    assert [engine_for(seed) for seed in (24, 25, 26)] == ["model", "real", "model"]


def test_scenarios_stay_within_what_is_promised() -> None:
    for seed in range(300):
        scenario = Scenario.draw(seed, "model", profile=sorted(PROFILES)[seed % len(PROFILES)])
        assert MEMBERS_MIN <= scenario.members <= MEMBERS_MAX
        assert 0 <= scenario.skew <= SKEW_MAX
        assert scenario.weather.repeats <= 0.5
        assert not fault_of(scenario.policy)
        assert scenario.policy.stewards_max <= 7 or scenario.policy.preset == "council" or scenario.profile == "crowd"
        assert scenario.weather.loss <= 0.3
        assert scenario.members > 3 or not scenario.adversaries


def test_the_worlds_of_the_full_profile_have_all_faults() -> None:
    drawn = [Scenario.draw(seed, "model", profile="full") for seed in range(400)]
    assert {kind for scenario in drawn for kind in scenario.faults} >= {
        "loss",
        "repeats",
        "heavy tail",
        "wrong clocks",
        "slow disks",
        "forgetful relay",
        "withholding relay",
        "backups",
    }
    assert any(scenario.real_disk for scenario in drawn)
    assert any(scenario.members > 20 for scenario in map(_of_anybody, range(3_000)))
    assert not Scenario.draw(1, "model", profile="calm").faults


def _of_anybody(seed: int) -> Scenario:
    return Scenario.draw(seed, "model", profile="full")


def test_a_story_names_people_and_what_they_do() -> None:
    told = "\n".join(simulate(3, members=4, engine="model", trace=True).transcript)
    for words in ("ann  is a member, in epoch 0", "asks to join", "votes yes", "offers", "acks", "locks", "merges"):
        assert words in told


def test_acts_have_names_of_their_own() -> None:
    assert len({act.name for act in ACTS}) == len(ACTS)


@pytest.mark.parametrize("seed", [3, 5])
def test_ending_a_call_at_a_repeat_changes_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same transcript and the same records, whether known messages end their calls at once or not."""
    quick = simulate(seed, members=4, engine="model", trace=True)
    monkeypatch.setattr(Group, "_is_idle", lambda self, step: False)
    slow = simulate(seed, members=4, engine="model", trace=True)
    assert replace(quick, took=0.0) == replace(slow, took=0.0)
