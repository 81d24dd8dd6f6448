"""Where does a member listen now, and where does it say what concerns only some?

The stewards' votes have a booth, the acknowledgements and locks of a drawn committee a floor: channels that follow from
the epoch's own, so that every member can open them, and nobody has to hear what it does not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from demls_consensus import SignedVote

from demls.protocol import policy as bounds
from demls.protocol.channel import Channel, booth_of, channel_of, floor_of
from demls.protocol.items import Item
from demls.protocol.step import Step
from demls.wire.ids import Epoch, Head, Topic
from demls.wire.messages import Payload, Vote

if TYPE_CHECKING:
    from demls.protocol.state import GroupState


class Places:
    """The channels of one member in one group."""

    def __init__(self, state: GroupState) -> None:
        self._state = state
        self._listening: dict[Topic, Channel] = {}
        self._made_in: tuple[Head, int] = Head(b""), -1
        self._booths: tuple[Channel, ...] = ()
        self.floors: dict[Epoch, Channel] = {}
        """Where this member hears the committees of the newest epochs, as far as it does."""

    def listening(self) -> dict[Topic, Channel]:
        """Where this member listens now, by topic: to the stewards' votes if it decides with them, or all do by now."""
        state = self._state
        head, turns = self._made_in
        if turns != state.governance.turns or head != state.state.head:
            channels = [state.rendezvous, channel_of(state.state.way_back), *state.channels.values()]
            self._choose_floors()
            channels += self.floors.values()
            self._booths = tuple(map(booth_of, state.channels.values())) if self._hears_stewards() else ()
            self._listening = {channel.topic: channel for channel in (*channels, *self._booths)}
            self._made_in = state.state.head, state.governance.turns
        return self._listening

    # --- The committee ------------------------------------------------------------------------------------------

    def _choose_floors(self) -> None:
        """Of past epochs a floor is heard as long as their channels are, if it was heard before."""
        state = self._state
        self.floors = {epoch: floor for epoch, floor in self.floors.items() if epoch in state.channels}
        floor = self.floor
        if floor is not None and self.hears_committee(state.own):
            self.floors[state.epoch] = floor

    def hears_committee(self, member: bytes) -> bool:
        """Who is in the committee does, and who may have to lead soon; all members, where none is drawn."""
        committee = self._state.committee
        is_asked = not committee.is_drawn or member in committee.members
        return is_asked or member in self._state.state.leaders[: committee.n]

    @property
    def floor(self) -> Channel | None:
        """Where the acknowledgements and locks of this state are said; None: to all members."""
        return floor_of(self._state.channel) if self._state.committee.is_drawn else None

    def is_floor(self, channel: Channel) -> bool:
        """Does this member hear a committee there?"""
        return channel in self.floors.values()

    # --- Stewards -----------------------------------------------------------------------------------------------

    @property
    def booth(self) -> Channel:
        """Where stewards say their votes in this epoch."""
        return booth_of(self._state.channel)

    def is_booth(self, channel: Channel) -> bool:
        """Is this where stewards say their votes?"""
        return channel in self._booths

    def _hears_stewards(self) -> bool:
        """Is the own member a steward where stewards decide, or one of those to whom they have left something?"""
        state = self._state
        is_steward = state.own in state.state.electorate.stewards
        is_asked = bounds.needs_stewards(state.charter.policy) and is_steward
        return is_asked or state.governance.wants_stewards_votes(state.own)

    def say_vote(self, item: Item, vote: Vote, step: Step) -> None:
        """Say it where those listen who decide in its ballot."""
        is_of_stewards = len(item.ballots) > 1 and item.place == 0
        step.say(vote, self.booth if is_of_stewards else None)

    def say_answer(self, payload: Payload, step: Step, asked_on: Channel) -> None:
        """Say it to a member that lacks it; votes of an open stewards' ballot, where the stewards listen."""
        where = asked_on if self.is_floor(asked_on) or self.is_booth(asked_on) else None
        if isinstance(payload, Vote):
            found = self._state.governance.find(SignedVote.decode(payload.signed_vote).proposal_id)
            item, ballot = found if found is not None else (None, None)
            if item is not None and ballot is not None and ballot is not item.ballots[-1]:
                where = where if item.place or ballot.is_decided() else self.booth
        step.say(payload, where)
