"""Do the stories of the demo play to their ends, between real processes, and leave nothing behind?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from demls.cli.main import app
from demls.cli.stories import STORIES
from typer.testing import CliRunner

SECONDS_MAX = 600
"""For machines that have much else to do; a story takes less than a minute on one that has not."""


def demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "demls.cli.main", "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
        env={**os.environ, "NO_COLOR": "1", **environment},
    )


def played(name: str, place: Path, nodes: int) -> str:
    """What a story said; it has ended well and all its processes with it."""
    done = demo("--story", name, "--fast", "--folder", str(place))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("http://127.0.0.1:") == nodes
    assert done.stdout.rstrip().endswith("everything it claims was checked.")
    assert len(list(place.glob("*/demls.sqlite"))) == nodes
    assert not list(place.glob("*/api.address"))
    return done.stdout


@pytest.mark.parametrize("arguments", [["--story"], ["--story", "--fast"], ["--story", "list"]])
def test_the_stories_are_listed_the_default_first(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["demo", *arguments])
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(STORIES)
    assert next(iter(STORIES)) == "reading-circle"


def test_a_story_that_there_is_not_is_refused_with_those_there_are() -> None:
    done = demo("--story", "nowhere")
    assert done.returncode == 1
    assert (
        "say one of reading-circle, stewards, one-winner, validation, scores, freeze, recovery, joiners" in done.stderr
    )


@pytest.mark.parametrize("story", ["validation", "scores", "freeze", "joiners"])
def test_a_story_without_the_malicious_node_says_where_to_find_it(story: str, tmp_path: Path) -> None:
    done = demo("--story", story, "--fast", DEMLS_ROGUE=str(tmp_path))
    assert done.returncode == 1
    assert "from a checkout" in done.stderr


@pytest.mark.processes
def test_stewards_take_turns_fail_and_are_followed(tmp_path: Path) -> None:
    said = played("stewards", tmp_path / "demo", 6)
    assert said.count("no person was asked") == 2
    for words in ("at the first attempt", "at attempt 2", "at attempt 3", "“The stewards are silent; "):
        assert words in said


@pytest.mark.processes
def test_two_halves_a_kill_and_an_absence_make_one_history(tmp_path: Path) -> None:
    said = played("one-winner", tmp_path / "demo", 4)
    assert said.count("Approved because silence counts as yes") >= 2
    for words in (
        "it is where it was",
        "nothing was committed",
        ": Withdrawn: ",
        "Carried out",
        "every commit with its",
    ):
        assert words in said


@pytest.mark.processes
def test_a_malicious_leader_is_refused_by_number_and_nobody_else_is_blamed(tmp_path: Path) -> None:
    said = played("validation", tmp_path / "demo", 4)
    for check, times in (("V01", 1), ("V02", 1), ("V10", 3)):
        assert said.count(f"Mallory offered a commit that breaks check {check} and was refused") == times
    assert "signed two different statements in one view" in said
    assert "can get no certificate" in said


@pytest.mark.processes
def test_scores_fall_with_reasons_until_the_nodes_remove_the_cheat(tmp_path: Path) -> None:
    said = played("scores", tmp_path / "demo", 4)
    assert said.count("Why has Mallory ") == 2
    assert said.count("Mallory was removed at once") == 2
    for words in (
        "offered a commit that does something else than was decided in epoch 1: -30",
        "accused somebody with proofs that do not hold; there is no vote on it",
        "signed two different things in epoch 2: -100",
        "It has checked the proofs.",
        "its emergency was decided yes",
        "offered a commit that breaks check V01",
    ):
        assert words in said


@pytest.mark.processes
def test_what_is_proposed_during_an_emergency_waits_and_lands(tmp_path: Path) -> None:
    said = played("freeze", tmp_path / "demo", 4)
    assert said.count("It waits until the emergency is decided, and is opened then.") == 2
    assert said.count("is opened by itself") == 2
    assert said.count("   (read by all)") == 4
    for words in ("Remove Bob: Rejected by vote", "its emergency was decided no", "Mallory was removed at once"):
        assert words in said


@pytest.mark.processes
def test_a_group_recovers_from_silent_stewards_layer_by_layer(tmp_path: Path) -> None:
    said = played("recovery", tmp_path / "demo", 6)
    assert "has not committed; " in said
    assert "“The stewards are silent; " in said
    assert "the nodes are electing new ones" in said
    assert said.count(" made the commit, ") == 2
    assert "a steward, made the next commit" in said


@pytest.mark.processes
def test_newcomers_set_up_their_state_in_the_middle_of_everything(tmp_path: Path) -> None:
    said = played("joiners", tmp_path / "demo", 5)
    for words in (
        "You joined after this proposal was opened, so others decide it.",
        "no steward, made the commit",
        "Nina’s is the last",
        "finds the round under way, and takes part",
        "Nina has followed it",
        "Nina made the commit of epoch",
    ):
        assert words in said
