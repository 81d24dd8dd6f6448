"""What happens in stories of trouble: an emergency opens, scores are looked at, the command line is asked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator

from demls.api.models import Group, GroupNews, GroupState, Member, Proposal
from demls.cli.cast import Player, all_of
from demls.cli.processes import DEMLS, DemoFailed
from demls.cli.scenes import all_have, find
from demls.cli.watch import WAIT_SECONDS
from demls.client import RefusedByNode

LINES_MAX = 40
COLUMNS = "200"
"""So wide that tables keep an address in one line."""


async def ask_cli(player: Player, *words: str) -> str:
    """What ``demls`` with these words prints for somebody: the real program, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *DEMLS, *words, "--folder", str(player.person.folder)),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": COLUMNS},
    )
    said = (await process.communicate())[0].decode()
    if process.returncode:
        raise DemoFailed(f"“demls {' '.join(words)}” of {player.name} ended with an error: {said.strip()}")
    return said


async def line_of_cli(player: Player, sentence: str, *words: str) -> str:
    """The line in which the command line says ``sentence``. Raises DemoFailed if it does not."""
    said = await ask_cli(player, *words)
    found = next((line.strip() for line in said.splitlines() if sentence in line), None)
    if found is None:
        raise DemoFailed(f"“demls {' '.join(words)}” of {player.name} does not say: {sentence}")
    return found


async def until_emergency(
    group: str, people: list[Player], bad: Player, known: frozenset[str] = frozenset()
) -> Proposal:
    """One about ``bad``, besides those known, that all of these nodes show, whoever's node opened it.

    Several nodes may open one about the same at once, if they have not heard of each other; all but one are withdrawn.
    """

    def new(one: Group) -> list[str]:
        return [card.id for card in _emergencies(one, bad) if card.id not in known]

    what = f"the emergency about {bad.name}"
    first = await people[0].watch.until_group(group, lambda one: bool(new(one)), what)
    wanted = new(first)[0]
    await all_have(group, people, lambda one: find(one, wanted) is not None, what)
    card = find(people[0].watch.groups[group], wanted)
    assert card is not None
    return card


def _emergencies(shown: Group, bad: Player) -> list[Proposal]:
    return [card for card in shown.proposals if card.kind == "emergency" and card.subject.address == bad.address]


def all_emergencies(group: str, people: list[Player], bad: Player) -> frozenset[str]:
    """The ids of all emergencies about ``bad`` that any of these nodes shows."""
    return frozenset(card.id for player in people for card in _emergencies(player.watch.groups[group], bad))


async def until_removed(group: str, people: list[Player], bad: Player) -> None:
    """All of these nodes have the commit of an emergency, and ``bad`` knows that it is out."""

    def is_over(one: Group) -> bool:
        return any(card.status == "committed" for card in _emergencies(one, bad))

    await all_have(group, people, is_over, f"the commit that removes {bad.name}")
    await bad.watch.until_group(
        group, lambda one: one.state is GroupState.REMOVED, f"word of the removal at {bad.name}’s node"
    )

    async def is_gone(player: Player) -> None:
        if bad.address in {one.address for one in await player.client.members(group)}:
            raise DemoFailed(f"{player.name}’s node still lists {bad.name}; please report it.")

    await all_of(people, is_gone)


async def judge(group: str, people: list[Player], bad: Player, *, yes: bool) -> None:
    """These people vote on every emergency about ``bad`` that is open, before their nodes do."""

    async def decide(player: Player) -> None:
        for card in _emergencies(await player.client.group(group), bad):
            if card.status == "open" and card.may_vote and card.my_vote is None:
                with contextlib.suppress(RefusedByNode):  # the others' votes have decided it meanwhile
                    await player.client.vote(group, card.id, yes=yes)

    await all_of(people, decide)


async def member(player: Player, group: str, address: str) -> Member:
    """What somebody's node thinks of a member."""
    found = next((one for one in await player.client.members(group) if one.address == address), None)
    if found is None:
        raise DemoFailed(f"{player.name}’s node does not list {address}; please report it.")
    return found


async def until_score(group: str, people: list[Player], bad: Player, cause: str) -> int:
    """All of these nodes have noted ``cause`` in the history of ``bad``, and agree; returns its score."""
    scores = set()
    for player in people:
        shown = await _until_noted(player, group, bad, cause)
        scores.add(shown.score)
    if len(scores) != 1:
        raise DemoFailed(f"The nodes have different scores of {bad.name} ({sorted(scores)}); please report it.")
    return scores.pop()


async def _until_noted(player: Player, group: str, bad: Player, cause: str) -> Member:
    """Scores come without news of their own, so the node is asked again with whatever it tells next."""
    for _ in range(LINES_MAX):
        lines = len(player.watch.lines)
        shown = await member(player, group, bad.address)
        if any(move.cause == cause for move in shown.score_history):
            return shown
        await player.watch.until(
            lambda lines=lines: len(player.watch.lines) > lines,  # type: ignore[misc]
            f"“{cause}” in the history of {bad.name} at {player.name}’s node",
        )
    raise DemoFailed(f"{player.name}’s node does not note “{cause}” of {bad.name}; please report it.")


async def check_innocent(group: str, people: list[Player], least: int) -> None:
    """At the nodes of all of these, nobody of them has lost a point, or has less than ``least``."""

    async def check(player: Player) -> None:
        for other in people:
            shown = await member(player, group, other.address)
            if shown.score < least or any(move.points < 0 for move in shown.score_history):
                raise DemoFailed(f"{player.name}’s node blames {other.name}: {shown.score_sentence} Please report it.")

    await all_of(people, check)


PRAISE = "committed the group's work"


async def committer(player: Player, group: str, epoch: int) -> Member:
    """Who made the commit that ended ``epoch``, as the chain has it and somebody's node scores it."""
    made = [
        one
        for one in await player.client.members(group)
        if any((move.cause, move.epoch) == (PRAISE, epoch) for move in one.score_history)
    ]
    if len(made) != 1:
        raise DemoFailed(f"{player.name}’s node knows {len(made)} makers of one commit; please report it.")
    return made[0]


class Recovery:
    """Every sentence about recovery that the API has told of a group, by whose node. Use ``listening``."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._told: list[tuple[str, str]] = []
        self._news = asyncio.Condition()

    async def follow(self, player: Player) -> None:
        async for news in player.client.events():
            if isinstance(news, GroupNews) and news.group.id == self._group and news.group.recovery:
                async with self._news:
                    self._told.append((player.name, news.group.recovery))
                    self._news.notify_all()

    async def until(self, beginning: str) -> str:
        """A sentence that begins so, as soon as any node has said it. Raises DemoFailed."""

        def fitting() -> list[str]:
            return [sentence for _, sentence in self._told if sentence.startswith(beginning)]

        try:
            async with asyncio.timeout(WAIT_SECONDS), self._news:
                await self._news.wait_for(fitting)
        except TimeoutError:
            raise DemoFailed(f"No node said “{beginning}…” but {self._told}; please report it.") from None
        return fitting()[0]


@contextlib.asynccontextmanager
async def listening(group: str, people: list[Player]) -> AsyncIterator[Recovery]:
    """What these people's nodes say about recovery while the context lasts."""
    recovery = Recovery(group)
    tasks = [asyncio.create_task(recovery.follow(player)) for player in people]
    try:
        yield recovery
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
