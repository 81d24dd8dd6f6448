"""Write (or with --check compare) every file that is made from another: wire code, API document, tables of the docs."""

from __future__ import annotations

import argparse
import ast
import inspect
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from demls.protocol import policy, validation
from demls.protocol.commit_round import TRANSITIONS

ROOT = Path(__file__).resolve().parent.parent
WIRE = ROOT / "packages/demls/src/demls/wire/demls.proto"
REFERENCE = ROOT / "packages/demls-consensus/src/demls_consensus/reference/consensus.proto"
MADE = "<!-- Made by `make docs`; edit the code instead. -->\n\n"


def protobuf(schema: Path) -> Iterator[tuple[Path, bytes]]:
    """The Python code and types of a schema; it is registered under its path from the source root."""
    root = next(parent for parent in schema.parents if parent.name == "src")
    with tempfile.TemporaryDirectory() as out:
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{root}", f"--python_out={out}"]
        command += [f"--mypy_out=quiet:{out}", str(schema)]
        subprocess.run(command, check=True, env=environment)
        for made in sorted(Path(out).rglob("*_pb2.py*")):
            yield root / made.relative_to(out), made.read_bytes()


def openapi() -> bytes:
    """The OpenAPI document of the node."""
    return subprocess.run([sys.executable, "-m", "demls.node.api.openapi"], check=True, stdout=subprocess.PIPE).stdout


def round_page() -> str:
    """The transitions of the commit round, as a diagram and as a table."""
    arrows = "\n".join(f"    {t.phase} --> {t.to}: {t.when}" for t in TRANSITIONS)
    rows = "\n".join(f"| {t.phase} | {t.when} | {t.action.__name__.replace('_', ' ')} | {t.to} |" for t in TRANSITIONS)
    return (
        f"{MADE}# The commit round\n\n"
        "Settling comes before everything, in any phase and from any view: a quorum of locks of one view for one\n"
        "candidate, and its bytes. The first transition that applies is taken, again and again, until none does.\n\n"
        f"```mermaid\nstateDiagram-v2\n    [*] --> idle\n{arrows}\n```\n\n"
        f"| phase | when | does | next |\n|---|---|---|---|\n{rows}\n"
    )


def checks_page() -> str:
    """The numbered checks of the commit validation service."""
    body = next(
        node
        for node in ast.parse(inspect.getsource(validation)).body
        if isinstance(node, ast.ClassDef) and node.name == "Check"
    ).body
    rows = []
    for assignment, text in zip(body[1::2], body[2::2], strict=True):
        assert isinstance(assignment, ast.Assign)
        assert isinstance(text, ast.Expr)
        assert isinstance(text.value, ast.Constant)
        assert isinstance(assignment.value, ast.Constant)
        name = assignment.targets[0]
        assert isinstance(name, ast.Name)
        rows.append(f"| {assignment.value.value} | {name.id.lower().replace('_', ' ')} | {text.value.value} |")
    return (
        f"{MADE}# What makes a candidate valid\n\n"
        "The checks of the commit validation service, in the order in which they run. A candidate that fails one is\n"
        "*invalid* (its committer's own signature proves the fault) or *not yet* acceptable.\n\n"
        "| number | check | rule and clause |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def bounds_page() -> str:
    """Every bound on what a member can make others keep."""
    names = [name for name in vars(policy) if name.endswith(("_MAX", "_KEPT", "_MIN", "_EPOCHS", "_EVERY", "_AFTER"))]
    rows = "\n".join(f"| `{name}` | {getattr(policy, name):,} |" for name in names)
    return (
        f"{MADE}# Bounds\n\nWhat limits memory, disk and work, whatever others send (times in milliseconds).\n\n"
        f"| bound | value |\n|---|---|\n{rows}\n"
    )


def everything() -> Iterator[tuple[Path, bytes]]:
    yield from protobuf(WIRE)
    yield from protobuf(REFERENCE)
    yield ROOT / "web/openapi.json", openapi()
    pages: dict[str, Callable[[], str]] = {"round.md": round_page, "checks.md": checks_page, "bounds.md": bounds_page}
    for name, make in pages.items():
        yield ROOT / "docs/reference" / name, make().encode()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what is stale; exit 1 if anything is")
    check = parser.parse_args().check
    stale = [(path, content) for path, content in everything() if not path.exists() or path.read_bytes() != content]
    for path, content in stale:
        print(f"{'stale' if check else 'wrote'}: {path.relative_to(ROOT)}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    if check and stale:
        print("Run `make docs` to write them anew.")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
