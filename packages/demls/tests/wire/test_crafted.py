"""What comes with new seats, repaired chat and new keys: is every crafted form and length of it refused?

Forms are made from bytes, field by field; lengths stand in a table of their own, so that a bound that moves is seen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
from demls.wire import chain, talk
from demls.wire import demls_pb2 as pb
from demls.wire.chain import KeyAge, Reseated, Succession
from demls.wire.codec import WireError
from demls.wire.messages import (
    Candidate,
    ChangeRequest,
    Frame,
    NothingKept,
    PartsRequest,
    Proposal,
    Refresh,
    Resync,
    WelcomeOutline,
    WelcomePart,
    decode_message,
    encode_message,
)
from demls.wire.talk import (
    ChatPlace,
    ChatPlaces,
    ChatQuestion,
    ConversationMessage,
    Lacking,
    SaidAgain,
    SpokenMessage,
    Stretch,
)
from google.protobuf.descriptor import FieldDescriptor

ID, STREAM, KEY, WHO, OTHER, SIGNATURE = b"i" * 16, b"t" * 8, b"k" * 32, b"m" * 20, b"o" * 20, b"s" * 64

RESYNC = Resync(KEY, b"h" * 32, b"package", 5, 4, 6, b"n" * 16, b"w" * 65)
REFRESH = Refresh(b"update", renews_binding=True)
NOTHING = NothingKept(2, WHO, 3, OTHER, SIGNATURE)
RESEATED = Reseated(WHO, 4, 5)
AGE = KeyAge(WHO, 4, 5)
LISTING = chain.StewardListing((WHO,), 1, 1, 1, (OTHER,), (OTHER,))
SUCCESSION = Succession(LISTING, (chain.LostTurn(WHO, 1),), (WHO,), (chain.Deed(WHO, 1, 1),), (RESEATED,), (AGE,))
CANDIDATE = Candidate(b"commit", b"welcome", b"j" * 32, b"sync", (b"one", b"two"))
TEXT = ConversationMessage(b"text", ID, 2, 3, (ID,), 4, STREAM, 5, 1, SIGNATURE)
SPOKEN = SpokenMessage(WHO, TEXT)
AGAIN = SaidAgain(4, b"sealed")
STRETCH = Stretch(1, 2)
LACKING = Lacking(WHO, STREAM, (STRETCH,))
QUESTION = ChatQuestion(1, WHO, 2, 3, (LACKING,), (ID,), SIGNATURE)
PLACE = ChatPlace(WHO, STREAM, 1, 2, 3, 4)
PLACES = ChatPlaces(1, WHO, OTHER, 2, True, (PLACE,), SIGNATURE)
OUTLINE = WelcomeOutline(b"welcome", (KEY, b"p" * 32), WHO)
PART = WelcomePart(KEY, 1, b"data")
MISSING = PartsRequest(KEY, WHO, b"\x03")

Value: TypeAlias = Any
WHOLE: dict[str, Value] = {
    type(value).__name__: value
    for value in (
        *(RESYNC, REFRESH, NOTHING, RESEATED, AGE, SUCCESSION, CANDIDATE, TEXT, SPOKEN, AGAIN),
        *(STRETCH, LACKING, QUESTION, PLACE, PLACES, OUTLINE, PART, MISSING),
    )
}
"""Each message with something in every field."""

IN_A_FRAME = {value: Frame(value) for value in (NOTHING, QUESTION, AGAIN, PLACES, OUTLINE, PART, MISSING)}
IN_A_CHANGE = {value: ChangeRequest(value) for value in (RESYNC, REFRESH)}
WRAPPED = list(IN_A_FRAME.values()) + list(IN_A_CHANGE.values())

# --- Bytes, field by field ----------------------------------------------------------------------------------------

Part: TypeAlias = tuple[int, bytes]
"""(number, the whole field with its tag)."""


def parts_of(raw: bytes) -> list[Part]:
    """The fields of a message, each as it stands there."""
    found, at = [], 0
    while at < len(raw):
        tag, content = _varint(raw, at)
        end = _varint(raw, content)[1]
        if tag & 7 == 2:
            end += _varint(raw, content)[0]
        found.append((tag >> 3, raw[at:end]))
        at = end
    return found


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while raw[at] & 128:
        number |= (raw[at] & 127) << shift
        at, shift = at + 1, shift + 7
    return number | raw[at] << shift, at + 1


def varint(number: int, *, longer: bool = False) -> bytes:
    """``longer``: with a byte that is not needed."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number | 128, 0]) if longer else bytes([*out, number])


