"""The fuzz targets with a few inputs each, the same ones every time; ``fuzz/run.py`` is for the millions."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[4] / "fuzz"
INPUTS = 200
FEWER = {"group": 100, "group-flood": 10, "group-raw": 60, "joining": 60, "inbox": 40, "keyfile": 60}
"""Where an input takes milliseconds. All seeds are among them."""

sys.path.insert(0, str(FUZZ))
TARGETS = importlib.import_module("targets").TARGETS
Judge = importlib.import_module("judge").Judge


@pytest.mark.parametrize("name", TARGETS)
def test_the_law_of_each_target_holds_for_its_seeds_and_for_changes_of_them(name: str) -> None:
    target = TARGETS[name]
    judge = Judge(name, target)
    data = b""

    def one(changed: bytes) -> None:
        nonlocal data
        data = changed
        judge.judge(changed)

    try:
        judge.loop(target.seeds(), one, inputs=FEWER.get(name, INPUTS))
    except BaseException:
        print(f"The input, {len(data)} bytes: {data.hex()}")
        raise


def test_made_up_welcomes_are_good_enough_to_be_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what lies behind the first check would never be reached."""
    founder = importlib.import_module("founder")
    joined: list[object] = []
    monkeypatch.setattr(founder, "_go_on", lambda group, *_: joined.append(group))
    seeds = founder.welcome_seeds()
    for seed in seeds:
        founder.attack_welcome(seed)
    assert len(joined) >= len(seeds) / 2


def test_the_fuzzer_runs_over_all_targets_in_a_few_seconds() -> None:
    command = [sys.executable, str(FUZZ / "run.py"), "--seconds", "5"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stdout[-4_000:] + run.stderr[-4_000:]
    assert f"{len(TARGETS)} targets" in run.stdout
    assert "0 failures" in run.stdout
