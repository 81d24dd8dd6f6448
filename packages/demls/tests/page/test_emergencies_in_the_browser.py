"""Does the page show why somebody has a score, let people accuse, and say what waits while they decide?"""

from __future__ import annotations

import re
from pathlib import Path

from browsing import IN_A_BROWSER, MILLISECONDS, admit, agree, sees, street_of, vote_yes
from demls.api.models import PolicyChange, RuleChange, ScoringChange
from playwright.async_api import expect

pytestmark = IN_A_BROWSER

MINUTE = 60_000
CALM = RuleChange(duration_ms=10 * MINUTE, silence_is_yes=False)


async def test_a_cheating_leader_is_accused_while_other_proposals_wait(tmp_path: Path) -> None:
    async with street_of(tmp_path, "Alice", "Bob", "Carol", "Mallory") as street:
        await street.start_malicious("Mallory", "garbage")
        alice, bob = await street.page("Alice"), await street.page("Bob")
        anna, ben, carol, mallory = [await street.watch(name) for name in ("Alice", "Bob", "Carol", "Mallory")]
        policy = PolicyChange(
            batch_window_ms=0,
            settings=CALM,
            emergency=CALM,
            scoring=ScoringChange(broken_commit=40),
        )
        group = (await mallory.client.create_group("Workshop", preset="quick", policy=policy)).id
        for newcomer, members in ((anna, [mallory]), (ben, [mallory, anna]), (carol, [mallory, anna])):
            await admit(members, newcomer, group)
        await anna.until_group(group, lambda one: one.members == 4, "the group of four")
        for page in (alice, bob):
            await page.get_by_test_id("group-item").click()

        # Mallory leads, and offers a heap of bytes; the next leader makes the commit.
        await anna.client.propose_settings(group, description="Ours")
        await agree([ben, carol], group)
        await sees(alice, "warning", "Mallory offered a commit that breaks check V01")
        await anna.until_group(group, lambda one: one.description == "Ours", "the commit of the next leader")

        # Why has Mallory this score?
        mine = alice.get_by_role("button", name=re.compile(r"^Alice: \d+ points"))
        await mine.click()
        await expect(alice.get_by_test_id("score-course")).to_be_visible()
        await expect(alice.get_by_test_id("accuse")).to_have_count(0)
        await alice.keyboard.press("Escape")
        await alice.get_by_role("button", name=re.compile(r"^Mallory: \d+ points")).click()
        await expect(alice.get_by_test_id("score-moves")).to_contain_text("offered a broken commit")
        await expect(alice.get_by_test_id("score-moves")).to_contain_text("−40")
        await expect(alice.get_by_test_id("proven")).to_contain_text("is no commit at all")
        await expect(alice.get_by_test_id("accusation-sentence")).to_contain_text("not enough for a removal at once")

        # Alice accuses; what is proposed meanwhile waits.
        await alice.get_by_test_id("accuse").click()
        await expect(alice.get_by_test_id("dialog")).to_have_count(0)
        for page in (alice, bob):
            await expect(page.get_by_test_id("freeze-banner")).to_contain_text("Mallory has offered a broken commit")
        await expect(bob.get_by_test_id("frozen-badge")).to_be_visible()
        card = bob.locator("[data-testid=proposal-card][data-place=glance]").filter(has_text="Note that Mallory")
        await expect(card.get_by_test_id("emergency-proof")).to_contain_text(
            "Mallory signed a commit that is no commit"
        )
        await expect(card.get_by_test_id("emergency-case")).to_contain_text("Alice loses 50 points")
        await expect(card.get_by_test_id("emergency-nodes")).to_contain_text("Yours has confirmed them")
        await expect(card.get_by_test_id("proposal-countdown")).to_contain_text("your node says yes in")
        await bob.get_by_test_id("settings").click()
        await bob.get_by_test_id("rule-scoring").locator("summary").click()
        await bob.get_by_label("A broken commit costs").fill("90")
        await bob.get_by_test_id("rule-emergency").locator("summary").click()
        await bob.locator("#emergency-time").fill("2")
        await expect(bob.get_by_test_id("will-change")).to_contain_text("2 changes that you propose")
        await bob.get_by_test_id("confirm").click()
        await expect(bob.get_by_test_id("dialog")).to_have_count(0)
        held = bob.get_by_test_id("held-proposal")
        await expect(held).to_have_attribute("data-mine", "true", timeout=MILLISECONDS)
        await expect(held).to_contain_text("is opened then by itself")

        # Decided: noted, nothing waits any more, and Bob's proposal is opened by itself.
        await card.scroll_into_view_if_needed()
        await vote_yes(bob)
        await agree([carol], group)
        for page in (alice, bob):
            await expect(page.get_by_test_id("freeze-banner")).to_have_count(0, timeout=MILLISECONDS)
        noted = bob.locator("[data-testid=proposal-card][data-status=noted]")
        await expect(noted.first.get_by_test_id("proposal-result")).to_contain_text("stays a member")
        await expect(held).to_have_count(0)
        opened = alice.locator("[data-testid=proposal-card][data-place=glance]").filter(has_text="Change the settings")
        await expect(opened.get_by_test_id("differences")).to_contain_text("Scores, broken commit")
        await expect(opened.get_by_test_id("differences")).to_contain_text("Emergencies, time to vote")
        assert street.complaints == []
