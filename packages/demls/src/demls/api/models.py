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


class GroupSummary(Model):
    id: str
    name: str
    state: GroupState
    members: int
    open_proposals: int
    my_votes_needed: int
    last_entry: TimelineEntry | None


class Proposal(Model):
    """A proposal card. ``rule`` and ``result`` are whole sentences; ``voters == yes + no + silent``."""

    id: str
    short_id: str
    kind: Literal["invite", "remove", "leave"]
    title: str
    subject: Person
    asked_by: Person
    sponsor: Person | None
    opened_at: int
    deadline: int
    silence_is_yes: bool
    rule: str
    voters: int
    needed: int
    yes: int
    no: int
    silent: int
    my_vote: bool | None
    may_vote: bool
    status: Literal["open", "approved", "rejected", "committed", "withdrawn"]
    result: str
    epoch: int | None


class JoinRequest(Model):
    id: str
    person: Person
    sponsor: Person | None
    received_at: int


class Round(Model):
    """The commit round: ``sentence`` is empty while nothing is under way."""

    open: bool
    view: int
    leader: Person | None
    needed: int
    heard: int
    missing: list[Person]
    sentence: str


class Sync(Model):
    """Am I in sync? ``sentence`` answers in words."""

    state: Literal["in sync", "catching up", "offline", "waiting"]
    sentence: str


class Group(Model):
    """All that people need to see of a group at a glance, members' list apart."""

    id: str
    name: str
    description: str
    state: GroupState
    preset: str
    policy: list[str]
    """What the group has agreed, in sentences."""
    epoch: int
    authenticator: str
    members: int
    stewards: list[Person]
    epoch_steward: Person | None
    backup_steward: Person | None
    proposals: list[Proposal]
    requests: list[JoinRequest]
    round: Round
    sync: Sync


class Member(Model):
    address: str
    name: str
    device: str
    role: Literal["epoch steward", "backup steward", "steward", "member"]
    is_me: bool
    removal_pending: bool


class TimelineEntry(Model):
    """A line of the conversation. ``id`` grows over all groups of the node and survives restarts."""

    id: int
    group: str
    at: int
    kind: Literal["message", "notice", "warning"]
    sender: Person | None
    is_mine: bool
    text: str
    epoch: int | None
    proposal: str | None


class NewSession(Model):
    """The one-time code that stands behind ``#`` in the page's address."""

    code: Annotated[str, Field(max_length=128)]


Preset = Literal["quick", "day", "council"]


class NewGroup(Model):
    name: Annotated[str, Field(min_length=1, max_length=80)]
    description: Annotated[str, Field(max_length=500)] = ""
    preset: Preset = "day"


class JoinGroup(Model):
    invite: Annotated[str, Field(max_length=4096)]


class NewMessage(Model):
    """Text to send; a text that begins with ``/`` is a command (``/ban``, ``/leave``, ``/help``)."""

    text: Annotated[str, Field(min_length=1, max_length=32_768)]


class NewInvite(Model):
    lifetime_ms: Annotated[int, Field(ge=60_000, le=90 * 86_400_000)] = 7 * 86_400_000


class InviteContact(Model):
    contact: Annotated[str, Field(max_length=4096)]


class Removal(Model):
    address: Annotated[str, Field(max_length=64)]


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
