"""Views of a group, its members and its proposals, as the core gives them, for tests of the words about them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from demls.api.models import Group, Proposal
from demls.node import cards, policies, present
from demls.node.present import Connection
from demls.protocol.policy import DAY_POLICY
from demls.protocol.views import (
    GroupStatus,
    GroupView,
    MemberView,
    ProposalKind,
    ProposalStatus,
    ProposalView,
    RoundView,
    ScoreEntry,
)
from demls.wire.ids import Address, Epoch, GroupId, Instant, ProposalId

ME, BOB, CAROL = (Address(bytes([number]) * 20) for number in (1, 2, 3))
NAMES = {ME: "Alice", BOB: "Bob", CAROL: ""}
PROPOSAL = ProposalId(b"p" * 32)
FRIENDS = policies.Agreed("Friends", "", DAY_POLICY)
NOON = int(datetime(2027, 1, 15, 12).astimezone().timestamp() * 1000)


def proposal(**changes: Any) -> ProposalView:
    fields: dict[str, Any] = {
        "proposal_id": PROPOSAL,
        "kind": ProposalKind.REMOVE,
        "subject": BOB,
        "subject_name": "Bob",
        "owner": ME,
        "sponsor": None,
        "opened_at": Instant(NOON),
        "deadline": Instant(NOON + 30_000),
        "silence_is_yes": True,
        "voters": 6,
        "needed": 4,
        "yes": 1,
        "no": 0,
        "silent": 5,
        "my_vote": True,
        "may_vote": True,
        "status": ProposalStatus.OPEN,
        "reason": "",
        "epoch": None,
        "decided_by_stewards": False,
        "stewards": (),
        "retry_round": 0,
        "settings": None,
        "violation": None,
        "removes": False,
    }
    return ProposalView(**{**fields, **changes})


def card(**changes: Any) -> Proposal:
    return cards.proposal(proposal(**changes), FRIENDS, NAMES.__getitem__)


def commit_round(**changes: Any) -> RoundView:
    fields: dict[str, Any] = {
        "is_open": True,
        "view": 1,
        "leader": ME,
        "needed": 3,
        "heard": 2,
        "missing": (),
        "short": 0,
        "leader_is_steward": True,
    }
    return RoundView(**{**fields, **changes})


def group(**changes: Any) -> GroupView:
    fields: dict[str, Any] = {
        "group_id": GroupId(bytes(32)),
        "name": "Friends",
        "description": "",
        "preset": "day",
        "status": GroupStatus.MEMBER,
        "epoch": Epoch(5),
        "authenticator": b"",
        "own_address": ME,
        "stewards": (ME, BOB, CAROL),
        "epoch_steward": BOB,
        "backup_steward": CAROL,
        "members": 4,
        "proposals": (),
        "requests": (),
        "round": commit_round(is_open=False),
        "policy": DAY_POLICY,
        "charter_digest": b"",
        "counted": 3,
        "stewards_until": Epoch(7),
        "is_halted": False,
        "successors": (),
        "frozen_until": None,
        "held": 0,
    }
    return GroupView(**{**fields, **changes})


def shown(**changes: Any) -> Group:
    return present.group("scope", group(**changes), NAMES.__getitem__, Connection(True, True))


def member_view(*moves: ScoreEntry, **changes: Any) -> MemberView:
    fields: dict[str, Any] = {
        "address": BOB,
        "name": "Bob",
        "device": "laptop",
        "leaf": 1,
        "is_self": False,
        "is_steward": True,
        "is_epoch_steward": False,
        "removal_pending": False,
        "is_dormant": False,
        "lost_turn": False,
        "score": 100,
        "score_history": moves,
    }
    return MemberView(**{**fields, **changes})
