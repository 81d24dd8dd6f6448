"""The commands about groups: found, invite, join, read, talk, vote, ban, leave."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from demls.cli import governance, scores
from demls.cli.asking import ask, find_group
from demls.cli.options import FolderOption, GroupArgument, JsonOption
from demls.cli.output import line, printable, say, say_json, table, waiting, when
from demls.cli.policy import PresetMeta, SetOption, StewardsMaxOption, StewardsMinOption, policy_change, preset_name
from demls.cli.scores import say_emergency

if TYPE_CHECKING:
    from demls.api import models
    from demls.client import Client

DAY_MS = 86_400_000


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(help="Found, join, show, change, list and delete groups.", no_args_is_help=True)
    for name, command in (
        ("create", create),
        ("invite", invite),
        ("join", join),
        ("members", members),
        ("list", list_groups),
        ("refresh-keys", refresh_keys),
        ("delete", delete),
        ("rejoin", rejoin),
    ):
        group.command(name)(command)
    governance.add_to(group)
    scores.add_to(group)
    app.add_typer(group, name="group")
    for plain in (send, read, proposals, vote, ban, leave):
        app.command()(plain)


def create(
    name: Annotated[str, typer.Argument(help="The group's name.")],
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    preset: Annotated[
        str, typer.Option(help="How it decides: quick (30 s), day (24 h) or council.", metavar=PresetMeta)
    ] = "day",
    given: SetOption = None,
    stewards_min: StewardsMinOption = None,
    stewards_max: StewardsMaxOption = None,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Found a group, with a preset's policy or one of your own."""
    kind, change = preset_name(preset), policy_change(given, stewards_min, stewards_max)
    made = ask(folder, lambda node: node.create_group(name, description=description, preset=kind, policy=change))
    if as_json:
        say_json(made)
    else:
        say(f"You founded “{made.name}” ({made.id[:8]}). Invite somebody with “demls group invite {made.id[:8]}”.")


