"""Is this candidate what its leader may offer? The commit validation service: numbered checks, each with its clause.

A check finds the candidate ``invalid`` (a structural fault that its leader's own signature proves) or ``not yet``
acceptable (something it depends on may still arrive). Losing, being late or being unheard is never a fault. The table
of the checks stands in ``checks.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from demls.protocol import policy as bounds
from demls.protocol.checks import Check, Verdict
from demls.protocol.credential import CredentialRefused, check_leaf
from demls.protocol.electorates import Electorate, Electorates
from demls.protocol.engine import MlsGroup, StagedCommit
from demls.protocol.items import Item
from demls.protocol.resync import barrier, limit_of
from demls.protocol.roster import Roster, Seat
from demls.protocol.stewards import StewardList
from demls.protocol.updates import OwnUpdate, check_refreshes, check_updates, is_for, stage
from demls.protocol.views import ProposalStatus
from demls.wire.chain import Deed, KeyAge, LostTurn, Reseated
from demls.wire.charters import Charter
from demls.wire.codec import WireError
from demls.wire.ids import Address, Duration, Epoch, GroupId, Head, Instant, ProposalId, View
from demls.wire.messages import (
    Candidate,
    CommitContext,
    Entry,
    Invite,
    Proposal,
    Resync,
    Settings,
    Sync,
    decode_message,
    encode_message,
)

TIME_DIFFERENCE_MAX = Duration(120_000)


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of a check that did not pass."""

    verdict: Verdict
    check: Check
    detail: str


@dataclass(frozen=True, slots=True)
class State:
    """What candidates of one state are judged against."""

    epoch: Epoch
    head: Head
    time: Instant
    roster: Roster
    stewards: StewardList
    leaders: tuple[Address, ...]
    lost: tuple[LostTurn, ...]
    deeds: tuple[Deed, ...]
    charter: Charter
    electorate: Electorate
    settled: int
    """How many could become stewards now."""
    way_back: bytes
    """Secret of the channel on which members that stay behind in this state are answered."""
    reseated: tuple[Reseated, ...] = ()
    """Who was given a new leaf within the last hour of chain time."""
    keys: tuple[KeyAge, ...] = ()
    """How old each member's encryption key is, by address."""
    before: bytes = b""
    """The state before the parent, from which the committee is drawn."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a structurally sound candidate does."""

    committer: Address
    view: View
    time: Instant
    entries: tuple[Entry, ...]
    staged: StagedCommit
    sync: Sync | None
    updates: tuple[bytes, ...] = ()
    """Those that came with it, all of which the commit refers to."""


def read_content(
    candidate: Candidate,
    state: State,
    mls: MlsGroup,
    group_id: GroupId,
    electorates: Electorates,
    own_update: OwnUpdate | None = None,
) -> Content | Finding:
    """Checks V01 to V08 and half of V17, on a copy of the state: they need nothing but the candidate and the chain."""
    staged = stage(candidate, mls, own_update)
    if isinstance(staged, tuple):
        return Finding(*staged)
    committer = state.roster.owner_of(staged.committer)
    if committer is None:
        return _invalid(Check.STAGES, "the committer has no leaf")
    try:
        context = decode_message(staged.authenticated_data, CommitContext)
    except WireError:
        return _invalid(Check.CONTEXT, "the authenticated data is no commit context")
    if context.head != state.head:
        return _invalid(Check.CONTEXT, "it continues another state")
    if not state.time < context.time <= bounds.INSTANT_MAX:
        return _invalid(Check.CONTEXT, "its time is not later than that of the state it continues")
    if state.leaders[context.view % len(state.leaders)] != committer:
        return _invalid(Check.COMMITTER, "its committer did not lead the view in which it was minted")
    seat = state.roster.seat(committer)
    if seat is None or seat.leaf != staged.committer:
        return _invalid(Check.COMMITTER, "committed by a leaf that does not speak for its member")
    ids = [entry.proposal_id for entry in context.entries]
    if len(set(ids)) != len(ids) or len(ids) > bounds.CANDIDATE_ENTRIES_MAX:
        return _invalid(Check.CANONICAL, "its entries repeat or are too many")
    if staged.other_proposals:
        return _invalid(Check.NOTHING_ELSE, "it contains MLS proposals that nobody decided")
    if staged.committer in staged.removes:
        return _invalid(Check.NOT_ITSELF, "the committer removes itself")
    if staged.has_path and not _keeps_identity(staged, seat):
        return _invalid(Check.PATH, "its path changes who the committer is")
    fault = check_updates(candidate, staged, state.roster)
    if fault is not None:
        return Finding(*fault)
    return _read_welcome(candidate, state, staged, committer, context, group_id, electorates)


