"""What is being decided, who voted how, and what follows? Proposals in flight, their votes and their decisions.

A proposal is decided by the members of the epoch in which it was opened who are still in, from the set of their
votes and never from their order (LIP-73 §3). YES by votes is final; YES by silence is provisional until the commit
that carries it is settled. Leaving needs no vote (LIP-104 §Member leave).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from demls_consensus import Certificate, Choice, Malformed, Recorded, SignedVote, Silence, Tally, Verdict

from demls.protocol import policy as bounds
from demls.protocol.admission import Meaning
from demls.protocol.ballots import (
    Ballot,
    Ballots,
    ballot_of_all,
    ballots_of,
    decision_sentence,
    judge,
    recounted,
    votes_that_show,
)
from demls.protocol.early_votes import EarlyVotes
from demls.protocol.electorates import VOTE_LABEL, Electorate, Electorates, VoteScheme
from demls.protocol.engine import Engine
from demls.protocol.events import (
    Misbehaved,
    ProposalDecided,
    ProposalOpened,
    ProposalWithdrawn,
    Reason,
    VoteRecorded,
    WentToAll,
)
from demls.protocol.foreseen import Foreseen
from demls.protocol.items import Item, ProposalRecord, Room, room_of
from demls.protocol.records import Ledger
from demls.protocol.roster import Roster
from demls.protocol.step import Step
from demls.protocol.views import ProposalStatus
from demls.protocol.vote_lists import listed
from demls.wire.ids import Address, Epoch, GroupId, Instant, LeafKey, ProposalId
from demls.wire.messages import (
    Change,
    ChangeRequest,
    Emergency,
    Entry,
    Invite,
    Leave,
    Proposal,
    Refresh,
    Resync,
    StewardElection,
    Vote,
    VoteList,
    decode_message,
    encode_message,
)
from demls.wire.statements import DoubleVote, FaultyOffer, Proof

PROPOSAL_LABEL = "demls proposal"
_GOING = (ProposalStatus.OPEN, ProposalStatus.APPROVED)
_EXPIRED = "The key package has expired; invite the person again."
_TOO_LATE = "The request for a new seat has expired; its owner asks again."
_TOO_FEW = "Too few are left who could have seen what it is about."


class Governance:
    """The open and recently ended proposals of one group."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        engine: Engine,
        group_id: GroupId,
        meaning_of: Callable[[Change, Address], Meaning | None],
        fault_of: Callable[[Proposal], tuple[Reason, str] | None],
        obstacle: Callable[[Item], str],
        hindrance: Callable[[Item, Instant], str] = lambda item, now: "",  # noqa: ARG005 - nothing is in the way
    ) -> None:
        """``meaning_of(change, owner)``: what it would do, None if it makes no sense by itself.

        ``fault_of(proposal)``: what is wrong with a proposal that its owner has signed, None if nothing is.
        ``obstacle(item)``: why the present state cannot carry it, by the chain alone; empty if it can.
        ``hindrance(item, now)``: why what needs no vote has to wait all the same; empty if it need not.
        """
        self._ledger = ledger
        self._engine = engine
        self._group_id = group_id
        self._meaning_of = meaning_of
        self._fault_of = fault_of
        self._obstacle = obstacle
        self._hindrance = hindrance
        self._scheme = VoteScheme(engine)
        self.foreseen = Foreseen()
        self.electorates = Electorates(ledger)
        self._roster = Roster.empty()
        self._epoch = Epoch(0)
        self.items: dict[ProposalId, Item] = {}
        self._going: dict[ProposalId, Item] = {}
        self.elections: dict[ProposalId, Item] = {}
        """The steward elections among them."""
        self.emergencies: dict[ProposalId, Item] = {}
        """The emergencies among them."""
        self.resyncs: dict[ProposalId, Item] = {}
        """The requests for a new seat among them."""
        self._lacking: dict[ProposalId, dict[Address, Instant]] = {}
        """Of old work: who has said since when that it does not hold it."""
        self._lapsed: list[Item] = []
        self.changes = 0
        """How often anything has changed here, to notice that it has."""
        self.turns = 0
        """How often more has changed than that a vote was counted."""
        self._fresh: set[ProposalId] = set()
        self._moved: set[ProposalId] = set()
        self._of_all: dict[ProposalId, ProposalId] = {}
        """Whose the ballots of all members are that follow on one of the stewards."""
        self._early = EarlyVotes(lambda key, vote: self._scheme.verify(key, vote.content, vote.signature))
        self.locked: frozenset[ProposalId] = frozenset()
        """Entries under a lock of the own: a late NO no longer changes them here."""

    # --- Life of the state --------------------------------------------------------------------------------------

    def load(self, roster: Roster, epoch: Epoch) -> None:
        """Read proposals and votes back from the ledger, in the state they were saved in."""
        self._roster = roster
        self._epoch = epoch
        self.electorates.load()
        for _, record in self._ledger.under(b"proposal/", ProposalRecord):
            proposal = decode_message(record.proposal, Proposal)
            item = self._make(proposal, Instant(record.first_seen))
            if item is None:
                continue
            item.status = ProposalStatus(record.status)
            item.by_silence = record.by_silence
            item.is_void = record.is_void
            item.reason = record.reason
            item.epoch = None if record.epoch is None else Epoch(record.epoch)
            item.ended_at = None if record.ended_at is None else Instant(record.ended_at)
            item.place = record.place
            item.approved_since = None if record.approved_since is None else Instant(record.approved_since)
            self.items[item.proposal_id] = item
            self._track(item)
        for _, raw in self._ledger.bytes_under(b"vote/"):
            vote = SignedVote.decode(raw)
            found = self.find(vote.proposal_id)
            if found is not None and found[1] is not None:
                found[1].votes[Address(vote.voter), vote.choice] = vote
                found[1].tally.record(vote.voter, vote.choice)

    def enter(self, roster: Roster, electorate: Electorate) -> None:
        """A new state: its members may open proposals and decide what is opened in it."""
        self._roster = roster
        self._epoch = electorate.epoch
        self.electorates.add(electorate)
        needed = {item.proposal.epoch for item in self.items.values() if not isinstance(item.change, Resync)}
        room = bounds.ELECTORATE_SEATS_KEPT
        for age, old in enumerate(reversed(self.electorates.epochs())):
            known = self.electorates.get(old)
            room -= len(known.seats) if known is not None else 0
            is_spare = room < 0 or age >= bounds.ELECTORATES_KEPT
            if old < self._oldest_recent() and old not in needed and is_spare:
                self.electorates.forget(old)

    def _oldest_recent(self) -> int:
        """One epoch more than may be opened in, for what was opened just before."""
        return self._epoch - bounds.PAST_EPOCHS - 1

    def recent_epochs(self) -> set[Epoch]:
        """Those in which a member that lags behind may still open something: joiners need their electorates too."""
        return {epoch for epoch in self.electorates.epochs() if epoch >= self._oldest_recent()}

    # --- Proposals ----------------------------------------------------------------------------------------------

    def new_proposal(self, change: Change, owner: Address, private: bytes, now: Instant) -> Proposal:
        """A signed proposal of the own member."""
        electorate = self.electorates.get(self._epoch)
        assert electorate is not None
        duration = electorate.rule(change).duration
        unsigned = Proposal(self._group_id, self._epoch, owner, ChangeRequest(change), now, duration, bytes(64))
        signature = self._engine.sign(private, PROPOSAL_LABEL, unsigned.id)
        return replace(unsigned, signature=signature)

    def receive_proposal(
        self, proposal: Proposal, step: Step, *, solicited: bool = False, signed_by: LeafKey | None = None
    ) -> Item | None:
        """A proposal from the network, the own node, or (``solicited``) from a candidate that carries it.

        ``signed_by``: the key that is known to have signed it. Returns the item if it is known now; hostile input is
        refused and changes nothing.
        """
        proposal_id = proposal.id
        if proposal_id in self.items:
            return self.items[proposal_id]
        refusal = self._refusal(proposal, proposal_id, solicited, signed_by)
        if refusal is not None:
            step.refuse(*refusal)
            return None
        item = self._make(proposal, step.now)
        if item is None:
            step.refuse(Reason.INVALID, "a proposal whose change makes no sense")
            return None
        impossible = self._impossible(item)
        if impossible:
            step.refuse(Reason.STALE, f"a proposal that came to nothing: {impossible}")
            return None
        self.items[proposal_id] = item
        self._fresh.add(proposal_id)
        if not isinstance(item.change, Refresh):  # of that people are told when it is done
            step.tell(ProposalOpened(proposal_id, Address(proposal.owner)))
        for ballot in item.ballots:
            for vote in self._early.take(ballot):
                self._record(item, ballot, vote, step)
        self.refresh(item, step)
        self._save(item)
        return item

    def take_fresh(self) -> set[ProposalId]:
        """Proposals that are new since the last call."""
        fresh, self._fresh = self._fresh, set()
        return fresh

    def take_moved(self) -> set[ProposalId]:
        """Proposals that have gone from the stewards to all members since the last call."""
        moved, self._moved = self._moved, set()
        return moved

    def find(self, ballot_id: bytes) -> tuple[Item, Ballot | None] | None:
        """The proposal that votes with this id are on, and the ballot; no ballot if nobody is left in it."""
        named = ProposalId(ballot_id)
        item = self.items.get(self._of_all.get(named, named))
        if item is None:
            return None
        return item, next((ballot for ballot in item.ballots if ballot.ballot_id == named), None)

    def has_room(self, owner: bytes, room: Room = None) -> bool:
        """May this member open one more proposal, of those that share this room?"""
        going = [item for item in self.items.values() if item.ended_at is None and room_of(item.change) is room]
        own = sum(1 for item in going if item.proposal.owner == owner)
        return own < bounds.OPEN_PROPOSALS_PER_MEMBER_MAX and len(going) < bounds.OPEN_PROPOSALS_MAX

    def _is_too_much(self, proposal: Proposal, solicited: bool) -> str:
        """Which bound it exceeds; empty if none. A request for a new seat is bounded by ``Resyncs``."""
        room = room_of(proposal.change.payload)
        if room is Resync:
            return ""
        whose = proposal.owner, proposal.epoch
        same = (item for item in self.items.values() if (item.proposal.owner, item.proposal.epoch) == whose)
        if sum(room_of(item.change) is room for item in same) >= bounds.PROPOSALS_PER_MEMBER_AND_EPOCH_MAX:
            return "too many proposals by one member in one epoch"
        return "" if solicited or self.has_room(proposal.owner, room) else "too many open proposals"

    def wants_stewards_votes(self, member: Address) -> bool:
        """Is there such a thing in whose first ballot this member votes, or which has gone to all?"""
        items = (item for item in self._going.values() if len(item.ballots) > 1)
        return any(item.place or member in item.ballots[0].tally.voters for item in items)

    def _refusal(
        self, proposal: Proposal, proposal_id: ProposalId, solicited: bool, signed_by: LeafKey | None
    ) -> tuple[Reason, str] | None:
        if proposal.group_id != self._group_id:
            return Reason.INVALID, "a proposal of another group"
        electorate = self._electorate_of(proposal)
        seat = electorate.seats.get(Address(proposal.owner)) if electorate is not None else None
        if seat is None or electorate is None:
            return Reason.NOT_ENTITLED, "a proposal by no member of its epoch"
        if Address(proposal.owner) not in self._roster.addresses:
            return Reason.NOT_ENTITLED, "a proposal by a former member"
        if proposal.duration != electorate.rule(proposal.change.payload).duration:
            return Reason.INVALID, "a proposal with another duration than the policy's"
        excess = self._is_too_much(proposal, solicited)
        if excess:
            return Reason.LIMIT, excess
        is_signed = signed_by == seat.leaf_key
        if not is_signed and not self._engine.verify(seat.leaf_key, PROPOSAL_LABEL, proposal_id, proposal.signature):
            return Reason.FORGED, "a proposal that its owner did not sign"
        return self._fault_of(proposal)

    def _make(self, proposal: Proposal, first_seen: Instant) -> Item | None:
        meaning = self._meaning_of(proposal.change.payload, Address(proposal.owner))
        if meaning is None:
            return None
        ballots = self._ballots(proposal, first_seen)
        return None if ballots is None else Item(proposal, proposal.id, meaning, first_seen, ballots)

    def _electorate_of(self, proposal: Proposal) -> Electorate | None:
        """Who decides it, None if that is not known here.

        Leaving asks only who it is, and whoever has been in since has the same key now. So members that joined after
        the epoch in which a straggler wished to leave need not know that epoch to agree with those who do.
        """
        known = self.electorates.get(proposal.epoch)
        present = self.electorates.get(self._epoch)
        if present is not None and isinstance(proposal.change.payload, Resync):
            return present  # whose seat it is now; the epoch only says how far its owner is behind
        if known is not None or present is None or not isinstance(proposal.change.payload, Leave):
            return known
        seats = {address: seat for address, seat in present.seats.items() if seat.since <= proposal.epoch}
        return Electorate(Epoch(proposal.epoch), seats, (), present.policy)

    def _ballots(self, proposal: Proposal, first_seen: Instant) -> Ballots | None:
        """The ballots of those who decide it and are still in and counted; None if nobody is."""
        electorate = self._electorate_of(proposal)
        if electorate is None:
            return None
        change = proposal.change.payload
        if isinstance(change, Resync):
            tally = Tally(frozenset({bytes(proposal.owner)}), Silence.COUNTS_FOR_NOTHING)
            return (Ballot(proposal.id, tally, Instant(first_seen + proposal.duration)),)
        return ballots_of(proposal, electorate, self._roster, first_seen, _witnessed_in(change, proposal.epoch))

    # --- Votes --------------------------------------------------------------------------------------------------

    def new_vote(self, item: Item, voter: Address, private: bytes, yes: bool, now: Instant) -> SignedVote:
        """A signed vote of the own member."""
        choice = Choice.YES if yes else Choice.NO
        return SignedVote.cast(
            item.ballot.ballot_id, voter, choice, now, lambda content: self._engine.sign(private, VOTE_LABEL, content)
        )

    def vote_of(self, item: Item, voter: Address) -> bool | None:
        """How a member voted in the ballot that counts now, None if it did not; whoever signed both counts as YES."""
        return item.ballot.vote_of(voter)

    def receive_vote(
        self, message: Vote, step: Step, signed_by: LeafKey | None = None
    ) -> tuple[Item, SignedVote] | None:
        """A vote from the network; returns it and what it is about if something changed. O(1).

        ``signed_by``: the key that is known to have signed it.
        """
        try:
            vote = self.foreseen.vote_of(message)
        except Malformed:
            step.refuse(Reason.UNREADABLE, "a vote that cannot be read")
            return None
        return self.take(
            vote,
            step,
            lambda key: key == signed_by or self.foreseen.has_signed(message, key),
            message.signed_vote,
        )

    def take(
        self,
        vote: SignedVote,
        step: Step,
        has_signed: Callable[[bytes], bool] = lambda key: False,  # noqa: ARG005 - it is not known
        encoded: bytes | None = None,
    ) -> tuple[Item, SignedVote] | None:
        """A vote, as ``receive_vote``; ``has_signed``: is it known that this key has signed it? O(1)."""
        found = self.find(vote.proposal_id)
        if found is None:
            self.changes += self._early.keep(vote, self._roster, step, has_signed)
            return None
        item, ballot = found
        if ballot is not None and (Address(vote.voter), vote.choice) in ballot.votes:
            step.is_known = True
            return None
        key = self.electorates.leaf_key_of(vote.voter, item.proposal.epoch)
        if key is None or ballot is None or vote.voter not in ballot.tally.voters:
            step.is_known = True
            step.refuse(Reason.NOT_ENTITLED, "a vote by nobody who may vote on it")
            return None
        if item.is_closed:
            step.is_known = True
            return None
        if not (has_signed(key) or self._scheme.verify(key, vote.content, vote.signature)):
            step.refuse(Reason.FORGED, "a vote that its voter did not sign")
            return None
        self._record(item, ballot, vote, step, encoded)
        self.refresh(item, step)
        return item, vote

    @staticmethod
    def has_counted(item: Item, vote: SignedVote) -> bool:
        """Is it just this one that counts?"""
        place = Address(vote.voter), vote.choice
        return any(ballot.votes.get(place) == vote for ballot in item.ballots)

    def is_genuine(self, item: Item, vote: SignedVote) -> bool:
        """Has its voter signed it? It may have signed the same choice twice, at two times."""
        if self.has_counted(item, vote):
            return True
        key = self.electorates.leaf_key_of(vote.voter, item.proposal.epoch)
        return key is not None and self._scheme.verify(key, vote.content, vote.signature)

    def is_approved_early(self, proposal: Proposal) -> bool:
        """Have so many said YES to a proposal not known here that it is approved, and that one of them is honest?"""
        ballots = self._ballots(proposal, Instant(0))
        if ballots is None:
            return False
        self._early.count(ballots[-1])
        tally = ballots[-1].tally
        return tally.verdict(deadline_passed=False).is_yes and tally.yes > self._roster.f

    def _record(self, item: Item, ballot: Ballot, vote: SignedVote, step: Step, encoded: bytes | None = None) -> None:
        recorded = ballot.tally.record(vote.voter, vote.choice)
        if recorded in (Recorded.REPEATED, Recorded.NOT_A_VOTER):
            return
        ballot.votes[Address(vote.voter), vote.choice] = vote
        self.changes += 1
        self._ledger.put_bytes(_vote_key(vote), encoded or vote.encode())
        step.tell(VoteRecorded(item.proposal_id, Address(vote.voter), vote.choice is Choice.YES))
        if recorded is Recorded.EQUIVOCATION:
            voter = Address(vote.voter)
            both = [ballot.votes[voter, choice].encode() for choice in Choice]
            proof = Proof(DoubleVote(item.proposal.epoch, both[0], both[1]))
            step.tell(Misbehaved(voter, "signed both a yes and a no on one proposal", proof))

    # --- Decisions ----------------------------------------------------------------------------------------------

    def refresh(self, item: Item, step: Step) -> None:
        """Bring the item's status in line with its votes and the time."""
        if item.is_closed or item.proposal_id in self.locked:
            return
        before = item.place
        if item.needs_votes:
            item.place, verdict = judge(item.ballots, step.now)
            approved, refused, by_silence = verdict.is_yes, verdict.is_no, verdict is Verdict.YES_BY_SILENCE
            reason = ""
            if approved and item.effect[0] == "remove" and isinstance(item.change, Emergency):
                approved = item.tally.yes > self._roster.f  # else newcomers would have to believe what bad members say
                refused = not approved and step.now >= item.deadline
                reason = "" if approved else _TOO_FEW
        else:
            reason = self._hindrance(item, step.now)
            approved, refused, by_silence = not reason, False, False
            reason = reason or ("Leaving needs no vote." if isinstance(item.change, Leave) else "It needs no vote.")
        status = ProposalStatus.APPROVED if approved else ProposalStatus.REJECTED if refused else ProposalStatus.OPEN
        if (status, by_silence) == (item.status, item.by_silence):
            if item.place != before:
                self._move(item, step)
            return
        if item.needs_votes:
            reason = reason or decision_sentence(item.ballots, item.place, verdict)
        item.status, item.by_silence, item.reason = status, by_silence, reason
        if approved and item.effect[0] == "note":
            item.status, item.ended_at = ProposalStatus.NOTED, step.now
        elif approved:
            item.approved_since = item.approved_since or step.now
            item.ended_at = None
        else:
            item.approved_since = None
            item.ended_at = step.now if refused else None
        if (approved or refused) and not isinstance(item.change, Refresh):
            step.tell(ProposalDecided(item.proposal_id, approved, by_silence, reason))
        self._save(item)

    def _move(self, item: Item, step: Step) -> None:
        """Another ballot counts from now on."""
        if item.place > 0 and item.status is ProposalStatus.OPEN:
            self._moved.add(item.proposal_id)
            step.tell(WentToAll(item.proposal_id, item.deadline))
        self._save(item)

    def tick(self, step: Step) -> None:
        """Judge silence where the time is up, and withdraw what has become impossible."""
        for item in list(self.in_flight()):
            expires = item.meaning.expires
            if expires is not None and step.now >= expires and item.proposal_id not in self.locked:
                is_resync = isinstance(item.change, Resync)
                self._withdraw(item, _TOO_LATE if is_resync else _EXPIRED, step)
            elif item.status is ProposalStatus.OPEN and step.now >= item.deadline:
                self.refresh(item, step)

    def deadline(self) -> Instant | None:
        """When ``tick`` has something to judge."""
        free = [item for item in self._going.values() if item.proposal_id not in self.locked]
        times = [item.deadline for item in free if item.status is ProposalStatus.OPEN]
        times += [item.meaning.expires for item in free if item.meaning.expires]
        return min(times, default=None)

    def needed(self, item: Item) -> int:
        """How many YES votes decide at once."""
        return item.tally.needed if item.needs_votes else 0

    def has_work(self, is_due: Callable[[Item], bool] = lambda item: True) -> bool:  # noqa: ARG005
        """Is anything approved that is due?"""
        return any(item.status is ProposalStatus.APPROVED and is_due(item) for item in self._going.values())

    def has_ordinary_work(self) -> bool:
        """Is anything approved that no emergency is about?"""
        return any(
            item.status is ProposalStatus.APPROVED and not isinstance(item.change, Emergency | Resync | Refresh)
            for item in self.items.values()
        )

    def is_deciding(self) -> bool:
        """Is anything open?"""
        return any(item.status is ProposalStatus.OPEN for item in self._going.values())

    def deciding_with(self, member: Address) -> frozenset[Address]:
        """Who decides what is open now and what this member decides, too: all members, or stewards, or nobody."""
        going = [item for item in self._going.values() if item.status is ProposalStatus.OPEN]
        if any(item.place or len(item.ballots) == 1 for item in going):
            return self._roster.addresses
        asked = [item.ballots[0].tally.voters for item in going if member in item.ballots[0].tally.voters]
        return frozenset(self._roster.addresses).intersection(*asked) if asked else frozenset()

    def approved(self) -> list[Item]:
        """Approved work in canonical order; of several with one effect only the lowest."""
        seen: set[tuple[str, bytes]] = set()
        work = []
        for item in sorted((i for i in self._going.values() if i.status is ProposalStatus.APPROVED), key=Item.order):
            if item.effect not in seen:
                seen.add(item.effect)
                work.append(item)
        return work

    def certificate(self, item: Item) -> Certificate | None:
        """The decision certificate, if as many as decide have voted YES in one of its ballots."""
        return next(filter(None, (ballot.certificate() for ballot in item.ballots)), None)

    def entry(self, item: Item) -> Entry:
        """How a commit names this work. Leaving and consent by silence have no certificate."""
        certificate = self.certificate(item) if item.needs_votes else None
        return Entry(item.proposal_id, certificate.hash if certificate else b"")

    def votes_for(self, items: Iterable[Item]) -> tuple[Vote, ...]:
        """The votes that make these items what they are, by voter."""
        return tuple(Vote(vote.encode()) for item in items for vote in votes_that_show(item.ballots))

    def lists_for(self, items: Iterable[Item]) -> tuple[VoteList, ...]:
        """The same votes as lists."""
        electorates = ((item, self.electorates.get(item.proposal.epoch)) for item in items)
        return tuple(one for item, of in electorates if of is not None for one in listed(item.ballots, of))

    # --- Settling -----------------------------------------------------------------------------------------------

    def settle(self, carried: Iterable[ProposalId], roster: Roster, electorate: Electorate, step: Step) -> None:
        """A commit was merged: mark what it carried, withdraw what became impossible, count again."""
        self.locked = frozenset()
        self.turns += 1
        self._lacking.clear()
        for update in [item for item in self.items.values() if isinstance(item.change, Refresh)]:
            self._drop(update)  # an Update belongs to one epoch, so a replay is refused too
        for proposal_id in carried:
            item = self.items.get(proposal_id)
            if item is not None:
                self._end(item, ProposalStatus.COMMITTED, item.reason, step, electorate.epoch)
        self.enter(roster, electorate)
        for item in list(self.items.values()):
            if item.is_closed:
                continue
            impossible = self._impossible(item)
            if impossible and item.status is ProposalStatus.REJECTED:
                item.is_void = True
                self._save(item)
                continue
            if impossible:
                self._withdraw(item, impossible, step)
                continue
            ballots = self._ballots(item.proposal, item.first_seen)
            if ballots is None:
                self._withdraw(item, "Nobody who may decide it is left.", step)
                continue
            item.ballots = recounted(item.ballots, ballots)
            self.refresh(item, step)
        self._early.retain(roster.addresses)
        self._forget()

    def _impossible(self, item: Item) -> str:
        """Why no commit of this state can carry it; only the chain enters, so all members agree."""
        kind, _ = item.effect
        seat = self._roster.seat(item.subject)
        if kind == "remove" and seat is None:
            return "The member is no longer in the group."
        if kind == "remove" and seat is not None and seat.since > item.proposal.epoch:
            return "The member has left and come back since; propose it anew."
        if kind == "remove" and not isinstance(item.change, Leave) and self._roster.counted == {item.subject}:
            return "Nobody else is there who could remove the member."
        emergency = item.change if kind == "remove" and isinstance(item.change, Emergency) else None
        if emergency is not None and not self.can_convince(emergency, item.proposal.epoch):
            return _TOO_FEW
        if kind == "add" and seat is not None:
            return "This person is a member already."
        if kind == "add" and self._was_in_since(item.subject, item.proposal.epoch):
            return "This person has been in and has gone since; invite it anew."
        owner = self._roster.seat(item.proposal.owner)
        if isinstance(item.change, Resync):
            return self._obstacle(item)
        if owner is None or owner.since > item.proposal.epoch:
            return "Who proposed it is no longer in the group."
        if isinstance(item.change, Invite) and item.change.sponsor:
            sponsor = self._roster.seat(item.change.sponsor)
            if sponsor is None or sponsor.since > item.proposal.epoch:
                return "Who made the invite link is no longer in the group."
        return self._obstacle(item)

    def can_convince(self, emergency: Emergency, epoch: int) -> bool:
        """Are there enough besides its target who can have seen what an emergency opened in ``epoch`` is about?

        So many that, if all of them say YES, one who does is honest.
        """
        latest = _witnessed_in(emergency, epoch)
        seats = (seat for seat in self._roster.seats if seat.since <= latest and not seat.dormant)
        return sum(1 for seat in seats if seat.address != emergency.target_member_id) > self._roster.f

    def departed(self, electorate: Electorate) -> frozenset[Address]:
        """Who was in that electorate and is out, or has left and come back: that was decided, and committed since."""
        seats = ((address, self._roster.seat(address)) for address in electorate.seats)
        return frozenset(a for a, seat in seats if seat is None or seat.since > electorate.epoch)

    def note_listed(
        self, member: Address, listed: frozenset[ProposalId], quiet: Callable[[], frozenset[Address]], step: Step
    ) -> None:
        """What another member says, in a digest of this state, that it holds of the open work.

        Work of an epoch long past, opened by somebody who was behind, can be known to its owner alone: newcomers do not
        know that epoch. If so many of those who are heard lack it for a while that no quorum is left, no commit will
        carry it. It is withdrawn here, and may be opened anew. ``quiet()``: counted members not heard lately.
        """
        oldest = self._oldest_recent()
        spare = self._roster.n - self._roster.q
        for item in [item for item in self._going.values() if item.proposal.epoch < oldest]:
            if not item.needs_votes:
                continue  # for that nobody needs to know the epoch
            lacking = self._lacking.setdefault(item.proposal_id, {})
            if item.proposal_id in listed:
                lacking.pop(member, None)
            elif member in self._roster.counted:
                lacking.setdefault(member, step.now)
            without = self._lacking_long(item, step.now)
            silent = quiet() if 0 < len(without) <= spare else frozenset()
            if len(without) > spare or (len(silent) <= spare and len(without | silent) > spare):
                self._withdraw(item, "It was opened in an epoch that the group had left long before.", step)
                self._lapsed.append(item)

    def _lacking_long(self, item: Item, now: Instant) -> frozenset[Address]:
        lacking = self._lacking.get(item.proposal_id, {})
        return frozenset(member for member, since in lacking.items() if now >= since + bounds.LACKING_FOR)

    def is_everywhere(self, item: Item, now: Instant) -> bool:
        """Does no counted member say for long that it does not hold it? Else nobody insists on it."""
        return not self._lacking_long(item, now)

    def take_lapsed(self) -> list[Item]:
        """Work withdrawn since the last call because the others cannot know it."""
        lapsed, self._lapsed = self._lapsed, []
        return lapsed

    def _was_in_since(self, subject: Address, epoch: int) -> bool:
        """Was it a member in a recent epoch after ``epoch``? The electorates of those are everybody's."""
        later = (self.electorates.get(recent) for recent in self.recent_epochs() if recent > epoch)
        return any(electorate is not None and subject in electorate.seats for electorate in later)

    def _withdraw(self, item: Item, reason: str, step: Step) -> None:
        self._end(item, ProposalStatus.WITHDRAWN, reason, step)
        step.tell(ProposalWithdrawn(item.proposal_id, reason))

    def _end(self, item: Item, status: ProposalStatus, reason: str, step: Step, epoch: Epoch | None = None) -> None:
        item.status, item.reason, item.epoch, item.ended_at = status, reason, epoch, step.now
        self._save(item)

    def drop(self, item: Item) -> None:
        """Forget it altogether, as if it had never come."""
        self.turns += 1
        self._going.pop(item.proposal_id, None)
        self.resyncs.pop(item.proposal_id, None)
        if self.items.pop(item.proposal_id, None) is not None:
            self._of_all.pop(ballot_of_all(item.proposal_id), None)
            self._ledger.delete(b"proposal/" + item.proposal_id)

    def _forget(self) -> None:
        """Keep the newest that ended; drop older ones by whole epochs, with the electorate that a replay would need."""
        oldest = self._epoch - bounds.PAST_EPOCHS
        going = {item.proposal.epoch for item in self.in_flight()}
        ended: dict[int, list[Item]] = {}
        for item in self.items.values():
            if item.proposal.epoch < oldest and item.proposal.epoch not in going:
                ended.setdefault(item.proposal.epoch, []).append(item)
        kept = sum(len(items) for items in ended.values())
        for epoch in sorted(ended):
            if kept <= bounds.ENDED_PROPOSALS_KEPT:
                return
            kept -= len(ended[epoch])
            self.electorates.forget(Epoch(epoch))
            for item in ended[epoch]:
                self._drop(item)

    def _drop(self, item: Item) -> None:
        self.turns += 1
        for known in (self.items, self._going, self.elections, self.emergencies, self.resyncs):
            known.pop(item.proposal_id, None)
        of_all = ballot_of_all(item.proposal_id)
        self._of_all.pop(of_all, None)
        self._ledger.delete(b"proposal/" + item.proposal_id)
        for ballot_id in (item.proposal_id, of_all):
            self._ledger.delete_all(b"vote/" + ballot_id)

    def _track(self, item: Item) -> None:
        """Keep the indexes in line with the item's status."""
        if item.ballots[-1].ballot_id != item.proposal_id:
            self._of_all[item.ballots[-1].ballot_id] = item.proposal_id
        if item.status in _GOING:
            self._going[item.proposal_id] = item
        else:
            self._going.pop(item.proposal_id, None)
        if isinstance(item.change, StewardElection):
            self.elections[item.proposal_id] = item
        elif isinstance(item.change, Emergency):
            self.emergencies[item.proposal_id] = item
        elif isinstance(item.change, Resync):
            self.resyncs[item.proposal_id] = item

    def _save(self, item: Item) -> None:
        self.changes += 1
        self.turns += 1
        self._track(item)
        item.encoded = item.encoded or encode_message(item.proposal)
        self._ledger.put(
            b"proposal/" + item.proposal_id,
            ProposalRecord(
                item.encoded,
                item.first_seen,
                item.first_seen + item.proposal.duration,
                item.status.value,
                item.by_silence,
                item.is_void,
                item.reason,
                item.epoch,
                item.approved_since,
                item.ended_at,
                item.place,
            ),
        )

    def alive(self) -> Iterator[Item]:
        """What may still come into a commit, in canonical order: refused work too, since voters may leave."""
        yield from sorted((item for item in self.items.values() if not item.is_closed), key=Item.order)

    def in_flight(self) -> Iterator[Item]:
        """Open and approved work, in canonical order."""
        yield from sorted(self._going.values(), key=Item.order)


def _witnessed_in(change: Change, opened: int) -> int:
    """Since when one has to be in to decide it; a faulty candidate, since its epoch: others cannot have seen it."""
    proofs = change.proofs if isinstance(change, Emergency) else ()
    return min([opened, *(proof.epoch for proof in proofs if isinstance(proof.payload, FaultyOffer))])


def _vote_key(vote: SignedVote) -> bytes:
    return b"vote/" + vote.proposal_id + vote.voter + bytes([vote.choice.value])
