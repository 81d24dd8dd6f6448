"""The state of a group between two commits: everything that is rebuilt when one is settled.

It is the ``Host`` of the commit round: it knows what a candidate means, and merges the one that was certified.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import chain, islice

from demls.protocol import policy as bounds
from demls.protocol.admission import meaning_of
from demls.protocol.announcing import Announcing
from demls.protocol.candidates import Candidates
from demls.protocol.certifying import Certifying
from demls.protocol.channel import EXPORTER_LABEL, SECRET_BYTES, WAY_BACK_LABEL, Channel, channel_of
from demls.protocol.chat import Chat
from demls.protocol.checks import Verdict
from demls.protocol.commit_round import NIL, OFFER_LABEL, ROUND_LABEL, Round
from demls.protocol.committee import Committee
from demls.protocol.continuity import History, first_head, next_head
from demls.protocol.credential import Device
from demls.protocol.elections import Elections
from demls.protocol.electorates import electorate_of
from demls.protocol.emergencies import UNPROVEN, Emergencies
from demls.protocol.engine import Engine, InvalidMessage, MlsGroup, ReadKeyPackage
from demls.protocol.events import (
    ProposalHeld,
    Reason,
    Rejected,
    SettingsChanged,
    Unproven,
)
from demls.protocol.evidence import Court
from demls.protocol.foreseen import Foreseen
from demls.protocol.former import Former
from demls.protocol.governance import PROPOSAL_LABEL, Governance
from demls.protocol.items import Item
from demls.protocol.places import Places
from demls.protocol.presence import Presence
from demls.protocol.profile import PROFILES
from demls.protocol.ratchets import Ratchets
from demls.protocol.records import Ledger
from demls.protocol.repair import REPAIR_LABEL, Repair
from demls.protocol.requests import Requests
from demls.protocol.resync import fault_of_resync
from demls.protocol.resyncs import Resyncs
from demls.protocol.roster import Roster
from demls.protocol.round_host import Mint
from demls.protocol.scores import Scores
from demls.protocol.settling import Entered, settle_own
from demls.protocol.step import Step
from demls.protocol.stewards import StewardList, count_settled
from demls.protocol.successors import Successors
from demls.protocol.sync import Accepted, build_sync
from demls.protocol.updates import KeyAges, OwnUpdates, fault_of_refresh, is_for, renewed_by
from demls.protocol.validation import State
from demls.protocol.views import GroupStatus
from demls.protocol.welcomes import WELCOMERS_MAX, Welcomes
from demls.wire.chain import Deed, KeyAge, LostTurn, Reseated, Succession
from demls.wire.charters import Charter
from demls.wire.ids import (
    Address,
    CandidateId,
    Duration,
    Epoch,
    GroupId,
    Head,
    Instant,
    LeafKey,
    ProposalId,
    Topic,
    View,
)
from demls.wire.messages import (
    Awake,
    Candidate,
    Dormant,
    Emergency,
    Invite,
    Leave,
    Proposal,
    Refresh,
    Resync,
    Settings,
    StewardElection,
    VoteList,
    decode_message,
    encode_message,
    long_encoder,
)
from demls.wire.statements import RoundStatement

CATCH_UP_MAX = 8
"""Settled commits sent at once to a member that is behind; it asks again."""

_INTRODUCER = b"introducer"
_ADDABLE_MAX = 256
_KEY_PACKAGES_KEPT = 32


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """What a group is to its member, with the own leaf's secret; of it only the charter ever changes."""

    schema: int
    machine: str
    group_id: bytes
    address: bytes
    name: str
    device: str
    leaf_key: bytes
    leaf_private: bytes
    binding: bytes
    charter: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """The durable part of the state besides MLS and the records of the single machines."""

    head: bytes
    time: int
    stewards: StewardList
    lost: tuple[LostTurn, ...]
    dormant: tuple[bytes, ...]
    deeds: tuple[Deed, ...]
    status: GroupStatus
    settled_at: int
    is_halted: bool = False
    reseated: tuple[Reseated, ...] = ()
    keys: tuple[KeyAge, ...] = ()
    before: bytes = b""


