"""Does anything follow from a message besides what it says?

Most votes decide nothing, most acknowledgements and locks complete no quorum, and what people say to each other moves
nothing but the talk. After those a call need not ask every duty and every guard of the round whether its time has come:
nothing that they look at has changed, and the deadline says that nothing is due by time alone. Where there is doubt,
everything is asked.
"""

from __future__ import annotations

from demls.protocol.channel import Channel
from demls.protocol.duties import Duties
from demls.protocol.events import MessageReceived, VoteRecorded
from demls.protocol.inbound import Found
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.protocol.stranding import Stranding
from demls.wire.ids import Instant, View
from demls.wire.messages import Payload, PrivateMessage, Vote
from demls.wire.statements import RoundStatement, StatementKind

Places = tuple[Channel | None, ...]

_KINDS = {int(kind): kind for kind in StatementKind}


def is_quiet(state: GroupState, duties: Duties, stranding: Stranding) -> bool:
    """Does nobody here wait for whatever comes next? O(1)."""
    is_waited = state.governance.resyncs or duties.is_waiting or stranding.is_waiting
    return not is_waited and not state.is_halted


def is_still(
    message: Payload, step: Step, turns: int, *, state: GroupState, duties: Duties, stranding: Stranding
) -> bool:
    """Was this new vote or round statement only counted, this chat message only told? O(1).

    ``turns``: of the governance before it came.
    """
    governance = state.governance
    if step.said or governance.turns != turns or not is_quiet(state, duties, stranding):
        return False
    match message:
        case PrivateMessage():
            told = step.events[0] if len(step.events) == 1 else None
            # To hear a dormant member is something to propose.
            return isinstance(told, MessageReceived) and told.sender in state.roster.counted
        case Vote():
            recorded = step.events[0] if len(step.events) == 1 else None
            if not isinstance(recorded, VoteRecorded) or state.round.is_judging:
                return False
            item = governance.items.get(recorded.proposal_id)
            return item is not None and not state.announcing.is_news(item)
        case RoundStatement():
            return not step.events and message.member in state.roster.counted and state.round.is_still(message)
        case _:
            return False


def count(found: Found, places: Places, state: GroupState, now: Instant) -> bool:
    """Take in a statement of the open round that is new, signed as is known already, and completes nothing. O(1).

    Says whether it is; else nothing has happened. It does what everything else does for such a statement, without
    looking for what could follow: for where ``is_quiet`` holds. ``places``: where it may have come.
    """
    channel, read = found
    statement, current = read.payload, state.round
    if not isinstance(statement, RoundStatement) or len(statement.candidate) not in (0, 32):
        return False
    kind, seat = _KINDS.get(statement.kind), state.roster.seat(statement.member)
    if kind is None or seat is None or not any(channel is place for place in places):
        return False
    member = seat.address
    is_counted = not seat.dormant and member in state.committee.members
    is_of_state = (statement.epoch, statement.head) == (current.epoch, current.head)
    if not is_counted or not is_of_state or member in current.statements(kind, View(statement.view)):
        return False
    if not current.is_still(statement, 1) or not state.foreseen.has_signed(statement, seat.leaf_key):
        return False
    current.keep(statement, read.raw)
    state.heard(member, now)
    state.vouched(member)
    state.now = now
    return True
