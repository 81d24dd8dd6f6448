"""How is a large record kept, so that only what has changed of it is written?

Its row in ``large`` names its pieces (``pieces.py``). A piece is kept once, however many records of the scope name it:
what a group hands from record to record (a candidate that is settled, a list of members in each epoch) is not written
again. ``pieces`` counts how often each is named, apart from the bytes in ``contents``, so that counting does not
rewrite these. A piece that nobody names any more goes in the same transaction.

A piece is known by a keyed digest of its scope and bytes: who does not have the key of the file can make no two
pieces of the same digest. The pieces of a record's last version are found in its row; those of other records are
remembered, for the newest ``_REMEMBERED_MAX`` names. To forget one costs no more than to keep its bytes twice.
"""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import NamedTuple

from demls.storage.connection import Connection, insert
from demls.storage.errors import StorageError
from demls.storage.pieces import cut

_DIGEST_BYTES = 16
_NAME = struct.Struct(f">{_DIGEST_BYTES}sQ")
_REMEMBERED_MAX = 16_384
"""Of 60 MB of records, for 3 MB of memory."""


class _Name(NamedTuple):
    """A piece: the digest of its bytes, and the number of its row, which is never given again."""

    digest: bytes
    row: int


class LargeRecords:
    """The large records of one file. All calls belong to a transaction of the caller; ``forget`` if that fails."""

    __slots__ = ("_key", "_large_bytes", "_rows")

    def __init__(self, key: bytes, large_bytes: int) -> None:
        """``key``: that of the file. ``large_bytes``: records of more bytes are large."""
        self._large_bytes = large_bytes
        self._key = hashlib.blake2b(key=key, person=b"demls pieces").digest()
        self._rows: dict[bytes, int] = {}
        """Digest to row, what was named last at the end. Only a hint: a row may be gone."""

    def forget(self) -> None:
        """What was remembered may not be in the file."""
        self._rows.clear()

    # Writing

    def write(self, connection: Connection, scope: int, records: Mapping[bytes, bytes | None]) -> set[bytes]:
        """Keep those of ``records`` that are large, forget older versions of all. The keys of the large ones.

        ``records``: what each is from now on, None if it is deleted.
        """
        before = {key: names for key in records if (names := self._names(connection, scope, key))}
        large = {key: value for key, value in records.items() if value and len(value) > self._large_bytes}
        if not before and not large:
            return set()
        pieces: dict[bytes, bytes] = {}
        digests: dict[bytes, list[bytes]] = {}
        for key, value in large.items():
            cuts = cut(value)
            digests[key] = [self._digest(scope, piece) for piece in cuts]
            pieces.update(zip(digests[key], cuts, strict=True))
        named = Counter(chain.from_iterable(digests.values()))
        names_before = list(chain.from_iterable(before.values()))
        rows = self._rows_of(connection, pieces, dict(names_before))
        more = Counter({row: named[digest] for digest, row in rows.items()})
        more.subtract(row for _, row in names_before)
        self._count(connection, more)  # first, since what is new can have the pages that become free
        for digest, piece in pieces.items():
            if digest not in rows:
                rows[digest] = self._insert(connection, piece, named[digest])
        for key, listed in digests.items():
            self._list(connection, scope, key, [_Name(digest, rows[digest]) for digest in listed])
        connection.executemany(
            "DELETE FROM large WHERE scope = ? AND key = ?", [(scope, key) for key in before if key not in large]
        )
        return set(large)

    def drop(self, connection: Connection, scope: int | None) -> None:
        """Delete all of ``scope``."""
        more: Counter[int] = Counter()
        for (listed,) in connection.execute("SELECT pieces FROM large WHERE scope = ?", (scope,)).fetchall():
            more.subtract(name.row for name in _unpack(listed))
        self._count(connection, more)
        connection.execute("DELETE FROM large WHERE scope = ?", (scope,))

    # Reading

    def read(self, connection: Connection, scope: int | None) -> dict[bytes, bytes]:
        """All large records of ``scope``. Raises StorageError if a piece is missing."""
        records = {}
        for key, listed in connection.execute("SELECT key, pieces FROM large WHERE scope = ?", (scope,)).fetchall():
            names = _unpack(listed)
            records[key] = b"".join(self._contents(connection, name.row) for name in names)
            self._remember(names)
        return records

    # Inside

    def _digest(self, scope: int, piece: bytes) -> bytes:
        salt = scope.to_bytes(hashlib.blake2b.SALT_SIZE, "big")
        return hashlib.blake2b(piece, digest_size=_DIGEST_BYTES, key=self._key, salt=salt).digest()

    def _names(self, connection: Connection, scope: int, key: bytes) -> list[_Name]:
        """The pieces of the record as it stands in the file; empty if it is not large."""
        row = connection.execute("SELECT pieces FROM large WHERE scope = ? AND key = ?", (scope, key)).fetchone()
        return _unpack(row[0]) if row else []

    def _rows_of(self, connection: Connection, wanted: Iterable[bytes], known: Mapping[bytes, int]) -> dict[bytes, int]:
        """The rows of those digests that are there, as far as one knows. ``known``: rows that are there for certain."""
        rows = {}
        for digest in wanted:
            row = known.get(digest) or self._rows.get(digest)
            if row and (digest in known or connection.execute("SELECT 1 FROM pieces WHERE id = ?", (row,)).fetchone()):
                rows[digest] = row
        return rows

    def _list(self, connection: Connection, scope: int, key: bytes, names: list[_Name]) -> None:
        self._remember(names)
        connection.execute(
            "INSERT INTO large (scope, key, pieces) VALUES (?, ?, ?) "
            "ON CONFLICT (scope, key) DO UPDATE SET pieces = excluded.pieces",
            (scope, key, b"".join(_NAME.pack(*name) for name in names)),
        )

    def _remember(self, names: list[_Name]) -> None:
        for digest, row in names:
            self._rows.pop(digest, None)
            self._rows[digest] = row
        for _ in range(len(self._rows) - _REMEMBERED_MAX):
            del self._rows[next(iter(self._rows))]

    def _count(self, connection: Connection, more: Mapping[int, int]) -> None:
        """Pieces are named so many times more, or less; those that nobody names any more are deleted."""
        for row, change in more.items():
            if change == 0:
                continue
            counted = connection.execute(
                "UPDATE pieces SET uses = uses + ? WHERE id = ? RETURNING uses", (change, row)
            ).fetchall()
            if counted == [(0,)]:
                connection.execute("DELETE FROM pieces WHERE id = ?", (row,))
                connection.execute("DELETE FROM contents WHERE piece = ?", (row,))

    def _insert(self, connection: Connection, piece: bytes, uses: int) -> int:
        row = insert(connection, "INSERT INTO pieces (uses) VALUES (?)", (uses,))
        connection.execute("INSERT INTO contents (piece, bytes) VALUES (?, ?)", (row, piece))
        return row

    def _contents(self, connection: Connection, row: int) -> bytes:
        found = connection.execute("SELECT bytes FROM contents WHERE piece = ?", (row,)).fetchone()
        if found is None:
            raise StorageError("The data is damaged: a record is not whole; restore a backup.")
        piece: bytes = found[0]
        return piece


def _unpack(listed: bytes) -> list[_Name]:
    return [_Name(*name) for name in _NAME.iter_unpack(listed)]
