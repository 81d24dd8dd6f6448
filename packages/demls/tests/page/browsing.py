"""Real nodes, a relay, and pages of them in a real browser; and what people do in a page."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from demls.api.models import GroupState
from demls.cli.processes import Person, make_person, node_process, node_program, relay_process, running
from demls.cli.watch import Watch, following
from demls.client import Client
from playwright.async_api import Browser, Page, async_playwright, expect

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for name in BROWSERS if (found := shutil.which(name))), None)
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
]
MILLISECONDS = 30_000
CHECKOUT = Path(__file__).resolve().parents[4]

IN_A_BROWSER = [
    pytest.mark.processes,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; `make test` says how to get it"),
]


@dataclass
class Street:
    """People whose nodes run until they are stopped. ``complaints``: what the browsers found wrong."""

    people: dict[str, Person]
    browser: Browser
    complaints: list[str] = field(default_factory=list)
    _running: dict[str, tuple[AsyncExitStack, str]] = field(default_factory=dict)

    async def start(self, name: str) -> None:
        stack = AsyncExitStack()
        self._running[name] = (stack, await stack.enter_async_context(node_process(self.people[name])))

    async def start_malicious(self, name: str, strategy: str) -> None:
        """A node whose core cheats when it leads, in the place of the honest one."""
        await self.stop(name)
        stack = AsyncExitStack()
        module = ("rogue.node", "--strategy", strategy)
        program = node_program(self.people[name], module, PYTHONPATH=str(CHECKOUT))
        self._running[name] = (stack, await stack.enter_async_context(running(program)))

    async def stop(self, name: str) -> None:
        stack, _ = self._running.pop(name)
        await stack.aclose()

    async def stop_all(self) -> None:
        for name in list(self._running):
            await self.stop(name)

    async def watch(self, name: str) -> Watch:
        """What the node's API tells, until the node is stopped."""
        stack, _ = self._running[name]
        return await stack.enter_async_context(following(name, Client.connect(self.people[name].folder)))

    async def page(self, name: str) -> Page:
        _, address = self._running[name]
        page = await (await self.browser.new_context()).new_page()
        page.set_default_timeout(MILLISECONDS)
        page.on("console", lambda line: self.complaints.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        await page.goto(address)
        await expect(page.get_by_test_id("my-contact")).to_be_visible(timeout=MILLISECONDS)
        assert "#" not in page.url, "the one-time code stays in the address"
        return page


@asynccontextmanager
async def street_of(place: Path, *names: str) -> AsyncIterator[Street]:
    """A node for each of them."""
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(relay_process(place))
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        stack.push_async_callback(browser.close)
        street = Street({name: make_person(name, place, relay) for name in names}, browser)
        stack.push_async_callback(street.stop_all)
        for name in names:
            await street.start(name)
        yield street


async def say(page: Page, text: str) -> None:
    await page.get_by_test_id("composer").fill(text)
    await page.get_by_test_id("send").click()


async def sees(page: Page, testid: str, text: str) -> None:
    await expect(page.get_by_test_id(testid).filter(has_text=text).first).to_be_visible(timeout=MILLISECONDS)


async def vote_yes(page: Page) -> None:
    await page.get_by_test_id("vote-yes").first.click()


async def invite_link(page: Page) -> str:
    await page.get_by_test_id("invite").click()
    field_ = page.get_by_test_id("invite-link")
    await expect(field_).to_have_value(re.compile("^demls:invite:"), timeout=MILLISECONDS)
    link = await field_.input_value()
    await page.keyboard.press("Escape")
    return link


async def agree(members: list[Watch], group: str) -> None:
    """Each votes yes on what it is asked."""
    for member in members:
        shown = await member.until_group(
            group, lambda one: any(p.may_vote for p in one.proposals), f"{member.name}'s card"
        )
        await member.client.vote(group, next(p.id for p in shown.proposals if p.may_vote), yes=True)


async def admit(members: list[Watch], newcomer: Watch, group: str) -> None:
    """By a link of the first, and a vote of all."""
    await newcomer.client.join((await members[0].client.invite(group)).text)
    await agree(members, group)
    await newcomer.until_group(group, lambda one: one.state is GroupState.MEMBER, f"{newcomer.name}'s admission")
