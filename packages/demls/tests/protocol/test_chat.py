"""Messages arrive once, in nobody else's name, and what is missing is named."""

from __future__ import annotations

import pytest
from demls.protocol import policy
from demls.protocol.events import MessageReceived, MessagesMissing, Rejected
from demls.protocol.gaps import Gap, Heard
from demls.protocol.policy import MESSAGE_BYTES_MAX, MINUTE
from demls.wire.ids import Instant
from demls.wire.messages import PrivateMessage, Remove
from insider import Insider
from world import Person, World


@pytest.fixture
def world() -> World:
    world = World(6)
    world.group_of("alice", "bob", "carol")
    return world


def say(world: World, name: str, *texts: str) -> None:
    for text in texts:
        world.do(name, lambda group, it=text: group.send(it, world.now))  # type: ignore[misc]
    world.deliver()


def gaps(person: Person) -> list[tuple[int, int]]:
    return [(event.first, event.last) for event in person.events if isinstance(event, MessagesMissing)]


def lose_from(world: World, sender: str) -> None:
    world.lose = lambda person, envelope: person.name == "bob" and envelope.sender == sender


def lose_nothing(world: World) -> None:
    world.lose = lambda person, envelope: False


def test_what_is_said_is_told_with_sender_counter_and_time(world: World) -> None:
    say(world, "alice", "one", "two")
    told = [event for event in world.person("bob").events if isinstance(event, MessageReceived)]
    own = [event for event in world.person("alice").events if isinstance(event, MessageReceived)]
    assert [(event.text, event.counter, event.at) for event in told] == [("one", 1, world.now), ("two", 2, world.now)]
    assert {event.sender for event in told} == {world.person("alice").address}
    assert [event.message_id for event in own] == [event.message_id for event in told]


