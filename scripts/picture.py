"""Make the picture of the README: real nodes over a real relay, a group with a proposal under vote, a real browser."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from demls.api.models import GroupState
from demls.cli.processes import make_person, node_process, relay_process
from demls.cli.watch import Watch, following
from demls.client import Client
from playwright.async_api import async_playwright

TARGET = Path(__file__).resolve().parent.parent / "docs/page.png"
LINES = (
    ("Ana", "The library moved our room: we meet on the second floor from now on."),
    ("Ben", "Good. Then we start with RFC 9420, chapter four?"),
    ("Ana", "Yes. Who votes on Dora? She has read more than all of us."),
)


async def admit(members: list[Watch], newcomer: Watch, group: str) -> None:
    await newcomer.client.join((await members[0].client.invite(group)).text)
    for member in members:
        shown = await member.until_group(
            group, lambda one: any(p.may_vote for p in one.proposals), f"{member.name}’s card"
        )
        await member.client.vote(group, next(p.id for p in shown.proposals if p.may_vote), yes=True)
    await newcomer.until_group(group, lambda one: one.state is GroupState.MEMBER, f"{newcomer.name}’s admission")


async def main() -> None:
    async with AsyncExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        relay = await stack.enter_async_context(relay_process(place))
        people = [make_person(name, place, relay) for name in ("Ana", "Ben", "Cem", "Dora")]
        pages = [await stack.enter_async_context(node_process(person)) for person in people]
        watches = [
            await stack.enter_async_context(following(person.name, Client.connect(person.folder))) for person in people
        ]
        ana, ben, cem, dora = watches
        by_name = {watch.name: watch for watch in watches}
        about = "Standards, slowly"
        group = (await ana.client.create_group("Reading circle", description=about, preset="quick")).id
        await admit([ana], ben, group)
        await admit([ana, ben], cem, group)
        for name, text in LINES:
            await by_name[name].client.send(group, text)
            await ana.until_said(text)
        await dora.client.join((await ben.client.invite(group)).text)
        shown = await cem.until_group(group, lambda one: any(p.may_vote for p in one.proposals), "Dora’s card")
        await cem.client.vote(group, next(p.id for p in shown.proposals if p.may_vote), yes=True)
        await ana.until_group(group, lambda one: any(p.may_vote and p.yes for p in one.proposals), "Cem’s vote")
        await stack.enter_async_context(asyncio.timeout(60))
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(pages[0])
        await page.get_by_test_id("group-item").click()
        await page.get_by_test_id("vote-yes").first.wait_for()
        await page.get_by_text("second floor").first.wait_for()
        await page.screenshot(path=TARGET)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
