"""Which message is this, of whom, and is one missing before it?

Each message carries its sender's counter and the ids of the newest messages seen (scalable data sync). A gap that
does not close within a while is told, so that nobody takes silence for nothing said.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from demls.protocol import policy as bounds
from demls.protocol.engine import Engine
from demls.protocol.errors import RequestRefused
from demls.protocol.events import MessageReceived, MessagesMissing, Reason
from demls.protocol.records import Ledger
from demls.protocol.step import Step
from demls.wire.codec import WireError
from demls.wire.ids import Address, Duration, Epoch, Instant
from demls.wire.messages import ConversationMessage, decode_message, encode_message

GAP_PATIENCE = Duration(10_000)
"""How long a gap may close by itself before people are told."""

GAPS_MAX = 256
"""Missing messages remembered of one sender."""

SEEN_MAX = 8


@dataclass(slots=True)
class Heard:
    """What was heard of one sender: the highest counter, and the counters below it that are missing, since when."""

    highest: int = 0
    missing: dict[int, int] = field(default_factory=dict)


class Chat:
    """Counters of all senders of one group."""

    def __init__(self, ledger: Ledger, engine: Engine) -> None:
        self._ledger = ledger
        self._engine = engine
        self._heard = {Address(key): heard for key, heard in ledger.under(b"chat/heard/", Heard)}
        self._sent = ledger.find(b"chat/sent", int) or 0
        self._seen: list[bytes] = ledger.find(b"chat/seen", list[bytes]) or []

    def write(self, text: str, own: Address, epoch: Epoch, step: Step) -> bytes:
        """The next own message, ready to be encrypted. Raises RequestRefused for a text that cannot be sent."""
        try:
            raw = text.encode()
        except UnicodeEncodeError as problem:
            raise RequestRefused("The message contains characters that cannot be sent; type it again.") from problem
        if not text.strip():
            raise RequestRefused("There is nothing to send: the message is empty.")
        if len(raw) > bounds.MESSAGE_BYTES_MAX:
            raise RequestRefused(
                f"The message has {len(raw)} bytes; at most {bounds.MESSAGE_BYTES_MAX} fit. Send it in parts."
            )
        self._sent += 1
        self._ledger.put(b"chat/sent", self._sent)
        message = ConversationMessage(raw, self._engine.random(16), self._sent, step.now, tuple(self._seen))
        self._note_seen(message.message_id)
        step.tell(MessageReceived(message.message_id, own, epoch, text, step.now, self._sent))
        return encode_message(message)

    def read(self, plaintext: bytes, sender: Address, epoch: Epoch, step: Step, *, is_former: bool = False) -> None:
        """A decrypted message of ``sender``, whom MLS has proven. ``is_former``: from a leaf that it has no more."""
        try:
            message = decode_message(plaintext, ConversationMessage)
            text = message.message.decode()
        except (WireError, UnicodeDecodeError):
            step.refuse(Reason.UNREADABLE, "a chat message that cannot be read")
            return
        counter = message.counter
        if is_former:  # that count is over; MLS opens nothing twice
            step.tell(MessageReceived(message.message_id, sender, epoch, text, Instant(message.sent_at), counter))
            return
        heard = self._heard.setdefault(sender, Heard())
        if counter > heard.highest:
            if heard.highest:
                for lost in range(max(heard.highest + 1, counter - GAPS_MAX), counter):
                    heard.missing[lost] = step.now
            heard.highest = counter
        elif heard.missing.pop(counter, None) is None:
            step.refuse(Reason.STALE, "a chat message that was here before")
            return
        while len(heard.missing) > GAPS_MAX:
            del heard.missing[min(heard.missing)]
        self._ledger.put(b"chat/heard/" + sender, heard)
        self._note_seen(message.message_id)
        step.tell(MessageReceived(message.message_id, sender, epoch, text, Instant(message.sent_at), counter))

    def _note_seen(self, message_id: bytes) -> None:
        self._seen = [*self._seen, message_id][-SEEN_MAX:]
        self._ledger.put(b"chat/seen", self._seen)

    def tick(self, step: Step) -> None:
        """Tell of gaps that stayed open for too long, as ranges."""
        for sender, heard in self._heard.items():
            overdue = sorted(counter for counter, since in heard.missing.items() if step.now >= since + GAP_PATIENCE)
            if not overdue:
                continue
            _tell_missing(sender, overdue, step)
            for counter in overdue:
                del heard.missing[counter]
            self._ledger.put(b"chat/heard/" + sender, heard)

    def deadline(self) -> Instant | None:
        waiting = [since for heard in self._heard.values() for since in heard.missing.values()]
        return Instant(min(waiting) + GAP_PATIENCE) if waiting else None

    def depart(self, member: Address, step: Step) -> None:
        """A member left: what is missing of it now will hardly come. Late messages of it may still arrive."""
        heard = self._heard.get(member)
        if heard is not None and heard.missing:
            _tell_missing(member, sorted(heard.missing), step)
            heard.missing.clear()
            self._ledger.put(b"chat/heard/" + member, heard)

    def forget(self, member: Address) -> None:
        """A member came anew, or left long ago: its counters start anew."""
        if self._heard.pop(member, None) is not None:
            self._ledger.delete(b"chat/heard/" + member)

    def retain(self, members: frozenset[Address]) -> None:
        """Of those who left, only so many are remembered."""
        former = [address for address in self._heard if address not in members]
        for address in former[: max(0, len(former) - bounds.FORMER_NAMES_KEPT)]:
            self.forget(address)


def _tell_missing(sender: Address, counters: list[int], step: Step) -> None:
    """Tell of missing messages as ranges; ``counters`` in ascending order."""
    first = last = counters[0]
    for counter in counters[1:]:
        if counter != last + 1:
            step.tell(MessagesMissing(sender, first, last))
            first = counter
        last = counter
    step.tell(MessagesMissing(sender, first, last))
