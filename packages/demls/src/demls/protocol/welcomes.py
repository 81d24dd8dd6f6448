"""Who sends a joiner its welcome, and what if it does not arrive?

The committer sends it as soon as the commit is settled; the next members in order do if the joiner is not heard.
Whoever holds one repeats it, ever more rarely, until the joiner is heard, and at once when the joiner asks again. Where
few members stay who could do that, those who came with the same welcome hold it, too, for whoever asks for it.
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
_OWN = b"welcomed"


@dataclass(frozen=True, slots=True)
class PendingWelcome:
    """A welcome that the own member publishes at ``send_at`` unless the joiner is heard before; ``sent``: how often."""

    address: bytes
    key_package: bytes
    message: bytes
    send_at: int
    since: int
    sent: int


@dataclass(frozen=True, slots=True)
class OwnWelcome:
    """The welcome that the own member came with, and who has not been heard of those who came with it."""

    message: bytes
    unheard: list[bytes]
    since: int


class Welcomes:
    """The welcomes that the own member holds."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._pending: dict[bytes, PendingWelcome] = dict(ledger.under(b"welcome/", PendingWelcome))
        self._own: OwnWelcome | None = ledger.find(_OWN, OwnWelcome)
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

    def keep_own(self, message: WelcomeBundle, newcomers: Iterable[Address], now: Instant) -> None:
        """Hold the welcome that the own member came with for the others whom it is for."""
        unheard = sorted(bytes(address) for address in newcomers)
        if unheard:
            self._put_own(OwnWelcome(encode_message(message), unheard, now))

    def _put_own(self, own: OwnWelcome | None) -> None:
        self._own = own
        if own is None:
            self._ledger.delete(_OWN)
        else:
            self._ledger.put(_OWN, own)

    def share_own(self, member: Address, key_package: bytes, step: Step) -> None:
        """A newcomer of the same commit asks for its welcome: ``key_package`` is the one by which it was added."""
        if self._own is not None and member in self._own.unheard and not self._is_over(step.now):
            self._send(PendingWelcome(member, key_package, self._own.message, step.now, self._own.since, 0), step)

    @property
    def is_sharing(self) -> bool:
        """Is the own welcome held for others?"""
        return self._own is not None

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
        if self._is_over(step.now):
            self._put_own(None)

    def _is_over(self, now: Instant) -> bool:
        return self._own is not None and now > self._own.since + bounds.WELCOME_LIFETIME

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
        if self._own is not None and member in self._own.unheard:
            left = [other for other in self._own.unheard if other != member]
            self._put_own(replace(self._own, unheard=left) if left else None)

    def deadline(self) -> Instant | None:
        times = [Instant(pending.send_at) for pending in self._pending.values()]
        if self._own is not None:
            times.append(Instant(self._own.since + bounds.WELCOME_LIFETIME + 1))
        return min(times, default=None)
