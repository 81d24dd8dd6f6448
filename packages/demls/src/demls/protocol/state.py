"""The state of a group between two commits: everything that is rebuilt when one is settled, and the settling itself.

It is the ``Host`` of the commit round: it knows what a candidate means, and merges the one that was certified.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from demls.protocol import policy as bounds
from demls.protocol.admission import meaning_of
from demls.protocol.candidates import Candidates
from demls.protocol.channel import EXPORTER_LABEL, SECRET_BYTES, Channel, channel_of, joiner_channel
from demls.protocol.chat import Chat
from demls.protocol.commit_round import NIL, ROUND_LABEL, Mint, Round
from demls.protocol.continuity import History, is_certified, next_head
from demls.protocol.credential import Device
from demls.protocol.engine import Engine, EngineError, MlsGroup
from demls.protocol.events import Reason, Removed, Settled
from demls.protocol.governance import Governance, Item
from demls.protocol.records import Ledger
from demls.protocol.requests import Requests
from demls.protocol.roster import Roster
from demls.protocol.step import Step
from demls.protocol.stewards import StewardList, continued, leaders
from demls.protocol.sync import build_sync, seal_bundle
from demls.protocol.validation import State, Verdict
from demls.protocol.views import GroupStatus
from demls.wire.ids import Address, CandidateId, Duration, Epoch, GroupId, Head, Instant, ProposalId, View
from demls.wire.messages import (
    Candidate,
    Charter,
    Leave,
    Proposal,
    RoundStatement,
    SettledCommit,
    Sync,
    Vote,
    WelcomeBundle,
    decode_message,
    encode_message,
)

WELCOMERS_MAX = 8
"""So many members hold a welcome for the case that those before them do not deliver it."""


CATCH_UP_MAX = 8
"""Settled commits sent at once to a member that is behind; it asks again."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The durable part of the state besides MLS and the records of the single machines."""

    head: bytes
    time: int
    stewards: tuple[bytes, ...]
    stewards_since: int
    status: GroupStatus
    settled_at: int


@dataclass(frozen=True, slots=True)
class PendingWelcome:
    """A welcome that the own member publishes at ``send_at`` unless the joiner is heard before.

    ``send_at`` None: it was sent, and is kept in case the joiner asks again.
    """

    address: bytes
    key_package: bytes
    message: bytes
    send_at: int | None
    since: int