class GroupState:
    """One member's state of one group."""

    now = Instant(0)
    """The time of the call that is going on."""

    def __init__(
        self, *, ledger: Ledger, engine: Engine, device: Device, group_id: GroupId, charter: Charter, mls: MlsGroup
    ) -> None:
        self.ledger = ledger
        self.engine = engine
        self.device = device
        self.group_id = group_id
        self.charter = charter
        self._read_charter = b""
        """Its bytes, once they have been read in this process."""
        self.mls = mls
        self.mls_changed = False
        """Must something of MLS be written?"""
        self.ratchets = Ratchets(ledger)
        self.status = GroupStatus.MEMBER
        self.settled_at = Instant(0)
        self.governance = Governance(
            ledger=ledger,
            engine=engine,
            group_id=group_id,
            meaning_of=lambda change, owner: meaning_of(change, owner, self.read_key_package),
            fault_of=self._fault_of,
            obstacle=self._obstacle,
            hindrance=self._hindrance,
        )
        self.resyncs = Resyncs(self.governance, lambda: self.state.reseated, self._carried)
        self.elections = Elections(self.governance, group_id)
        self.scores = Scores(ledger)
        self.court = Court(ledger, engine, group_id, self.known_key, self._is_known_epoch)
        self.emergencies = Emergencies(ledger, self.governance, self.scores, self.court, self._is_said)
        self.presence = Presence(ledger)
        self.updates = OwnUpdates(ledger)
        self.requests = Requests(ledger, engine, group_id, self.read_key_package)
        self.history = History(ledger)
        self.successors = Successors(ledger, group_id, engine.verify)
        self.rendezvous = channel_of(charter.rendezvous)
        self.channels: dict[Epoch, Channel] = {
            Epoch(int.from_bytes(key, "big")): channel_of(secret) for key, secret in ledger.bytes_under(b"channel/")
        }
        self.welcomes = Welcomes(ledger, device.address)
        introducer = ledger.find_bytes(_INTRODUCER)
        self.introducer: Address | None = Address(introducer) if introducer else None
        """Whose link led here, as long as it was not heard in a state of this group."""
        self.former = Former(ledger)
        """Those who left: who does not know yet that it is out asks with its key."""
        self.is_halted = False
        self.chat = Chat(self)
        self.repair = Repair(self)
        self.announcing = Announcing(self)
        self.certifying = Certifying()
        self.places = Places(self)
        self._successions = long_encoder(Succession, "keys")
        self._addable: tuple[State, dict[bytes, bool]] | None = None
        """Which key packages MLS takes in the present state, of those that were tried."""
        self.heard_at = Instant(0)
        """When another member was last heard in the present state."""
        self.roster = Roster.empty()
        self.committee: Committee
        """Whose acknowledgements and locks count."""
        self.state: State
        self.ages: KeyAges
        self.candidates: Candidates
        self.round: Round

    @cached_property
    def read_key_package(self) -> ReadKeyPackage:
        """As the engine does, with a few remembered: each is looked at when it is asked for, proposed and committed."""
        return lru_cache(_KEY_PACKAGES_KEPT)(self.engine.parse_key_package)

    @property
    def own(self) -> Address:
        return self.device.address

    @property
    def foreseen(self) -> Foreseen:
        """What was found out about the messages that are waiting."""
        return self.governance.foreseen

    @property
    def epoch(self) -> Epoch:
        return self.state.epoch

    @property
    def channel(self) -> Channel:
        return self.channels[self.epoch]

    # --- Entering a state ---------------------------------------------------------------------------------------

    def enter(self, entered: Entered, now: Instant) -> None:
        """Begin the state that MLS is in now. O(n log n)."""
        self.settled_at = now
        self.updates.clear()
        self._assemble(entered)
        epoch = self.epoch
        self.channels[epoch] = self._open_channel(epoch)
        self.ledger.put_bytes(_back_key(epoch), self.state.way_back)
        secret = self.mls.export_secret(REPAIR_LABEL, entered.head, SECRET_BYTES)
        self.ledger.put_bytes(_repair_key(epoch), secret)
        for gone in self.history.expire(now):
            self.ledger.delete(_back_key(gone))
            self.ledger.delete(_repair_key(gone))
        self.chat.enter(self.roster, epoch, self.state.reseated)
        self.ledger.put(_owners_key(epoch), self.roster.owners())
        self.ledger.put(b"since", self.roster.since())
        self.presence.enter(self.roster, now)
        for old in [old for old in self.channels if old < epoch - bounds.CHANNELS_KEPT]:
            del self.channels[old]
            self.ledger.delete(_channel_key(old))
        self.ledger.delete(_owners_key(epoch - bounds.CHANNELS_KEPT - 1))
        self.save()

    def found(self, now: Instant) -> None:
        """Begin with the founding state, whose founder is the first steward (LIP-104 §Group creation)."""
        stewards = StewardList((self.own,), Epoch(0), Epoch(0))
        succession = Succession(stewards.listing(), (), (), (), (), (KeyAge(self.own, 0, now),))
        self.enter(Entered(first_head(self.group_id), Instant(0), succession, {}), now)
        self.governance.enter(self.roster, self.state.electorate)

    def enter_joined(self, accepted: Accepted, now: Instant) -> None:
        """Begin with the state that a verified welcome leads to."""
        sync, told, settled = accepted.sync, accepted.told, accepted.settled
        before = {Address(seat.address): Epoch(seat.since) for seat in told.roster}
        head = next_head(sync.head, sync.epoch, settled.candidate.id)
        self.roster = accepted.roster  # its leaves need not be read again
        self.enter(Entered(head, Instant(sync.time), told.succession, before, sync.head), now)
        self.ledger.put_bytes(_back_key(sync.epoch), sync.way_back)
        self.governance.enter(self.roster, self.state.electorate)
        for electorate in (*accepted.electorates[1:], accepted.electorates[0]):
            self.governance.electorates.add(electorate)
        step = Step(now, self.channel)
        scoring = self.charter.policy.scoring
        self.scores.settle(told.succession.deeds, self.roster.addresses, (), self.epoch, scoring, step)
        self.history.keep(settled, now)
        newcomers = sorted(seat.address for seat in self.roster.seats if seat.since == self.epoch)
        is_needed = len(self.roster.seats) - len(newcomers) < WELCOMERS_MAX
        if is_needed and self.own in newcomers[:WELCOMERS_MAX]:
            self.welcomes.keep_own(accepted.message, (address for address in newcomers if address != self.own), now)

    def expect_introducer(self, member: Address) -> None:
        """Nobody but this member can show that the group is the one that it has invited to."""
        self.introducer = member
        self.ledger.put_bytes(_INTRODUCER, member)

    def vouched(self, member: Address) -> None:
        """A member has signed something that only a member of this very state could."""
        if member == self.introducer:
            self.introducer = None
            self.ledger.delete(_INTRODUCER)

    def resume(self, now: Instant) -> None:
        """Go on after a restart, in the state that the ledger tells."""
        standing = self.ledger.get(b"standing", Standing)
        self.status = standing.status
        self.is_halted = standing.is_halted
        self.settled_at = Instant(standing.settled_at)
        since = self.ledger.get(b"since", dict[bytes, int])
        known = {Address(address): Epoch(joined) for address, joined in since.items()}
        succession = Succession(
            standing.stewards.listing(),
            standing.lost,
            standing.dormant,
            standing.deeds,
            standing.reseated,
            standing.keys,
        )
        self.mls_changed = self.ratchets.burn(self.mls)
        self._assemble(Entered(Head(standing.head), Instant(standing.time), succession, known, standing.before))
        self.governance.load(self.roster, self.epoch)
        self.round.load(now)

    def _assemble(self, entered: Entered) -> None:
        epoch, policy = Epoch(self.mls.epoch), self.charter.policy
        base_time = Duration(max(bounds.VIEW_TIME_MIN, 2 * policy.delivery_time))
        succession = entered.succession
        roster, stewards = self._roster_of(entered, epoch), StewardList.read(succession.stewards)
        active, encoder = stewards.rotated(epoch, roster), self.governance.electorates.encoder
        self.roster = roster
        self.state = State(
            epoch,
            entered.head,
            entered.time,
            roster,
            stewards,
            PROFILES[self.charter.profile].leaders(stewards, roster, epoch, entered.head, succession.lost),
            succession.lost,
            succession.deeds,
            self.charter,
            electorate_of(epoch, roster, active, policy, entered.before, encoder),
            count_settled(roster, epoch),
            self.mls.export_secret(WAY_BACK_LABEL, entered.head, SECRET_BYTES),
            succession.reseated,
            succession.keys,
            entered.before,
        )
        self.committee = self.state.electorate.committee()
        self.ages = KeyAges(succession.keys, roster.counted, entered.head)
        self.candidates = Candidates(
            state=self.state,
            mls=self.mls,
            engine=self.engine,
            read_key_package=self.read_key_package,
            governance=self.governance,
            ledger=self.ledger,
            own=self.own,
            group_id=self.group_id,
            base_time=base_time,
            make_sync=lambda time, follows: build_sync(self.state, self.governance, self.group_id, time, follows),
            updates=self.updates,
            successions=self._successions,
        )
        self.round = Round(
            self,
            ledger=self.ledger,
            group_id=self.group_id,
            epoch=epoch,
            head=entered.head,
            committee=self.committee,
            leaders=self.state.leaders,
            own=self.own,
            batch_window=Duration(policy.batch_window),
            base_time=base_time,
            members=len(roster.seats),
        )

    def _roster_of(self, entered: Entered, epoch: Epoch) -> Roster:
        dormant = map(Address, entered.succession.dormant)
        if entered.changed is not None:
            return self.roster.after(entered.changed, epoch, dormant)
        return Roster(self.mls.members(), epoch, entered.since, dormant, self.roster)

    def _fault_of(self, proposal: Proposal) -> tuple[Reason, str] | None:
        match proposal.change.payload:
            case StewardElection() as election:
                return self.elections.fault_of(proposal, election)
            case Emergency() as emergency:
                return self.emergencies.fault_of(proposal, emergency, self.state)
            case Resync() as resync:
                return fault_of_resync(proposal, resync, self.roster, self.read_key_package)
            case Refresh() as refresh:
                return fault_of_refresh(proposal, refresh, self.mls, self.roster, self.updates.of(self.epoch))
            case _:
                return None

    def _is_said(self, statement: RoundStatement) -> bool:
        """Has a counted member of this state signed it?"""
        content = statement.content(self.group_id)
        return self.verify(statement.member, ROUND_LABEL, content, statement.signature)

    def receive_proposal(
        self, proposal: Proposal, step: Step, *, solicited: bool = False, signed_by: LeafKey | None = None
    ) -> Item | None:
        """A proposal of a member: it becomes one to vote on, waits for an emergency to end, or is refused.

        ``solicited``: a candidate carries it, so the leader for one has seen it approved.
        ``signed_by``: the own key, if the own node has just signed it.
        """
        is_known = proposal.id in self.governance.items
        may_wait = not solicited or isinstance(proposal.change.payload, Emergency)
        if not is_known and may_wait and self.emergencies.must_wait(proposal, step.now):
            key = self.known_key(proposal.owner, proposal.epoch)
            if key is None or not self.engine.verify(key, PROPOSAL_LABEL, proposal.id, proposal.signature):
                step.refuse(Reason.FORGED, "a proposal that its owner did not sign")
            elif not self.emergencies.hold(proposal):
                step.refuse(Reason.LIMIT, "too many proposals while an emergency is decided")
            elif proposal.owner == self.own:
                step.tell(ProposalHeld(proposal.id))
            return None
        if not is_known and isinstance(proposal.change.payload, Resync):
            refusal = self.resyncs.refusal(proposal, step.now, solicited=solicited)
            if refusal is not None:
                step.refuse(*refusal)
                return None
        item = self.governance.receive_proposal(proposal, step, solicited=solicited, signed_by=signed_by)
        last = step.events[-1] if step.events else None
        if item is None and isinstance(last, Rejected) and last.detail == UNPROVEN:
            step.tell(Unproven(Address(proposal.owner), proposal.id))
        return item

    def _obstacle(self, item: Item) -> str:
        """Why no commit of this state can carry what governance knows nothing about; by the chain alone."""
        change, subject = item.change, self.roster.seat(item.subject)
        match change:
            case Invite() if item.ended_at is None and not self.can_add(change.key_package_bytes):
                return "The key package does not fit this group: it repeats a key, or another version of demls made it."
            case StewardElection():
                policy = self.charter.policy
                return self.elections.obstacle(item, change, self.state.stewards, self.epoch, policy)
            case Emergency() if self.epoch > item.proposal.epoch + bounds.PAST_EPOCHS:
                return "It was not committed in time; what it is about can be brought up again."
            case Emergency() if change.target_member_id and subject is None:
                return "The member is no longer in the group."
            case Resync() if subject is None or subject.leaf_key != change.leaf_key:
                return "The leaf that it would replace is not this member's any more."
            case Resync() if item.ended_at is None and not self.can_add(change.key_package_bytes):
                return "The key package does not fit this group: another version of demls made it."
            case Settings() if change.base != self.charter.digest:
                return "The settings have been changed since; propose it anew."
            case Dormant() if subject is None or subject.dormant or subject.since > item.proposal.epoch:
                return "The member is not there, or is dormant already."
            case Dormant() if 2 * (len(self.roster.seats) - self.roster.n + 1) > len(self.roster.seats):
                return "At least half of the members stay counted."
            case Awake() if subject is None or not subject.dormant or subject.since > item.proposal.epoch:
                return "The member is not there, or is counted already."
            case _:
                return ""

    def _hindrance(self, item: Item, now: Instant) -> str:
        return self.resyncs.hindrance(item, now)

    def can_add(self, key_package: bytes) -> bool:
        """Does MLS take it in the present state? To find out costs O(n) in the members, so it is done once."""
        if self._addable is None or self._addable[0] is not self.state or len(self._addable[1]) >= _ADDABLE_MAX:
            self._addable = self.state, {}
        known = self._addable[1]
        if key_package not in known:
            try:
                known[key_package] = self.mls.is_active and self.mls.can_add([self.read_key_package(key_package)])
            except InvalidMessage:
                known[key_package] = False
        return known[key_package]

    def _open_channel(self, epoch: Epoch) -> Channel:
        secret = self.mls.export_secret(EXPORTER_LABEL, self.state.head, SECRET_BYTES)
        self.ledger.put_bytes(_channel_key(epoch), secret)
        return channel_of(secret)

    def save(self) -> None:
        self.ledger.put(
            b"standing",
            Standing(
                self.state.head,
                self.state.time,
                self.state.stewards,
                self.state.lost,
                tuple(sorted(self.roster.dormant)),
                self.state.deeds,
                self.status,
                self.settled_at,
                self.is_halted,
                self.state.reseated,
                self.state.keys,
                self.state.before,
            ),
        )

    # --- The round's host ---------------------------------------------------------------------------------------

    def work(self, now: Instant) -> list[Item]:
        return self.candidates.work_for(self.own, now)

    def has_work(self) -> bool:
        """While an emergency is open, only what another one has decided is committed."""
        is_free = self.emergencies.is_urgent() or not self.emergencies.is_frozen(self.now)
        return is_free and self.governance.has_work(lambda item: self.resyncs.is_due(item, self.now))

    def _carried(self) -> frozenset[ProposalId]:
        """What the candidates of this round carry."""
        held = self.round.candidates
        return frozenset(ProposalId(e.proposal_id) for known in held for e in self.candidates.entries(known))

    def expects_more(self) -> bool:
        if self.emergencies.is_urgent():
            return False
        return self.governance.is_deciding() or self._expects_refreshes()

    def _expects_refreshes(self) -> bool:
        """Could members have their keys renewed along with this, who were heard not long ago?"""
        work = self.governance.approved()
        asked = renewed_by(work)
        if work and len(asked) == len(work):
            return True  # others may wish the same in the same moment
        waiting = [member for member in self.ages.riders(self.now) if member not in asked and member != self.own]
        heard = (self.presence.heard_at(member) for member in waiting)
        return any(at is not None and self.now - at <= bounds.REFRESH_RIDER_HEARD for at in heard)

    def is_alone_and_leaving(self) -> bool:
        """The last member wants to go, and nobody is left who could commit that."""
        return self.roster.n == 1 and any(isinstance(item.change, Leave) for item in self.governance.approved())

    def say_history(self, epoch: Epoch, channel: Channel, step: Step) -> None:
        """The settled commits from ``epoch`` on, for a member that is behind and listens on ``channel``."""
        for behind in range(epoch, min(self.epoch, epoch + CATCH_UP_MAX)):
            settled = self.history.answer(Epoch(behind), step.now)
            if settled is not None:
                step.say(settled, channel)

    def say_farewell(self, step: Step) -> None:
        """Before closing: whoever was here until the last commit may still need its certificate."""
        last, channel = self.history.leaving(self.epoch - 1), self.channels.get(Epoch(self.epoch - 1))
        if last is not None and channel is not None:
            step.say(last, channel)

    def is_all_about(self, member: Address) -> bool:
        work = [item for item in self.governance.approved() if self.resyncs.is_due(item, self.now)]
        own = ("remove", bytes(member)), ("resync", bytes(member))
        return bool(work) and all(item.effect in own or not is_for(item, member) for item in work)

    def mint(self, view: View, step: Step) -> Mint | None:
        return self.candidates.mint(view, step)

    def judge(self, candidate: Candidate, *, fresh: bool, step: Step) -> Verdict:
        return self.candidates.judge(candidate, fresh=fresh, step=step)

    def learn(self, candidate: Candidate) -> None:
        self.candidates.prepare(candidate)

    def forget(self, candidate: CandidateId) -> None:
        self.candidates.forget(candidate)

    def minted_in(self, candidate: CandidateId) -> View | None:
        minted = self.candidates.minted(candidate)
        return minted[0] if minted else None

    def choices(self, candidate: CandidateId) -> bytes:
        return self.candidates.choices(candidate)

    def is_good(self, candidate: CandidateId, acks: Iterable[RoundStatement]) -> bool:
        return self.candidates.is_good(candidate, acks, self.quorum(candidate))

    def carry(self, candidate: CandidateId) -> tuple[tuple[VoteList, ...], tuple[Proposal, ...]]:
        return self.candidates.carry(candidate)

    def lock(self, candidate: CandidateId) -> None:
        self.governance.locked = frozenset(
            ProposalId(entry.proposal_id) for entry in self.candidates.entries(candidate)
        )

    def quorum(self, candidate: CandidateId) -> int:
        """q of the committee. Of two members, one commits alone what the other has signed: its leave or its new seat.

        ``NIL``: how many end a phase without a candidate.
        """
        if self.roster.n != 2:
            return self.committee.q
        if candidate == NIL:
            signed = [item for item in self.governance.approved() if isinstance(item.change, Leave | Resync)]
            signed = [item for item in signed if self.resyncs.is_due(item, self.now)]
            return 1 if len(signed) == 1 and signed[0].subject != self.own else self.roster.q
        items = self.candidates.items(candidate)
        return 1 if [type(item.change) for item in items] in ([Leave], [Resync]) else self.roster.q

    def settle(self, candidate: Candidate, view: View, locks: tuple[RoundStatement, ...], step: Step) -> None:
        """Merge the certified candidate and begin the next state."""
        settle_own(self, candidate, view, locks, step)

    def sign(self, label: str, content: bytes) -> bytes:
        return self.engine.sign(self.device.leaf_private, label, content)

    def may_sign(self, item: Item) -> bool:
        """Is the own key the one with which the own member votes on it? A new seat votes on what is opened later."""
        key = self.governance.electorates.leaf_key_of(self.own, item.proposal.epoch)
        return key is None or key == self.device.leaf_key

    def verify(self, member: bytes, label: str, content: bytes, signature: bytes) -> bool:
        """By a member that counts in the round: others are heard, but their statements make no quorum.

        Of an offer it is enough to lead, which only counted members do.
        """
        seat = self.roster.seat(member)
        leads = label == OFFER_LABEL and seat is not None and not seat.dormant
        key = seat.leaf_key if leads and seat is not None else self.speaking_key(member)
        return key is not None and self.engine.verify(key, label, content, signature)

    def speaking_key(self, member: bytes) -> LeafKey | None:
        """The leaf key of a member whose acknowledgements and locks count in this state."""
        seat = self.roster.seat(member)
        return seat.leaf_key if seat is not None and member in self.committee.members else None

    def read_charter(self, step: Step) -> None:
        """The charter that stands in the GroupContext now; a settings decision may have changed it."""
        encoded = self.mls.context_extensions()[bounds.POLICY_EXTENSION]
        if encoded == self._read_charter:
            return
        self._read_charter = encoded
        charter = decode_message(encoded, Charter)
        if charter == self.charter:
            return
        self.charter = charter
        record = self.ledger.get(b"group", GroupRecord)
        self.ledger.put(b"group", replace(record, charter=encode_message(charter)))
        step.tell(SettingsChanged(Epoch(self.mls.epoch), charter))

    def name_of(self, address: bytes) -> str:
        """What a member, or a former one, calls itself; empty for anybody else."""
        seat = self.roster.seat(address)
        return seat.name if seat is not None else self.former.names.get(Address(address), "")

    # --- Welcomes -----------------------------------------------------------------------------------------------

    def welcomer_rank(self, committer: Address, newcomers: Collection[Address]) -> int | None:
        """The own place among those who send a welcome: the committer, then the next in order; None if not there."""
        order = chain([committer], (member for member in self.state.leaders if member != committer))
        welcomers = list(islice((member for member in order if member not in newcomers), WELCOMERS_MAX))
        return welcomers.index(self.own) if self.own in welcomers else None

    def listening(self) -> dict[Topic, Channel]:
        """Where this member listens now, by topic."""
        return self.places.listening()

    def say_statement(self, statement: RoundStatement, step: Step) -> None:
        step.say(statement, self.places.floor)

    def way_back(self, epoch: Epoch) -> Channel | None:
        """Where members that are still in ``epoch`` listen for an answer; None if that is not known here."""
        secret = self.ledger.find_bytes(_back_key(epoch))
        return channel_of(secret) if secret is not None else None

    def repair_key(self, epoch: Epoch) -> bytes | None:
        """The key under which messages of an epoch are said again; None if this member was not there then."""
        return self.ledger.find_bytes(_repair_key(epoch))

    def known_key(self, member: bytes, epoch: int) -> LeafKey | None:
        """The leaf key with which a member signed in ``epoch``; of an unknown epoch, the one it has now or had last."""
        if self.governance.electorates.get(epoch) is not None:
            return self.governance.electorates.leaf_key_of(member, epoch)
        seat = self.roster.seat(member)
        return seat.leaf_key if seat is not None else next(iter(self.former.keys_of(member)), None)

    def present_key(self, member: bytes, epoch: int) -> LeafKey | None:
        """As ``known_key``, of present members only: former ones keep their keys."""
        return self.known_key(member, epoch) if self.roster.seat(member) is not None else None

    def _is_known_epoch(self, epoch: int) -> bool:
        return self.governance.electorates.get(epoch) is not None

    def reseated_in(self, member: Address) -> Epoch:
        """The epoch in which it got its present leaf by a resync, if that is not long ago; else 0."""
        return Epoch(max((given.epoch for given in self.state.reseated if given.member_id == member), default=0))

    def heard(self, member: Address, now: Instant, in_epoch: Epoch | None = None) -> None:
        """A member said something that it has signed, with the leaf that it had ``in_epoch`` (None: now)."""
        if in_epoch is None or not self.state.reseated or in_epoch >= self.reseated_in(member):
            self.welcomes.heard(member)
        self.heard_at = now
        self.presence.note(member, self.roster, now, self.charter.policy.dormant_after)

    def former_owner(self, leaf: int, epoch: Epoch) -> Address | None:
        """Whose leaf it was in a past epoch."""
        owners = self.ledger.find(_owners_key(epoch), dict[int, bytes])
        return Address(owners[leaf]) if owners and leaf in owners else None

    def short(self) -> int:
        """How many of the missing members the round needs to hear before it can go on, as far as the own one knows."""
        if not self.places.hears_committee(self.own):
            return 0
        return max(0, self.committee.q - len(self.round.heard() & self.committee.members))

    def missing(self) -> tuple[Address, ...]:
        """Those whose acknowledgements count who were not heard in the own view or later, if the own member could."""
        if not self.places.hears_committee(self.own):
            return ()
        missing = self.committee.members - self.round.heard()
        return tuple(seat.address for seat in self.roster.seats if seat.address in missing)


def _channel_key(epoch: int) -> bytes:
    return b"channel/" + epoch.to_bytes(8, "big")


def _back_key(epoch: int) -> bytes:
    return b"back/" + max(epoch, 0).to_bytes(8, "big")


def _repair_key(epoch: int) -> bytes:
    return b"repair/" + max(epoch, 0).to_bytes(8, "big")


def _owners_key(epoch: int) -> bytes:
    return b"owners/" + max(epoch, 0).to_bytes(8, "big")
