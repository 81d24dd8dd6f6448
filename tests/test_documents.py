"""Is what the documents say still so? Links, commands, and the files that are made from code."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(path for path in ROOT.rglob("*.md") if not {"node_modules", ".venv", "target"} & set(path.parts))


def test_links_between_documents_lead_somewhere() -> None:
    links = [
        (document, target)
        for document in DOCUMENTS
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text())
    ]
    assert len(links) > 10
    assert not [link for link in links if not (link[0].parent / link[1]).exists()]


def test_make_targets_that_are_named_exist() -> None:
    known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for document in DOCUMENTS for target in re.findall(r"`make ([a-z]+)", document.read_text())}
    assert named <= known


def test_generated_files_are_fresh() -> None:
    command = [sys.executable, ROOT / "scripts/generate.py", "--check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs/decisions"
    listed = set(re.findall(r"\]\(([^)]+)\)", (folder / "README.md").read_text()))
    assert listed == {path.name for path in folder.glob("[0-9]*.md")}


def test_every_room_of_the_package_is_on_the_map() -> None:
    rooms = {path.name for path in (ROOT / "packages/demls/src/demls").iterdir() if (path / "__init__.py").exists()}
    on_map = set(re.findall(r"^\| `(\w+)/`", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE))
    assert rooms <= on_map


def test_every_file_of_the_protocol_is_on_the_map() -> None:
    files = {path.name for path in (ROOT / "packages/demls/src/demls/protocol").glob("*.py")} - {"__init__.py"}
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert not [name for name in sorted(files) if f"`{name}`" not in text]
