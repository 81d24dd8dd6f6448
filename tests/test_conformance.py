"""Is the conformance record whole, and does everything that it names exist?"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from conformance import (  # noqa: E402
    ATTACKS,
    ATTACKS_PAGE,
    PAGE,
    STATUSES,
    TABLES,
    Row,
    attacks_page,
    decision_file,
    page,
    rows,
    text_of,
)

KEYS = {"id", "level", "clause", "behaviour", "weakness", "status", "decision", "reason", "missing", "how", "tests"}
KEYS |= {"attack"}
EVERYTHING = (*TABLES, ATTACKS)
LEVELS = {"MUST", "MUST NOT", "SHOULD", "MAY", "REQUIRED", "rule"}
SIZES = {"L": 57, "F": 10, "H": 22, "B": 18, "W": 65, "O": 17, "A": 49}


def record() -> Iterator[tuple[str, Row]]:
    for file, table, letter, *_ in EVERYTHING:
        for row in rows(file, table):
            yield f"{letter}{row['id']}", row


@cache
def names_in(file: Path) -> frozenset[str]:
    """Names of the test functions of a file, without importing it; those of a class stand behind its name too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            found.add(node.name)
    return frozenset(found)


def test_every_row_is_there_once() -> None:
    assert {letter: size for _, _, letter, _, _, size in EVERYTHING} == SIZES
    for file, table, letter, *_ in EVERYTHING:
        assert [row["id"] for row in rows(file, table)] == list(range(1, SIZES[letter] + 1)), f"{file} [{table}]"


@pytest.mark.parametrize(("name", "row"), [pytest.param(*found, id=found[0]) for found in record()])
def test_a_row_says_what_its_status_demands(name: str, row: Row) -> None:
    assert set(row) <= KEYS
    assert row["status"] in STATUSES
    assert text_of(row).endswith(".")
    assert ("level" in row) == (name[0] in "LFH")
    assert row.get("level", "rule") in LEVELS
    match row["status"]:
        case "met" | "solved":
            assert row.get("tests"), "nothing shows it"
        case "departed":
            assert row.get("tests"), "nothing shows what is done instead"
        case "absent" | "limit":
            assert row["how"]
        case "elsewhere":
            assert row["reason"]
        case "open":
            assert "TODO" in row["missing"], "which test is to come?"
    assert ("decision" in row) == (row["status"] == "departed")
    assert ("missing" in row) == (row["status"] == "open")
    weak = name[0] in "WOA"
    assert ("attack" in row) == weak
    assert not weak or row["attack"].count(". ") == 1, "an attack is told in two sentences"
    assert row["status"] in (
        {"solved", "absent", "limit", "open"} if weak else {"met", "departed", "elsewhere", "open"}
    )


def test_every_named_test_exists() -> None:
    missing = []
    for name, row in record():
        for test in row.get("tests", ()):
            file, _, function = test.partition("::")
            path = ROOT / file
            is_there = path.is_file() and (function in names_in(path) if function else path.suffix == ".txt")
            if not is_there or "[" in test:
                missing.append((name, test))
    assert not missing


def test_no_row_names_a_test_twice() -> None:
    assert not [name for name, row in record() if len(set(row.get("tests", ()))) != len(row.get("tests", ()))]


def test_what_is_expected_to_fail_is_waited_for_by_an_open_row_and_shown_by_none() -> None:
    failing = set()
    for file in ROOT.glob("packages/*/tests/**/test_conformance_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and any("xfail" in ast.unparse(d) for d in node.decorator_list):
                failing.add(node.name)
    shown = {test.partition("::")[2] for _, row in record() for test in row.get("tests", ())}
    waited_for = {word for _, row in record() for word in re.findall(r"test_\w+", row.get("missing", ""))}
    assert not failing & shown
    assert failing == waited_for


def test_every_decision_exists_and_is_linked_from_the_page() -> None:
    text = PAGE.read_text()
    for number in {row["decision"] for _, row in record() if "decision" in row}:
        assert f"](decisions/{decision_file(number).name})" in text


def test_the_pages_are_fresh() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"
    assert ATTACKS_PAGE.read_text() == attacks_page(), "run `make docs`"


def test_every_thief_is_named_with_what_it_can_do_and_the_tests_exist() -> None:
    thieves = rows("attacks.toml", "thief")
    assert len(thieves) == 4
    for row in thieves:
        assert set(row) == {"who", "can", "cannot", "ends", "tests"}
        for test in row["tests"]:
            file, _, function = test.partition("::")
            assert (ROOT / file).is_file()
            assert not function or function in names_in(ROOT / file)


def test_every_attack_that_is_tried_stands_on_the_page() -> None:
    tried = {
        f"{file.relative_to(ROOT)}::{name}"
        for file in ROOT.glob("packages/demls/tests/protocol/test_attacks*.py")
        for name in names_in(file)
    }
    named = {test for _, row in record() for test in row.get("tests", ())}
    named |= {test for row in rows("attacks.toml", "thief") for test in row["tests"]}
    assert tried
    assert not tried - named
