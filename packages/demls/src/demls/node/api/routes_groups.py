"""The routes about groups: found, join, read, talk, propose, vote, leave."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from demls.api.models import (
    Done,
    Group,
    GroupSummary,
    InviteContact,
    JoinGroup,
    Member,
    NewEmergency,
    NewGroup,
    NewInvite,
    NewMessage,
    NewSettings,
    NewSuccessor,
    Proposal,
    Removal,
    Sharable,
    TimelineEntry,
    Vote,
)
from demls.node.api.needs import NeedsService

router = APIRouter(prefix="/groups", tags=["groups"])

Before = Annotated[int | None, Query(ge=1, lt=2**63, description="Only lines with a smaller id.")]
Limit = Annotated[int, Query(ge=1, le=500)]


@router.get("")
async def groups(service: NeedsService) -> list[GroupSummary]:
    return await service.groups()


@router.post("", status_code=201)
async def create_group(new: NewGroup, service: NeedsService) -> Group:
    """Found a group with a preset's policy or one of your own; you are its first member and steward."""
    return await service.create_group(new)


@router.post("/join", status_code=201)
async def join_group(body: JoinGroup, service: NeedsService) -> Group:
    """Ask a group to be admitted, with its invite link."""
    return await service.join_group(body.invite)


@router.get("/{group_id}")
async def group(group_id: str, service: NeedsService) -> Group:
    return await service.group(group_id)


@router.get("/{group_id}/members")
async def members(group_id: str, service: NeedsService) -> list[Member]:
    return await service.members(group_id)


@router.get("/{group_id}/members/{address}")
async def member(group_id: str, address: str, service: NeedsService) -> Member:
    """One member: its score and why, what your node can prove against it, and what it could be accused of."""
    return await service.member(group_id, address)


@router.get("/{group_id}/timeline")
async def timeline(
    group_id: str, service: NeedsService, before: Before = None, limit: Limit = 100
) -> list[TimelineEntry]:
    """The newest ``limit`` lines (before ``before``), oldest first."""
    return await service.timeline(group_id, before, limit)


@router.post("/{group_id}/messages", status_code=201)
async def send_message(group_id: str, message: NewMessage, service: NeedsService) -> Done:
    """Send a message, or carry out a command: a text that begins with ``/`` (``/help`` lists them)."""
    return await service.send(group_id, message.text, message.client_id)


@router.post("/{group_id}/invites", status_code=201)
async def create_invite(group_id: str, new: NewInvite, service: NeedsService) -> Sharable:
    """A new invite link, good for one person, or for anybody whom a member then answers for."""
    return await service.invite(group_id, new.lifetime_ms, is_open=new.open)


@router.post("/{group_id}/invitations", status_code=201)
async def invite_contact(group_id: str, body: InviteContact, service: NeedsService) -> Done:
    """Propose to admit the person whose contact this is."""
    return await service.invite_contact(group_id, body.contact)


@router.post("/{group_id}/removals", status_code=201)
async def remove_member(group_id: str, body: Removal, service: NeedsService) -> Done:
    """Propose to remove a member."""
    return await service.remove_member(group_id, body.address)


@router.post("/{group_id}/emergencies", status_code=201)
async def open_emergency(group_id: str, new: NewEmergency, service: NeedsService) -> Done:
    """Accuse a member of what your node can prove, or have it noted that the stewards are at a deadlock."""
    return await service.open_emergency(group_id, new)


@router.post("/{group_id}/settings", status_code=201)
async def propose_settings(group_id: str, new: NewSettings, service: NeedsService) -> Done:
    """Propose another name, description or policy; what is not given stays."""
    return await service.propose_settings(group_id, new)


@router.post("/{group_id}/successors", status_code=201)
async def found_successor(group_id: str, new: NewSuccessor, service: NeedsService) -> Group:
    """Found a group that goes on from this one, and invite the members named."""
    return await service.found_successor(group_id, new)


@router.post("/{group_id}/successors/{founder}/join", status_code=201)
async def join_successor(group_id: str, founder: str, service: NeedsService) -> Group:
    """Ask to be admitted to the successor that this member founded, with your own invite to it."""
    return await service.join_successor(group_id, founder)


@router.get("/{group_id}/proposals/{proposal_id}")
async def proposal(group_id: str, proposal_id: str, service: NeedsService) -> Proposal:
    """One proposal, open or among those that ended last."""
    return await service.proposal(group_id, proposal_id)


@router.post("/{group_id}/proposals/{proposal_id}/vote")
async def vote(group_id: str, proposal_id: str, body: Vote, service: NeedsService) -> Done:
    """Vote; a cast vote is final."""
    return await service.vote(group_id, proposal_id, body.yes)


@router.post("/{group_id}/requests/{request_id}/sponsor")
async def sponsor_request(group_id: str, request_id: str, service: NeedsService) -> Done:
    """Put a request to join to the vote, in your name."""
    return await service.sponsor(group_id, request_id)


@router.post("/{group_id}/requests/{request_id}/dismiss")
async def dismiss_request(group_id: str, request_id: str, service: NeedsService) -> Done:
    """Put a request to join away, on this node only."""
    return await service.dismiss(group_id, request_id)


@router.post("/{group_id}/refresh-keys")
async def refresh_keys(group_id: str, service: NeedsService) -> Done:
    """Ask for new encryption keys of your leaf with the next commit; it needs no vote."""
    return await service.refresh_keys(group_id)


@router.post("/{group_id}/leave")
async def leave_group(group_id: str, service: NeedsService) -> Done:
    """Leave; you are out with the next commit."""
    return await service.leave(group_id)


@router.post("/{group_id}/rejoin")
async def rejoin_group(group_id: str, service: NeedsService) -> Done:
    """Ask the group for a new seat in the place of your old one; it needs your wallet, and no vote."""
    return await service.rejoin(group_id)


@router.delete("/{group_id}", status_code=204)
async def forget_group(group_id: str, service: NeedsService) -> None:
    """Delete what this node keeps of a group you are no longer in, history included."""
    await service.forget(group_id)
