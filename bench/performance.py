"""How fast is it, beside the reference node, and how does each cost grow? Writes the page of the documentation.

    python bench docs

``docs/performance.md`` and the plots beside it are made of the newest results in ``bench/results/`` and of nothing
else: what was not measured is not there. The growth of a cost is the exponent of the straight line through its points
in a plot with two logarithmic axes.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from goals import table_of_goals
from matplotlib.figure import Figure
from report import RESULTS, ROOT, Result

PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "performance"
NAMES = ("group", "reference", "where", "consensus", "large", "month", "latency", "node")
KINDS = ("add", "remove", "election", "chat")
FIT_FROM = 10
"""Below so many members the fixed costs hide the growth."""

WORDS = {
    "add": "add by vote",
    "remove": "removal by vote",
    "election": "election",
    "refresh": "new keys",
    "chat": "one message to all",
    "verify_one_by_one": "signatures, one by one",
    "verify_batch": "signatures, in a batch",
    "tally": "tally",
    "decision": "from bytes to certificate",
}
_BUSY = 0.25
"""So much load a core besides its own, which is one, and the figures are preliminary."""

mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "demls", "font.size": 9, "axes.grid": True})

Point = tuple[float, float]
Line = tuple[str, Sequence[Point], str]


def load(folder: Path) -> dict[str, Result]:
    """The newest results by the name of their benchmark."""
    return {name: json.loads(file.read_text()) for name in NAMES if (file := folder / f"{name}.json").is_file()}


def growth(points: Sequence[Point], least: float = FIT_FROM) -> float | None:
    """The exponent of n, by least squares over the logarithms; None without two points from ``least`` on."""
    logs = [(math.log(n), math.log(cost)) for n, cost in points if n >= least and cost > 0]
    if len({x for x, _ in logs}) < 2:
        return None
    middle_x, middle_y = (sum(axis) / len(logs) for axis in zip(*logs, strict=True))
    over = sum((x - middle_x) * (y - middle_y) for x, y in logs)
    return over / sum((x - middle_x) ** 2 for x, _ in logs)


def growth_text(points: Sequence[Point], least: float = FIT_FROM) -> str:
    exponent = growth(points, least)
    return "" if exponent is None else f"n^{exponent:.1f}"


def points(found: Result | None, kind: str, *, size: str = "members", what: str = "cpu_ms") -> list[Point]:
    results = found["results"] if found is not None else []
    return [(one[size], one[kind][what]) for one in results if kind in one]


# --- Plots ------------------------------------------------------------------------------------------------------------


def draw(
    file: Path, title: str, unit: str, lines: Sequence[Line], *, axis: str = "members", scale: str = "log"
) -> None:
    """``scale``: of the axis to the right; the one upwards is logarithmic."""
    figure = Figure(figsize=(5.2, 3.8), layout="constrained")
    axes = figure.subplots()
    for called, at, style in lines:
        axes.plot([x for x, _ in at], [y for _, y in at], style, label=called, markersize=3, linewidth=1)
    axes.set(xscale=scale, yscale="log", xlabel=axis, ylabel=unit, title=title)
    figure.legend(fontsize=7, ncols=2, loc="outside lower center")
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def plots_of(found: dict[str, Result]) -> dict[str, Callable[[Path], None]]:
    """What can be drawn of these results, by the name of the file."""
    plots: dict[str, Callable[[Path], None]] = {}
    if "group" in found:
        lines = [(WORDS[kind], points(found["group"], kind), f"C{place}o-") for place, kind in enumerate(KINDS)]
        lines += [
            (f"{WORDS[kind]}, reference", points(found.get("reference"), kind), f"C{place}x:")
            for place, kind in enumerate(KINDS)
            if "reference" in found
        ]
        plots["group"] = lambda file: draw(file, "Processor time of all members together", "ms", lines)
    if "consensus" in found:
        kinds = ("verify_one_by_one", "verify_batch", "tally", "decision")
        counted = [
            (WORDS[kind], points(found["consensus"], kind, size="voters"), f"C{place}o-")
            for place, kind in enumerate(kinds)
        ]
        plots["consensus"] = lambda file: draw(file, "One decision, one counting member", "ms", counted, axis="voters")
    if "month" in found:
        days = _days(found["month"]["results"][-1])
        plots["month"] = lambda file: draw(
            file, "One change, one ordinary member", "KB", days, axis="day", scale="linear"
        )
    if "latency" in found:
        waits = [
            (text, points(found["latency"], "add", what=what), f"C{place}o-")
            for place, (what, text) in enumerate(
                {"from_last_vote_ms": "from the last needed vote", "from_proposal_ms": "from the proposal"}.items()
            )
        ]
        plots["latency"] = lambda file: draw(file, "Until 95 % are in the new epoch", "ms", waits)
    return plots


def _days(one: Result) -> list[Line]:
    """What an ordinary member receives for a change of each kind, and how large its commit is, day by day."""
    lines: list[Line] = []
    for place, kind in enumerate(("add", "remove", "refresh")):
        for what, called, style in (("received_bytes", "", "o-"), ("commit_bytes", ", the commit of it", "x:")):
            at = [(day["day"], day[kind][what] / 1000) for day in one["days"] if kind in day]
            if at:
                lines.append((WORDS[kind] + called, at, f"C{place}{style}"))
    return lines


def draw_all(source: Path, target: Path, suffix: str = ".svg") -> list[str]:
    """Draw what there is; returns the names."""
    target.mkdir(parents=True, exist_ok=True)
    plots = plots_of(load(source))
    for name, plot in plots.items():
        plot(target / f"{name}{suffix}")
    return list(plots)


# --- The page ---------------------------------------------------------------------------------------------------------


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    head = ["| " + " | ".join(titles) + " |", "|" + "---|" + "---:|" * (len(titles) - 1)]
    return [*head, *("| " + " | ".join(row) + " |" for row in rows), ""]


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}" if value >= 1 else f"{value:.2f}"


def size(count: float) -> str:
    """Bytes in a readable unit."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{number(count)} {unit}"
        count /= 1000
    return f"{number(count)} GB"


