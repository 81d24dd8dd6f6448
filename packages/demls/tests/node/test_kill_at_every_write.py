"""Is nothing confirmed lost, and nothing said twice or under a used key, when a node dies at its writes all along?

Bob's node kills itself (SIGKILL) before or after one of its next few writes, in every life anew, through the whole
story of the demo: asking to join, talking, voting, banning. Each write of the story is the last of some life.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from demls.api.models import GroupState
from demls.cli.processes import Person, make_person, node_process, relay_process
from demls.cli.proof import copy_state
from demls.cli.watch import Watch, following
from demls.client import Client, RefusedByNode
from lives import Mortal, living, reused_keys, until_shown

pytestmark = pytest.mark.processes

SECONDS = 480.0


async def ask(client: Client, link: str) -> None:
    try:
        await client.join(link)
    except RefusedByNode as problem:
        if "already" not in str(problem):  # an earlier life has asked
            raise


async def vote_yes(client: Client, group: str) -> None:
    shown = await until_shown(client, group, lambda one: any(p.may_vote or p.my_vote for p in one.proposals))
    for proposal in shown.proposals:
        if proposal.may_vote:
            await client.vote(group, proposal.id, yes=True)


async def ban(client: Client, group: str, address: str) -> None:
    try:
        await client.send(group, f"/ban {address}")
    except RefusedByNode as problem:
        if "already" not in str(problem):  # an earlier life has proposed it
            raise


async def texts(client: Client, group: str) -> list[str]:
    return [line.text for line in await client.timeline(group, limit=500) if line.kind == "message"]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_node_that_dies_at_its_writes_loses_and_repeats_nothing(tmp_path: Path, when: str) -> None:
    async with asyncio.timeout(SECONDS), relay_process(tmp_path) as relay:
        alice_, bob_, carol_ = (make_person(name, tmp_path, relay) for name in ("Alice", "Bob", "Carol"))
        async with (
            node_process(alice_),
            node_process(carol_),
            following("Alice", Client.connect(alice_.folder)) as alice,
            following("Carol", Client.connect(carol_.folder)) as carol,
            living(Mortal(bob_, lambda life: f"{when}:{1 + life % 9}")) as bob,
        ):
            group = (await alice.client.create_group("Friends", preset="quick")).id
            said = await play(alice, carol, bob, group, tmp_path / "witness.sqlite", alice_)
            bob.may_live = True
            await bob.kill()
            await bob.do(lambda client: client.send(group, "the last of all"))
            said.append("the last of all")
            await alice.until_said(said[-1])

            theirs = [await texts(alice.client, group), await bob.do(lambda client: texts(client, group))]
            for seen in theirs:
                assert len(seen) == len(set(seen)), "something was said twice"
                assert set(said) <= set(seen), "something confirmed was lost"
            shown = [await alice.client.group(group), await bob.do(lambda client: client.group(group))]
            assert shown[0].authenticator == shown[1].authenticator
            assert not [line for line in alice.lines if line.kind == "warning"], "misbehaviour was reported"
            assert bob.lives >= 12
        assert await reused_keys(tmp_path / "witness.sqlite", alice_, group, relay) == []


async def play(alice: Watch, carol: Watch, bob: Mortal, group: str, witness: Path, alice_: Person) -> list[str]:
    """The demo's story; returns what was confirmed as said."""
    said: list[str] = []

    async def say(text: str) -> None:
        """Ask for the same again in each life, by the same mark, until it is confirmed."""
        said.append(await bob.do(lambda client: send(client, text)))
        await alice.until_said(said[-1])

    async def send(client: Client, text: str) -> str:
        await client.send(group, text, client_id=text.replace(" ", "-"))
        return text

    link = (await alice.client.invite(group)).text
    await bob.do(lambda client: ask(client, link))
    shown = await alice.until_group(group, lambda one: bool(one.proposals), "Bob's request")
    await alice.client.vote(group, shown.proposals[0].id, yes=True)
    await alice.until_group(group, lambda one: one.members == 2, "Bob's admission")
    await bob.do(lambda client: until_shown(client, group, lambda one: one.state is GroupState.MEMBER))
    copy_state(alice_, witness)
    for number in range(3):
        await say(f"bob {number}")
        await alice.client.send(group, f"alice {number}")
        said.append(f"alice {number}")

    await carol.client.join((await alice.client.invite(group)).text)
    open_now = await alice.until_group(group, lambda one: any(p.may_vote for p in one.proposals), "Carol's request")
    await alice.client.vote(group, next(p.id for p in open_now.proposals if p.may_vote), yes=True)
    await bob.do(lambda client: vote_yes(client, group))
    await carol.until_group(group, lambda one: one.state is GroupState.MEMBER, "Carol's admission")
    await say("bob greets carol")

    address = (await carol.client.node()).me.address
    await bob.do(lambda client: ban(client, group, address))
    open_now = await alice.until_group(group, lambda one: any(p.may_vote for p in one.proposals), "the ban")
    await alice.client.vote(group, next(p.id for p in open_now.proposals if p.may_vote), yes=True)
    await carol.until_group(group, lambda one: one.state is GroupState.REMOVED, "Carol's removal")
    await say("bob after the ban")
    return said
