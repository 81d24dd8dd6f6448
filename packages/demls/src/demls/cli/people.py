"""The commands about yourself and your node: status, contact, page."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from demls.cli.asking import ask, find_group
from demls.cli.options import FolderOption, JsonOption
from demls.cli.output import person, say, say_json, table

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

    async def question(node: Client) -> models.Group:
        return await node.group((await find_group(node, group)).id)

    shown = ask(folder, question)
    if as_json:
        say_json(shown)
        return
    say(f"{shown.name} ({shown.id[:8]}): {shown.sync.sentence}")
    rows = [
        ("Members", str(shown.members)),
        ("Epoch", str(shown.epoch)),
        ("Epoch authenticator", shown.authenticator),
        ("Epoch steward", person(shown.epoch_steward)),
        ("Backup steward", person(shown.backup_steward)),
        ("Stewards", ", ".join(person(one) for one in shown.stewards) or "–"),
        ("Commit round", shown.round.sentence or "none"),
        *(("Agreed", sentence) for sentence in shown.policy),
    ]
    table(("", ""), rows)


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
        say(f"{one.id[:8]}  {one.name}: {one.state}, {one.members} members{votes}")


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
