"""When was a member last heard, and who has been silent for so long that the group should not wait for it?

Only what a member has signed counts as hearing it. Nodes vote on dormancy by what they have heard themselves, and a
node whose person is silent says now and then that it is there.
"""

from __future__ import annotations

from demls.protocol import policy as bounds
from demls.protocol.records import Ledger
from demls.protocol.roster import Roster
from demls.wire.ids import Address, Duration, Instant


class Presence:
    """What one node has heard of the members of its group."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._heard = {Address(key): Instant(at) for key, at in ledger.under(b"heard/", int)}
        self._stored = dict(self._heard)
        self.returned: dict[Address, Instant] = {}
        """Dormant members that were heard, and when first."""

    def enter(self, roster: Roster, now: Instant) -> None:
        """A new state: newcomers count as heard now, who left is forgotten."""
        for address in sorted(self._heard.keys() - roster.addresses):
            del self._heard[address]
            self._stored.pop(address, None)
            self._ledger.delete(b"heard/" + address)
        for address in sorted(roster.addresses - self._heard.keys()):
            self._heard[address] = now
            self._store(address, now)
        self.returned = {address: at for address, at in self.returned.items() if address in roster.dormant}

    def note(self, member: Address, roster: Roster, now: Instant, dormant_after: int) -> None:
        """A member has said something signed. O(1)."""
        seat = roster.seat(member)
        if seat is None:
            return
        if now > self._heard.get(member, -1):
            self._heard[member] = now
        if seat.dormant:
            self.returned.setdefault(member, now)
        if now > self._stored.get(member, 0) + dormant_after // bounds.HEARD_GRAIN:
            self._store(member, now)

    def _store(self, member: Address, now: Instant) -> None:
        self._stored[member] = now
        self._ledger.put(b"heard/" + member, now)

    def must_speak_at(self, own: Address, dormant_after: int) -> Instant | None:
        """When the own node says that it is there, so that nobody takes its person's silence for absence."""
        said = self._heard.get(own)
        return None if said is None or not dormant_after else Instant(said + dormant_after // 4)

    def heard_at(self, member: Address) -> Instant | None:
        return self._heard.get(member)

    def silent(self, roster: Roster, own: Address, now: Instant, dormant_after: int) -> list[Address]:
        """Counted members not heard for ``dormant_after``, longest first; O(n log n), to be asked rarely."""
        if not dormant_after:
            return []
        quiet = [a for a in roster.counted if a != own and now >= self._heard.get(a, now) + dormant_after]
        return sorted(quiet, key=lambda address: (self._heard[address], address))

    def quiet(self, roster: Roster, own: Address, now: Instant) -> frozenset[Address]:
        """Counted members not heard for ``QUIET_FOR``. O(n)."""
        return frozenset(a for a in roster.counted if a != own and now >= self._heard.get(a, now) + bounds.QUIET_FOR)

    def opinion_dormant(self, member: Address, now: Instant, dormant_after: int) -> bool | None:
        """Has it been silent long enough? None: not yet, but it has not been heard lately either."""
        heard = self._heard.get(member)
        if heard is None or not dormant_after:
            return False
        quiet = Duration(now - heard)
        if quiet >= dormant_after:
            return True
        return False if quiet < dormant_after // 2 else None
