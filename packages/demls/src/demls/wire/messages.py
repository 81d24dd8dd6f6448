"""The messages of the wire as frozen dataclasses with their bounds, and the only functions that read and write them.

What members state in a round stands in ``statements``, what a group chooses for itself in ``charters``, what people
say in ``talk``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Annotated, TypeAlias, TypeVar

from demls.wire import demls_pb2 as pb
from demls.wire.chain import Electorate, Seat, Succession
from demls.wire.charters import Policy
from demls.wire.codec import LongEncoder, Size, decode, encode
from demls.wire.fields import (
    COMMIT_BYTES_MAX,
    ENTRIES_MAX,
    PROOFS_MAX,
    ROSTER_MAX,
    STATED_PROPOSALS_MAX,
    STEWARDS_MAX,
    SYNC_BYTES_MAX,
    TREE_BYTES_MAX,
    VOTE_LISTS_MAX,
    VOTES_TOLD_MAX,
    WELCOME_BYTES_MAX,
    WELCOME_PART_BYTES,
    WELCOME_PARTS_MAX,
    AddressBytes,
    Bitmap,
    Digest32,
    KeyPackageBytes,
    MaybeAddress,
    Name,
    Signature,
    UpdateBytes,
)
from demls.wire.framing import digest, framed
from demls.wire.ids import CandidateId, ProposalId
from demls.wire.statements import Locks, Proof, RoundStatement
from demls.wire.talk import ChatPlaces, ChatQuestion, SaidAgain

# --- Changes and proposals ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Invite:
    """Admit the owner of a key package. ``sponsor`` answers for the person; ``token``: of the invite link used."""

    key_package_bytes: KeyPackageBytes
    sponsor: MaybeAddress = b""
    token: Annotated[bytes, Size(0, 16)] = b""


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a member: all leaves of its address."""

    member_id: AddressBytes


@dataclass(frozen=True, slots=True)
class Leave:
    """The proposal's owner leaves; needs no vote."""


@dataclass(frozen=True, slots=True)
class StewardElection:
    """Install the only valid steward list for ``election_epoch`` and ``retry_round`` (LIP-104 §Steward list creation).

    ``excluded``: settled members that are left out of the pool, because their removal or leave is decided.
    """

    proposed_stewards: Annotated[tuple[AddressBytes, ...], Size(1, STEWARDS_MAX)]
    election_epoch: int
    retry_round: int
    excluded: Annotated[tuple[AddressBytes, ...], Size(0, ENTRIES_MAX)]


@dataclass(frozen=True, slots=True)
class Settings:
    """Replace name, description and policy of the charter whose digest is ``base``."""

    base: Digest32
    name: Annotated[str, Size(1, 320)]
    description: Annotated[str, Size(0, 2000)]
    policy: Policy


@dataclass(frozen=True, slots=True)
class Dormant:
    """Count a member no longer that has not been heard for as long as the policy says."""

    member_id: AddressBytes


@dataclass(frozen=True, slots=True)
class Awake:
    """Count a dormant member again, because it was heard."""

    member_id: AddressBytes


class ResyncReason(IntEnum):
    RESTORED_BACKUP = 1
    LOST_STATE = 2
    TOO_FAR_BEHIND = 3
    WISH = 4
    """Its person asked for it."""


@dataclass(frozen=True, slots=True)
class Resync:
    """The proposal's owner asks for a new leaf in the place of ``leaf_key``, which signs the proposal; needs no vote.

    ``head``: of the last state that it knows, which the proposal's epoch names; empty if it knows none.
    """

    leaf_key: Digest32
    head: Annotated[bytes, Size(0, 32)]
    key_package_bytes: KeyPackageBytes
    expires: int
    reason: int
    generation: int
    nonce: Annotated[bytes, Size(16)]
    wallet_signature: Annotated[bytes, Size(65)]


@dataclass(frozen=True, slots=True)
class Refresh:
    """The proposal's owner gets new encryption keys: an MLS Update of its leaf, made in the proposal's epoch."""

    update: UpdateBytes
    renews_binding: bool = False


@dataclass(frozen=True, slots=True)
class Emergency:
    """An emergency criteria proposal: the owner accuses ``target_member_id``, with proofs that everybody can check."""

    violation_type: int
    target_member_id: MaybeAddress
    proofs: Annotated[tuple[Proof, ...], Size(0, PROOFS_MAX)]
    stuck: Annotated[tuple[RoundStatement, ...], Size(0, ROSTER_MAX)]


