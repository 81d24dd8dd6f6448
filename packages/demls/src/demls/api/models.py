"""The data types of the node's API (version 1), shared by the server and the Python client.

Binary identifiers travel as lower-case hexadecimal, addresses with 0x in front, times as milliseconds since 1970.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)


class Person(Model):
    """Somebody: ``name`` is what they call themselves and may be empty."""

    address: str
    name: str


class Relay(Model):
    """The connection to the relay; ``sentence`` says it in words."""

    where: str
    connected: bool
    since: int
    sentence: str


class NodeInfo(Model):
    version: str
    me: Person
    relay: Relay
    wallet_imported: bool


class Sharable(Model):
    """A text to hand out (contact or invite link) and the same as a picture."""

    text: str
    qr_svg: str
    expires_at: int | None


class GroupState(StrEnum):
    ASKING = "asking"
    """A request to join is out, not answered."""
    MEMBER = "member"
    REFUSED = "refused"
    REMOVED = "removed"
    LEFT = "left"
    CLOSED = "closed"
    RETURNING = "returning"
    """This node asks for a new seat, and says nothing until it has it."""
    MOVED = "moved"
    """Another copy of this node has the seat now."""


class GroupSummary(Model):
    id: str
    name: str
    state: GroupState
    members: int
    open_proposals: int
    my_votes_needed: int
    last_entry: TimelineEntry | None
    """The newest line that is not quiet."""
    last_id: int
    """The id of the newest line, quiet ones counted; 0 if there is none."""
    requests: int
    """Requests to join that wait for a member to answer for the person."""
    halted: bool
    frozen: bool
    """An emergency is being decided; other proposals wait."""


Decider = Literal["members", "stewards"]
ShareName = Literal["more than half", "two thirds", "three quarters", "all"]


class Rule(Model):
    """How one kind of proposal is decided; with two members or fewer all must agree and silence is never a yes."""

    decided_by: Decider
    share: ShareName
    duration_ms: int
    silence_is_yes: bool


class Scoring(Model):
    """Points that each node gives the members, for what is proven or certified.

    ``start``: of a newcomer; at ``threshold`` nodes ask to remove a member; ``heal``: points back in each epoch without
    a fault. The others: what a deed costs or brings.
    """

    start: int
    threshold: int
    heal: int
    broken_commit: int
    broken_proposal: int
    misbehaving: int
    equivocation: int
    lost_turn: int
    committed: int
    upheld: int
    rejected: int


class Odds(Model):
    """Chances, from 0 to 1, that a draw falls to malicious members, if ``bad`` of ``members`` are.

    ``of``: the steward list, or the committee that acknowledges commits in a large group; ``drawn``: how many are
    drawn. ``third``: that a third of them is malicious; ``captured``: that these decide alone; ``blocked``: that they
    can refuse whatever they want.
    """

    of: Literal["stewards", "committee"]
    members: int
    bad: int
    drawn: int
    third: float
    captured: float
    blocked: float


class Policy(Model):
    """What the group has agreed; ``sentences`` says all of it in words.

    ``election``: also of who counts no longer, or again. ``dormant_after_ms``: a member not heard for so long may be
    counted no longer; 0: never. ``preset``: a preset's name, or "custom" for any other policy. In groups of more than
    ``ack_limit`` members the stewards and ``committee`` drawn members acknowledge commits. ``odds``: of such draws, for
    the group as large as it is now; empty where nothing is drawn, and of a preset.
    """

    preset: str
    invite: Rule
    remove: Rule
    election: Rule
    settings: Rule
    stewards_min: int
    stewards_max: int
    batch_window_ms: int
    delivery_time_ms: int
    reelections_max: int
    dormant_after_ms: int
    emergency: Rule
    scoring: Scoring
    ack_limit: int
    committee: int
    odds: list[Odds]
    sentences: list[str]


class Difference(Model):
    """One thing that a settings proposal would change, in words: ``Removals, share: two thirds -> three quarters``.

    ``field`` is for programs: ``name``, ``description``, ``remove.share``, ``stewards_max`` and so on, as in
    ``NewSettings`` and its ``policy``.
    """

    field: str
    label: str
    before: str
    after: str


class Emergency(Model):
    """What an emergency is about: ``accuser`` accuses ``accused`` (None: the stewards as such, of a deadlock).

    ``proofs``: what each proof shows, in words; every member's node checks them. ``removes``: the accused goes at once
    if it is approved, else it is noted. ``confirmed``: your node has seen for itself that all proofs hold.
    ``nodes_vote_at``: from then on nodes say yes for people who have not voted, if they have confirmed it;
    ``node_votes``: yours will, unless you vote.
    ``yes``, ``no``, ``nodes``: what a yes and a no mean, and what the nodes do, in sentences.
    """

    accuser: Person
    accused: Person | None
    violation: str
    proofs: list[str]
    removes: bool
    confirmed: bool
    nodes_vote_at: int
    node_votes: bool
    sentence: str
    yes: str
    no: str
    nodes: str


class Proposal(Model):
    """A proposal card. ``rule`` and ``result`` are whole sentences; ``voters == yes + no + silent``.

    ``by_nodes``: nodes vote on it by themselves, since there is nothing to choose; nobody is asked. ``may_vote``: the
    own person's vote is waited for. ``stewards``, ``retry_round``: of an election, the list in the order of turns and
    how often it was tried before. ``differences``: of a settings proposal (empty if they are no longer known).
    ``violation``: of an emergency, what its proofs show, in words; ``removes``: the subject goes if it is approved,
    else it is noted; ``emergency``: all of it.
    """

    id: str
    short_id: str
    kind: Literal["invite", "remove", "leave", "election", "settings", "emergency", "dormant", "awake", "resync"]
    title: str
    subject: Person
    asked_by: Person
    sponsor: Person | None
    opened_at: int
    deadline: int
    decided_by: Decider
    share: ShareName
    silence_is_yes: bool
    by_nodes: bool
    rule: str
    voters: int
    needed: int
    yes: int
    no: int
    silent: int
    my_vote: bool | None
    may_vote: bool
    status: Literal["open", "approved", "rejected", "committed", "withdrawn", "noted"]
    result: str
    epoch: int | None
    stewards: list[Person]
    retry_round: int
    differences: list[Difference]
    violation: str
    removes: bool
    emergency: Emergency | None


class Held(Model):
    """A proposal that waits for an emergency to be decided and is opened then, by itself. ``is_mine``: your own."""

    id: str
    kind: Literal["invite", "remove", "leave", "election", "settings", "emergency", "dormant", "awake", "resync"]
    title: str
    asked_by: Person
    is_mine: bool
    sentence: str


class JoinRequest(Model):
    """Somebody who asks to join and is not yet voted on; ``sponsor``: who made the invite link.

    ``needs_sponsor``: the link was open to anybody; there is no vote until a member answers for the person.
    """

    id: str
    person: Person
    sponsor: Person | None
    received_at: int
    needs_sponsor: bool
    sentence: str


class Round(Model):
    """The commit round: ``sentence`` is empty while nothing is under way.

    ``waiting``: "waiting for 2 of: Ann, Ben, Cem" (``short`` of those ``missing``); empty while it goes well.
    ``leader_is_steward``: else the stewards are silent, and a member commits in their place.
    """

    open: bool
    view: int
    leader: Person | None
    leader_is_steward: bool
    needed: int
    heard: int
    missing: list[Person]
    short: int
    waiting: str
    sentence: str


class Successor(Model):
    """A group that a member founded to go on from this one. ``invited``: you can join it from here.

    ``group``: its id (you are in it, or have asked, if it is among your groups); None without an invite.
    """

    founder: Person
    name: str
    invited: bool
    group: str | None
    sentence: str


class Sync(Model):
    """Am I in sync? ``sentence`` answers in words.

    ``share``: how much is here of what arrives, from 0 to 1; None if that is not known.
    """

    state: Literal["in sync", "catching up", "offline", "waiting"]
    sentence: str
    share: float | None = None


class Group(Model):
    """All that people need to see of a group at a glance, members' list apart.

    ``stewards``: in the order of turns, the epoch steward first; ``stewards_until``: the last epoch of the list,
    afterwards its turns go round until there is a new one. ``counted``: members that make a quorum, all but the
    ``dormant`` ones. ``halted``: a sentence if governance rests, else empty. ``policy``: None while you only ask.
    ``frozen``: a sentence while an emergency is decided, at the latest until ``frozen_until``; else empty. ``held``: so
    many proposals wait for that, ``waiting`` tells which. ``recovery``: who commits in whose place, and whether new
    stewards are being elected, in one sentence; empty while the stewards commit as they should. ``deadlocked``: a round
    has gone past its last steward, which the members can be asked to note. ``introduction``: a sentence as long as the
    member whose link you used was not heard here, so that this may be another group than it seems; else empty.
    ``rejoin``: a sentence while the group stands still on this node until it has a new seat, else empty;
    ``can_rejoin``: your node has to be told to ask for one; ``stranded``: no member can help it any more.
    ``fetching``: a sentence while messages that were missed are asked for; else empty.
    """

    id: str
    name: str
    description: str
    state: GroupState
    preset: str
    policy: Policy | None
    epoch: int
    authenticator: str
    members: int
    counted: int
    dormant: int
    stewards: list[Person]
    epoch_steward: Person | None
    backup_steward: Person | None
    stewards_until: int | None
    stewards_sentence: str
    proposals: list[Proposal]
    requests: list[JoinRequest]
    round: Round
    sync: Sync
    halted: str
    frozen: str
    frozen_until: int | None
    held: int
    waiting: list[Held]
    recovery: str
    deadlocked: bool
    introduction: str
    rejoin: str
    can_rejoin: bool
    stranded: bool
    fetching: str
    successors: list[Successor]


class ScoreMove(Model):
    """One move of a score: why, by how many points, in which epoch. ``after``: about how much it was then."""

    cause: str
    points: int
    epoch: int
    after: int


class Member(Model):
    """``dormant``: not heard for so long that the group does not wait for it.

    ``lost_turn``: it led lately without a commit, so it leads last for a while. ``remarks``: both in words.
    ``score``: what your node thinks of it, ``score_history`` why (newest last), ``score_sentence`` all of it in words.
    ``proofs``: what your node can prove against it, in words. ``accusation``: what an emergency that you open would
    ask for, empty if you cannot open one; ``accusation_sentence``: what comes of it, or why not; empty without proofs.
    ``keys_epoch``, ``keys_at``: which epoch, at which time, its encryption key came with; ``keys_sentence``: in words.
    """

    address: str
    name: str
    device: str
    role: Literal["epoch steward", "backup steward", "steward", "member"]
    is_me: bool
    removal_pending: bool
    dormant: bool
    lost_turn: bool
    remarks: list[str]
    score: int
    score_history: list[ScoreMove]
    score_sentence: str
    proofs: list[str]
    accusation: Literal["", "remove", "note"]
    accusation_sentence: str
    keys_epoch: int | None
    keys_at: int | None
    keys_sentence: str


class TimelineEntry(Model):
    """A line of the conversation. ``id`` grows over all groups of the node and survives restarts.

    ``quiet``: what nodes do by themselves, for whoever wants to know. ``client_id``: of an own message, as given.
    ``late``: a message that came after others which were written later; it belongs where ``at`` says.
    """

    id: int
    group: str
    at: int
    kind: Literal["message", "notice", "warning", "quiet"]
    sender: Person | None
    is_mine: bool
    text: str
    epoch: int | None
    proposal: str | None
    client_id: str | None
    late: bool


class NewSession(Model):
    """The one-time code that stands behind ``#`` in the page's address."""

    code: Annotated[str, Field(max_length=128)]


