"""What do people see of a group? Views made from the state, never stored."""

from __future__ import annotations

from demls.protocol.credential import CredentialRefused, parse_credential
from demls.protocol.engine import EngineError
from demls.protocol.governance import Item
from demls.protocol.state import GroupState
from demls.protocol.views import (
    GroupStatus,
    GroupView,
    MemberView,
    ProposalKind,
    ProposalStatus,
    ProposalView,
    RequestView,
    RoundView,
)
from demls.wire.ids import Address, Instant
from demls.wire.messages import Invite, Leave, StatementKind

_RANK = {ProposalStatus.OPEN: 0, ProposalStatus.APPROVED: 1}


def group_view(state: GroupState, waiting: tuple[Address, ...]) -> GroupView:
    """O(members + proposals)."""
    items = sorted(
        state.governance.items.values(),
        key=lambda item: (_RANK.get(item.status, 2), -(item.ended_at or 0), item.order()),
    )
    turns = state.state.stewards.rotated(state.epoch)
    return GroupView(
        state.group_id,
        state.charter.name,
        state.charter.description,
        state.charter.policy.preset,
        GroupStatus.MEMBER,
        state.epoch,
        state.mls.authenticator(),
        state.own,
        state.state.stewards.members,
        turns[0] if turns else None,
        turns[1] if len(turns) > 1 else None,
        state.roster.n,
        tuple(_proposal_view(state, item) for item in items),
        tuple(
            RequestView(request_id, Address(kept.address), kept.name, Address(kept.issuer), Instant(kept.received_at))
            for request_id, kept in state.requests.waiting.items()
        ),
        _round_view(state, waiting),
    )


def _proposal_view(state: GroupState, item: Item) -> ProposalView:
    change, tally = item.change, item.tally
    kind = (
        ProposalKind.INVITE
        if isinstance(change, Invite)
        else ProposalKind.LEAVE
        if isinstance(change, Leave)
        else ProposalKind.REMOVE
    )
    sponsor = Address(change.sponsor) if isinstance(change, Invite) and change.sponsor else None
    mine = state.governance.vote_of(item, state.own)
    _, silence = state.governance.rule(change)
    return ProposalView(
        item.proposal_id,
        kind,
        item.subject,
        _name_of(state, item),
        Address(item.proposal.owner),
        sponsor,
        item.first_seen,
        item.deadline,
        silence.name == "COUNTS_AS_YES" and tally.n > 2,
        tally.n,
        state.governance.needed(item),
        tally.yes,
        tally.no,
        tally.silent,
        mine,
        item.needs_votes and item.status is ProposalStatus.OPEN and mine is None and state.own in tally.voters,
        item.status,
        item.reason,
        item.epoch,
    )


def _name_of(state: GroupState, item: Item) -> str:
    """What the subject calls itself, from the roster or from its key package."""
    known = state.name_of(item.subject)
    if known:
        return known
    if isinstance(item.change, Invite):
        try:
            package = state.engine.parse_key_package(item.change.key_package_bytes)
            return parse_credential(package.credential).name
        except (EngineError, CredentialRefused):
            return ""
    return ""


def _round_view(state: GroupState, waiting: tuple[Address, ...]) -> RoundView:
    current = state.round
    heard = current.statements(StatementKind.ACK, current.at.view)
    return RoundView(
        current.is_open,
        current.at.view,
        current.leader(current.at.view) if current.is_open else None,
        state.roster.q,
        len(heard),
        waiting,
    )


def member_views(state: GroupState) -> tuple[MemberView, ...]:
    """All members by leaf. O(n)."""
    stewards = frozenset(state.state.stewards.members)
    turns = state.state.stewards.rotated(state.epoch)
    leaving = {item.subject for item in state.governance.approved() if item.effect[0] == "remove"}
    return tuple(
        MemberView(
            seat.address,
            seat.name,
            seat.device,
            seat.leaf,
            seat.address == state.own,
            seat.address in stewards,
            bool(turns) and seat.address == turns[0],
            seat.address in leaving,
        )
        for seat in state.roster.seats
    )