Change: TypeAlias = (
    Invite | Remove | Leave | Emergency | StewardElection | Settings | Dormant | Awake | Resync | Refresh
)

_CHANGES: dict[str, type] = {
    "member_invite": Invite,
    "remove_member": Remove,
    "emergency": Emergency,
    "steward_election": StewardElection,
    "leave": Leave,
    "settings": Settings,
    "dormant": Dormant,
    "awake": Awake,
    "resync": Resync,
    "refresh": Refresh,
}


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    payload: Change = field(metadata={"oneof": _CHANGES})


@dataclass(frozen=True, slots=True)
class Proposal:
    """A voting proposal; its id is the digest of all but the signature."""

    group_id: Digest32
    epoch: int
    owner: AddressBytes
    change: ChangeRequest
    created_at: int
    duration: int
    signature: Signature

    id: ProposalId = field(init=False, repr=False, compare=False)
    """32-byte SHA-256; a prefix is shown to people and never compared. Not on the wire."""

    def __post_init__(self) -> None:
        kind = type(self.change.payload).__name__.lower().encode()
        payload = encode(self.change, pb.ChangeRequest)
        proposal_id = digest(
            b"demls proposal 1",
            self.group_id,
            self.epoch,
            self.owner,
            kind,
            payload,
            self.created_at,
            self.duration,
        )
        object.__setattr__(self, "id", ProposalId(proposal_id))


@dataclass(frozen=True, slots=True)
class Vote:
    """``signed_vote``: canonical bytes of demls_consensus.SignedVote."""

    signed_vote: Annotated[bytes, Size(1, 512)]


@dataclass(frozen=True, slots=True)
class VoteList:
    """All votes for one choice in one ballot that was opened in ``epoch``, by their place in its electorate.

    ``choice``: 1 yes, 2 no. ``voters``: a bitmap over the electorate's seats. ``times`` in milliseconds since 1970 and
    ``signatures`` of 64 bytes, as many as there are voters and in their order.
    """

    ballot_id: Digest32
    epoch: int
    choice: int
    voters: Bitmap
    times: Annotated[tuple[int, ...], Size(1, ROSTER_MAX)]
    signatures: Annotated[bytes, Size(64, 64 * ROSTER_MAX)]


@dataclass(frozen=True, slots=True)
class VoteBundle:
    """Votes of a stewards' ballot that show all members how it ended."""

    votes: Annotated[tuple[Vote, ...], Size(1, STEWARDS_MAX)]


# --- The round ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """A proposal that a commit carries. ``certificate_hash`` is empty if silence approved it."""

    proposal_id: Digest32
    certificate_hash: Annotated[bytes, Size(0, 32)]


@dataclass(frozen=True, slots=True)
class CommitContext:
    """What the committer states about its commit, inside the commit's authenticated_data."""

    head: Digest32
    view: int
    time: int
    entries: Annotated[tuple[Entry, ...], Size(1, ENTRIES_MAX)]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A commit offered for the epoch and all that must not get lost with its author."""

    commit: Annotated[bytes, Size(1, COMMIT_BYTES_MAX)]
    welcome: Annotated[bytes, Size(0, WELCOME_BYTES_MAX)]
    joiner_key: Annotated[bytes, Size(0, 32)]
    sync: Annotated[bytes, Size(0, SYNC_BYTES_MAX)]
    updates: Annotated[tuple[UpdateBytes, ...], Size(0, ENTRIES_MAX)] = ()
    """The Updates that the commit refers to, in the order of its entries."""
    id: CandidateId = field(init=False, repr=False, compare=False)
    """32-byte SHA-256 over every byte of it; not on the wire."""

    def __post_init__(self) -> None:
        parts = self.commit, self.welcome, self.joiner_key, self.sync, *self.updates
        candidate_id = digest(b"demls candidate 1", *parts)
        object.__setattr__(self, "id", CandidateId(candidate_id))


@dataclass(frozen=True, slots=True)
class Offer:
    """A leader's candidate for a view; ``certificate``: acks of one earlier view if it is proposed again."""

    epoch: int
    head: Digest32
    view: int
    candidate: Candidate
    votes: Annotated[tuple[VoteList, ...], Size(0, VOTE_LISTS_MAX)]
    certificate: Annotated[tuple[RoundStatement, ...], Size(0, ROSTER_MAX)]
    leader: AddressBytes
    signature: Signature
    proposals: Annotated[tuple[Proposal, ...], Size(0, ENTRIES_MAX)]

    def content(self, group_id: bytes) -> bytes:
        """What the leader's leaf key signs: votes, proposals and certificate prove themselves."""
        return framed(b"demls offer 1", group_id, self.epoch, self.head, self.view, self.candidate.id, self.leader)


