"""Who works in this data folder? At most one node at a time, also after a crash of the last one."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import portalocker

from demls.storage.errors import FolderInUse, StorageError

LOCK_NAME = "node.lock"


class FolderLock:
    """Holds a data folder for this process until ``release`` or the end of the process.

    The lock is the operating system's, so a killed process leaves none behind; the file keeps the process id of
    the last holder for the message to people, and stays.
    """

    __slots__ = ("_file", "folder")

    def __init__(self, folder: Path, file: IO[str]) -> None:
        self.folder = folder
        self._file = file

    @classmethod
    def acquire(cls, folder: Path) -> Self:
        """Take ``folder`` (created with mode 0700 if it is missing).

        Raises FolderInUse, or StorageError when the folder cannot be written.
        """
        try:
            make_private_folder(folder)
            descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as problem:
            raise StorageError(
                f"The data folder {folder} cannot be written ({problem.strerror}); "
                "correct its permissions or choose another folder."
            ) from problem
        file = os.fdopen(descriptor, "r+", encoding="ascii", errors="replace")
        try:
            portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.LockException as problem:
            holder = file.read(32).strip()
            file.close()
            by = f" (process {holder})" if holder.isdigit() else ""
            raise FolderInUse(
                f"The data folder {folder} is in use by another demls node{by}; "
                "stop that node first or choose another folder."
            ) from problem
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        return cls(folder, file)

    def release(self) -> None:
        """Let go of the folder; harmless when repeated."""
        if not self._file.closed:
            self._file.close()  # closing the only descriptor releases the lock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def make_private_folder(folder: Path) -> None:
    """Create ``folder`` with mode 0700, or take away what others may do in an existing one. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)