def _keeps_identity(staged: StagedCommit, seat: Seat) -> bool:
    """Does the path leave the committer's key and credential as they are, with a binding that verifies?"""
    key, identity, extensions = staged.path_signature_key, staged.path_credential, staged.path_extensions
    if key != seat.leaf_key or identity is None or extensions is None:
        return False
    try:
        credential = check_leaf(identity, key, extensions, None)
    except CredentialRefused:
        return False
    return (credential.address, credential.device, credential.name) == (seat.address, seat.device, seat.name)


def _read_welcome(
    candidate: Candidate,
    state: State,
    staged: StagedCommit,
    committer: Address,
    context: CommitContext,
    group_id: GroupId,
    electorates: Electorates,
) -> Content | Finding:
    present = {bool(candidate.welcome), len(candidate.joiner_key) == bounds.JOINER_KEY_BYTES, bool(candidate.sync)}
    if present != {bool(staged.adds)}:
        return _invalid(Check.WELCOME, "welcome, joiner key and sync do not fit the additions")
    sync = None
    if candidate.sync:
        try:
            sync = decode_message(candidate.sync, Sync)
        except WireError:
            return _invalid(Check.WELCOME, "its sync cannot be read")
        stated = (sync.group_id, sync.epoch, sync.head, sync.time, sync.electorate, sync.way_back)
        own = (group_id, state.epoch, state.head, context.time, state.electorate.hash, state.way_back)
        if stated != own:
            return _invalid(Check.WELCOME, "its sync states another state")
        epochs = [past.epoch for past in sync.electorates]
        if epochs != sorted(set(epochs)) or max(epochs, default=-1) >= state.epoch:
            return _invalid(Check.WELCOME, "its sync states epochs that are not past, or out of order")
        for past in sync.electorates:
            known = electorates.get(past.epoch)
            if known is not None and known.hash != past.hash:
                return _invalid(Check.WELCOME, "its sync states another past than was")
    return Content(
        committer, View(context.view), Instant(context.time), context.entries, staged, sync, candidate.updates
    )


def check_content(
    content: Content,
    items: Mapping[ProposalId, Item],
    state: State,
    follow: Callable[[Content, tuple[Proposal, ...]], bytes | None],
) -> Finding | None:
    """Checks V09, V10, V15 to V17, and the order of V04: what the entries say is what the commit does.

    ``follow``: the hash of what follows from the commit with these proposals.
    """
    roster = state.roster
    known = [items.get(ProposalId(entry.proposal_id)) for entry in content.entries]
    work = [item for item in known if item is not None]
    if len(work) != len(known):
        return Finding(Verdict.NOT_YET, Check.KNOWN, "it carries proposals that are not known here yet")
    if [item.order() for item in work] != sorted(item.order() for item in work):
        return _invalid(Check.CANONICAL, "its entries are not in canonical order")
    effects = [item.effect for item in work]
    if len(set(effects)) != len(effects):
        return _invalid(Check.CANONICAL, "two of its entries have one effect")
    for item in work:
        seat = roster.seat(item.subject)
        if item.effect[0] == "add" and seat is not None:
            return _invalid(Check.EXACT, "it adds a member again")
        if item.effect[0] == "remove" and (seat is None or seat.since > item.proposal.epoch):
            return _invalid(Check.EXACT, "it carries the removal of somebody who is not, or no longer, meant")
    wrong = _check_resyncs(work, content.time, state)
    if wrong is not None:
        return wrong
    if sorted(content.staged.removes) != sorted(removed_by(work, roster)):
        return _invalid(Check.EXACT, "it removes other leaves than was decided")
    added = sorted(package.encoded for package in content.staged.adds)
    if added != sorted(added_by(work)):
        return _invalid(Check.EXACT, "it adds other key packages than was decided")
    settings = next((item.change for item in work if isinstance(item.change, Settings)), None)
    if settings is None and content.staged.context_extensions is not None:
        return _invalid(Check.NOTHING_ELSE, "it changes the GroupContext, and nobody decided that")
    if settings is not None and content.staged.context_extensions != amended_context(state.charter, settings):
        return _invalid(Check.EXACT, "it makes other settings than was decided")
    fault = check_refreshes(work, content.updates, content.committer, state.epoch, has_path=content.staged.has_path)
    if fault:
        return _invalid(Check.UPDATES, fault)
    if content.sync is not None and content.sync.succession != follow(content, tuple(item.proposal for item in work)):
        return _invalid(Check.FOLLOWS, "its sync states another succession than follows from it")
    return None


