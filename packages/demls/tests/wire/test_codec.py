"""Bytes become a message only if they are exactly the bytes that the message becomes."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any
from unittest import mock

import pytest
from demls.wire import chain, charters, codec, messages, statements, talk
from demls.wire import demls_pb2 as pb
from demls.wire.codec import Size, WireError
from demls.wire.framing import digest, framed
from demls.wire.messages import (
    Candidate,
    ChangeRequest,
    CommitContext,
    Entry,
    Frame,
    Leave,
    Proposal,
    Remove,
    Vote,
    decode_message,
    encode_message,
    long_encoder,
)
from demls.wire.statements import RoundStatement
from demls.wire.talk import ConversationMessage
from hypothesis import given, settings
from hypothesis import strategies as st

MESSAGES: dict[str, type] = {
    name: kind
    for name, kind in (vars(messages) | vars(chain) | vars(charters) | vars(statements) | vars(talk)).items()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and hasattr(pb, name)
}


def test_every_message_of_the_schema_has_its_dataclass() -> None:
    elsewhere = {"MemberInvite", "RemoveMember"}  # ``Invite`` and ``Remove``, which are only parts of a change
    assert set(pb.DESCRIPTOR.message_types_by_name) == set(MESSAGES) | elsewhere


# --- Any value of any message -------------------------------------------------------------------------------------


def values_of(kind: Any, metadata: Any = types.MappingProxyType({})) -> st.SearchStrategy[Any]:
    """All values of a type that stay within its bounds; large bounds are cut."""
    kind, size = _bounds(kind)
    if "oneof" in metadata:
        return st.one_of(*(values_of(choice) for choice in metadata["oneof"].values()))
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        fields = [field for field in dataclasses.fields(kind) if field.init]
        return st.builds(kind, **{field.name: values_of(hints[field.name], field.metadata) for field in fields})
    least, most = (size.least, size.least if size.most < 0 else size.most) if size else (0, 3)
    most = min(most, least + 4)
    if typing.get_origin(kind) is tuple:
        return st.lists(values_of(typing.get_args(kind)[0]), min_size=least, max_size=min(most, 3)).map(tuple)
    if kind is bytes:
        return st.binary(min_size=least, max_size=most)
    if kind is str:
        return st.text(st.characters(codec="utf-8", max_codepoint=127), min_size=least, max_size=most)
    if kind is bool:
        return st.booleans()
    assert kind is int, kind
    return st.integers(0, 2**32 - 1)


def _bounds(kind: Any) -> tuple[Any, Size | None]:
    if typing.get_origin(kind) is typing.Annotated:
        base, *extras = typing.get_args(kind)
        return base, next((extra for extra in extras if isinstance(extra, Size)), None)
    return kind, None


@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_written_is_read_back(name: str) -> None:
    @settings(max_examples=8)
    @given(values_of(MESSAGES[name]))
    def check(value: Any) -> None:
        assert decode_message(encode_message(value), MESSAGES[name]) == value

    check()


# --- The law: the same value and the same bytes, or WireError ------------------------------------------------------


def obeys(data: bytes, kind: type) -> None:
    try:
        value = decode_message(data, kind)
    except WireError:
        return
    assert encode_message(value) == data


@pytest.mark.parametrize("name", MESSAGES)
def test_random_bytes_are_refused_or_canonical(name: str) -> None:
    @settings(max_examples=40)
    @given(st.binary(max_size=120))
    def check(data: bytes) -> None:
        obeys(data, MESSAGES[name])

    check()


@pytest.mark.parametrize("name", MESSAGES)
def test_changed_bytes_are_refused_or_canonical(name: str) -> None:
    @settings(max_examples=20)
    @given(values_of(MESSAGES[name]), st.data())
    def check(value: Any, data: st.DataObject) -> None:
        raw = bytearray(encode_message(value))
        for _ in range(data.draw(st.integers(1, 3))):
            kind = data.draw(st.sampled_from(("flip", "cut", "insert", "repeat")))
            place = data.draw(st.integers(0, max(len(raw) - 1, 0)))
            if kind == "flip" and raw:
                raw[place] ^= 1 << data.draw(st.integers(0, 7))
            elif kind == "cut":
                del raw[place:]
            elif kind == "insert":
                raw[place:place] = data.draw(st.binary(min_size=1, max_size=4))
            else:
                raw += raw[place:]
        obeys(bytes(raw), MESSAGES[name])

    check()


# --- Form ---------------------------------------------------------------------------------------------------------

PROPOSAL = Proposal(bytes(32), 1, b"o" * 20, ChangeRequest(Remove(b"m" * 20)), 5, 30, bytes(64))
ENTRY = Entry(b"p" * 32, b"")
STATEMENT = RoundStatement(1, b"h" * 32, 2, b"", b"", b"m" * 20, bytes(64), 1)


def test_unknown_fields_are_refused() -> None:
    extended = encode_message(ENTRY) + b"\xfa\x3f\x01x"  # field 1023
    with pytest.raises(WireError, match="canonical"):
        decode_message(extended, Entry)


def test_a_field_that_stands_twice_is_refused() -> None:
    with pytest.raises(WireError, match="canonical"):
        decode_message(encode_message(ENTRY) * 2, Entry)


def test_fields_in_another_order_are_refused() -> None:
    one, other = pb.Entry(proposal_id=b"p" * 32), pb.Entry(certificate_hash=b"c" * 32)
    raw = one.SerializeToString() + other.SerializeToString()
    assert decode_message(raw, Entry) == Entry(b"p" * 32, b"c" * 32)
    with pytest.raises(WireError, match="canonical"):
        decode_message(other.SerializeToString() + one.SerializeToString(), Entry)


def test_a_number_in_more_bytes_than_it_needs_is_refused() -> None:
    raw = encode_message(STATEMENT)
    assert raw.startswith(b"\x08\x01")
    with pytest.raises(WireError):
        decode_message(b"\x08\x81\x00" + raw[2:], RoundStatement)


def test_text_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(WireError):
        decode_message(b"\x0a\x01\xff" + bytes(80), messages.JoinAnswer)


def test_a_choice_of_none_is_refused() -> None:
    with pytest.raises(WireError, match="payload is empty"):
        decode_message(b"", Frame)
    with pytest.raises(WireError, match="payload is empty"):
        decode_message(b"", ChangeRequest)


def test_an_empty_message_is_a_choice_too() -> None:
    assert decode_message(encode_message(ChangeRequest(Leave())), ChangeRequest).payload == Leave()


def test_a_missing_part_is_refused() -> None:
    with pytest.raises(WireError, match=r"Proposal\.change is missing"):
        decode_message(
            pb.Proposal(group_id=bytes(32), owner=bytes(20), signature=bytes(64)).SerializeToString(), Proposal
        )


def test_deeply_nested_bytes_are_refused() -> None:
    raw = b""
    for _ in range(5_000):
        raw = b"\x1a" + _varint(len(raw)) + raw
    with pytest.raises(WireError):
        decode_message(raw, Frame)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


POLICY = charters.Policy(
    "day",
    charters.Rule(1, False),
    charters.Rule(1, False),
    0,
    1,
    1,
    7,
    charters.Rule(1, False),
    charters.Rule(1, False),
    2,
    0,
    charters.Rule(1, False),
    charters.Scoring(100, 0, 2, 50, 30, 10, 100, 5, 10, 20, 50),
)
SETTINGS = messages.Settings(bytes(32), "friends", "", POLICY)
ELECTION = messages.StewardElection((b"s" * 20,), 1, 0, ())
LISTING = chain.StewardListing((b"s" * 20,), 1, 1, 0, (), ())
NOTICE = messages.SuccessorNotice(1, b"h" * 32, b"m" * 20, (b"i" * 20,), (b"link",), bytes(64))
CHARTER = charters.Charter(1, "demls", "friends", "", bytes(32), POLICY)
SEAT = chain.Seat(b"s" * 20, 0, b"k" * 32, 0)

TALK = ConversationMessage(b"m", bytes(16), 1, 1, (), 0, bytes(8), 0, 0, bytes(64))
LACKING = talk.Lacking(bytes(20), bytes(8), (talk.Stretch(1, 2),))
QUESTION = talk.ChatQuestion(0, bytes(20), 1, 0, (LACKING,), (), bytes(64))
PLACES = talk.ChatPlaces(0, bytes(20), b"", 1, False, (), bytes(64))

OUT_OF_BOUNDS = {
    "an election of nobody": dataclasses.replace(ELECTION, proposed_stewards=()),
    "an election of 1001 stewards": dataclasses.replace(ELECTION, proposed_stewards=(b"s" * 20,) * 1001),
    "an election of an address of 19 bytes": dataclasses.replace(ELECTION, proposed_stewards=(b"s" * 19,)),
    "an election that leaves out 51 members": dataclasses.replace(ELECTION, excluded=(b"s" * 20,) * 51),
    "a list of 1001 stewards": dataclasses.replace(LISTING, members=(b"s" * 20,) * 1001),
    "a dormant member of 21 bytes": messages.Dormant(b"m" * 21),
    "an awake member of nobody": messages.Awake(b""),
    "a successor for nobody": dataclasses.replace(NOTICE, invited=(), links=()),
    "an empty link to a successor": dataclasses.replace(NOTICE, links=(b"",)),
    "a link of 1025 bytes to a successor": dataclasses.replace(NOTICE, links=(b"l" * 1025,)),
    "a turn lost by an address of 5 bytes": chain.LostTurn(b"short", 1),
    "a token of 17 bytes": messages.JoinRequest(b"k", b"t" * 17, 1, b"i" * 20, bytes(64)),
    "an id of 31 bytes": Entry(b"p" * 31, b""),
    "an id of 33 bytes": Entry(b"p" * 33, b""),
    "a certificate hash of 33 bytes": Entry(b"p" * 32, b"c" * 33),
    "an empty vote": Vote(b""),
    "a vote of 513 bytes": Vote(b"v" * 513),
    "a context without entries": CommitContext(b"h" * 32, 0, 0, ()),
    "a context with 51 entries": CommitContext(b"h" * 32, 0, 0, (ENTRY,) * 51),
    "an Update without bytes": messages.Refresh(b""),
    "an Update of 8193 bytes": messages.Refresh(b"u" * 8_193),
    "51 Updates in a candidate": Candidate(b"c", b"", b"", b"", (b"u",) * 51),
    "an empty Update in a candidate": Candidate(b"c", b"", b"", b"", (b"",)),
    "keys of an address of 5 bytes": chain.KeyAge(b"short", 1, 1),
    "a candidate without a commit": Candidate(b"", b"", b"", b""),
    "nine messages seen": dataclasses.replace(TALK, seen=(bytes(16),) * 9),
    "a message seen of 15 bytes, and others": dataclasses.replace(TALK, seen=(bytes(16), bytes(15), bytes(16))),
    "a message seen of 17 bytes, and others": dataclasses.replace(TALK, seen=(bytes(16), bytes(16), bytes(17))),
    "a text of 32769 bytes": dataclasses.replace(TALK, message=b"m" * 32_769),
    "a message of a device without a name": dataclasses.replace(TALK, stream=b""),
    "a message without a signature": dataclasses.replace(TALK, signature=b""),
    "a question about 33 devices": dataclasses.replace(QUESTION, lacking=(LACKING,) * 33),
    "a question about 33 stretches": dataclasses.replace(
        QUESTION, lacking=(dataclasses.replace(LACKING, stretches=(talk.Stretch(1, 2),) * 33),)
    ),
    "a device of which nothing is missing": dataclasses.replace(LACKING, stretches=()),
    "a question about 33 ids": dataclasses.replace(QUESTION, ids=(bytes(16),) * 33),
    "257 places": dataclasses.replace(PLACES, places=(talk.ChatPlace(bytes(20), bytes(8), 1, 0),) * 257),
    "nothing said again": talk.SaidAgain(0, b""),
    "too much said again": talk.SaidAgain(0, bytes(64 * 1024 + 1)),
    "51 choices": dataclasses.replace(STATEMENT, choices=b"\x01" * 51),
    "a digest of 513 proposals": messages.Digest(
        1,
        b"h" * 32,
        0,
        b"m" * 20,
        b"a" * 20,
        (messages.ProposalState(b"p" * 32, b"", b""),) * 513,
        (),
        b"",
        b"",
        bytes(64),
    ),
}


@pytest.mark.parametrize("case", OUT_OF_BOUNDS)
def test_what_is_out_of_bounds_is_refused(case: str) -> None:
    value = OUT_OF_BOUNDS[case]
    with pytest.raises(WireError):
        decode_message(_serialized(value), type(value))


def _serialized(value: Any) -> bytes:
    """The bytes of a value that is out of bounds, whether or not ``encode_message`` writes it."""
    message = getattr(pb, type(value).__name__)()
    _fill(value, message)
    return bytes(message.SerializeToString(deterministic=True))


def _fill(value: Any, message: Any) -> None:
    for field in (field for field in dataclasses.fields(value) if field.init):
        content = getattr(value, field.name)
        if isinstance(content, tuple) and content and dataclasses.is_dataclass(content[0]):
            for item in content:
                _fill(item, getattr(message, field.name).add())
        elif dataclasses.is_dataclass(content):
            _fill(content, getattr(message, field.name))
        elif isinstance(content, tuple):
            getattr(message, field.name).extend(content)
        else:
            setattr(message, field.name, content)


# --- What is signed and hashed ------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
def test_different_parts_are_framed_differently(parts: list[bytes], others: list[bytes]) -> None:
    assert (framed(b"d", *parts) == framed(b"d", *others)) == (parts == others)


def test_the_domain_separates_digests() -> None:
    assert digest(b"demls topic 1", b"x") != digest(b"demls channel key 1", b"x")


CHANGES: dict[str, dict[str, Any]] = {
    "group": {"group_id": b"g" * 32},
    "epoch": {"epoch": 2},
    "owner": {"owner": b"x" * 20},
    "payload": {"change": ChangeRequest(Remove(b"x" * 20))},
    "kind": {"change": ChangeRequest(Leave())},
    "another kind of the same fields": {"change": ChangeRequest(messages.Dormant(b"m" * 20))},
    "yet another kind of the same fields": {"change": ChangeRequest(messages.Awake(b"m" * 20))},
    "creation": {"created_at": 6},
    "duration": {"duration": 31},
}


@pytest.mark.parametrize("field", CHANGES)
def test_the_id_of_a_proposal_depends_on_all_it_says(field: str) -> None:
    assert dataclasses.replace(PROPOSAL, **CHANGES[field]).id != PROPOSAL.id


def test_the_id_of_a_proposal_does_not_depend_on_its_signature() -> None:
    assert dataclasses.replace(PROPOSAL, signature=b"s" * 64).id == PROPOSAL.id


@pytest.mark.parametrize("field", ["commit", "welcome", "joiner_key", "sync"])
def test_the_id_of_a_candidate_depends_on_every_byte(field: str) -> None:
    candidate = Candidate(b"c", b"w", b"k", b"s")
    assert dataclasses.replace(candidate, **{field: b"x"}).id != candidate.id


@given(values_of(ConversationMessage), st.binary(max_size=40))
def test_what_is_signed_of_a_chat_message_is_all_of_it_but_the_signature(message: Any, group: bytes) -> None:
    unsigned = encode_message(dataclasses.replace(message, signature=bytes(64)))
    assert message.content(group) == framed(b"demls message 1", group, unsigned)
    assert talk.signed_content(encode_message(message), group) == message.content(group)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(ConversationMessage)])
def test_a_chat_message_signs_all_it_says(field: str) -> None:
    changed = {"message": b"x", "message_id": b"x" * 16, "seen": (bytes(16),), "stream": b"x" * 8}.get(field, 9)
    if field == "signature":
        assert dataclasses.replace(TALK, signature=b"x" * 64).content(b"g") == TALK.content(b"g")
    else:
        assert dataclasses.replace(TALK, **{field: changed}).content(b"g") != TALK.content(b"g")


@pytest.mark.parametrize("field", ["epoch", "head", "view", "candidate", "choices", "member", "kind"])
def test_a_statement_signs_all_it_says(field: str) -> None:
    changed = {"head": b"x" * 32, "candidate": b"c" * 32, "choices": b"\x02", "member": b"x" * 20}.get(field, 9)
    assert dataclasses.replace(STATEMENT, **{field: changed}).content(b"g") != STATEMENT.content(b"g")
    assert STATEMENT.content(b"g") != STATEMENT.content(b"other group")


SETTINGS_CHANGES: dict[str, dict[str, Any]] = {
    "base": {"base": b"b" * 32},
    "name": {"name": "others"},
    "description": {"description": "of the yard"},
    "policy": {"policy": dataclasses.replace(POLICY, stewards_max=8)},
    "a rule": {"policy": dataclasses.replace(POLICY, election=charters.Rule(1, False, 4))},
    "who decides": {"policy": dataclasses.replace(POLICY, invite=charters.Rule(1, False, 2, 2))},
}


@pytest.mark.parametrize("field", SETTINGS_CHANGES)
def test_the_id_of_a_settings_proposal_depends_on_all_it_says(field: str) -> None:
    changed = dataclasses.replace(SETTINGS, **SETTINGS_CHANGES[field])
    proposals = [dataclasses.replace(PROPOSAL, change=ChangeRequest(settings)) for settings in (SETTINGS, changed)]
    assert proposals[0].id != proposals[1].id


@pytest.mark.parametrize("field", ["proposed_stewards", "election_epoch", "retry_round", "excluded"])
def test_the_id_of_an_election_depends_on_all_it_says(field: str) -> None:
    changed = {"proposed_stewards": (b"x" * 20,), "excluded": (b"x" * 20,)}.get(field, 5)
    other = dataclasses.replace(ELECTION, **{field: changed})
    proposals = [dataclasses.replace(PROPOSAL, change=ChangeRequest(election)) for election in (ELECTION, other)]
    assert proposals[0].id != proposals[1].id


@pytest.mark.parametrize("field", ["epoch", "head", "member", "invited", "links"])
def test_a_notice_of_a_successor_signs_all_it_says(field: str) -> None:
    changed = {"epoch": 2, "head": b"x" * 32, "member": b"x" * 20, "invited": (b"x" * 20,), "links": (b"x",)}[field]
    assert dataclasses.replace(NOTICE, **{field: changed}).content(b"g") != NOTICE.content(b"g")
    assert NOTICE.content(b"g") != NOTICE.content(b"other group")
    assert dataclasses.replace(NOTICE, signature=b"s" * 64).content(b"g") == NOTICE.content(b"g")


CHARTER_CHANGES: dict[str, dict[str, Any]] = {
    "version": {"version": 2},
    "profile": {"profile": "reference"},
    "name": {"name": "others"},
    "description": {"description": "of the yard"},
    "rendezvous": {"rendezvous": b"r" * 32},
    "policy": {"policy": dataclasses.replace(POLICY, dormant_after=1)},
    "predecessor": {"predecessor": (charters.Predecessor(bytes(32), 1, bytes(32), ()),)},
}


@pytest.mark.parametrize("field", CHARTER_CHANGES)
def test_the_digest_of_a_charter_depends_on_all_it_says(field: str) -> None:
    assert dataclasses.replace(CHARTER, **CHARTER_CHANGES[field]).digest != CHARTER.digest


def test_a_charter_with_two_predecessors_is_refused() -> None:
    before = charters.Predecessor(bytes(32), 1, bytes(32), ())
    with pytest.raises(WireError):
        decode_message(_serialized(dataclasses.replace(CHARTER, predecessor=(before,) * 2)), charters.Charter)


def test_an_electorate_of_nobody_is_refused() -> None:
    sound = chain.Electorate(1, (SEAT,), (), POLICY)
    assert decode_message(encode_message(sound), chain.Electorate) == sound
    with pytest.raises(WireError):
        decode_message(_serialized(dataclasses.replace(sound, seats=())), chain.Electorate)


BEFORE = {"none": b"", "a hash": b"h" * 32}


@pytest.mark.parametrize("case", BEFORE)
def test_an_electorate_names_the_state_before_or_none(case: str) -> None:
    sound = chain.Electorate(1, (SEAT,), (), POLICY, BEFORE[case])
    assert decode_message(encode_message(sound), chain.Electorate) == sound
    with pytest.raises(WireError):
        decode_message(_serialized(dataclasses.replace(sound, before=b"h" * 33)), chain.Electorate)


def test_a_bundle_of_no_votes_or_too_many_is_refused() -> None:
    vote = messages.Vote(b"v" * 100)
    sound = messages.VoteBundle((vote,) * 1_000)
    assert decode_message(encode_message(Frame(sound)), Frame).payload == sound
    for votes in ((), (vote,) * 1_001, (messages.Vote(b"v" * 513),), (messages.Vote(b""),)):
        with pytest.raises(WireError):
            decode_message(_serialized(messages.VoteBundle(votes)), messages.VoteBundle)


# --- Long messages --------------------------------------------------------------------------------------------------


@given(st.lists(values_of(chain.Electorate), min_size=1, max_size=4), st.data())
def test_a_long_message_is_encoded_as_any_other(epochs: list[Any], data: st.DataObject) -> None:
    """Also after others, of which some seats have stayed and some have changed under the same address."""
    encoder = long_encoder(chain.Electorate, "seats")
    before: dict[bytes, chain.Seat] = {}
    for electorate in epochs:
        seats = {seat.address: seat for seat in electorate.seats}
        stayed = {a: s for a, s in before.items() if data.draw(st.booleans())}
        changed = {
            a: dataclasses.replace(s, dormant=not s.dormant) for a, s in stayed.items() if data.draw(st.booleans())
        }
        before = stayed | changed | seats
        value = dataclasses.replace(electorate, seats=tuple(before.values()))
        with mock.patch.object(codec, "_MANY", data.draw(st.sampled_from([0, 3]))):
            assert encoder.encode(value) == encode_message(value)


@given(values_of(chain.Succession))
def test_a_succession_is_encoded_as_any_other(follows: Any) -> None:
    encoder = long_encoder(chain.Succession, "keys")
    with mock.patch.object(codec, "_MANY", 0):
        assert encoder.encode(follows) == encoder.encode(follows) == encode_message(follows)
    assert encoder.encode(follows) == encode_message(follows)
