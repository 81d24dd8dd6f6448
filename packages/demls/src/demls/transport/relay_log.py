"""What does a relay remember? Envelopes by topic in one SQLite file, oldest dropped first when a bound is reached.

Sequences are global to the log and never given twice, so within a topic they grow, with holes. A log has a random
id: cursors into another log (the file was deleted, the relay moved) are recognised and begin anew.

``append`` takes a whole batch and returns when it is durable: one fsync for as many envelopes as came meanwhile.
Methods block; the relay calls the writing ones from one thread and the reading ones from another.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import portalocker

from demls.transport.base import TransportError
from demls.transport.relay_protocol import LOG_ID_BYTES
from demls.wire.ids import Duration, Instant, Topic

_SCHEMA_VERSION = 1
_SCHEMA = (
    "CREATE TABLE about (schema INTEGER NOT NULL, log BLOB NOT NULL)",
    "CREATE TABLE topics (id INTEGER PRIMARY KEY, topic BLOB NOT NULL UNIQUE, size INTEGER NOT NULL)",
    """CREATE TABLE envelopes (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        topic INTEGER NOT NULL,
        at INTEGER NOT NULL,
        size INTEGER NOT NULL,
        payload BLOB NOT NULL
    )""",
    "CREATE INDEX envelopes_of_topic ON envelopes (topic, seq)",
)
_ENVELOPE_OVERHEAD_BYTES = 256
_SQLITE_FULL = 13
_PAGE_BYTES = 4096
_OLDEST_OF_TOPIC = "SELECT seq, topic, at, size FROM envelopes WHERE topic = ? ORDER BY seq LIMIT 512"
_OLDEST = "SELECT seq, topic, at, size FROM envelopes ORDER BY seq LIMIT 512"


_MONTH = Duration(30 * 86_400_000)


@dataclass(frozen=True, slots=True)
class LogLimits:
    """When the oldest envelopes are dropped. Sizes count the payload and 256 bytes for each envelope."""

    topic_bytes_max: int = 256 * 1024 * 1024
    total_bytes_max: int = 4 * 1024 * 1024 * 1024
    age_max: Duration = _MONTH
    file_bytes_max: int | None = None
    """The file itself; beyond it the log is full, as on a full disk. None: the disk alone sets the end."""


@dataclass(frozen=True, slots=True)
class LogCounts:
    """How much a log holds. ``dropped`` since it was opened."""

    envelopes: int
    topics: int
    size_bytes: int
    dropped: int


class LogFull(TransportError):
    """The disk is full: nothing of the batch was kept. Make room; nodes try again by themselves."""


class RelayLog:
    """One open log, at most one process at a time."""

    __slots__ = (
        "_count",
        "_dropped",
        "_limits",
        "_lock",
        "_path",
        "_read",
        "_size",
        "_topic_count",
        "_write",
        "log_id",
    )

    log_id: bytes

    def __init__(
        self, path: Path, limits: LogLimits, lock: IO[str], write: sqlite3.Connection, read: sqlite3.Connection
    ) -> None:
        """Use ``open``."""
        self._path = path
        self._limits = limits
        self._lock = lock
        self._write = write
        self._read = read
        self._dropped = 0
        self._load()

    @classmethod
    def open(cls, path: Path, limits: LogLimits | None = None) -> Self:
        """Open the log at ``path``, creating it if needed.

        Raises TransportError if another relay uses it, or if it is damaged or cannot be written.
        """
        lock = _lock(path)
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(lock.close)
            try:
                write = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
                on_failure.callback(write.close)
                _prepare(write)
                limits = limits or LogLimits()
                if limits.file_bytes_max is not None:
                    write.execute(f"PRAGMA max_page_count={limits.file_bytes_max // _PAGE_BYTES}")
                read = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
                on_failure.callback(read.close)
                read.execute("PRAGMA query_only=ON")
                log = cls(path, limits, lock, write, read)
            except sqlite3.Error as problem:
                raise _translated(path, problem) from problem
            on_failure.pop_all()
        return log

    def close(self) -> None:
        """Harmless when repeated."""
        self._read.close()
        self._write.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, batch: Sequence[tuple[Topic, bytes]], now: Instant) -> list[int]:
        """Keep ``batch`` durably, in order, and drop what is over the bounds; the new sequences.

        Raises LogFull, TransportError; then nothing has changed.
        """
        try:
            with self._transaction():
                first = self._next_seq()
                rows = []
                grown: dict[int, int] = {}
                ids = {topic: self._topic_id(topic) for topic in {topic for topic, _ in batch}}
                for offset, (topic, payload) in enumerate(batch):
                    size = len(payload) + _ENVELOPE_OVERHEAD_BYTES
                    topic_id = ids[topic]
                    grown[topic_id] = grown.get(topic_id, 0) + size
                    rows.append((first + offset, topic_id, now, size, payload))
                self._write.executemany(
                    "INSERT INTO envelopes (seq, topic, at, size, payload) VALUES (?, ?, ?, ?, ?)", rows
                )
                self._write.executemany(
                    "UPDATE topics SET size = size + ? WHERE id = ?", [(size, topic) for topic, size in grown.items()]
                )
                self._size += sum(grown.values())
                self._count += len(rows)
                self._drop_old(grown, now)
        except sqlite3.Error as problem:
            raise _translated(self._path, problem) from problem
        return list(range(first, first + len(rows)))

    def page(self, topic: Topic, after: int, limit: int, bytes_max: int) -> list[tuple[int, bytes]]:
        """The next envelopes of ``topic`` with a sequence above ``after``: at most ``limit``, and no more once they
        have ``bytes_max`` bytes together."""
        try:
            page: list[tuple[int, bytes]] = []
            size = 0
            # Row by row: what lies beyond the limit of bytes is not read from the disk.
            rows = self._read.execute(
                "SELECT seq, payload FROM envelopes WHERE topic = (SELECT id FROM topics WHERE topic = ?) AND seq > ? "
                "ORDER BY seq LIMIT ?",
                (topic, after, limit),
            )
            with contextlib.closing(rows):
                for seq, payload in rows:
                    page.append((seq, payload))
                    size += len(payload)
                    if size >= bytes_max:
                        break
        except sqlite3.Error as problem:
            raise _translated(self._path, problem) from problem
        return page

    def last_seq(self) -> int:
        """The sequence of the newest envelope ever kept; 0 for a new log."""
        return self._next_seq() - 1

    def counts(self) -> LogCounts:
        """From memory, costs nothing."""
        return LogCounts(self._count, self._topic_count, self._size, self._dropped)

    # Inside

    def _load(self) -> None:
        (self.log_id,) = self._write.execute("SELECT log FROM about").fetchone()
        (self._topic_count, self._size) = self._write.execute(
            "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM topics"
        ).fetchone()
        (self._count,) = self._write.execute("SELECT COUNT(*) FROM envelopes").fetchone()

    def _next_seq(self) -> int:
        row = self._write.execute("SELECT seq FROM sqlite_sequence WHERE name = 'envelopes'").fetchone()
        return 1 if row is None else int(row[0]) + 1

    def _topic_id(self, topic: Topic) -> int:
        row = self._write.execute("SELECT id FROM topics WHERE topic = ?", (topic,)).fetchone()
        if row is None:
            self._topic_count += 1
            row = self._write.execute(
                "INSERT INTO topics (topic, size) VALUES (?, 0) RETURNING id", (topic,)
            ).fetchone()
        return int(row[0])

    def _drop_old(self, grown: Iterable[int], now: Instant) -> None:
        limits = self._limits
        for topic in grown:
            (size,) = self._write.execute("SELECT size FROM topics WHERE id = ?", (topic,)).fetchone()
            while (over := size - limits.topic_bytes_max) > 0:
                size -= self._drop(_OLDEST_OF_TOPIC, (topic,), bytes_over=over)
        while (over := self._size - limits.total_bytes_max) > 0:
            self._drop(_OLDEST, (), bytes_over=over)
        # Sequences and times grow together, so the oldest come first; some hundred for each append keep pace.
        self._drop(_OLDEST, (), before=now - limits.age_max)

    def _drop(
        self, oldest: str, parameters: tuple[int, ...], *, bytes_over: int | None = None, before: int | None = None
    ) -> int:
        """Drop the oldest envelopes, at most some hundred: as many as have ``bytes_over`` bytes, or all from ``before``
        a time. Returns their bytes."""
        dropped = []
        total = 0
        by_topic: dict[int, int] = {}
        for seq, topic, at, size in self._write.execute(oldest, parameters).fetchall():
            if (bytes_over is not None and total >= bytes_over) or (before is not None and at >= before):
                break
            dropped.append((seq,))
            by_topic[topic] = by_topic.get(topic, 0) + size
            total += size
        if dropped:
            self._write.executemany("DELETE FROM envelopes WHERE seq = ?", dropped)
            self._write.executemany(
                "UPDATE topics SET size = size - ? WHERE id = ?", [(gone, topic) for topic, gone in by_topic.items()]
            )
            emptied = self._write.executemany(
                "DELETE FROM topics WHERE id = ? AND size = 0", [(topic,) for topic in by_topic]
            )
            self._topic_count -= emptied.rowcount
            self._size -= total
            self._count -= len(dropped)
            self._dropped += len(dropped)
        return total

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._write.execute("BEGIN IMMEDIATE")
        counts = self._count, self._topic_count, self._size, self._dropped
        try:
            yield
            self._write.execute("COMMIT")
        except BaseException:
            if self._write.in_transaction:
                self._write.execute("ROLLBACK")
            self._count, self._topic_count, self._size, self._dropped = counts
            raise


def _lock(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.fdopen(os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600), "r+")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as problem:
        raise TransportError(
            f"The relay's log {path} cannot be written ({problem.strerror}); correct the permissions of its folder or "
            "choose another file."
        ) from problem
    try:
        portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
    except portalocker.LockException as problem:
        file.close()
        raise TransportError(
            f"The relay's log {path} is in use by another relay; stop that one first or choose another file."
        ) from problem
    return file


def _prepare(write: sqlite3.Connection) -> None:
    write.execute("PRAGMA journal_mode=WAL")
    write.execute("PRAGMA synchronous=FULL")
    write.execute("PRAGMA journal_size_limit=67108864")
    write.execute("BEGIN IMMEDIATE")
    tables = write.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    if tables == 0:
        for statement in _SCHEMA:
            write.execute(statement)
        write.execute("INSERT INTO about VALUES (?, ?)", (_SCHEMA_VERSION, secrets.token_bytes(LOG_ID_BYTES)))
    write.execute("COMMIT")
    schema = write.execute("SELECT schema FROM about").fetchone()[0]
    if schema != _SCHEMA_VERSION:
        raise TransportError(
            f"The relay's log was written by another version of demls (schema {schema}); use that version, or start "
            "with a new file: nodes then send and read from the beginning of the new one."
        )


def _translated(path: Path, problem: sqlite3.Error) -> TransportError:
    code = getattr(problem, "sqlite_errorcode", None)
    if isinstance(code, int) and code & 0xFF == _SQLITE_FULL:
        return LogFull(f"The relay's disk is full ({path}); make room there. Nodes try again by themselves.")
    return TransportError(
        f"The relay's log {path} cannot be read or written ({problem}); check the disk, or start with a new file."
    )
