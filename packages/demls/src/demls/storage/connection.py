"""How is the file opened, and what does a failure of SQLite mean for people?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from sqlcipher3 import dbapi2  # type: ignore[import-untyped]

from demls.storage.errors import DiskFull, StorageError

_PAGE_BYTES = 4096
_WAL_BYTES_MAX = 64 * 1024 * 1024
_SQLITE_FULL = 13
_SQLITE_NOTADB = 26
_SQLITE_CORRUPT = 11


class Connection(Protocol):
    """The part of a SQLCipher connection that is used here."""

    in_transaction: bool

    def execute(self, sql: str, parameters: Sequence[object] = ...) -> Any: ...
    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> Any: ...
    def backup(self, target: Connection) -> None: ...
    def close(self) -> None: ...


def connect(path: Path, key: bytes) -> Connection:
    connection: Connection = dbapi2.connect(str(path), isolation_level=None, check_same_thread=False, timeout=5)
    connection.execute("PRAGMA cipher_log_level=NONE")  # it would print to the terminal by itself
    connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
    return connection


def prepare(connection: Connection, size_bytes_max: int | None) -> None:
    connection.execute("SELECT COUNT(*) FROM sqlite_master")  # the first read: fails under a wrong key
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES_MAX}")
    if size_bytes_max is not None:
        connection.execute(f"PRAGMA max_page_count={max(1, size_bytes_max // _PAGE_BYTES)}")


def insert(connection: Connection, sql: str, parameters: Sequence[object]) -> int:
    row_id = connection.execute(sql, parameters).lastrowid
    assert isinstance(row_id, int)
    return row_id


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    try:
        yield
    except dbapi2.Error as problem:
        raise _sentence(path, problem) from problem


def _sentence(path: Path, problem: Exception) -> StorageError:
    code = getattr(problem, "sqlite_errorcode", None)
    code = code & 0xFF if isinstance(code, int) else None
    if code == _SQLITE_FULL or str(problem) == "database or disk is full":  # a backup's error has no code
        return DiskFull(
            f"The disk of {path} is full, or the data has reached its limit; nothing has been lost. "
            "Make room and try again."
        )
    if code == _SQLITE_NOTADB:
        return StorageError(
            f"The data in {path} cannot be opened with this password: it belongs to another keystore, or the file is "
            "damaged. Check the password and the keystore, or restore a backup."
        )
    if code == _SQLITE_CORRUPT:
        return StorageError(f"The data in {path} is damaged; restore a backup.")
    return StorageError(
        f"The data in {path} cannot be read or written ({problem}); check the disk and the permissions, then try again."
    )
