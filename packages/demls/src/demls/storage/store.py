"""What is kept, and how does a batch become durable as a whole or not at all?

The file is SQLCipher's (AES-256 with an HMAC on each page) under a raw 32-byte key, in WAL mode with
``synchronous=FULL``: when ``commit`` returns, the batch has been through fsync. So a commit costs one fsync of the
disk plus, measured, 0.25 ms of processor time for one record of 500 B, 0.36 ms for 10 and 1.2 ms for 100; on a disk
whose fsync takes 0.1 ms the whole commit takes 0.4, 0.5 and 1.4 ms. Callers gather inbound work and write it at once.
Of large records only the pieces that have changed are written (``large.py``).

Deleted records are overwritten in the file (``secure_delete``); the write-ahead log may hold older pages, encrypted
under the same key, until the next checkpoint, and is emptied when the store is closed.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from demls.protocol.effects import Change, Outbound
from demls.storage.connection import Connection, connect, insert, prepare, translated
from demls.storage.errors import SchemaTooNew, StorageError
from demls.storage.large import LargeRecords
from demls.storage.lock import make_private_folder
from demls.storage.pieces import LARGE_BYTES
from demls.storage.schema import MIGRATIONS, SCHEMA_VERSION, VERSION_TABLE
from demls.wire.ids import Cursor, Instant, Topic

FILE_NAME = "demls.sqlite"
KEY_BYTES = 32

BACKUP_SETTING = "backup"
"""A setting that stands only in files made by ``backup``: whoever opens one knows that the original may have gone on,
so nothing may be sent from its old leaves (they resync). Its value: when it was made, in milliseconds."""


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """Something that people see: ``at`` in ms, ``kind`` a short word, ``body`` bytes that storage does not read."""

    scope: str
    at: Instant
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """A kept timeline row. ``id`` is global, only grows, and is never given twice."""

    id: int
    scope: str
    at: Instant
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """An envelope that is durable and not yet accepted by the transport."""

    id: int
    scope: str
    topic: Topic
    payload: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything one step leaves behind, written in one transaction.

    Scopes in ``drop_scopes`` lose their records and cursors first (so a scope may be dropped and written anew at
    once); what they still have to send, and their timeline, stay.
    """

    scope: str
    changes: Sequence[Change] = ()
    outbound: Sequence[Outbound] = ()
    cursors: Mapping[Topic, Cursor] = field(default_factory=dict)
    timeline: Sequence[TimelineRow] = ()
    drop_scopes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Committed:
    """The ids given to a batch's timeline rows and outbox entries, in the batch's order."""

    timeline_ids: tuple[int, ...]
    outbox_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """Rows of each table, and the size of the file in bytes."""

    scopes: int
    records: int
    outbox: int
    cursors: int
    timeline: int
    size_bytes: int


