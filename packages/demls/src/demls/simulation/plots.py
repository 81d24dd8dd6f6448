"""How do many seeds look? A page with counts and pictures: epochs, views, latency and time to heal, by what went wrong.

The pictures need matplotlib, which is no part of a node: ``demls simulate --report`` says so if it is not there.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from demls.simulation.report import Report
from demls.simulation.run import Outcome

PAGE = "index.html"
_ALL = "all seeds"
_HIGH = 6.0
_WIDTH = 9.0


class NoPlots(Exception):
    """matplotlib is missing; the sentence says what to do."""


def write_report(report: Report, folder: Path, command: str) -> list[Path]:
    """The page and its pictures, into ``folder``. Raises NoPlots, OSError."""
    plot = _pyplot()
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, title, unit, values in _PICTURES:
        groups = _by_faults(report.outcomes, values)
        path = folder / f"{name}.png"
        _draw(plot, path, title, unit, groups)
        written.append(path)
    path = folder / "heal-and-bound.png"
    _draw_bound(plot, path, report.outcomes)
    written.append(path)
    page = folder / PAGE
    page.write_text(_page(report, command, [each.name for each in written]), encoding="utf-8")
    return [*written, page]


def _pyplot() -> Any:
    try:
        import matplotlib  # noqa: PLC0415 - only those who want pictures have it

        matplotlib.use("Agg")
        from matplotlib import pyplot  # noqa: PLC0415
    except ImportError as problem:
        raise NoPlots(
            "Pictures need matplotlib, which is not installed: say “pip install matplotlib”, or leave out --report."
        ) from problem
    return pyplot


def _epochs(outcome: Outcome) -> Sequence[float]:
    return (float(outcome.counts.get("epochs", 0)),)


def _views(outcome: Outcome) -> Sequence[float]:
    return tuple(map(float, outcome.views))


def _latencies(outcome: Outcome) -> Sequence[float]:
    return outcome.latencies


def _heal(outcome: Outcome) -> Sequence[float]:
    return () if outcome.time_to_heal is None else (outcome.time_to_heal,)


_PICTURES: tuple[tuple[str, str, str, Callable[[Outcome], Sequence[float]]], ...] = (
    ("epochs", "Epochs that a seed lived through", "epochs", _epochs),
    ("views", "View in which an epoch was settled", "view", _views),
    ("latency", "From a proposal to its commit, with the time that people took to vote", "seconds", _latencies),
    ("heal", "From the end of all faults until two thirds are in one epoch", "seconds", _heal),
)


def _by_faults(
    outcomes: Sequence[Outcome], values: Callable[[Outcome], Sequence[float]]
) -> list[tuple[str, list[float]]]:
    """A seed is in the group of each fault that it has."""
    kinds = sorted({kind for outcome in outcomes for kind in outcome.faults})
    groups = [(_ALL, [value for outcome in outcomes for value in values(outcome)])]
    groups += [(kind, [v for outcome in outcomes if kind in outcome.faults for v in values(outcome)]) for kind in kinds]
    return [(kind, found) for kind, found in groups if found]


def _draw(plot: Any, path: Path, title: str, unit: str, groups: list[tuple[str, list[float]]]) -> None:
    figure, axes = plot.subplots(figsize=(_WIDTH, _HIGH))
    if groups:
        axes.boxplot([found for _, found in groups], whis=(5, 95), orientation="horizontal")
        axes.set_yticks(range(1, len(groups) + 1), [f"{kind} ({len(found)})" for kind, found in groups])
        axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.set_title(title)
    axes.grid(axis="x", alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plot.close(figure)


def _draw_bound(plot: Any, path: Path, outcomes: Sequence[Outcome]) -> None:
    healed = [(o.bound_to_heal, o.time_to_heal) for o in outcomes if o.time_to_heal is not None and o.bound_to_heal]
    figure, axes = plot.subplots(figsize=(_WIDTH, _HIGH))
    most = max((bound for bound, _ in healed), default=1.0)
    axes.scatter([bound for bound, _ in healed], [took for _, took in healed], s=12)
    axes.plot([0, most], [0, most], linewidth=1, color="black", label="the bound")
    axes.set_xlabel("bound in seconds")
    axes.set_ylabel("time to heal in seconds")
    axes.set_title("Time to heal, and the bound on it")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plot.close(figure)


def quantiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, nine tenths, and the most."""
    ordered = sorted(values)
    if not ordered:
        return 0.0, 0.0, 0.0
    return ordered[len(ordered) // 2], ordered[len(ordered) * 9 // 10], ordered[-1]


def _page(report: Report, command: str, pictures: Sequence[str]) -> str:
    total = len(report.outcomes)
    counts = "".join(
        f"<tr><td>{html.escape(row.name)}</td><td>{row.total}</td><td>{row.seeds}</td></tr>" for row in report.rows()
    )
    times = "".join(
        f"<tr><td>{html.escape(title)}</td>"
        + "".join(f"<td>{value:.1f}</td>" for value in quantiles([v for o in report.outcomes for v in values(o)]))
        + f"<td>{html.escape(unit)}</td></tr>"
        for _, title, unit, values in _PICTURES
    )
    broken = "".join(
        f"<li>Seed {outcome.seed} breaks {html.escape(outcome.promise)}: {html.escape(outcome.detail)}</li>"
        for outcome in report.broken
    )
    sentence = f"All promises were kept in {total} seeds." if not broken else f"{len(report.broken)} of {total} broke:"
    shown = "".join(f'<p><img src="{name}" alt="{name}"></p>' for name in pictures)
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>demls simulate</title>
<style>body{{font:16px sans-serif;margin:2em auto;max-width:60em}}td,th{{padding:.2em 1em;text-align:right}}
td:first-child{{text-align:left}}img{{max-width:100%}}code{{background:#eee;padding:.2em}}</style>
<h1>Seeds of the simulator</h1>
<p><code>{html.escape(command)}</code></p>
<p>{sentence}</p><ul>{broken}</ul>
<h2>How often</h2><table><tr><th>what</th><th>times</th><th>seeds</th></tr>{counts}</table>
<h2>How long</h2><table><tr><th>what</th><th>median</th><th>nine tenths</th><th>most</th><th></th></tr>{times}</table>
{shown}
</html>
"""
