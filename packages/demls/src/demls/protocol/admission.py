"""Whom does a change concern, and may it be asked for? What proposals mean before anybody votes on them."""

from __future__ import annotations

from dataclasses import dataclass

from demls.protocol.credential import CredentialRefused, check_leaf, parse_binding
from demls.protocol.engine import Engine, EngineError
from demls.wire.ids import Address, Instant
from demls.wire.messages import Change, Invite, Remove


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a change would do: proposals of one ``effect`` are interchangeable, a commit carries only one of them.

    ``subject``: whom it concerns; ``expires``: when it becomes impossible, None if never.
    """

    effect: tuple[str, bytes]
    subject: Address
    expires: Instant | None = None


def meaning_of(change: Change, owner: Address, engine: Engine) -> Meaning | None:
    """None if the change makes no sense by itself, whoever asks for it."""
    if isinstance(change, Invite):
        try:
            package = engine.parse_key_package(change.key_package_bytes)
            credential = check_leaf(package.credential, package.signature_key, package.extensions, None)
            expires = parse_binding(package.extensions).expires
        except (EngineError, CredentialRefused):
            return None
        return Meaning(("add", credential.address), Address(credential.address), Instant(expires))
    subject = Address(change.member_id) if isinstance(change, Remove) else owner
    return Meaning(("remove", bytes(subject)), subject)
