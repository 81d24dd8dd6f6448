"""How does a frozen dataclass become protobuf bytes, and which bytes become one?

A dataclass and its protobuf message have the same field names; bounds stand in the annotations. Decoding is strict:
only the canonical bytes of a value are read, everything else raises ``WireError`` and nothing else does.

What the annotations of a class say is looked up once: its writer and its reader are closures over that.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar, cast

from google.protobuf.message import DecodeError, Message

T = TypeVar("T")

_Write: TypeAlias = Callable[[Any, Any], None]
"""(value, message): writes the one into the other."""

_Read: TypeAlias = Callable[[Any], Any]
"""(message): the value in it. Raises WireError."""


def _once(make: Callable[[Any], T]) -> Callable[[Any], T]:
    """Makes something once for each class; ``cache`` by itself does not take classes for hashable."""
    return cache(make)


class WireError(ValueError):
    """Bytes that are not the canonical encoding of a message within its bounds."""


@dataclass(frozen=True, slots=True)
class Size:
    """Bounds of a bytes, string (in UTF-8) or repeated field: ``Size(32)`` is exactly 32, ``Size(0, 64)`` up to 64."""

    least: int
    most: int = -1

    def holds(self, size: int) -> bool:
        return self.least <= size <= (self.least if self.most < 0 else self.most)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    kind: str  # scalar, message, repeated, repeated_message, oneof
    target: Any
    size: Size | None
    item_size: Size | None
    choices: tuple[tuple[str, type], ...] = ()


@_once
def _plan(cls: Any) -> tuple[_Field, ...]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return tuple(
        _field(field.name, hints[field.name], field.metadata) for field in dataclasses.fields(cls) if field.init
    )


def _field(name: str, hint: Any, metadata: Any) -> _Field:
    hint, size = _bounds(hint)
    if "oneof" in metadata:
        return _Field(name, "oneof", None, None, None, tuple(metadata["oneof"].items()))
    if typing.get_origin(hint) is tuple:
        item, item_size = _bounds(typing.get_args(hint)[0])
        kind = "repeated_message" if dataclasses.is_dataclass(item) else "repeated"
        return _Field(name, kind, item, size, item_size)
    if isinstance(hint, types.UnionType):
        raise TypeError(f"{name}: a union needs its oneof table")
    return _Field(name, "message" if dataclasses.is_dataclass(hint) else "scalar", hint, size, None)


def _bounds(hint: Any) -> tuple[Any, Size | None]:
    if typing.get_origin(hint) is typing.Annotated:
        base, *extras = typing.get_args(hint)
        return base, next((extra for extra in extras if isinstance(extra, Size)), None)
    return hint, None


# --- Writing --------------------------------------------------------------------------------------------------------


@_once
def _writer(cls: Any) -> _Write:
    """Writes values of this class."""
    return _fields_writer(_plan(cls))


def _fields_writer(plan: Sequence[_Field]) -> _Write:
    scalars = [field.name for field in plan if field.kind == "scalar"]
    parts = [_part_writer(field) for field in plan if field.kind != "scalar"]

    def write(value: Any, message: Any) -> None:
        for name in scalars:
            setattr(message, name, getattr(value, name))
        for part in parts:
            part(value, message)

    return write


def _part_writer(field: _Field) -> _Write:
    name = field.name
    if field.kind == "repeated":
        return lambda value, message: getattr(message, name).extend(getattr(value, name))
    if field.kind == "repeated_message":
        write_item = _writer(field.target)

        def write_items(value: Any, message: Any) -> None:
            items = getattr(message, name)
            for item in getattr(value, name):
                write_item(item, items.add())

        return write_items
    named = {kind: (chosen, _writer(kind)) for chosen, kind in field.choices or ((name, field.target),)}

    def write_part(value: Any, message: Any) -> None:
        content = getattr(value, name)
        chosen, write_content = named[type(content)]
        target = getattr(message, chosen)
        target.SetInParent()
        write_content(content, target)

    return write_part


# --- Reading --------------------------------------------------------------------------------------------------------


@_once
def _reader(cls: Any) -> _Read:
    """Reads values of this class."""
    plan = _plan(cls)
    if len(plan) > 1 and all(field.kind in ("scalar", "repeated") for field in plan):
        return _flat_reader(cls, plan)
    parts = [_part_reader(f"{cls.__name__}.{field.name}", field) for field in plan]
    return lambda message: cls(*[part(message) for part in parts])


def _flat_reader(cls: Any, plan: tuple[_Field, ...]) -> _Read:
    """For a message without others in it, as most are: all is fetched at once."""
    fetch = attrgetter(*(field.name for field in plan))
    checks = [
        (place, _check(f"{cls.__name__}.{field.name}", field.size, field.target))
        for place, field in enumerate(plan)
        if field.kind == "scalar" and field.size is not None
    ]
    lists = [
        (place, _items_reader(f"{cls.__name__}.{field.name}", field))
        for place, field in enumerate(plan)
        if field.kind == "repeated"
    ]

    def read(message: Any) -> Any:
        values = fetch(message)
        for place, check in checks:
            check(values[place])
        return cls(*values)

    def read_lists(message: Any) -> Any:
        values = list(fetch(message))
        for place, check in checks:
            check(values[place])
        for place, read_items in lists:
            values[place] = read_items(message)
        return cls(*values)

    return read_lists if lists else read


def _part_reader(called: str, field: _Field) -> _Read:
    match field.kind:
        case "scalar":
            return _scalar_reader(called, field)
        case "message":
            return _message_reader(called, field)
        case "oneof":
            return _choice_reader(called, field)
        case _:
            return _items_reader(called, field)


def _scalar_reader(called: str, field: _Field) -> _Read:
    fetch, check = attrgetter(field.name), _check(called, field.size, field.target)

    def read(message: Any) -> Any:
        content = fetch(message)
        check(content)
        return content

    return read if field.size is not None else fetch


def _message_reader(called: str, field: _Field) -> _Read:
    name, read_content = field.name, _reader(field.target)

    def read(message: Any) -> Any:
        if not message.HasField(name):
            raise WireError(f"{called} is missing")
        return read_content(getattr(message, name))

    return read


def _choice_reader(called: str, field: _Field) -> _Read:
    name, readers = field.name, {chosen: _reader(kind) for chosen, kind in field.choices}

    def read(message: Any) -> Any:
        chosen = message.WhichOneof(name)
        if chosen not in readers:
            raise WireError(f"{called} is empty")
        return readers[chosen](getattr(message, chosen))

    return read


def _items_reader(called: str, field: _Field) -> _Read:
    fetch, check = attrgetter(field.name), _check(called, field.size, tuple)
    check_items = _check_each(called, field.item_size, field.target)
    read_item = _reader(field.target) if field.kind == "repeated_message" else None

    def read(message: Any) -> Any:
        items = fetch(message)
        check(items)
        if read_item is not None:
            return tuple([read_item(item) for item in items])
        values = tuple(items)
        check_items(values)
        return values

    return read


def _check_each(called: str, size: Size | None, kind: Any) -> Callable[[Sequence[Any]], None]:
    """Raises WireError if one of some contents of this kind is out of bounds."""
    check = _check(called, size, kind)
    least, most = (size.least, size.least if size.most < 0 else size.most) if size is not None else (0, 0)

    def check_all(contents: Sequence[Any]) -> None:
        for content in contents:
            check(content)

    def check_sizes(contents: Sequence[bytes]) -> None:
        if contents and not (least <= min(map(len, contents)) and max(map(len, contents)) <= most):
            check_all(contents)  # one of them raises

    if size is None:
        return lambda _: None
    return check_all if kind is str else check_sizes


def _check(called: str, size: Size | None, kind: Any) -> Callable[[Any], None]:
    """Raises WireError for content of this kind that is out of bounds."""
    if size is None:
        return lambda _: None
    least, most = size.least, size.least if size.most < 0 else size.most
    unit = "items" if kind is tuple else "bytes"

    def check(content: Any) -> None:
        if not least <= len(content) <= most:
            raise WireError(f"{called} has {len(content)} {unit}")

    def check_text(content: str) -> None:
        check(content.encode())

    return check_text if kind is str else check


# --- Long messages --------------------------------------------------------------------------------------------------


_MANY = 16
"""Fewer items are encoded as quickly as they are looked up."""


class LongEncoder:
    """Encodes messages of one class whose ``field`` has many items, of which few change from one to the next.

    The bytes of an item are kept as long as the same object is in each message.
    """

    def __init__(self, cls: type, schema: type[Message], field: str) -> None:
        numbers = {one.name: one.number for one in schema.DESCRIPTOR.fields}
        plan = [one for one in _plan(cls) if one.name != field]
        items = next(one for one in _plan(cls) if one.name == field)
        self._schema, self._field = schema, field
        self._item_schema = type(getattr(schema(), field).add())
        self._write_item = _writer(items.target)
        self._before = _fields_writer([one for one in plan if numbers[one.name] < numbers[field]])
        self._after = _fields_writer([one for one in plan if numbers[one.name] > numbers[field]])
        self._tag = varint(numbers[field] << 3 | 2)
        self._known: dict[int, tuple[Any, bytes]] = {}
        """By identity, which belongs to no other object as long as this one is here."""

    def encode(self, value: Any) -> bytes:
        """The canonical bytes, as ``encode`` gives them. O(items), most of them looked up if they are many."""
        items = getattr(value, self._field)
        if len(items) < _MANY:
            self._known = {}
            return encode(value, self._schema)
        ids = list(map(id, items))
        found = list(map(self._known.get, ids))
        for place in [place for place, known in enumerate(found) if known is None]:
            found[place] = items[place], self._encoded(items[place])
        self._known = dict(zip(ids, cast("list[tuple[Any, bytes]]", found), strict=True))
        encoded = [known[1] for known in found if known is not None]
        return b"".join([self._part(self._before, value), *encoded, self._part(self._after, value)])

    def _part(self, write: _Write, value: Any) -> bytes:
        message = self._schema()
        write(value, message)
        return message.SerializeToString(deterministic=True)

    def _encoded(self, item: Any) -> bytes:
        message = self._item_schema()
        self._write_item(item, message)
        data: bytes = message.SerializeToString(deterministic=True)
        return self._tag + varint(len(data)) + data


def varint(number: int) -> bytes:
    """A protobuf varint, as short as can be."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


# --- All of it ------------------------------------------------------------------------------------------------------


def encode(value: Any, schema: type[Message]) -> bytes:
    """The canonical bytes of a dataclass."""
    message = schema()
    _writer(type(value))(value, message)
    return message.SerializeToString(deterministic=True)


def decode(data: bytes, cls: type[T], schema: type[Message]) -> T:
    """The dataclass whose canonical bytes these are. Raises WireError."""
    message = schema()
    try:
        message.ParseFromString(data)
    except DecodeError as problem:
        raise WireError("not a message") from problem
    message.DiscardUnknownFields()
    if message.SerializeToString(deterministic=True) != data:
        raise WireError("not canonical, or with unknown fields")
    value: T = _reader(cls)(message)
    return value
