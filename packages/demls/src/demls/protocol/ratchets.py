"""Which message secrets have to be written now, and what must be burnt after a crash?

Every chat message, sent or received, moves the ratchets of MLS. Written each time they are about 260 bytes a member:
megabytes a message in the largest groups. So in a group of many members they are written now and then, and with every
commit. For what was received that is all: a node that restarts can open it once more, and knows that it had it. For
what was sent, a small number is durable with each message: so many keys are burnt before the next one is used.
"""

from __future__ import annotations

from demls.protocol import policy as bounds
from demls.protocol.engine import MlsGroup
from demls.protocol.records import Ledger

UNWRITTEN = b"unwritten"


class Ratchets:
    """How far the ratchets in memory are ahead of those that are written."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._sent = ledger.find(UNWRITTEN, int) or 0
        self._heard = 0

    def sent(self, members: int) -> bool:
        """A message was encrypted. Must the ratchets be written with it?"""
        if members <= bounds.SECRETS_WRITTEN_AT_ONCE:
            return True
        self._sent += 1
        self._ledger.put(UNWRITTEN, self._sent)
        return self._sent >= bounds.SENT_UNWRITTEN_MAX

    def heard(self, members: int) -> bool:
        """A message was decrypted. Must the ratchets be written with it?"""
        if members <= bounds.SECRETS_WRITTEN_AT_ONCE:
            return True
        self._heard += 1
        return self._heard >= bounds.HEARD_UNWRITTEN_MAX

    def written(self) -> None:
        """They are written along with what is written next."""
        self._sent = self._heard = 0
        self._ledger.delete(UNWRITTEN)

    def burn(self, mls: MlsGroup) -> bool:
        """After a restart: use up the keys of what was sent since they were written. Must they be written now?"""
        for _ in range(self._sent):
            mls.encrypt(b"")
        return self._sent > 0
