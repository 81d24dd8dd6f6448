"""``demls simulate``: how do seeds, members and processes of the simulator come from the command line?"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demls.cli.options import JsonOption
from demls.cli.output import say, table

if TYPE_CHECKING:
    from demls.simulation.report import Report
    from demls.simulation.run import Outcome

SEEDS_MAX = 10_000_000
_TRANSCRIPTS_SHOWN = 3


def add_to(app: typer.Typer) -> None:
    app.command()(simulate)


def simulate(
    seeds: Annotated[
        str, typer.Option("--seeds", "--seed", help="Which seeds: one number, or A..B with both ends.")
    ] = "1..20",
    members: Annotated[int | None, typer.Option(help="Members of the group, 2 to 40.", show_default="drawn")] = None,
    engine: Annotated[
        str | None, typer.Option(help="model or real.", show_default="model, every 25th seed real")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes to use.", show_default="one for each core")] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Print what happened, one line an event.")] = False,
    without: Annotated[
        str | None, typer.Option(help="Switch a rule of the core off, to see what breaks.", show_default="none")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Which faults: full, plain, harsh, calm or crowd.", show_default="full, or the rule's"),
    ] = None,
    smallest: Annotated[
        bool, typer.Option("--minimise", help="Of one seed that breaks a promise, find the smallest world that does.")
    ] = False,
    report_to: Annotated[
        Path | None, typer.Option("--report", help="Write a page with pictures into this folder.", show_default="none")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run groups in worlds that seeds decide, with faults and bad members; fails if a promise is broken."""
    from demls.simulation.ablations import ABLATIONS, run_without  # noqa: PLC0415 (commands start faster)
    from demls.simulation.report import report_of, run_seeds  # noqa: PLC0415 (commands start faster)
    from demls.simulation.scenario import MEMBERS_MAX, MEMBERS_MIN, PROFILES  # noqa: PLC0415

    first, last = _range(seeds)
    if members is not None and not MEMBERS_MIN <= members <= MEMBERS_MAX:
        raise _refused(f"A group has {MEMBERS_MIN} to {MEMBERS_MAX} members here, not {members}.")
    if engine not in (None, "model", "real"):
        raise _refused(f"There is no engine “{engine}”: say model or real.")
    if jobs is not None and jobs < 1:
        raise _refused("At least one process is needed: say --jobs 1 or more.")
    if without is not None and without not in ABLATIONS:
        raise _refused(f"There is no rule “{without}” to switch off: say one of {', '.join(ABLATIONS)}.")
    if profile is not None and profile not in PROFILES:
        raise _refused(f"There is no profile “{profile}”: say one of {', '.join(PROFILES)}.")
    if smallest:
        _minimise(first, last, members=members, engine=engine, profile=profile, without=without)
        return
    wanted = range(first, last + 1)
    if without is None:
        jobs = jobs or os.cpu_count() or 1
        outcomes = run_seeds(wanted, members=members, engine=engine, profile=profile or "full", trace=trace, jobs=jobs)
    else:
        outcomes = run_without(without, wanted, members=members, engine=engine, profile=profile, trace=trace)
    report = report_of(_shown(outcomes, len(wanted)))
    if report_to is not None:
        _write_report(report, report_to)
    if as_json:
        data = report.as_data()
        if trace:
            data["transcripts"] = {str(outcome.seed): outcome.transcript for outcome in report.outcomes}
        say(json.dumps(data, ensure_ascii=False, indent=2))
    else:
        _tell(report, trace=trace)
    if report.broken:
        raise typer.Exit(1)


