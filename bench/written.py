"""How many bytes does a store write to its disk? What stands in its log, read beside it.

SQLite appends each page that a transaction has changed to the write-ahead log, through fsync before ``commit`` returns.
A checkpoint writes each page of the log into the file once more, however often it changed, when there are a thousand;
that is not counted. Where the log ends stands in its index, the file ``-shm`` (https://sqlite.org/walformat.html, §2).
"""

from __future__ import annotations

import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

from demls.protocol.effects import Change, Effects
from demls.storage.store import FILE_NAME, Batch, Store

_KEY = bytes(range(32))
_SCOPE = "group"
_FRAME_HEADER_BYTES = 24
_INDEX_HEADER = struct.Struct("=12xBBHI12x8s")
"""isInit, bigEndCksum, szPage, mxFrame, aSalt."""


@dataclass(frozen=True, slots=True)
class _End:
    """Where the log ends: so many frames since it last began anew, which changes its salt."""

    salt: bytes
    frames: int
    frame_bytes: int


class WrittenBytes:
    """What the log of the file at ``path`` has grown by. To be asked after each commit: a log begins anew at most
    once in one."""

    def __init__(self, path: Path) -> None:
        self._index = path.with_name(path.name + "-shm")
        self._end = self._read()

    def take(self) -> int:
        """Bytes since the last time."""
        before, self._end = self._end, self._read()
        is_anew = self._end.salt != before.salt
        return (self._end.frames - (0 if is_anew else before.frames)) * self._end.frame_bytes

    def _read(self) -> _End:
        with self._index.open("rb") as file:
            _, _, page_bytes, frames, salt = _INDEX_HEADER.unpack(file.read(_INDEX_HEADER.size))
        return _End(salt, frames, _FRAME_HEADER_BYTES + page_bytes)


class Disk:
    """A store in a folder of its own, for one machine; its folder goes with it."""

    def __init__(self, records: dict[bytes, bytes]) -> None:
        """``records``: what the machine has so far."""
        self._folder = tempfile.TemporaryDirectory(prefix="demls-bench-", ignore_cleanup_errors=True)
        path = Path(self._folder.name) / "data" / FILE_NAME
        self._store = Store.open(path, _KEY)
        self._store.commit(Batch(_SCOPE, [Change(key, value) for key, value in records.items()]))
        self._written = WrittenBytes(path)

    def write(self, effects: Effects) -> int:
        """One transaction, as a node does it, and a second when its envelopes are accepted. Bytes written."""
        if not effects.changes and not effects.outbound:
            return 0
        committed = self._store.commit(Batch(_SCOPE, effects.changes, effects.outbound))
        written = self._written.take()
        if committed.outbox_ids:
            self._store.published(committed.outbox_ids)
            written += self._written.take()
        return written

    def close(self) -> None:
        self._store.close()
        self._folder.cleanup()
