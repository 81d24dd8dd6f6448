"""What is missing here, and who may have it? How a node asks the others.

A digest says what its sender holds; the one asked sends what is missing, and asks back for what it lacks itself.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from demls.protocol.continuity import DIGEST_LABEL, make_digest
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.wire.ids import Address, Duration, Instant
from demls.wire.messages import Digest

UNHEARD_AFTER = Duration(10_000)
"""Hearing nobody for so long while it asks, a node asks at the rendezvous too: it may speak where nobody listens."""

LONELY_AFTER = Duration(60_000)


class Asking:
    """The questions of one node in one group."""

    def __init__(self, state: GroupState) -> None:
        self._state = state
        self._returned_at = Instant(0)
        self._last: Address | None = None
        """Whom this node asked last when it came back."""

    def ask(self, step: Step, other: Address | None = None) -> None:
        """Ask one other member, drawn at random if none is given, for what is missing here.

        While a committee commits, those who hear it ask its members, on its floor.
        """
        state = self._state
        is_in_round = other is None and state.round.is_open and state.places.hears_committee(state.own)
        floor = state.places.floor if is_in_round else None
        if floor is not None:
            other = self._one_of_committee()
        elif other not in self._others():
            other = self._somebody()
        if other is None:
            return
        step.say(self.digest(other), floor)
        if step.now >= max(self._state.heard_at, self._returned_at) + UNHEARD_AFTER:
            self._returned_at = step.now
            step.say(self.brief(other), self._state.rendezvous)

    def ask_committee(self, step: Step) -> None:
        """Ask a member of the committee, where all hear the answer: others lack the same, perhaps."""
        other = self._one_of_committee()
        if other is not None:
            step.say(self.digest(other))

    def ask_steward(self, stewards: Collection[Address], step: Step) -> None:
        """Ask one of these who decide with the own member, where they say their votes."""
        other = self._drawn(sorted(member for member in stewards if member != self._state.own))
        if other is not None:
            step.say(self.digest(other), self._state.places.booth)

    def look_around(self, step: Step) -> None:
        """Nobody was heard for a while, so this node may be far behind: ask where everybody is."""
        if step.now >= max(self._state.heard_at, self._returned_at) + LONELY_AFTER:
            self._returned_at = step.now
            self.come_back(step)

    def _others(self) -> list[Address]:
        return [seat.address for seat in self._state.roster.seats if seat.address != self._state.own]

    def _somebody(self) -> Address | None:
        return self._drawn(self._others())

    def _one_of_committee(self) -> Address | None:
        return self._drawn([member for member in self._state.committee.order if member != self._state.own])

    def _drawn(self, others: list[Address]) -> Address | None:
        return others[int.from_bytes(self._state.engine.random(8), "big") % len(others)] if others else None

    def come_back(self, step: Step) -> None:
        """After a restart or a leap: whoever is ahead shall say so, here or, from a state long past, there.

        Each time the next is asked, since some may be away.
        """
        state, others = self._state, self._others()
        place = others.index(self._last) + 1 if self._last in others else None
        self._last = other = others[place % len(others)] if place is not None else self._somebody()
        if other is not None:
            step.say(self.digest(other))
            step.say(self.brief(other), state.rendezvous)

    def digest(self, asked: Address) -> Digest:
        state = self._state
        return make_digest(
            current=state.round,
            governance=state.governance,
            roster=state.roster,
            own=state.own,
            asked=asked,
            group_id=state.group_id,
            sign=state.sign,
        )

    def say_here(self, step: Step) -> None:
        """Tell whoever asks in the own state that there is nothing to tell: this node is there."""
        step.say(self.brief(self._state.own), self._state.rendezvous)

    def brief(self, asked: Address) -> Digest:
        """Only where this node stands: former members read the rendezvous topic too."""
        state = self._state
        unsigned = Digest(state.epoch, state.state.head, 0, state.own, asked, (), (), b"", b"", bytes(64))
        return replace(unsigned, signature=state.sign(DIGEST_LABEL, unsigned.content(state.group_id)))