def _minimise(
    first: int, last: int, *, members: int | None, engine: str | None, profile: str | None, without: str | None
) -> None:
    """Print the smallest world that breaks the promise, with its trace. Raises typer.Exit."""
    from contextlib import nullcontext  # noqa: PLC0415

    from demls.simulation.ablations import ABLATIONS  # noqa: PLC0415
    from demls.simulation.ablations import without as switched_off  # noqa: PLC0415
    from demls.simulation.minimise import minimise, told  # noqa: PLC0415
    from demls.simulation.run import engine_for  # noqa: PLC0415
    from demls.simulation.scenario import Scenario  # noqa: PLC0415

    if first != last:
        raise _refused("Only one seed can be made smaller at a time: say --seed N --minimise.")
    if without is not None:
        members, profile = members or ABLATIONS[without].members, profile or ABLATIONS[without].profile
        engine = engine or "model"
    scenario = Scenario.draw(first, engine or engine_for(first), members, profile or "full")
    with switched_off(without) if without is not None else nullcontext():
        found = minimise(scenario)
    if found is None:
        say(f"Seed {first} keeps all promises, so there is nothing to make smaller.")
        return
    for line in (*found.outcome.transcript, *told(found)):
        say(line)
    raise typer.Exit(1)


def _write_report(report: Report, folder: Path) -> None:
    from demls.simulation.plots import NoPlots, write_report  # noqa: PLC0415

    command = " ".join(["demls", *sys.argv[1:]])
    try:
        written = write_report(report, folder, command)
    except NoPlots as problem:
        raise _refused(str(problem)) from problem
    except OSError as problem:
        raise _refused(
            f"The report cannot be written to {folder} ({problem.strerror}); choose another folder."
        ) from problem
    print(f"The report is {written[-1]}.", file=sys.stderr)


def _refused(sentence: str) -> typer.Exit:
    print(f"demls: {sentence}", file=sys.stderr)
    return typer.Exit(1)


def _range(text: str) -> tuple[int, int]:
    """First and last seed."""
    found = re.fullmatch(r"(\d{1,9})(?:\.\.(\d{1,9}))?", text.strip())
    if found is None:
        raise _refused(f"“{text}” names no seeds: say a number such as 7, or a range such as 1..100.")
    first, last = int(found[1]), int(found[2] or found[1])
    if last < first:
        raise _refused(f"The range {text} runs backwards: say {last}..{first}.")
    if last - first >= SEEDS_MAX:
        raise _refused(f"That is more than {SEEDS_MAX} seeds; run fewer at a time.")
    return first, last


def _shown(outcomes: Iterable[Outcome], total: int) -> Iterator[Outcome]:
    """A bar on a terminal while seeds run."""
    if not sys.stderr.isatty():
        yield from outcomes
        return
    from rich.console import Console  # noqa: PLC0415 (only for terminals)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task, broken = progress.add_task("seeds", total=total), 0
        for outcome in outcomes:
            broken += bool(outcome.promise)
            progress.update(task, advance=1, description=f"seeds, {broken} broken" if broken else "seeds")
            yield outcome


def _tell(report: Report, *, trace: bool) -> None:
    shown = report.outcomes if trace else report.broken[:_TRANSCRIPTS_SHOWN]
    for outcome in shown:
        for line in outcome.transcript:
            say(line)
        if outcome.promise:
            say(f"Seed {outcome.seed} breaks {outcome.promise}: {outcome.detail}\n")
    hidden = report.broken[len(shown) :] if not trace else ()
    for outcome in hidden:
        say(f"Seed {outcome.seed} breaks {outcome.promise}: {outcome.detail}")
    total = len(report.outcomes)
    rows = [[row.name, f"{row.total}", f"{row.seeds}", f"{100 * row.seeds / total:.0f} %"] for row in report.rows()]
    table(("what", "times", "seeds", "share"), rows)
    say()
    pace = [[f"{size}", f"{seeds}", f"{seconds:.2f} s"] for size, (seeds, seconds) in report.pace().items()]
    table(("members", "seeds", "seconds a seed"), pace)
    say()
    if report.broken:
        say(f"{len(report.broken)} of {total} seeds broke a promise; “demls simulate --seeds N --trace” tells one.")
    else:
        say(f"All promises were kept in {total} seeds.")
