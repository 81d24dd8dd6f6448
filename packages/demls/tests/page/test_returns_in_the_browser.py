"""Does the page say what was missed, how old keys are, and how a node comes back into its group?"""

from __future__ import annotations

import re
import time
from pathlib import Path

from browsing import IN_A_BROWSER, MILLISECONDS, Street, admit, say, sees, street_of
from demls.api.models import GroupState
from demls.cli.processes import Person
from demls.cli.proof import copy_state
from demls.node.timeline import Context, rows
from demls.protocol.events import MessagesMissing
from demls.protocol.gaps import Gap, Heard
from demls.protocol.policy import MINUTE
from demls.protocol.records import Ledger
from demls.storage.store import Batch, Store
from demls.wire.ids import Address, Instant, address_text
from playwright.async_api import Page, expect

pytestmark = IN_A_BROWSER


async def weavers(street: Street) -> str:
    """A group of Alice and Bob."""
    alice, bob = await street.watch("Alice"), await street.watch("Bob")
    made = await alice.client.create_group("Weavers", preset="quick")
    await admit([alice], bob, made.id)
    return made.id


async def opened(street: Street, name: str) -> Page:
    page = await street.page(name)
    await page.get_by_test_id("group-item").first.click()
    return page


async def test_a_restored_backup_says_why_it_rests_and_comes_back(tmp_path: Path) -> None:
    async with street_of(tmp_path, "Alice", "Bob") as street:
        await weavers(street)
        bob, file = street.people["Bob"], street.people["Bob"].folder / "demls.sqlite"
        copy_state(bob, tmp_path / "copy.sqlite")
        alice = await opened(street, "Alice")
        await say(alice, "after the backup")
        await sees(alice, "message", "after the backup")
        await street.stop("Bob")
        (tmp_path / "copy.sqlite").replace(file)

        # Without the wallet nothing can be asked for, and the page says so.
        wallet = bob.folder / "keystore" / "wallet.json"
        wallet.rename(tmp_path / "wallet.json")
        with (bob.folder / "config.toml").open("a") as config:
            config.write(f'address = "{address_text(bob.wallet.address)}"\n')
        await street.start("Bob")
        page = await opened(street, "Bob")
        rejoin = page.get_by_test_id("rejoin")
        await expect(rejoin).to_contain_text("This group comes from a restored backup.")
        await page.get_by_role("button", name="Ask for a new seat").click()
        await expect(page.get_by_test_id("toast")).to_contain_text("The wallet is needed to ask for a new seat")
        await expect(rejoin).to_be_visible()
        await street.stop("Bob")

        # With it the node asks by itself. While nobody is there to answer, what is written is kept.
        (tmp_path / "wallet.json").rename(wallet)
        await street.stop("Alice")
        await street.start("Bob")
        page = await opened(street, "Bob")
        rejoin = page.get_by_test_id("rejoin")
        await expect(rejoin).to_contain_text(
            re.compile("This node was restored from a backup of .*; it asks the group")
        )
        await expect(page.get_by_test_id("rejoin-group")).to_have_count(0)
        await expect(page.get_by_test_id("group-item")).to_contain_text("Coming back")
        await sees(page, "notice", "This node was restored from a backup")
        await say(page, "kept until then")
        await expect(rejoin).to_contain_text("1 of your messages goes out then.", timeout=MILLISECONDS)

        await street.start("Alice")
        await sees(page, "notice", "You are back (epoch")
        await expect(rejoin).to_have_count(0)
        alice = await opened(street, "Alice")
        await sees(alice, "message", "kept until then")
        await sees(alice, "notice", "Bob is back with a new key")
        expected = ("409", "ERR_CONNECTION_REFUSED")  # the refusal, and pages of nodes that were stopped
        assert [line for line in street.complaints if not any(one in line for one in expected)] == []


def lose_the_second(bob: Person, alice: bytes, group: str) -> None:
    """As if Bob's node had never heard the second of Alice's messages, and had missed more that is lost."""
    now = Instant(int(time.time() * 1000))
    with Store.open(bob.folder / "demls.sqlite", bob.storage_key) as store:
        ledger = Ledger(store.records(group))
        (key,) = (b"chat/of/" + alice + stream for stream, _ in ledger.bytes_under(b"chat/of/" + alice))
        heard = ledger.get(key, Heard)
        assert heard.highest == 3
        heard.gaps.append(Gap(2, 2, now - MINUTE, now, now, now, was_away=True))
        ledger.put(key, heard)
        ledger.delete_all(b"copy/" + alice)
        lost = MessagesMissing(Address(alice), 4, 17, Instant(now - MINUTE), Instant(now), was_away=True)
        context = Context(Address(bytes(20)), lambda _: "Alice", {})
        told = rows(group, [lost], context, now)
        store.forget_timeline(group)
        store.commit(Batch(group, ledger.drain(), timeline=told))


async def test_gaps_are_named_while_they_are_fetched_and_when_they_are_lost(tmp_path: Path) -> None:
    async with street_of(tmp_path, "Alice", "Bob") as street:
        group = await weavers(street)
        alice, bob = await street.watch("Alice"), await street.watch("Bob")
        for text in ("one", "two", "three"):
            await alice.client.send(group, text)
        await bob.until(lambda: bob.has_said("three"), "the third message")
        await street.stop("Alice")
        await street.stop("Bob")
        lose_the_second(street.people["Bob"], street.people["Alice"].wallet.address, group)

        await street.start("Bob")
        page = await opened(street, "Bob")
        lost = (
            r"^\s*You were away; 14 messages of Alice could not be recovered, from \d\d:\d\d:\d\d to \d\d:\d\d:\d\d\."
        )
        await sees(page, "warning", "You were away; 14 messages")
        await expect(page.get_by_test_id("warning").first).to_have_text(re.compile(lost))
        await expect(page.get_by_test_id("fetching")).to_have_text("A message is being fetched.", timeout=MILLISECONDS)

        await street.start("Alice")
        await sees(page, "message", "two")
        message = page.get_by_test_id("message").filter(has_text="two")
        await expect(message).to_contain_text("came late")
        await expect(page.get_by_test_id("fetching")).to_have_count(0, timeout=MILLISECONDS)
        assert street.complaints == []


async def test_the_age_of_keys_stands_with_the_members_and_is_renewed_by_a_button(tmp_path: Path) -> None:
    async with street_of(tmp_path, "Alice", "Bob") as street:
        group = await weavers(street)
        page, other = await opened(street, "Bob"), await opened(street, "Alice")
        await expect(page.get_by_test_id("own-keys")).to_have_text(
            re.compile(r"^Your keys in this group were renewed (just now|\d+ minutes? ago)\.$"), timeout=MILLISECONDS
        )
        keys = page.get_by_test_id("keys")
        await expect(keys).to_have_count(1)
        await expect(keys).to_have_text(re.compile(r"^Keys renewed (just now|\d+ minutes? ago)\.$"))

        bob = await street.watch("Bob")
        begun = (await bob.until_group(group, lambda one: one.members == 2, "the group")).epoch
        await page.get_by_role("button", name="Renew now").click()
        await bob.until_group(group, lambda one: one.epoch > begun, "the commit with the new keys")
        await sees(page, "notice", "Your keys in this group were renewed (epoch")
        await expect(page.get_by_test_id("own-keys")).to_contain_text("just now")
        await expect(other.get_by_test_id("keys")).to_have_text("Keys renewed just now.")
        assert bob.groups[group].state is GroupState.MEMBER
        assert street.complaints == []