def joined(parts: list[Part]) -> bytes:
    return b"".join(raw for _, raw in parts)


def tag_and_rest(raw: bytes) -> tuple[bytes, bytes]:
    end = _varint(raw, 0)[1]
    return raw[:end], raw[end:]


Form: TypeAlias = Callable[[list[Part], type], Iterator[bytes]]


def unknown_field(parts: list[Part], kind: type) -> Iterator[bytes]:
    known = pb.DESCRIPTOR.message_types_by_name[kind.__name__].fields_by_number
    for number in (next(n for n in range(1, 2_000) if n not in known), 99, 1_023):
        if number not in known:
            yield joined(parts) + varint(number << 3 | 2) + b"\x01x"
            yield varint(number << 3) + b"\x01" + joined(parts)


def doubled(parts: list[Part], kind: type) -> Iterator[bytes]:
    fields = pb.DESCRIPTOR.message_types_by_name[kind.__name__].fields_by_number
    for place, (number, raw) in enumerate(parts):
        if not fields[number].is_repeated:
            yield joined([*parts[: place + 1], (number, raw), *parts[place + 1 :]])


def turned_round(parts: list[Part], kind: type) -> Iterator[bytes]:
    if len({number for number, _ in parts}) > 1:
        yield joined(parts[::-1])


def padded_numbers(parts: list[Part], kind: type) -> Iterator[bytes]:
    """Tags, lengths and numbers in more bytes than they need."""
    for place, (number, raw) in enumerate(parts):
        tag, rest = tag_and_rest(raw)
        value, end = _varint(rest, 0)
        yield joined([*parts[:place], (number, varint(_varint(tag, 0)[0], longer=True) + rest), *parts[place + 1 :]])
        yield joined([*parts[:place], (number, tag + varint(value, longer=True) + rest[end:]), *parts[place + 1 :]])


def told_defaults(parts: list[Part], kind: type) -> Iterator[bytes]:
    """A field that is empty or zero, and says so instead of being left out."""
    fields = pb.DESCRIPTOR.message_types_by_name[kind.__name__].fields_by_number
    for place, (number, raw) in enumerate(parts):
        if not fields[number].is_repeated and fields[number].type != FieldDescriptor.TYPE_MESSAGE:
            yield joined([*parts[:place], (number, tag_and_rest(raw)[0] + b"\0"), *parts[place + 1 :]])


def numbers_that_do_not_fit(parts: list[Part], kind: type) -> Iterator[bytes]:
    """Beyond 64 bits, beyond 32 where there are 32, and truths other than one."""
    fields = pb.DESCRIPTOR.message_types_by_name[kind.__name__].fields_by_number
    most = {FieldDescriptor.TYPE_BOOL: 1, FieldDescriptor.TYPE_UINT32: 2**32 - 1}
    for place, (number, raw) in enumerate(parts):
        tag, _ = tag_and_rest(raw)
        if _varint(tag, 0)[0] & 7 == 0:
            for value in (most.get(fields[number].type, 2**64 - 1) + 1, 2**64 + 1, 2**70):
                yield joined([*parts[:place], (number, tag + varint(value)), *parts[place + 1 :]])


def of_another_kind(parts: list[Part], kind: type) -> Iterator[bytes]:
    """A number where bytes are due, bytes where a number is due, and kinds that nothing here has."""
    for place, (number, raw) in enumerate(parts):
        own = _varint(raw, 0)[0] & 7
        for foreign, content in ((0, b"\x01"), (2, b"\x01x"), (1, bytes(8)), (5, bytes(4)), (3, b""), (4, b"")):
            if foreign != own:
                crafted = varint(number << 3 | foreign) + content
                yield joined([*parts[:place], (number, crafted), *parts[place + 1 :]])


def cut_short(parts: list[Part], kind: type) -> Iterator[bytes]:
    whole, ends = joined(parts), set()
    for _, raw in parts:
        ends.add(max(ends, default=0) + len(raw))
    yield from (whole[:end] for end in range(1, len(whole)) if end not in ends)


