"""What was missed is asked for, said again by whoever has it, and read once, in order; what is lost is named."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from demls.protocol import policy as bounds
from demls.protocol.channel import unseal
from demls.protocol.chat import MESSAGE_LABEL
from demls.protocol.copies import Copy
from demls.protocol.events import MessageReceived, MessagesDiffer, MessagesMissing, Rejected
from demls.protocol.policy import DAY, MINUTE, SCORING
from demls.protocol.repair import PLACES_LABEL, QUESTION_LABEL, REPAIR_DATA
from demls.wire.ids import Instant
from demls.wire.messages import PrivateMessage, Remove, decode_message, encode_message
from demls.wire.talk import (
    ChatPlace,
    ChatPlaces,
    ChatQuestion,
    ConversationMessage,
    Lacking,
    SaidAgain,
    SpokenMessage,
    Stretch,
    stream_of,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from insider import Insider
from world import Envelope, Person, World

QUIET = 30 * MINUTE
"""So long at most is asked for what nobody has."""


@pytest.fixture
def world() -> World:
    world = World(6)
    world.group_of("alice", "bob", "carol", "mallory")
    return world


def say(world: World, name: str, *texts: str) -> None:
    for text in texts:
        world.do(name, lambda group, it=text: group.send(it, world.now))  # type: ignore[misc]
    world.deliver()


def lose(world: World, *names: str, of: str = "") -> None:
    """These get nothing, or nothing of one sender."""
    world.lose = lambda person, envelope: person.name in names and of in ("", envelope.sender)


def lose_nothing(world: World) -> None:
    world.lose = lambda person, envelope: False


def forget(world: World, *names: str) -> None:
    for name in names:
        world.do(name, lambda group: group.forget_messages(Instant(world.now + 1), world.now))


def received(person: Person) -> list[MessageReceived]:
    return [event for event in person.events if isinstance(event, MessageReceived)]


def gaps(person: Person) -> list[tuple[int, int]]:
    return [(event.first, event.last) for event in person.events if isinstance(event, MessagesMissing)]


def refusals(person: Person) -> list[str]:
    return [event.detail for event in person.events if isinstance(event, Rejected)]


def said(world: World, kind: type, sender: str = "", reader: str = "mallory") -> list[object]:
    """What was said of a kind on the newest channels, as an insider reads it."""
    mallory = Insider(world, reader)
    return [
        payload
        for channel in mallory.channels.values()
        for envelope in world.log.get(channel.topic, [])
        if sender in ("", envelope.sender)
        and isinstance(payload := unseal(channel, envelope.payload, mallory.person.engine), kind)
    ]


def churn(world: World, epochs: int, by: str = "alice") -> None:
    """Let commits be settled: guests come and go."""
    for number in range((epochs + 1) // 2):
        world.admit(by, f"guest {world.now} {number}")
        guest = f"guest {world.now} {number}"
        guest = next(name for name in reversed(world.people) if name.startswith("guest"))
        world.do(guest, lambda group: group.leave(world.now))
        world.run(20_000)
        world.people.pop(guest)


# --- Asking ---------------------------------------------------------------------------------------------------------


def test_what_a_reader_missed_is_said_again_by_its_sender(world: World) -> None:
    say(world, "alice", "1")
    lose(world, "bob")
    say(world, "alice", "2", "3")
    lose_nothing(world)
    say(world, "alice", "4")
    bob = world.person("bob")
    assert bob.group.view(world.now).fetching == 2
    world.run(10_000)
    assert bob.heard() == ["1", "4", "2", "3"]
    assert [(event.counter, event.is_late, event.is_recovered) for event in received(bob)] == [
        (1, False, False),
        (4, False, False),
        (2, True, True),
        (3, True, True),
    ]
    first = {event.counter: event.message_id for event in received(world.person("carol"))}
    assert {event.counter: event.message_id for event in received(bob)} == first
    assert bob.group.view(world.now).fetching == 0
    assert gaps(bob) == []
    assert [len(said(world, kind)) for kind in (ChatQuestion, SaidAgain)] == [1, 2]


def test_one_answer_serves_all_who_missed_the_same(world: World) -> None:
    say(world, "alice", "1")
    lose(world, "bob", "carol")
    say(world, "alice", "2")
    lose_nothing(world)
    say(world, "alice", "3")
    world.run(20_000)
    assert world.person("bob").heard() == world.person("carol").heard() == ["1", "3", "2"]
    assert [len(said(world, kind)) for kind in (ChatQuestion, SaidAgain)] == [1, 1]


def test_others_hand_on_what_a_sender_said_that_is_away(world: World) -> None:
    say(world, "alice", "1")
    lose(world, "bob")
    say(world, "alice", "2")
    lose_nothing(world)
    say(world, "alice", "3")
    world.person("alice").online = False
    world.run(30_000)
    assert world.person("bob").heard() == ["1", "3", "2"]
    assert len(said(world, SaidAgain)) == 1


def test_others_hand_on_what_somebody_said_that_has_left(world: World) -> None:
    say(world, "carol", "1")
    lose(world, "bob", of="carol")
    say(world, "carol", "2")
    lose_nothing(world)
    say(world, "carol", "3")
    world.do("carol", lambda group: group.leave(world.now))
    world.run(30_000)
    assert not world.person("carol").is_member
    assert world.person("bob").heard() == ["1", "3", "2"]


def test_the_last_message_before_a_silence_is_found_missing_too(world: World) -> None:
    say(world, "alice", "1")
    lose(world, "bob")
    say(world, "alice", "2")
    lose_nothing(world)
    before = world.published
    world.run(3 * MINUTE)
    assert world.person("bob").heard() == ["1", "2"]
    assert world.published - before < 12


def test_the_only_message_of_a_sender_is_found_missing_by_what_others_have_seen(world: World) -> None:
    lose(world, "bob")
    say(world, "alice", "the only one")
    lose_nothing(world)
    say(world, "carol", "yes!")
    world.run(15_000)
    assert world.person("bob").heard() == ["yes!", "the only one"]


@pytest.mark.parametrize("since_restart", [False, True])
def test_who_has_a_message_only_because_it_was_said_again_tells_others_of_it(since_restart: bool, world: World) -> None:
    """Bob knows from alice's own word that she has spoken, and has it handed on; who comes later hears it of bob."""
    lose(world, "bob", "carol")
    say(world, "alice", "1")
    world.run(QUIET)
    bob, alice = world.person("bob"), world.person("alice")
    lose(world, "carol")
    alice_speaks = Insider(world, "alice")
    own = alice.group._live().chat.places()[0]
    alice_speaks.say(places(alice_speaks, own, asked=world.person("mallory").address))
    world.run(MINUTE)
    assert bob.heard() == ["1"]
    assert [event.is_recovered for event in received(bob)] == [True]
    if since_restart:
        world.restart("bob")
    told = {place.member: place for place in bob.group._live().chat.places()}
    assert told[alice.address] == own
    for name in ("alice", "mallory"):
        world.person(name).online = False
    lose_nothing(world)
    world.restart("bob")
    world.run(QUIET)
    assert world.person("carol").heard() == ["1"]


