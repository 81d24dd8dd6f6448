"""Which messages of a device are missing, since when, and how often were they asked for?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from demls.protocol import policy as bounds
from demls.wire.ids import Instant


@dataclass(slots=True)
class Gap:
    """Numbers ``first`` to ``last`` of one device are missing.

    ``after``, ``before``: when the neighbours were written, by the sender's clock; 0 if there is none.
    ``is_claimed``: nobody but others says that they exist, or that they are for this member: people hear nothing of it.
    ``asked``: questions that somebody can have heard; ``tries``: all of them since there was an answer.
    ``is_told``: people were told that they are lost.
    """

    first: int
    last: int
    after: int
    before: int
    noticed_at: int
    ask_at: int
    was_away: bool = False
    is_claimed: bool = False
    asked: int = 0
    tries: int = 0
    asked_at: int = 0
    has_yielded: bool = False
    is_told: bool = False
    anew: int = 0

    @property
    def width(self) -> int:
        return self.last - self.first + 1

    @property
    def asks_max(self) -> int:
        return bounds.CLAIM_ASKS_MAX if self.is_claimed else bounds.ASKS_MAX

    @property
    def is_exhausted(self) -> bool:
        """Was it asked for as often as it is?"""
        return self.asked >= self.asks_max

    @property
    def is_open(self) -> bool:
        """Is it still asked for, so that people may hope?"""
        return not (self.is_claimed or self.is_told)

    def has_failed(self, now: Instant) -> bool:
        """Did the last question remain without an answer, too?"""
        return self.is_over(now) and now >= self.ask_at

    def is_over(self, now: Instant) -> bool:
        """Is it not asked for any more: often enough, or for a day?"""
        return self.is_exhausted or (not self.is_told and now >= self.noticed_at + bounds.DAY)


@dataclass(slots=True)
class Heard:
    """What was heard of one device: the highest number, and the newest epoch in which something was said.

    ``at``: when the newest of its messages that came was written; 0 if none has, and it only told how far it counts.
    ``claim``: what others say it has said after that.
    """

    key: bytes
    highest: int = 0
    at: int = 0
    epoch: int = 0
    gaps: list[Gap] = field(default_factory=list)
    claim: Gap | None = None
    has_differed: bool = False

    def take(self, counter: int, at: int, *, is_mine: bool = False) -> bool:
        """Close the gap at a number; what is left around it is asked for soon. Says whether there was one.

        ``is_mine``: the message was for this member, so all that its device said after it is, too.
        """
        gap = next((gap for gap in self.gaps if gap.first <= counter <= gap.last), None)
        if gap is None:
            return False
        self.gaps.remove(gap)
        if gap.first < counter:
            self.gaps.append(replace(gap, last=counter - 1, before=at))
        if counter < gap.last:
            is_claimed = gap.is_claimed and not is_mine
            self.gaps.append(replace(gap, first=counter + 1, after=at, is_claimed=is_claimed))
        self.gaps.sort(key=lambda one: one.first)
        return True

    def clip(self, lowest: int) -> None:
        """What was said before ``lowest`` is not for this member."""
        kept = [gap for gap in self.gaps if gap.last >= lowest]
        for gap in kept:
            gap.first = max(gap.first, lowest)
        self.gaps = kept
        if self.claim is not None and self.claim.first < lowest:
            self.claim = replace(self.claim, first=lowest) if self.claim.last >= lowest else None

    def shrink(self) -> list[Gap]:
        """Forget the oldest that is too much; what people do not know yet of that."""
        lost: list[Gap] = []
        missing = sum(gap.width for gap in self.gaps)
        while len(self.gaps) > bounds.GAPS_OF_DEVICE_MAX or missing > bounds.MISSING_OF_DEVICE_MAX:
            gap = self.gaps[0]
            surplus = missing - bounds.MISSING_OF_DEVICE_MAX
            if gap.width <= surplus or len(self.gaps) > bounds.GAPS_OF_DEVICE_MAX:
                cut = self.gaps.pop(0)
            else:
                cut = replace(gap, last=gap.first + surplus - 1)
                gap.first += surplus
            missing -= cut.width
            if cut.is_open:
                lost.append(cut)
        return lost
