"""Whom does a change concern, and may it be asked for? What proposals mean before anybody votes on them."""

from __future__ import annotations

from demls.protocol.credential import CredentialRefused, check_leaf
from demls.protocol.engine import Engine, EngineError
from demls.wire.ids import Address
from demls.wire.messages import Change, Invite, Remove


def subject_of(change: Change, owner: Address, engine: Engine) -> tuple[tuple[str, bytes], Address] | None:
    """(effect, whom it concerns); None if the change makes no sense by itself, whoever asks for it.

    Proposals of one effect are interchangeable; a commit carries only one of them.
    """
    if isinstance(change, Invite):
        try:
            package = engine.parse_key_package(change.key_package_bytes)
            credential = check_leaf(package.credential, package.signature_key, package.extensions, None)
        except (EngineError, CredentialRefused):
            return None
        return ("add", credential.address), Address(credential.address)
    subject = Address(change.member_id) if isinstance(change, Remove) else owner
    return ("remove", bytes(subject)), subject
