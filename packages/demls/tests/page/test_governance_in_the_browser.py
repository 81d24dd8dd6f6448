"""Does the page show how a group governs itself? Elections, settings by vote, sponsors, waiting, and going on."""

from __future__ import annotations

import re
from pathlib import Path

from browsing import IN_A_BROWSER, MILLISECONDS, admit, agree, sees, street_of, vote_yes
from demls.api.models import GroupState, PolicyChange, RuleChange
from playwright.async_api import Page, expect

pytestmark = IN_A_BROWSER

SECOND = 1000


async def found(page: Page, name: str, stewards_max: int) -> None:
    await page.get_by_test_id("found-group").first.click()
    await page.get_by_test_id("found-name").fill(name)
    await page.get_by_test_id("preset-quick").check()
    await page.get_by_test_id("more-options").click()
    await page.get_by_test_id("rule-stewards").locator("summary").click()
    await page.get_by_label("At most", exact=True).fill(str(stewards_max))
    await page.get_by_test_id("confirm").click()
    await expect(page.get_by_test_id("epoch")).to_contain_text("0", timeout=MILLISECONDS)


async def test_four_members_agree_on_other_settings_and_elect_two_stewards(tmp_path: Path) -> None:
    async with street_of(tmp_path, "Alice", "Bob", "Carol", "Dana") as street:
        alice, bob = await street.page("Alice"), await street.page("Bob")
        watches = [await street.watch(name) for name in ("Alice", "Bob", "Carol", "Dana")]
        anna, ben, carol, dana = watches

        await found(alice, "Reading circle", stewards_max=2)
        await anna.until(lambda: bool(anna.groups), "the group")
        group = next(iter(anna.groups))
        policy = anna.groups[group].policy
        assert policy is not None
        assert (policy.preset, policy.stewards_max) == ("custom", 2)
        await admit([anna], ben, group)
        await admit([anna, ben], carol, group)

        # An open link: nobody is asked until somebody answers for whoever came with it.
        await alice.get_by_test_id("invite").click()
        await alice.get_by_test_id("invite-open").check()
        link = alice.get_by_test_id("invite-link")
        await expect(alice.get_by_label("Open invite link")).to_have_value(re.compile("^demls:invite:"))
        await dana.client.join(await link.input_value())
        await alice.keyboard.press("Escape")
        request = alice.get_by_test_id("request")
        await expect(request.get_by_test_id("request-sentence")).to_contain_text(
            "open to anybody", timeout=MILLISECONDS
        )
        await expect(alice.get_by_test_id("requests-needed")).to_have_text("1 request")
        await request.get_by_role("button", name="Answer for Dana").click()
        await bob.get_by_test_id("group-item").click()
        await sees(bob, "proposal-card", "Admit Dana")
        await expect(request).to_have_count(0)
        await vote_yes(bob)
        await dana.until_group(group, lambda one: one.state is GroupState.MEMBER, "Dana's admission")

        # Other settings, from the form to the commit.
        await alice.get_by_test_id("settings").click()
        await alice.get_by_test_id("settings-name").fill("Writing circle")
        await alice.get_by_test_id("rule-stewards").locator("summary").click()
        await alice.get_by_label("At least", exact=True).fill("3")
        await expect(alice.get_by_test_id("will-change")).to_contain_text("2 changes that you propose")
        await alice.get_by_test_id("confirm").click()
        await expect(alice.get_by_test_id("problem")).to_contain_text("the least not above the most")
        await alice.get_by_label("At least", exact=True).fill("2")
        await alice.get_by_test_id("confirm").click()
        await expect(alice.get_by_test_id("dialog")).to_have_count(0)
        card = bob.locator("[data-testid=proposal-card][data-place=glance]").filter(has_text="Writing circle")
        await expect(card.get_by_test_id("differences")).to_contain_text("Fewest stewards")
        await expect(card.get_by_test_id("proposal-rule")).to_contain_text("Passes with 3 of 4 votes")
        await vote_yes(bob)
        await agree([carol], group)
        for page in (alice, bob):
            await expect(page.get_by_role("heading", name="Writing circle")).to_be_visible(timeout=2 * MILLISECONDS)
            await sees(page, "notice", "The settings have changed")
        done = bob.locator("[data-testid=proposal-card][data-status=committed]").filter(has_text="Writing circle")
        await expect(done.get_by_test_id("proposal-result").first).to_contain_text("commit of epoch")

        # The first list is used up, and there are more members than stewards: the nodes elect, nobody is asked.
        election = alice.locator("[data-testid=quiet-proposal][data-kind=election][data-status=committed]")
        await expect(election.first).to_be_visible(timeout=2 * MILLISECONDS)
        await election.first.locator("summary").click()
        await expect(election.first.get_by_role("listitem")).to_have_count(2)
        await expect(election.first.get_by_test_id("my-vote")).to_contain_text("Your node")
        await expect(alice.get_by_test_id("vote-yes")).to_have_count(0)
        await expect(alice.get_by_test_id("steward")).to_have_count(2)
        await expect(alice.get_by_test_id("steward").first).to_have_attribute("data-role", "epoch steward")
        await expect(alice.get_by_test_id("stewards-sentence")).to_contain_text("until epoch")

        assert [line for line in street.complaints if "409" not in line] == []


async def test_a_group_that_waits_says_for_whom_and_goes_on_elsewhere(tmp_path: Path) -> None:
    async with street_of(tmp_path, "Alice", "Bob", "Carol") as street:
        alice = await street.page("Alice")
        anna, ben, carol = [await street.watch(name) for name in ("Alice", "Bob", "Carol")]
        brief = RuleChange(duration_ms=5 * SECOND, silence_is_yes=True)
        made = await anna.client.create_group("Weavers", preset="quick", policy=PolicyChange(remove=brief))
        await admit([anna], ben, made.id)
        await admit([anna, ben], carol, made.id)
        await alice.get_by_test_id("group-item").click()
        await expect(alice.get_by_test_id("members-count")).to_contain_text("3", timeout=MILLISECONDS)

        await street.stop("Bob")
        await street.stop("Carol")
        await alice.get_by_test_id("remove-member").last.click()
        await alice.get_by_test_id("confirm").click()
        sync = alice.get_by_test_id("sync")
        await expect(sync).to_contain_text(re.compile("waiting for 1 of: (Bob, Carol|Carol, Bob)"), timeout=60_000)
        await expect(sync).to_have_attribute("data-state", "waiting")

        await alice.get_by_test_id("go-on").click()
        await expect(alice.get_by_test_id("confirm")).to_be_disabled()
        await alice.get_by_role("checkbox", name="Bob").check()
        await alice.get_by_test_id("successor-name").fill("Weavers, again")
        await alice.get_by_test_id("confirm").click()
        await expect(alice.get_by_role("heading", name="Weavers, again")).to_be_visible(timeout=MILLISECONDS)

        await street.start("Bob")
        bob = await street.page("Bob")
        await bob.get_by_test_id("group-item").first.click()
        offer = bob.get_by_test_id("successor-offer")
        await expect(offer).to_contain_text("Alice founded “Weavers, again”", timeout=MILLISECONDS)
        await offer.get_by_test_id("join-successor").click()
        await expect(bob.get_by_role("heading", name="Weavers, again")).to_be_visible(timeout=MILLISECONDS)
        await expect(bob.get_by_test_id("members-count")).to_contain_text("2", timeout=2 * MILLISECONDS)
        assert street.complaints == []