class Store:
    """One open file. Every method may be called from any thread; one lock, one call at a time."""

    __slots__ = ("_connection", "_key", "_large", "_lock", "_path", "_scope_ids")

    def __init__(self, path: Path, key: bytes, connection: Connection, large_bytes: int) -> None:
        """Use ``open``."""
        self._path = path
        self._key = key
        self._connection = connection
        self._lock = threading.RLock()
        self._scope_ids: dict[str, int] = {}
        self._large = LargeRecords(key, large_bytes)

    def __repr__(self) -> str:
        return f"Store({str(self._path)!r})"

    @classmethod
    def open(cls, path: Path, key: bytes, *, size_bytes_max: int | None = None, large_bytes: int = LARGE_BYTES) -> Self:
        """Open the file at ``path``, creating it (mode 0600, its folder 0700) or migrating it as needed.

        ``key``: 32 bytes. ``size_bytes_max``: beyond it, commits raise DiskFull; None: as large as the disk.
        ``large_bytes``: records of more bytes are kept in pieces; it may be another each time.
        Raises StorageError (wrong key, damaged, no permission), SchemaTooNew, DiskFull.
        """
        if len(key) != KEY_BYTES:
            raise ValueError("The key of the store is 32 bytes.")
        try:
            make_private_folder(path.parent)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            path.chmod(0o600)
        except OSError as problem:
            raise StorageError(
                f"The data file {path} cannot be written ({problem.strerror}); "
                "correct the permissions of its folder or choose another one."
            ) from problem
        connection = connect(path, key)
        try:
            store = cls(path, key, connection, large_bytes)
            with translated(path):
                prepare(connection, size_bytes_max)
                store._migrate()
                store._read_scopes()
        except BaseException:
            connection.close()
            raise
        return store

    def close(self) -> None:
        """Write the log back into the file and let go of it; harmless when repeated."""
        with self._lock:
            self._connection.close()
            self._key = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Writing

    def commit(self, batch: Batch) -> Committed:
        """Write ``batch`` whole and durably. Raises DiskFull, StorageError; then nothing of it is written."""
        with self._transaction() as connection:
            for name in batch.drop_scopes:
                self._drop(connection, name)
            scope = self._scope_id(connection, batch.scope)
            # The last change of a key wins, also when it is a deletion after a write.
            kept = {change.key: change.value for change in batch.changes}
            large = self._large.write(connection, scope, kept)
            connection.executemany(
                "DELETE FROM records WHERE scope = ? AND key = ?",
                [(scope, key) for key, value in kept.items() if value is None or key in large],
            )
            connection.executemany(
                "INSERT INTO records (scope, key, value) VALUES (?, ?, ?) "
                "ON CONFLICT (scope, key) DO UPDATE SET value = excluded.value",
                [(scope, key, value) for key, value in kept.items() if value is not None and key not in large],
            )
            connection.executemany(
                "INSERT INTO cursors (scope, topic, cursor) VALUES (?, ?, ?) "
                "ON CONFLICT (scope, topic) DO UPDATE SET cursor = excluded.cursor",
                [(scope, topic, cursor) for topic, cursor in batch.cursors.items()],
            )
            outbox_ids = tuple(
                insert(
                    connection,
                    "INSERT INTO outbox (scope, topic, payload) VALUES (?, ?, ?)",
                    (scope, envelope.topic, envelope.payload),
                )
                for envelope in batch.outbound
            )
            timeline_ids = tuple(
                insert(
                    connection,
                    "INSERT INTO timeline (scope, at, kind, body) VALUES (?, ?, ?, ?)",
                    (self._scope_id(connection, row.scope), row.at, row.kind, row.body),
                )
                for row in batch.timeline
            )
        return Committed(timeline_ids, outbox_ids)

    def published(self, ids: Iterable[int]) -> None:
        """Forget the outbox entries ``ids``: the transport has accepted them. Unknown ids are ignored."""
        with self._transaction() as connection:
            connection.executemany("DELETE FROM outbox WHERE id = ?", [(entry,) for entry in ids])

    def forget_topics(self, scope: str, topics: Iterable[Topic]) -> None:
        """Drop the cursors of topics that ``scope`` no longer reads."""
        with self._transaction() as connection:
            known = self._scope_ids.get(scope)
            connection.executemany(
                "DELETE FROM cursors WHERE scope = ? AND topic = ?", [(known, topic) for topic in topics]
            )

    def forget_timeline(self, scope: str) -> None:
        """Wipe what people saw in ``scope``."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM timeline WHERE scope = ?", (self._scope_ids.get(scope),))

    def forget_timeline_before(self, instant: Instant, limit: int = 1_000) -> int:
        """Delete what people saw before an instant, in all scopes, at most ``limit`` rows. How many went."""
        with self._transaction() as connection:
            return int(
                connection.execute(
                    "DELETE FROM timeline WHERE id IN (SELECT id FROM timeline WHERE at < ? LIMIT ?)", (instant, limit)
                ).rowcount
            )

    def set_setting(self, key: str, value: bytes | None) -> None:
        """Keep ``value`` under ``key``; None forgets it."""
        with self._transaction() as connection:
            if value is None:
                connection.execute("DELETE FROM settings WHERE key = ?", (key,))
            else:
                connection.execute(
                    "INSERT INTO settings (key, value) VALUES (?, ?) "
                    "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    (key, value),
                )

    # Reading

    def scopes(self) -> list[str]:
        """The scopes that hold records or cursors, in the order of their names."""
        return [
            name
            for (name,) in self._rows(
                "SELECT name FROM scopes WHERE id IN (SELECT scope FROM records) OR id IN (SELECT scope FROM large) "
                "OR id IN (SELECT scope FROM cursors) ORDER BY name"
            )
        ]

    def records(self, scope: str) -> dict[bytes, bytes]:
        """All records of ``scope``, in the order of their keys; empty for an unknown one."""
        known = self._scope_ids.get(scope)
        with self._lock, translated(self._path):
            small = dict(self._rows("SELECT key, value FROM records WHERE scope = ?", (known,)))
            return dict(sorted((small | self._large.read(self._connection, known)).items()))

    def cursors(self, scope: str) -> dict[Topic, Cursor]:
        """Where each topic of ``scope`` was read up to."""
        return {
            Topic(topic): Cursor(cursor)
            for topic, cursor in self._rows(
                "SELECT topic, cursor FROM cursors WHERE scope = ?", (self._scope_ids.get(scope),)
            )
        }

    def outbox(self, limit: int, after: int = 0) -> list[OutboxEntry]:
        """The first ``limit`` envelopes with an id above ``after``, in the order they were committed."""
        return [
            OutboxEntry(entry, scope, Topic(topic), payload)
            for entry, scope, topic, payload in self._rows(
                "SELECT outbox.id, scopes.name, topic, payload FROM outbox JOIN scopes ON scopes.id = outbox.scope "
                "WHERE outbox.id > ? ORDER BY outbox.id LIMIT ?",
                (after, limit),
            )
        ]

    def timeline(self, scope: str, before: int | None, limit: int) -> list[TimelineEntry]:
        """The newest ``limit`` entries of ``scope`` with an id below ``before`` (None: the newest), oldest first."""
        rows = self._rows(
            "SELECT id, at, kind, body FROM timeline WHERE scope = ? AND id < ? ORDER BY id DESC LIMIT ?",
            (self._scope_ids.get(scope), 2**63 - 1 if before is None else before, limit),
        )
        return [TimelineEntry(entry, scope, Instant(at), kind, body) for entry, at, kind, body in reversed(rows)]

    def timeline_after(self, entry_id: int, limit: int) -> list[TimelineEntry]:
        """The first ``limit`` entries of all scopes with an id above ``entry_id``, oldest first."""
        return [
            TimelineEntry(entry, scope, Instant(at), kind, body)
            for entry, scope, at, kind, body in self._rows(
                "SELECT timeline.id, scopes.name, at, kind, body FROM timeline "
                "JOIN scopes ON scopes.id = timeline.scope WHERE timeline.id > ? ORDER BY timeline.id LIMIT ?",
                (entry_id, limit),
            )
        ]

    def setting(self, key: str) -> bytes | None:
        """What was kept under ``key``, or None."""
        rows = self._rows("SELECT value FROM settings WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    def counts(self) -> StoreCounts:
        """How much is kept. Reads whole indexes: for people and metrics, not for every message."""
        (row,) = self._rows(
            "SELECT (SELECT COUNT(*) FROM scopes), (SELECT COUNT(*) FROM records) + (SELECT COUNT(*) FROM large), "
            "(SELECT COUNT(*) FROM outbox), "
            "(SELECT COUNT(*) FROM cursors), (SELECT COUNT(*) FROM timeline), "
            "(SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size())"
        )
        return StoreCounts(*row)

    def backup(self, target: Path) -> None:
        """Copy everything, as of now, into a new file at ``target``, encrypted under the same key.

        The copy carries BACKUP_SETTING. Commits wait while it is made (about a second for 200 MB). The file appears
        under its name only when it is whole. Raises StorageError if ``target`` exists or cannot be written.
        """
        part = target.with_name(target.name + ".part")
        if target.exists():
            raise StorageError(f"{target} already exists; choose another name for the backup.")
        try:
            part.unlink(missing_ok=True)
            os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as problem:
            raise StorageError(
                f"The backup {target} cannot be written ({problem.strerror}); choose another place for it."
            ) from problem
        try:
            with self._lock, translated(target):
                copy = connect(part, self._key)
                try:
                    self._connection.backup(copy)
                    copy.execute("PRAGMA journal_mode=DELETE")
                    copy.execute("PRAGMA synchronous=FULL")
                    copy.execute(
                        "INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING",
                        (BACKUP_SETTING, str(time.time_ns() // 1_000_000).encode()),
                    )
                finally:
                    copy.close()
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    # Inside

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        with self._lock, translated(self._path):
            rows: list[Any] = self._connection.execute(sql, parameters).fetchall()
            return rows

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._lock, translated(self._path):
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite may already have rolled back on a full disk
                    connection.execute("ROLLBACK")
                self._read_scopes()
                self._large.forget()
                raise

    def _read_scopes(self) -> None:
        self._scope_ids = dict(self._connection.execute("SELECT name, id FROM scopes").fetchall())

    def _scope_id(self, connection: Connection, name: str) -> int:
        known = self._scope_ids.get(name)
        if known is None:
            known = insert(connection, "INSERT INTO scopes (name) VALUES (?)", (name,))
            self._scope_ids[name] = known
        return known

    def _drop(self, connection: Connection, name: str) -> None:
        known = self._scope_ids.get(name)
        self._large.drop(connection, known)
        connection.execute("DELETE FROM records WHERE scope = ?", (known,))
        connection.execute("DELETE FROM cursors WHERE scope = ?", (known,))

    def _migrate(self) -> None:
        connection = self._connection
        connection.execute(VERSION_TABLE)
        (found,) = connection.execute("SELECT COALESCE(MAX(version), 0) FROM migrations").fetchone()
        if found > SCHEMA_VERSION:
            raise SchemaTooNew(
                f"The data in {self._path} was written by a newer version of demls (schema {found}, this version reads "
                f"up to {SCHEMA_VERSION}); install the newest demls. Nothing has been changed."
            )
        for migration in MIGRATIONS[found:]:
            with self._migration():
                for statement in migration.statements:
                    connection.execute(statement)
                connection.execute(
                    "INSERT INTO migrations (version, what) VALUES (?, ?)", (migration.version, migration.what)
                )

    @contextlib.contextmanager
    def _migration(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
