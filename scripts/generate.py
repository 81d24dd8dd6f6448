"""Write (or with --check compare) every file that is made from another: wire code, API document, tables of the docs."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import conformance
from demls.protocol import checks, policy
from demls.protocol.commit_round import TIMERS, TRANSITIONS

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
    timers = "\n".join(f"| {', '.join(timer.phases)} | {timer.when} | {timer.does} |" for timer in TIMERS)
    return (
        f"{MADE}# The commit round\n\n"
        "Settling comes before everything, in any phase and from any view: a quorum of locks of one view for one\n"
        "candidate, and its bytes. The first transition that applies is taken, again and again, until none does.\n\n"
        f"```mermaid\nstateDiagram-v2\n    [*] --> idle\n{arrows}\n```\n\n"
        f"| phase | when | does | next |\n|---|---|---|---|\n{rows}\n\n"
        "## Timers\n\nWhat is due by time alone. A view v lasts T0 * min(1 + 0.4 v, 6); T0 is twice the expected\n"
        "delivery time, at least 4 s.\n\n"
        f"| phases | when | does |\n|---|---|---|\n{timers}\n"
    )


def checks_page() -> str:
    """The numbered checks of the commit validation service."""
    tests = (ROOT / "packages/demls/tests/protocol").relative_to(ROOT)
    rows = "\n".join(
        f"| {rule.check} | {rule.check.name.lower().replace('_', ' ')} | {rule.says} | {rule.clause} "
        f"| {rule.verdict.value}{', of a fresh one' if rule.fresh_only else ''} | {rule.costs} |"
        for rule in checks.RULES
    )
    return (
        f"{MADE}# What makes a candidate valid\n\n"
        "The checks of the commit validation service. A candidate that fails one is *invalid* (a fault of structure,\n"
        "proven by the signature of the leader that offered it) or *not yet* acceptable (what is missing may still\n"
        "arrive). A candidate that a quorum has certified before is spared the checks of fresh ones. Losing, being\n"
        f"late or being unheard costs nothing. Each check has its malformed candidates by its number: as one member\n"
        f"judges them in `{tests}/test_validation.py`, and offered to a running group by a bad leader in\n"
        f"`{tests}/malformed.py`.\n\n"
        "| number | check | rule | clause | makes the candidate | costs |\n|---|---|---|---|---|---|\n" + rows + "\n"
    )


def bounds_page() -> str:
    """Every bound on what a member can make others keep."""
    names = [
        name for name in vars(policy) if name.endswith(("_MAX", "_KEPT", "_MIN", "_EPOCHS", "_EVERY", "_AFTER", "_FOR"))
    ]
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
    yield conformance.PAGE, conformance.page().encode()
    yield conformance.ATTACKS_PAGE, conformance.attacks_page().encode()


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
