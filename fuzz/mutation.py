"""How is an input changed? Bytes blindly, wire messages field by field; all of it a function of the generator given."""

from __future__ import annotations

import dataclasses
import types
import typing
from functools import cache
from random import Random
from typing import Any

from demls.wire import demls_pb2 as pb
from demls.wire.codec import Size, WireError
from demls.wire.messages import decode_message, encode_message
from google.protobuf.descriptor import FieldDescriptor

_BYTES = (0x00, 0x01, 0x1F, 0x20, 0x3F, 0x40, 0x7F, 0x80, 0xBF, 0xC0, 0xFE, 0xFF)
_RUNS = (b"\xff" * 4, b"\x00" * 8, b"\x7f\xff\xff\xff", b"\x80\xff\xff\xff", b"\xff" * 8 + b"\x01", b"\xed\xa0\x80")
_TEXTS = ("", "a", "é", "\x00", "\u202e", "\n", "\U0001f600" * 16)
_SHORT_NUMBERS = frozenset(
    field.name
    for message in pb.DESCRIPTOR.message_types_by_name.values()
    for field in message.fields
    if field.type == FieldDescriptor.TYPE_UINT32
)
_GROWTH_MAX = 64 * 1024


def mutate_bytes(generator: Random, data: bytes, others: list[bytes]) -> bytes:
    """``data`` with one to five changes; ``others`` are spliced in."""
    changed = bytearray(data)
    for _ in range(generator.choice((1, 1, 1, 2, 3, 5))):
        at = generator.randrange(len(changed) + 1)
        match generator.randrange(9):
            case 0 | 1 if at < len(changed):
                changed[at] ^= 1 << generator.randrange(8)
            case 2 if at < len(changed):
                changed[at] = generator.choice(_BYTES)
            case 3:
                changed[at:at] = generator.randbytes(generator.randrange(1, 9))
            case 4:
                del changed[at : at + generator.choice((1, 1, 2, 4, 8, 64))]
            case 5:
                run = generator.choice(_RUNS)
                changed[at : at + len(run)] = run
            case 6:
                changed[at:at] = changed[at : at + generator.randrange(1, 65)]
            case 7:
                del changed[at:]
            case _:
                other = generator.choice(others) if others else b""
                start = generator.randrange(len(other) + 1)
                piece = other[start : start + generator.choice((1, 8, 32, 256))]
                changed[at : at + generator.choice((0, len(piece)))] = piece
    return bytes(changed[:_GROWTH_MAX]) if len(changed) > len(data) else bytes(changed)


def mutate_message(generator: Random, data: bytes, others: list[bytes], cls: type) -> bytes:
    """The bytes of a wire message with a field changed; blindly changed bytes where they are none, and now and then."""
    if generator.random() < 0.3:
        return mutate_bytes(generator, data, others)
    try:
        value = decode_message(data, cls)
    except WireError:
        return mutate_bytes(generator, data, others)
    for _ in range(generator.choice((1, 1, 2, 4))):
        value = _changed(generator, value)
    return encode_message(value)


def sample(generator: Random, cls: type, depth: int = 0) -> Any:
    """A value of a wire message within its bounds; large ones are rare."""
    hints = _hints(cls)
    return cls(
        **{
            field.name: _content(generator, field, hints[field.name], depth)
            for field in dataclasses.fields(cls)
            if field.init
        }
    )


def _content(generator: Random, field: Any, hint: Any, depth: int) -> Any:
    hint, size = _bounds(hint)
    if "oneof" in field.metadata:
        return sample(generator, generator.choice(list(field.metadata["oneof"].values())), depth + 1)
    if typing.get_origin(hint) is tuple:
        item, item_size = _bounds(typing.get_args(hint)[0])
        least, most = _range(size)
        count = min(most, max(least, generator.randrange(4 if depth < 2 else 2)))
        return tuple(_single(generator, item, item_size, 64, depth) for _ in range(count))
    return _single(generator, hint, size, _bits(field.name), depth)


