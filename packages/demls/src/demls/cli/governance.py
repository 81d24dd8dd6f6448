"""The commands about how a group lives: show it, settings, successors, who answers for strangers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from demls.cli.asking import address_of, ask, find_group
from demls.cli.options import FolderOption, GroupArgument, JsonOption
from demls.cli.output import person, printable, say, say_json, table, waiting
from demls.cli.policy import (
    PresetMeta,
    SetOption,
    StewardsMaxOption,
    StewardsMinOption,
    policy_change,
    preset_name,
)

if TYPE_CHECKING:
    from demls.api import models
    from demls.client import Client

RequestArgument = Annotated[str, typer.Argument(help="The request's id or the beginning of it.")]


def add_to(group: typer.Typer) -> None:
    for command in (show, settings, successor, sponsor, dismiss):
        group.command()(command)


def show(group: GroupArgument, folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """Show a group closely: stewards in the order of turns, what is under way and for whom it waits."""
    shown = ask(folder, lambda node: shown_group(node, group))
    if as_json:
        say_json(shown)
    else:
        say_group(shown)


async def shown_group(node: Client, named: str) -> models.Group:
    return await node.group((await find_group(node, named)).id)


def say_group(shown: models.Group) -> None:
    """Everything about a group, for people."""
    say(f"{printable(shown.name)} ({shown.id[:8]}): {printable(shown.sync.sentence)}")
    members = f"{shown.members}" + (f", {shown.dormant} of them dormant" if shown.dormant else "")
    rows = [
        ("Members", members),
        ("Epoch", str(shown.epoch)),
        ("Epoch authenticator", shown.authenticator),
        *((("Introduction", printable(shown.introduction)),) if shown.introduction else ()),
        ("Commit round", printable(shown.round.sentence) or "none"),
        *((("Recovery", printable(shown.recovery)),) if shown.recovery else ()),
        ("Being decided", str(sum(1 for one in shown.proposals if one.status == "open"))),
        *((("Emergency", printable(shown.frozen)),) if shown.frozen else ()),
        *(("Waits", f"{printable(one.title)} — {printable(one.sentence)}") for one in shown.waiting),
        *(("Asks to join", f"{one.id[:8]}  {printable(one.sentence)}") for one in shown.requests),
        *(("Successor", printable(one.sentence)) for one in shown.successors),
    ]
    table(("", ""), rows)
    if shown.stewards:
        say()
        table(("Turn", "Steward", ""), _turns(shown))
        say(printable(shown.stewards_sentence))
    if shown.policy is not None:
        say()
        _say_policy(shown.policy)


def _turns(shown: models.Group) -> list[tuple[str, str, str]]:
    def role(one: models.Person) -> str:
        if one == shown.epoch_steward:
            return "epoch steward"
        return "backup steward" if one == shown.backup_steward else ""

    return [(str(turn), person(one), role(one)) for turn, one in enumerate(shown.stewards, 1)]


def _say_policy(policy: models.Policy) -> None:
    table((f"Agreed ({printable(policy.preset)})",), [(sentence,) for sentence in policy.sentences])


def settings(
    group: GroupArgument,
    name: Annotated[str | None, typer.Option(help="Propose this name.")] = None,
    description: Annotated[str | None, typer.Option(help="Propose this description.")] = None,
    preset: Annotated[str | None, typer.Option(help="Propose the policy of a preset.", metavar=PresetMeta)] = None,
    given: SetOption = None,
    stewards_min: StewardsMinOption = None,
    stewards_max: StewardsMaxOption = None,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a group has agreed; with options, propose to change it."""
    change = policy_change(given, stewards_min, stewards_max)
    kind = None if preset is None else preset_name(preset)
    is_proposal = any(one is not None for one in (name, description, preset, stewards_min, stewards_max)) or given
    if not is_proposal:
        shown = ask(folder, lambda node: shown_group(node, group))
        if as_json:
            say_json(shown if shown.policy is None else shown.policy)
            return
        say(f"{printable(shown.name)} ({shown.id[:8]}): {printable(shown.description) or 'no description'}")
        if shown.policy is not None:
            _say_policy(shown.policy)
        return

    async def question(node: Client) -> tuple[models.Done, models.Proposal | None]:
        found = (await find_group(node, group)).id
        done = await node.propose_settings(found, name=name, description=description, preset=kind, policy=change)
        return done, None if done.proposal is None else await node.proposal(found, done.proposal)

    done, card = ask(folder, question)
    if as_json:
        say_json(done)
        return
    say(done.sentence)
    if card is not None:
        table(
            ("", "Now", "Proposed"),
            [(one.label, printable(one.before), printable(one.after)) for one in card.differences],
        )
        say(card.rule)


def successor(
    group: GroupArgument,
    members: Annotated[
        list[str] | None,
        typer.Option("--with", help="Found one with this member (name or address); may be given several times."),
    ] = None,
    everybody: Annotated[bool, typer.Option("--with-everybody", help="Found one with all members.")] = False,
    name: Annotated[str | None, typer.Option(help="Its name, if not this group's.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Found another one.")] = False,
    join: Annotated[str | None, typer.Option(help="Join the one that this member founded.", metavar="FOUNDER")] = None,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on in another group, when too many of this one are gone for good: list, found or join a successor."""
    if join is not None and (members or everybody):
        raise typer.BadParameter("Either found one or join one.", param_hint="--join")

    async def question(node: Client) -> models.Group:
        found = (await find_group(node, group)).id
        if join is not None:
            return await node.join_successor(found, address_of(await node.members(found), join))
        if members or everybody:
            there = await node.members(found)
            named = [address_of(there, one) for one in members or ()]
            if everybody:
                named = [one.address for one in there if not one.is_me]
            return await node.found_successor(found, named, name=name, again=again)
        return await node.group(found)

    with waiting("Asking the node…"):
        answer = ask(folder, question)
    if as_json:
        say_json(answer)
    elif join is not None:
        say(f"“{printable(answer.name)}” ({answer.id[:8]}): {printable(answer.sync.sentence)}")
    elif members or everybody:
        say(f"You founded “{printable(answer.name)}” ({answer.id[:8]}); the members named are invited.")
    elif not answer.successors:
        say("Nobody has founded a successor of this group. Found one with “--with” and a member's name.")
    else:
        table(("Founder", "Name", ""), [_successor_row(one) for one in answer.successors])


def _successor_row(one: models.Successor) -> tuple[str, str, str]:
    remark = f"join it with “--join {one.founder.address}”" if one.invited else ""
    return person(one.founder), printable(one.name) or "–", remark


def sponsor(group: GroupArgument, request: RequestArgument, folder: FolderOption = None) -> None:
    """Answer for somebody who asks to join: put the request to the vote, with your yes."""

    async def question(node: Client) -> models.Done:
        found, request_id = await _request(node, group, request)
        return await node.sponsor(found, request_id)

    say(ask(folder, question).sentence)


def dismiss(group: GroupArgument, request: RequestArgument, folder: FolderOption = None) -> None:
    """Put a request to join away, on your node only."""

    async def question(node: Client) -> models.Done:
        found, request_id = await _request(node, group, request)
        return await node.dismiss(found, request_id)

    say(ask(folder, question).sentence)


async def _request(node: Client, group: str, beginning: str) -> tuple[str, str]:
    shown = await shown_group(node, group)
    known = [one.id for one in shown.requests if one.id.startswith(beginning.lower())]
    return shown.id, known[0] if len(known) == 1 else beginning
