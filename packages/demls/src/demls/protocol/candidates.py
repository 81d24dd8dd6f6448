"""What does the next commit contain, and is this candidate that? Building and judging the candidates of one state."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from demls_consensus import Certificate, SignedVote, Silence, is_refusal

from demls.protocol import policy as bounds
from demls.protocol.ballots import Ballot, ballot_of_all, refused_by_acks
from demls.protocol.checks import Check, Verdict
from demls.protocol.credential import CredentialRefused, parse_credential
from demls.protocol.engine import Candidate as BuiltCandidate
from demls.protocol.engine import Engine, InvalidInput, KeyPackage, Member, MlsGroup, ReadKeyPackage
from demls.protocol.events import Faulted, Reason
from demls.protocol.governance import Governance
from demls.protocol.items import Item
from demls.protocol.records import Ledger
from demls.protocol.resync import is_due, limit_of
from demls.protocol.round_host import Mint
from demls.protocol.step import Step
from demls.protocol.succession import Carried, follow
from demls.protocol.updates import OwnUpdates, fitting, is_for, renewed_by, updates_of
from demls.protocol.validation import (
    Content,
    Finding,
    State,
    added_by,
    amended_context,
    check_consent,
    check_content,
    check_credentials,
    check_time,
    read_content,
    removed_by,
)
from demls.wire.chain import Succession, succession_hash
from demls.wire.codec import LongEncoder
from demls.wire.ids import Address, CandidateId, Duration, GroupId, Instant, ProposalId, View
from demls.wire.messages import (
    Candidate,
    CommitContext,
    Emergency,
    Entry,
    JoinerSecrets,
    Offer,
    Proposal,
    Refresh,
    Resync,
    Settings,
    StewardElection,
    Sync,
    VoteList,
    decode_message,
    encode_message,
)
from demls.wire.statements import FaultyOffer, Proof, RoundStatement

JOINER_EXTENSION = 0xF0D2
"""GroupInfo extension (private use) with the joiners' secrets."""

_WITH_PATH = frozenset({"remove", "settings", "refresh", "resync"})
"""What MLS commits only together with a path."""

_CHOICE = {None: 0, True: 1, False: 2}
_OF_STEWARDS = 2
"""By so many bits the own vote in the stewards' ballot stands above that in the ballot of all, in an ack's choice."""

_ALL, _NO = 3, 2
_WITH_NO = frozenset({2, 6, 8, 9, 10})
"""Choices that hold a NO in either ballot."""


@dataclass(frozen=True, slots=True)
class OwnCandidate:
    """The private part of an own candidate, and what it states; kept until the state is over."""

    staged: bytes
    context: bytes
    has_path: bool = False
    """Does it renew the own leaf?"""


