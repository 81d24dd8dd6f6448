"""Who asks for a new seat, and when does the group give it? The members' side of resync.

A request is work that needs no vote. It waits while a removal of its owner or an accusation is open, and until the
hour since the owner's last new seat is over. Of one member only the newest requests are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from demls.protocol import policy as bounds
from demls.protocol.events import Reason
from demls.protocol.governance import Governance
from demls.protocol.items import Item
from demls.protocol.resync import DECIDED, TOO_SOON, is_due, next_seat_at
from demls.protocol.step import Step
from demls.protocol.views import ProposalStatus
from demls.wire.chain import Reseated
from demls.wire.ids import Address, Instant, ProposalId
from demls.wire.messages import (
    Proposal,
    Resync,
)

_GOING = (ProposalStatus.OPEN, ProposalStatus.APPROVED)


class Resyncs:
    """The requests for new seats in one group, as its governance holds them; nothing of its own is durable."""

    def __init__(
        self,
        governance: Governance,
        reseated: Callable[[], Iterable[Reseated]],
        carried: Callable[[], frozenset[ProposalId]],
    ) -> None:
        """``reseated()``: who was given a new seat within the last hour; ``carried()``: what candidates carry now."""
        self._governance = governance
        self._reseated = reseated
        self._carried = carried

    def refusal(self, proposal: Proposal, now: Instant, *, solicited: bool) -> tuple[Reason, str] | None:
        """Is there room for one more request of its owner? Makes it if an older one is in the way."""
        mine = self._of(Address(proposal.owner))
        if not solicited:
            if proposal.created_at > now + bounds.RESYNC_EARLY_MAX:
                return Reason.STALE, "a request for a new seat from the future"
            newest = max((item.proposal.created_at for item in mine), default=None)
            if newest is not None and proposal.created_at < newest + bounds.RESYNC_REQUEST_EVERY:
                return Reason.LIMIT, "a request for a new seat soon after another one"
        if len(mine) >= bounds.RESYNCS_CARRIED_MAX:
            return Reason.LIMIT, "too many requests for a new seat by one member"
        return None

    def _of(self, owner: Address) -> list[Item]:
        """The requests of one member that are in no commit, newest first."""
        known = (item for item in self._governance.resyncs.values() if item.proposal.owner == owner)
        return sorted((item for item in known if item.status is not ProposalStatus.COMMITTED), key=Item.order)

    def act(self, step: Step) -> None:
        """Drop requests that were replaced or are over, and look again whether the others have to wait."""
        if not self._governance.resyncs:
            return
        carried = self._carried() | self._governance.locked
        for owner in {Address(item.proposal.owner) for item in self._governance.resyncs.values()}:
            for place, item in enumerate(self._of(owner)):
                is_replaced = place >= bounds.RESYNCS_PER_MEMBER_MAX
                if item.proposal_id not in carried and (is_replaced or item.status not in _GOING):
                    self._governance.drop(item)
                else:
                    self._governance.refresh(item, step)

    def hindrance(self, item: Item, now: Instant) -> str:
        """Why a request has to wait, in the own view."""
        if not isinstance(item.change, Resync):
            return ""
        if now < next_seat_at(item.subject, self._reseated()):
            return TOO_SOON
        return DECIDED if self._is_accused(item.subject) else ""

    def _is_accused(self, member: Address) -> bool:
        """Is its removal, its leave or an emergency against it being decided, or decided and not committed?"""
        governance = self._governance
        is_removed = any(
            item.effect == ("remove", bytes(member)) and item.status in _GOING for item in governance.items.values()
        )
        return is_removed or any(
            item.subject == member and item.status in _GOING for item in governance.emergencies.values()
        )

    def is_due(self, item: Item, now: Instant) -> bool:
        """Shall a commit carry it now? All other work is due when it is approved."""
        change = item.change
        return not isinstance(change, Resync) or is_due(item.proposal, change, now, self._reseated())

    def deadline(self, now: Instant) -> Instant | None:
        """When a request that waits becomes due."""
        times = []
        for item in self._governance.resyncs.values():
            first = next_seat_at(item.subject, self._reseated())
            if item.status in _GOING and first:
                times += [first, Instant(first + bounds.RESYNC_MARGIN)]
        return min((time for time in times if time > now), default=None)
