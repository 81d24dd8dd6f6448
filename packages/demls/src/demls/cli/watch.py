"""What does one person's node see? The newest state of a group and all its lines, and waiting for either."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from demls.api.models import Group, GroupNews, NodeInfo, NodeNews, Round, TimelineEntry, TimelineNews
from demls.cli.processes import DemoFailed
from demls.client import Client

WAIT_SECONDS = 120.0


class Watch:
    """Follows the events of one node. Use ``following``."""

    def __init__(self, name: str, client: Client) -> None:
        self.name = name
        self.client = client
        self.node: NodeInfo | None = None
        self.groups: dict[str, Group] = {}
        self.lines: list[TimelineEntry] = []
        self.rounds: list[tuple[str, int, Round]] = []
        """(group, epoch, commit round) whenever a round said something else than before."""
        self._news = asyncio.Condition()

    async def follow(self) -> None:
        async for news in self.client.events(after=0):
            async with self._news:
                if isinstance(news, GroupNews):
                    self._note_round(news.group)
                    self.groups[news.group.id] = news.group
                elif isinstance(news, TimelineNews):
                    self.lines.append(news.entry)
                elif isinstance(news, NodeNews):
                    self.node = news.node
                self._news.notify_all()

    def _note_round(self, shown: Group) -> None:
        seen = (shown.id, shown.epoch, shown.round)
        if shown.round.open and seen not in self.rounds[-1:]:
            self.rounds.append(seen)

    async def reconnect(self) -> None:
        """With the next request, which finds the node wherever it is then; events find it without this."""
        await self.client.__aexit__(None, None, None)

    async def until(self, claim: Callable[[], bool], what: str) -> None:
        """Wait until ``claim`` holds. Raises DemoFailed, naming ``what`` did not happen."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self.wait_for(claim)
        except TimeoutError:
            raise DemoFailed(
                f"After {WAIT_SECONDS:.0f} seconds {what} has not happened; the nodes' logs say more."
            ) from None

    async def wait_for(self, claim: Callable[[], bool]) -> None:
        """Wait until ``claim`` holds, for as long as it takes."""
        async with self._news:
            await self._news.wait_for(claim)

    async def until_group(self, group: str, claim: Callable[[Group], bool], what: str) -> Group:
        """Wait for a state of a group."""
        await self.until(lambda: group in self.groups and claim(self.groups[group]), what)
        return self.groups[group]

    async def until_line(self, group: str, claim: Callable[[TimelineEntry], bool], what: str) -> TimelineEntry:
        """Wait for a line of a group; the first that fits."""

        def fitting() -> list[TimelineEntry]:
            return [one for one in self.lines if one.group == group and claim(one)]

        await self.until(lambda: bool(fitting()), f"{what} at {self.name}’s node")
        return fitting()[0]

    def has_said(self, text: str) -> bool:
        """Is this message here?"""
        return any(one.kind == "message" and one.text == text for one in self.lines)

    async def until_said(self, text: str) -> None:
        """Wait for a message."""
        await self.until(lambda: self.has_said(text), f"the arrival of “{text}” at {self.name}’s node")


@contextlib.asynccontextmanager
async def following(name: str, client: Client) -> AsyncIterator[Watch]:
    """A watch that follows for as long as the context lasts."""
    async with client:
        watch = Watch(name, client)
        task = asyncio.create_task(watch.follow())
        try:
            yield watch
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
