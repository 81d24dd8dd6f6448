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
from demls.protocol.parts import bundle_channel, is_large, outline_of, part_of, wanted_of
from demls.protocol.records import Ledger
from demls.protocol.step import Step
from demls.wire.framing import digest
from demls.wire.ids import Address, Duration, Instant
from demls.wire.messages import (
    PartsRequest,
    WelcomeBundle,
    WelcomeOutline,
    WelcomePart,
    decode_message,
    encode_message,
)

WELCOMERS_MAX = 8
"""So many members hold a welcome for the case that those before them do not deliver it."""

REPEAT_FIRST = Duration(10 * bounds.SECOND)
REPEAT_MOST = Duration(10 * bounds.MINUTE)
_OWN = b"welcomed"
_BUNDLE = b"bundle/"


@dataclass(frozen=True, slots=True)
class PendingWelcome:
    """A welcome that the own member publishes at ``send_at`` unless the joiner is heard before; ``sent``: how often.

    ``kept``: the name of its WelcomeBundle, which is kept once for all whom it is for.
    """

    address: bytes
    key_package: bytes
    kept: bytes
    send_at: int
    since: int
    sent: int


@dataclass(frozen=True, slots=True)
class OwnWelcome:
    """The welcome that the own member came with, and who has not been heard of those who came with it."""

    kept: bytes
    unheard: list[bytes]
    since: int


class Welcomes:
    """The welcomes that the own member holds."""

    def __init__(self, ledger: Ledger, member: Address) -> None:
        """``member``: the own one."""
        self._ledger = ledger
        self._member = member
        self._pending: dict[bytes, PendingWelcome] = dict(ledger.under(b"welcome/", PendingWelcome))
        self._own: OwnWelcome | None = ledger.find(_OWN, OwnWelcome)
        self._repeated: dict[bytes, Instant] = {}
        """When a welcome was last said again: whoever repeats a request does not make members shout."""
        self._outlines: dict[bytes, WelcomeOutline] = {}
        """By the name under which a large bundle is kept; made once."""
        self._said: dict[tuple[bytes, int], Instant] = {}
        """When parts of large ones were said: once for all who wait for them."""

    def add(
        self,
        message: WelcomeBundle,
        added: Iterable[tuple[Address, bytes]],
        rank: int,
        base_time: Duration,
        step: Step,
    ) -> None:
        """Welcome those whom a settled commit has added; ``rank``: own place, 0 is the committer."""
        kept = self._keep_bundle(message)
        for address, key_package in added:
            pending = PendingWelcome(address, key_package, kept, step.now + rank * base_time, step.now, 0)
            if rank == 0:
                self._send(pending, step)
            else:
                self._keep(pending)

    def keep_own(self, message: WelcomeBundle, newcomers: Iterable[Address], now: Instant) -> None:
        """Hold the welcome that the own member came with for the others whom it is for."""
        unheard = sorted(bytes(address) for address in newcomers)
        if unheard:
            self._put_own(OwnWelcome(self._keep_bundle(message), unheard, now))

    def _put_own(self, own: OwnWelcome | None) -> None:
        self._own = own
        if own is None:
            self._ledger.delete(_OWN)
        else:
            self._ledger.put(_OWN, own)
        self._forget_bundles()

    def _keep_bundle(self, message: WelcomeBundle) -> bytes:
        encoded = encode_message(message)
        kept = digest(b"demls welcome kept 1", encoded)
        self._ledger.put_bytes(_BUNDLE + kept, encoded)
        return kept

    def _bundle(self, kept: bytes) -> WelcomeBundle:
        return decode_message(self._ledger.get_bytes(_BUNDLE + kept), WelcomeBundle)

    def _forget_bundles(self) -> None:
        """Keep only those that are for somebody still."""
        used = {pending.kept for pending in self._pending.values()} | ({self._own.kept} if self._own else set())
        for kept, _ in list(self._ledger.bytes_under(_BUNDLE)):
            if kept not in used:
                self._ledger.delete(_BUNDLE + kept)
                self._outlines.pop(kept, None)

    def share_own(self, member: Address, key_package: bytes, step: Step) -> None:
        """A newcomer of the same commit asks for its welcome: ``key_package`` is the one by which it was added."""
        if self._own is not None and member in self._own.unheard and not self._is_over(step.now):
            self._send(PendingWelcome(member, key_package, self._own.kept, step.now, self._own.since, 0), step)

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
        said = self._outline(pending.kept) or self._bundle(pending.kept)
        step.say(said, joiner_channel(pending.key_package))
        pause = min(REPEAT_MOST, REPEAT_FIRST * 2 ** min(pending.sent, 16))
        self._keep(replace(pending, send_at=step.now + pause, sent=pending.sent + 1))

    def _outline(self, kept: bytes) -> WelcomeOutline | None:
        """What is said in place of a large bundle; None of a small one."""
        if kept not in self._outlines:
            message = self._bundle(kept)
            if not is_large(message):
                return None
            self._outlines[kept] = outline_of(message, self._member)
        return self._outlines[kept]

    def answer_parts(self, request: PartsRequest, step: Step) -> None:
        """Somebody waits for parts of a large welcome: say them for all, but not more than a few at a time."""
        kept_all = [pending.kept for pending in self._pending.values()] + ([self._own.kept] if self._own else [])
        outlines = ((kept, self._outline(kept)) for kept in dict.fromkeys(kept_all))
        found = next(((k, one) for k, one in outlines if one is not None and one.bundle == request.bundle), None)
        if request.asked != self._member or found is None:
            return
        kept, outline = found
        message, channel = self._bundle(kept), bundle_channel(request.bundle)
        self._said = {part: at for part, at in self._said.items() if step.now < at + bounds.REPEAT_EVERY}
        for number in wanted_of(request, len(outline.parts)):
            if len(self._said) >= bounds.WELCOME_PARTS_AT_ONCE:
                return
            if (request.bundle, number) not in self._said:
                self._said[request.bundle, number] = step.now
                step.say(WelcomePart(request.bundle, number, part_of(message, number)), channel)

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

    def awaits(self, member: Address) -> bool:
        """Is a welcome held here for this member, which was not heard yet?"""
        return member in self._pending or (self._own is not None and member in self._own.unheard)

    def heard(self, member: Address) -> None:
        """A member said something: it needs no welcome any more."""
        self._repeated.pop(member, None)
        if self._pending.pop(member, None) is not None:
            self._ledger.delete(b"welcome/" + member)
            self._forget_bundles()
        if self._own is not None and member in self._own.unheard:
            left = [other for other in self._own.unheard if other != member]
            self._put_own(replace(self._own, unheard=left) if left else None)

    def deadline(self) -> Instant | None:
        if not self._pending and self._own is None:
            return None
        times = [Instant(pending.send_at) for pending in self._pending.values()]
        if self._own is not None:
            times.append(Instant(self._own.since + bounds.WELCOME_LIFETIME + 1))
        return min(times, default=None)
