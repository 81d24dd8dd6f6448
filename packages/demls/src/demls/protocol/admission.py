"""Whom does a change concern, and may it be asked for? What proposals mean before anybody votes on them."""

from __future__ import annotations

from dataclasses import dataclass

from demls.protocol.credential import CredentialRefused, check_leaf, parse_binding
from demls.protocol.engine import EngineError, ReadKeyPackage
from demls.protocol.policy import is_sound
from demls.wire.ids import Address, Instant
from demls.wire.messages import (
    Awake,
    Change,
    Dormant,
    Emergency,
    Invite,
    Leave,
    Refresh,
    Remove,
    Resync,
    Settings,
    StewardElection,
)
from demls.wire.violations import Violation


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a change would do: proposals of one ``effect`` are interchangeable, a commit carries only one of them.

    ``subject``: whom it concerns; ``expires``: when it becomes impossible, None if never.
    """

    effect: tuple[str, bytes]
    subject: Address
    expires: Instant | None = None


def meaning_of(change: Change, owner: Address, read: ReadKeyPackage) -> Meaning | None:
    """None if the change makes no sense by itself, whoever asks for it."""
    match change:
        case Invite():
            try:
                package = read(change.key_package_bytes)
                credential = check_leaf(package.credential, package.signature_key, package.extensions, None)
                expires = parse_binding(package.extensions).expires
            except (EngineError, CredentialRefused):
                return None
            return Meaning(("add", credential.address), Address(credential.address), Instant(expires))
        case Remove():
            return Meaning(("remove", change.member_id), Address(change.member_id))
        case Leave():
            return Meaning(("remove", bytes(owner)), owner)
        case Refresh():
            return Meaning(("refresh", bytes(owner)), owner)
        case StewardElection():
            return Meaning(("elect", b""), owner)
        case Settings():
            return Meaning(("settings", b""), owner) if is_sound(change.policy) else None
        case Emergency():
            target = Address(change.target_member_id or owner)
            if change.violation_type == Violation.SCORE_BELOW_THRESHOLD:
                return Meaning(("remove", bytes(target)), target) if change.target_member_id else None
            return Meaning(("note", change.violation_type.to_bytes(8, "big") + change.target_member_id), target)
        case Dormant():
            return Meaning(("dormant", b""), Address(change.member_id))  # one a commit: half must stay counted
        case Awake():
            return Meaning(("awake", change.member_id), Address(change.member_id))
        case Resync():
            return Meaning(("resync", bytes(owner)), owner, Instant(change.expires))
