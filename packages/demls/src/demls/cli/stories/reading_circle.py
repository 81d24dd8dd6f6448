"""The life of a group, told while it happens: founded, joined, talked in, governed by votes, left without a trace."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from demls.api.models import Group, GroupState, Proposal
from demls.cli import proof
from demls.cli.cast import Afterwards, Narrator, Seat, Stage, Story, since
from demls.cli.output import line, say
from demls.cli.processes import DemoFailed, Person
from demls.cli.watch import Watch
from demls.client import RefusedByNode

GROUP_NAME = "Reading circle"
NAMES = ("Alice", "Bob", "Carol")

AFTERWARDS = ("She is out. Shall we go on with chapter four?", "Yes, chapter four. Just the two of us for now.")
LAST_FOR_ALL = "One more word while the vote is not yet open."


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays: everybody's data and what their nodes see."""

    people: dict[str, Person]
    alice: Watch
    bob: Watch
    carol: Watch
    relay: str
    place: Path


async def play(stage: Stage) -> Afterwards:
    """Play the story; afterwards there is a seat for a visitor. Raises DemoFailed, ClientError."""
    relay = await stage.relay()
    players = await stage.players(*(Seat(name, relay) for name in NAMES))
    alice, bob, carol = (player.watch for player in players)
    cast = Cast({player.name: player.person for player in players}, alice, bob, carol, relay, stage.place)
    group = await _tell(cast, stage.narrator)
    return partial(_host, cast, group)


async def _tell(cast: Cast, narrator: Narrator) -> str:
    """Returns the group's id."""
    alice, bob, carol = cast.alice, cast.bob, cast.carol
    await narrator.head("Alice founds a group.")
    group = (await alice.client.create_group(GROUP_NAME, description="We read and talk.", preset="quick")).id
    await narrator.tell(
        f"“{GROUP_NAME}” exists. It decides by votes of 30 seconds; she is its only member and steward."
    )

    await narrator.head("Bob asks to join.")
    await _admit(bob, [alice], group, narrator)
    await _talk(
        group, narrator, [alice, bob], [(alice, "Welcome, Bob! What are you reading?"), (bob, "RFC 9420. Twice.")]
    )

    await narrator.head("Carol asks to join; now two members decide.")
    await _admit(carol, [alice, bob], group, narrator)
    said = [(carol, "Hello! I have a tip: buy my coins."), (bob, "Please do not, Carol."), (carol, "BUY MY COINS")]
    await _talk(group, narrator, [alice, bob, carol], said)

    await narrator.head("Carol is banned by vote.")
    copy = cast.place / "carol-before.sqlite"
    await asyncio.to_thread(proof.copy_state, cast.people["Carol"], copy)
    await narrator.tell("(A copy of everything Carol’s node knows is put aside, for a test at the end.)")
    await _talk(group, narrator, [alice, bob, carol], [(alice, LAST_FOR_ALL)])
    await _ban(cast, group, narrator)
    await _talk(group, narrator, [alice, bob], [(alice, AFTERWARDS[0]), (bob, AFTERWARDS[1])])

    await narrator.head("What holds now?")
    await _compare(alice, bob, group, narrator)
    await _prove(cast, group, copy, narrator)
    return group


async def _admit(joiner: Watch, members: list[Watch], group: str, narrator: Narrator) -> None:
    inviter = members[0]
    link = await inviter.client.invite(group)
    await narrator.tell(f"{inviter.name} gives {joiner.name} an invite link; {joiner.name} asks with it.")
    await joiner.client.join(link.text)
    begun = 0.0
    for member in members:
        begun = await _vote_yes(member, group, "invite", joiner.name, narrator)
    await joiner.until_group(group, lambda one: one.state is GroupState.MEMBER, f"the admission of {joiner.name}")
    for member in [*members, joiner]:
        await member.until_group(group, lambda one: one.members == len(members) + 1, "the commit that admits")
    epoch = joiner.groups[group].epoch
    await narrator.tell(f"{joiner.name} is in: epoch {epoch}, {since(begun)} after the last vote.")


async def _vote_yes(member: Watch, group: str, kind: str, whom: str, narrator: Narrator) -> float:
    """Vote, unless the others' votes have decided it already; returns when."""

    def cards(one: Group) -> list[Proposal]:
        return [card for card in one.proposals if card.kind == kind and card.subject.name == whom]

    shown = await member.until_group(group, lambda one: bool(cards(one)), f"the vote on {whom} at {member.name}’s node")
    card = cards(shown)[0]
    await narrator.tell(f"{member.name} reads: {card.title}. {card.rule} And votes yes.")
    begun = time.monotonic()
    card = cards(member.groups[group])[0]
    if card.status == "open" and card.my_vote is None and card.may_vote:
        await member.client.vote(group, card.id, yes=True)
    return begun


async def _talk(group: str, narrator: Narrator, listeners: list[Watch], said: list[tuple[Watch, str]]) -> None:
    for speaker, text in said:
        begun = time.monotonic()
        await speaker.client.send(group, text)
        for listener in listeners:
            await listener.until_said(text)
        await narrator.tell(f"{speaker.name}: {text}   (read by all after {since(begun)})")


