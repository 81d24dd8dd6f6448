"""In large groups a chat message writes little; no key is used twice, whenever a node is killed."""

from __future__ import annotations

import pytest
from demls.protocol import policy as bounds
from demls.protocol.effects import Effects
from demls.protocol.group import Group
from demls_engine import Engine
from world import Person, World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A group of three that counts as large."""
    monkeypatch.setattr(bounds, "SECRETS_WRITTEN_AT_ONCE", 2)
    monkeypatch.setattr(bounds, "SENT_UNWRITTEN_MAX", 5)
    monkeypatch.setattr(bounds, "HEARD_UNWRITTEN_MAX", 7)
    world = World(3)
    world.group_of("alice", "bob", "carol")
    world.run(20_000)
    return world


def secrets(effects: Effects) -> int:
    """How many bytes of MLS are written."""
    return sum(len(change.value or b"") for change in effects.changes if change.key.startswith(b"mls/"))


def say(world: World, text: str, name: str = "alice") -> Effects:
    effects = world.do(name, lambda group: group.send(text, world.now))
    world.deliver()
    return effects


def test_secrets_are_written_now_and_then(world: World) -> None:
    written = {"alice": 0, "bob": 0, "carol": 0}

    def watch(person: Person, effects: Effects) -> None:
        written[person.name] += secrets(effects) > 0

    world.watch = watch
    small = [secrets(say(world, str(number))) for number in range(10)]
    assert [place for place, size in enumerate(small) if size] == [4, 9]
    assert written == {"alice": 2, "bob": 1, "carol": 1}


def test_a_small_group_writes_them_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "SECRETS_WRITTEN_AT_ONCE", 3)
    assert secrets(say(world, "hello")) > 0


@pytest.mark.parametrize("sent", [1, 3, 4, 5, 6])
def test_after_a_crash_no_key_is_used_twice(world: World, sent: int) -> None:
    """The generation of a key stands in no clear part; two messages of one generation are told apart by being read."""
    for number in range(sent):
        say(world, f"before {number}")
    world.restart("alice")
    say(world, "after")
    assert world.person("bob").heard() == [f"before {number}" for number in range(sent)] + ["after"]
    assert world.person("carol").heard() == world.person("bob").heard()


def test_who_heard_before_a_crash_hears_on(world: World) -> None:
    for number in range(4):
        say(world, f"before {number}")
    world.restart("bob")
    say(world, "after")
    assert world.person("bob").heard()[-1] == "after"
    assert len(world.person("bob").heard()) == 5


def test_a_commit_writes_them(world: World) -> None:
    say(world, "hello")
    assert world.person("alice").records.get(b"unwritten") is not None
    world.do("bob", lambda group: group.refresh_keys(world.now))
    world.run(20_000)
    assert b"unwritten" not in world.person("alice").records


def test_a_snapshot_burns_nothing(world: World) -> None:
    say(world, "hello")
    snapshot = world.person("alice").group.snapshot()
    again, _ = Group.load(snapshot, engine=Engine(bytes(32)), now=world.now)
    assert again.snapshot() == snapshot