def page(found: dict[str, Result]) -> str:
    lines = [
        "# Performance",
        "",
        "Written by `python bench docs` from the newest measurements; [bench/README.md](../bench/README.md) says what",
        "each does and how to take it. Nothing here is estimated: what was not measured is not there.",
        "",
    ]
    busy = [name for name, one in found.items() if (one["machine"]["load"] or 0) > 1 + _BUSY * one["machine"]["cores"]]
    if busy:
        lines += [
            f"**Preliminary:** the machine was busy with other work while these were taken: {', '.join(busy)}.",
            "Processor times are too high by some tens of per cent then, and times on the clock by more.",
            "",
        ]
    lines += table_of_goals(found)
    for write in (_group, _where, _consensus, _large, _month, _latency, _node):
        lines += write(found)
    lines += ["## Where and when", ""]
    rows = []
    for name, one in found.items():
        machine, versions = one["machine"], one["versions"]
        load = number(machine["load"])
        rows.append([name, one["commit"], machine["processor"], str(machine["cores"]), load, versions["python"]])
    return "\n".join(lines + table(["", "commit", "processor", "cores", "load", "Python"], rows)).rstrip() + "\n"


def _group(found: dict[str, Result]) -> list[str]:
    ours, theirs = found.get("group"), found.get("reference")
    if ours is None:
        return []
    sizes = [one["members"] for one in ours["results"]]
    lines = [
        "## A group, every member real",
        "",
        "Processor time in ms, summed over all members. Ours includes the agreement of the round: a vote, an",
        "acknowledgement and a lock of every member, where the reference node (Rust, `de-mls` 4.1.0) has a vote.",
        f"The last column: how the cost grows from {FIT_FROM} members on. While all decide, each message is read by",
        "all: then a sum over all members grows as n² and the cost of one member as n.",
        "",
        "![Processor time of a group](performance/group.svg)",
        "",
    ]
    rows = []
    for kind in (*KINDS, "refresh"):
        mine = dict(points(ours, kind))
        rows.append([WORDS[kind], *(number(mine.get(n)) for n in sizes), growth_text(points(ours, kind))])
        other = dict(points(theirs, kind))
        if other:
            rows.append(["… reference", *(number(other.get(n)) for n in sizes), growth_text(points(theirs, kind))])
            shares = [f"{mine[n] / other[n]:.1f}" if n in mine and n in other else "" for n in sizes]
            rows.append(["… ours to theirs", *shares, ""])
    published = points(ours, "add", what="bytes")
    rows.append(["bytes of an add", *(number(dict(published).get(n)) for n in sizes), growth_text(published)])
    if theirs is not None:
        sent = points(theirs, "add", what="bytes")
        rows.append(["… reference", *(number(dict(sent).get(n)) for n in sizes), growth_text(sent)])
    lines += table(["n =", *(str(n) for n in sizes), "grows as"], rows)
    if theirs is None:
        lines += ["The reference node was not measured in this run.", ""]
    return lines


