"""Does anything follow from a message besides what it says?

Most votes decide nothing, and most acknowledgements and locks complete no quorum. After those a call need not ask
every duty and every guard of the round whether its time has come: nothing that they look at has changed, and the
deadline says that nothing is due by time alone. Where there is doubt, everything is asked.
"""

from __future__ import annotations

from demls.protocol.duties import Duties
from demls.protocol.events import VoteRecorded
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.protocol.stranding import Stranding
from demls.wire.messages import Payload, Vote
from demls.wire.statements import RoundStatement


def is_still(
    message: Payload, step: Step, turns: int, *, state: GroupState, duties: Duties, stranding: Stranding
) -> bool:
    """Was this new vote or round statement only counted? ``turns``: of the governance before it came. O(1)."""
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
