"""What is missing here, and who may have it? How a node asks the others.

A digest says what its sender holds; the one asked sends what is missing, and asks back for what it lacks itself.
"""

from __future__ import annotations

from dataclasses import replace

from demls.protocol.continuity import DIGEST_LABEL, make_digest
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.wire.ids import Address
from demls.wire.messages import Digest


class Asking:
    """The questions of one node in one group."""

    def __init__(self, state: GroupState) -> None:
        self._state = state

    def ask(self, step: Step) -> None:
        """Ask one other member, drawn at random, for what is missing here."""
        other = self._somebody()
        if other is not None:
            step.say(self.digest(other))

    def _somebody(self) -> Address | None:
        state = self._state
        others = [seat.address for seat in state.roster.seats if seat.address != state.own]
        return others[int.from_bytes(state.engine.random(8), "big") % len(others)] if others else None

    def come_back(self, step: Step) -> None:
        """After a restart: whoever is ahead shall say so, here or, if this state is long past, at the rendezvous."""
        state, other = self._state, self._somebody()
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

    def brief(self, asked: Address) -> Digest:
        """Only where this node stands: former members read the rendezvous topic too."""
        state = self._state
        unsigned = Digest(state.epoch, state.state.head, 0, state.own, asked, (), (), b"", b"", bytes(64))
        return replace(unsigned, signature=state.sign(DIGEST_LABEL, unsigned.content(state.group_id)))
