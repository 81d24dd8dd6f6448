"""When does a node ask for new keys of its own leaf?

At once if its person wishes so, along with other work once the keys are half as old as they may become, and by itself
before they are older. What an epoch leaves undone is asked for anew in the next: an Update belongs to one epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

from demls.protocol import policy as bounds
from demls.protocol.credential import BINDING_EXTENSION, CredentialRefused, check_leaf
from demls.protocol.errors import RequestRefused
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.protocol.updates import KeyAges, OwnUpdate
from demls.protocol.wishes import open_proposal
from demls.wire.framing import digest
from demls.wire.ids import Instant
from demls.wire.messages import Binding, Refresh, decode_message, encode_message

_WANTED = b"refresh/wanted"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The person's wish, kept until it is done; ``binding``: the wallet binding to bring along, or empty."""

    epoch: int
    binding: bytes


class Refreshing:
    """The own wishes for new keys in one group."""

    def __init__(self, state: GroupState) -> None:
        self._state = state
        self._wanted = state.ledger.find(_WANTED, Wanted)
        self._not_before = Instant(0)
        self._turn: tuple[KeyAges, Instant, Instant, Instant | None] | None = None

    @property
    def is_asked(self) -> bool:
        """Is the person's wish, or the own Update, still to be committed?"""
        return self._wanted is not None or self._state.updates.of(self._state.epoch) is not None

    def wish(self, binding: Binding | None, step: Step) -> None:
        """The person wants new keys now. Raises RequestRefused."""
        state = self._state
        if self.is_asked:
            raise RequestRefused("Your new keys are asked for already; you have them with the next commit.")
        if state.is_halted:
            raise RequestRefused("Governance rests in this group, so nothing is committed; found it anew with others.")
        if binding is not None:
            self._check(binding)
        self._wanted = Wanted(state.epoch, encode_message(binding) if binding is not None else b"")
        state.ledger.put(_WANTED, self._wanted)
        self.act(step)

    def _check(self, binding: Binding) -> None:
        """Would the others take it? Raises RequestRefused."""
        device, known = self._state.device, self._state.roster.binding_of(self._state.own)
        try:
            check_leaf(device.credential(), device.leaf_key, {BINDING_EXTENSION: encode_message(binding)}, None)
        except CredentialRefused as problem:
            raise RequestRefused(f"The new wallet binding cannot be used: {problem}") from problem
        if known is not None and binding.expires < known.expires:
            raise RequestRefused("The new wallet binding ends before the present one; choose a later date.")

    def act(self, step: Step) -> None:
        """Ask if it is time. O(1) as long as it is not."""
        state = self._state
        self._note_done()
        if state.updates.of(state.epoch) is not None or state.emergencies.is_frozen(step.now):
            return
        due = self._due()
        if (due is not None and step.now >= due) or self._may_ride(step.now):
            self._ask(step)

    def deadline(self) -> Instant | None:
        """When it is time, by time alone."""
        return self._due() if self._state.updates.of(self._state.epoch) is None else None

    def _note_done(self) -> None:
        state, wanted = self._state, self._wanted
        age = state.ages.of(state.own) if wanted is not None else None
        if wanted is None or age is None or age.epoch <= wanted.epoch:
            return
        if wanted.binding and state.roster.binding_of(state.own) != decode_message(wanted.binding, Binding):
            return
        self._wanted = None
        state.ledger.delete(_WANTED)

    def _due(self) -> Instant | None:
        """When the own node asks; None if it does not by itself."""
        state, turn = self._state, self._turn
        if self._wanted is not None:
            return self._not_before
        if turn is None or turn[0] is not state.ages or turn[1:3] != (state.settled_at, self._not_before):
            turn = self._turn = state.ages, state.settled_at, self._not_before, self._own_turn()
        return turn[3]

    def _own_turn(self) -> Instant | None:
        """Those with the oldest keys first, after each commit."""
        state = self._state
        if not state.ages.is_automatic:
            return None
        place, age = state.ages.place(state.own), state.ages.of(state.own)
        if age is None or place is None:
            return None
        lot = int.from_bytes(digest(b"demls refresh 1", state.group_id, state.own, age.epoch)[:8], "big")
        hard = age.time + bounds.REFRESH_AFTER - lot % bounds.REFRESH_SPREAD
        turn = state.settled_at + place // bounds.REFRESHES_PER_COMMIT * bounds.REFRESH_TURN
        return Instant(max(hard, turn, self._not_before))

    def _may_ride(self, now: Instant) -> bool:
        """Is a commit coming that could renew the own keys along with its work?"""
        state = self._state
        if now < self._not_before or state.own not in state.ages.riders(now):
            return False
        return state.has_work() and not state.round.candidates

    def _ask(self, step: Step) -> None:
        state, wanted = self._state, self._wanted
        if wanted is not None and wanted.binding and state.roster.counted <= {state.own}:
            # Nobody else is there who could commit a new binding, and a path cannot bring it.
            self._wanted = wanted = Wanted(wanted.epoch, b"")
            state.ledger.put(_WANTED, wanted)
        binding = wanted.binding if wanted is not None else b""
        if binding and state.roster.binding_of(state.own) == decode_message(binding, Binding):
            binding = b""
        update, secrets = state.mls.propose_update(extensions={BINDING_EXTENSION: binding} if binding else None)
        state.updates.keep(OwnUpdate(state.epoch, update, secrets))
        if open_proposal(Refresh(update, bool(binding)), state, step) is None:
            state.updates.clear()
            self._not_before = Instant(step.now + bounds.REFRESH_TURN)