def removed_by(work: Iterable[Item], roster: Roster) -> list[int]:
    """The leaves that this work takes out: all of whoever goes, the speaking one of whoever is given a new one."""
    leaves: list[int] = []
    for item in work:
        seat = roster.seat(item.subject)
        if item.effect[0] == "remove":
            leaves += roster.leaves_of(item.subject)
        elif item.effect[0] == "resync" and seat is not None:
            leaves.append(seat.leaf)
    return leaves


def added_by(work: Iterable[Item]) -> list[bytes]:
    """The key packages that this work adds."""
    return [item.change.key_package_bytes for item in work if isinstance(item.change, Invite | Resync)]


def _check_resyncs(work: Iterable[Item], time: Instant, state: State) -> Finding | None:
    """Check V16."""
    count = 0
    for item in work:
        if not isinstance(item.change, Resync):
            continue
        count += 1
        seat = state.roster.seat(item.subject)
        if seat is None or seat.leaf_key != item.change.leaf_key:
            return _invalid(Check.RESYNC, "it gives a new seat for a leaf that is not there")
        late = barrier(item.proposal, item.change, time, state.reseated)
        if late:
            return _invalid(Check.RESYNC, f"it gives a new seat at the wrong time: {late}")
    if count > limit_of(state.roster.n):
        return _invalid(Check.RESYNC, "it gives too many new seats at once")
    return None


def amended(charter: Charter, settings: Settings) -> Charter:
    """The charter after a settings decision."""
    return replace(charter, name=settings.name, description=settings.description, policy=settings.policy)


def amended_context(charter: Charter, settings: Settings) -> dict[int, bytes]:
    """The GroupContext extensions after a settings decision: only the charter is in them."""
    return {bounds.POLICY_EXTENSION: encode_message(amended(charter, settings))}


def check_credentials(content: Content, now: Instant) -> Finding | None:
    """Check V11."""
    for package in content.staged.adds:
        try:
            check_leaf(package.credential, package.signature_key, package.extensions, now)
        except CredentialRefused as problem:
            return Finding(Verdict.NOT_YET, Check.CREDENTIALS, str(problem))
    return None


def check_consent(
    content: Content,
    items: Mapping[ProposalId, Item],
    approved: list[Item],
    patience: Duration,
    now: Instant,
    fits: Callable[[Item], bool],
) -> Finding | None:
    """Checks V12 and V13: by the own view, after the votes that came with the candidate.

    ``fits``: would this work have had a place in it besides what it carries?
    """
    for entry in content.entries:
        item = items[ProposalId(entry.proposal_id)]
        if item.status is not ProposalStatus.APPROVED:
            return Finding(Verdict.NOT_YET, Check.APPROVED, "it carries what is not approved here")
        if entry.certificate_hash and item.needs_votes and item.by_silence:
            return Finding(Verdict.NOT_YET, Check.APPROVED, "a decision certificate is missing")
    if len(content.entries) >= bounds.CANDIDATE_ENTRIES_MAX:
        return None
    carried = {items[ProposalId(entry.proposal_id)].effect for entry in content.entries}
    for item in approved:
        waited = now - (item.approved_since or now)
        is_own = item.effect in (("remove", bytes(content.committer)), ("resync", bytes(content.committer)))
        own = is_own or not is_for(item, content.committer)
        if waited > patience and item.effect not in carried and not own and fits(item):
            return Finding(Verdict.NOT_YET, Check.PATIENCE, "it leaves out work that has been approved for long")
    return None


def check_time(content: Content, now: Instant) -> Finding | None:
    """Check V14."""
    if abs(content.time - now) > TIME_DIFFERENCE_MAX:
        return Finding(Verdict.NOT_YET, Check.TIME, "its time does not fit the clock here")
    return None


def _invalid(check: Check, detail: str) -> Finding:
    return Finding(Verdict.INVALID, check, detail)