def test_an_idle_group_says_nothing(world: World) -> None:
    say(world, "alice", "1")
    world.run(3 * 60 * MINUTE)
    before = len(said(world, ChatPlaces)) + len(said(world, ChatQuestion))
    world.run(12 * 60 * MINUTE)
    assert len(said(world, ChatPlaces)) + len(said(world, ChatQuestion)) == before <= 6


def test_what_was_said_where_nobody_heard_is_read_when_its_sender_is_back(world: World) -> None:
    """It spoke in an epoch that the others have left, and says nothing any more."""
    say(world, "alice", "1")
    world.lose = lambda person, envelope: "alice" in (person.name, envelope.sender) and person.name != envelope.sender
    say(world, "alice", "into the void")
    churn(world, 8, "bob")
    assert world.person("bob").group.view(world.now).epoch > world.person("alice").group.view(world.now).epoch + 3
    lose_nothing(world)
    world.restart("alice")
    world.run(5 * MINUTE)
    epochs = {person.group.view(world.now).epoch for person in world.members()}
    assert len(epochs) == 1
    for name in ("bob", "carol", "mallory"):
        assert world.person(name).heard() == ["1", "into the void"]


def test_a_reader_that_was_away_over_several_epochs_reads_all_that_was_said_in_them(world: World) -> None:
    say(world, "alice", "1")
    lose(world, "bob")
    for number in range(3):
        say(world, "alice", f"alice {number}")
        say(world, "carol", f"carol {number}")
        churn(world, 2)
    lose_nothing(world)
    world.restart("bob")
    world.run(10 * MINUTE)
    bob = world.person("bob")
    assert bob.group.view(world.now).epoch == world.person("alice").group.view(world.now).epoch
    assert sorted(bob.heard()) == sorted(world.person("alice").heard())
    at = {event.message_id: event.at for event in received(world.person("alice"))}
    assert {event.message_id: event.at for event in received(bob)} == at
    assert gaps(bob) == []


