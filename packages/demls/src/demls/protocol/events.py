"""What the core tells people (and programs): one frozen dataclass for each kind of news."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from demls.wire.charters import Charter
from demls.wire.ids import Address, CandidateId, Epoch, Instant, ProposalId, View
from demls.wire.statements import Proof


class Reason(StrEnum):
    """Why an envelope from the network was refused."""

    UNREADABLE = "unreadable"
    """Not sealed for this group, or not decodable."""
    FORGED = "forged"
    """A signature that does not verify."""
    NOT_ENTITLED = "not entitled"
    """The sender is not a member, or may not do this."""
    STALE = "stale"
    """Of another epoch, already seen, or already over."""
    LIMIT = "limit"
    """A bound of the policy is reached."""
    INVALID = "invalid"
    """It contradicts the rules of the group."""


@dataclass(frozen=True, slots=True)
class Event:
    """Root of all events."""


@dataclass(frozen=True, slots=True)
class Rejected(Event):
    """An envelope was refused; nothing changed. ``detail`` is for logs, it never contains content."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class MessageReceived(Event):
    """A chat message, own ones included (they are told when ``send`` accepted them)."""

    message_id: bytes
    sender: Address
    epoch: Epoch
    text: str
    at: Instant
    """When the sender wrote it, by the sender's clock."""
    counter: int
    is_late: bool = False
    """Others came before it that were written after it."""
    is_recovered: bool = False
    """It was missing, and said again."""


@dataclass(frozen=True, slots=True)
class MessagesMissing(Event):
    """Nobody could say messages of ``sender`` again: those with counters ``first`` to ``last``.

    They were written between ``after`` and ``before``, the dates of their neighbours (0: unknown). All that is lost by
    one stay away is told in one step.
    """

    sender: Address
    first: int
    last: int
    after: Instant
    before: Instant
    was_away: bool
    """It was noticed when this node came back from being away."""


@dataclass(frozen=True, slots=True)
class MessagesDiffer(Event):
    """Different members were sent different messages of ``sender`` under one number; the first one stands here."""

    sender: Address
    counter: int


@dataclass(frozen=True, slots=True)
class RequestReceived(Event):
    """Somebody asks to join; ``sponsor`` is the member whose invite link was used."""

    request_id: bytes
    address: Address
    name: str
    sponsor: Address | None


@dataclass(frozen=True, slots=True)
class ProposalOpened(Event):
    proposal_id: ProposalId
    owner: Address


@dataclass(frozen=True, slots=True)
class VoteRecorded(Event):
    proposal_id: ProposalId
    voter: Address
    yes: bool


@dataclass(frozen=True, slots=True)
class WentToAll(Event):
    """The stewards have left a proposal undecided: now all members may vote on it, until ``deadline``."""

    proposal_id: ProposalId
    deadline: Instant


@dataclass(frozen=True, slots=True)
class ProposalDecided(Event):
    """``approved``: it will be (or has been) committed. ``by_silence``: provisional until the commit is settled."""

    proposal_id: ProposalId
    approved: bool
    by_silence: bool
    reason: str


@dataclass(frozen=True, slots=True)
class ProposalWithdrawn(Event):
    """An approved or open proposal that can no longer be carried out, and why."""

    proposal_id: ProposalId
    reason: str


@dataclass(frozen=True, slots=True)
class Settled(Event):
    """The group moved to ``epoch``: the only way it ever does."""

    epoch: Epoch
    candidate: CandidateId
    committer: Address
    joined: tuple[Address, ...]
    left: tuple[Address, ...]
    carried: tuple[ProposalId, ...]
    view: View
    """In which its committer led: those who led the views before it have lost their turn."""
    reseated: tuple[Address, ...] = ()
    """Members who were given a new leaf: neither joined nor left."""


@dataclass(frozen=True, slots=True)
class KeysRenewed(Event):
    """``members`` asked for new encryption keys, and have them since the commit that led to ``epoch``."""

    epoch: Epoch
    members: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class StewardsChanged(Event):
    """A new steward list serves from ``epoch`` on. ``by_vote``: elected; else drawn anew because there is no choice."""

    epoch: Epoch
    stewards: tuple[Address, ...]
    by_vote: bool


