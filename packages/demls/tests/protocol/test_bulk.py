"""Envelopes that wait together are taken in as if each had come alone, whatever they are, and cost less."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from demls.protocol import group as facade
from demls.protocol.channel import seal
from demls.protocol.effects import Effects
from demls.protocol.foreseen import Foreseen
from demls.protocol.group import Group
from demls.wire import alike
from demls.wire.alike import FORMS_MAX, Frames, Read
from demls.wire.codec import WireError
from demls.wire.ids import Instant, Topic
from demls.wire.messages import (
    PRIVATE_MESSAGE,
    Candidate,
    Frame,
    Offer,
    PrivateMessage,
    Remove,
    Vote,
    decode_message,
    encode_message,
)
from demls.wire.statements import RoundStatement, StatementKind
from demls_engine import Engine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world import World

Envelope = tuple[Topic, bytes]
MEMBERS = ("alice", "bob", "carol", "dave", "erin", "frank")


class Recorder:
    """All that is said while dave hears nothing, in the order in which it was said."""

    def __init__(self, *members: str) -> None:
        self.world = World(7)
        self.world.group_of(*(members or MEMBERS))
        self.said: list[tuple[str, Envelope]] = []
        publish = self.world.publish

        def record(topic: Topic, payload: bytes, sender: str) -> None:
            self.said.append((sender, (topic, payload)))
            publish(topic, payload, sender)

        self.world.publish = record  # type: ignore[method-assign]
        self.world.lose = lambda person, envelope: person.name == "dave"
        self.records = dict(self.world.person("dave").records)
        self.now = self.world.now

    def waiting(self) -> list[Envelope]:
        return [envelope for sender, envelope in self.said if sender != "dave"]

    def dave(self) -> tuple[Group, Effects]:
        """A copy of his node as it was, each with the same randomness."""
        return Group.load(dict(self.records), engine=Engine(bytes(32)), now=self.now)


@cache
def recorded() -> tuple[Recorder, list[Envelope]]:
    """Votes, a commit, talk in both epochs, repeats, and what nobody can read or has signed."""
    recorder = Recorder()
    world = recorder.world
    world.do("alice", lambda group: group.propose(Remove(world.person("frank").address), world.now))
    world.do("bob", lambda group: group.send("shall we?", world.now))
    world.vote_on_everything("bob", "carol", "erin", "frank")
    world.run(12_000)
    world.do("carol", lambda group: group.send("done", world.now))
    world.do("alice", lambda group: group.propose(Remove(world.person("erin").address), world.now))
    world.deliver()
    waiting = recorder.waiting()
    state = world.person("alice").group._state
    assert state is not None
    assert state.epoch == 2
    old = next(channel for epoch, channel in state.channels.items() if epoch == 1)
    forged = [forge(old, payload, state.engine) for topic, payload in waiting if topic == old.topic]
    junk = [(topic, bytes(300)) for topic in state.listening()] + [(Topic(bytes(32)), b"?")]
    return recorder, [*waiting, *waiting[::3], *filter(None, forged), *junk]


def forge(channel: Any, payload: bytes, engine: Any) -> Envelope | None:
    """The same vote or statement with another signature, sealed as by a member."""
    frame = engine.unseal(channel.key, payload, channel.topic)
    try:
        message = decode_message(frame[4 : 4 + int.from_bytes(frame[:4], "big")], Frame).payload
    except WireError:
        return None
    match message:
        case RoundStatement():
            return channel.topic, seal(channel, replace(message, signature=bytes(64)), engine)
        case Vote():
            return channel.topic, seal(channel, Vote(message.signed_vote[:-1] + b"\0"), engine)
        case _:
            return None


def outcome(group: Group, effects: list[Effects]) -> tuple[object, ...]:
    """All that can be seen: the last word on each record, what is said, what is told, when it goes on."""
    changed = {change.key: change.value for one in effects for change in one.changes}
    said = [envelope for one in effects for envelope in one.outbound]
    told = [event for one in effects for event in one.events]
    return group.snapshot(), changed, said, told, effects[-1].deadline, group.topics(), group.status


def taken(splits: list[list[Envelope]]) -> tuple[object, ...]:
    recorder, _ = recorded()
    group, begun = recorder.dave()
    return outcome(group, [begun, *(group.receive_many(part, Instant(recorder.now + 1)) for part in splits)])


def all_kinds() -> set[str]:
    recorder, waiting = recorded()
    group, begun = recorder.dave()
    del begun
    kinds = set()
    for topic, payload in waiting:
        effects = group.receive(topic, payload, Instant(recorder.now + 1))
        kinds |= {type(event).__name__ for event in effects.events}
    return kinds


def test_the_recorded_story_has_all_that_matters() -> None:
    assert {"VoteRecorded", "ProposalDecided", "Settled", "MessageReceived", "Rejected"} <= all_kinds()


def test_all_at_once_is_as_one_by_one() -> None:
    _, waiting = recorded()
    assert taken([waiting]) == taken([[one] for one in waiting])


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_any_split_of_any_order_is_as_one_by_one(random: Any, size: int) -> None:
    _, envelopes = recorded()
    waiting = list(envelopes)
    if random.random() < 0.7:  # else in the order in which they were said
        random.shuffle(waiting)
    splits = []
    rest = waiting
    while rest:
        length = random.randint(1, size)
        splits.append(rest[:length])
        rest = rest[length:]
    assert taken(splits) == taken([[one] for one in waiting])


@pytest.mark.parametrize("chunk", [2, 7])
def test_a_bound_on_how_many_are_opened_together_changes_nothing(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _, waiting = recorded()
    whole = taken([waiting])
    monkeypatch.setattr(facade.bounds, "ENVELOPES_AT_ONCE_MAX", chunk)
    assert taken([waiting]) == whole


def test_what_is_only_counted_is_as_if_everything_had_been_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The short way after a vote that decides nothing, and a statement that completes nothing, leaves out nothing."""
    _, waiting = recorded()
    quick = taken([waiting])
    ask_everything(monkeypatch)
    assert taken([waiting]) == quick


