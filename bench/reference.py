"""What do the same actions cost a group of the reference node? The Rust crate ``de-mls`` 4.1.0, run by its own program.

    python bench reference --members 3 5 10 20 50 [--json FILE] [--runs R]

Needs cargo with Rust 1.95 and builds ``bench/reference/`` first (some minutes the first time); protoc, which that
build wants, comes with the pinned requirements. Without cargo nothing is measured, and it says so. See README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from report import ROOT, Result, add_arguments, publish, runs_for, say

CRATE = "de-mls 4.1.0"
PROJECT = ROOT / "bench" / "reference"
PROGRAM = "demls-bench-reference"
KINDS = ("add", "remove", "election", "chat")
MEMBERS_MAX = 200
"""Above so many it takes minutes for one change."""


def program(*, if_built: bool) -> Path | str:
    """The built program, or why there is none."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or PROJECT / "target")
    if if_built:
        file = target / "release" / PROGRAM
        return file if file.is_file() else "The reference node is not built; `python bench reference` does it."
    if shutil.which("cargo") is None:
        return "There is no cargo here; install Rust 1.95 or newer to measure the reference node."
    with tempfile.TemporaryDirectory() as folder:
        protoc = Path(folder) / "protoc"
        protoc.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m grpc_tools.protoc "$@"\n')
        protoc.chmod(protoc.stat().st_mode | stat.S_IXUSR)
        environment = {"PROTOC": str(protoc)} | os.environ
        command = ["cargo", "build", "--release", "--locked", "--quiet"]
        say("building the reference node")
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"The reference node could not be built: {done.stderr.strip().splitlines()[-1:]}"
    return target / "release" / PROGRAM


def measure(built: Path, size: int, runs: int) -> Result:
    """One size, in a process of its own."""
    say(f"{size} members of the reference node")
    done = subprocess.run([built, str(runs), str(size)], capture_output=True, text=True, check=True)
    result: Result = json.loads(done.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench reference", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, nargs="+", default=[3, 5, 10, 20, 50, 100, 200], metavar="N")
    parser.add_argument("--if-built", action="store_true", help="measure nothing if it would have to be built first")
    add_arguments(parser)
    arguments = parser.parse_args()
    built = program(if_built=arguments.if_built)
    if isinstance(built, str):
        print(built, file=sys.stderr)
        return
    results = [measure(built, size, runs_for(size, arguments.runs)) for size in arguments.members]
    columns = [("members", lambda result: str(result["members"]))]
    columns += [(f"{kind}\nms", lambda result, kind=kind: f"{result[kind]['cpu_ms']:,.1f}") for kind in KINDS]
    publish("reference", results, columns=columns, file=arguments.json)


if __name__ == "__main__":
    main()