def test_messages_are_dated_after_those_that_they_answer(world: World) -> None:
    say(world, "alice", "1")
    say(world, "bob", "2")
    say(world, "carol", "3")
    at = [event.at for event in received(world.person("mallory"))]
    assert at == sorted(set(at))


def test_a_joiner_neither_asks_for_nor_gets_what_was_said_before_it_came(world: World) -> None:
    say(world, "alice", "old 1", "old 2")
    say(world, "carol", "old 3")
    world.admit("alice", "dave")
    world.do("dave", lambda group: group.send("hello", world.now))
    world.run(2 * 60 * MINUTE)
    assert said(world, ChatQuestion, "dave") == []
    say(world, "alice", "new 1")
    world.run(10_000)
    dave = world.person("dave")
    assert dave.heard() == ["hello", "new 1"]
    address = world.person("alice").address
    stream = stream_of(Insider(world, "alice").record.leaf_key)
    insider = Insider(world, "dave")
    insider.say(question(insider, [Lacking(address, stream, (Stretch(1, 2),))]))
    world.run(30_000)
    assert said(world, SaidAgain) == []
    assert dave.heard() == ["hello", "new 1"]
    assert not any(
        key.startswith(b"repair/") and key < b"repair/" + insider.epoch.to_bytes(8, "big") for key in dave.records
    )


def test_a_joiner_is_given_what_was_said_since_it_came(world: World) -> None:
    say(world, "alice", "old 1", "old 2")
    world.admit("alice", "dave")
    lose(world, "dave")
    say(world, "alice", "new 1")
    lose_nothing(world)
    say(world, "alice", "new 2")
    world.admit("bob", "erin")
    lose(world, "dave", "erin")
    say(world, "alice", "new 3")
    lose_nothing(world)
    say(world, "alice", "new 4")
    world.run(30_000)
    assert world.person("dave").heard() == ["new 2", "new 1", "new 4", "new 3"]
    assert world.person("erin").heard() == ["new 4", "new 3"]
    assert gaps(world.person("dave")) == gaps(world.person("erin")) == []


def test_a_removed_member_is_answered_no_more(world: World) -> None:
    say(world, "alice", "1", "2")
    mallory = Insider(world, "mallory")
    lacking = [
        Lacking(world.person("alice").address, stream_of(Insider(world, "alice").record.leaf_key), (Stretch(1, 2),))
    ]
    world.do("alice", lambda group: group.propose(Remove(mallory.address), world.now))
    world.vote_on_everything("bob", "carol")
    world.run(10_000)
    assert not mallory.person.is_member
    mallory.say(question(mallory, lacking))
    world.run(30_000)
    assert "a question about messages by no member" in refusals(world.person("bob"))
    assert said(world, SaidAgain, reader="bob") == []


# --- Losing ---------------------------------------------------------------------------------------------------------


def test_what_was_lost_by_a_stay_away_is_told_once_and_at_one_time(world: World) -> None:
    say(world, "alice", "1")
    say(world, "carol", "1")
    left_at = world.now
    lose(world, "bob")
    world.run(10 * MINUTE)
    say(world, "alice", "2", "3")
    say(world, "carol", "2")
    forget(world, "alice", "carol", "mallory")
    world.run(10 * MINUTE)
    lose_nothing(world)
    back_at = world.now
    steps: list[list[MessagesMissing]] = []
    world.watch = lambda person, effects: steps.append([e for e in effects.events if isinstance(e, MessagesMissing)])
    world.restart("bob")
    say(world, "alice", "4")
    world.run(10_000)
    say(world, "carol", "3")
    world.run(QUIET)
    (told,) = [step for step in steps if step]
    assert sorted((world.name_of(gap.sender), gap.first, gap.last) for gap in told) == [
        ("alice", 2, 3),
        ("carol", 2, 2),
    ]
    assert all(gap.was_away and left_at <= gap.after <= left_at + 10 for gap in told)
    assert all(back_at <= gap.before <= back_at + 2 * MINUTE for gap in told)
    world.run(QUIET)
    assert len([step for step in steps if step]) == 1


