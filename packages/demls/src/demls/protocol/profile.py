"""Under which rules of the wire was a group created? A group has one profile, for good.

What a profile decides is kept in one small object, so that a group of another wire can share everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from demls.protocol.roster import Roster
from demls.protocol.stewards import StewardList, leaders
from demls.wire.chain import LostTurn
from demls.wire.ids import Address, Epoch, Head

Order = Callable[[StewardList, Roster, Epoch, Head, tuple[LostTurn, ...]], tuple[Address, ...]]


@dataclass(frozen=True, slots=True)
class Profile:
    """``version`` of its charters; ``leaders``: who leads the views of a state, in order.

    ``certifies``: does a commit count only with the locks of a quorum of its members?
    """

    name: str
    version: int
    leaders: Order
    certifies: bool


DEMLS = Profile("demls", 1, leaders, certifies=True)
"""Everything in this package: charter in the GroupContext, governance by leaf keys, the round by members' quorum."""

PROFILES = {profile.name: profile for profile in (DEMLS,)}
