"""A failing world is made smaller until nothing can be taken away; a page with pictures tells of many seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from demls.cli.main import app
from demls.simulation import plots
from demls.simulation.ablations import ABLATIONS, without
from demls.simulation.minimise import minimise, told
from demls.simulation.plots import NoPlots, write_report
from demls.simulation.report import report_of
from demls.simulation.run import Outcome, simulate
from demls.simulation.scenario import EPOCHS_SHORTEST, Scenario
from typer.testing import CliRunner


def test_a_failing_world_becomes_the_smallest() -> None:
    with without("a quorum"):
        found = minimise(Scenario.draw(11, "model", 5), runs_max=40)
    assert found is not None
    assert found.outcome.promise == "P1"
    assert found.outcome.transcript
    assert found.scenario.members < 5
    assert EPOCHS_SHORTEST <= found.scenario.epochs < Scenario.draw(11, "model", 5).epochs
    assert any("members" in line for line in told(found))


def test_a_world_that_keeps_its_promises_has_no_smaller_one() -> None:
    assert minimise(Scenario.draw(7, "model", 2)) is None


def test_what_the_promise_breaks_by_stays() -> None:
    """Whatever is taken away, the promise must still break: here only crashes make it."""
    whole = replace(Scenario.draw(3, "model", 7), crashes=0.5, adversaries=2)
    blank = simulate(7, members=2, engine="model")

    def run(scenario: Scenario, *, without: tuple[str, ...] = ()) -> Outcome:
        return replace(blank, promise="P5" if scenario.crashes and scenario.members > 3 else "")

    found = minimise(whole, run=run)
    assert found is not None
    assert (found.scenario.members, found.scenario.adversaries, found.scenario.crashes) == (4, 0, 0.5)
    assert not found.scenario.partitions


def test_the_smallest_from_the_command_line() -> None:
    arguments = ["simulate", "--seed", "1", "--members", "4", "--without", "a quorum", "--minimise"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "It breaks P1" in result.output
    assert ABLATIONS["a quorum"].promise == "P1"


def test_a_page_with_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report = report_of([simulate(seed, members=2, engine="model") for seed in (3, 4)])
    written = write_report(report, tmp_path / "report", "demls simulate --seeds 3..4")
    assert {path.suffix for path in written} == {".png", ".html"}
    assert all(path.stat().st_size for path in written)
    page = written[-1].read_text()
    for words in (
        "demls simulate --seeds 3..4",
        "backup takeover",
        "All promises were kept in 2 seeds.",
        "latency.png",
    ):
        assert words in page


def test_without_the_pictures_program_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing() -> None:
        raise NoPlots("Pictures need matplotlib.")

    monkeypatch.setattr(plots, "_pyplot", missing)
    arguments = ["simulate", "--seeds", "7", "--members", "2", "--engine", "model", "--report", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "Pictures need matplotlib" in result.stderr
