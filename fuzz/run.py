"""Fuzz the decoders, receivers and entry points of ``targets.py``.

    python fuzz/run.py [--target NAME ...] [--seconds N | --inputs N] [--jobs J] [--seed S] [--plain]
    python fuzz/run.py --target NAME --reproduce FILE
    python fuzz/run.py --list

``--seconds`` is the time for all targets together, ``--inputs`` a number for each. Atheris guides the inputs by
coverage where it is installed (Linux on x86-64, Python before 3.13); elsewhere a plain loop of seeded mutations runs
over the same targets. A failure is saved under fuzz/crashes/ and printed; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import multiprocessing
import os
import re
import signal
import struct
import sys
import tempfile
import time
from dataclasses import dataclass, field
from mmap import mmap
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

from judge import Failure, Judge

CRASHES = Path(__file__).parent / "crashes"
INPUT_BYTES_MAX = 1024 * 1024
HANG_SECONDS = 60
"""A target whose count of inputs stands still for so long hangs."""

FORKS = "fork" in multiprocessing.get_all_start_methods()

INSTRUMENTED = ["demls", "demls_consensus"]
_HEADER = struct.Struct("<QQQ")


@dataclass
class Job:
    """One target being fuzzed in a process of its own. ``memory`` is shared with it and survives its end."""

    name: str
    seconds: float
    inputs: int
    memory: mmap
    folder: Path
    process: Any = None
    moved: tuple[int, float] = (-1, 0.0)
    """How many inputs there were, and when that was first seen."""
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class Options:
    """What all jobs have in common."""

    seed: int
    guided: bool


# --- In the process of a target -----------------------------------------------------------------------------------


def work(job: Job, options: Options) -> None:
    """Fuzz one target until its time or its number of inputs is over; the last input and counts go to ``memory``."""
    target = importlib.import_module("targets").TARGETS[job.name]
    judge = Judge(job.name, target, job.folder)
    seeds = target.seeds()
    end = time.monotonic() + job.seconds if options.guided and job.seconds else None

    def one(data: bytes) -> None:
        job.memory[: _HEADER.size] = _HEADER.pack(judge.inputs, int(judge.spent * 1e6), len(data))
        job.memory[_HEADER.size : _HEADER.size + len(data)] = data[:INPUT_BYTES_MAX]
        judge.judge(data)
        job.memory[: _HEADER.size] = _HEADER.pack(judge.inputs, int(judge.spent * 1e6), 0)
        if end is not None and time.monotonic() >= end:
            os._exit(0)  # libFuzzer itself counts in whole seconds

    if options.guided:
        _guided(job, options, target, seeds, one)
    else:
        judge.loop(seeds, one, seconds=job.seconds, inputs=job.inputs, seed=options.seed)


def _guided(job: Job, options: Options, target: Any, seeds: list[bytes], one: Any) -> None:
    """libFuzzer through atheris. It never returns; its report goes to the job's folder."""
    import atheris  # noqa: PLC0415 - where it is installed

    corpus = job.folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number:03d}").write_bytes(seed)

    def mutate(data: bytes, size_max: int, seed: int) -> bytes:
        generator = Random(seed)
        changed = target.mutate(generator, data, others=seeds) if generator.random() < 0.6 else None
        return (atheris.Mutate(data, size_max) if changed is None else changed)[:size_max]

    report = os.open(job.folder / "report", os.O_WRONLY | os.O_CREAT)
    os.dup2(report, 1)
    os.dup2(report, 2)
    arguments = [
        f"-seed={options.seed}",
        f"-max_len={max(4_096, 2 * max(len(seed) for seed in seeds))}",
        f"-artifact_prefix={job.folder}/",
        "-timeout=60",
        "-rss_limit_mb=2048",
        f"-runs={job.inputs or -1}",
    ]
    atheris.Setup(["fuzz", *arguments, str(corpus)], one, custom_mutator=mutate)
    atheris.Fuzz()


# --- In the first process -----------------------------------------------------------------------------------------


def load_targets(*, guided: bool) -> dict[str, Any]:
    """The table of targets; instrumented for atheris if it is to guide."""
    with contextlib.ExitStack() as stack:
        if guided:
            atheris = importlib.import_module("atheris")
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            stack.enter_context(atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False))
        return dict(importlib.import_module("targets").TARGETS)


def is_guidable() -> bool:
    return sys.platform == "linux" and importlib.util.find_spec("atheris") is not None