def test_what_was_told_as_lost_is_read_when_its_sender_comes_back(world: World) -> None:
    """Nobody but its sender has it, and that was away for long."""
    say(world, "alice", "1")
    world.lose = lambda person, envelope: envelope.sender == "alice" and person.name != "alice"
    say(world, "alice", "only alice has it")
    lose_nothing(world)
    say(world, "alice", "3")
    world.person("alice").online = False
    world.run(3 * 60 * MINUTE)
    bob = world.person("bob")
    assert gaps(bob) == [(2, 2)]
    world.person("alice").online = True
    world.run(1_000)
    say(world, "alice", "4")
    world.run(MINUTE)
    assert sorted(bob.heard()) == ["1", "3", "4", "only alice has it"]
    assert gaps(bob) == [(2, 2)]


def test_a_sender_says_that_it_keeps_a_message_no_longer(world: World) -> None:
    """So people hear sooner that it is lost."""
    say(world, "alice", "1")
    lose(world, "bob")
    say(world, "alice", "2")
    lose_nothing(world)
    say(world, "alice", "3")
    forget(world, "alice", "carol", "mallory")
    world.run(QUIET)
    assert gaps(world.person("bob")) == [(2, 2)]


def test_copies_are_kept_for_the_time_of_retention_and_gone_after_it(world: World) -> None:
    say(world, "alice", "1")
    alice = world.person("alice")
    assert any(key.startswith(b"copy/") for key in alice.records)
    world.run(bounds.CHAT_KEPT_FOR - DAY)
    assert any(key.startswith(b"copy/") for key in alice.records)
    world.run(2 * DAY)
    assert not any(key.startswith(b"copy/") for person in world.members() for key in person.records)


def test_copies_are_bounded_and_who_talks_much_pushes_out_its_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "OWN_COPIES_KEPT", 6)
    monkeypatch.setattr(bounds, "COPIES_OF_MEMBER_KEPT", 5)
    monkeypatch.setattr(bounds, "COPIES_KEPT", 7)
    say(world, "carol", "a", "b", "c")
    say(world, "mallory", *"123456789")
    bob = world.person("bob")

    def kept(person: Person, of: str) -> list[int]:
        prefix = b"copy/" + world.person(of).address
        return sorted(int.from_bytes(key[-8:], "big") for key in person.records if key.startswith(prefix))

    assert kept(bob, "carol") == [1, 2, 3]
    assert kept(bob, "mallory") == [6, 7, 8, 9]
    assert kept(world.person("mallory"), "mallory") == [4, 5, 6, 7, 8, 9]


# --- Hostile --------------------------------------------------------------------------------------------------------


def question(insider: Insider, lacking: list[Lacking], number: int | None = None, **fields: object) -> ChatQuestion:
    at = insider.world.now if number is None else number
    values = {"member": bytes(insider.address), "tries": 0, "ids": ()} | fields
    unsigned = ChatQuestion(insider.epoch, number=at, lacking=tuple(lacking), signature=bytes(64), **values)  # type: ignore[arg-type]
    return replace(unsigned, signature=insider.sign(QUESTION_LABEL, unsigned.content(insider.group_id)))


def places(insider: Insider, *claimed: ChatPlace, asked: bytes = b"", is_answer: bool = False) -> ChatPlaces:
    number = insider.world.now
    unsigned = ChatPlaces(insider.epoch, insider.address, asked, number, is_answer, claimed, bytes(64))
    return replace(unsigned, signature=insider.sign(PLACES_LABEL, unsigned.content(insider.group_id)))


def message_of(insider: Insider, text: str, counter: int, **fields: object) -> ConversationMessage:
    stream = stream_of(insider.record.leaf_key)
    values = {"message": text.encode(), "message_id": insider.person.engine.random(16), "counter": counter} | fields
    unsigned = ConversationMessage(
        **values,  # type: ignore[arg-type]
        sent_at=insider.world.now,
        seen=(),
        epoch=insider.epoch,
        stream=stream,
        base_epoch=insider.epoch,
        base=0,
        signature=bytes(64),
    )
    return replace(unsigned, signature=insider.sign(MESSAGE_LABEL, unsigned.content(insider.group_id)))


def again(insider: Insider, member: bytes, message: ConversationMessage) -> SaidAgain:
    key = insider.person.records[b"repair/" + message.epoch.to_bytes(8, "big")]
    plain = encode_message(SpokenMessage(member, message))
    return SaidAgain(message.epoch, insider.person.engine.seal(key, plain, REPAIR_DATA))


