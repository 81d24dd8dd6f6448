"""What do the members say that are keys only? The same as a whole member does, each with a signature of its own.

A light member is a twin of a whole one, its model: it votes, acknowledges and locks as its model does, when it does.
So thousands really vote and really sign, while only some dozens have to be run; what a whole member receives is the
same to the byte as if all were whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from demls.protocol.channel import Channel, seal, unseal
from demls.protocol.commit_round import ROUND_LABEL
from demls.protocol.credential import Device
from demls.protocol.electorates import VOTE_LABEL
from demls.protocol.engine import Engine
from demls.protocol.group import Group
from demls.protocol.state import GroupState
from demls.wire.ids import Address, Topic
from demls.wire.messages import Payload, Vote
from demls.wire.statements import RoundStatement
from demls_consensus import Choice, SignedVote
from leaves import GROUP_ID


def speaking(state: GroupState) -> frozenset[Address]:
    """Whose acknowledgements and locks count: a committee, if the group's rules draw one, else all who count."""
    committee = getattr(state, "committee", None)
    members: frozenset[Address] = state.roster.counted if committee is None else committee.members
    return members


class Crowd:
    """Light members of one group and their models."""

    def __init__(self, lights: Iterable[Device], engine: Engine) -> None:
        self.lights = {device.address: device for device in lights}
        self._engine = engine
        self._models: list[Address] = []
        self._said: set[tuple[bytes, ...]] = set()
        self._twins: dict[Address, list[Address]] = {}

    def follow(self, models: list[Address], asked: frozenset[Address] = frozenset()) -> None:
        """Share the light members out among these whole ones; who is ``asked`` more than others, among such."""
        self._models = models
        self._twins = {model: [] for model in models}
        listed = [model for model in models if model in asked] or models
        others = [model for model in models if model not in asked] or models
        for place, light in enumerate(self.lights):
            like = listed if light in asked else others
            self._twins[like[place % len(like)]].append(light)

    def add(self, device: Device) -> None:
        self.lights[device.address] = device
        self._twins[self._models[0]].append(device.address)

    def remove(self, light: Address) -> None:
        del self.lights[light]
        for twins in self._twins.values():
            if light in twins:
                twins.remove(light)

    def twins_of(self, model: Address) -> int:
        """How many are like this member."""
        return len(self._twins.get(model, ()))

    def hear(self, model: Address, group: Group, topic: Topic, payload: bytes) -> list[bytes]:
        """What the twins of this member publish on the same topic, when it has published this."""
        if model not in self._twins:
            return []
        state = group._state
        channel = state.listening().get(topic) if state is not None else None
        message = unseal(channel, payload, self._engine) if channel is not None else None
        if state is None or channel is None or not isinstance(message, Vote | RoundStatement):
            return []
        said = self._echo(message, model, group)
        return [seal(channel, one, self._engine) for one in said]

    def _echo(self, message: Vote | RoundStatement, model: Address, group: Group) -> list[Payload]:
        if isinstance(message, Vote):
            vote = SignedVote.decode(message.signed_vote)
            if vote.voter != model or self._was_said(model, b"vote", vote.proposal_id, bytes([vote.choice.value])):
                return []
            return [
                self.vote(light, vote.proposal_id, vote.choice, vote.time_ms) for light in self._may(model, vote, group)
            ]
        if message.member != model or self._was_said(model, message.content(GROUP_ID)):
            return []
        return [self.state(light, message) for light in self._stating(model, group)]

    def _was_said(self, *what: bytes) -> bool:
        if what in self._said:
            return True
        self._said.add(what)
        return False

    def _may(self, model: Address, vote: SignedVote, group: Group) -> list[Address]:
        """Who of the twins is asked: they decide on it, and are not its subject."""
        state = group._state
        assert state is not None
        item = next(item for key, item in state.governance.items.items() if key == vote.proposal_id)
        return [light for light in self._twins[model] if light in item.tally.voters and light != item.subject]

    def _stating(self, model: Address, group: Group) -> list[Address]:
        """Who of the twins acknowledges and locks in the present state."""
        state = group._state
        assert state is not None
        heard = speaking(state)
        return [light for light in self._twins[model] if light in heard]

    def vote(self, light: Address, proposal: bytes, choice: Choice, at: int) -> Vote:
        private = self.lights[light].leaf_private
        signed = SignedVote.cast(
            proposal, light, choice, at, lambda content: self._engine.sign(private, VOTE_LABEL, content)
        )
        return Vote(signed.encode())

    def state(self, light: Address, like: RoundStatement) -> RoundStatement:
        """The same statement of a light member."""
        mine = replace(like, member=light)
        signature = self._engine.sign(self.lights[light].leaf_private, ROUND_LABEL, mine.content(GROUP_ID))
        return replace(mine, signature=signature)

    def seal(self, channel: Channel, payload: Payload) -> bytes:
        return seal(channel, payload, self._engine)