@dataclass(frozen=True, slots=True)
class SettledCommit:
    """A settled candidate with its certificate: the signatures of locks of one view for it."""

    epoch: int
    head: Digest32
    candidate: Candidate
    view: int
    proposals: Annotated[tuple[Proposal, ...], Size(0, ENTRIES_MAX)]
    signers: Annotated[tuple[AddressBytes, ...], Size(1, ROSTER_MAX)]
    signatures: Annotated[tuple[Signature, ...], Size(1, ROSTER_MAX)]
    """As many as there are signers, in their order."""

    @classmethod
    def of(
        cls,
        epoch: int,
        head: bytes,
        candidate: Candidate,
        view: int,
        locks: Iterable[RoundStatement],
        proposals: tuple[Proposal, ...],
    ) -> SettledCommit:
        """With these locks, of which only members and signatures are kept: all else of them is known."""
        kept = tuple(locks)
        signers, signatures = tuple(lock.member for lock in kept), tuple(lock.signature for lock in kept)
        return cls(epoch, head, candidate, view, proposals, signers, signatures)

    @property
    def certificate(self) -> Locks:
        return Locks(self.epoch, self.head, self.view, self.candidate.id, self.signers, self.signatures)


@dataclass(frozen=True, slots=True)
class CertifiedCommit:
    """The certificate of a drawn committee for a ``candidate`` that the others have: they hear none of its locks.

    ``signers``: a bitmap over the committee in the order of addresses.
    """

    epoch: int
    head: Digest32
    view: int
    candidate: Digest32
    signers: Bitmap
    signatures: Annotated[tuple[Signature, ...], Size(1, ROSTER_MAX)]


@dataclass(frozen=True, slots=True)
class ProposalState:
    """Whose votes on a proposal are held, as bitmaps over the roster: who signed both counts twice."""

    proposal_id: Digest32
    yes: Bitmap
    no: Bitmap


@dataclass(frozen=True, slots=True)
class Digest:
    """What ``member`` has of the open work, so that ``asked`` can send what is missing."""

    epoch: int
    head: Digest32
    view: int
    member: AddressBytes
    asked: AddressBytes
    proposals: Annotated[tuple[ProposalState, ...], Size(0, STATED_PROPOSALS_MAX)]
    candidates: Annotated[tuple[Digest32, ...], Size(0, 64)]
    acked: Bitmap
    locked: Bitmap
    signature: Signature

    def content(self, group_id: bytes) -> bytes:
        """What the asking member's leaf key signs."""
        unsigned = Digest(
            self.epoch,
            self.head,
            self.view,
            self.member,
            self.asked,
            self.proposals,
            self.candidates,
            self.acked,
            self.locked,
            bytes(64),
        )
        return framed(b"demls digest 1", group_id, encode(unsigned, pb.Digest))


# --- Joining ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UsedToken:
    """The token of an invite link that a request has used."""

    token: Annotated[bytes, Size(16)]
    request_id: Digest32
    issuer: AddressBytes
    expires: int


@dataclass(frozen=True, slots=True)
class PastElectorate:
    """Names the electorate of a past epoch by its hash."""

    epoch: int
    hash: Digest32


@dataclass(frozen=True, slots=True)
class Sync:
    """What a quorum states to a joiner besides MLS: the state that the candidate continues, and the work in flight.

    What all members can build, it names by its hash: ``electorate``, ``succession``, ``electorates``.
    """

    group_id: Digest32
    epoch: int
    head: Digest32
    electorate: Digest32
    succession: Digest32
    proposals: Annotated[tuple[Proposal, ...], Size(0, STATED_PROPOSALS_MAX)]
    time: int
    electorates: Annotated[tuple[PastElectorate, ...], Size(0, 64)]
    way_back: Digest32
    """Secret of the channel on which members that are still in that state are answered."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a joiner is told with the tree: what its sync names by hash, and what proves itself."""

    electorate: Electorate
    succession: Succession
    electorates: Annotated[tuple[Electorate, ...], Size(0, 64)]
    votes: Annotated[tuple[Vote, ...], Size(0, VOTES_TOLD_MAX)]
    used_tokens: Annotated[tuple[UsedToken, ...], Size(0, 4096)]

    @property
    def roster(self) -> tuple[Seat, ...]:
        """The members of the state that the candidate continues."""
        return self.electorate.seats


