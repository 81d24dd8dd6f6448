"""Was this message said already? What programs call their own messages, so that asking again cannot send twice.

A message's mark is kept with its line, in the transaction that says it, so a crash between the two is impossible; the
marks of a group's last lines are read again after a restart.
"""

from __future__ import annotations

import hashlib

import msgspec

from demls.node.errors import Refused
from demls.node.timeline import Line
from demls.storage.store import Store

LINES_MAX = 512
"""So many of a group's last lines, and so many marks at most, are looked at."""


class AlreadySaid(Refused):
    """Nothing was done, because it was done before."""

    def __init__(self) -> None:
        super().__init__("This message was sent already.", "already-said")


class Sent:
    """The marks of one group's newest own messages. For worker threads."""

    def __init__(self, scope: str, store: Store) -> None:
        self._scope = scope
        self._store = store
        self._known: dict[str, bytes] | None = None
        """Mark to digest of the text, oldest first."""

    def check(self, client_id: str, text: str) -> None:
        """Raises AlreadySaid, or Refused if another message was called so."""
        known = self._read().get(client_id)
        if known == _digest(text):
            raise AlreadySaid
        if known is not None:
            raise Refused(
                "Another message was sent with this client_id. Give each message one of its own.", "client-id-reused"
            )

    def add(self, client_id: str, text: str) -> None:
        """It is said, and durable."""
        known = self._read()
        known[client_id] = _digest(text)
        while len(known) > LINES_MAX:
            del known[next(iter(known))]

    def _read(self) -> dict[str, bytes]:
        if self._known is None:
            stored = self._store.timeline(self._scope, None, LINES_MAX)
            lines = [msgspec.msgpack.decode(row.body, type=Line) for row in stored if row.kind == "message"]
            self._known = {line.client_id: _digest(line.text) for line in lines if line.client_id is not None}
        return self._known


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