FORMS: dict[str, Form] = {
    "an unknown field": unknown_field,
    "a field twice": doubled,
    "another order": turned_round,
    "a number in more bytes than it needs": padded_numbers,
    "an empty field that is told": told_defaults,
    "a number that does not fit": numbers_that_do_not_fit,
    "a field of another kind": of_another_kind,
    "an end in the middle of a field": cut_short,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", WHOLE)
def test_a_crafted_form_is_refused(name: str, form: str) -> None:
    value = WHOLE[name]
    raw = encode_message(value)
    assert all(parts_of(raw)), "the fields were not found"
    assert joined(parts_of(raw)) == raw
    assert decode_message(raw, type(value)) == value
    for crafted in FORMS[form](parts_of(raw), type(value)):
        assert crafted != raw
        with pytest.raises(WireError):
            decode_message(crafted, type(value))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrapped", WRAPPED, ids=lambda value: type(value.payload).__name__)
def test_a_crafted_form_inside_another_message_is_refused(wrapped: Frame | ChangeRequest, form: str) -> None:
    inner = wrapped.payload
    (tag, _), *_ = [tag_and_rest(raw) for _, raw in parts_of(encode_message(wrapped))]
    for crafted in FORMS[form](parts_of(encode_message(inner)), type(inner)):
        with pytest.raises(WireError):
            decode_message(tag + varint(len(crafted)) + crafted, type(wrapped))


def test_no_form_is_without_cases() -> None:
    """Else nothing above would prove anything."""
    for form in FORMS.values():
        made = [name for name, value in WHOLE.items() if any(form(parts_of(encode_message(value)), type(value)))]
        assert len(made) > len(WHOLE) / 2, form


# --- Lengths ------------------------------------------------------------------------------------------------------

LENGTHS: dict[tuple[str, str], tuple[int, int]] = {
    ("Resync", "leaf_key"): (32, 32),
    ("Resync", "head"): (0, 32),
    ("Resync", "key_package_bytes"): (1, 16_384),
    ("Resync", "nonce"): (16, 16),
    ("Resync", "wallet_signature"): (65, 65),
    ("Refresh", "update"): (1, 8_192),
    ("NothingKept", "asked_by"): (20, 20),
    ("NothingKept", "member"): (20, 20),
    ("NothingKept", "signature"): (64, 64),
    ("Reseated", "member_id"): (20, 20),
    ("KeyAge", "member_id"): (20, 20),
    ("ConversationMessage", "message"): (1, 32_768),
    ("ConversationMessage", "message_id"): (16, 16),
    ("ConversationMessage", "stream"): (8, 8),
    ("ConversationMessage", "signature"): (64, 64),
    ("SpokenMessage", "member"): (20, 20),
    ("SaidAgain", "sealed"): (1, 65_536),
    ("Lacking", "member"): (20, 20),
    ("Lacking", "stream"): (8, 8),
    ("ChatQuestion", "member"): (20, 20),
    ("ChatQuestion", "signature"): (64, 64),
    ("ChatPlace", "member"): (20, 20),
    ("ChatPlace", "stream"): (8, 8),
    ("ChatPlaces", "member"): (20, 20),
    ("ChatPlaces", "asked"): (0, 20),
    ("ChatPlaces", "signature"): (64, 64),
    ("WelcomeOutline", "welcome"): (1, 4_194_304),
    ("WelcomeOutline", "member"): (20, 20),
    ("WelcomePart", "bundle"): (32, 32),
    ("WelcomePart", "data"): (1, 49_152),
    ("PartsRequest", "bundle"): (32, 32),
    ("PartsRequest", "asked"): (20, 20),
    ("PartsRequest", "missing"): (1, 43),
}
COUNTS: dict[tuple[str, str], tuple[int, int]] = {
    ("Succession", "reseated"): (0, 10_000),
    ("WelcomeOutline", "parts"): (1, 342),
    ("Succession", "keys"): (0, 10_000),
    ("Candidate", "updates"): (0, 50),
    ("ConversationMessage", "seen"): (0, 8),
    ("Lacking", "stretches"): (1, 32),
    ("ChatQuestion", "lacking"): (0, 32),
    ("ChatQuestion", "ids"): (0, 32),
    ("ChatPlaces", "places"): (0, 256),
}
ITEM_LENGTHS: dict[tuple[str, str], tuple[int, int]] = {
    ("Candidate", "updates"): (1, 8_192),
    ("ConversationMessage", "seen"): (16, 16),
    ("ChatQuestion", "ids"): (16, 16),
    ("WelcomeOutline", "parts"): (32, 32),
}
OLDER = {("Succession", name) for name in ("stewards", "lost", "dormant", "deeds")} | {
    ("Candidate", name) for name in ("commit", "welcome", "joiner_key", "sync")
}
"""Fields that test_codec.py has."""


def test_every_field_with_a_length_stands_in_a_table() -> None:
    for name, value in WHOLE.items():
        for field in (field for field in dataclasses.fields(value) if field.init):
            place, content = (name, field.name), getattr(value, field.name)
            if isinstance(content, bytes):
                assert place in LENGTHS or place in OLDER, place
            elif isinstance(content, tuple):
                assert place in COUNTS or place in OLDER, place
                assert place in ITEM_LENGTHS or place in OLDER or dataclasses.is_dataclass(content[0]), place


Case: TypeAlias = tuple[str, str, Any, bool]


def _cases() -> Iterator[Case]:
    """(message, field, content, whether it is within the bounds)."""
    for (name, field), (least, most) in LENGTHS.items():
        yield from ((name, field, b"x" * size, ok) for size, ok in _around(least, most))
    for (name, field), (least, most) in COUNTS.items():
        item = getattr(WHOLE[name], field)[:1]
        yield from ((name, field, item * count, ok) for count, ok in _around(least, most))
    for (name, field), (least, most) in ITEM_LENGTHS.items():
        yield from ((name, field, (b"x" * size,), ok) for size, ok in _around(least, most))


def _around(least: int, most: int) -> Iterator[tuple[int, bool]]:
    yield from ((size, True) for size in {least, most})
    yield from ((size, False) for size in (least - 1, most + 1) if size >= 0)


@pytest.mark.parametrize("case", list(_cases()), ids=lambda case: f"{case[0]}.{case[1]} {len(case[2])} {case[3]}")
def test_each_side_of_every_length(case: Case) -> None:
    name, field, content, is_within = case
    kind = type(WHOLE[name])
    raw = _with(WHOLE[name], field, content)
    if is_within:
        assert getattr(decode_message(raw, kind), field) == content
    else:
        with pytest.raises(WireError, match=field):
            decode_message(raw, kind)


def _with(value: Value, field: str, content: Any) -> bytes:
    """The canonical bytes of a message with another content of one field, whatever its length."""
    kind = type(value)
    schema = getattr(pb, kind.__name__)
    number = schema.DESCRIPTOR.fields_by_name[field].number
    items = content if isinstance(content, tuple) else (content,) if content else ()
    raws = [item if isinstance(item, bytes) else encode_message(item) for item in items]
    filled = [(number, varint(number << 3 | 2) + varint(len(raw)) + raw) for raw in raws]
    others = [part for part in parts_of(encode_message(value)) if part[0] != number]
    return joined(sorted([*others, *filled], key=lambda part: part[0]))


# --- Choices ------------------------------------------------------------------------------------------------------


def test_the_numbers_of_the_new_choices_are_those_of_the_schema() -> None:
    """Whoever moves one cuts off everybody who has not moved it."""
    frames = {name: field.number for name, field in pb.Frame.DESCRIPTOR.fields_by_name.items()}
    changes = {name: field.number for name, field in pb.ChangeRequest.DESCRIPTOR.fields_by_name.items()}
    names = ("nothing_kept", "chat_question", "said_again", "chat_places")
    names += ("welcome_outline", "welcome_part", "parts_request")
    assert [frames[name] for name in names] == [120, 124, 125, 126, 131, 132, 133]
    assert [changes[name] for name in ("resync", "refresh")] == [110, 111]
    assert pb.Candidate.DESCRIPTOR.fields_by_name["updates"].number == 110
    succession = pb.Succession.DESCRIPTOR.fields_by_name
    assert [succession[name].number for name in ("reseated", "keys")] == [110, 111]


@pytest.mark.parametrize("one", IN_A_FRAME.values(), ids=lambda value: type(value.payload).__name__)
@pytest.mark.parametrize("other", IN_A_FRAME.values(), ids=lambda value: type(value.payload).__name__)
def test_a_frame_with_two_messages_is_refused(one: Frame, other: Frame) -> None:
    with pytest.raises(WireError):
        decode_message(encode_message(one) + encode_message(other), Frame)


def test_a_change_of_two_kinds_is_refused() -> None:
    raws = [encode_message(change) for change in IN_A_CHANGE.values()]
    for crafted in (raws[0] + raws[1], raws[1] + raws[0], raws[0] * 2):
        with pytest.raises(WireError):
            decode_message(crafted, ChangeRequest)


@pytest.mark.parametrize("number", [102, 110, 119, 121, 122, 123, 127])
def test_a_frame_of_a_number_that_nobody_has_given_is_refused(number: int) -> None:
    content = encode_message(NOTHING)
    with pytest.raises(WireError):
        decode_message(varint(number << 3 | 2) + varint(len(content)) + content, Frame)


@pytest.mark.parametrize("kind", [NothingKept, ChatQuestion, SaidAgain, ChatPlaces, WelcomeOutline, PartsRequest])
def test_an_empty_message_in_a_frame_is_refused(kind: type) -> None:
    number = next(field.number for field in pb.Frame.DESCRIPTOR.fields if field.message_type.name == kind.__name__)
    with pytest.raises(WireError):
        decode_message(varint(number << 3 | 2) + b"\0", Frame)


def test_a_message_said_again_without_the_message_is_refused() -> None:
    with pytest.raises(WireError, match=r"SpokenMessage\.message is missing"):
        decode_message(pb.SpokenMessage(member=WHO).SerializeToString(), SpokenMessage)


def test_a_succession_without_a_list_of_stewards_is_refused() -> None:
    raw = encode_message(SUCCESSION)
    with pytest.raises(WireError, match=r"Succession\.stewards is missing"):
        decode_message(joined([part for part in parts_of(raw) if part[0] != 1]), Succession)


# --- What is signed -----------------------------------------------------------------------------------------------

SIGNED: dict[str, Value] = {type(value).__name__: value for value in (NOTHING, QUESTION, PLACES, TEXT)}


def _others(value: Value) -> Iterator[Value]:
    """The same message with one field changed, and what stands inside it as well."""
    for field in (field for field in dataclasses.fields(value) if field.init and field.name != "signature"):
        content = getattr(value, field.name)
        for changed in _changes(content):
            yield dataclasses.replace(value, **{field.name: changed})


def _changes(content: Any) -> Iterator[Any]:
    if isinstance(content, bool):
        yield not content
    elif isinstance(content, int):
        yield content + 1
    elif isinstance(content, bytes):
        yield b"x" * len(content)
    elif isinstance(content, tuple):
        yield ()
        yield content * 2
        yield from ((changed,) for changed in _changes(content[0]))
    else:
        yield from _others(content)


@pytest.mark.parametrize("name", SIGNED)
def test_a_signature_covers_everything_but_itself(name: str) -> None:
    value = SIGNED[name]
    content = value.content(b"g" * 32)
    others = list(_others(value))
    assert len(others) >= len(dataclasses.fields(value)) - 1
    assert all(other.content(b"g" * 32) != content for other in others)
    assert value.content(b"other group") != content
    assert dataclasses.replace(value, signature=b"x" * 64).content(b"g" * 32) == content


def test_no_signature_fits_a_message_of_another_kind() -> None:
    same = [
        talk.ChatQuestion(1, WHO, 2, 0, (), (), SIGNATURE),
        talk.ChatPlaces(1, WHO, b"", 2, False, (), SIGNATURE),
    ]
    assert len({value.content(b"g") for value in same}) == len(same)


@pytest.mark.parametrize("value", [RESYNC, REFRESH], ids=lambda value: type(value).__name__)
def test_the_id_of_a_request_depends_on_all_it_says(value: Value) -> None:
    proposal = Proposal(b"g" * 32, 1, WHO, ChangeRequest(value), 5, 0, SIGNATURE)
    others = [dataclasses.replace(proposal, change=ChangeRequest(other)) for other in _others(value)]
    assert len({other.id for other in others} | {proposal.id}) == len(others) + 1


def test_the_id_of_a_candidate_depends_on_the_updates_and_where_one_ends() -> None:
    ways = [(), (b"ab",), (b"a", b"b"), (b"b", b"a"), (b"a", b"b", b"b"), (b"abc",)]
    assert len({dataclasses.replace(CANDIDATE, updates=updates).id for updates in ways}) == len(ways)
    assert Candidate(b"c", b"", b"", b"s", (b"u",)).id != Candidate(b"c", b"", b"", b"su").id
