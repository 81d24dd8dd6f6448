"""How does the command line speak? Tables and sentences for people, JSON for programs, a spinner while one waits."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel

    from demls.api.models import Member, Person, TimelineEntry


def say(text: str = "") -> None:
    """A line on stdout, as it is."""
    print(text, flush=True)


def say_json(value: BaseModel | Sequence[BaseModel]) -> None:
    """Data on stdout, for programs."""
    if isinstance(value, Sequence):
        data: object = [one.model_dump(mode="json") for one in value]
    else:
        data = value.model_dump(mode="json")
    print(json.dumps(data, ensure_ascii=False, indent=2))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout."""
    from rich.console import Console  # noqa: PLC0415 (not needed for JSON and sentences)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    made = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        made.add_column(head, overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    Console(soft_wrap=not sys.stdout.isatty()).print(made)


@contextmanager
def waiting(sentence: str) -> Iterator[None]:
    """A spinner on stderr while something takes its time; a plain line without a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 (only for terminals)

    with Console(stderr=True).status(sentence):
        yield


def person(someone: Person | Member | None) -> str:
    """How somebody is called: name and the beginning of the address, which cannot be chosen freely."""
    if someone is None:
        return "–"
    return f"{printable(someone.name)} ({someone.address[:8]}…)" if someone.name else someone.address


def when(milliseconds: int) -> str:
    """A time by this machine's clock and zone."""
    return datetime.fromtimestamp(milliseconds / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def line(entry: TimelineEntry) -> str:
    """A line of a conversation."""
    at = when(entry.at)[11:]
    if entry.kind == "message":
        who = "you" if entry.is_mine else (person(entry.sender) if entry.sender else "somebody")
        late = " (came late)" if entry.late else ""
        return f"{at}  {who}{late}: {printable(entry.text)}"
    mark = {"warning": "!", "quiet": " "}.get(entry.kind, "·")
    return f"{at}  {mark} {printable(entry.text)}"


def printable(text: str) -> str:
    """What others wrote, without what would steer a terminal."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "�" for sign in text)
