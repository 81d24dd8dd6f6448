"""May a member ask for this? What people want is checked before it is proposed, with a sentence if it cannot be.

And how a proposal or vote of the own member comes to be: signed, counted here, said to the group.
"""

from __future__ import annotations

from demls.protocol import policy as bounds
from demls.protocol.credential import CredentialRefused, check_leaf
from demls.protocol.engine import EngineError
from demls.protocol.errors import BadInvite, RequestRefused, UnknownMember, UnknownProposal
from demls.protocol.items import Item
from demls.protocol.requests import INVITE_LABEL, TOKEN_BYTES
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.protocol.views import ProposalStatus
from demls.wire.ids import Address, Duration, Instant, ProposalId, address_text
from demls.wire.links import new_invite
from demls.wire.messages import Change, Invite, InviteLink, Leave, Remove, Settings, Vote, invite_content


def check_change(change: Change, state: GroupState, now: Instant) -> None:
    """Raises RequestRefused if the change makes no sense in this group now, or is being decided already."""
    match change:
        case Invite():
            effect = "add", bytes(_check_invite(change, state, now))
        case Remove():
            check_member(Address(change.member_id), state)
            if change.member_id == state.own:
                raise RequestRefused("To go out of the group yourself, leave it; that needs no vote.")
            effect = "remove", change.member_id
        case Leave():
            work = state.governance.approved()
            if any(isinstance(item.change, Leave) and item.subject == state.own for item in work):
                raise RequestRefused("You have asked to leave already; you are gone at the next commit.")
            return
        case Settings():
            _check_settings(change, state)
            effect = "settings", b""
        case _:
            raise RequestRefused("Nodes open this kind of vote by themselves, when it is due.")
    if any(item.effect == effect for item in state.governance.in_flight()):
        raise RequestRefused("This is being decided already; vote on the open proposal.")


def _check_invite(change: Invite, state: GroupState, now: Instant) -> Address:
    try:
        package = state.read_key_package(change.key_package_bytes)
        credential = check_leaf(package.credential, package.signature_key, package.extensions, now)
    except EngineError as problem:
        raise BadInvite("The key package cannot be used; ask the person for a fresh contact.") from problem
    except CredentialRefused as problem:
        raise BadInvite(f"This person cannot be invited: {problem}") from problem
    subject = Address(credential.address)
    if subject in state.roster.addresses:
        raise RequestRefused(f"{credential.name or address_text(subject)} is a member already.")
    if not state.can_add(change.key_package_bytes):
        raise BadInvite("The key package does not fit this group; ask the person to update and for a new one.")
    return subject


def check_member(subject: Address, state: GroupState) -> None:
    """Raises UnknownMember."""
    if subject not in state.roster.addresses:
        raise UnknownMember(
            f"{address_text(subject)} is not a member of this group; look the address up among its members."
        )


def _check_settings(change: Settings, state: GroupState) -> None:
    check_names(change.name, change.description)
    fault = bounds.fault_of(change.policy)
    if fault:
        raise RequestRefused(f"This policy cannot work. {fault}")
    charter = state.charter
    if (change.name, change.description, change.policy) == (charter.name, charter.description, charter.policy):
        raise RequestRefused("These are the group's settings already.")
    if change.base != charter.digest:
        raise RequestRefused("The settings have been changed meanwhile; look at them and propose again.")


def check_names(name: str, description: str) -> None:
    """Raises RequestRefused."""
    if not name.strip() or not fits_in(name, bounds.NAME_BYTES_MAX):
        raise RequestRefused("Give the group a name of at most 80 characters.")
    if not fits_in(description, bounds.DESCRIPTION_BYTES_MAX):
        raise RequestRefused("The description is too long: at most 500 characters.")


def fits_in(text: str, size: int) -> bool:
    """Is it text that UTF-8 can write, in at most ``size`` bytes?"""
    try:
        return len(text.encode()) <= size
    except UnicodeEncodeError:
        return False


def open_proposal(change: Change, state: GroupState, step: Step) -> Item | None:
    """Propose it in the own name, without a vote; None if it was refused or waits (the step says which)."""
    proposal = state.governance.new_proposal(change, state.own, state.device.leaf_private, step.now)
    item = state.receive_proposal(proposal, step, signed_by=state.device.leaf_key)
    if item is not None:
        step.say(proposal)
    return item


def cast_vote(item: Item, yes: bool, state: GroupState, step: Step) -> None:
    """Sign the own vote, count it, and say it. A vote is final."""
    vote = state.governance.new_vote(item, state.own, state.device.leaf_private, yes, step.now)
    message = Vote(vote.encode())
    state.governance.receive_vote(message, step, signed_by=state.device.leaf_key)
    state.places.say_vote(item, message, step)


def check_vote(proposal_id: ProposalId, state: GroupState) -> Item:
    """The open proposal on which the own member may vote still. Raises RequestRefused."""
    item = state.governance.items.get(proposal_id)
    if item is None:
        raise UnknownProposal("There is no such proposal in this group; list the proposals again.")
    if item.status is not ProposalStatus.OPEN:
        raise UnknownProposal(f"This proposal is {item.status.value} already, so votes no longer count.")
    if state.own not in item.tally.voters:
        electorate = state.governance.electorates.get(item.proposal.epoch)
        is_old = electorate is None or state.own not in electorate.seats
        raise RequestRefused(
            "You joined after this proposal was opened, so others decide it."
            if is_old
            else "The stewards decide this kind of proposal; all members do if they leave it undecided."
        )
    if not state.may_sign(item):
        raise RequestRefused("You came back with a new key since this was opened, so the others decide it.")
    known = state.governance.vote_of(item, state.own)
    if known is not None:
        raise RequestRefused(f"You voted {'yes' if known else 'no'} already, and a vote is final.")
    return item


def new_link(state: GroupState, *, relay: str, lifetime: Duration, now: Instant, is_open: bool) -> InviteLink:
    """A signed invite; ``is_open``: good for anybody, without a token. Raises RequestRefused."""
    if not 0 < lifetime <= bounds.INVITE_LIFETIME_MAX:
        raise RequestRefused("An invite link is valid for at most 90 days.")
    token, expires = b"" if is_open else state.engine.random(TOKEN_BYTES), now + lifetime
    return new_invite(
        group_id=state.group_id,
        group_name=state.charter.name,
        rendezvous=state.charter.rendezvous,
        relay=relay,
        token=token,
        expires=expires,
        issuer=state.own,
        signature=state.sign(INVITE_LABEL, invite_content(state.group_id, token, expires, state.own)),
    )
