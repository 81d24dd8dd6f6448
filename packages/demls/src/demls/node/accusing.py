"""How does a person open an emergency? Its group does, with what it can prove: about a member, or about a deadlock."""

from __future__ import annotations

from demls.protocol.effects import Effects
from demls.protocol.group import Group
from demls.wire.ids import Address, Instant
from demls.wire.messages import Emergency
from demls.wire.violations import Violation


def open_emergency(group: Group, emergency: Emergency, now: Instant) -> Effects:
    """Open what this is about, with what the group can prove now. Raises RequestRefused; then nothing has changed."""
    if emergency.violation_type == Violation.DEADLOCK:
        return group.report_deadlock(now)
    return group.accuse(Address(emergency.target_member_id), now)


def deadlock_of(group: Group) -> Emergency | None:
    """The emergency about stewards who have not committed, with its proof; None if there is none."""
    return group.deadlock()