@dataclass(frozen=True, slots=True)
class SettingsChanged(Event):
    """The group has decided on another name, description or policy."""

    epoch: Epoch
    charter: Charter


@dataclass(frozen=True, slots=True)
class SuccessorFounded(Event):
    """A member has founded a successor of this group; ``link``: the own invite as text, empty if there is none."""

    founder: Address
    group_name: str
    link: str


@dataclass(frozen=True, slots=True)
class Halted(Event):
    """Two different commits of one epoch have a certificate: more than a third of the members have signed twice.

    ``double_signers``: those whom the two certificates prove by themselves, which they do if they are of one view.

    Governance rests in this group; people talk on and decide who founds it anew.
    """

    epoch: Epoch
    double_signers: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Joined(Event):
    """The own node became a member."""

    epoch: Epoch


@dataclass(frozen=True, slots=True)
class JoinRefused(Event):
    """The group, or a member's node, answered a request to join with no."""

    reason: str


@dataclass(frozen=True, slots=True)
class WelcomeArriving(Event):
    """A large welcome comes in parts; ``received`` of ``parts`` are here. Told at the beginning, then now and then."""

    received: int
    parts: int


@dataclass(frozen=True, slots=True)
class Removed(Event):
    """The own member is no longer in the group. ``by_own_wish``: through its own leave.

    ``is_moved``: another copy of this node has asked for a new seat, and goes on in its place.
    """

    epoch: Epoch
    by_own_wish: bool
    is_moved: bool = False


@dataclass(frozen=True, slots=True)
class Stranded(Event):
    """This node has missed so much that no member can help it: it may ask for a new seat (``Group.rejoin``)."""

    epoch: Epoch


@dataclass(frozen=True, slots=True)
class SeatAsked(Event):
    """The own node asks the group for a new leaf, and does nothing else until it has it; ``reason``: ResyncReason."""

    epoch: Epoch
    reason: int
    saved_at: int = 0
    """When the backup was made, if it is known."""
    wait: str = ""
    """Why it cannot ask yet, in a sentence."""


@dataclass(frozen=True, slots=True)
class Returned(Event):
    """The group has given the own node a new leaf; what was said since ``missed_from`` was not readable.

    ``is_vouched``: so many have certified that who were known before that an honest one is among them. If not, nobody
    can tell a group of look-alikes from the real one.
    """

    epoch: Epoch
    missed_from: Epoch
    is_vouched: bool


@dataclass(frozen=True, slots=True)
class Waiting(Event):
    """A commit round waits for ``short`` of the members ``missing``, who have not been heard in it.

    Empty: it no longer waits. ``needed``: the quorum.
    """

    missing: tuple[Address, ...]
    needed: int
    short: int


@dataclass(frozen=True, slots=True)
class Faulted(Event):
    """A leader offered a candidate that breaks a numbered check, as its own signature proves."""

    member: Address
    check: str
    detail: str
    proof: Proof


@dataclass(frozen=True, slots=True)
class Misbehaved(Event):
    """A member has signed two different things, which together are the proof."""

    member: Address
    what: str
    proof: Proof


@dataclass(frozen=True, slots=True)
class Unproven(Event):
    """A member has opened an emergency whose proofs do not prove it; it was refused before any vote."""

    member: Address
    proposal_id: ProposalId


@dataclass(frozen=True, slots=True)
class ScoreChanged(Event):
    """What the own node thinks of a member has changed; ``cause``: in words."""

    member: Address
    before: int
    after: int
    cause: str


@dataclass(frozen=True, slots=True)
class Frozen(Event):
    """Elections and commit proposals wait for an emergency, until ``until`` at the latest; or they wait no longer."""

    is_on: bool
    until: Instant


@dataclass(frozen=True, slots=True)
class ProposalHeld(Event):
    """An own proposal waits until the emergency is decided; it is opened then."""

    proposal_id: ProposalId
