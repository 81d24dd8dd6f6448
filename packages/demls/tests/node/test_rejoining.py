"""Do real nodes come back into their groups from a restored backup file, by themselves or when they are told?"""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from demls.api.models import GroupState
from demls.node.errors import Refused
from friends import befriend, lines, members

NAMES = ("alice", "bob", "carol")


def state(desk: Any, group: str) -> GroupState | None:
    shown = desk._node.scopes[group].shown
    return shown.state if shown is not None else None


def key(desk: Any, group: str, of: Any) -> bytes:
    """The leaf key of a member, as another one has it."""
    seat = desk._node.scopes[group].machine._live().roster.seat(of._node.me.address)
    return bytes(seat.leaf_key)


async def test_a_restored_backup_comes_back_by_itself_and_goes_on(world: Any, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(world.node(name, is_real=True)) for name in NAMES[1:]]
        async with world.node("alice", is_real=True) as alice:
            group = await befriend(world, alice, others)
            await alice.send(group, "before the backup")
            await world.until(lambda: "before the backup" in lines(others[0], group))
            alice._node.store.backup(tmp_path / "copy.sqlite")
            await alice.send(group, "after the backup")
            await world.until(lambda: "after the backup" in lines(others[0], group))
            before = key(others[0], group, alice)
        (tmp_path / "copy.sqlite").replace(tmp_path / "alice" / "demls.sqlite")
        async with world.node("alice", is_real=True) as alice:
            await world.until(lambda: state(alice, group) is GroupState.MEMBER)
            assert key(others[0], group, alice) != before
            said = lines(alice, group)
            assert "before the backup" in said
            assert any("restored from a backup of " in line for line in said)
            assert any("You are back" in line for line in said)
            await alice.send(group, "here again")
            for other in others:
                await world.until(lambda it=other: "here again" in lines(it, group))
            await others[0].send(group, "welcome back")
            await world.until(lambda: "welcome back" in lines(alice, group))
            assert members(alice, group) == 3
            assert any("back with a new key" in line for line in lines(others[0], group))
        async with world.node("alice", is_real=True) as alice:  # its restart is an ordinary one
            assert state(alice, group) is GroupState.MEMBER


async def test_without_the_wallet_a_restored_group_rests_until_it_is_there(world: Any, tmp_path: Path) -> None:
    async with world.node("bob", is_real=True) as bob:
        async with world.node("alice", is_real=True) as alice:
            group = await befriend(world, alice, [bob])
            alice._node.store.backup(tmp_path / "copy.sqlite")
        (tmp_path / "copy.sqlite").replace(tmp_path / "alice" / "demls.sqlite")
        async with world.node("alice", is_real=True, has_wallet=False) as alice:
            shown = await alice.group(group)
            assert shown.can_rejoin
            assert "restored backup" in shown.rejoin
            assert {member.name for member in await alice.members(group)} == {"alice", "bob"}
            with pytest.raises(Refused, match="backup"):
                await alice.send(group, "hello")
            with pytest.raises(Refused, match="wallet"):
                await alice.rejoin(group)
        async with world.node("alice", is_real=True) as alice:
            await world.until(lambda: state(alice, group) is GroupState.MEMBER)


async def test_a_person_asks_for_a_new_seat_and_what_it_writes_meanwhile_is_sent_after(world: Any) -> None:
    async with world.node("alice", is_real=True) as alice:
        async with world.node("bob", is_real=True) as bob:
            group = await befriend(world, alice, [bob])
        done = await alice.rejoin(group)
        assert "no vote" in done.sentence
        shown = await alice.group(group)
        assert shown.state is GroupState.RETURNING
        assert shown.rejoin.startswith("You asked for a new seat in this group; it asks")
        await alice.send(group, "kept until then")
        assert "1 of your messages" in (await alice.group(group)).rejoin
        async with world.node("bob", is_real=True) as bob:
            await world.until(lambda: state(alice, group) is GroupState.MEMBER)
            await world.until(lambda: "kept until then" in lines(bob, group))