def ask_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take no short way, whatever comes."""
    monkeypatch.setattr(facade, "count", lambda found, places, state, now: False)
    monkeypatch.setattr(Group, "_is_still", lambda self, message, step, turns: False)


def test_statements_that_complete_nothing_are_counted_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, waiting = recorded()
    group, begun = recorder.dave()
    asked: list[object] = []
    take = Group._take
    monkeypatch.setattr(Group, "_take", lambda *given: (asked.append(given), take(*given)))
    quick = outcome(group, [begun, group.receive_many(waiting, Instant(recorder.now + 1))])
    counted = len(waiting) - len(asked)
    assert counted > 4
    ask_everything(monkeypatch)
    asked.clear()
    group, begun = recorder.dave()
    assert outcome(group, [begun, group.receive_many(waiting, Instant(recorder.now + 1))]) == quick
    assert len(asked) == len(waiting)


def test_after_talk_only_talk_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chat message moves when its node tells how far it has heard everybody, and nothing else."""
    recorder = Recorder()
    world = recorder.world
    world.do("alice", lambda group: group.propose(Remove(world.person("frank").address), world.now))
    world.do("bob", lambda group: group.send("shall we?", world.now))
    world.do("carol", lambda group: group.send("why not?", world.now))
    proposed, *talk = [envelope for _, envelope in recorder.said]

    def told() -> tuple[object, ...]:
        group, begun = recorder.dave()
        effects = [begun, group.receive(*proposed, Instant(recorder.now + 1))]
        concluded.clear()
        effects += [group.receive(*envelope, Instant(recorder.now + 2)) for envelope in talk]
        return outcome(group, effects)

    concluded: list[object] = []
    conclude = Group._conclude
    monkeypatch.setattr(Group, "_conclude", lambda *given: (concluded.append(given), conclude(*given)))
    quick = told()
    assert not concluded
    assert [type(event).__name__ for event in quick[3]].count("MessageReceived") == 2  # type: ignore[attr-defined]
    monkeypatch.setattr(Group, "_is_still", lambda self, message, step, turns: False)
    assert told() == quick
    assert concluded


