"""Is this MLS Update the one that its owner asked for? A member's new leaf, and the secrets of the own one.

An Update belongs to one epoch (RFC 9420 §12.1.2). It is kept as bytes and handed only to the copy of the group on which
a candidate is built or checked: the live group never knows of it, because a pending proposal blocks chat there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from demls.protocol import policy as bounds
from demls.protocol.checks import Check, Verdict
from demls.protocol.credential import BINDING_EXTENSION, CredentialRefused, check_leaf, parse_binding
from demls.protocol.engine import EngineError, Member, MlsGroup, OwnMessage, StagedCommit
from demls.protocol.events import Reason
from demls.protocol.items import Item
from demls.protocol.records import Ledger
from demls.protocol.roster import Roster
from demls.wire.chain import KeyAge
from demls.wire.framing import digester
from demls.wire.ids import Address, Epoch, Head, Instant
from demls.wire.messages import (
    Candidate,
    Proposal,
    Refresh,
)

_OWN = b"refresh/own"

Fault = tuple[Verdict, Check, str]


@dataclass(frozen=True, slots=True)
class OwnUpdate:
    """The own Update of one epoch, with the secrets without which a commit that contains it cannot be followed."""

    epoch: int
    update: bytes
    secrets: bytes


class OwnUpdates:
    """The own Update of the present epoch, durable from before it is said until the epoch is over."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._own = ledger.find(_OWN, OwnUpdate)

    def of(self, epoch: Epoch) -> OwnUpdate | None:
        """The one made in that epoch, None if there is none."""
        return self._own if self._own is not None and self._own.epoch == epoch else None

    def keep(self, own: OwnUpdate) -> None:
        self._own = own
        self._ledger.put(_OWN, own)

    def clear(self) -> None:
        """The epoch is over: the Update is merged, or worth nothing any more."""
        if self._own is not None:
            self._own = None
            self._ledger.delete(_OWN)


class KeyAges:
    """How old the encryption keys of one state's members are."""

    def __init__(self, keys: Sequence[KeyAge], counted: frozenset[Address], head: Head) -> None:
        self._keys, self._counted, self._head = keys, counted, head
        self.is_automatic = 1 < len(keys) <= bounds.REFRESH_MEMBERS_MAX
        """Do nodes ask by themselves in a group of this size?"""

    @cached_property
    def _known(self) -> dict[Address, KeyAge]:
        return {Address(age.member_id): age for age in self._keys}

    @cached_property
    def _order(self) -> tuple[KeyAge, ...]:
        """Of counted members, oldest keys first. O(n log n), once, and only if somebody asks."""
        lot_of = digester(b"demls refresh 2", self._head)
        ages = (age for age in self._known.values() if age.member_id in self._counted)
        return tuple(sorted(ages, key=lambda age: (age.time, lot_of(age.member_id))))

    @cached_property
    def _place(self) -> dict[Address, int]:
        return {Address(age.member_id): place for place, age in enumerate(self._order)}

    def of(self, member: bytes) -> KeyAge | None:
        return self._known.get(Address(member))

    def place(self, member: Address) -> int | None:
        """Among the counted members, oldest keys first; None for a dormant one."""
        return self._place.get(member)

    def riders(self, now: Instant) -> tuple[Address, ...]:
        """Whose keys are so old that they go along with whatever is committed next."""
        due = now - bounds.REFRESH_ALONG_AFTER
        oldest = self._order[: bounds.REFRESHES_PER_COMMIT] if self.is_automatic else ()
        return tuple(Address(age.member_id) for age in oldest if age.time <= due)


def stage(candidate: Candidate, mls: MlsGroup, own: OwnUpdate | None) -> StagedCommit | Fault:
    """The candidate's commit, checked by MLS together with the Updates that came with it."""
    secrets = own.secrets if own is not None and own.update in candidate.updates else None
    try:
        return mls.stage(candidate.commit, candidate.updates, secrets)
    except EngineError as problem:
        if any(_is_own(update, mls) for update in candidate.updates if own is None or update != own.update):
            return Verdict.NOT_YET, Check.STAGES, "it renews the own leaf by an Update whose secrets are not here"
        return Verdict.INVALID, Check.STAGES, f"the commit does not verify: {type(problem).__name__}"


def _is_own(update: bytes, mls: MlsGroup) -> bool:
    try:
        mls.read_update(update)
    except OwnMessage:
        return True
    except EngineError:
        pass
    return False


def check_updates(candidate: Candidate, staged: StagedCommit, roster: Roster) -> Fault | None:
    """Check V17, as far as the candidate alone decides it: the leaves stay whose they are."""
    if not staged.updates and not candidate.updates:
        return None
    detail = ""
    if len(staged.updates) != len(candidate.updates):
        detail = "it comes with other Updates than its commit refers to"
    elif len(staged.updates) > bounds.REFRESHES_PER_COMMIT:
        detail = "it renews more leaves than one commit may"
    for leaf in staged.updated_leaves:
        detail = detail or fault_of_leaf(leaf, roster)
    return (Verdict.INVALID, Check.UPDATES, detail) if detail else None


