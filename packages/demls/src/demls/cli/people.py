"""The commands about yourself and your node: status, contact, page."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from demls.cli.asking import ask
from demls.cli.governance import say_group, shown_group
from demls.cli.options import FolderOption, JsonOption
from demls.cli.output import person, say, say_json

if TYPE_CHECKING:
    from demls.api import models
    from demls.client import Client


def add_to(app: typer.Typer) -> None:
    for command in (status, contact, page):
        app.command()(command)


def status(
    group: Annotated[str | None, typer.Argument(help="A group, to see more of it.")] = None,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Am I in sync? The node and all groups, or one group closely."""
    if group is None:
        _node_status(*ask(folder, _node_and_groups), as_json=as_json)
        return

    shown = ask(folder, lambda node: shown_group(node, group))
    if as_json:
        say_json(shown)
    else:
        say_group(shown)


async def _node_and_groups(node: Client) -> tuple[models.NodeInfo, models.Health, list[models.GroupSummary]]:
    return await asyncio.gather(node.node(), node.health(), node.groups())


def _node_status(
    info: models.NodeInfo, health: models.Health, groups: list[models.GroupSummary], *, as_json: bool
) -> None:
    if as_json:
        say_json(info)
        return
    say(f"{person(info.me)}, demls {info.version}")
    say(f"Relay {info.relay.where}: {info.relay.sentence}")
    if not health.ok:
        say(f"Trouble: {health.sentence}")
    for one in groups:
        votes = f", {one.my_votes_needed} proposals wait for your vote" if one.my_votes_needed else ""
        asking = f", {one.requests} ask to join and need a sponsor" if one.requests else ""
        halted = ", halted" if one.halted else ""
        halted += ", an emergency is being decided" if one.frozen else ""
        say(f"{one.id[:8]}  {one.name}: {one.state}{halted}, {one.members} members{votes}{asking}")


def contact(folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """Print your contact: what to hand out so that others can invite you."""
    mine = ask(folder, lambda node: node.contact())
    if as_json:
        say_json(mine)
        return
    say(mine.text)
    if sys.stdout.isatty():
        import segno  # noqa: PLC0415 (only for terminals)

        segno.make_qr(mine.text, error="l").terminal(compact=True)


def page(folder: FolderOption = None) -> None:
    """Print a fresh address of the node's page; it opens the page once."""
    say(ask(folder, lambda node: node.page_address()))