Preset = Literal["quick", "day", "council"]


GroupName = Annotated[str, Field(min_length=1, max_length=80)]
Description = Annotated[str, Field(max_length=500)]
Count = Annotated[int, Field(ge=0, le=2**31)]
Milliseconds = Annotated[int, Field(ge=0, le=2**53)]


class RuleChange(Model):
    """What is not given stays as it is."""

    decided_by: Decider | None = None
    share: ShareName | None = None
    duration_ms: Milliseconds | None = None
    silence_is_yes: bool | None = None


class ScoringChange(Model):
    """What is not given stays as it is."""

    start: Count | None = None
    threshold: Count | None = None
    heal: Count | None = None
    broken_commit: Count | None = None
    broken_proposal: Count | None = None
    misbehaving: Count | None = None
    equivocation: Count | None = None
    lost_turn: Count | None = None
    committed: Count | None = None
    upheld: Count | None = None
    rejected: Count | None = None


class PolicyChange(Model):
    """What is not given stays as it is. A policy that cannot work is refused with a sentence (409)."""

    invite: RuleChange | None = None
    remove: RuleChange | None = None
    election: RuleChange | None = None
    settings: RuleChange | None = None
    stewards_min: Count | None = None
    stewards_max: Count | None = None
    batch_window_ms: Milliseconds | None = None
    delivery_time_ms: Milliseconds | None = None
    reelections_max: Count | None = None
    dormant_after_ms: Milliseconds | None = None
    emergency: RuleChange | None = None
    scoring: ScoringChange | None = None
    ack_limit: Count | None = None
    committee: Count | None = None