def _where(found: dict[str, Result]) -> list[str]:
    ours = found.get("where")
    if ours is None:
        return []
    results = ours["results"]
    parts = list(dict.fromkeys(part for one in results for part in one["parts_ms"]))
    rows = [[part, *(number(one["parts_ms"].get(part)) for one in results)] for part in parts]
    rows.append(["**together**", *(number(one["cpu_ms"]) for one in results)])
    rows.append(["calls of members", *(number(one["calls_of_members"]) for one in results)])
    return [
        "## Where the time goes",
        "",
        f"Of {WORDS[results[0]['kind']]}, in ms of all members together (`python bench where`). The engine's own calls",
        "are measured; what is left of an unprofiled run is shared out among the rooms of Python as a profile does.",
        "",
        *table(["n =", *(str(one["members"]) for one in results)], rows),
    ]


def _consensus(found: dict[str, Result]) -> list[str]:
    ours = found.get("consensus")
    if ours is None:
        return []
    sizes = [one["voters"] for one in ours["results"]]
    kinds = ("verify_one_by_one", "verify_batch", "tally", "decision")
    rows = []
    for kind in kinds:
        at = points(ours, kind, size="voters")
        rows.append([WORDS[kind], *(number(dict(at).get(n)) for n in sizes), growth_text(at)])
    return [
        "## One decision",
        "",
        "Processor time in ms of one member that counts n votes.",
        "",
        "![One decision](performance/consensus.svg)",
        "",
        *table(["voters", *(f"{n:,}" for n in sizes), "grows as"], rows),
    ]


def _large(found: dict[str, Result]) -> list[str]:
    ours = found.get("large")
    if ours is None:
        return []
    lines = [
        "## A very large group",
        "",
        "All leaves are real keys; everybody who may vote does, acknowledges and locks. The figures are of one",
        "ordinary member: processor time, what it received, what it wrote to its store. Where no number of messages",
        "stands, it was measured in a process of its own, whose memory stands beside it.",
        "",
    ]
    for one in ours["results"]:
        lines += [
            f"### {one['members']:,} members, {one['decided_by']} decide",
            "",
            f"{one['stewards']} stewards; {one['full']} members are whole, the others sign.",
            "",
        ]
        rows = []
        for kind, value in one.items():
            if isinstance(value, dict) and "cpu_ms" in value and kind != "making":
                got, bytes_ = value.get("received"), value.get("received_bytes", value.get("bytes"))
                written, memory = value.get("written_bytes"), value.get("memory_bytes")
                called = kind.replace("_", " ")
                if "epochs" in value:
                    called = f"catch-up over {value['epochs']} epochs"
                rows.append(
                    [
                        called,
                        number(value["cpu_ms"]),
                        number(got),
                        "" if bytes_ is None else size(bytes_),
                        "" if written is None else size(written),
                        "" if memory is None else size(memory),
                    ]
                )
        lines += table(["", "ms", "messages", "received", "written", "memory of the process"], rows)
        if one["left_out"]:
            left = ", ".join(kind.replace("_", " ") for kind in one["left_out"])
            lines += [f"Left out, since the time set for it was over: {left}.", ""]
    return lines


