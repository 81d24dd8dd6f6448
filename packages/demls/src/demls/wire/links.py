"""The two texts that people hand out: a contact (of a person) and an invite link (of a group).

Both are short enough for a QR code: a prefix, base64url of a protobuf message, with four check bytes, so that a text
that was cut or mistyped is recognised.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TypeVar

from demls.wire.messages import Contact, InviteLink, decode_message, encode_message

CONTACT_PREFIX = "demls:contact:"
INVITE_PREFIX = "demls:invite:"
TEXT_CHARACTERS_MAX = 4096
_VERSION = 1
_CHECK_BYTES = 4


class BadLink(ValueError):
    """The text is no contact or invite link; the message says what to do."""


_Link = TypeVar("_Link", Contact, InviteLink)


def contact_text(contact: Contact) -> str:
    return _write(CONTACT_PREFIX, contact)


def invite_text(link: InviteLink) -> str:
    return _write(INVITE_PREFIX, link)


def parse_contact(text: str) -> Contact:
    """Raises BadLink."""
    return _read(text, CONTACT_PREFIX, Contact, "contact")


def parse_invite(text: str) -> InviteLink:
    """Raises BadLink."""
    return _read(text, INVITE_PREFIX, InviteLink, "invite link")


def _write(prefix: str, link: Contact | InviteLink) -> str:
    body = encode_message(link)
    check = hashlib.sha256(prefix.encode() + body).digest()[:_CHECK_BYTES]
    return prefix + base64.urlsafe_b64encode(body + check).decode().rstrip("=")


def _read(text: str, prefix: str, kind: type[_Link], called: str) -> _Link:
    text = "".join(text.split())
    if not text.startswith(prefix):
        other = "an invite link" if text.startswith(INVITE_PREFIX) else "a contact"
        if text.startswith((CONTACT_PREFIX, INVITE_PREFIX)):
            raise BadLink(
                f"This is {other}, but {'a contact' if kind is Contact else 'an invite link'} is needed here."
            )
        raise BadLink(f"This is no {called}: it begins with “{prefix}”.")
    damaged = BadLink(f"This {called} is damaged or incomplete; copy all of it, or ask the person to send it again.")
    if len(text) > TEXT_CHARACTERS_MAX:
        raise damaged
    encoded = text.removeprefix(prefix)
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        body, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
        genuine = hashlib.sha256(prefix.encode() + body).digest()[:_CHECK_BYTES] == check
        link = decode_message(body, kind)
    except ValueError as problem:  # of base64, of characters beyond ASCII, or a WireError
        raise damaged from problem
    if not genuine:
        raise damaged
    if link.version != _VERSION:
        raise BadLink(f"This {called} was made by a newer demls; update to read it.")
    return link


def new_contact(address: bytes, name: str, inbox: bytes, relay: str) -> Contact:
    return Contact(_VERSION, address, name, inbox, relay)


def new_invite(
    *,
    group_id: bytes,
    group_name: str,
    rendezvous: bytes,
    relay: str,
    token: bytes,
    expires: int,
    issuer: bytes,
    signature: bytes,
) -> InviteLink:
    return InviteLink(_VERSION, group_id, group_name, rendezvous, relay, token, expires, issuer, signature)