@dataclass(frozen=True, slots=True)
class WelcomeBundle:
    """``bundle``: a JoinerBundle sealed with the joiner key, which stands in the welcome's GroupInfo."""

    welcome: Annotated[bytes, Size(1, WELCOME_BYTES_MAX)]
    bundle: Annotated[bytes, Size(1, TREE_BYTES_MAX + SYNC_BYTES_MAX)]


@dataclass(frozen=True, slots=True)
class WelcomeOutline:
    """What stands for a large WelcomeBundle until its parts have been fetched; ``member`` says so, and has them."""

    welcome: Annotated[bytes, Size(1, WELCOME_BYTES_MAX)]
    parts: Annotated[tuple[Digest32, ...], Size(1, WELCOME_PARTS_MAX)]
    member: AddressBytes

    @property
    def bundle(self) -> bytes:
        """The name of what it outlines, whoever says so (32 bytes)."""
        return digest(b"demls welcome parts 1", self.welcome, *self.parts)


@dataclass(frozen=True, slots=True)
class WelcomePart:
    bundle: Digest32
    number: int
    data: Annotated[bytes, Size(1, WELCOME_PART_BYTES)]


@dataclass(frozen=True, slots=True)
class PartsRequest:
    """``missing``: a bit for each part that the one who waits has not, the lowest bit of the first byte for part 0."""

    bundle: Digest32
    asked: AddressBytes
    missing: Annotated[bytes, Size(1, WELCOME_PARTS_MAX // 8 + 1)]


@dataclass(frozen=True, slots=True)
class JoinerBundle:
    ratchet_tree: Annotated[bytes, Size(1, TREE_BYTES_MAX)]
    settled: SettledCommit
    told: Told


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """A key package with the token of an invite link; ``signature`` is the issuer's, over the token.

    An empty token: the link was open to anybody, so a member has to answer for the person before there is a vote.
    """

    key_package_bytes: KeyPackageBytes
    token: Annotated[bytes, Size(0, 16)]
    expires: int
    issuer: AddressBytes
    signature: Signature


def invite_content(group_id: bytes, token: bytes, expires: int, issuer: bytes) -> bytes:
    """What the issuer of an invite link signs with its leaf key."""
    return framed(b"demls invite 1", group_id, token, expires, issuer)


@dataclass(frozen=True, slots=True)
class JoinAnswer:
    """A member tells a requester why it will not be admitted."""

    reason: Annotated[str, Size(1, 500)]
    member: AddressBytes
    signature: Signature


@dataclass(frozen=True, slots=True)
class SuccessorNotice:
    """``member`` has founded a successor group and invites those named; ``links``: an encoded InviteLink for each."""

    epoch: int
    head: Digest32
    member: AddressBytes
    invited: Annotated[tuple[AddressBytes, ...], Size(1, ROSTER_MAX)]
    links: Annotated[tuple[Annotated[bytes, Size(1, 1024)], ...], Size(1, ROSTER_MAX)]
    signature: Signature

    def content(self, group_id: bytes) -> bytes:
        """What the founder's leaf key signs."""
        unsigned = SuccessorNotice(self.epoch, self.head, self.member, self.invited, self.links, bytes(64))
        return framed(b"demls successor 1", group_id, encode(unsigned, pb.SuccessorNotice))


@dataclass(frozen=True, slots=True)
class NothingKept:
    """``member`` keeps no commit from so long ago that it could help ``asked_by``, who is in ``epoch``."""

    epoch: int
    asked_by: AddressBytes
    oldest: int
    member: AddressBytes
    signature: Signature

    def content(self, group_id: bytes) -> bytes:
        """What the answering member's leaf key signs."""
        return framed(b"demls nothing kept 1", group_id, self.epoch, self.asked_by, self.oldest, self.member)


@dataclass(frozen=True, slots=True)
class KeyPackageRequest:
    reply: Digest32


@dataclass(frozen=True, slots=True)
class KeyPackageAnswer:
    key_package_bytes: KeyPackageBytes


# --- Frames ---------------------------------------------------------------------------------------------------


PRIVATE_MESSAGE = Size(1, 128 * 1024)
"""Of a message of MLS, in bytes."""


@dataclass(frozen=True, slots=True)
class PrivateMessage:
    """``data``: an MLSMessage with a PrivateMessage, in which chat travels."""

    data: Annotated[bytes, PRIVATE_MESSAGE]


Payload: TypeAlias = (
    Proposal
    | Vote
    | Offer
    | WelcomeBundle
    | PrivateMessage
    | RoundStatement
    | SettledCommit
    | Digest
    | JoinRequest
    | JoinAnswer
    | KeyPackageRequest
    | KeyPackageAnswer
    | SuccessorNotice
    | NothingKept
    | ChatQuestion
    | SaidAgain
    | ChatPlaces
    | VoteBundle
    | WelcomeOutline
    | WelcomePart
    | PartsRequest
    | CertifiedCommit
)

_PAYLOADS: dict[str, type] = {
    "proposal": Proposal,
    "vote": Vote,
    "commit_candidate": Offer,
    "member_welcome": WelcomeBundle,
    "private_message": PrivateMessage,
    "round_statement": RoundStatement,
    "settled": SettledCommit,
    "digest": Digest,
    "join_request": JoinRequest,
    "join_answer": JoinAnswer,
    "key_package_request": KeyPackageRequest,
    "key_package_answer": KeyPackageAnswer,
    "successor_notice": SuccessorNotice,
    "nothing_kept": NothingKept,
    "chat_question": ChatQuestion,
    "said_again": SaidAgain,
    "chat_places": ChatPlaces,
    "vote_bundle": VoteBundle,
    "welcome_outline": WelcomeOutline,
    "welcome_part": WelcomePart,
    "parts_request": PartsRequest,
    "certified": CertifiedCommit,
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One message between nodes."""

    payload: Payload = field(metadata={"oneof": _PAYLOADS})


# --- Extensions of MLS objects, and texts that people hand out ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Credential:
    """Identity of the MLS BasicCredential. ``name`` is shown to people and proves nothing."""

    address: AddressBytes
    device: Name
    name: Name


@dataclass(frozen=True, slots=True)
class Binding:
    """Leaf extension: dates in milliseconds, 65-byte EIP-191 signature of the wallet."""

    issued: int
    expires: int
    signature: Annotated[bytes, Size(65)]


@dataclass(frozen=True, slots=True)
class JoinerSecrets:
    """GroupInfo extension: key of the joiners' bundle, and the hash of the sync in it."""

    joiner_key: Digest32
    sync_hash: Digest32


@dataclass(frozen=True, slots=True)
class Contact:
    """What a person gives away to be reached: ``inbox`` is the secret of topic and key."""

    version: int
    address: AddressBytes
    name: Name
    inbox: Digest32
    relay: Annotated[str, Size(0, 256)]


@dataclass(frozen=True, slots=True)
class InviteLink:
    """What lets a newcomer ask a group to be admitted; the token is good for one request until ``expires`` (ms).

    Without a token it is open to anybody, as often as wanted; each request then needs a sponsor among the members.
    """

    version: int
    group_id: Digest32
    group_name: Annotated[str, Size(0, 320)]
    rendezvous: Digest32
    relay: Annotated[str, Size(0, 256)]
    token: Annotated[bytes, Size(0, 16)]
    expires: int
    issuer: AddressBytes
    signature: Signature


_Message = TypeVar("_Message")


def encode_message(value: object) -> bytes:
    """The canonical bytes of any message of the wire."""
    return encode(value, getattr(pb, type(value).__name__))


def long_encoder(cls: type, field: str) -> LongEncoder:
    """For messages of this class whose ``field`` has many items that stay; ``key``: what tells them apart."""
    return LongEncoder(cls, getattr(pb, cls.__name__), field)


def decode_message(data: bytes, cls: type[_Message]) -> _Message:
    """The message whose canonical bytes these are. Raises WireError, and nothing else."""
    return decode(data, cls, getattr(pb, cls.__name__))