def encrypted(insider: Insider, message: ConversationMessage) -> PrivateMessage:
    records = insider.person.group.snapshot()
    group = insider.person.engine.load_group({key[4:]: it for key, it in records.items() if key.startswith(b"mls/")})
    return PrivateMessage(group.encrypt(encode_message(message)))


def spoken(world: World, insider: Insider, by: str, counter: int) -> ConversationMessage:
    """A message as an insider keeps it."""
    prefix = b"copy/" + world.person(by).address
    key = next(k for k in insider.person.records if k.startswith(prefix) and int.from_bytes(k[-8:], "big") == counter)
    copy = msgspec.msgpack.decode(insider.person.records[key], type=Copy)
    return decode_message(copy.message, ConversationMessage)


def alices(world: World, first: int, last: int) -> list[Lacking]:
    stream = stream_of(Insider(world, "alice").record.leaf_key)
    return [Lacking(world.person("alice").address, stream, (Stretch(first, last),))]


def answers(world: World) -> int:
    return len(said(world, SaidAgain))


def test_who_asks_for_everything_again_and_again_is_answered_within_bounds(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "COPIES_PER_ASKER_AND_HOUR_MAX", 40)
    monkeypatch.setattr(bounds, "COPIES_IN_ANSWER_MAX", 8)
    say(world, "alice", *map(str, range(20)))
    mallory = Insider(world, "mallory")
    for _ in range(300):
        mallory.say(question(mallory, alices(world, 1, 1 << 60)))
        world.run(1_000)
    assert 20 <= answers(world) <= 40 + 2 * 40  # the sender, and the two who could help
    assert "a member asks for more messages than anybody can have missed" in refusals(world.person("alice"))
    lose(world, "bob")
    say(world, "alice", "lost")
    lose_nothing(world)
    say(world, "alice", "last")
    world.run(15_000)
    assert world.person("bob").heard()[-2:] == ["last", "lost"]  # others are answered as before


def test_a_question_in_anothers_name_is_refused_and_costs_that_nothing(world: World) -> None:
    say(world, "alice", "1")
    bob, mallory = Insider(world, "bob"), Insider(world, "mallory")
    mallory.say(replace(question(mallory, alices(world, 1, 1)), member=bob.address))
    world.deliver()
    assert "a question about messages that its member did not sign" in refusals(world.person("alice"))
    assert answers(world) == 0
    genuine = question(bob, alices(world, 1, 1))
    for _ in range(50):
        mallory.say(genuine)
        world.run(5_000)
    assert answers(world) <= 1  # the same question once more is no question


def test_other_words_under_a_members_name_are_refused(world: World) -> None:
    say(world, "alice", "1")
    lose(world, "bob")
    say(world, "alice", "I never lend money")
    lose_nothing(world)
    say(world, "alice", "3")
    mallory = Insider(world, "mallory")
    true = spoken(world, mallory, "alice", 2)
    alice = world.person("alice").address
    forged = replace(true, message=b"I lend you money")
    resigned = replace(forged, signature=mallory.sign(MESSAGE_LABEL, forged.content(mallory.group_id)))
    moved = replace(true, counter=7)
    bob = world.person("bob")
    for bad in (forged, resigned, moved, replace(true, message_id=bytes(16)), replace(true, stream=bytes(8))):
        mallory.say(again(mallory, alice, bad))
        mallory.say(again(mallory, bob.address, bad))
        mallory.say(again(mallory, mallory.address, bad))
    world.deliver()
    assert bob.heard() == ["1", "3"]
    assert refusals(bob).count("a chat message that its sender did not sign") == 10
    world.run(10_000)
    assert bob.heard() == ["1", "3", "I never lend money"]


