"""What of a group's state must be durable, and what has changed since it was last written?

State is kept as small records, key to bytes: a snapshot is all of them, a step's changes are those it touched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from demls.protocol.effects import Change
from demls.protocol.errors import BadSnapshot

T = TypeVar("T")

SCHEMA = 1
"""Version of the records; ``load`` refuses newer ones."""


class Ledger:
    """The records of one machine, in memory, with those that changed since the last ``drain``."""

    def __init__(self, records: Mapping[bytes, bytes] | None = None) -> None:
        self._records: dict[bytes, bytes] = dict(records or {})
        self._dirty: dict[bytes, None] = {}
        self._rooms: defaultdict[bytes, dict[bytes, None]] = defaultdict(dict)
        """The keys by what stands before their first slash: some are found without going through all."""
        self.writes = 0
        """How often a record has changed, to notice that one has."""
        for key in self._records:
            self._room(key)[key] = None

    def put(self, key: bytes, value: Any) -> None:
        """Keep ``value`` (a dataclass, Struct or plain data) under ``key``."""
        self.put_bytes(key, msgspec.msgpack.encode(value))

    def put_bytes(self, key: bytes, value: bytes) -> None:
        known = self._records.get(key)
        if known != value:
            if known is None:
                self._room(key)[key] = None
            self._records[key] = value
            self._dirty[key] = None
            self.writes += 1

    def delete(self, key: bytes) -> None:
        if self._records.pop(key, None) is not None:
            del self._room(key)[key]
            self._dirty[key] = None
            self.writes += 1

    def delete_all(self, prefix: bytes) -> None:
        for key in self._keys_under(prefix):
            self.delete(key)

    def get(self, key: bytes, kind: type[T]) -> T:
        """The value under ``key``. Raises BadSnapshot if it is missing or of another form."""
        try:
            return msgspec.msgpack.decode(self._records[key], type=kind)
        except (KeyError, msgspec.DecodeError) as problem:
            raise BadSnapshot(f"The stored record {key!r} is missing or damaged; restore a backup.") from problem

    def find(self, key: bytes, kind: type[T]) -> T | None:
        """The value under ``key``, None if there is none."""
        return self.get(key, kind) if key in self._records else None

    def get_bytes(self, key: bytes) -> bytes:
        """The bytes under ``key``. Raises BadSnapshot if there are none."""
        found = self._records.get(key)
        if found is None:
            raise BadSnapshot(f"The stored record {key!r} is missing; restore a backup.")
        return found

    def find_bytes(self, key: bytes) -> bytes | None:
        return self._records.get(key)

    def bytes_under(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(rest of the key, value) of all records whose key begins with ``prefix``, in the order of keys."""
        for key in self._keys_under(prefix):
            yield key[len(prefix) :], self._records[key]

    def under(self, prefix: bytes, kind: type[T]) -> Iterator[tuple[bytes, T]]:
        for rest, _ in self.bytes_under(prefix):
            yield rest, self.get(prefix + rest, kind)

    def _room(self, key: bytes) -> dict[bytes, None]:
        return self._rooms[key.partition(b"/")[0]]

    def _keys_under(self, prefix: bytes) -> list[bytes]:
        keys = self._room(prefix) if b"/" in prefix else self._records
        return sorted(key for key in keys if key.startswith(prefix))

    def drain(self) -> tuple[Change, ...]:
        """What changed since the last call, in the order of keys."""
        changes = tuple([Change(key, self._records.get(key)) for key in sorted(self._dirty)])
        self._dirty.clear()
        return changes

    def snapshot(self) -> dict[bytes, bytes]:
        return dict(self._records)
