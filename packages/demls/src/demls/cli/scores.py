"""The commands about scores and emergencies: why has somebody this score, and who accuses whom of what?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from demls.cli.asking import address_of, ask, find_group
from demls.cli.options import FolderOption, GroupArgument, JsonOption
from demls.cli.output import person, printable, say, say_json, table

if TYPE_CHECKING:
    from demls.api import models
    from demls.client import Client

INDENT = " " * 10
BAR_SIGNS = 20

MemberArgument = Annotated[
    str | None, typer.Argument(help="A member’s name or address; without it, all members.", show_default=False)
]


def add_to(group: typer.Typer) -> None:
    for command in (score, accuse):
        group.command()(command)


def score(
    group: GroupArgument, member: MemberArgument = None, folder: FolderOption = None, as_json: JsonOption = False
) -> None:
    """Say which scores the members have at your node, or why one of them has the score it has."""

    async def question(node: Client) -> tuple[list[models.Member], models.Group]:
        found = (await find_group(node, group)).id
        there = await node.members(found)
        chosen = there if member is None else [await node.member(found, address_of(there, member))]
        return chosen, await node.group(found)

    found, shown = ask(folder, question)
    if as_json:
        say_json(found if member is None else found[0])
    elif member is None:
        _say_all(found, shown)
    else:
        _say_one(found[0])


def _say_all(found: list[models.Member], shown: models.Group) -> None:
    """Worst first."""
    most = max((one.score for one in found), default=0)
    rows = [
        (person(one), str(one.score), _bar(one.score, most), _last_move(one))
        for one in sorted(found, key=lambda one: one.score)
    ]
    table(("Member", "Score", "", "Last move"), rows)
    if shown.policy is not None:
        points = shown.policy.scoring
        say(f"A newcomer has {points.start}; at {points.threshold} nodes ask for a removal.")


def _bar(score_: int, most: int) -> str:
    return "█" * round(BAR_SIGNS * max(0, score_) / most) if most > 0 else ""


def _last_move(one: models.Member) -> str:
    if not one.score_history:
        return ""
    last = one.score_history[-1]
    return f"{last.points:+d} in epoch {last.epoch}: {last.cause}"


def _say_one(one: models.Member) -> None:
    say(printable(one.score_sentence))
    if one.score_history:
        say()
        rows = [(str(move.epoch), f"{move.points:+d}", str(move.after), move.cause) for move in one.score_history]
        table(("Epoch", "Points", "Then about", "Why"), rows)
    if one.proofs:
        say()
        say("Your node can prove:")
        for sentence in one.proofs:
            say(f"- {printable(sentence)}")
    if one.proofs and not one.is_me:
        how = " “demls group accuse” asks the members." if one.accusation else ""
        say(f"{printable(one.accusation_sentence)}{how}")


def accuse(
    group: GroupArgument,
    member: Annotated[str | None, typer.Argument(help="The member’s name or address.", show_default=False)] = None,
    deadlock: Annotated[
        bool, typer.Option("--deadlock", help="Not a member: have it noted that the stewards have not committed.")
    ] = False,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open an emergency: accuse a member of what your node can prove. Without proof there is no vote."""
    if (member is None) is not deadlock:
        raise typer.BadParameter("Name a member, or say --deadlock.", param_hint="MEMBER")

    async def question(node: Client) -> tuple[models.Done, models.Proposal | None]:
        found = (await find_group(node, group)).id
        if member is None:
            done = await node.report_deadlock(found)
        else:
            done = await node.accuse(found, address_of(await node.members(found), member))
        return done, None if done.proposal is None else await node.proposal(found, done.proposal)

    done, card = ask(folder, question)
    if as_json:
        say_json(done)
        return
    say(printable(done.sentence))
    if card is not None:
        say_emergency(card)


def say_emergency(card: models.Proposal) -> None:
    """Who accuses whom, with which proofs, and what yes and no mean; nothing of other proposals."""
    about = card.emergency
    if about is None:
        return
    say(f"{INDENT}{printable(about.sentence)}")
    for sentence in about.proofs:
        say(f"{INDENT}- {printable(sentence)}")
    say(f"{INDENT}Yes: {printable(about.yes)}")
    say(f"{INDENT}No: {printable(about.no)}")
    if about.nodes:
        say(f"{INDENT}{printable(about.nodes)}")
