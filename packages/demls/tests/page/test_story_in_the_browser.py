"""Does the page carry the demo's story? Two people in real browsers, one vote, one ban, over real nodes and a relay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browsing import IN_A_BROWSER, MILLISECONDS, invite_link, say, sees, street_of, vote_yes
from demls.api.models import GroupState
from demls.cli.watch import Watch
from playwright.async_api import Page, expect

pytestmark = IN_A_BROWSER


@dataclass
class Town:
    """Alice's and Bob's pages, and Carol, who uses the API. ``complaints``: what the browsers found wrong."""

    alice: Page
    bob: Page
    carol: Watch
    complaints: list[str]


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with street_of(tmp_path, "Alice", "Bob", "Carol") as street:
        pages = [await street.page(name) for name in ("Alice", "Bob")]
        for page in pages:
            await expect(page.get_by_test_id("welcome")).to_be_visible(timeout=MILLISECONDS)
        yield Town(pages[0], pages[1], await street.watch("Carol"), street.complaints)


@pytest.mark.parametrize("prefix", ["0x", ""])
async def test_two_people_found_a_group_talk_vote_and_ban(town: Town, prefix: str) -> None:
    alice, bob, carol = town.alice, town.bob, town.carol

    await alice.get_by_test_id("found-group").first.click()
    await alice.get_by_test_id("found-name").fill("Reading circle")
    await alice.get_by_test_id("preset-quick").check()
    await alice.get_by_test_id("confirm").click()
    await expect(alice.get_by_test_id("epoch")).to_contain_text("0", timeout=MILLISECONDS)

    link = await invite_link(alice)
    await bob.get_by_test_id("join-group").first.click()
    await bob.get_by_test_id("join-invite").fill(link)
    await bob.get_by_test_id("confirm").click()
    await sees(alice, "proposal-card", "Admit Bob")
    await vote_yes(alice)
    await expect(bob.get_by_test_id("epoch")).to_contain_text("1", timeout=MILLISECONDS)

    await say(alice, "Welcome, Bob!")
    await sees(bob, "message", "Welcome, Bob!")
    await say(bob, "Good to be here.")
    await sees(alice, "message", "Good to be here.")

    second = await invite_link(alice)
    await carol.client.join(second)
    for page in (alice, bob):
        await sees(page, "proposal-card", "Admit Carol")
        await vote_yes(page)
    group = next(iter(carol.groups))
    await carol.until_group(group, lambda one: one.state is GroupState.MEMBER, "Carol's admission")
    await carol.client.send(group, "Buy my coins")
    await sees(bob, "message", "Buy my coins")

    address = (await carol.client.node()).me.address.removeprefix("0x")
    await say(bob, f"/ban {prefix}{address}")
    await sees(alice, "proposal-card", "Remove Carol")
    await vote_yes(alice)
    await carol.until_group(group, lambda one: one.state is GroupState.REMOVED, "Carol's removal")
    for page in (alice, bob):
        await expect(page.get_by_test_id("epoch")).to_contain_text("3", timeout=MILLISECONDS)
        await expect(page.get_by_test_id("members-count")).to_contain_text("2", timeout=MILLISECONDS)
        await sees(page, "proposal-card", "Remove Carol")
    await say(alice, "Peace again.")
    await sees(bob, "message", "Peace again.")
    authenticators = [await page.get_by_test_id("authenticator").inner_text() for page in (alice, bob)]
    assert authenticators[0] == authenticators[1]
    assert not [line for line in carol.lines if line.text == "Peace again."]
    assert town.complaints == []


async def test_a_wrong_command_and_a_wrong_link_are_told_in_words(town: Town) -> None:
    page = town.alice
    await page.get_by_test_id("join-group").first.click()
    await page.get_by_test_id("join-invite").fill("demls:invite:nothing")
    await page.get_by_test_id("confirm").click()
    await expect(page.get_by_text("damaged or incomplete").first).to_be_visible(timeout=MILLISECONDS)
    await page.keyboard.press("Escape")
    await page.get_by_test_id("found-group").first.click()
    await page.get_by_test_id("found-name").fill("Alone")
    await page.get_by_test_id("confirm").click()
    await expect(page.get_by_test_id("composer")).to_be_visible(timeout=MILLISECONDS)
    await say(page, "/ban 0x1234")
    await expect(page.get_by_text("40 hexadecimal digits").first).to_be_visible(timeout=MILLISECONDS)
    await expect(page.get_by_test_id("composer")).to_have_value("/ban 0x1234")