async def _ban(cast: Cast, group: str, narrator: Narrator) -> None:
    alice, bob, carol = cast.alice, cast.bob, cast.carol
    command = f"/ban 0x{cast.people['Carol'].wallet.address.hex()}"
    done = await bob.client.send(group, command)
    await narrator.tell(f"Bob types {command}. {done.sentence}")
    begun = await _vote_yes(alice, group, "remove", "Carol", narrator)
    await carol.until_group(group, lambda one: one.state is GroupState.REMOVED, "Carol’s removal at her own node")
    for member in (alice, bob):
        await member.until_group(group, lambda one: one.members == 2, f"Carol’s removal at {member.name}’s node")
    warnings = [one.text for one in carol.lines if one.kind == "warning"]
    if not warnings:
        await carol.until(lambda: any(one.kind == "warning" for one in carol.lines), "the word to Carol")
        warnings = [one.text for one in carol.lines if one.kind == "warning"]
    await narrator.tell(f"Carol is out, {since(begun)} after the deciding vote. Her node tells her: “{warnings[-1]}”")


async def _compare(alice: Watch, bob: Watch, group: str, narrator: Narrator) -> None:
    shown = [await one.client.group(group) for one in (alice, bob)]
    if shown[0].authenticator != shown[1].authenticator or shown[0].epoch != shown[1].epoch:
        raise DemoFailed("Alice and Bob are not in the same epoch; this must never be. Please report it.")
    await narrator.tell(
        f"Alice’s and Bob’s epoch authenticators are equal (epoch {shown[0].epoch}, "
        f"{shown[0].authenticator[:16]}…): they share one state that nobody else has."
    )


async def _prove(cast: Cast, group: str, copy: Path, narrator: Narrator) -> None:
    carol, alice = cast.people["Carol"], cast.people["Alice"]
    later = cast.place / "alice-after.sqlite"
    await asyncio.to_thread(proof.copy_state, alice, later)
    before = await asyncio.to_thread(proof.read_records, copy, carol.storage_key, group)
    after = await asyncio.to_thread(proof.read_records, later, alice.storage_key, group)
    topics = proof.topics_of(before) | proof.topics_of(after)
    deliveries = await proof.history(cast.relay, topics)
    opened = await asyncio.to_thread(proof.open_all, before, deliveries)
    if LAST_FOR_ALL not in opened.texts:
        raise DemoFailed("The test is void: Carol’s copy does not even open what she was still entitled to.")
    leaked = opened.texts.intersection(AFTERWARDS)
    if leaked:
        raise DemoFailed(f"Carol’s old state opens {len(leaked)} later messages; this must never be. Please report it.")
    await narrator.tell(
        f"Carol’s whole state from before the ban was given all {opened.envelopes} envelopes that the relay keeps of "
        f"the group, in order and each alone: it opens the message from just before the vote, and no later one."
    )


async def _host(cast: Cast, group: str) -> None:
    """The fourth seat: a link for the visitor, and Alice's and Bob's votes for whoever asks with it."""
    say("\nThe fourth seat is yours. In another terminal:\n")
    say(f"  demls init --folder ~/demls-visitor --relay {cast.relay}")
    say("  demls node --folder ~/demls-visitor --port 0")
    say("\nOpen the page it prints, choose “Join”, and paste this invite link; Alice and Bob will vote yes:\n")
    say((await cast.alice.client.invite(group)).text)
    say("\n(Or: demls group join --folder ~/demls-visitor. Ctrl-C ends the demo.)\n")
    async with asyncio.TaskGroup() as tasks:
        for watch in (cast.alice, cast.bob):
            tasks.create_task(_welcome(watch, group))
        tasks.create_task(_echo(cast.alice, group))


async def _welcome(watch: Watch, group: str) -> None:
    """Vote yes on everybody who asks with a link; each link is good for one person, so the next is printed."""
    members = watch.groups[group].members

    def waiting_for_me() -> list[str]:
        return [
            card.id
            for card in watch.groups[group].proposals
            if card.kind == "invite" and card.status == "open" and card.may_vote and card.my_vote is None
        ]

    def is_news(known: int) -> bool:
        return bool(waiting_for_me()) or watch.groups[group].members != known

    while True:
        await watch.wait_for(partial(is_news, members))
        for proposal in waiting_for_me():
            with contextlib.suppress(RefusedByNode):  # decided in the meantime
                await watch.client.vote(group, proposal, yes=True)
            await watch.wait_for(partial(_is_gone, proposal, waiting_for_me))
        shown = watch.groups[group]
        if watch.name == "Alice" and shown.members > members:
            say(f"\nOne more link, for one more person:\n{(await watch.client.invite(group)).text}\n")
        members = shown.members


def _is_gone(proposal: str, waiting: Callable[[], list[str]]) -> bool:
    return proposal not in waiting()


async def _echo(watch: Watch, group: str) -> None:
    told = len(watch.lines)
    while True:
        await watch.wait_for(partial(_has_more, watch, told))
        for entry in watch.lines[told:]:
            told += 1
            if entry.group == group:
                say(f"  {line(entry)}")


def _has_more(watch: Watch, told: int) -> bool:
    return len(watch.lines) > told


STORY = Story(
    "reading-circle",
    "Three people found a group, vote each other in, talk and ban one, who can read nothing more; a seat for you.",
    "A relay and three nodes are starting…",
    play,
)
