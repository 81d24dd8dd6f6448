"""``demls simulate`` says what happened, in tables, JSON or a story, and fails when a promise breaks."""

from __future__ import annotations

import json

import pytest
from demls.cli.main import app
from demls.protocol.repair import Repair
from demls.protocol.step import Step
from typer.testing import CliRunner, Result


def simulate(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["simulate", *arguments])


def test_a_report_for_people() -> None:
    result = simulate("--seeds", "1..3", "--members", "3", "--engine", "model", "--jobs", "1")
    assert result.exit_code == 0, result.output
    assert "All promises were kept in 3 seeds." in result.output
    assert "view changes" in result.output
    assert "seconds a seed" in result.output


def test_a_report_for_programs_from_several_processes() -> None:
    result = simulate("--seeds", "1..3", "--members", "2", "--engine", "model", "--json", "--jobs", "2")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["seeds"] == 3
    assert [run["seed"] for run in report["runs"]] == [1, 2, 3]
    assert report["counters"]["epochs"]["total"] > 0
    assert set(report["versions"]) >= {"demls", "python"}
    assert report["broken"] == []


def test_a_trace() -> None:
    result = simulate("--seeds", "3", "--members", "3", "--engine", "model", "--trace")
    assert "ann  is a member, in epoch 0" in result.output
    told = simulate("--seeds", "3", "--members", "3", "--engine", "model", "--trace", "--json")
    assert json.loads(told.stdout)["transcripts"]["3"]


def test_a_broken_promise_fails_with_its_story(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Repair, step: Step) -> None:
        raise ValueError("not my day")

    monkeypatch.setattr(Repair, "tick", fail)
    result = simulate("--seeds", "1", "--members", "3", "--engine", "model")
    assert result.exit_code == 1
    assert "Seed 1 breaks core" in result.output
    assert "founds" in result.output or "is a member" in result.output
    assert "1 of 1 seeds broke a promise" in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--seeds", "x"), "names no seeds"),
        (("--seeds", "9..3"), "runs backwards: say 3..9"),
        (("--seeds", "0..99999999"), "fewer at a time"),
        (("--members", "1"), "A group has 2 to 40 members here"),
        (("--members", "41"), "A group has 2 to 40 members here"),
        (("--profile", "mild"), "say one of full, plain, harsh, calm, crowd"),
        (("--seeds", "1..2", "--minimise"), "Only one seed can be made smaller at a time"),
        (("--engine", "steam"), "say model or real"),
        (("--jobs", "0"), "At least one process"),
    ],
)
def test_refusals_are_sentences(arguments: tuple[str, ...], sentence: str) -> None:
    result = simulate(*arguments)
    assert result.exit_code == 1
    assert sentence in result.stderr
