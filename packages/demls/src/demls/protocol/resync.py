"""Is this request for a new leaf the member's own, and may a commit carry it now? The rules of resync.

A member that no answer can bring back asks for a new leaf in the place of its old one. Its request is signed by the
old leaf and by the wallet, so neither a stolen device nor a stolen wallet is enough, and it needs no vote. How often
it may be carried follows from the chain alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from demls_consensus import wallet_recover

from demls.protocol import policy as bounds
from demls.protocol.credential import CLOCK_DIFFERENCE_MAX, CredentialRefused, check_leaf, credential_date
from demls.protocol.engine import EngineError, ReadKeyPackage
from demls.protocol.events import Reason
from demls.protocol.roster import Roster
from demls.wire.chain import Reseated
from demls.wire.ids import Address, Duration, Epoch, Instant, address_text
from demls.wire.messages import (
    Proposal,
    Resync,
    ResyncReason,
)

NOT_YOURS = "The leaf that it would replace is not this member's any more."
TOO_SOON = "A member is given a new seat once an hour; the next time is due later."
DECIDED = "A removal of this member, or an accusation of it, is being decided; the new seat waits for that."


def resync_sentence(group_id: bytes, address: Address, change: Resync) -> str:
    """What the wallet signs: readable, and of no use anywhere but for this one request."""
    package = hashlib.sha256(change.key_package_bytes).hexdigest()
    return (
        "demls new seat\n\n"
        "I ask one group to give my device a new leaf in the place of the old one.\n"
        f"Wallet: {address_text(address)}\n"
        f"Group: {group_id.hex()}\n"
        f"Old leaf key: {change.leaf_key.hex()}\n"
        f"New key package: {package}\n"
        f"Request: {change.generation} {change.nonce.hex()}\n"
        f"Until: {credential_date(change.expires)}"
    )


def fault_of_resync(
    proposal: Proposal, change: Resync, roster: Roster, read: ReadKeyPackage
) -> tuple[Reason, str] | None:
    """What is wrong with a request whose leaf signature holds, by itself and by the chain; None if nothing is.

    No clock enters: whoever catches up reads old requests.
    """
    owner = Address(proposal.owner)
    seat = roster.seat(owner)
    if seat is None or seat.leaf_key != change.leaf_key:
        return Reason.STALE, "a request for the seat of a leaf that is not there any more"
    if change.reason not in set(ResyncReason):
        return Reason.INVALID, "a request for a new seat without a known reason"
    if not 0 < change.expires - proposal.created_at <= bounds.RESYNC_LIFETIME or change.expires > bounds.INSTANT_MAX:
        return Reason.INVALID, "a request for a new seat that is valid for longer than an hour"
    try:
        package = read(change.key_package_bytes)
        credential = check_leaf(package.credential, package.signature_key, package.extensions, None)
    except (EngineError, CredentialRefused) as problem:
        return Reason.INVALID, f"a request for a new seat with an unusable key package: {problem}"
    if (credential.address, credential.device, credential.name) != (owner, seat.device, seat.name):
        return Reason.INVALID, "a request for a new seat under another name or device"
    if any(package.signature_key == other.leaf_key for other in roster.seats):
        return Reason.INVALID, "a request for a new seat with a key that is in use"
    try:
        sentence = resync_sentence(proposal.group_id, owner, change)
    except CredentialRefused:
        return Reason.INVALID, "a request for a new seat with an impossible date"
    if wallet_recover(sentence.encode(), change.wallet_signature) != owner:
        return Reason.FORGED, "a request for a new seat that its wallet did not sign"
    return None


def limit_of(n: int) -> int:
    """How many new seats one commit may give, in a group of ``n`` counted members."""
    return 1 + n // 10


def next_seat_at(member: Address, reseated: Iterable[Reseated]) -> Instant:
    """The chain time from which on a member may be given a new seat again; 0 if at once."""
    last = max((given.time for given in reseated if given.member_id == member), default=None)
    return Instant(0 if last is None else last + bounds.RESYNC_EVERY)


def barrier(proposal: Proposal, change: Resync, time: Instant, reseated: Iterable[Reseated]) -> str:
    """Why no commit of this chain time may carry the request, by the chain alone; empty if one may."""
    if time >= change.expires:
        return "The request has expired."
    if time < proposal.created_at - bounds.RESYNC_EARLY_MAX:
        return "The request is from the future."
    if time < next_seat_at(Address(proposal.owner), reseated):
        return TOO_SOON
    return ""


def is_due(proposal: Proposal, change: Resync, now: Instant, reseated: Iterable[Reseated]) -> bool:
    """Shall a commit carry it now? So far from the edges that, whatever the clocks, everybody agrees that one may."""
    first, margin = next_seat_at(Address(proposal.owner), reseated), bounds.RESYNC_MARGIN
    return (
        (first == 0 or now >= first + margin)
        and proposal.created_at <= now + CLOCK_DIFFERENCE_MAX
        and now + margin < change.expires
    )


def reseated_after(
    before: Iterable[Reseated], given: Iterable[Address], entered: Epoch, time: Instant, members: Iterable[Address]
) -> tuple[Reseated, ...]:
    """Who was given a new seat within the last hour of chain time, by member."""
    present = set(members)
    kept = {
        Address(old.member_id): old
        for old in before
        if old.time + bounds.RESYNC_EVERY > time and Address(old.member_id) in present
    }
    kept |= {member: Reseated(member, entered, time) for member in given if member in present}
    return tuple(kept[member] for member in sorted(kept))


def renew_at(created: Instant) -> Instant:
    """When the member itself makes a fresh request, well before the old one expires."""
    return Instant(created + bounds.RESYNC_LIFETIME - Duration(10 * bounds.MINUTE))