class NewGroup(Model):
    """``policy``: what shall differ from the preset."""

    name: GroupName
    description: Description = ""
    preset: Preset = "day"
    policy: PolicyChange = PolicyChange()


class NewSettings(Model):
    """A proposal to change the group's settings; what is not given stays.

    ``preset``: begin with this preset's policy instead of the present one.
    """

    name: GroupName | None = None
    description: Description | None = None
    preset: Preset | None = None
    policy: PolicyChange = PolicyChange()


class NewSuccessor(Model):
    """Found a group that goes on from this one, with the members named (addresses); they are invited and agreed.

    Name, description and policy are this group's unless given. ``again``: although you have founded one before.
    """

    members: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=5_000)]
    name: GroupName | None = None
    description: Description | None = None
    preset: Preset | None = None
    policy: PolicyChange = PolicyChange()
    again: bool = False


class JoinGroup(Model):
    invite: Annotated[str, Field(max_length=4096)]


class NewMessage(Model):
    """Text to send; a text that begins with ``/`` is a command (``/ban``, ``/leave``, ``/help``).

    ``client_id``: your own mark for the message. Sent again with the same one (because no answer came), it is not
    said twice; the node knows those of the last lines of each group, also after a restart.
    """

    text: Annotated[str, Field(min_length=1, max_length=32_768)]
    client_id: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")] | None = None


