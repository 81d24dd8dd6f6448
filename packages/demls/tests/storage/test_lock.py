"""One node a data folder, also when the last one was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from demls.storage.errors import FolderInUse, StorageError
from demls.storage.lock import FolderLock

HOLDER = (
    "import sys; from pathlib import Path; from demls.storage.lock import FolderLock; "
    "lock = FolderLock.acquire(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
)


def test_a_folder_in_use_is_named_with_the_process_and_free_again_after_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with FolderLock.acquire(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        with pytest.raises(FolderInUse, match=rf"in use by another demls node \(process {os.getpid()}\); stop"):
            FolderLock.acquire(folder)
    lock = FolderLock.acquire(folder)
    lock.release()
    lock.release()


def test_a_killed_process_leaves_no_lock_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(FolderInUse, match=f"process {child.pid}"):
            FolderLock.acquire(tmp_path)
        child.kill()
        child.wait(20)
        FolderLock.acquire(tmp_path).release()


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be written"):
        FolderLock.acquire(tmp_path / "file" / "data")
