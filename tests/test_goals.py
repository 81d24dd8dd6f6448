"""The table of goals says what was measured, and only that."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture
def goals(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    import goals  # noqa: PLC0415 - only there while this test runs

    yield goals
    sys.modules.pop("goals", None)


def rows_of(lines: list[str]) -> dict[str, list[str]]:
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {row[0]: row[1:] for row in cells if row[0]}


def test_nothing_measured_nothing_said(goals: Any) -> None:
    assert goals.table_of_goals({}) == []


def test_a_goal_that_is_not_reached_names_its_bound(goals: Any) -> None:
    found = {
        "group": {"results": [{"members": 3, "add": {"cpu_ms": 30.0}}, {"members": 100, "add": {"cpu_ms": 50.0}}]},
        "reference": {"results": [{"members": 3, "add": {"cpu_ms": 10.0}}, {"members": 100, "add": {"cpu_ms": 100.0}}]},
    }
    lines = goals.table_of_goals(found)
    rows = rows_of(lines)
    assert rows["add by vote, 3 members, ours to the reference's"] == ["at most 2", "3", "no"]
    assert rows["add by vote, 100 members, ours to the reference's"] == ["at most 0.8", "0.5", "yes"]
    assert len(rows) == 2
    assert sum(line.startswith("* ") for line in lines) == 1


def test_figures_of_10000_are_of_nothing_smaller(goals: Any) -> None:
    month = {"members": 500, "add": {"cpu_ms": {"mean": 10.0}, "received_bytes": {"mean": 50_000.0}}}
    assert goals.table_of_goals({"month": {"results": [month]}}) == []
    month |= {"members": 9_990, "later": {"add": {"cpu_ms": {"mean": 99.0}, "received_bytes": {"mean": 90_000.0}}}}
    rows = rows_of(goals.table_of_goals({"month": {"results": [month]}}))
    assert rows["add at 10,000, received"] == ["at most 100 KB", "90 KB", "yes"]
    large = {"members": 9_899, "decided_by": "stewards", "catch_up_100": {"cpu_ms": 8_000.0, "epochs": 50}}
    rows = rows_of(goals.table_of_goals({"large": {"results": [large]}}))
    assert rows == {"catch-up of 100 epochs at 10,000": ["at most 15 s", "16 s", "no"]}
