"""Which rules around the round does a group need? The patches that switch each of them off: votes, requests,
elections, emergencies, chat, repair, and the order of writing and sending.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from demls_consensus import Tally

from demls.protocol.asking import Asking
from demls.protocol.chat import Chat
from demls.protocol.commit_round import Round
from demls.protocol.elections import Elections
from demls.protocol.emergencies import Emergencies
from demls.protocol.governance import Governance
from demls.protocol.requests import Requests
from demls.protocol.state import GroupState
from demls.protocol.validation import State
from demls.simulation.model_messages import EpochMessages
from demls.simulation.world import World
from demls.wire.messages import StewardElection

Patches = Iterable[tuple[object, Any, object]]


def _nothing(*_: object, **__: object) -> None:
    return None


def _yes(*_: object, **__: object) -> bool:
    return True


def durable_first() -> Patches:
    """A step's messages leave before the step is written."""
    yield World, "writes_first", False


def both_is_yes() -> Patches:
    """Who signed a yes and a no counts as neither."""
    yield Tally, "yes", property(lambda self: len(self._yes) - len(self._equivocators))


def _any_list(self: Elections, election: StewardElection, state: State) -> bool:  # noqa: ARG001 - as the rule
    return True


def list_recomputed() -> Patches:
    """Whatever list somebody proposes, nodes vote for it and lists are not drawn again."""
    yield Elections, "opinion", _any_list
    yield Elections, "fault_of", _nothing


def token_once() -> Patches:
    """A request may come again after it was used, also one of the history."""
    yield Requests, "_use", _nothing
    yield Requests, "adopt_used", _nothing


def skip() -> Patches:
    """Nobody follows f + 1 members into a later view."""
    yield Round, "_skip", _nothing


def proofs() -> Patches:
    """Any accusation is put to the vote."""
    yield Emergencies, "fault_of", _nothing


def fair_freeze() -> Patches:
    """The next emergency need not wait for what the last one has held up."""
    yield Emergencies, "_owe", _nothing


def freeze_ends() -> Patches:
    """A freeze lasts as long as an emergency is open, whatever the time."""
    yield Emergencies, "is_frozen", lambda self, now: self._is_on  # noqa: ARG005 - as the rule


def gaps_named() -> Patches:
    """A gap that stays open is forgotten without a word."""
    yield Chat, "_tell", staticmethod(_nothing)


def room() -> Patches:
    """Any member may open as many proposals as it likes."""
    yield Governance, "has_room", _yes


def repair() -> Patches:
    """Nobody asks others for what is missing."""
    yield Asking, "ask", _nothing
    yield Asking, "come_back", _nothing


def history() -> Patches:
    """Who is behind is told nothing."""
    yield GroupState, "say_history", _nothing


_ENCODED = EpochMessages.state


def _without_sent(self: EpochMessages) -> Any:
    """The own generation is not stored: a restart begins anew, and uses keys again."""
    state = _ENCODED(self)
    return type(state)(state.epoch, state.secret, 0, state.ratchets)


def generations() -> Patches:
    """The generation of the own message keys is not durable."""
    yield EpochMessages, "state", _without_sent
