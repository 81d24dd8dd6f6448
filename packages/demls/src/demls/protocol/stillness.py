"""Does anything follow from a message besides what it says?

Most votes decide nothing, most acknowledgements and locks complete no quorum, and what people say to each other moves
nothing but the talk. After those a call need not ask every duty and every guard of the round whether its time has come:
nothing that they look at has changed, and the deadline says that nothing is due by time alone. Where there is doubt,
everything is asked.
"""

from __future__ import annotations

from demls.protocol.duties import Duties
from demls.protocol.events import MessageReceived, VoteRecorded
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.protocol.stranding import Stranding
from demls.wire.messages import Payload, PrivateMessage, Vote
from demls.wire.statements import RoundStatement


def is_still(
    message: Payload, step: Step, turns: int, *, state: GroupState, duties: Duties, stranding: Stranding
) -> bool:
    """Was this new vote or round statement only counted, this chat message only told? O(1).

    ``turns``: of the governance before it came.
    """
    governance = state.governance
    is_quiet = (
        not step.said
        and governance.turns == turns
        and not governance.resyncs
        and not duties.is_waiting
        and not stranding.is_waiting
        and not state.is_halted
    )
    if not is_quiet:
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
