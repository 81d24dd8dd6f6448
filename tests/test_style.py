"""Does the code keep the house's rules that no linter knows?"""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path
    for package in (ROOT / "packages").iterdir()
    for folder in ("src", "python")
    for path in (package / folder).rglob("*.py")
    if not path.name.endswith("_pb2.py")
)
LINES_MAX = 750


def name_of(source: Path) -> str:
    return str(source.relative_to(ROOT / "packages"))


def test_every_file_says_first_what_it_is_for() -> None:
    first_lines = {
        name_of(source): (ast.get_docstring(ast.parse(source.read_text())) or "").split("\n")[0] for source in SOURCES
    }
    assert not [name for name, line in first_lines.items() if len(line) < 15]


def test_every_file_has_one_reason_to_exist() -> None:
    """The suite of the engine's contract apart, which is tests."""
    sizes = {name_of(source): len(source.read_text().splitlines()) for source in SOURCES}
    assert not {name: size for name, size in sizes.items() if size > LINES_MAX and not name.endswith("contract.py")}


def test_no_state_lives_in_a_module() -> None:
    """Module-level names are constants, types, functions or loggers: nothing is reassigned through ``global``."""
    trees = {name_of(source): ast.parse(source.read_text()) for source in SOURCES}
    assert not [name for name, tree in trees.items() if any(isinstance(node, ast.Global) for node in ast.walk(tree))]
