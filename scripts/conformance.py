"""The conformance record: reads docs/conformance/*.toml and renders docs/conformance.md and docs/attacks.md."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs/conformance"
PAGE = ROOT / "docs/conformance.md"
ATTACKS_PAGE = ROOT / "docs/attacks.md"
TRANSCRIPTS = "packages/demls/tests/protocol/transcripts/"

Row = dict[str, Any]

TABLES: tuple[tuple[str, str, str, str, str, int], ...] = (
    ("lip104.toml", "clause", "L", "LIP-104", "Decentralised MLS with off-chain consensus.", 57),
    ("lip104.toml", "further", "F", "LIP-104, further clauses", "What its text asks besides those above.", 10),
    ("lip73.toml", "clause", "H", "LIP-73", "Hashgraph-like consensus.", 22),
    (
        "behaviours.toml",
        "behaviour",
        "B",
        "Behaviours of the Rust implementation",
        "What the integration tests of de-mls 4.1 assert.",
        18,
    ),
    (
        "weaknesses.toml",
        "weakness",
        "W",
        "Weak points of the Rust implementation",
        "Found by reading de-mls 4.1, and what demls does about each.",
        65,
    ),
    (
        "weaknesses.toml",
        "observed",
        "O",
        "Weak points seen by running it",
        "A member of de-mls 4.1 was run and these were seen.",
        17,
    ),
)
"""(file, table in it, letter of its ids, heading, what it is, how many rows it has)."""

ATTACKS = ("attacks.toml", "attack", "A", "Attacks on the design of demls", "Found by looking for them.", 49)
"""As a row of ``TABLES``; it stands on the page of attacks only."""

STATUSES = {
    "met": "as the text says, with a test that shows it",
    "departed": "done otherwise, by a decision of record",
    "elsewhere": "not a matter of this layer",
    "solved": "the weakness was possible here too and is closed, with a test that shows it",
    "absent": "there is nothing here in which it could arise",
    "limit": "it holds here too, and people are told",
    "open": "not built, or not wholly",
}

_TEXTS = ("clause", "behaviour", "weakness")


def rows(file: str, table: str) -> list[Row]:
    """The rows of one table, as written."""
    found: list[Row] = tomllib.loads((FOLDER / file).read_text())[table]
    return found


def decision_file(number: str) -> Path:
    """The record of a decision; raises StopIteration if there is none."""
    return next((ROOT / "docs/decisions").glob(f"{number}-*.md"))


def text_of(row: Row) -> str:
    """What the row is about."""
    return next(str(row[key]) for key in _TEXTS if key in row)


def page() -> str:
    """The whole document."""
    counts = {spec[3]: Counter(str(row["status"]) for row in rows(spec[0], spec[1])) for spec in TABLES}
    used = [status for status in STATUSES if any(count[status] for count in counts.values())]
    lines = [
        "<!-- Made by `make docs` from docs/conformance/*.toml; edit those instead. -->",
        "",
        "# Conformance",
        "",
        "Every rule of LIP-104 and LIP-73, every behaviour that the integration tests of their Rust implementation",
        "(de-mls 4.1) assert, and every weak point that was found in it: what demls does, and the tests that show it.",
        "",
        "| | " + " | ".join(used) + " | rows |",
        "|---|" + "---:|" * (len(used) + 1),
    ]
    for _, _, _, heading, _, size in TABLES:
        cells = (str(counts[heading][status] or "") for status in used)
        lines.append(f"| [{heading}](#{_anchor(heading)}) | " + " | ".join(cells) + f" | {size} |")
    lines += ["", *(f"* *{status}*: {STATUSES[status]}" for status in used)]
    for file, table, letter, heading, about, _ in TABLES:
        lines += ["", f"## {heading}", "", about, ""]
        lines += _table(rows(file, table), letter)
    return "\n".join(lines) + "\n"


def attacks_page() -> str:
    """The document about attacks: weak points of the other implementation, attacks on this one, stolen keys."""
    known = [TABLES[-2], TABLES[-1], ATTACKS]
    counts = Counter(str(row["status"]) for spec in known for row in rows(spec[0], spec[1]))
    lines = [
        "<!-- Made by `make docs` from docs/conformance/weaknesses.toml and attacks.toml; edit those instead. -->",
        "",
        "# Attacks",
        "",
        "What an attacker might try, what happens then, and the tests that try it. First the weak points that were",
        "found in the Rust implementation of LIP-104, de-mls 4.1, by reading it and by running it; then attacks on the",
        "design of demls itself; at the end, what stolen keys are good for. The fault model is that of",
        "[the protocol](protocol.md): fewer than a third of the members, any number of outsiders, and the network are",
        "the attacker's.",
        "",
        *(f"* *{status}* ({counts[status]}): {text}" for status, text in STATUSES.items() if counts[status]),
    ]
    for file, table, letter, heading, about, _ in known:
        lines += [
            "",
            f"## {heading}",
            "",
            about,
            "",
            "| | the attack | what happens here | tried by |",
            "|---|---|---|---|",
        ]
        for row in rows(file, table):
            what = f"**{text_of(row)}** {row['attack']}"
            here = f"*{row['status']}*. {_what(row)}".rstrip()
            lines.append(_line(f"{letter}{row['id']}", what, here, _tests(row)))
    lines += [
        "",
        "## What stolen keys are good for",
        "",
        "| | can | cannot | it ends | tried by |",
        "|---|---|---|---|---|",
    ]
    lines += [
        _line(f"**{row['who']}**", str(row["can"]), str(row["cannot"]), str(row["ends"]), _tests(row))
        for row in rows("attacks.toml", "thief")
    ]
    return "\n".join(lines) + "\n"


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _tests(row: Row) -> str:
    return "<br>".join(_link(test) for test in row.get("tests", ()))


def _table(found: list[Row], letter: str) -> list[str]:
    has_level = "level" in found[0]
    head = ["", "", "what", "status", "what demls does", "shown by"] if has_level else ["", "what", "status"]
    if not has_level:
        head += ["what demls does", "shown by"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in found:
        cells = [f"{letter}{row['id']}"]
        if has_level:
            cells.append(row["level"] if row["level"] != "rule" else "")
        lines.append(_line(*cells, text_of(row), _status(row), _what(row), _tests(row)))
    return lines


def _status(row: Row) -> str:
    if "decision" in row:
        return f"departed, [{row['decision']}](decisions/{decision_file(row['decision']).name})"
    return f"**{row['status']}**" if row["status"] == "open" else str(row["status"])


def _what(row: Row) -> str:
    said = [str(row.get("how", "")), str(row.get("reason", ""))]
    if "missing" in row:
        said.append(f"Missing: {row['missing']}.")
    return " ".join(part for part in said if part)


def _link(test: str) -> str:
    file, _, name = test.partition("::")
    return f"[{name or Path(file).stem.replace('_', ' ')}](../{file})"


def _anchor(heading: str) -> str:
    return "".join(c for c in heading.lower().replace(" ", "-") if c.isalnum() or c == "-")
