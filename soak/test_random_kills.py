"""Is anything confirmed lost, or any key or statement used twice, when real nodes are killed at random for an hour?

``DEMLS_KILL_SECONDS`` says for how long (an hour by default). Five nodes on one relay, each killed (SIGKILL) some
seconds after every start, sometimes before it is up. Meanwhile their people talk, propose settings and vote. What was
asked for in one life and not confirmed is asked for again in the next, by the same mark. Not part of `make test`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

import pytest
from demls.api.models import GroupState
from demls.cli.processes import make_person, relay_process
from demls.cli.proof import copy_state
from demls.client import Client, RefusedByNode

sys.path.insert(0, str(Path(__file__).parents[1] / "packages/demls/tests/node"))
from lives import Mortal, living, reused_keys, texts_of

pytestmark = pytest.mark.processes

SECONDS = float(os.environ.get("DEMLS_KILL_SECONDS", "3600"))
SEED = int(os.environ.get("DEMLS_KILL_SEED", "1"))
SHORTEST, LONGEST = 1.0, 40.0
PATIENCE = 600.0
NAMES = ("Alice", "Bob", "Carol", "Dave", "Erin")


@dataclass
class Story:
    """What was confirmed, by whoever asked for it."""

    said: list[str] = field(default_factory=list)
    proposed: int = 0


async def admit(founder: Mortal, newcomer: Mortal, voters: list[Mortal], group: str) -> None:
    link = (await founder.do(lambda client: client.invite(group))).text

    async def ask(client: Client) -> None:
        with suppress(RefusedByNode):  # an earlier life has asked
            await client.join(link)

    async def is_in(client: Client) -> bool:
        return any(one.id == group and one.state is GroupState.MEMBER for one in await client.groups())

    await newcomer.do(ask)
    async with asyncio.timeout(PATIENCE):
        while not await newcomer.do(is_in):
            for voter in voters:
                await voter.do(lambda client: vote_on_everything(client, group))
            await asyncio.sleep(0.2)


async def vote_on_everything(client: Client, group: str) -> None:
    for proposal in (await client.group(group)).proposals:
        if proposal.may_vote:
            with suppress(RefusedByNode):  # decided meanwhile
                await client.vote(group, proposal.id, yes=True)


async def live(mortal: Mortal, group: str, story: Story, end: float) -> None:
    """One person's hour: a message a second or so, now and then a proposal, a vote on whatever is open."""
    name, dice, clock = mortal.person.name, Random(f"{SEED} {mortal.person.name}"), asyncio.get_running_loop().time
    for number in count():
        if clock() >= end:
            return
        text = f"{name} {number}"

        async def say(client: Client, text: str = text) -> None:
            await client.send(group, text, client_id=text.replace(" ", "-"))

        await mortal.do(say)
        story.said.append(text)
        if dice.random() < 0.1:

            async def describe(client: Client, text: str = text) -> None:
                await client.propose_settings(group, description=f"as {text} says")

            with suppress(
                RefusedByNode
            ):  # one proposal of the kind is open already, or an earlier life opened this one
                await mortal.do(describe)
                story.proposed += 1
        await mortal.do(lambda client: vote_on_everything(client, group))
        await asyncio.sleep(dice.expovariate(1.0))


async def test_nodes_that_are_killed_at_random_lose_and_repeat_nothing(tmp_path: Path) -> None:
    dice = Random(SEED)
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(relay_process(tmp_path))
        nodes = [
            Mortal(make_person(name, tmp_path, relay), lifetime=lambda _: dice.uniform(SHORTEST, LONGEST))
            for name in NAMES
        ]
        for node in nodes:
            await stack.enter_async_context(living(node))
        founder = nodes[0]
        group = (await founder.do(lambda client: client.create_group("Friends", preset="quick"))).id
        for place in range(1, len(nodes)):
            await admit(founder, nodes[place], nodes[:place], group)
        copy_state(founder.person, tmp_path / "witness.sqlite")

        story = Story()
        end = asyncio.get_running_loop().time() + SECONDS
        await asyncio.gather(*(live(node, group, story, end) for node in nodes))
        for node in nodes:
            node.may_live = True
            await node.kill()

        for node in nodes:
            name = node.person.name
            seen: list[str] = []
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    while not set(story.said) <= set(seen):
                        seen = await node.do(lambda client: texts_of(client, group))
                        await node.do(lambda client: vote_on_everything(client, group))
                        await asyncio.sleep(0.5)
            assert sorted(set(story.said) - set(seen)) == [], f"{name} has lost what was confirmed"
            assert len(seen) == len(set(seen)), f"{name} was told something twice"
            lines = await node.do(lambda client: client.timeline(group, limit=500))
            assert [line.text for line in lines if line.kind == "warning"] == [], f"{name} saw misbehaviour"
        shown = [await node.do(lambda client: client.group(group)) for node in nodes]
        assert len({(one.epoch, one.authenticator) for one in shown}) == 1
        lives = [node.lives for node in nodes]
        sys.stdout.write(
            f"lives {lives}, {len(story.said)} messages, {story.proposed} proposals, epoch {shown[0].epoch}\n"
        )
        assert min(lives) > SECONDS / LONGEST / 2
        assert await reused_keys(tmp_path / "witness.sqlite", founder.person, group, relay) == []
