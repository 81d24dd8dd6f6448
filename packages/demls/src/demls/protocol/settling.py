"""How does a state end? With a commit that has its certificate, from the own round or from a member that is ahead.

Nothing else is ever merged, and a merge is never taken back (P1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from demls_consensus import quorum

from demls.protocol.continuity import is_certified, next_head
from demls.protocol.engine import Member
from demls.protocol.events import (
    Halted,
    KeysRenewed,
    ProposalWithdrawn,
    Reason,
    Removed,
    Settled,
    StewardsChanged,
)
from demls.protocol.step import Step
from demls.protocol.sync import seal_bundle, told_with
from demls.protocol.views import GroupStatus
from demls.wire.chain import Succession
from demls.wire.ids import (
    Address,
    Epoch,
    Head,
    Instant,
    LeafKey,
    ProposalId,
    View,
)
from demls.wire.messages import (
    Candidate,
    Invite,
    Leave,
    Proposal,
    Refresh,
    Resync,
    SettledCommit,
    StewardElection,
    Sync,
    WelcomeBundle,
)
from demls.wire.statements import Locks, RoundStatement

if TYPE_CHECKING:
    from demls.protocol.state import GroupState
    from demls.protocol.validation import State


@dataclass(frozen=True, slots=True)
class Entered:
    """What the chain says about a state, besides what MLS knows."""

    head: Head
    time: Instant
    succession: Succession
    since: Mapping[Address, Epoch]
    """When those members joined who were there before."""
    before: bytes = b""
    """Names the state that the commit continued."""
    changed: Mapping[int, Member | None] | None = None
    """If only these leaves are different from the state before: what they are now, None for a blank one."""


def settle_own(
    state: GroupState, candidate: Candidate, view: View, locks: tuple[RoundStatement, ...], step: Step
) -> None:
    """Merge the certified candidate and begin the next state."""
    certificate = locks[: state.quorum(candidate.id)]
    state.certifying.settled(state, view, candidate.id, certificate, step.now)
    merge_held(state, candidate, view, certificate, step)


def merge_held(
    state: GroupState, candidate: Candidate, view: View, locks: tuple[RoundStatement, ...], step: Step
) -> None:
    """Merge a candidate that the round holds; ``locks``: its certificate."""
    proposals = {proposal.id: proposal for proposal in state.candidates.carry(candidate.id)[1]}
    for offer in state.round.offers.values():
        if offer.candidate.id == candidate.id:
            proposals |= {proposal.id: proposal for proposal in offer.proposals}
    carried = (proposals.get(ProposalId(entry.proposal_id)) for entry in state.candidates.entries(candidate.id))
    known = tuple(proposal for proposal in carried if proposal is not None)
    _settle(state, SettledCommit.of(state.epoch, state.state.head, candidate, view, locks, known), step)


def receive_settled(state: GroupState, settled: SettledCommit, step: Step) -> None:
    """A settled commit from a member that is ahead: worth exactly its certificate."""
    if (settled.epoch, settled.head) != (state.epoch, state.state.head):
        compare_histories(state, settled.certificate, step)
        return
    if not _is_genuine(state, settled, step):
        if settled.candidate.id not in state.round.candidates:
            state.candidates.forget(settled.candidate.id)
        return
    _settle(state, settled, step)


def compare_histories(state: GroupState, locks: Locks, step: Step) -> None:
    """Two certificates for one state: more than f members have signed both, and are named by them.

    No rule of choice is safe against them, so governance halts and people decide.
    """
    known = state.history.leaving(locks.epoch) if locks.epoch < state.epoch else None
    if known is None or state.is_halted or known.head != locks.head or known.candidate.id == locks.candidate:
        return
    electorate = state.governance.electorates.get(locks.epoch)
    if electorate is None:
        return
    counted = electorate.committee().members

    def key_of(member: bytes) -> LeafKey | None:
        return LeafKey(electorate.seats[Address(member)].leaf_key) if member in counted else None

    if not is_certified(
        locks, quorum=quorum(len(counted)), key_of=key_of, group_id=state.group_id, engine=state.engine
    ):
        step.refuse(Reason.FORGED, "another commit of a past epoch, without its certificate")
        return
    both = set(known.signers) & set(locks.signers)
    if known.view != locks.view:
        both = set()  # to lock another candidate in a later view is no crime by itself
    state.is_halted = True
    state.save()
    step.tell(Halted(Epoch(locks.epoch), tuple(Address(member) for member in sorted(both))))


def _is_genuine(state: GroupState, settled: SettledCommit, step: Step) -> bool:
    """Is it a commit on this state, with its certificate? Takes the proposals that came with it if it seems so."""
    if not state.candidates.prepare(settled.candidate):
        step.refuse(Reason.INVALID, "a settled commit that is no commit on this state")
        return False
    least = state.committee.q if state.roster.n != 2 else 1  # of two, one may settle the other's leave
    if not has_certificate(state, settled.certificate, least):
        step.refuse(Reason.FORGED, "a settled commit without its certificate")
        return False
    for proposal in settled.proposals:
        state.governance.receive_proposal(proposal, step, solicited=True)
    if len(set(settled.signers)) < state.quorum(settled.candidate.id):
        step.refuse(Reason.FORGED, "a settled commit without its certificate")
        return False
    return True


def has_certificate(state: GroupState, locks: Locks, quorum: int) -> bool:
    """Do these locks of the present state make a certificate of so many?"""
    return is_certified(locks, quorum=quorum, key_of=state.speaking_key, group_id=state.group_id, engine=state.engine)


def _settle(state: GroupState, settled: SettledCommit, step: Step) -> None:
    candidate = settled.candidate
    if not state.candidates.prepare(candidate):
        step.refuse(Reason.INVALID, "a certified candidate that is no commit on this state")
        return
    succession = state.candidates.follow(candidate, settled.proposals)
    if succession is None:
        step.refuse(Reason.STALE, "a settled commit that came without one of its proposals")
        return
    before, committer = state.roster, state.candidates.committer(candidate)
    minted = state.candidates.minted(candidate.id)
    assert minted is not None
    entries = [ProposalId(entry.proposal_id) for entry in state.candidates.entries(candidate.id)]
    known = [item for item in map(state.governance.items.get, entries) if item is not None]
    settled = _whole(settled, entries, [item.proposal for item in known])
    added, sync = state.candidates.added(candidate), state.candidates.sync_of(candidate)
    changed = state.candidates.merge(candidate)
    state.mls_changed = True
    state.history.keep(settled, step.now)
    state.round.close()
    changes = [item.change for item in known]
    if not state.mls.is_active:
        wished = {type(item.change) for item in known if item.subject == state.own}
        state.status = (
            GroupStatus.LEFT if Leave in wished else GroupStatus.MOVED if Resync in wished else GroupStatus.REMOVED
        )
        is_moved = state.status is GroupStatus.MOVED
        step.tell(Removed(Epoch(settled.epoch + 1), Leave in wished, is_moved=is_moved))
        step.say(settled)  # the last word: nobody can ask this member for it later
        return
    state.read_charter(step)
    head, ended = next_head(settled.head, settled.epoch, candidate.id), state.state
    state.enter(Entered(head, minted[1], succession, before.since(), settled.head, changed), step.now)
    welcome = _welcome_of(state, settled, sync, added, committer, ended, succession) if sync is not None else None
    roster = state.roster
    joined, left = roster.beyond(before), before.beyond(roster)
    state.governance.settle(entries, roster, state.state.electorate, step)
    _reopen_requests(state, step)
    new = [deed for deed in succession.deeds if deed.epoch == ended.epoch]
    state.scores.settle(new, roster.addresses, joined, state.epoch, state.charter.policy.scoring, step)
    state.emergencies.settled(entries)
    state.requests.settle(roster, state.epoch, step.now)
    anew = tuple(Address(given.member_id) for given in succession.reseated if given.epoch == state.epoch)
    for member in (*left, *joined, *anew):
        state.former.remember(before, member)
    state.chat.retain(roster.addresses)
    owners = {p.id: Address(p.owner) for p in settled.proposals if isinstance(p.change.payload, Refresh)}
    decided = tuple(entry for entry in entries if entry not in owners)
    step.tell(Settled(state.epoch, candidate.id, committer, joined, left, decided, minted[0], anew))
    _tell_renewed([owners[entry] for entry in entries if entry in owners], state.epoch, step)
    if state.state.stewards.since != ended.stewards.since:
        by_vote = any(isinstance(change, StewardElection) for change in changes)
        step.tell(StewardsChanged(state.epoch, state.state.stewards.members, by_vote))
    if welcome is not None:
        state.welcomes.add(welcome[0], added, welcome[1], state.round.base_time, step)
    step.channel = state.channel


def _welcome_of(
    state: GroupState,
    settled: SettledCommit,
    sync: Sync,
    added: list[tuple[Address, bytes]],
    committer: Address,
    ended: State,
    follows: Succession,
) -> tuple[WelcomeBundle, int] | None:
    """What the own member sends to whom the commit admits that has ended a state, and in which turn; None if nothing.

    Called before the work that was open then is settled.
    """
    rank = state.welcomer_rank(committer, {address for address, _ in added})
    if rank is None:
        return None
    told = told_with(sync, ended, state.governance, state.requests, follows)
    return seal_bundle(state.mls, settled, told, state.engine), rank


def _whole(settled: SettledCommit, entries: list[ProposalId], known: list[Proposal]) -> SettledCommit:
    """With exactly the proposals of its entries: whoever handed it on may have left some out, or put others in."""
    proposals = {proposal.id: proposal for proposal in (*settled.proposals, *known)}
    return replace(settled, proposals=tuple(proposals[entry] for entry in entries if entry in proposals))


def _tell_renewed(owners: list[Address], epoch: Epoch, step: Step) -> None:
    if owners:
        step.tell(KeysRenewed(epoch, tuple(sorted(owners))))


def _reopen_requests(state: GroupState, step: Step) -> None:
    """A request whose vote was opened by somebody who is gone now is not lost with that vote."""
    if state.own not in state.state.leaders:
        return
    for event in step.events:
        item = state.governance.items.get(event.proposal_id) if isinstance(event, ProposalWithdrawn) else None
        if item is None or not isinstance(item.change, Invite) or not item.change.token:
            continue
        if item.proposal.owner not in state.roster.addresses and item.change.sponsor in state.roster.addresses:
            state.requests.reopen(item.change, state.epoch, state.state.leaders.index(state.own), step.now)
