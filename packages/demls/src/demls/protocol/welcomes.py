"""Who sends a joiner its welcome, and what if it does not arrive?

The committer sends it as soon as the commit is settled; the next members in order do if the joiner is not heard.
Whoever holds one repeats it, ever more rarely, until the joiner is heard, and at once when the joiner asks again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from demls.protocol import policy as bounds
from demls.protocol.channel import joiner_channel
from demls.protocol.records import Ledger
from demls.protocol.step import Step
from demls.wire.ids import Address, Duration, Instant
from demls.wire.messages import WelcomeBundle, decode_message, encode_message

WELCOMERS_MAX = 8
"""So many members hold a welcome for the case that those before them do not deliver it."""

REPEAT_FIRST = Duration(10 * bounds.SECOND)
REPEAT_MOST = Duration(10 * bounds.MINUTE)


@dataclass(frozen=True, slots=True)
class PendingWelcome:
    """A welcome that the own member publishes at ``send_at`` unless the joiner is heard before; ``sent``: how often."""

    address: bytes
    key_package: bytes
    message: bytes
    send_at: int
    since: int
    sent: int


class Welcomes:
    """The welcomes that the own member holds."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._pending: dict[bytes, PendingWelcome] = dict(ledger.under(b"welcome/", PendingWelcome))
        self._repeated: dict[bytes, Instant] = {}
        """When a welcome was last said again: whoever repeats a request does not make members shout."""

    def add(
        self,
        message: WelcomeBundle,
        added: Iterable[tuple[Address, bytes]],
        rank: int,
        base_time: Duration,
        step: Step,
    ) -> None:
        """Welcome those whom a settled commit has added; ``rank``: own place, 0 is the committer."""
        encoded = encode_message(message)
        for address, key_package in added:
            pending = PendingWelcome(address, key_package, encoded, step.now + rank * base_time, step.now, 0)
            if rank == 0:
                self._send(pending, step)
            else:
                self._keep(pending)

    def _keep(self, pending: PendingWelcome) -> None:
        self._pending[pending.address] = pending
        self._ledger.put(b"welcome/" + pending.address, pending)

    def tick(self, step: Step) -> None:
        """Publish the welcomes whose time has come; forget those that nobody wanted for long."""
        for address, pending in list(self._pending.items()):
            if step.now > pending.since + bounds.WELCOME_LIFETIME:
                self.heard(Address(address))
            elif pending.send_at <= step.now:
                self._send(pending, step)

    def _send(self, pending: PendingWelcome, step: Step) -> None:
        step.say(decode_message(pending.message, WelcomeBundle), joiner_channel(pending.key_package))
        pause = min(REPEAT_MOST, REPEAT_FIRST * 2 ** min(pending.sent, 16))
        self._keep(replace(pending, send_at=step.now + pause, sent=pending.sent + 1))

    def again(self, key_package: bytes, step: Step) -> bool:
        """A joiner that was admitted asks again: its welcome got lost. Says whether there is one for it."""
        for pending in self._pending.values():
            if pending.key_package == key_package:
                last = self._repeated.get(pending.address)
                if last is None or step.now >= last + bounds.REPEAT_EVERY:
                    self._repeated[pending.address] = step.now
                    self._send(pending, step)
                return True
        return False

    def heard(self, member: Address) -> None:
        """A member said something: it needs no welcome any more."""
        self._repeated.pop(member, None)
        if self._pending.pop(member, None) is not None:
            self._ledger.delete(b"welcome/" + member)

    def deadline(self) -> Instant | None:
        times = (Instant(pending.send_at) for pending in self._pending.values())
        return min(times, default=None)
