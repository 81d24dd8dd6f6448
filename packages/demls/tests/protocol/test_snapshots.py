"""What is stored is what is known, at every step, and what is loaded is what was stored."""

from __future__ import annotations

import pytest
from demls.protocol.commit_round import Position
from demls.protocol.contacts import Inbox
from demls.protocol.effects import Effects
from demls.protocol.group import Group
from demls.protocol.joining import Joining
from demls.protocol.machines import load_machine
from demls.protocol.policy import PRESETS
from demls.protocol.records import Ledger
from demls.wire.messages import Remove
from insider import Insider
from world import Person, World

TIMES = b"round/position"


def snapshot(person: Person) -> dict[bytes, bytes]:
    machine = person.group if person.has_group else person.machine
    assert machine is not None
    return machine.snapshot()


def reload(person: Person, now: int) -> None:
    """Load what is stored; nothing may differ but the timers of an open round, which start again."""
    engine = Insiders.engine(person)
    machine, effects = load_machine(dict(person.records), engine=engine, now=now)  # type: ignore[arg-type]
    after = dict(person.records)
    for change in effects.changes:
        if change.value is None:
            after.pop(change.key)
        else:
            after[change.key] = change.value
    assert machine.snapshot() == after
    assert {key for key in after if after.get(key) != person.records.get(key)} <= {TIMES}
    assert set(after) == set(person.records)


class Insiders:
    """An engine for a second, thrown-away copy of a node: its randomness is not the node's own."""

    @staticmethod
    def engine(person: Person) -> object:
        return type(person.engine)(bytes(32))


def story(world: World) -> None:
    world.found("alice", PRESETS["quick"])
    world.admit("alice", "bob")
    world.admit("alice", "carol", "dave")
    world.do("alice", lambda group: group.send("hello", world.now))
    world.run(100)
    world.lose = lambda person, envelope: person.name == "bob"
    world.do("alice", lambda group: group.send("lost", world.now))
    world.run(100)
    world.lose = lambda person, envelope: False
    world.do("alice", lambda group: group.send("more", world.now))
    world.do("carol", lambda group: group.propose(Remove(world.person("dave").address), world.now))
    world.run(12_000)
    world.vote_on_everything("alice", "bob")
    world.run(20_000)
    world.person("carol").online = False
    world.do("bob", lambda group: group.leave(world.now))
    world.run(30_000)
    world.person("carol").online = True
    world.run(30_000)
    world.ask("erin", world.link("alice"))
    world.run(100)
    world.do("alice", lambda group: group.leave(world.now))
    world.run(60_000)
    world.do("carol", lambda group: group.leave(world.now))


def test_the_sum_of_all_changes_is_the_snapshot_at_every_step() -> None:
    world, steps = World(4), 0

    def watch(person: Person, effects: Effects) -> None:
        nonlocal steps
        steps += 1
        if person.machine is not None:
            assert person.records == snapshot(person)

    world.watch = watch
    story(world)
    assert steps > 100


def test_what_is_loaded_is_what_was_stored_at_every_step() -> None:
    world = World(4)

    def watch(person: Person, effects: Effects) -> None:
        if person.records:
            reload(person, world.now)

    world.watch = watch
    story(world)


def test_nothing_is_left_of_a_group_but_that_it_has_ended() -> None:
    world = World(4)
    story(world)
    for name in ("alice", "bob", "carol", "dave"):
        assert set(world.person(name).records) == {b"ended"}, name
        assert world.person(name).group.snapshot() == world.person(name).records


def test_only_the_keys_that_changed_are_written() -> None:
    world = World(4)
    world.group_of("alice", "bob")
    effects = world.do("alice", lambda group: group.send("hello", world.now))
    assert len(effects.changes) < 12
    assert not [change for change in effects.changes if change.key in (b"group", b"standing")]


@pytest.mark.parametrize("kind", ["group", "joining", "inbox"])
def test_the_machine_of_any_records_is_found(kind: str) -> None:
    world = World(4)
    world.group_of("alice", "bob")
    world.ask("carol", world.link("alice"))
    engine = world.person("alice").engine
    inbox, _ = Inbox.create(engine=engine, now=world.now)
    records = {
        "group": world.person("alice").records,
        "joining": world.person("carol").records,
        "inbox": inbox.snapshot(),
    }[kind]
    machine, _ = load_machine(records, engine=engine, now=world.now)
    assert isinstance(machine, {"group": Group, "joining": Joining, "inbox": Inbox}[kind])
    assert machine.snapshot() == records


def test_a_ledger_tells_each_change_once() -> None:
    ledger = Ledger({b"a": b"\x01"})
    ledger.put_bytes(b"a", b"\x01")
    assert ledger.drain() == ()
    ledger.put(b"b/1", Position())
    ledger.put_bytes(b"a", b"\x02")
    ledger.delete(b"a")
    ledger.delete(b"never there")
    assert [(change.key, change.value is None) for change in ledger.drain()] == [(b"a", True), (b"b/1", False)]
    assert ledger.drain() == ()
    assert list(ledger.under(b"b/", Position)) == [(b"1", Position())]


@pytest.mark.parametrize("prefix", [b"", b"a", b"a/", b"a/b", b"a/b/", b"a/b/2", b"b/", b"c/"])
def test_records_are_found_and_deleted_by_how_their_keys_begin(prefix: bytes) -> None:
    records = {key: key for key in (b"b/1", b"a/b/2", b"a/b/1", b"a", b"a/", b"ab/1", b"a/c")}
    ledger = Ledger(records)
    ledger.delete(b"a/c")
    ledger.put_bytes(b"a/b/0", b"a/b/0")
    kept = sorted(ledger.snapshot())
    found = [key for key in kept if key.startswith(prefix)]
    assert list(ledger.bytes_under(prefix)) == [(key[len(prefix) :], key) for key in found]
    ledger.drain()
    ledger.delete_all(prefix)
    assert sorted(ledger.snapshot()) == [key for key in kept if key not in found]
    assert [change.key for change in ledger.drain()] == found
    assert list(ledger.bytes_under(prefix)) == []


def test_secrets_of_members_are_where_a_backup_has_to_protect_them() -> None:
    """What an insider needs is in the records: they are as secret as a key."""
    world = World(4)
    world.group_of("alice", "bob")
    assert Insider(world, "alice").record.leaf_private in b"".join(world.person("alice").records.values())
