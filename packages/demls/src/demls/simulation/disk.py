"""What is left on a node's disk when it dies? The store's contract, and the store itself on files that are torn.

A disk takes one transaction at a time: records and outbox, whole and durable, or not at all. Most worlds keep only the
model of that (``Node.records`` and ``Node.outbox`` are what is durable). Some write to the real store too
(``StoreDisk``), on files: when a node dies in the middle of a write, its files are put back as they would be if only
the first part of what was written since the last sync had reached the platter. What the store then reads must be what
the model says, so each death is a test of both.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from demls.protocol.effects import Change, Effects, Outbound
from demls.storage.store import BACKUP_SETTING, FILE_NAME, Batch, Store

_KEY = bytes(range(32))
_SCOPE = "group"
_ALL = 1 << 40
_LARGE_BYTES = 512
"""Groups are small here: what the store keeps in pieces begins with less, so that pieces are torn too."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is durable."""

    records: dict[bytes, bytes]
    outbox: tuple[Outbound, ...]


def applied(kept: Kept, changes: Iterable[Change], outbound: Iterable[Outbound], *, is_new: bool = False) -> Kept:
    """The contract of a write: what is durable after it. ``is_new``: the records begin anew."""
    records = {} if is_new else dict(kept.records)
    for change in changes:
        if change.value is None:
            records.pop(change.key, None)
        else:
            records[change.key] = change.value
    return Kept(records, (*kept.outbox, *outbound))


class StoreDisk:
    """The real store in a folder of its own, which goes with this object."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="demls-sim-")
        self._ids: list[int] = []
        self._is_new = False
        self._backups = 0
        self._store = Store.open(self._path, _KEY, large_bytes=_LARGE_BYTES)

    @property
    def _path(self) -> Path:
        return Path(self._folder.name) / "data" / FILE_NAME

    @property
    def _log(self) -> Path:
        return self._path.with_name(FILE_NAME + "-wal")

    # --- Writing ------------------------------------------------------------------------------------------------

    def begin_anew(self) -> None:
        """The next write replaces all records, as when a person asks with a new device."""
        self._is_new = True

    def write(self, effects: Effects) -> None:
        """One transaction, through fsync."""
        batch = Batch(_SCOPE, effects.changes, effects.outbound, drop_scopes=[_SCOPE] if self._is_new else ())
        self._is_new = False
        self._ids.extend(self._store.commit(batch).outbox_ids)

    def published(self, count: int) -> None:
        """The first ``count`` envelopes of the outbox have been accepted."""
        self._store.published(self._ids[:count])
        del self._ids[:count]

    def kept(self) -> Kept:
        """What the store reads."""
        entries = self._store.outbox(_ALL)
        self._ids = [entry.id for entry in entries]
        outbox = tuple(Outbound(entry.topic, entry.payload) for entry in entries)
        return Kept(self._store.records(_SCOPE), outbox)

    # --- Dying --------------------------------------------------------------------------------------------------

    def die(self, unfinished: Effects | None = None, share: float = 0.0) -> None:
        """The machine stops. Of an unfinished write, this share of its bytes had reached the disk, less than all."""
        before = self._files()
        after = before
        if unfinished is not None:
            self.write(unfinished)
            after = self._files()
        if after[FILE_NAME] != before[FILE_NAME]:
            after = before  # the log was written back: a moment of its own, in which nothing new is unsynced
        log = self._log.name
        self._put_back({**before, log: torn(before.get(log, b""), after.get(log, b""), share)})

    def _files(self) -> dict[str, bytes]:
        """What stands in file and log; the shared memory is not durable."""
        return {path.name: path.read_bytes() for path in (self._path, self._log) if path.exists()}

    def _put_back(self, files: Mapping[str, bytes]) -> None:
        self._store.close()
        for path in self._path.parent.iterdir():
            path.unlink()
        for name, content in files.items():
            (self._path.parent / name).write_bytes(content)
        self._store = Store.open(self._path, _KEY, large_bytes=_LARGE_BYTES)

    # --- Backups ------------------------------------------------------------------------------------------------

    def back_up(self) -> Path:
        self._backups += 1
        target = Path(self._folder.name) / f"backup-{self._backups}"
        self._store.backup(target)
        return target

    def restore(self, backup: Path) -> bool:
        """In the place of what was there. Says whether the store knows that it is a backup, as it must."""
        self._put_back({FILE_NAME: backup.read_bytes()})
        return self._store.setting(BACKUP_SETTING) is not None

    def close(self) -> None:
        self._store.close()
        with suppress(OSError):
            shutil.rmtree(self._folder.name)
        self._folder.cleanup()


def torn(before: bytes, after: bytes, share: float) -> bytes:
    """Of the bytes that a write has changed in the log, the first part is there, the rest is as it was."""
    changed = [place for place, (old, new) in enumerate(zip(before, after, strict=False)) if old != new]
    start = changed[0] if changed else min(len(before), len(after))
    whole = len(after) if len(after) > len(before) or not changed else changed[-1] + 1
    end = start + int((whole - start) * share)
    return after[:end] + before[end:]