def test_what_is_sealed_wrongly_or_unreadable_is_refused(world: World) -> None:
    mallory = Insider(world, "mallory")
    key = mallory.person.records[b"repair/" + mallory.epoch.to_bytes(8, "big")]
    true = message_of(mallory, "x", 1)
    seal = mallory.person.engine.seal
    for sealed in (
        b"junk",
        seal(key, b"junk", REPAIR_DATA),
        seal(bytes(32), encode_message(SpokenMessage(mallory.address, true)), REPAIR_DATA),
    ):
        mallory.say(SaidAgain(mallory.epoch, sealed))
    mallory.say(SaidAgain(mallory.epoch + 1 << 40, seal(key, b"", REPAIR_DATA)))
    other_epoch = replace(true, epoch=mallory.epoch - 1)
    mallory.say(
        SaidAgain(mallory.epoch, seal(key, encode_message(SpokenMessage(mallory.address, other_epoch)), REPAIR_DATA))
    )
    world.deliver()
    assert (
        refusals(world.person("bob"))[-4:] == ["a message said again that is not sealed with the key of its epoch"] * 4
    )
    assert world.person("bob").heard() == []


def test_what_its_sender_did_not_sign_is_read_by_those_who_heard_it_and_handed_on_by_nobody(world: World) -> None:
    """MLS proves whose it is to those who decrypt it; nobody else would believe it, so the others are told of a gap."""
    mallory, alice, bob = Insider(world, "mallory"), world.person("alice"), world.person("bob")
    mallory.say(again(mallory, mallory.address, message_of(mallory, "first", 1)))
    world.deliver()
    lose(world, "bob")
    mallory.say(encrypted(mallory, replace(message_of(mallory, "unsigned", 2), signature=bytes(64))))
    world.deliver()
    lose_nothing(world)
    copies = b"copy/" + mallory.address
    assert [int.from_bytes(key[-8:], "big") for key in alice.records if key.startswith(copies)] == [1, 2]
    mallory.say(again(mallory, mallory.address, message_of(mallory, "signed", 3)))
    mallory.person.online = False
    world.run(DAY + QUIET)
    assert alice.heard() == ["first", "unsigned", "signed"]
    assert bob.heard() == ["first", "signed"]
    assert gaps(bob) == [(2, 2)]
    assert len(said(world, SaidAgain)) == 2, "what mallory said itself"
    assert [int.from_bytes(key[-8:], "big") for key in alice.records if key.startswith(copies)] == [1, 3]


def test_numbers_that_were_never_used_cost_little_and_are_told_as_what_they_are(world: World) -> None:
    mallory = Insider(world, "mallory")
    mallory.say(encrypted(mallory, message_of(mallory, "first", 1)))
    mallory.turn()
    bob = world.person("bob")
    for counter in (1 << 60, bounds.COUNTER_MAX + 1, 0):
        mallory.say(encrypted(mallory, message_of(mallory, "far", counter)))
    world.deliver()
    assert bob.heard() in (["first"], [])  # the same MLS key twice: only one is read
    before = world.published
    mallory.say(again(mallory, mallory.address, message_of(mallory, "far", 1 << 60)))
    mallory.say(again(mallory, mallory.address, message_of(mallory, "leap", 1 << 40)))
    world.deliver()
    assert "a chat message with an impossible number or date" in refusals(bob)
    assert bob.heard()[-1:] == ["leap"]
    size = sum(len(value) for value in bob.records.values())
    world.run(QUIET)
    assert gaps(bob)[0][1] == (1 << 40) - bounds.MISSING_OF_DEVICE_MAX - 1
    assert gaps(bob)[1][1] == (1 << 40) - 1
    assert len(gaps(bob)) == 2
    assert world.published - before < 80
    assert sum(len(value) for value in bob.records.values()) < size + 2000


def test_what_is_claimed_of_others_is_asked_for_a_few_times_and_never_told(world: World) -> None:
    say(world, "alice", "1")
    mallory = Insider(world, "mallory")
    stream = stream_of(Insider(world, "alice").record.leaf_key)
    alice = world.person("alice").address
    world.person("alice").online = False
    before = len(said(world, ChatQuestion))
    for _ in range(20):
        mallory.say(places(mallory, ChatPlace(alice, stream, 1 << 40, mallory.epoch)))
        world.run(10_000)
    world.run(QUIET)
    asked = len(said(world, ChatQuestion)) - before
    assert 0 < asked <= 3 * 2 * bounds.CLAIM_ASKS_MAX
    for name in ("bob", "carol"):
        assert gaps(world.person(name)) == []
        assert world.person(name).group.view(world.now).fetching == 0
    world.person("alice").online = True
    world.run(1_000)
    lose(world, "bob")
    say(world, "alice", "2")
    lose_nothing(world)
    say(world, "alice", "3")
    world.run(15_000)
    assert world.person("bob").heard() == ["1", "3", "2"]


