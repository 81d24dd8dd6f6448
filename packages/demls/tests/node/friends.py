"""Friends at real nodes, who found a group and vote on whatever is open until something holds."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from demls.api.models import Group, GroupState, NewGroup, PolicyChange
from demls.node.timeline import entry
from demls.protocol.errors import RequestRefused

SECONDS = 60.0
FAST = PolicyChange(batch_window_ms=0)


def lines(desk: Any, group: str) -> list[str]:
    return [entry(row).text for row in desk._node.store.timeline(group, None, 200)]


async def consent(world: Any, desks: list[Any], claim: Any) -> Any:
    """Everybody votes yes on whatever is open until ``claim`` holds."""

    async def vote(desk: Any) -> None:
        for scope in list(desk._node.scopes.values()):
            for card in scope.shown.proposals if scope.shown is not None else ():
                if card.may_vote:
                    with suppress(RequestRefused):
                        await desk.vote(scope.scope, card.id, yes=True)

    async with asyncio.timeout(SECONDS):
        while True:
            world.changed.clear()
            for desk in desks:
                await vote(desk)
            if answer := claim():
                return answer
            await world.changed.wait()


async def befriend(world: Any, founder: Any, others: list[Any], policy: PolicyChange = FAST) -> str:
    """A group of the founder and the others."""
    group = (await founder.create_group(NewGroup(name="Friends", preset="quick", policy=policy))).id
    desks = [founder]
    for other in others:
        await other.join_group((await founder.invite(group, 3_600_000)).text)
        desks.append(other)
        await consent(world, desks, lambda: all(members(desk, group) == len(desks) for desk in desks))
    return str(group)


def members(desk: Any, group: str) -> int:
    scope = desk._node.scopes.get(group)
    shown: Group | None = scope.shown if scope is not None else None
    return shown.members if shown is not None and shown.state is GroupState.MEMBER else 0