def _single(generator: Random, hint: Any, size: Size | None, bits: int, depth: int) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return sample(generator, hint, depth + 1)
    least, most = _range(size)
    if hint is bytes:
        return generator.randbytes(generator.choice((least, min(most, max(least, generator.randrange(100))))))
    if hint is str:
        return "".join(generator.choice("ab é") for _ in range(max(least, min(most // 2, generator.randrange(20)))))
    if hint is bool:
        return generator.random() < 0.5
    return _number(generator, bits)


def _number(generator: Random, bits: int) -> int:
    top = 2**bits - 1
    near = (0, 1, 2, 3, 63, 64, 127, 128, 2**31, 1_800_000_000_000, 2**53, 2**62, 2**63 - 1, 2**63, top - 1, top)
    return min(top, generator.choice((*near, generator.randrange(top + 1))))


def _changed(generator: Random, value: Any) -> Any:
    """The same message with one field replaced, in it or in a message inside it."""
    cls = type(value)
    hints = _hints(cls)
    fields = [field for field in dataclasses.fields(cls) if field.init]
    if not fields:
        return value
    field = generator.choice(fields)
    old = getattr(value, field.name)
    hint, _ = _bounds(hints[field.name])
    if dataclasses.is_dataclass(old) and generator.random() < 0.9:
        new = _changed(generator, old)
    elif isinstance(old, tuple):
        new = _changed_items(generator, old, *_bounds(typing.get_args(hint)[0]))
    elif isinstance(old, bytes):
        new = _changed_bytes(generator, old)
    elif isinstance(old, str):
        new = generator.choice((*_TEXTS, old[: generator.randrange(len(old) + 1)], old + "x", old * 2))
    elif type(old) is int:
        bits = _bits(field.name)
        new = generator.choice((max(0, old - 1), min(2**bits - 1, old + 1), _number(generator, bits)))
    else:
        new = _content(generator, field, hints[field.name], 1)
    if isinstance(hint, types.UnionType) and not dataclasses.is_dataclass(new):
        return value
    return dataclasses.replace(value, **{field.name: new})


def _changed_items(generator: Random, old: tuple[Any, ...], item: Any, size: Size | None) -> tuple[Any, ...]:
    items = list(old)
    match generator.randrange(5):
        case 0 if items:
            del items[generator.randrange(len(items))]
        case 1 if items:
            items.append(generator.choice(items))
        case 2:
            generator.shuffle(items)
        case 3:
            items.insert(generator.randrange(len(items) + 1), _single(generator, item, size, 64, 1))
        case _ if items:
            at = generator.randrange(len(items))
            if dataclasses.is_dataclass(items[at]):
                items[at] = _changed(generator, items[at])
            elif isinstance(items[at], bytes):
                items[at] = _changed_bytes(generator, items[at])
    return tuple(items)


def _changed_bytes(generator: Random, old: bytes) -> bytes:
    match generator.randrange(4):
        case 0:
            return b""
        case 1:
            return generator.randbytes(len(old))
        case 2 if old:
            at = generator.randrange(len(old))
            return old[:at] + bytes([old[at] ^ 1 << generator.randrange(8)]) + old[at + 1 :]
        case _:
            return mutate_bytes(generator, old, [])


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def _bounds(hint: Any) -> tuple[Any, Size | None]:
    if typing.get_origin(hint) is typing.Annotated:
        base, *extras = typing.get_args(hint)
        return base, next((extra for extra in extras if isinstance(extra, Size)), None)
    return hint, None


def _range(size: Size | None) -> tuple[int, int]:
    if size is None:
        return 0, 100
    return size.least, size.most if size.most >= 0 else size.least


def _bits(name: str) -> int:
    """32 or 64: what the protobuf field of a number holds."""
    return 32 if name in _SHORT_NUMBERS else 64
