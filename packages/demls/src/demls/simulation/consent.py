"""P2: does nobody join, leave, or change what the group agreed without a decision of those who decide?

What people did is the ground truth where people decide (``people.Truth``), and what each node really voted where nodes
vote by themselves. What follows from a commit by rule (steward list, dormancy, charter) is worked out here again, from
the state before and what the commit carries, and compared with what the members made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from demls_consensus import Share, quorum

from demls.protocol import policy as bounds
from demls.protocol.effects import Effects
from demls.protocol.events import Joined, MessageReceived, ProposalOpened, Settled, VoteRecorded
from demls.protocol.stewards import StewardList, generate, is_settled, settled_pool
from demls.simulation.inside import Seen, change_of
from demls.simulation.network import Envelope
from demls.simulation.nodes import Node
from demls.simulation.people import Truth
from demls.simulation.promises import Agreement
from demls.simulation.world import Broken, Watcher, World
from demls.wire.charters import Deciders, Policy
from demls.wire.ids import Address, Epoch, Instant, ProposalId
from demls.wire.messages import (
    Awake,
    Change,
    Dormant,
    Emergency,
    Invite,
    Leave,
    Remove,
    Resync,
    Settings,
    StewardElection,
)
from demls.wire.statements import FaultyOffer

_BY_NODES = (StewardElection, Dormant, Awake, Emergency)
"""Changes on which nodes vote by themselves."""


@dataclass(frozen=True, slots=True)
class Case:
    """What was opened for decision: by whom, about whom, in which epoch, and when silence begins to count."""

    change: Change
    owner: Address
    subject: Address
    epoch: Epoch
    deadline: Instant

    @property
    def name(self) -> str:
        return type(self.change).__name__.lower()


class Consent(Watcher):
    """P2, at every commit that an honest member merges."""

    def __init__(
        self, world: World, truth: Truth, agreement: Agreement, counts_as_yes: set[tuple[ProposalId, Address]]
    ) -> None:
        """``counts_as_yes``: who has signed a yes and a no, or a yes beside its node, which counts as a yes."""
        self.world = world
        self._truth = truth
        self._agreement = agreement
        self._counts_as_yes = counts_as_yes
        self._cases: dict[ProposalId, Case] = {}
        self._checked: set[Epoch] = set()
        self._rosters: dict[Epoch, dict[Address, int]] = {}
        """Of every epoch, also of those that were passed in the middle of a step: who was in, since when."""
        self._reseated: dict[Epoch, frozenset[Address]] = {}
        """Who was given a new seat, with which its place as steward ends."""
        self._cast: dict[ProposalId, dict[Address, bool]] = {}
        """What nodes have voted by themselves, or for their people."""
        self._heard: dict[tuple[Address, Address], Instant] = {}
        """(reader, member): when the reader last read a message of the member."""

    def stepped(self, node: Node, effects: Effects, cause: Envelope | None) -> None:  # noqa: ARG002 - one form
        for event in effects.events:
            if isinstance(event, MessageReceived):
                self._heard[node.address, event.sender] = self.world.clock.now
            elif isinstance(event, ProposalOpened) and event.proposal_id not in self._cases and node.state is not None:
                found = change_of(node.state, event.proposal_id)
                if found is not None:
                    change, owner, subject, epoch, deadline = found
                    due = Instant(node.hand.when(deadline))
                    self._cases[event.proposal_id] = Case(change, owner, subject, epoch, due)
            elif isinstance(event, VoteRecorded) and event.voter == node.address:
                self._note_vote(node, event)
        for event in effects.events:
            if isinstance(event, Settled) and not node.is_adversary and event.epoch not in self._checked:
                self._checked.add(event.epoch)
                before = self._rosters.get(Epoch(event.epoch - 1), {})
                stayed = {address: since for address, since in before.items() if address not in event.left}
                self._rosters[event.epoch] = stayed | dict.fromkeys(event.joined, int(event.epoch))
                self._reseated[event.epoch] = frozenset(event.reseated)
                self._check(event)
            elif isinstance(event, Joined) and event.epoch not in self._rosters and node.state is not None:
                self._rosters[event.epoch] = {seat.address: int(seat.since) for seat in node.state.roster.seats}

    def _note_vote(self, node: Node, event: VoteRecorded) -> None:
        cast = self._cast.setdefault(event.proposal_id, {})
        cast[node.address] = event.yes or (node.is_adversary and cast.get(node.address, False))
        case = self._cases.get(event.proposal_id)
        if case is None or node.is_adversary:
            return
        if isinstance(case.change, Dormant) and event.yes and node.state is not None:
            heard = self._heard.get((node.address, case.subject), Instant(0))
            after = node.state.charter.policy.dormant_after
            if self.world.clock.now - heard < after - after // bounds.HEARD_GRAIN - 1 - self.world.scenario.skew:
                name = self.world.name_of(case.subject)
                raise Broken("P2", f"{node.name} votes {name} dormant, having read it {heard}")
        if isinstance(case.change, Invite | Remove | Settings) and not self._is_wished(case, node.address):
            known = self._truth.votes.get(event.proposal_id, {}).get(node.address)
            if known is not event.yes:
                raise Broken("P2", f"{node.name} votes on {case.name} what its person did not say")

    def _is_wished(self, case: Case, person: Address) -> bool:
        """Did this person propose it, or say yes to the same before its node put that anew?"""
        if case.owner != person:
            return False
        if (type(case.change), person, case.subject) in self._truth.proposed:
            return True
        same = (known for known, other in self._cases.items() if (other.change, other.owner) == (case.change, person))
        return any(self._truth.votes.get(known, {}).get(person) for known in same)

    # --- One commit ---------------------------------------------------------------------------------------------

    def _check(self, event: Settled) -> None:
        cases = [self._cases[proposal_id] for proposal_id in event.carried if proposal_id in self._cases]
        if len(cases) < len(event.carried):
            raise Broken("P2", f"epoch {event.epoch} carries what nobody opened")
        joined = {case.subject for case in cases if isinstance(case.change, Invite)}
        left = {case.subject for case in cases if isinstance(case.change, Remove | Leave | Emergency)}
        if (set(event.joined), set(event.left)) != (joined, left):
            raise Broken("P2", f"epoch {event.epoch} admits or removes others than it says")
        anew = {case.subject for case in cases if isinstance(case.change, Resync)}
        seated = self._rosters.get(Epoch(event.epoch - 1), self._rosters[event.epoch])
        if set(event.reseated) != anew or len(anew) > 1 + len(seated) // 10:
            raise Broken("P2", f"epoch {event.epoch} gives new seats to others than it says, or to too many")
        for proposal_id, case in zip(event.carried, cases, strict=True):
            self._check_case(proposal_id, case, event.epoch)
        seen = self._agreement.epochs
        after, before = seen.get(event.epoch), seen.get(Epoch(event.epoch - 1))
        if after is not None and before is not None:
            self._check_what_follows(before, after, [case.change for case in cases])
            self._check_keys(before, after, event)

    def _check_case(self, proposal_id: ProposalId, case: Case, epoch: Epoch) -> None:
        name = self.world.name_of(case.subject)
        if isinstance(case.change, Leave):
            since = self._rosters.get(case.epoch, {}).get(case.subject, 0)
            is_wished = any(who == case.subject and said >= since for who, said in self._truth.leaves)
            if not is_wished or case.owner != case.subject:
                raise Broken("P2", f"{name} never wished to leave")
            return
        if isinstance(case.change, Resync):
            is_asked = proposal_id in self._truth.seats.get(case.subject, ())
            is_asked = is_asked or self.world.node_of(case.subject).is_adversary
            if not is_asked or case.owner != case.subject:
                raise Broken("P2", f"{name} never asked for a new seat")
            return
        earlier = self._truth.admitted.get(case.subject, set()) - {Epoch(0), epoch}  # nobody admits the founder
        if isinstance(case.change, Invite) and self._truth.asked[case.subject] <= len(earlier):
            raise Broken("P2", f"{name} never asked to join")
        if not self._is_consented(proposal_id, case, Epoch(epoch - 1)):
            raise Broken("P2", f"epoch {epoch} carries {case.name} {name} ({proposal_id.hex()[:6]}) without consent")

    def _is_consented(self, proposal_id: ProposalId, case: Case, before: Epoch) -> bool:
        """Enough YES of the electorate as it was at some time since; or silence, where it counts, and its end.

        A late NO may not have been heard: a certificate of q members stands for what was known to them, so silence is
        refuted only by more NO than any two such sets leave room for.
        """
        if isinstance(case.change, _BY_NODES):
            votes = dict(self._cast.get(proposal_id, {}))
        else:
            votes = dict(self._truth.votes.get(proposal_id, {}))
            if self._is_wished(case, case.owner):
                votes.setdefault(case.owner, True)
        votes |= {voter: True for about, voter in self._counts_as_yes if about == proposal_id}
        cast = self._cast.get(proposal_id, {})
        votes |= {voter: True for voter, yes in cast.items() if yes and self.world.node_of(voter).is_adversary}
        opened = self._agreement.epochs.get(case.epoch)
        if opened is None:
            return True  # passed in the middle of a step, by somebody alone
        rule = bounds.rule_of(opened.charter.policy, case.change)
        stewards = set(opened.stewards.active(opened.since)) - opened.dormant
        counted = len(opened.counted)
        is_theirs = rule.decided_by == Deciders.STEWARDS and bounds.stewards_deciding_min(counted) <= len(stewards)
        ballots = [(stewards, False), (None, True)] if is_theirs else [(None, True)]
        for epoch, (deciding, is_last) in product(range(case.epoch, before + 1), ballots):
            voters = self._voters(case, deciding, Epoch(epoch))
            if not voters:
                continue
            n, needed = len(voters), Share.from_code(rule.share).needed(len(voters))
            said = [votes.get(voter) for voter in voters]
            if said.count(True) >= needed:
                return True
            due = case.deadline + (rule.duration if is_theirs else 0) - self.world.scenario.skew
            is_due = is_last and rule.silence_is_yes and n > 2 and self.world.clock.now >= due
            unheard = len(self._rosters[Epoch(epoch)]) - quorum(len(self._rosters[Epoch(epoch)]))
            if is_due and said.count(False) <= n - needed + unheard:
                return True
        return False

    def _voters(self, case: Case, deciding: set[Address] | None, epoch: Epoch) -> list[Address]:
        """Who decides it, of all or of those named, of those who are in ``epoch`` still."""
        since = self._rosters.get(epoch, {})
        known = max((one for one in self._agreement.epochs if one <= epoch), default=None)  # some passed within a step
        asleep = self._agreement.epochs[known].dormant if known is not None else frozenset()
        latest = min((case.epoch, *_shown_in(case.change)))
        present = [a for a, joined in since.items() if joined <= latest and a not in asleep]
        return [a for a in present if deciding is None or a in deciding]

    # --- What follows from it -----------------------------------------------------------------------------------

    def _check_what_follows(self, before: Seen, after: Seen, changes: list[Change]) -> None:
        asleep = set(before.dormant)
        settings: Settings | None = None
        elected: StewardElection | None = None
        for change in changes:
            match change:
                case Dormant():
                    asleep.add(Address(change.member_id))
                case Awake() if change.member_id not in before.dormant:
                    raise Broken("P2", f"epoch {after.epoch} wakes whoever was not dormant")
                case Awake():
                    asleep.discard(Address(change.member_id))
                case Settings():
                    settings = change
                case StewardElection():
                    elected = change
        asleep = {a for a in asleep if a in after.since and after.since[a] == before.since.get(a)}
        if asleep != after.dormant:
            raise Broken("P2", f"epoch {after.epoch} has dormant members whom nobody voted dormant")
        if 2 * len(asleep) > len(after.roster) and len(asleep) > len(before.dormant):
            raise Broken("P2", f"in epoch {after.epoch} fewer than half of the members count")
        self._check_charter(before, after, settings)
        if elected is not None and any(
            member in after.since
            and is_settled(after.since[Address(member)], Epoch(elected.election_epoch))
            and member not in after.dormant
            and member not in self._anew(Epoch(elected.election_epoch))
            for member in elected.proposed_stewards
        ):
            self._check_elected(after, elected)
        elif elected is not None:
            self._check_drawn(None, after)  # the commit itself has removed all of them
        elif after.stewards.since == after.epoch:
            self._check_drawn(before, after)
        else:
            self._check_kept(before, after)

    def _check_keys(self, before: Seen, after: Seen, event: Settled) -> None:
        """New keys: who joined, has a new seat, made the commit, or wished for them; no others."""
        known = {age.member_id: age for age in before.keys}
        if [age.member_id for age in after.keys] != sorted(after.since):
            raise Broken("P2", f"epoch {after.epoch} does not say how old each member's keys are")
        for age in after.keys:
            member = Address(age.member_id)
            if known.get(member) == age or member in (event.committer, *event.joined, *event.reseated):
                continue
            is_wished = member in self._truth.refreshed or self.world.node_of(member).is_adversary
            if age.epoch != after.epoch or not is_wished:
                raise Broken("P2", f"epoch {after.epoch} renews keys of {self.world.name_of(member)}, who never asked")

    @staticmethod
    def _check_charter(before: Seen, after: Seen, settings: Settings | None) -> None:
        old, new = before.charter, after.charter
        wanted = old.name, old.description, old.policy
        if settings is not None:
            wanted = settings.name, settings.description, settings.policy
        fixed = new.version, new.profile, new.rendezvous, new.predecessor
        if (new.name, new.description, new.policy) != wanted or fixed != (
            old.version,
            old.profile,
            old.rendezvous,
            old.predecessor,
        ):
            raise Broken("P2", f"epoch {after.epoch} has other settings than those that were decided")

    def _check_elected(self, after: Seen, elected: StewardElection) -> None:
        """The list is the one that can be worked out from the epoch in which it was proposed."""
        listed, opened = after.stewards, self._agreement.epochs.get(Epoch(elected.election_epoch))
        place = listed.members, listed.since, listed.election_epoch, listed.retry_round
        if place != (elected.proposed_stewards, after.epoch, elected.election_epoch, elected.retry_round):
            raise Broken("P2", f"epoch {after.epoch} has another steward list than the one elected")
        if opened is None:
            return
        for member in map(Address, elected.excluded):
            if not any(self._is_decided_removal(pid, case, after.epoch) for pid, case in self._about(member)):
                name = self.world.name_of(member)
                raise Broken("P2", f"an election leaves out {name}, whose removal is not decided")
        pool = settled_pool(opened.since, opened.epoch) - opened.dormant - set(map(Address, elected.excluded))
        if listed.members != _list_of(pool, opened.charter.policy, opened.epoch, elected.retry_round, after):
            raise Broken("P2", f"epoch {after.epoch} has stewards that are not drawn by the rule")

    def _about(self, member: Address) -> list[tuple[ProposalId, Case]]:
        """Removals and the leave of a member."""
        return [
            (proposal_id, case)
            for proposal_id, case in self._cases.items()
            if isinstance(case.change, Remove | Leave) and case.subject == member
        ]

    def _is_decided_removal(self, proposal_id: ProposalId, case: Case, epoch: Epoch) -> bool:
        return isinstance(case.change, Leave) or self._is_consented(proposal_id, case, Epoch(epoch - 1))

    def _check_drawn(self, before: Seen | None, after: Seen) -> None:
        """Without a vote only if there was no choice: the list is used up, and all who are settled in fit into it."""
        listed, policy = after.stewards, after.charter.policy
        pool = settled_pool(after.since, listed.election_epoch) - after.dormant
        if before is not None and self._left(before.stewards, after):
            has_choice = len(pool) > policy.stewards_max
            if has_choice or not (before.stewards.is_exhausted(after.epoch) or self._is_short(before.stewards, after)):
                raise Broken("P2", f"epoch {after.epoch} has new stewards without an election")
        if listed.members != _list_of(pool, policy, listed.election_epoch, 0, after) or not pool:
            raise Broken("P2", f"epoch {after.epoch} has stewards that are not drawn by the rule")

    def _check_kept(self, before: Seen, after: Seen) -> None:
        old, new, policy = before.stewards, after.stewards, after.charter.policy
        if (old.members, old.since, old.election_epoch) != (new.members, new.since, new.election_epoch):
            raise Broken("P2", f"epoch {after.epoch} has other stewards than the epoch before, without an election")
        pool = settled_pool(after.since, after.epoch) - after.dormant
        is_over = old.is_exhausted(after.epoch) or self._is_short(old, after)
        if not self._left(old, after) or (is_over and pool and len(pool) <= policy.stewards_max):
            raise Broken("P2", f"epoch {after.epoch} keeps stewards whose time is over")

    def _left(self, listed: StewardList, after: Seen) -> list[Address]:
        """Who of a list can still lead."""
        gone = after.dormant | self._anew(min(listed.since, listed.election_epoch))
        return [member for member in listed.active(after.since) if member not in gone]

    def _is_short(self, listed: StewardList, after: Seen) -> bool:
        """Are too few left of it for them to decide, where stewards do?"""
        settled = len(settled_pool(after.since, after.epoch) - after.dormant)
        left = len(self._left(listed, after))
        return bounds.needs_stewards(after.charter.policy) and left < bounds.stewards_deciding_min(settled)

    def _anew(self, since: Epoch) -> frozenset[Address]:
        """Who was given a new seat after an epoch."""
        return frozenset().union(*(who for epoch, who in self._reseated.items() if epoch > since))


def _shown_in(change: Change) -> list[Epoch]:
    """Of an emergency: the epochs of faulty candidates, which nobody can judge who came later."""
    acts = [proof.payload for proof in change.proofs] if isinstance(change, Emergency) else []
    return [Epoch(act.epoch) for act in acts if isinstance(act, FaultyOffer)]


def _list_of(
    pool: frozenset[Address], policy: Policy, epoch: Epoch, retry_round: int, after: Seen
) -> tuple[Address, ...]:
    size = len(pool) if len(pool) < policy.stewards_min else min(policy.stewards_max, len(pool))
    return generate(pool, size, epoch, retry_round, after.group_id)
