"""When does a node give memory back to the system?

A merge in a group of thousands builds its state anew, beside the old one. What was freed then stays with the process in
pieces, unless the C library is told to look for whole pages; glibc can be, others need it less.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable
from functools import cache

from demls.protocol.effects import Change

LARGE_STEP_BYTES = 1024 * 1024
"""After a step that changes records of so many bytes, it is worth the milliseconds."""


@cache
def _library() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    found = ctypes.CDLL(None)
    return found if hasattr(found, "malloc_trim") else None


def give_back(changes: Iterable[Change]) -> bool:
    """Give back what is free, if these are the changes of a large step. Says whether that was done."""
    library = _library()
    if library is None or sum(len(change.value or b"") for change in changes) < LARGE_STEP_BYTES:
        return False
    library.malloc_trim(0)
    return True