def fuzz(targets: dict[str, Any], *, seconds: float, inputs: int, jobs: int, options: Options) -> list[Failure]:
    """Fuzz these targets, ``jobs`` at a time, and print how it goes."""
    share = seconds * jobs / sum(target.weight for target in targets.values())
    for target in targets.values():
        target.seeds()  # what is built once is built before the processes part
    failures: list[Failure] = []
    total = 0
    with tempfile.TemporaryDirectory(prefix="demls-fuzz-") as folder:
        waiting = [
            Job(name, share * target.weight, inputs, mmap(-1, INPUT_BYTES_MAX + 64), Path(folder) / name)
            for name, target in targets.items()
        ]
        running: list[Job] = []
        while waiting or running:
            while waiting and len(running) < jobs:
                job = waiting.pop(0)
                start(job, options)
                running.append(job)
            for job in [job for job in running if is_over(job)]:
                running.remove(job)
                total += finish(job)
                failures += job.failures
            time.sleep(0.01)
            report_progress(running)
    print(f"\n{len(targets)} targets, {total:,} inputs, {len(failures)} failures.")
    return failures


def start(job: Job, options: Options) -> None:
    """In a process of its own, which inherits what is built; where there is no fork, here and now."""
    job.folder.mkdir()
    if not FORKS:
        work(job, options)
        job.process = SimpleNamespace(exitcode=0)
        return
    job.process = multiprocessing.get_context("fork").Process(target=work, args=(job, options), daemon=True)
    job.process.start()


def is_over(job: Job) -> bool:
    """Has its process ended? One that hangs is ended."""
    if job.process.exitcode is not None:
        return True
    count, now = _HEADER.unpack_from(job.memory)[0], time.monotonic()
    if count != job.moved[0]:
        job.moved = count, now
    elif now > job.moved[1] + HANG_SECONDS:
        job.process.kill()
        job.process.join()
    return False


def finish(job: Job) -> int:
    """Say how a target went; returns how many inputs it was given."""
    count, micros, size = _HEADER.unpack_from(job.memory)
    job.failures = Failure.read_all(job.folder)
    exitcode = job.process.exitcode
    # A sanitizer or libFuzzer ends the process itself; then the last input is the one that did it.
    if exitcode != 0 and (size or not job.failures):
        what = signal.Signals(-exitcode).name if exitcode < 0 else f"exit status {exitcode}"
        data = bytes(job.memory[_HEADER.size : _HEADER.size + size])
        job.failures.append(Failure(job.name, data, f"the process ended by {what}\n{_tail(job)}"))
    covered = re.findall(r"cov: (\d+)", _report(job))
    rate = count / (micros / 1e6) if micros else 0
    outcome = f"{len(job.failures)} FAILURES" if job.failures else "ok"
    coverage = f"coverage {covered[-1]}" if covered else ""
    print(f"{job.name:22}{count:>11,} inputs {rate:>10,.0f}/s  {coverage:15} {outcome}", flush=True)
    for failure in job.failures:
        print(f"\n{failure.text}\n  input ({len(failure.data)} bytes) in {failure.save(CRASHES)}")
        print(f"  {failure.data.hex()}\n", flush=True)
    return int(count)


def report_progress(running: list[Job]) -> None:
    """On a terminal, one line that is written over."""
    if sys.stdout.isatty():
        states = [f"{job.name} {_HEADER.unpack_from(job.memory)[0]:,}" for job in running]
        print(f"\r{', '.join(states)[:100]:100}\r", end="", flush=True)


def _report(job: Job) -> str:
    path = job.folder / "report"
    return path.read_text(errors="replace") if path.exists() else ""


def _tail(job: Job) -> str:
    return "\n".join(_report(job).splitlines()[-20:])


def reproduce(target: Any, path: Path) -> int:
    """Run one input, with its whole traceback."""
    target.check(path.read_bytes())
    print("The law holds.")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", action="extend", nargs="+", metavar="NAME", help="all by default")
    parser.add_argument("--seconds", type=float, help="for all targets together; 60 by default")
    parser.add_argument("--inputs", type=int, default=0, help="for each target")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="the plain loop, also where atheris is installed")
    parser.add_argument("--reproduce", type=Path, metavar="FILE", help="run one saved input of one target")
    parser.add_argument("--list", action="store_true", help="say which targets there are")
    arguments = parser.parse_args()
    guided = is_guidable() and not (arguments.plain or arguments.reproduce or arguments.list)
    targets = load_targets(guided=guided)
    names = arguments.target or list(targets)
    unknown = [name for name in names if name not in targets]
    if unknown or (arguments.seconds is not None and arguments.inputs):
        parser.error(f"there is no target {unknown[0]}" if unknown else "give --seconds or --inputs")
    if arguments.list:
        print("\n".join(targets))
        return 0
    if arguments.reproduce:
        return reproduce(targets[names[0]], arguments.reproduce)
    guide = "atheris, guided by coverage" if guided else "the plain loop of seeded mutations (no coverage)"
    print(f"Fuzzing {len(names)} targets with {guide}; seed {arguments.seed}.", flush=True)
    seconds = 0 if arguments.inputs else arguments.seconds or 60
    options = Options(arguments.seed, guided)
    failures = fuzz(
        {name: targets[name] for name in names},
        seconds=seconds,
        inputs=arguments.inputs,
        jobs=max(1, arguments.jobs),
        options=options,
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