class Candidates:
    """The candidates of one state, own and received."""

    def __init__(
        self,
        *,
        state: State,
        mls: MlsGroup,
        engine: Engine,
        read_key_package: ReadKeyPackage,
        governance: Governance,
        ledger: Ledger,
        own: Address,
        group_id: GroupId,
        base_time: Duration,
        make_sync: Callable[[Instant, bytes], Sync],
        updates: OwnUpdates,
        successions: LongEncoder,
    ) -> None:
        """``successions``: knows how the ages of keys are encoded that stay from one epoch to the next."""
        self._state = state
        self._group_id = group_id
        self._mls = mls
        self._engine = engine
        self._read_key_package = read_key_package
        self._governance = governance
        self._ledger = ledger
        self._own_address = own
        self._patience = Duration(bounds.PATIENCE_VIEWS * base_time)
        self._make_sync = make_sync
        self._updates = updates
        self._successions = successions
        self._found: dict[CandidateId, Content | Finding] = {}
        self._followed: dict[tuple[object, ...], Succession | None] = {}
        """What follows from a content, by all that it depends on: asked for again with every judgement."""
        self._follows_own: dict[CandidateId, Succession] = {}
        """What follows from own ones that admit somebody, as their syncs name it."""
        self._hashes: dict[tuple[object, ...], bytes] = {}
        """The hashes of these."""
        self._cold: bool | None = None
        self._contexts: dict[CandidateId, CommitContext] = {}
        self._told: set[CandidateId] = set()
        self._genuine: dict[bytes, bool] = {}
        self._offered_by: dict[CandidateId, Offer] = {}
        self._shown: dict[CandidateId, dict[bytes, list[SignedVote]]] = {}
        self._left_out: dict[CandidateId, dict[ProposalId, bool]] = {}
        self._own: dict[CandidateId, OwnCandidate] = {
            CandidateId(key): own_candidate for key, own_candidate in ledger.under(b"round/private/", OwnCandidate)
        }

    # --- Own ----------------------------------------------------------------------------------------------------

    def work_for(self, member: Address, now: Instant) -> list[Item]:
        """Approved work that ``member`` could commit now, in canonical order."""
        approved = self._governance.approved()
        own = ("remove", bytes(member)), ("resync", bytes(member))
        work = [item for item in approved if item.effect not in own and _is_in_date(item, now)]
        return fitting(self._within_limit(work, now), member)[: bounds.CANDIDATE_ENTRIES_MAX]

    def _within_limit(self, work: list[Item], now: Instant) -> list[Item]:
        """Without the new seats that are not due, or too many for one commit, or of whom it removes."""
        gone = {item.subject for item in work if item.effect[0] == "remove"}
        kept: list[Item] = []
        room = limit_of(self._state.roster.n)
        for item in work:
            if isinstance(item.change, Resync):
                due = is_due(item.proposal, item.change, now, self._state.reseated)
                if not due or not room or item.subject in gone:
                    continue
                room -= 1
            kept.append(item)
        return kept

    def mint(self, view: View, step: Step) -> Mint | None:
        """A fresh candidate with all approved work of the own member, None if there is none."""
        work = self.work_for(self._own_address, step.now)
        if not work:
            return None
        built = self._build(work, view, step)
        if built is None:
            work = self._fitting(work)
            built = self._build(work, view, step) if work else None
        if built is None:
            return None
        candidate, own = built
        self._own[candidate.id] = own
        self._ledger.put(b"round/private/" + candidate.id, own)
        return Mint(candidate, self._governance.lists_for(work), tuple(item.proposal for item in work))

    def _fitting(self, work: list[Item]) -> list[Item]:
        """As much of it, in its order, as one commit takes: two newcomers may have brought one key."""
        fitting: list[Item] = []
        for item in work:
            if self._fits([*fitting, item]):
                fitting.append(item)
        return fitting

    def _fits(self, work: list[Item]) -> bool:
        """Does MLS take all of this into one commit of this state? The own removal is for others to commit."""
        if len(fitting(work, self._own_address)) < sum(is_for(item, self._own_address) for item in work):
            return False
        adds, removes, context = self._proposals_of(work)
        others = [leaf for leaf in removes if leaf != self._mls.own_leaf]
        try:
            self._mls.propose_commit(
                adds=adds,
                removes=others,
                updates=updates_of(work, self._own_address),
                context_extensions=context,
                force_path=True,
            )
        except InvalidInput:
            return False
        return True

    def _proposals_of(self, work: list[Item]) -> tuple[list[bytes], list[int], dict[int, bytes] | None]:
        """(key packages to add, leaves to remove, the GroupContext extensions if they change)."""
        adds, removes = added_by(work), removed_by(work, self._state.roster)
        settings = next((item.change for item in work if isinstance(item.change, Settings)), None)
        return adds, removes, amended_context(self._state.charter, settings) if settings is not None else None

    def _build(self, work: list[Item], view: View, step: Step) -> tuple[Candidate, OwnCandidate] | None:
        adds, removes, extensions = self._proposals_of(work)
        updates, has_path = updates_of(work, self._own_address), self._has_path(work) or self._is_cold()
        time = Instant(max(step.now, self._state.time + 1))
        context = encode_message(
            CommitContext(self._state.head, view, time, tuple(self._governance.entry(item) for item in work))
        )
        joiner_key, sync, follows = b"", b"", None
        if adds:
            follows = self.follow_own(work, view, time, has_path=has_path)
            if follows is None:
                return None
            joiner_key, sync = (
                self._engine.random(bounds.JOINER_KEY_BYTES),
                encode_message(self._make_sync(time, self._name_of(follows))),
            )
        secrets = JoinerSecrets(joiner_key, hashlib.sha256(sync).digest()) if adds else None
        try:
            built: BuiltCandidate = self._mls.propose_commit(
                adds=adds,
                removes=removes,
                updates=updates,
                context_extensions=extensions,
                authenticated_data=context,
                group_info_extensions={JOINER_EXTENSION: encode_message(secrets)} if secrets else None,
                force_path=has_path,
            )
        except InvalidInput as problem:
            step.refuse(Reason.INVALID, f"approved work that makes no commit: {problem}")
            return None
        candidate = Candidate(built.commit, built.welcome or b"", joiner_key, sync, updates)
        if follows is not None:
            self._follows_own[candidate.id] = follows
        return candidate, OwnCandidate(built.staged, context, has_path)

    # --- What follows -------------------------------------------------------------------------------------------

    def follow(self, candidate: Candidate, proposals: Iterable[Proposal]) -> Succession | None:
        """What follows from a certified candidate; ``proposals``: those that came with it. None if one is missing."""
        sent = {proposal.id: proposal for proposal in proposals}
        carried: list[Proposal] = []
        for entry in self.entries(candidate.id):
            proposal_id = ProposalId(entry.proposal_id)
            item = self._governance.items.get(proposal_id)
            proposal = item.proposal if item is not None else sent.get(proposal_id)
            if proposal is None:
                return None
            carried.append(proposal)
        if candidate.id not in self._own:
            content = self.content(candidate)
            assert isinstance(content, Content)
            return self._follow_content(content, tuple(carried))
        if candidate.id in self._follows_own:
            return self._follows_own[candidate.id]
        minted = self.minted(candidate.id)
        assert minted is not None
        has_path = self._own[candidate.id].has_path
        return self.follow_own(self.items(candidate.id), *minted, has_path=has_path)

    def follow_own(
        self, work: Sequence[Item], view: View, time: Instant, *, has_path: bool = False
    ) -> Succession | None:
        """What follows from an own commit of this work; ``has_path``: although that does not need one."""
        removed = {item.subject for item in work if item.effect[0] == "remove"}
        added = {item.subject for item in work if item.effect[0] == "add"}
        renewed = renewed_by(work) | (
            frozenset({self._own_address}) if has_path or self._has_path(work) else frozenset()
        )
        proposals = tuple(item.proposal for item in work)
        return self._follow(proposals, removed, added, renewed, self._own_address, view, time)

    def _has_path(self, work: Iterable[Item]) -> bool:
        """Does the own commit of this renew the own leaf? Only additions need no path (RFC 9420 §12.4)."""
        kinds = {item.effect[0] for item in work}
        return "add" not in kinds or not kinds.isdisjoint(_WITH_PATH)

    def _is_cold(self) -> bool:
        """Is the own path of a large tree so cold that it is worth warming although the commit needs none?

        Whoever commits a removal next pays the less, and so do all who follow. Found out by a trial, once.
        """
        if self._cold is None:
            is_large = len(self._state.roster.seats) >= bounds.WARMED_ABOVE_MIN
            self._cold = is_large and len(self._mls.propose_commit(force_path=True).commit) > bounds.COLD_PATH_BYTES
        return self._cold

    def _follow_content(self, content: Content, proposals: tuple[Proposal, ...]) -> Succession | None:
        about = _about(content, proposals)
        if self._followed.get(about) is None:
            self._followed[about] = self._follow_staged(content, proposals)
        return self._followed[about]

    def _hash_of_following(self, content: Content, proposals: tuple[Proposal, ...]) -> bytes | None:
        about = _about(content, proposals)
        if about not in self._hashes:
            follows = self._follow_content(content, proposals)
            if follows is None:
                return None
            self._hashes[about] = self._name_of(follows)
        return self._hashes[about]

    def _name_of(self, follows: Succession) -> bytes:
        return succession_hash(self._successions.encode(follows))

    def _follow_staged(self, content: Content, proposals: tuple[Proposal, ...]) -> Succession | None:
        roster = self._state.roster
        owners = (roster.owner_of(leaf) for leaf in content.staged.removes)
        added = {address for address, _ in _admitted(content.staged.adds)}
        updated = {roster.owner_of(leaf) for leaf in content.staged.updates}
        updated |= {content.committer} if content.staged.has_path else set()
        removed, renewed = ({o for o in found if o is not None} for found in (owners, updated))
        return self._follow(proposals, removed, added, renewed, content.committer, content.view, content.time)

    def _follow(
        self,
        proposals: tuple[Proposal, ...],
        removed: set[Address],
        added: set[Address],
        renewed: Iterable[Address],
        committer: Address,
        view: View,
        time: Instant,
    ) -> Succession | None:
        changes = tuple(proposal.change.payload for proposal in proposals)
        upheld = frozenset(Address(p.owner) for p in proposals if isinstance(p.change.payload, Emergency))
        reseated = frozenset(Address(p.owner) for p in proposals if isinstance(p.change.payload, Resync))
        pool, dormant = frozenset[Address](), frozenset[Address]()
        elected = next((change for change in changes if isinstance(change, StewardElection)), None)
        if elected is not None:
            electorate = self._governance.electorates.get(elected.election_epoch)
            if electorate is None:
                return None
            pool, dormant = electorate.settled(), electorate.dormant()
        state = self._state
        return follow(
            Carried(
                changes,
                frozenset(removed) - reseated,
                frozenset(added) - reseated,
                committer,
                view,
                pool,
                dormant,
                upheld,
                reseated,
                time,
                frozenset(renewed),
            ),
            epoch=state.epoch,
            roster=state.roster,
            stewards=state.stewards,
            lost=state.lost,
            deeds=state.deeds,
            reseated=state.reseated,
            keys=state.keys,
            leaders=state.leaders,
            policy=state.charter.policy,
            group_id=self._group_id,
        )

    # --- Judging ------------------------------------------------------------------------------------------------

    def content(self, candidate: Candidate) -> Content | Finding:
        """What a foreign candidate does, or what is wrong with it by itself; judged once."""
        candidate_id = candidate.id
        if candidate_id not in self._found:
            own_update = self._updates.of(self._state.epoch)
            self._found[candidate_id] = read_content(
                candidate, self._state, self._mls, self._group_id, self._governance.electorates, own_update
            )
        return self._found[candidate_id]

    def named(self, candidate: Candidate) -> frozenset[ProposalId]:
        """The proposals that a candidate carries; none if it is no commit of this state."""
        if candidate.id not in self._own:
            self.content(candidate)
        return frozenset(ProposalId(entry.proposal_id) for entry in self.entries(candidate.id))

    def note_votes(self, offer: Offer, votes: Iterable[SignedVote]) -> bool:
        """Remember the votes that came with an offer, to rebuild the decision certificates that it names.

        ``votes``: what its lists hold (``votes_in``). And who has signed it: the leader that offers a candidate first
        answers for its structure. Its signature does not cover the votes, so whoever repeats the offer may have left
        out or exchanged some: of each entry those count that make its certificate. Says whether this offer shows more
        than those before.
        """
        if not offer.certificate:
            self._offered_by.setdefault(offer.candidate.id, offer)
        shown: dict[bytes, list[SignedVote]] = {}
        names = {ballot_of_all(e.proposal_id): e.proposal_id for e in self.entries(offer.candidate.id)}
        for vote in votes:
            shown.setdefault(names.get(ProposalId(vote.proposal_id), vote.proposal_id), []).append(vote)
        candidate_id, known = offer.candidate.id, self._shown.get(offer.candidate.id)
        if known is None:
            self._shown[candidate_id] = shown
            return False
        is_better = False
        for entry in self.entries(candidate_id):
            before, now = known.get(entry.proposal_id), shown.get(entry.proposal_id)
            is_open = entry.proposal_id in self._governance.items and entry.certificate_hash
            if now is None or now == before or not is_open or self._is_shown(candidate_id, entry):
                continue
            known[entry.proposal_id] = now
            if self._is_shown(candidate_id, entry):
                is_better = True
        return is_better

    def _is_shown(self, candidate_id: CandidateId, entry: Entry) -> bool:
        """Do the votes that came with the candidate make the certificate that its entry names?"""
        item = self._governance.items[ProposalId(entry.proposal_id)]
        votes = self._shown.get(candidate_id, {}).get(entry.proposal_id, [])
        return any(self._is_certified(item, ballot, votes, entry.certificate_hash) for ballot in item.ballots)

    def _is_certified(self, item: Item, ballot: Ballot, votes: list[SignedVote], certificate_hash: bytes) -> bool:
        """Do these votes make this certificate, in this ballot and no other?"""
        tally = ballot.tally
        own = [vote for vote in votes if vote.proposal_id == ballot.ballot_id and vote.voter in tally.voters]
        voted = sorted((vote for vote in own if self._is_genuine(item, vote)), key=lambda v: v.voter)
        certificate = Certificate.collect(ballot.ballot_id, voted, tally.n, share=tally.share)
        return certificate is not None and certificate.hash == certificate_hash

    def _is_genuine(self, item: Item, vote: SignedVote) -> bool:
        if self._governance.has_counted(item, vote):
            return True
        encoded = vote.encode()
        if encoded not in self._genuine:
            self._genuine[encoded] = self._governance.is_genuine(item, vote)
        return self._genuine[encoded]

    def forget(self, candidate_id: CandidateId) -> None:
        """The round does not hold it: drop what was found out about it."""
        self._found.pop(candidate_id, None)
        self._shown.pop(candidate_id, None)
        self._offered_by.pop(candidate_id, None)
        self._left_out.pop(candidate_id, None)
        self._told.discard(candidate_id)

    def judge(self, candidate: Candidate, *, fresh: bool, step: Step) -> Verdict:
        """Fresh: all checks. Certified by others: only those that the candidate itself decides."""
        finding = self._finding(candidate, fresh=fresh, now=step.now)
        if finding is None:
            return Verdict.VALID
        if finding.verdict is Verdict.INVALID and candidate.id not in self._told:
            self._told.add(candidate.id)
            step.refuse(Reason.INVALID, f"{finding.check}: {finding.detail}")
            offer = self._offered_by.get(candidate.id)
            if offer is not None:
                step.tell(Faulted(Address(offer.leader), finding.check, finding.detail, _proof_of(offer, finding)))
        return finding.verdict

    def _finding(self, candidate: Candidate, *, fresh: bool, now: Instant) -> Finding | None:
        if candidate.id in self._own:
            return None
        content = self.content(candidate)
        if isinstance(content, Finding):
            return content
        items = self._governance.items
        wrong = check_content(content, items, self._state, self._hash_of_following)
        if wrong is not None or not fresh:
            return wrong
        approved = [
            item
            for item in self._governance.approved()
            if _is_in_date(item, now)
            and not isinstance(item.change, Emergency)  # not everybody can confirm one
            and not isinstance(item.change, Resync)  # nor knows the removal for which it waits
            and self._governance.is_everywhere(item, now)
            and self._could_carry(item, content)
        ]
        return (
            check_credentials(content, now)
            or check_time(content, now)
            or check_consent(content, items, approved, self._patience, now, self._fits_with(candidate.id, content))
            or self._check_certificates(candidate.id, content)
        )

    def _could_carry(self, item: Item, content: Content) -> bool:
        """Of new keys: can this committer carry them, beside what it carries?"""
        if not isinstance(item.change, Refresh):
            return True
        carried = [self._governance.items[ProposalId(entry.proposal_id)] for entry in content.entries]
        return item in fitting([*carried, item], content.committer)

    def _fits_with(self, candidate_id: CandidateId, content: Content) -> Callable[[Item], bool]:
        """Would this work have had a place in the candidate? Building one to find out is done once for each."""
        carried = [self._governance.items[ProposalId(entry.proposal_id)] for entry in content.entries]

        def fits(item: Item) -> bool:
            known = self._left_out.setdefault(candidate_id, {})
            if item.proposal_id not in known:
                known[item.proposal_id] = self._fits([*carried, item])
            return known[item.proposal_id]

        return fits

    def _check_certificates(self, candidate_id: CandidateId, content: Content) -> Finding | None:
        """The rest of check V12: a named decision certificate is there."""
        for entry in content.entries:
            if entry.certificate_hash and not self._is_shown(candidate_id, entry):
                return Finding(Verdict.NOT_YET, Check.APPROVED, "a decision certificate that it names is not there")
        return None

    def entries(self, candidate_id: CandidateId) -> tuple[Entry, ...]:
        """The entries of a candidate that was judged or built here; empty if it was not."""
        if candidate_id in self._own:
            return self._context(candidate_id).entries
        found = self._found.get(candidate_id)
        return found.entries if isinstance(found, Content) else ()

    def _context(self, candidate_id: CandidateId) -> CommitContext:
        """Of an own candidate; read once."""
        if candidate_id not in self._contexts:
            self._contexts[candidate_id] = decode_message(self._own[candidate_id].context, CommitContext)
        return self._contexts[candidate_id]

    def minted(self, candidate_id: CandidateId) -> tuple[View, Instant] | None:
        """The view in which a judged or own candidate was minted, and its chain time."""
        if candidate_id in self._own:
            context = self._context(candidate_id)
            return View(context.view), Instant(context.time)
        found = self._found.get(candidate_id)
        return (found.view, found.time) if isinstance(found, Content) else None

    def items(self, candidate_id: CandidateId) -> list[Item]:
        """The known items of a candidate's entries."""
        known = (self._governance.items.get(ProposalId(entry.proposal_id)) for entry in self.entries(candidate_id))
        return [item for item in known if item is not None]

    def carry(self, candidate_id: CandidateId) -> tuple[tuple[VoteList, ...], tuple[Proposal, ...]]:
        """Votes and proposals of its entries."""
        items = self.items(candidate_id)
        return self._governance.lists_for(items), tuple(item.proposal for item in items)

    # --- Votes in acks ------------------------------------------------------------------------------------------

    def choices(self, candidate_id: CandidateId) -> bytes:
        """The own vote on each entry: 0 none, 1 yes, 2 no; that in a stewards' ballot before it two bits up."""
        chosen = []
        for entry in self.entries(candidate_id):
            item = self._governance.items.get(ProposalId(entry.proposal_id))
            said = [_CHOICE[ballot.vote_of(self._own_address)] for ballot in item.ballots] if item else [0]
            chosen.append(said[-1] | (said[0] << _OF_STEWARDS if len(said) > 1 else 0))
        return bytes(chosen)

    def is_good(self, candidate_id: CandidateId, acks: Iterable[RoundStatement], quorum: int) -> bool:
        """Do some ``quorum`` of these acks make a certificate that refuses no entry, by the votes they carry?

        A function of the acks alone, apart from who may vote on an entry; entries that bring their own decision
        certificate, and leaves, need no consent of silence.
        """
        entries = self.entries(candidate_id)
        if not entries:
            return False
        chosen = sorted(acks, key=lambda ack: (_noes(ack), ack.member))[:quorum]
        for place, entry in enumerate(entries):
            item = self._governance.items.get(ProposalId(entry.proposal_id))
            if item is None:
                return False
            if entry.certificate_hash or not item.needs_votes:
                continue
            tally = item.ballots[-1].tally  # silence decides only among all
            choices = {ack.member: ack.choices[place] if place < len(ack.choices) else 0 for ack in chosen}
            if len(item.ballots) > 1:
                stewards = item.ballots[0]
                noes = [m for m, c in choices.items() if m in stewards.tally.voters and c >> _OF_STEWARDS == _NO]
                if refused_by_acks(stewards, len(noes)):
                    return False
                choices = {member: choice & _ALL for member, choice in choices.items()}
            said = [choice for member, choice in choices.items() if member in tally.voters]
            counts = {"yes": said.count(1), "no": said.count(2), "none": len(said) - said.count(1) - said.count(2)}
            if is_refusal(tally.n, silence=Silence.COUNTS_AS_YES, share=tally.share, **counts):
                return False
        return True

    # --- Merging ------------------------------------------------------------------------------------------------

    def prepare(self, candidate: Candidate) -> bool:
        """Make sure that a certified candidate can be merged: its bytes are a commit on this state."""
        return candidate.id in self._own or not isinstance(self.content(candidate), Finding)

    def merge(self, candidate: Candidate) -> Mapping[int, Member | None]:
        """Move the MLS group to the next epoch. The leaves that are different then; None: blank."""
        own = self._own.get(candidate.id)
        if own is not None:
            return self._mls.merge(own.staged)
        content = self.content(candidate)
        assert isinstance(content, Content)
        return self._mls.merge(content.staged)

    def added(self, candidate: Candidate) -> list[tuple[Address, bytes]]:
        """(address, key package) of those whom it admits, by the commit itself."""
        if candidate.id in self._own:
            return _admitted(map(self._read_key_package, added_by(self.items(candidate.id))))
        content = self.content(candidate)
        assert isinstance(content, Content)
        return _admitted(content.staged.adds)

    def sync_of(self, candidate: Candidate) -> Sync | None:
        """Of one that was judged or built here; None if it admits nobody."""
        found = self._found.get(candidate.id)
        if isinstance(found, Content):
            return found.sync
        return decode_message(candidate.sync, Sync) if candidate.sync else None

    def committer(self, candidate: Candidate) -> Address:
        if candidate.id in self._own:
            return self._own_address
        content = self.content(candidate)
        assert isinstance(content, Content)
        return content.committer


def _admitted(packages: Iterable[KeyPackage]) -> list[tuple[Address, bytes]]:
    """(address, key package) of each that says whose it is."""
    admitted = []
    for package in packages:
        try:
            credential = parse_credential(package.credential)
        except CredentialRefused:
            continue
        admitted.append((Address(credential.address), package.encoded))
    return admitted


def _about(content: Content, proposals: tuple[Proposal, ...]) -> tuple[object, ...]:
    """All that it depends on what follows from a content."""
    place = content.committer, content.view, content.time
    return content.staged.authenticator, place, tuple(proposal.id for proposal in proposals)


def _noes(ack: RoundStatement) -> int:
    return sum(choice in _WITH_NO for choice in ack.choices)


def _proof_of(offer: Offer, finding: Finding) -> Proof:
    """What shows others that its leader has signed a faulty candidate."""
    return Proof(
        FaultyOffer(
            offer.epoch, offer.head, offer.view, offer.candidate.id, offer.leader, offer.signature, finding.check
        )
    )


def _is_in_date(item: Item, now: Instant) -> bool:
    return item.meaning.expires is None or now < item.meaning.expires
