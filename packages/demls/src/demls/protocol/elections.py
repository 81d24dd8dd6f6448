"""Is a steward list the one that may be elected now, and when does the own node propose one?

A list is checked completely before anybody votes: there is one valid list for an epoch, a retry round and a pool, so
nodes vote by themselves, and a list that differs is refused and never becomes a proposal (LIP-104 §Steward list
creation, §Layer 2). It changes only inside the commit that carries the election.
"""

from __future__ import annotations

from demls.protocol import policy as bounds
from demls.protocol.electorates import Electorate
from demls.protocol.events import Reason
from demls.protocol.governance import Governance
from demls.protocol.items import Item
from demls.protocol.stewards import StewardList, generate, list_size
from demls.protocol.validation import State
from demls.protocol.views import ProposalStatus
from demls.wire.charters import Policy
from demls.wire.fields import ENTRIES_MAX
from demls.wire.ids import Address, Epoch, GroupId, Instant, ProposalId
from demls.wire.messages import Leave, Proposal, Remove, StewardElection

_DECIDED = (ProposalStatus.APPROVED, ProposalStatus.COMMITTED, ProposalStatus.WITHDRAWN)


class Elections:
    """The elections of one group."""

    def __init__(self, governance: Governance, group_id: GroupId) -> None:
        self._governance = governance
        self._group_id = group_id
        self._due: tuple[State, bool] | None = None
        self.held: dict[Address, dict[ProposalId, Proposal]] = {}
        """Genuine elections that name removals not known to be decided here; tried again when more is known."""

    # --- Checking -----------------------------------------------------------------------------------------------

    def fault_of(self, proposal: Proposal, election: StewardElection) -> tuple[Reason, str] | None:
        """What is wrong with the list: pool, epoch, round, size or order; None if it is the valid one."""
        electorate = self._governance.electorates.get(proposal.epoch)
        if electorate is None or election.election_epoch != proposal.epoch:
            return Reason.INVALID, "an election for another epoch than its own"
        if election.retry_round > electorate.policy.reelections_max:
            return Reason.INVALID, "an election of a round beyond the policy's"
        excluded = frozenset(Address(member) for member in election.excluded)
        if list(election.excluded) != sorted(excluded) or not excluded <= electorate.settled():
            return Reason.INVALID, "an election that leaves out others than settled members, each once and in order"
        if election.proposed_stewards != self._list(electorate, excluded, election.retry_round):
            return Reason.INVALID, "an election of another list than the only valid one"
        if not excluded <= self._going() | self._governance.departed(electorate):
            self._hold(proposal)
            return Reason.STALE, "an election that leaves out somebody whose removal is not known to be decided"
        return None

    def _going(self) -> frozenset[Address]:
        """Whose removal or leave is known to be decided."""
        return frozenset(item.subject for item in self._governance.items.values() if self._is_decided_removal(item))

    def _is_decided_removal(self, item: Item) -> bool:
        """By its owner, or by a certificate: consent by silence can still be undone."""
        if isinstance(item.change, Leave):
            return True
        is_decided = item.status in _DECIDED and isinstance(item.change, Remove)
        return is_decided and self._governance.certificate(item) is not None

    def _list(self, electorate: Electorate, targets: frozenset[Address], retry_round: int) -> tuple[Address, ...]:
        pool = electorate.settled() - electorate.dormant() - targets
        policy = electorate.policy
        size = list_size(len(pool), policy.stewards_min, policy.stewards_max)
        return generate(pool, size, electorate.epoch, retry_round, self._group_id)

    def _hold(self, proposal: Proposal) -> None:
        kept = self.held.setdefault(Address(proposal.owner), {})
        kept[proposal.id] = proposal
        while len(kept) > bounds.ELECTIONS_HELD_PER_MEMBER:
            del kept[next(iter(kept))]

    def release(self) -> list[Proposal]:
        """The held elections, to be tried once more."""
        held = [proposal for kept in self.held.values() for proposal in kept.values()]
        self.held.clear()
        return held

    # --- Voting -------------------------------------------------------------------------------------------------

    def opinion(self, election: StewardElection, state: State) -> bool | None:
        """How the own node votes; None: not yet, since it does not know that the round before has failed."""
        before = self._round_before(election)
        if not is_due(state, Epoch(election.election_epoch)):
            return False
        if any(other.status is ProposalStatus.APPROVED for other in before):
            return False
        if {left.subject for left in self._pending()} & set(map(Address, election.proposed_stewards)):
            return False
        has_failed = any(other.status is ProposalStatus.REJECTED for other in before)
        return True if election.retry_round == 0 or has_failed else None

    def _round_before(self, election: StewardElection) -> list[Item]:
        return [
            item
            for item in self.all()
            if isinstance(item.change, StewardElection)
            and (item.change.election_epoch, item.change.retry_round)
            == (election.election_epoch, election.retry_round - 1)
        ]

    def all(self) -> list[Item]:
        """Every election that is known."""
        return list(self._governance.elections.values())

    def _pending(self) -> list[Item]:
        """Removals and leaves that are decided and not yet committed."""
        return [item for item in self._governance.approved() if self._is_decided_removal(item)]

    # --- Proposing ----------------------------------------------------------------------------------------------

    def next_round(self, state: State, policy: Policy) -> tuple[int, Instant] | None:
        """(retry round, from when on) of the election that the present state needs; None if it needs none now."""
        if self._due is None or self._due[0] is not state:
            self._due = state, is_due(state, state.epoch)
        if not self._due[1]:
            return None
        by_round: dict[int, list[Item]] = {}
        for item in self.all():
            election = item.change
            assert isinstance(election, StewardElection)
            if election.election_epoch == state.epoch:
                by_round.setdefault(election.retry_round, []).append(item)
            elif item.status in (ProposalStatus.OPEN, ProposalStatus.APPROVED):
                return None
        since = Instant(0)
        for retry_round in range(policy.reelections_max + 1):
            tried = by_round.get(retry_round, [])
            if any(item.status in (ProposalStatus.OPEN, ProposalStatus.APPROVED) for item in tried):
                return None
            ended = [item.ended_at for item in tried if item.status is ProposalStatus.REJECTED and item.ended_at]
            if not ended:
                return retry_round, since
            since = Instant(max(ended))
        return None

    def propose(self, state: State, retry_round: int) -> StewardElection | None:
        """The only valid list for this state and round; None if there is none."""
        electorate = self._governance.electorates.get(state.epoch)
        if electorate is None:
            return None
        left_out = sorted({item.subject for item in self._pending()} & electorate.settled())[:ENTRIES_MAX]
        listed = self._list(electorate, frozenset(left_out), retry_round)
        return StewardElection(listed, state.epoch, retry_round, tuple(left_out)) if listed else None

    def obstacle(
        self, item: Item, election: StewardElection, stewards: StewardList, epoch: Epoch, policy: Policy
    ) -> str:
        """Why no commit of the present state can carry it; by the chain alone."""
        electorate = self._governance.electorates.get(item.proposal.epoch)
        if stewards.since > election.election_epoch:
            return "There is a newer steward list."
        if epoch > election.election_epoch + bounds.PAST_EPOCHS:
            return "It was not decided in time; the next election follows."
        if electorate is None or (electorate.policy.stewards_min, electorate.policy.stewards_max) != (
            policy.stewards_min,
            policy.stewards_max,
        ):
            return "The group's settings have changed since."
        return ""


def is_due(state: State, epoch: Epoch) -> bool:
    """Does the list need a successor by election?

    It does if it is used up, each of its stewards has lost its turn, or stewards decide and too few of them are left.
    """
    if state.stewards.since > epoch:
        return False
    eligible = set(state.stewards.rotated(state.epoch, state.roster))
    is_dead = eligible <= {Address(turn.member_id) for turn in state.lost}
    policy = state.charter.policy
    is_short = bounds.needs_stewards(policy) and len(eligible) < bounds.stewards_deciding_min(state.settled)
    return (state.stewards.is_exhausted(epoch) or is_dead or is_short) and state.settled > policy.stewards_max