class NewInvite(Model):
    """``open``: good for anybody, as often as wanted; each request then waits for a member to answer for it."""

    lifetime_ms: Annotated[int, Field(ge=60_000, le=90 * 86_400_000)] = 7 * 86_400_000
    open: bool = False


class InviteContact(Model):
    contact: Annotated[str, Field(max_length=4096)]


class Removal(Model):
    address: Annotated[str, Field(max_length=64)]


class NewEmergency(Model):
    """``about``: a member, whom your node can prove guilty, or that the stewards are at a deadlock."""

    about: Literal["member", "deadlock"]
    address: Annotated[str, Field(max_length=64)] | None = None


class Vote(Model):
    yes: bool


class Done(Model):
    """What was done, in a sentence; ``proposal`` if it opened one."""

    sentence: str
    proposal: str | None = None


class Health(Model):
    """For whoever keeps the node running; ``sentence`` says what is wrong and what to do."""

    ok: bool
    sentence: str


class Problem(Model):
    """The body of every error answer: a code for programs, a sentence for people that says what to do next."""

    code: str
    sentence: str


class TimelineNews(Model):
    type: Literal["timeline"] = "timeline"
    id: int
    entry: TimelineEntry


class GroupNews(Model):
    """The group changed; it comes whole, so that nothing has to be computed from differences."""

    type: Literal["group"] = "group"
    group: Group


class GroupsNews(Model):
    """The list of groups changed."""

    type: Literal["groups"] = "groups"
    groups: list[GroupSummary]


class NodeNews(Model):
    type: Literal["node"] = "node"
    node: NodeInfo


News = Annotated[TimelineNews | GroupNews | GroupsNews | NodeNews, Field(discriminator="type")]
"""What the events socket sends. Only ``timeline`` has an id: connect with ``?after=<id>`` to get what was missed."""

GroupSummary.model_rebuild()