def test_a_member_cannot_make_the_others_answer_one_another(world: World) -> None:
    """Ids that nobody has, places that nobody has reached: each costs a bounded number of small questions."""
    mallory = Insider(world, "mallory")
    before = world.published
    for counter in range(1, 31):
        seen = tuple(mallory.person.engine.random(16) for _ in range(8))
        message = message_of(mallory, "x", counter)
        message = replace(message, seen=seen)
        message = replace(message, signature=mallory.sign(MESSAGE_LABEL, message.content(mallory.group_id)))
        for _ in range(counter):  # past the generations of MLS that were used before
            payload = encrypted(mallory, message)
        mallory.say(payload)
        mallory.say(question(mallory, alices(world, 1, 1 << 60), ids=seen))
        world.run(2_000)
    world.run(QUIET)
    assert world.published - before < 60 + 150
    assert answers(world) == 0


def test_two_texts_under_one_number_are_found_and_told(world: World) -> None:
    """Whoever sends different people different words is seen when one of them hands them on."""
    mallory = Insider(world, "mallory")
    one, two = message_of(mallory, "to bob", 1), message_of(mallory, "to carol", 1)
    world.lose = lambda person, envelope: person.name != "bob"
    mallory.say(again(mallory, mallory.address, one))
    world.deliver()
    world.lose = lambda person, envelope: person.name != "carol"
    mallory.say(again(mallory, mallory.address, two))
    world.deliver()
    lose_nothing(world)
    say(world, "carol", "what mallory says!")
    world.run(30_000)
    bob, carol = world.person("bob"), world.person("carol")
    assert bob.heard() == ["to bob", "what mallory says!"]
    assert [event for event in bob.events if isinstance(event, MessagesDiffer)] == [MessagesDiffer(mallory.address, 1)]
    assert "to carol" in carol.heard()
    score = next(member.score for member in bob.group.members() if member.address == mallory.address)
    assert score == SCORING.start  # a restored backup does it, too: people decide


# --- Any loss -------------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32), st.floats(0.05, 0.6), st.lists(st.sampled_from("abcx"), min_size=3, max_size=14))
def test_whatever_is_lost_everything_is_read_once_or_named(seed: int, share: float, script: list[str]) -> None:
    world = World(seed % 1000)
    names = {"a": "alice", "b": "bob", "c": "carol"}
    world.group_of(*names.values())

    def is_lost(person: Person, envelope: Envelope) -> bool:
        return person.name != envelope.sender and world.random.random() < share

    world.lose = is_lost
    for act in script:
        if act == "x":
            world.restart(world.random.choice(list(names.values())))
        else:
            say(world, names[act], f"{act} {world.random.random()}")
        world.run(world.random.choice((0, 500, 5_000, 60_000)))
    world.run(5 * MINUTE)
    lose_nothing(world)
    world.run(3 * 60 * MINUTE)
    everything = {event.message_id: event for person in world.members() for event in received(person)}
    for person in world.members():
        mine = received(person)
        assert len({event.message_id for event in mine}) == len(mine)  # once
        assert {event.message_id for event in mine} == everything.keys(), f"{person.name} misses something"
        in_order = sorted(mine, key=lambda event: (event.at, event.sender, event.counter))
        for sender in {event.sender for event in mine}:
            counters = [event.counter for event in in_order if event.sender == sender]
            assert counters == sorted(counters)
        on_time = [event for event in mine if not event.is_late]
        for sender in {event.sender for event in on_time}:
            counters = [event.counter for event in on_time if event.sender == sender]
            assert counters == sorted(counters)


def test_a_reader_that_lost_everything_for_long_reads_it_in_bounded_answers(world: World) -> None:
    say(world, "alice", "first")
    lose(world, "bob")
    texts = [f"message {number}" for number in range(300)]
    say(world, "alice", *texts)
    lose_nothing(world)
    say(world, "alice", "last")
    world.run(2 * MINUTE)
    bob = world.person("bob")
    assert bob.heard() == ["first", "last", *texts]
    assert len(said(world, ChatQuestion, "bob")) <= 12


def test_what_an_older_member_said_first_while_a_younger_one_was_away_is_read(world: World) -> None:
    """Nobody tells the younger one more than how far the older one has counted."""
    lose(world, "bob")
    say(world, "alice", "1", "2", "3")
    lose_nothing(world)
    world.restart("bob")
    world.run(MINUTE)
    assert world.person("bob").heard() == ["1", "2", "3"]
