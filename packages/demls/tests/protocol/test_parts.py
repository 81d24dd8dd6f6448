"""A welcome that is too large for one message comes in parts, whatever gets lost on its way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from comeback import rejoin
from demls.protocol import parts as module
from demls.protocol import policy as bounds
from demls.protocol.channel import channel_of, joiner_channel, seal, unseal
from demls.protocol.events import Joined, Reason, Rejected, Returned, WelcomeArriving
from demls.protocol.joining import Joining
from demls.protocol.parts import bundle_channel, outline_of, part_of, wanted_of
from demls.wire.ids import Address
from demls.wire.messages import Frame, PartsRequest, Payload, WelcomeBundle, WelcomeOutline, WelcomePart, encode_message
from hypothesis import given
from hypothesis import strategies as st
from world import Envelope, Person, World

PART = 400


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(bounds, "WELCOME_WHOLE_MAX", 1_000)
    monkeypatch.setattr(module, "WELCOME_PART_BYTES", PART)
    world = World(8)
    world.group_of("alice", "bob", "carol")
    return world


def ask(world: World, *names: str) -> list[Joining]:
    """They are admitted by one commit, and their welcomes are on their way."""
    joinings = [world.ask(name, world.link("alice")) for name in names]
    for name in names:
        world.person(name).online = False
    world.run(1_000)
    world.vote_on_everything("alice", "bob", "carol")
    world.run(3_000)
    return joinings


def said(world: World, joining: Joining) -> list[Payload | None]:
    channel, engine = joiner_channel(joining.key_package), world.person("alice").engine
    return [unseal(channel, envelope.payload, engine) for envelope in world.log[channel.topic]]


def outline_for(world: World, joining: Joining) -> WelcomeOutline:
    found = said(world, joining)[0]
    assert isinstance(found, WelcomeOutline)
    return found


def parts_of(world: World, outline: WelcomeOutline) -> list[int]:
    """The numbers of the parts that were said."""
    channel, engine = bundle_channel(outline.bundle), world.person("alice").engine
    found = [unseal(channel, envelope.payload, engine) for envelope in world.log.get(channel.topic, [])]
    return [part.number for part in found if isinstance(part, WelcomePart)]


def receive(world: World, joining: Joining, message: Payload, *, at_parts: bytes | None = None) -> list[object]:
    channel = bundle_channel(at_parts) if at_parts is not None else joiner_channel(joining.key_package)
    sealed = seal(channel, message, world.person("alice").engine)
    return list(joining.receive(channel.topic, sealed, world.now).events)


def leave_alone(world: World, outline: WelcomeOutline) -> None:
    """Only who has said the outline is there to be asked."""
    for person in world.members():
        person.online = person.address == outline.member


def lose_parts(world: World, name: str, outline: WelcomeOutline, numbers: set[int]) -> None:
    channel, engine = bundle_channel(outline.bundle), world.person("alice").engine

    def is_lost(person: Person, envelope: Envelope) -> bool:
        part = unseal(channel, envelope.payload, engine) if person.name == name else None
        return isinstance(part, WelcomePart) and part.number in numbers

    world.lose = is_lost


def test_those_who_come_together_share_the_parts(world: World) -> None:
    joinings = ask(world, "dave", "erin")
    outline = outline_for(world, joinings[0])
    assert outline == outline_for(world, joinings[1])
    assert parts_of(world, outline) == []  # nobody has asked
    for name in ("dave", "erin"):
        world.person(name).online = True
    world.run(30_000)
    assert world.person("dave").is_member
    assert world.person("erin").is_member
    assert sorted(parts_of(world, outline)) == list(range(len(outline.parts)))
    told = [event for event in world.person("dave").events if isinstance(event, WelcomeArriving | Joined)]
    assert told[0] == WelcomeArriving(0, len(outline.parts))
    assert isinstance(told[-1], Joined)
    assert not [key for key in world.person("dave").records if key.startswith((b"outline/", b"part/"))]


def test_what_was_lost_is_asked_for_again(world: World) -> None:
    [joining] = ask(world, "dave")
    outline = outline_for(world, joining)
    leave_alone(world, outline)
    lose_parts(world, "dave", outline, {1, 3})
    world.person("dave").online = True
    world.run(10_000)
    assert joining.arriving == (len(outline.parts) - 2, len(outline.parts))
    before = len(parts_of(world, outline))
    world.lose = lambda person, envelope: False
    world.run(60_000)
    assert world.person("dave").is_member
    assert set(parts_of(world, outline)[before:]) == {1, 3}


def test_a_restart_keeps_what_has_come(world: World) -> None:
    [joining] = ask(world, "dave")
    outline = outline_for(world, joining)
    leave_alone(world, outline)
    lose_parts(world, "dave", outline, set(range(1, len(outline.parts))))
    world.person("dave").online = True
    world.run(1_500)
    world.restart("dave")
    again = world.person("dave").machine
    assert isinstance(again, Joining)
    assert again.arriving == (1, len(outline.parts))
    before = len(parts_of(world, outline))
    world.lose = lambda person, envelope: False
    world.run(60_000)
    assert world.person("dave").is_member
    assert 0 not in parts_of(world, outline)[before:]


def test_if_who_said_the_outline_is_silent_another_is_asked(world: World) -> None:
    [joining] = ask(world, "dave")
    first = outline_for(world, joining)
    world.person(world.name_of(first.member)).online = False
    world.person("dave").online = True
    world.run(5 * bounds.MINUTE)
    assert world.person("dave").is_member
    others = {outline.member for outline in said(world, joining) if isinstance(outline, WelcomeOutline)}
    assert len(others) > 1


def test_a_member_comes_back_by_a_welcome_in_parts(world: World) -> None:
    world.run(30_000)
    rejoin(world, "carol")
    world.run(5 * bounds.MINUTE)
    assert world.person("carol").is_member
    assert world.person("carol").told(Returned)
    assert world.person("carol").told(WelcomeArriving)


def test_what_is_held_of_a_bundle_is_held_once_and_not_for_ever(world: World) -> None:
    joinings = ask(world, "dave", "erin")
    kept = [key for key in world.person("alice").records if key.startswith(b"bundle/")]
    assert len(kept) == 1
    for name in ("dave", "erin"):
        world.person(name).online = True
    world.run(2 * bounds.DAY)
    assert all(joining.group is not None for joining in joinings)
    assert not any(key.startswith(b"bundle/") for person in world.people.values() for key in person.records)


def test_a_forged_part_is_refused_and_the_true_one_taken(world: World) -> None:
    [joining] = ask(world, "dave")
    outline = outline_for(world, joining)
    receive(world, joining, outline)
    for forged in (
        WelcomePart(outline.bundle, 0, b"x" * PART),
        WelcomePart(outline.bundle, 9_999, b"x"),
    ):
        [event] = receive(world, joining, forged, at_parts=outline.bundle)
        assert isinstance(event, Rejected)
        assert event.reason is Reason.FORGED
    [event] = receive(world, joining, WelcomePart(bytes(32), 0, b"x"))
    assert isinstance(event, Rejected)
    assert joining.arriving == (0, len(outline.parts))
    world.person("dave").online = True
    world.run(60_000)
    assert joining.group is not None


def test_outlines_that_are_not_for_this_joiner_are_refused(world: World) -> None:
    [joining, other] = ask(world, "dave", "erin")
    outline = outline_for(world, other)
    stranger = world.ask("mallory", world.link("alice"))
    for bad in (outline, replace(outline, welcome=b"junk")):
        [event] = receive(world, stranger, bad)
        assert isinstance(event, Rejected)
        assert event.reason is Reason.INVALID
    assert stranger.arriving is None
    assert receive(world, joining, outline) == [WelcomeArriving(0, len(outline.parts))]


def test_a_flood_of_outlines_is_bounded_and_does_not_keep_the_true_one_away(world: World) -> None:
    [joining] = ask(world, "dave")
    outline = outline_for(world, joining)
    receive(world, joining, outline)
    for number in range(40):
        false = replace(outline, parts=(number.to_bytes(32, "big"),) * 9, member=bytes(20))
        receive(world, joining, false)
    for number in range(40):
        receive(world, joining, replace(outline, member=number.to_bytes(20, "big")))
    kept = [key for key in joining.snapshot() if key.startswith(b"outline/")]
    assert len(kept) == bounds.OUTLINES_MAX
    world.person("dave").online = True
    world.run(2 * bounds.HOUR)
    assert joining.group is not None


def test_whoever_asks_for_parts_does_not_make_members_shout(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "WELCOME_PARTS_AT_ONCE", 3)
    [joining] = ask(world, "dave")
    outline = outline_for(world, joining)
    alice = world.person("alice")
    assert alice.group._state is not None
    channel = channel_of(alice.group._state.charter.rendezvous)
    everything = bytes([0xFF]) * 40

    def questions(asked: bytes, bundle: bytes, missing: bytes) -> int:
        before = len(parts_of(world, outline))
        world.publish(channel.topic, seal(channel, PartsRequest(bundle, asked, missing), alice.engine), "dave")
        world.deliver()
        return len(parts_of(world, outline)) - before

    assert questions(bytes(20), outline.bundle, everything) == 0
    assert questions(outline.member, bytes(32), everything) == 0
    assert questions(outline.member, outline.bundle, everything) == 3
    assert questions(outline.member, outline.bundle, everything) == 0
    world.now = type(world.now)(world.now + bounds.REPEAT_EVERY)
    assert questions(outline.member, outline.bundle, b"\x01") == 1


@given(st.binary(min_size=1, max_size=3_000), st.binary(min_size=1, max_size=100))
def test_parts_make_up_the_whole(bundle: bytes, welcome: bytes) -> None:
    message = WelcomeBundle(welcome, bundle)
    outline = outline_of(message, Address(bytes(20)))
    count = len(outline.parts)
    assert b"".join(part_of(message, number) for number in range(count)) == bundle
    assert part_of(message, count) == b""
    assert replace(outline, member=b"m" * 20).bundle == outline.bundle


@given(st.sets(st.integers(0, 341), min_size=1), st.integers(1, 342))
def test_a_request_names_the_missing_parts(numbers: set[int], count: int) -> None:
    bits = sum(1 << number for number in numbers)
    request = PartsRequest(bytes(32), bytes(20), bits.to_bytes(-(-bits.bit_length() // 8), "little"))
    assert wanted_of(request, count) == sorted(number for number in numbers if number < count)
    assert len(encode_message(Frame(request))) < 120