def invite(
    group: GroupArgument,
    contact: Annotated[
        str | None, typer.Option(help="Propose to admit the person of this contact, instead of making a link.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=90, help="How long the link is good.")] = 7,
    is_open: Annotated[
        bool, typer.Option("--open", help="Good for anybody; a member answers for each before there is a vote.")
    ] = False,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an invite link, for one person or for anybody, or propose to admit a contact."""
    if is_open and contact is not None:
        raise typer.BadParameter("A contact is one person; an open link is for anybody.", param_hint="--open")

    async def question(node: Client) -> models.Sharable | models.Done:
        found = await find_group(node, group)
        if contact is not None:
            return await node.invite_contact(found.id, contact)
        return await node.invite(found.id, lifetime_ms=days * DAY_MS, is_open=is_open)

    with waiting("Asking the node…"):
        answer = ask(folder, question)
    if as_json:
        say_json(answer)
        return
    from demls.api.models import Done  # noqa: PLC0415 (after the answer it is there)

    if isinstance(answer, Done):
        say(answer.sentence)
    else:
        say(answer.text)
        if answer.expires_at is not None and sys.stdout.isatty():
            whom = "anybody; “demls proposals” shows who asks" if is_open else "one person"
            say(f"Good for {whom}, until {when(answer.expires_at)}.")


def join(
    link: Annotated[
        str | None, typer.Argument(help="The invite link; without it, it is asked for (and not kept by your shell).")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the members have decided.")] = False,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a group to be admitted, with its invite link."""
    text = link or (input("Invite link: ") if sys.stdin.isatty() else sys.stdin.readline())

    async def question(node: Client) -> models.Group:
        asked = await node.join(text.strip())
        return await _decided(node, asked) if wait else asked

    with waiting("Waiting for the members’ decision…" if wait else "Asking the group…"):
        asked = ask(folder, question)
    if as_json:
        say_json(asked)
    elif asked.state == "member":
        say(f"You are a member of “{asked.name}” ({asked.id[:8]}).")
    elif asked.state == "asking":
        say(f"You asked to join “{asked.name}” ({asked.id[:8]}). {asked.sync.sentence}")
    else:
        say(asked.sync.sentence)
        raise typer.Exit(1)


async def _decided(node: Client, asked: models.Group) -> models.Group:
    from demls.api.models import GroupNews  # noqa: PLC0415

    async for news in node.events():
        if isinstance(news, GroupNews) and news.group.id == asked.id and news.group.state != "asking":
            return news.group
    raise AssertionError


def members(group: GroupArgument, folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """List a group's members."""

    async def question(node: Client) -> list[models.Member]:
        return await node.members((await find_group(node, group)).id)

    found = ask(folder, question)
    if as_json:
        say_json(found)
    else:
        rows = [
            (one.name or "–", one.address, one.device, one.role, str(one.score), _keys(one), _remark(one))
            for one in found
        ]
        table(("Name", "Address", "Device", "Role", "Score", "Keys renewed", ""), rows)
        if any(move.points < 0 for one in found for move in one.score_history):
            say("“demls group score” says why somebody has a score.")


def refresh_keys(group: GroupArgument, folder: FolderOption = None) -> None:
    """Renew your encryption keys in a group: who has stolen them reads no more. It needs no vote."""

    async def question(node: Client) -> models.Done:
        return await node.refresh_keys((await find_group(node, group)).id)

    say(ask(folder, question).sentence)


def list_groups(folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """List your groups."""
    found = ask(folder, lambda node: node.groups())
    if as_json:
        say_json(found)
    elif not found:
        say("You are in no group. Found one with “demls group create”, or join one with “demls group join”.")
    else:
        rows = [
            (one.id[:8], one.name, one.state, str(one.members), str(one.open_proposals), str(one.my_votes_needed))
            for one in found
        ]
        table(("Id", "Name", "You are", "Members", "Open proposals", "Your votes needed"), rows)


def delete(group: GroupArgument, folder: FolderOption = None) -> None:
    """Delete what your node keeps of a group you are no longer in, history included."""

    async def question(node: Client) -> str:
        found = await find_group(node, group)
        await node.forget(found.id)
        return found.name

    say(f"“{ask(folder, question)}” is deleted on this node.")


def send(
    group: GroupArgument,
    text: Annotated[list[str], typer.Argument(help="The message; “-” reads it from standard input.")],
    folder: FolderOption = None,
) -> None:
    """Send a message to a group."""
    words = sys.stdin.read().rstrip("\n") if text == ["-"] else " ".join(text)

    async def question(node: Client) -> models.Done:
        return await node.send((await find_group(node, group)).id, words)

    say(ask(folder, question).sentence)


def read(
    group: GroupArgument,
    limit: Annotated[int, typer.Option(min=1, max=500, help="So many of the newest lines.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a group's conversation."""

    async def question(node: Client) -> None:
        from demls.api.models import TimelineNews  # noqa: PLC0415

        found = await find_group(node, group)
        entries = await node.timeline(found.id, limit=limit)
        if as_json:
            say_json(entries)
        else:
            for entry in entries:
                say(line(entry))
        if not follow:
            return
        async for news in node.events(after=entries[-1].id if entries else 0):
            if isinstance(news, TimelineNews) and news.entry.group == found.id:
                say(news.entry.model_dump_json() if as_json else line(news.entry))

    ask(folder, question)


def proposals(group: GroupArgument, folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """List what is being decided, and what was decided last."""

    async def question(node: Client) -> models.Group:
        return await node.group((await find_group(node, group)).id)

    shown = ask(folder, question)
    if as_json:
        say_json(shown.proposals)
        return
    if shown.frozen:
        say(printable(shown.frozen))
    if not shown.proposals and not shown.requests and not shown.waiting:
        say("Nothing is being decided.")
    for one in shown.proposals:
        say(f"{one.short_id}  {printable(one.title)} — {printable(one.result or one.rule)}")
        if one.status == "open":
            say_emergency(one)
            counts = f"yes {one.yes}, no {one.no}, silent {one.silent}"
            say(f"          {counts}; {_own_vote(one)}; until {when(one.deadline)}")
    for held in shown.waiting:
        say(f"waits     {printable(held.title)} — {printable(held.sentence)}")
    for request in shown.requests:
        answer = f" “demls group sponsor” with {request.id[:8]} opens the vote." if request.needs_sponsor else ""
        say(f"{request.id[:8]}  {printable(request.sentence)}{answer}")


def _own_vote(one: models.Proposal) -> str:
    if one.my_vote is not None:
        return f"your {'node said' if one.by_nodes else 'vote is'} {'yes' if one.my_vote else 'no'}"
    if one.by_nodes:
        return "your node votes by itself"
    return "you have not voted" if one.may_vote else "you may not vote"


def vote(
    group: GroupArgument,
    proposal: Annotated[str, typer.Argument(help="The proposal's id or the beginning of it.")],
    answer: Annotated[str, typer.Argument(help="yes or no.", metavar="yes|no")],
    folder: FolderOption = None,
) -> None:
    """Vote on a proposal; a cast vote is final."""
    if answer.lower() not in ("yes", "no"):
        raise typer.BadParameter("Answer yes or no.", param_hint="yes|no")

    async def question(node: Client) -> models.Done:
        found = await find_group(node, group)
        known = [one.id for one in (await node.group(found.id)).proposals if one.id.startswith(proposal.lower())]
        return await node.vote(found.id, known[0] if len(known) == 1 else proposal, answer.lower() == "yes")

    say(ask(folder, question).sentence)


def ban(
    group: GroupArgument,
    address: Annotated[str, typer.Argument(help="The member's wallet address, with or without 0x.")],
    folder: FolderOption = None,
) -> None:
    """Propose to remove a member."""

    async def question(node: Client) -> models.Done:
        return await node.remove((await find_group(node, group)).id, address)

    say(ask(folder, question).sentence)


def leave(group: GroupArgument, folder: FolderOption = None) -> None:
    """Leave a group; it needs no vote."""

    async def question(node: Client) -> models.Done:
        return await node.leave((await find_group(node, group)).id)

    say(ask(folder, question).sentence)


def rejoin(group: GroupArgument, folder: FolderOption = None) -> None:
    """Ask a group for a new seat, when this node cannot follow it any more; it needs the wallet, and no vote."""

    async def question(node: Client) -> models.Done:
        return await node.rejoin((await find_group(node, group)).id)

    say(ask(folder, question).sentence)


def _keys(member: models.Member) -> str:
    """As the sentence says it, without the rest of the sentence."""
    return member.keys_sentence.rpartition("renewed ")[2].rstrip(".")


def _remark(member: models.Member) -> str:
    remarks = ["you"] if member.is_me else []
    remarks += ["removal under way"] if member.removal_pending else []
    return ", ".join([*remarks, *member.remarks])