class GroupState:
    """One member's state of one group."""

    def __init__(
        self, *, ledger: Ledger, engine: Engine, device: Device, group_id: GroupId, charter: Charter, mls: MlsGroup
    ) -> None:
        self.ledger = ledger
        self.engine = engine
        self.device = device
        self.group_id = group_id
        self.charter = charter
        self.mls = mls
        self.mls_changed = False
        self.status = GroupStatus.MEMBER
        self.settled_at = Instant(0)
        self.governance = Governance(
            ledger=ledger,
            engine=engine,
            group_id=group_id,
            policy=charter.policy,
            meaning_of=lambda change, owner: meaning_of(change, owner, engine),
            can_add=self.can_add,
        )
        self.requests = Requests(ledger, engine, group_id)
        self.history = History(ledger)
        self.chat = Chat(ledger, engine)
        self.rendezvous = channel_of(charter.rendezvous)
        self.channels: dict[Epoch, Channel] = {
            Epoch(int.from_bytes(key, "big")): channel_of(secret) for key, secret in ledger.bytes_under(b"channel/")
        }
        self.welcomes: dict[bytes, PendingWelcome] = dict(ledger.under(b"welcome/", PendingWelcome))
        former = ledger.find(b"former", dict[bytes, str]) or {}
        self.former_names = {Address(address): name for address, name in former.items()}
        self._welcomed: dict[bytes, Instant] = {}
        """When a welcome was last said again: whoever repeats a request does not make members shout."""
        self.roster: Roster
        self.state: State
        self.candidates: Candidates
        self.round: Round

    @property
    def own(self) -> Address:
        return self.device.address

    @property
    def epoch(self) -> Epoch:
        return self.state.epoch

    @property
    def channel(self) -> Channel:
        return self.channels[self.epoch]

    # --- Entering a state ---------------------------------------------------------------------------------------

    def enter(self, head: Head, time: Instant, stewards: StewardList, roster: Roster, now: Instant) -> None:
        """Begin the state that MLS is in now. O(n log n)."""
        epoch = Epoch(self.mls.epoch)
        self.settled_at = now
        self._assemble(head, time, stewards, roster, epoch)
        self.channels[epoch] = self._open_channel(epoch)
        self.ledger.put(_owners_key(epoch), roster.owners())
        self.ledger.put(b"since", {bytes(address): joined for address, joined in roster.since().items()})
        for old in [old for old in self.channels if old < epoch - bounds.CHANNELS_KEPT]:
            del self.channels[old]
            self.ledger.delete(_channel_key(old))
            self.ledger.delete(_owners_key(old))
        self.save()

    def enter_joined(self, sync: Sync, settled: SettledCommit, now: Instant) -> None:
        """Begin with the state that a verified welcome leads to."""
        epoch = Epoch(self.mls.epoch)
        before = {Address(seat.address): Epoch(seat.since) for seat in sync.roster}
        roster = Roster(self.mls.members(), epoch, before)
        stewards = StewardList(tuple(Address(steward) for steward in sync.stewards), Epoch(sync.stewards_since))
        head = next_head(sync.head, sync.epoch, settled.candidate.id)
        self.enter(head, Instant(sync.time), continued(stewards, roster, epoch, self.group_id), roster, now)
        self.governance.enter(roster, epoch)
        self.history.keep(settled)

    def resume(self, now: Instant) -> None:
        """Go on after a restart, in the state that the ledger tells."""
        standing = self.ledger.get(b"standing", Standing)
        self.status = standing.status
        self.settled_at = Instant(standing.settled_at)
        since = self.ledger.get(b"since", dict[bytes, int])
        known = {Address(address): Epoch(joined) for address, joined in since.items()}
        roster = Roster(self.mls.members(), Epoch(self.mls.epoch), known)
        stewards = StewardList(tuple(Address(steward) for steward in standing.stewards), Epoch(standing.stewards_since))
        self._assemble(Head(standing.head), Instant(standing.time), stewards, roster, Epoch(self.mls.epoch))
        self.governance.load(roster, self.epoch)
        self.round.load(now)

    def _assemble(self, head: Head, time: Instant, stewards: StewardList, roster: Roster, epoch: Epoch) -> None:
        policy = self.charter.policy
        base_time = Duration(max(bounds.VIEW_TIME_MIN, 2 * policy.delivery_time))
        self.roster = roster
        self.state = State(epoch, head, time, roster, stewards, leaders(stewards, roster, epoch, head))
        self.candidates = Candidates(
            state=self.state,
            mls=self.mls,
            engine=self.engine,
            governance=self.governance,
            ledger=self.ledger,
            own=self.own,
            base_time=base_time,
            make_sync=lambda: build_sync(self.state, self.governance, self.requests, self.group_id),
        )
        self.round = Round(
            self,
            ledger=self.ledger,
            group_id=self.group_id,
            epoch=epoch,
            head=head,
            roster=roster,
            leaders=self.state.leaders,
            own=self.own,
            batch_window=Duration(policy.batch_window),
            base_time=base_time,
        )

    def can_add(self, key_package: bytes) -> bool:
        try:
            self.mls.propose_commit(adds=[key_package])
        except EngineError:
            return False
        return True

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
                tuple(self.state.stewards.members),
                self.state.stewards.since,
                self.status,
                self.settled_at,
            ),
        )

    # --- The round's host ---------------------------------------------------------------------------------------

    def work(self, now: Instant) -> list[Item]:
        return self.candidates.work_for(self.own, now)

    def has_work(self) -> bool:
        return bool(self.governance.approved())

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
        work = self.governance.approved()
        return bool(work) and all(item.effect == ("remove", bytes(member)) for item in work)

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

    def carry(self, candidate: CandidateId) -> tuple[tuple[Vote, ...], tuple[Proposal, ...]]:
        return self.candidates.carry(candidate)

    def lock(self, candidate: CandidateId) -> None:
        self.governance.locked = frozenset(
            ProposalId(entry.proposal_id) for entry in self.candidates.entries(candidate)
        )

    def quorum(self, candidate: CandidateId) -> int:
        """q of the roster. Of two members, the one who stays decides alone about the other's signed leave.

        ``NIL``: how many end a phase without a candidate.
        """
        if self.roster.n != 2:
            return self.roster.q
        if candidate == NIL:
            leaving = [item.subject for item in self.governance.approved() if isinstance(item.change, Leave)]
            return 1 if len(leaving) == 1 and leaving[0] != self.own else self.roster.q
        items = self.candidates.items(candidate)
        return 1 if [type(item.change) for item in items] == [Leave] else self.roster.q

    def sign(self, label: str, content: bytes) -> bytes:
        return self.engine.sign(self.device.leaf_private, label, content)

    def verify(self, member: bytes, label: str, content: bytes, signature: bytes) -> bool:
        seat = self.roster.seat(member)
        return seat is not None and self.engine.verify(seat.leaf_key, label, content, signature)

    # --- Settling -----------------------------------------------------------------------------------------------

    def settle(self, candidate: Candidate, view: View, locks: tuple[RoundStatement, ...], step: Step) -> None:
        """Merge the certified candidate and begin the next state."""
        certificate = locks[: self.quorum(candidate.id)]
        self._settle(
            SettledCommit(
                self.epoch,
                self.state.head,
                candidate,
                view,
                certificate,
                self.candidates.carry(candidate.id)[1],
            ),
            step,
        )

    def receive_settled(self, settled: SettledCommit, step: Step) -> None:
        """A settled commit from a member that is ahead: worth exactly its certificate."""
        if (settled.epoch, settled.head) != (self.epoch, self.state.head):
            return
        if not self._is_genuine(settled, step):
            if settled.candidate.id not in self.round.candidates:
                self.candidates.forget(settled.candidate.id)
            return
        self._settle(settled, step)

    def _is_genuine(self, settled: SettledCommit, step: Step) -> bool:
        """Is it a commit on this state, with its certificate? Takes the proposals that came with it if it seems so."""
        if not self.candidates.prepare(settled.candidate):
            step.refuse(Reason.INVALID, "a settled commit that is no commit on this state")
            return False
        least = self.roster.q if self.roster.n != 2 else 1  # of two, one may settle the other's leave
        if not self._is_certified(settled, least):
            step.refuse(Reason.FORGED, "a settled commit without its certificate")
            return False
        for proposal in settled.proposals:
            self.governance.receive_proposal(proposal, step, solicited=True)
        if len({lock.member for lock in settled.locks}) < self.quorum(settled.candidate.id):
            step.refuse(Reason.FORGED, "a settled commit without its certificate")
            return False
        return True

    def _is_certified(self, settled: SettledCommit, quorum: int) -> bool:
        return is_certified(
            settled,
            quorum=quorum,
            is_signed=lambda lock: self.verify(lock.member, ROUND_LABEL, lock.content(self.group_id), lock.signature),
        )

    def _settle(self, settled: SettledCommit, step: Step) -> None:
        if not self.candidates.prepare(settled.candidate):
            step.refuse(Reason.INVALID, "a certified candidate that is no commit on this state")
            return
        candidate = settled.candidate
        before, committer = self.roster, self.candidates.committer(candidate)
        minted = self.candidates.minted(candidate.id)
        assert minted is not None
        entries = [ProposalId(entry.proposal_id) for entry in self.candidates.entries(candidate.id)]
        added = self.candidates.added(candidate)
        self.candidates.merge(candidate)
        self.mls_changed = True
        self.history.keep(settled)
        self.round.close()
        own_leave = any(
            isinstance(item.change, Leave) and item.subject == self.own
            for item in (self.governance.items.get(entry) for entry in entries)
            if item is not None
        )
        if not self.mls.is_active:
            self.status = GroupStatus.LEFT if own_leave else GroupStatus.REMOVED
            step.tell(Removed(Epoch(settled.epoch + 1), own_leave))
            step.say(settled)  # the last word: nobody can ask this member for it later
            return
        epoch = Epoch(settled.epoch + 1)
        roster = Roster(self.mls.members(), epoch, before.since())
        joined = tuple(seat.address for seat in roster.seats if seat.address not in before.addresses)
        left = tuple(seat.address for seat in before.seats if seat.address not in roster.addresses)
        head = next_head(settled.head, settled.epoch, candidate.id)
        stewards = continued(self.state.stewards, roster, epoch, self.group_id)
        self.enter(head, minted[1], stewards, roster, step.now)
        self.governance.settle(entries, roster, epoch, step)
        self.requests.settle(roster, step.now)
        for member in (*left, *joined):
            self.chat.forget(member)
            self._remember(before, member)
        step.tell(Settled(epoch, candidate.id, committer, joined, left, tuple(entries)))
        if added:
            self._welcome(settled, added, committer, step)
        step.channel = self.channel

    def _remember(self, before: Roster, member: Address) -> None:
        """Keep the name of who left, for those who read on."""
        seat = before.seat(member)
        if seat is not None:
            self.former_names[member] = seat.name
            self.ledger.put(b"former", {bytes(address): name for address, name in self.former_names.items()})
        while len(self.former_names) > bounds.FORMER_NAMES_KEPT:
            del self.former_names[next(iter(self.former_names))]

    def name_of(self, address: bytes) -> str:
        """What a member, or a former one, calls itself; empty for anybody else."""
        seat = self.roster.seat(address)
        return seat.name if seat is not None else self.former_names.get(Address(address), "")

    # --- Welcomes -----------------------------------------------------------------------------------------------

    def _welcome(
        self, settled: SettledCommit, added: list[tuple[Address, bytes]], committer: Address, step: Step
    ) -> None:
        """The committer sends the welcome at once; the next members in order, if the joiner is not heard."""
        order = [committer, *(member for member in self.state.leaders if member != committer)]
        newcomers = {address for address, _ in added}
        order = [member for member in order if member not in newcomers]
        if self.own not in order[:WELCOMERS_MAX]:
            return
        rank = order.index(self.own)
        message = seal_bundle(self.mls, settled, self.engine)
        encoded = encode_message(message)
        for address, key_package in added:
            if rank == 0:
                step.say(message, joiner_channel(key_package))
            send_at = step.now + rank * self.round.base_time if rank else None
            self._keep_welcome(PendingWelcome(address, key_package, encoded, send_at, step.now))

    def _keep_welcome(self, pending: PendingWelcome) -> None:
        self.welcomes[pending.address] = pending
        self.ledger.put(b"welcome/" + pending.address, pending)

    def send_welcomes(self, step: Step) -> None:
        """Publish the welcomes whose time has come; forget those that nobody wanted for long."""
        for address, pending in list(self.welcomes.items()):
            if step.now > pending.since + bounds.REQUEST_LIFETIME:
                self.heard(Address(address))
            elif pending.send_at is not None and pending.send_at <= step.now:
                self._send_welcome(pending, step)

    def _send_welcome(self, pending: PendingWelcome, step: Step) -> None:
        step.say(decode_message(pending.message, WelcomeBundle), joiner_channel(pending.key_package))
        self._keep_welcome(PendingWelcome(pending.address, pending.key_package, pending.message, None, pending.since))

    def welcome_again(self, key_package: bytes, step: Step) -> bool:
        """A joiner that was admitted asks again: its welcome got lost. Says whether there is one for it."""
        for pending in self.welcomes.values():
            if pending.key_package == key_package:
                last = self._welcomed.get(pending.address)
                if last is None or step.now >= last + bounds.REPEAT_EVERY:
                    self._welcomed[pending.address] = step.now
                    self._send_welcome(pending, step)
                return True
        return False

    def heard(self, member: Address) -> None:
        """A member said something: it needs no welcome any more."""
        self._welcomed.pop(member, None)
        if self.welcomes.pop(member, None) is not None:
            self.ledger.delete(b"welcome/" + member)

    def former_owner(self, leaf: int, epoch: Epoch) -> Address | None:
        """Whose leaf it was in a past epoch."""
        owners = self.ledger.find(_owners_key(epoch), dict[int, bytes])
        return Address(owners[leaf]) if owners and leaf in owners else None

    def missing(self) -> tuple[Address, ...]:
        """Members not heard in the own view or later."""
        heard = self.round.heard()
        return tuple(seat.address for seat in self.roster.seats if seat.address not in heard)


def _channel_key(epoch: int) -> bytes:
    return b"channel/" + epoch.to_bytes(8, "big")


def _owners_key(epoch: int) -> bytes:
    return b"owners/" + epoch.to_bytes(8, "big")