@pytest.mark.parametrize(
    "text", ["x" * MESSAGE_BYTES_MAX, "é" * (MESSAGE_BYTES_MAX // 2), "🙂", "\u202ereversed", "\x00"]
)
def test_any_text_within_the_bound_arrives_as_it_is(text: str, world: World) -> None:
    say(world, "alice", text)
    assert world.person("bob").heard() == [text]


def forget(world: World) -> None:
    """Nobody can say again what was said."""
    for person in world.members():
        world.do(person.name, lambda group: group.forget_messages(Instant(world.now + 1), world.now))


def fetching(world: World, name: str) -> int:
    return world.person(name).group.view(world.now).fetching


ASKING = 20 * MINUTE
"""So long at most is asked for what nobody has."""


def test_what_nobody_has_is_told_only_after_asking_and_as_ranges(world: World) -> None:
    say(world, "alice", "1")
    lose_from(world, "alice")
    say(world, "alice", "2", "3", "4")
    lose_nothing(world)
    say(world, "alice", "5")
    lose_from(world, "alice")
    say(world, "alice", "6")
    lose_nothing(world)
    said_at = world.now
    say(world, "alice", "7")
    forget(world)
    bob = world.person("bob")
    assert fetching(world, "bob") == 4
    world.run(10_000)
    assert gaps(bob) == []
    world.run(ASKING)
    assert sorted(gaps(bob)) == [(2, 4), (6, 6)]
    told = [event for event in bob.events if isinstance(event, MessagesMissing)]
    assert {(event.after, event.before, event.was_away) for event in told} == {(said_at, said_at, False)}
    assert fetching(world, "bob") == 0
    world.run(ASKING)
    assert sorted(gaps(bob)) == [(2, 4), (6, 6)]
    assert gaps(world.person("carol")) == []


def test_a_gap_that_closes_by_itself_is_not_asked_for(world: World) -> None:
    say(world, "alice", "1")
    world.hold = lambda person, envelope: person.name == "bob"
    say(world, "alice", "2")
    world.hold = lambda person, envelope: False
    say(world, "alice", "3")
    world.run(1_500)
    world.release()
    published = world.published
    world.run(10_000)
    assert world.published == published
    assert gaps(world.person("bob")) == []
    assert world.person("bob").heard() == ["1", "3", "2"]


def test_a_message_that_comes_after_its_gap_was_told_is_read_late(world: World) -> None:
    say(world, "alice", "1")
    world.hold = lambda person, envelope: person.name == "bob"
    say(world, "alice", "2")
    world.hold = lambda person, envelope: False
    say(world, "alice", "3")
    forget(world)
    world.run(ASKING)
    assert gaps(world.person("bob")) == [(2, 2)]
    world.release()
    assert world.person("bob").heard() == ["1", "3", "2"]
    told = [event for event in world.person("bob").events if isinstance(event, MessageReceived)]
    assert [event.is_late for event in told] == [False, False, True]


def test_a_gap_is_remembered_over_a_restart(world: World) -> None:
    say(world, "alice", "1")
    lose_from(world, "alice")
    say(world, "alice", "2")
    lose_nothing(world)
    say(world, "alice", "3")
    forget(world)
    world.restart("bob")
    world.run(ASKING)
    assert gaps(world.person("bob")) == [(2, 2)]
    world.restart("bob")
    world.run(ASKING)
    assert gaps(world.person("bob")) == [(2, 2)]


def test_counters_go_on_after_a_restart_of_the_sender(world: World) -> None:
    say(world, "alice", "1")
    world.restart("alice")
    say(world, "alice", "2")
    counters = [event.counter for event in world.person("bob").events if isinstance(event, MessageReceived)]
    assert counters == [1, 2]


def test_a_joiner_does_not_miss_what_was_said_before_it_came(world: World) -> None:
    say(world, "alice", "1", "2")
    world.admit("alice", "dave")
    say(world, "alice", "3")
    world.run(60_000)
    assert world.person("dave").heard() == ["3"]
    assert gaps(world.person("dave")) == []


def test_what_came_after_a_message_for_me_is_for_me_too() -> None:
    """Of a gap that may lie before a member's time, a message of its time proves the rest."""
    heard = Heard(b"", 4, gaps=[Gap(1, 3, 0, 0, 0, 0, is_claimed=True)])
    assert heard.take(1, 0, is_mine=True)
    [rest] = heard.gaps
    assert (rest.first, rest.last, rest.is_claimed) == (2, 3, False)
    heard = Heard(b"", 4, gaps=[Gap(1, 3, 0, 0, 0, 0, is_claimed=True)])
    assert heard.take(2, 0, is_mine=False)
    assert [gap.is_claimed for gap in heard.gaps] == [True, True]


def test_a_wide_gap_is_remembered_up_to_a_bound(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "MISSING_OF_DEVICE_MAX", 20)
    say(world, "alice", "first")
    lose_from(world, "alice")
    say(world, "alice", *["lost"] * 30)
    lose_nothing(world)
    say(world, "alice", "last")
    bob = world.person("bob")
    assert gaps(bob) == [(2, 11)]  # told at once
    assert fetching(world, "bob") == 20
    world.run(60_000)
    assert bob.heard() == ["first", "last", *["lost"] * 20]
    assert gaps(bob) == [(2, 11)]


def test_messages_of_the_epoch_before_are_read_and_in_the_right_name(world: World) -> None:
    world.hold = lambda person, envelope: person.name == "bob" and envelope.sender == "carol"
    say(world, "carol", "from before")
    world.hold = lambda person, envelope: False
    world.do("carol", lambda group: group.leave(world.now))
    world.run(20_000)
    world.release()
    told = [event for event in world.person("bob").events if isinstance(event, MessageReceived)]
    assert [(event.text, event.sender) for event in told] == [("from before", world.person("carol").address)]


def test_who_comes_back_is_heard_from_its_first_message_on(world: World) -> None:
    """Also by who heard something of its former time after it had gone."""
    say(world, "carol", "1", "2", "3")
    world.hold = lambda person, envelope: person.name == "bob" and envelope.sender == "carol"
    say(world, "carol", "late")
    world.hold = lambda person, envelope: False
    world.do("alice", lambda group: group.propose(Remove(world.person("carol").address), world.now))
    world.vote_on_everything("bob")
    world.run(20_000)
    world.release()
    world.admit("alice", "carol")
    say(world, "carol", "new 1", "new 2", "new 3", "new 4", "new 5")
    world.run(60_000)
    assert world.person("bob").heard() == ["1", "2", "3", "late", "new 1", "new 2", "new 3", "new 4", "new 5"]
    assert gaps(world.person("bob")) == []


def test_the_same_message_is_told_once(world: World) -> None:
    say(world, "alice", "once")
    mallory = Insider(world, "carol")
    again = [payload for payload in mallory.overheard() if isinstance(payload, PrivateMessage)]
    for payload in again * 3:
        mallory.say(payload)
    world.deliver()
    assert world.person("bob").heard() == ["once"]


def test_what_is_encrypted_but_no_message_is_refused(world: World) -> None:
    state = world.person("carol").group
    insider = Insider(world, "carol")
    mls = {key[4:]: value for key, value in state.snapshot().items() if key.startswith(b"mls/")}
    group = insider.person.engine.load_group(mls)
    for plaintext in (b"", b"hello", b"\xff" * 50):
        insider.say(PrivateMessage(group.encrypt(plaintext)))
    world.deliver()
    bob = world.person("bob")
    assert bob.heard() == []
    assert [event for event in bob.events if isinstance(event, Rejected)][-1].detail == (
        "a chat message that cannot be read"
    )
    say(world, "alice", "still works")
    assert bob.heard() == ["still works"]
