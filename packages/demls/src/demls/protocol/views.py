"""What people see of a group: plain data, made on demand from the state, never stored."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from demls.wire.charters import Charter, Policy
from demls.wire.ids import Address, Epoch, GroupId, Instant, ProposalId
from demls.wire.messages import Emergency
from demls.wire.statements import Proof
from demls.wire.violations import Violation


class GroupStatus(StrEnum):
    """Where the own node stands with a group."""

    MEMBER = "member"
    REMOVED = "removed"
    LEFT = "left"
    CLOSED = "closed"
    """Its last member, this one, left."""
    MOVED = "moved"
    """Its seat was given to another copy of the node, which had asked for it."""
    RETURNING = "returning"
    """It may not speak from its old leaf, and waits for a new one."""


class ProposalStatus(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    COMMITTED = "committed"
    WITHDRAWN = "withdrawn"
    NOTED = "noted"
    """Decided yes, and there is nothing to commit: an emergency about a single violation."""


class ProposalKind(StrEnum):
    INVITE = "invite"
    REMOVE = "remove"
    LEAVE = "leave"
    ELECTION = "election"
    SETTINGS = "settings"
    EMERGENCY = "emergency"
    DORMANT = "dormant"
    """A member that was not heard for long is counted no longer."""
    AWAKE = "awake"
    """A dormant member is counted again."""
    RESYNC = "resync"
    """A member that lost its state, or was too far behind, is given a new leaf; it needs no vote."""


@dataclass(frozen=True, slots=True)
class ScoreEntry:
    """One move of a score."""

    epoch: Epoch
    cause: str
    points: int


@dataclass(frozen=True, slots=True)
class ProvenView:
    """A proof that the own node keeps against a member and has confirmed, and what it proves."""

    proof: Proof
    violation: Violation


@dataclass(frozen=True, slots=True)
class MemberView:
    """``name`` is what the member calls itself: shown, never trusted."""

    address: Address
    name: str
    device: str
    leaf: int
    is_self: bool
    is_steward: bool
    is_epoch_steward: bool
    removal_pending: bool
    is_dormant: bool
    """Not heard for so long that the group does not wait for it any more."""
    lost_turn: bool
    """It led a view lately that ended without a commit, so it leads last for a while."""
    score: int
    """What the own node thinks of it."""
    score_history: tuple[ScoreEntry, ...]
    """Why, newest last."""
    proven: tuple[ProvenView, ...] = ()
    """What the own node can prove against it."""
    case: tuple[Proof, ...] = ()
    """Proofs that are enough to ask for its removal at once; empty if those kept are not, or have been decided on."""
    keys_epoch: Epoch | None = None
    """The epoch that its encryption key came with: it joined, asked for a new one, or committed."""
    keys_at: Instant | None = None
    """The chain time of that."""
    binding_ends: Instant | None = None
    """When the wallet's statement for this leaf ends."""


@dataclass(frozen=True, slots=True)
class ProposalView:
    """A proposal card. ``subject``: whom it admits or removes; ``needed``: YES votes that decide at once.

    ``yes + no + silent == voters``; ``silence_is_yes``: what silence means at ``deadline``;
    ``my_vote``: None while the own member has not voted; a cast vote is final.
    """

    proposal_id: ProposalId
    kind: ProposalKind
    subject: Address
    subject_name: str
    owner: Address
    sponsor: Address | None
    opened_at: Instant
    deadline: Instant
    silence_is_yes: bool
    voters: int
    needed: int
    yes: int
    no: int
    silent: int
    my_vote: bool | None
    may_vote: bool
    status: ProposalStatus
    reason: str
    epoch: Epoch | None
    """The epoch that its commit led to."""
    decided_by_stewards: bool
    stewards: tuple[Address, ...]
    """Of an election: the list that it would install, in order."""
    retry_round: int
    settings: Charter | None
    """Of a settings proposal: the charter as it would be."""
    violation: Violation | None
    """Of an emergency: what its proofs show, which every node checks."""
    removes: bool
    """Of an emergency: its subject goes if it is approved; else it is noted."""
    emergency: Emergency | None = None
    """Of an emergency: the proofs."""
    is_confirmed: bool = False
    """Of an emergency: the own node has seen for itself that all its proofs hold."""
    opened_in: Epoch | None = None


