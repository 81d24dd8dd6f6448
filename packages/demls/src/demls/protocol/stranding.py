"""Has this node missed so much that no answer brings it back? What it makes of members who keep nothing from then.

It believes more members than may be malicious, if it knows them from its own state. Whoever else says so, where those
it knew may all be gone, makes it ask its own members for a while whether they are still there; silence decides.
"""

from __future__ import annotations

from demls.protocol import policy as bounds
from demls.protocol.asking import Asking
from demls.protocol.events import Reason, Stranded
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.wire.ids import Address, Duration, Epoch, Instant
from demls.wire.messages import NothingKept

NOTHING_KEPT_LABEL = "demls nothing kept"
_ASK_EVERY = Duration(bounds.MINUTE)


class Stranding:
    """What one node knows about being too far behind; nothing of it is durable, a restart asks anew."""

    def __init__(self, state: GroupState, asking: Asking) -> None:
        self._state = state
        self._asking = asking
        self._epoch = state.epoch
        self._known: set[Address] = set()
        """Counted members of the own state who have said that they keep nothing from then."""
        self._since: Instant | None = None
        """When that was said first, by whomever."""
        self._ask_at = Instant(0)
        self._told: dict[Address, Instant] = {}
        self.is_stranded = False

    # --- For others ---------------------------------------------------------------------------------------------

    def answer(self, member: Address, epoch: Epoch, step: Step) -> None:
        """Tell a member that asks on from an epoch of which nothing is kept here."""
        state, last = self._state, self._told.get(member)
        if last is not None and step.now < last + bounds.NOTHING_KEPT_EVERY:
            return
        self._told = {one: at for one, at in self._told.items() if step.now < at + bounds.NOTHING_KEPT_EVERY}
        self._told[member] = step.now
        oldest = next((e for e in range(epoch + 1, state.epoch) if state.history.leaving(e) is not None), state.epoch)
        unsigned = NothingKept(epoch, member, oldest, state.own, bytes(64))
        signature = state.sign(NOTHING_KEPT_LABEL, unsigned.content(state.group_id))
        step.say(NothingKept(epoch, member, oldest, state.own, signature), state.rendezvous)

    # --- For the own node ---------------------------------------------------------------------------------------

    def receive(self, notice: NothingKept, step: Step) -> None:
        state = self._state
        self._follow()
        if (notice.asked_by, notice.epoch) != (state.own, state.epoch) or notice.oldest <= notice.epoch:
            return
        seat = state.roster.seat(notice.member)
        if seat is not None and seat.address != state.own:
            content = notice.content(state.group_id)
            if not state.engine.verify(seat.leaf_key, NOTHING_KEPT_LABEL, content, notice.signature):
                step.refuse(Reason.FORGED, "a notice that its member did not sign")
                return
            if not seat.dormant:
                self._known.add(seat.address)
        if self._since is None:
            self._since, self._ask_at = step.now, step.now

    @property
    def is_waiting(self) -> bool:
        """Does it matter that somebody is heard?"""
        return self._since is not None

    def act(self, step: Step) -> None:
        """Ask those of the own state, or give up."""
        self._follow()
        if self._since is None or self.is_stranded:
            return
        state = self._state
        if state.heard_at > self._since:
            self._forget()
            return
        is_silent = step.now >= self._since + bounds.STRANDED_AFTER
        if len(self._known) > state.roster.f or is_silent:
            self.is_stranded = True
            step.tell(Stranded(state.epoch))
        elif step.now >= self._ask_at:
            self._ask_at = Instant(step.now + _ASK_EVERY)
            self._asking.come_back(step)

    def deadline(self) -> Instant | None:
        if self._since is None or self.is_stranded:
            return None
        return min(self._ask_at, Instant(self._since + bounds.STRANDED_AFTER))

    def _follow(self) -> None:
        """Whatever was said about an earlier state is over."""
        if self._epoch != self._state.epoch:
            self._epoch = self._state.epoch
            self._forget()

    def _forget(self) -> None:
        self._known.clear()
        self._since = None
        self.is_stranded = False