def _month(found: dict[str, Result]) -> list[str]:
    ours = found.get("month")
    if ours is None:
        return []
    lines = [
        "## A month in a very large group",
        "",
        "Stewards decide and commit in turn, each from its own leaf; a committee acknowledges. In the beginning nobody",
        "has committed but one member that added all others, so that commits are as large as they can be; from then on",
        "each leaves keys for the next. What one ordinary member spent on each change, commit, votes, acknowledgements",
        "and locks included; median and maximum of the changes beside the mean.",
        "",
    ]
    rows_of = {kind: WORDS[kind] for kind in ("add", "remove", "refresh", "election")}
    rows_of |= {
        "changes": "all but elections",
        "outside": "… not hearing the committee",
        "inside": "… hearing the committee",
    }
    for place, one in enumerate(ours["results"]):
        said = ", ".join(f"{count} × {WORDS[kind]}" for kind, count in one["a_day"].items())
        rows = [_month_row(text, one[kind]) for kind, text in rows_of.items() if kind in one]
        later = one.get("later", {})
        rows += [_month_row(f"{WORDS[kind]}, after 30 days", spent) for kind, spent in later.items()]
        days = f"{one['days_played']} days"
        if one["days_played"] < one["days_planned"]:
            days += f" of {one['days_planned']}, then the time set for it was over"
        total, rest = one["total"]["all"], one["total"]["rest"]
        lines += [
            f"### {one['members']:,} members, {one['stewards']} stewards",
            "",
            f"{days}; a day: {said}.",
            "",
            *table(["", "times", "ms", "median", "max", "received", "median", "max", "written", "commit"], rows),
            f"All of that time: {number(total['cpu_ms'] / 1000)} s, {size(total['received_bytes'])} received, "
            f"{size(total['written_bytes'])} written; of it between the changes: {number(rest['cpu_ms'] / 1000)} s, "
            f"{size(rest['received_bytes'])} received.",
            "",
            *_parts(one.get("parts_ms")),
        ]
        if place == len(ours["results"]) - 1:
            lines += ["![One change, day by day](performance/month.svg)", ""]
    return lines


def _parts(parts: dict[str, float] | None) -> list[str]:
    """Where the time of a change goes, if that was measured."""
    if not parts:
        return []
    said = ", ".join(f"{part} {number(ms)}" for part, ms in parts.items())
    return [f"Where the time of a change goes, in ms, as a profile of one day more shares it out: {said}.", ""]


def _month_row(text: str, kind: Result) -> list[str]:
    spent, got = kind["cpu_ms"], kind["received_bytes"]
    return [
        text,
        str(kind["count"]),
        *(number(spent[what]) for what in ("mean", "median", "max")),
        *(size(got[what]) for what in ("mean", "median", "max")),
        size(kind["written_bytes"]["mean"]),
        size(kind["commit_bytes"]["mean"]),
    ]


def _latency(found: dict[str, Result]) -> list[str]:
    ours = found.get("latency")
    if ours is None:
        return []
    rows = [
        [
            f"{one['members']:,}",
            one["decided_by"],
            number(one["add"]["from_last_vote_ms"]),
            number(one["add"]["from_proposal_ms"]),
            number(one["add"]["cpu_ms"]),
        ]
        for one in ours["results"]
    ]
    return [
        "## How long a change takes",
        "",
        "A simulated network: 50 to 300 ms delay, 1 % of the deliveries lost; each step of a member takes its measured",
        "processor time. Until 95 % of the members are in the epoch with the newcomer, in ms.",
        "",
        "![Until 95 % are in the new epoch](performance/latency.svg)",
        "",
        *table(["members", "decided by", "from the last needed vote", "from the proposal", "ms of each member"], rows),
    ]


def _node(found: dict[str, Result]) -> list[str]:
    ours = found.get("node")
    if ours is None:
        return []
    one: dict[str, Any] = ours["results"][0]
    through, wait, start = one["throughput"], one["latency"], one["starting"]
    rows = [
        [
            f"messages a second taken in and shown, group of {through['members']}",
            number(through["received_per_second"]),
        ],
        ["… ms of the processor for each", number(through["cpu_ms_per_message"])],
        ["messages a second sent, one after the other", number(through["sent_per_second"])],
    ]
    spread = {"send_to_event_ms": "from `send` to the other node's event", "key_to_screen_ms": "key press to screen"}
    for name, text in spread.items():
        if wait.get(name):
            rows.append([f"{text}, ms, median", number(wait[name]["median"])])
            rows.append([f"{text}, ms, 95 of 100", number(wait[name]["p95"])])
    rows += [
        ["start until the API answers, ms", number(start["start_ms"])],
        ["memory at rest", size(start["memory_bytes"])],
        [f"start with {start['groups']} groups, ms", number(start["start_with_groups_ms"])],
        [f"memory at rest with {start['groups']} groups", size(start["memory_with_groups_bytes"])],
        ["founding a group, ms", number(start["create_group_ms"])],
    ]
    return ["## A node", "", "Real processes over a relay, all on one machine.", "", *table(["", ""], rows)]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench docs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    found = load(RESULTS)
    if not found:
        raise SystemExit("There are no results yet; take some first, for example with `python bench all --quick`.")
    draw_all(RESULTS, PLOTS)
    PAGE.write_text(page(found))
    print(f"Wrote {PAGE.relative_to(ROOT)} from {', '.join(found)}.")


if __name__ == "__main__":
    main()