@dataclass(frozen=True, slots=True)
class RequestView:
    """Somebody who asks to join and is not yet voted on."""

    request_id: bytes
    address: Address
    name: str
    sponsor: Address | None
    received_at: Instant
    needs_sponsor: bool
    """It came by a link that is open to anybody: there is no vote until a member answers for the person."""


@dataclass(frozen=True, slots=True)
class RoundView:
    """The commit round now. ``missing``: members not heard although the round waits for ``short`` of them."""

    is_open: bool
    view: int
    leader: Address | None
    needed: int
    heard: int
    missing: tuple[Address, ...]
    short: int
    leader_is_steward: bool
    """Else the stewards had their turns without success, and a member commits in their place."""
    passed: tuple[Address, ...] = ()
    """Who led the views before this one, in their order, each once."""


@dataclass(frozen=True, slots=True)
class SuccessorView:
    """A group that a member founded to go on from this one; ``link``: the own invite, empty if there is none."""

    founder: Address
    name: str
    link: str


@dataclass(frozen=True, slots=True)
class ReturningView:
    """The own member waits for a new seat since ``since``; ``reason``: a ``ResyncReason``.

    ``waits_for``: why that takes long, in a sentence; empty if it is only a matter of waiting.
    """

    reason: int
    since: Instant
    waits_for: str
    unsent: int
    """Messages that are sent when it is back."""
    saved_at: int = 0
    """When the backup was made that was restored, if that is why and it is known."""


@dataclass(frozen=True, slots=True)
class GroupView:
    group_id: GroupId
    name: str
    description: str
    preset: str
    status: GroupStatus
    epoch: Epoch
    authenticator: bytes
    """Epoch authenticator (RFC 9420 §8.7): equal for all members of the epoch."""
    own_address: Address
    stewards: tuple[Address, ...]
    epoch_steward: Address | None
    backup_steward: Address | None
    members: int
    proposals: tuple[ProposalView, ...]
    """Open and approved first, then the newest that ended."""
    requests: tuple[RequestView, ...]
    round: RoundView
    policy: Policy
    charter_digest: bytes
    """What a settings proposal names as its base."""
    counted: int
    """Members that make n: all but the dormant ones."""
    stewards_until: Epoch | None
    """The last epoch that the list serves; afterwards its turns go round until there is a new one."""
    is_halted: bool
    """Two commits of one epoch were certified: governance rests, chat goes on."""
    successors: tuple[SuccessorView, ...]
    frozen_until: Instant | None
    """Elections and commit proposals wait for an emergency, until then at the latest."""
    held: int
    """How many proposals wait for that."""
    waiting: tuple[ProposalView, ...] = ()
    """Those, without votes as yet."""
    introducer: Address | None = None
    """Whose link led here, as long as that member was not heard: a look-alike could have been made without it."""
    first_leader: Address | None = None
    """Who makes the next commit, if nobody's turn passes."""
    returning: ReturningView | None = None
    is_stranded: bool = False
    """It has missed so much that only a new seat brings it back."""
    fetching: int = 0
    """Messages that are missing and asked for."""

    @classmethod
    def of_ended(
        cls, group_id: GroupId, charter: Charter, status: GroupStatus, epoch: Epoch, own: Address
    ) -> GroupView:
        """A group that the own member is no longer in."""
        idle = RoundView(False, 0, None, 0, 0, (), 0, leader_is_steward=False)
        return cls(
            group_id,
            charter.name,
            charter.description,
            charter.policy.preset,
            status,
            epoch,
            b"",
            own,
            (),
            None,
            None,
            0,
            (),
            (),
            idle,
            charter.policy,
            charter.digest,
            0,
            None,
            False,
            (),
            None,
            0,
        )