def fault_of_leaf(leaf: Member, roster: Roster) -> str:
    """What an Update changes besides the encryption key and the dates of the binding; empty if nothing."""
    owner = roster.owner_of(leaf.leaf)
    seat = roster.seat(owner) if owner is not None else None
    if seat is None or seat.leaf != leaf.leaf:
        return "it renews a leaf that does not speak for its member"
    if leaf.signature_key != seat.leaf_key:
        return "an Update changes the signature key of its leaf"
    extensions, before = dict(leaf.extensions), roster.extensions_of(seat.address)
    if {**extensions, BINDING_EXTENSION: b""} != {**before, BINDING_EXTENSION: b""}:
        return "an Update changes more of its leaf than the binding"
    try:
        credential = check_leaf(leaf.credential, leaf.signature_key, extensions, None)
        binding, known = parse_binding(extensions), roster.binding_of(seat.address)
    except CredentialRefused as problem:
        return f"an Update leaves its leaf without a sound binding: {problem}"
    if (credential.address, credential.device, credential.name) != (seat.address, seat.device, seat.name):
        return "an Update changes the credential of its leaf"
    if known is not None and binding.expires < known.expires:
        return "an Update brings back an older binding"
    return ""


def fault_of_refresh(
    proposal: Proposal, refresh: Refresh, mls: MlsGroup, roster: Roster, own: OwnUpdate | None
) -> tuple[Reason, str] | None:
    """Why this is no Update of the proposal's owner that this epoch could commit; None if it is one."""
    if proposal.epoch != mls.epoch:
        return Reason.STALE, "an Update of another epoch"
    try:
        leaf = mls.read_update(refresh.update)
    except OwnMessage:
        is_mine = own is not None and own.update == refresh.update and mls.own_leaf in roster.leaves_of(proposal.owner)
        return None if is_mine else (Reason.FORGED, "an Update in the own name that was not made here")
    except EngineError:
        return Reason.INVALID, "an Update that does not verify"
    if roster.owner_of(leaf.leaf) != proposal.owner:
        return Reason.FORGED, "an Update of another member's leaf"
    fault = fault_of_leaf(leaf, roster)
    if fault:
        return Reason.INVALID, fault
    known = roster.binding_of(proposal.owner)
    if refresh.renews_binding is (known is not None and parse_binding(dict(leaf.extensions)) == known):
        return Reason.INVALID, "an Update that does not say whether it brings another binding"
    return None


def updates_of(work: Sequence[Item], committer: Address) -> tuple[bytes, ...]:
    """The Updates that a commit of this work refers to. The committer's own leaf is renewed by its path."""
    changes = (item.change for item in work if item.subject != committer)
    return tuple(change.update for change in changes if isinstance(change, Refresh))


def renewed_by(work: Sequence[Item]) -> frozenset[Address]:
    """Whose wish for new keys is among this work."""
    return frozenset(item.subject for item in work if isinstance(item.change, Refresh))


def fitting(work: Sequence[Item], committer: Address) -> list[Item]:
    """The work without the wishes for new keys that one commit of this committer cannot carry.

    Who is being removed needs none, a path brings no other binding, and too many would make the commit large.
    """
    removed = {item.subject for item in work if item.effect[0] in ("remove", "resync")}
    chosen: list[Item] = []
    renewed = 0
    for item in work:
        if isinstance(item.change, Refresh):
            if renewed == bounds.REFRESHES_PER_COMMIT or not is_for(item, committer) or item.subject in removed:
                continue
            renewed += 1
        chosen.append(item)
    return chosen


def is_for(item: Item, committer: Address) -> bool:
    """May this member commit it? Its own new binding it cannot: a path keeps the leaf's extensions."""
    return not (isinstance(item.change, Refresh) and item.change.renews_binding and item.subject == committer)


def check_refreshes(
    work: Sequence[Item], updates: tuple[bytes, ...], committer: Address, epoch: Epoch, *, has_path: bool
) -> str:
    """The rest of check V17: exactly the Updates that were asked for, in their order. Empty if so."""
    for item in work:
        if not isinstance(item.change, Refresh):
            continue
        if item.proposal.epoch != epoch:
            return "it carries the wish for new keys of another epoch"
        if not is_for(item, committer) or (item.subject == committer and not has_path):
            return "its own path does not do what its committer asked for"
    if sum(isinstance(item.change, Refresh) for item in work) > bounds.REFRESHES_PER_COMMIT:
        return "it renews more leaves than one commit may"
    return "" if updates == updates_of(work, committer) else "it renews other leaves than was asked for"
