"""How does a frozen dataclass become protobuf bytes, and which bytes become one?

A dataclass and its protobuf message have the same field names; bounds stand in the annotations. Decoding is strict:
only the canonical bytes of a value are read, everything else raises ``WireError`` and nothing else does.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from google.protobuf.message import DecodeError, Message

if TYPE_CHECKING:
    from collections.abc import Hashable

T = TypeVar("T")


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


def _plan(cls: type) -> tuple[_Field, ...]:
    return _plan_of(cast("Hashable", cls))


@cache
def _plan_of(cls: Any) -> tuple[_Field, ...]:
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


def fill(value: Any, message: Message) -> None:
    """Write a dataclass into its protobuf message."""
    for field in _plan(type(value)):
        content = getattr(value, field.name)
        match field.kind:
            case "scalar":
                setattr(message, field.name, content)
            case "message":
                target = getattr(message, field.name)
                target.SetInParent()
                fill(content, target)
            case "repeated":
                getattr(message, field.name).extend(content)
            case "repeated_message":
                for item in content:
                    fill(item, getattr(message, field.name).add())
            case _:
                chosen = next(name for name, kind in field.choices if type(content) is kind)
                target = getattr(message, chosen)
                target.SetInParent()
                fill(content, target)


def read(cls: type[T], message: Message) -> T:
    """The dataclass in a protobuf message. Raises WireError."""
    values = {field.name: _value(cls, field, message) for field in _plan(cls)}
    return cls(**values)


def _value(cls: type, field: _Field, message: Message) -> Any:
    match field.kind:
        case "message":
            if not message.HasField(field.name):
                raise WireError(f"{cls.__name__}.{field.name} is missing")
            return read(field.target, getattr(message, field.name))
        case "oneof":
            chosen = message.WhichOneof(field.name)
            kind = dict(field.choices).get(chosen or "")
            if chosen is None or kind is None:
                raise WireError(f"{cls.__name__}.{field.name} is empty")
            return read(kind, getattr(message, chosen))
    content = getattr(message, field.name)
    if field.kind == "scalar":
        _check(cls, field.name, content, field.size)
        return content
    if field.size is not None and not field.size.holds(len(content)):
        raise WireError(f"{cls.__name__}.{field.name} has {len(content)} items")
    if field.kind == "repeated_message":
        return tuple(read(field.target, item) for item in content)
    for item in content:
        _check(cls, field.name, item, field.item_size)
    return tuple(content)


def _check(cls: type, name: str, content: Any, size: Size | None) -> None:
    if size is None:
        return
    count = len(content.encode()) if isinstance(content, str) else len(content)
    if not size.holds(count):
        raise WireError(f"{cls.__name__}.{name} has {count} bytes")


def encode(value: Any, schema: type[Message]) -> bytes:
    """The canonical bytes of a dataclass."""
    message = schema()
    fill(value, message)
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
    return read(cls, message)
