"""What storage raises: each text is a whole sentence that says what to do next.

StorageError            the data cannot be opened or written
├── FolderInUse             another node works in this data folder
├── DiskFull                nothing was written, nothing is lost; make room and try again
└── SchemaTooNew            written by a newer version of demls
"""

from __future__ import annotations

from demls.protocol.errors import DemlsError


class StorageError(DemlsError):
    """The data cannot be opened or written: wrong password, damaged file, no permission. The text says which."""


class FolderInUse(StorageError):
    """Stop the other node, or start this one with another data folder."""


class DiskFull(StorageError):
    """The transaction was rolled back as a whole. Make room on the disk and try again."""


class SchemaTooNew(StorageError):
    """Install the newest demls; the file was not touched."""