def test_a_message_of_the_end_in_the_middle_ends_it_as_one_by_one() -> None:
    """Who learns of its own removal in the middle takes no notice of the rest."""
    recorder = Recorder()
    world = recorder.world
    world.do("alice", lambda group: group.propose(Remove(world.person("dave").address), world.now))
    world.vote_on_everything("bob", "carol", "erin", "frank")
    world.run(12_000)
    waiting = recorder.waiting()
    group, begun = recorder.dave()
    whole = outcome(group, [begun, group.receive_many(waiting, recorder.now)])
    again, begun = recorder.dave()
    assert group.status.value == "removed"
    assert outcome(again, [begun, *(again.receive(*one, recorder.now) for one in waiting)]) == whole


def test_waiting_votes_and_statements_are_verified_together(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, waiting = recorded()
    group, _ = recorder.dave()
    engine = CountingEngine()
    state = group._state
    assert state is not None
    monkeypatch.setattr(state, "engine", engine)
    monkeypatch.setattr(state.governance, "_scheme", SingleVotes(engine))
    state.foreseen.look((found[1] for found in group._inbound.open(waiting) if found is not None), state)
    assert max(engine.batches) > 12


def test_locks_beyond_the_certificate_are_not_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come too late: the state is over when it is their turn."""
    recorder = Recorder()
    world = recorder.world
    world.do("alice", lambda group: group.propose(Remove(world.person("frank").address), world.now))
    world.vote_on_everything("bob", "carol", "erin", "frank")
    world.run(12_000)
    waiting = recorder.waiting()
    group, _ = recorder.dave()
    state = group._state
    assert state is not None
    opened = zip(waiting, group._inbound.open(waiting), strict=True)
    locks = [one for one, found in opened if found is not None and is_lock(found[1].payload)]
    before = [one for one in waiting[: waiting.index(locks[0])] if one not in locks]
    group.receive_many(before, recorder.now)
    assert len(locks) == 5
    engine = CountingEngine()
    monkeypatch.setattr(state, "engine", engine)
    epoch, held = state.epoch, state.round.count(StatementKind.LOCK, 0, next(iter(state.round.candidates)))
    group.receive_many(locks, recorder.now)
    assert state.epoch == epoch + 1
    assert engine.batches == [0, state.committee.q - held]


def is_lock(message: Any) -> bool:
    return isinstance(message, RoundStatement) and message.kind == StatementKind.LOCK


def test_one_false_signature_costs_nobody_else_anything() -> None:
    recorder = Recorder()
    world = recorder.world
    world.do("alice", lambda group: group.propose(Remove(world.person("frank").address), world.now))
    world.vote_on_everything("bob", "carol")
    waiting = recorder.waiting()
    state = world.person("alice").group._state
    assert state is not None
    votes = [one for one in waiting if one[0] == state.channel.topic and forge(state.channel, one[1], state.engine)]
    spoiled = forge(state.channel, votes[0][1], state.engine)
    assert spoiled is not None
    group, _ = recorder.dave()
    effects = group.receive_many([spoiled, *waiting], recorder.now)
    view = group.view(recorder.now).proposals[0]
    assert view.yes == len(votes)
    assert [event.reason.value for event in effects.events if type(event).__name__ == "Rejected"] == ["forged"]


class CountingEngine:
    def __init__(self) -> None:
        self._engine = Engine(bytes(32))
        self.batches: list[int] = [0]

    def verify_batch(self, items: Any) -> list[bool]:
        self.batches.append(len(items))
        return self._engine.verify_batch(items)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


class SingleVotes:
    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def verify(self, key: bytes, content: bytes, signature: bytes) -> bool:
        raise AssertionError((key, content, signature))


# --- What is foreseen, and what is read by likeness ------------------------------------------------------------------


def test_a_verdict_holds_for_its_message_and_its_key_only() -> None:
    foreseen, message = Foreseen(), Vote(b"x")
    foreseen._signed[id(message)] = b"key"
    assert foreseen.has_signed(message, b"key")
    assert not foreseen.has_signed(message, b"other")
    assert not foreseen.has_signed(Vote(b"x"), b"key")
    foreseen.clear()
    assert not foreseen.has_signed(message, b"key")


GROUP = bytes(range(32))
BYTES20, BYTES32 = st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32)
STATEMENTS = st.builds(
    RoundStatement,
    epoch=st.integers(0, 3),
    head=st.sampled_from([bytes(32), b"h" * 32]),
    view=st.integers(0, 2),
    candidate=st.sampled_from([b"", b"c" * 32]),
    choices=st.sampled_from([b"", b"\1\2"]),
    member=BYTES20,
    signature=st.binary(min_size=64, max_size=64),
    kind=st.sampled_from([0, 1, 2, 3, 127, 128, 300]),
)
MESSAGES = st.one_of(
    STATEMENTS,
    st.builds(Vote, st.binary(min_size=1, max_size=200)),
    st.builds(Vote, st.binary(min_size=127, max_size=127)),
    st.builds(PrivateMessage, st.binary(min_size=1, max_size=200)),
)


@given(st.lists(MESSAGES, min_size=1, max_size=12))
def test_a_frame_is_read_the_same_whatever_was_read_before(messages: list[Any]) -> None:
    frames = Frames(GROUP)
    for message in [*messages, *messages]:
        read = frames.read(encode_message(Frame(message)))
        assert read.payload == message
        if isinstance(message, RoundStatement):
            assert read.raw == encode_message(message)
            assert read.content == message.content(GROUP)


@pytest.mark.parametrize("size", [1, 100, 127, 128, 20_000])
def test_an_offer_is_read_with_its_bytes(size: int) -> None:
    offer = Offer(1, bytes(32), 300, Candidate(bytes(size), b"", b"", b""), (), (), bytes(20), bytes(64), ())
    read = Frames(GROUP).read(encode_message(Frame(offer)))
    assert read.payload == offer
    assert read.raw == encode_message(offer)


@given(STATEMENTS, st.binary(max_size=300), st.data())
def test_what_is_no_canonical_frame_is_not_read_by_likeness(like: RoundStatement, junk: bytes, data: Any) -> None:
    frames = Frames(GROUP)
    frame = encode_message(Frame(like))
    frames.read(frame)
    frames.read(encode_message(Frame(Vote(bytes(127)))))
    if data.draw(st.booleans()):
        frame = encode_message(Frame(PrivateMessage(data.draw(st.binary(min_size=1, max_size=300)))))
        frames.read(frame)
    place = data.draw(st.integers(0, len(frame) - 1))
    changed = frame[:place] + bytes([frame[place] ^ data.draw(st.integers(1, 255))]) + frame[place + 1 :]
    for wrong in (junk, changed, frame[:place], frame + b"\0", frame[:place] + junk + frame[place:]):
        try:
            expected = decode_message(wrong, Frame).payload
        except WireError:
            with pytest.raises(WireError):
                frames.read(wrong)
        else:
            assert frames.read(wrong).payload == expected


def test_forms_are_bounded() -> None:
    frames = Frames(GROUP)
    for view in range(2 * FORMS_MAX + 3):
        frames.read(encode_message(Frame(RoundStatement(1, bytes(32), view, b"", b"", bytes(20), bytes(64), 1))))
        assert len(frames._forms) <= FORMS_MAX


@pytest.mark.parametrize("near", [1, 120, 128, 250, 16_378, 16_384, PRIVATE_MESSAGE.most])
def test_a_chat_message_of_any_size_is_read_by_likeness(near: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its lengths take, and none that is out of bounds."""
    sizes = range(max(1, near - 8), near + 9)
    said = {size: encode_message(Frame(PrivateMessage(bytes(size)))) for size in sizes}
    frames = Frames(GROUP)
    monkeypatch.setattr(alike, "decode_message", never)
    for size in sizes:
        if PRIVATE_MESSAGE.holds(size):
            assert frames.read(said[size]) == Read(PrivateMessage(bytes(size)))
        else:
            with pytest.raises(AssertionError):
                frames.read(said[size])


def never(data: bytes, kind: type) -> Any:
    raise AssertionError(kind)
