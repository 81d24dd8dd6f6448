"""A group as its member sees it: the facade over all machines, and the order in which messages are dispatched.

Bytes and the time go in, ``Effects`` come out. Nothing here reads a clock, a file or the network; randomness comes
from the engine. Hostile input never raises; what people ask for and cannot have raises ``RequestRefused``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from demls.protocol import policy as bounds
from demls.protocol.channel import Channel, joiner_channel, seal, unseal
from demls.protocol.continuity import DIGEST_LABEL, answer_digest, first_head, lacks, make_digest
from demls.protocol.credential import BINDING_EXTENSION, CredentialRefused, Device, check_leaf
from demls.protocol.effects import Change as RecordChange
from demls.protocol.effects import Effects, Outbound
from demls.protocol.engine import Engine, EngineError, MlsGroup, OwnMessage
from demls.protocol.errors import (
    BadInvite,
    BadSnapshot,
    NotAMember,
    RequestRefused,
    TooMuch,
    UnknownMember,
    UnknownProposal,
)
from demls.protocol.events import Joined, ProposalDecided, Reason, Rejected, Removed, Waiting
from demls.protocol.governance import Item
from demls.protocol.overview import group_view, member_views
from demls.protocol.records import SCHEMA, Ledger
from demls.protocol.requests import INVITE_LABEL
from demls.protocol.roster import Roster
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.protocol.stewards import StewardList
from demls.protocol.sync import Accepted
from demls.protocol.views import GroupStatus, GroupView, MemberView, ProposalStatus
from demls.wire.ids import (
    Address,
    Duration,
    Epoch,
    GroupId,
    Instant,
    LeafKey,
    ProposalId,
    Topic,
    address_text,
)
from demls.wire.links import new_invite
from demls.wire.messages import (
    Binding,
    Change,
    Charter,
    Digest,
    Invite,
    InviteLink,
    JoinAnswer,
    JoinRequest,
    Leave,
    Offer,
    Payload,
    Policy,
    PrivateMessage,
    Proposal,
    Remove,
    RoundStatement,
    SettledCommit,
    Vote,
    decode_message,
    encode_message,
    invite_content,
)

__all__ = ["SUPPORTED_EXTENSIONS", "Group", "Invite", "Remove"]

MACHINE = "group"
SUPPORTED_EXTENSIONS = (bounds.POLICY_EXTENSION, BINDING_EXTENSION)
"""Extension types that every member's leaf lists; the policy's is required by the group."""

ANSWER_LABEL = "demls answer"
STRAGGLER_AFTER = Duration(2 * bounds.REPEAT_EVERY)
"""So long after a commit, messages of the epoch before are nothing unusual."""

STRAGGLER_HELPERS = 3

_MLS = b"mls/"
_WAITING_AFTER_VIEWS = 3


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """What never changes of a group, with the own leaf's secret."""

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
class Ended:
    """What is left of a group that the own member is no longer in: no key, no state."""

    schema: int
    machine: str
    group_id: bytes
    address: bytes
    charter: bytes
    status: GroupStatus
    epoch: int


class Group:
    """One group, seen by one member. Make it with ``create``, ``from_welcome`` or ``load``."""

    def __init__(self, state: GroupState | None, ended: Ended | None = None) -> None:
        self._state = state
        self._ended = ended
        self._ledger = state.ledger if state is not None else Ledger()
        self._waiting: tuple[Address, ...] = ()
        self._asked_back_at = Instant(0)
        self._answered: dict[Address, Instant] = {}

    # --- Beginning ----------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls, *, name: str, description: str, policy: Policy, device: Device, engine: Engine, now: Instant
    ) -> tuple[Group, Effects]:
        """Found a group of one, whose founder is its first steward (LIP-104 §Group creation)."""
        if not name.strip() or not _fits_in(name, bounds.NAME_BYTES_MAX):
            raise RequestRefused("Give the group a name of at most 80 characters.")
        if not _fits_in(description, bounds.DESCRIPTION_BYTES_MAX):
            raise RequestRefused("The description is too long: at most 500 characters.")
        if not bounds.is_sound(policy):
            raise RequestRefused("This policy cannot work: a duration or a number of stewards is out of bounds.")
        group_id = GroupId(engine.random(32))
        charter = Charter(bounds.CHARTER_VERSION, "demls", name, description, engine.random(32), policy)
        mls = engine.create_group(
            group_id=group_id,
            signature_private=device.leaf_private,
            credential=device.credential(),
            extensions=device.extensions(),
            supported=SUPPORTED_EXTENSIONS,
            context_extensions={bounds.POLICY_EXTENSION: encode_message(charter)},
        )
        state = _new_state(Ledger(), engine, device, group_id, charter, mls)
        stewards = StewardList((device.address,), Epoch(0))
        roster = Roster(mls.members(), Epoch(0), {})
        state.enter(first_head(group_id), Instant(0), stewards, roster, now)
        state.governance.enter(roster, state.epoch)
        group = cls(state)
        step = Step(now, state.channel)
        step.tell(Joined(state.epoch))
        return group, group._finish(step)

    @classmethod
    def from_welcome(
        cls, accepted: Accepted, *, device: Device, engine: Engine, now: Instant, ledger: Ledger
    ) -> tuple[Group, Effects]:
        """Become a member through a verified welcome; ``ledger`` holds the records of the joining, which end."""
        ledger.delete_all(b"")
        sync = accepted.sync
        group_id = GroupId(accepted.mls.group_id)
        state = _new_state(ledger, engine, device, group_id, accepted.charter, accepted.mls)
        for electorate in sync.electorates:
            state.governance.adopt_electorate(
                Epoch(electorate.epoch),
                {Address(seat.address): LeafKey(seat.leaf_key) for seat in electorate.seats},
            )
        state.governance.adopt_electorate(
            Epoch(sync.epoch), {Address(seat.address): LeafKey(seat.leaf_key) for seat in sync.roster}
        )
        state.requests.adopt_used(sync.used_tokens)
        state.enter_joined(sync, accepted.settled, now)
        group = cls(state)
        step = Step(now, state.channel)
        for proposal in sync.proposals:
            state.governance.receive_proposal(proposal, step, solicited=True)
        for vote in sync.votes:
            state.governance.receive_vote(vote, step)
        state.governance.settle((), state.roster, state.epoch, step)
        step.events[:] = [Joined(state.epoch)]
        step.say(group._digest(state.own))
        return group, group._finish(step)

    @classmethod
    def load(cls, records: Mapping[bytes, bytes], *, engine: Engine, now: Instant) -> tuple[Group, Effects]:
        """Go on from a snapshot, or from the sum of all changes. Raises BadSnapshot."""
        ledger = Ledger({key: value for key, value in records.items() if not key.startswith(_MLS)})
        ended = ledger.find(b"ended", Ended)
        if ended is not None:
            _check_schema(ended.schema, ended.machine)
            group = cls(None, ended)
            group._ledger = ledger
            return group, Effects()
        record = ledger.get(b"group", GroupRecord)
        _check_schema(record.schema, record.machine)
        device = Device(
            Address(record.address),
            record.name,
            record.device,
            LeafKey(record.leaf_key),
            record.leaf_private,
            decode_message(record.binding, Binding),
        )
        charter = decode_message(record.charter, Charter)
        mls_state = {key[len(_MLS) :]: value for key, value in records.items() if key.startswith(_MLS)}
        try:
            mls = engine.load_group(mls_state)
        except EngineError as problem:
            raise BadSnapshot("The stored keys of this group cannot be read; restore a backup.") from problem
        state = GroupState(
            ledger=ledger,
            engine=engine,
            device=device,
            group_id=GroupId(record.group_id),
            charter=charter,
            mls=mls,
        )
        state.resume(now)
        group = cls(state)
        return group, group._finish(Step(now, state.channel))

    # --- What it is ---------------------------------------------------------------------------------------------

    @property
    def group_id(self) -> GroupId:
        return GroupId(self._ended.group_id) if self._ended else self._live().group_id

    @property
    def status(self) -> GroupStatus:
        return self._ended.status if self._ended else GroupStatus.MEMBER

    def topics(self) -> frozenset[Topic]:
        """Where to listen now: the rendezvous and the channels of the newest epochs. Ask again after each call."""
        if self._state is None:
            return frozenset()
        channels = (self._state.rendezvous, *self._state.channels.values())
        return frozenset(channel.topic for channel in channels)

    def view(self, now: Instant) -> GroupView:  # noqa: ARG002 - what is shown may come to depend on the time
        """Everything people see at a glance. O(members + proposals)."""
        if self._state is None:
            ended = self._ended
            assert ended is not None
            charter = decode_message(ended.charter, Charter)
            return GroupView.of_ended(
                GroupId(ended.group_id), charter, ended.status, Epoch(ended.epoch), Address(ended.address)
            )
        return group_view(self._state, self._waiting)

    def members(self) -> tuple[MemberView, ...]:
        """All members by leaf; empty once the own member is out. O(n)."""
        return member_views(self._state) if self._state is not None else ()

    def name_of(self, address: bytes) -> str:
        """What a member, or a former one, calls itself; empty for anybody else."""
        return self._state.name_of(address) if self._state is not None else ""

    def snapshot(self) -> dict[bytes, bytes]:
        """All records; ``load`` makes the same group of them, byte for byte."""
        if self._state is None:
            return self._ledger.snapshot()
        mls = {_MLS + key: value for key, value in self._state.mls.snapshot().items()}
        return self._ledger.snapshot() | mls

    def _live(self) -> GroupState:
        if self._state is None:
            raise NotAMember("You are no longer in this group; join it again with an invite link.")
        return self._state

    # --- What people do -----------------------------------------------------------------------------------------

    def propose(self, change: Change, now: Instant) -> Effects:
        """Ask the group to admit or remove somebody, with the own YES. Raises RequestRefused."""
        state = self._live()
        self._check_change(change, state, now)
        step = Step(now, state.channel)
        proposal = state.governance.new_proposal(change, state.own, state.device.leaf_private, now)
        item = state.governance.receive_proposal(proposal, step)
        if item is None:
            detail = next((event.detail for event in step.events if isinstance(event, Rejected)), "")
            raise TooMuch(f"The proposal was not accepted ({detail}); wait until others have been decided.")
        step.say(proposal)
        if isinstance(change, Invite):
            state.requests.proposed(change.key_package_bytes, now)
        if item.needs_votes:
            self._cast(item, True, step)
        return self._finish(step)

    def _check_change(self, change: Change, state: GroupState, now: Instant) -> None:
        if isinstance(change, Invite):
            try:
                package = state.engine.parse_key_package(change.key_package_bytes)
                credential = check_leaf(package.credential, package.signature_key, package.extensions, now)
            except EngineError as problem:
                raise BadInvite("The key package cannot be used; ask the person for a fresh contact.") from problem
            except CredentialRefused as problem:
                raise BadInvite(f"This person cannot be invited: {problem}") from problem
            subject, effect = Address(credential.address), "add"
            if subject in state.roster.addresses:
                raise RequestRefused(f"{credential.name or address_text(subject)} is a member already.")
            if not state.can_add(change.key_package_bytes):
                raise BadInvite("The key package does not fit this group; ask the person to update and for a new one.")
        else:
            subject = Address(change.member_id) if isinstance(change, Remove) else state.own
            effect = "remove"
            if subject not in state.roster.addresses:
                raise UnknownMember(
                    f"{address_text(subject)} is not a member of this group; look the address up among its members."
                )
            if isinstance(change, Remove) and subject == state.own:
                raise RequestRefused("To go out of the group yourself, leave it; that needs no vote.")
        if any(item.effect == (effect, bytes(subject)) for item in state.governance.in_flight()):
            raise RequestRefused("This is being decided already; vote on the open proposal.")

    def vote(self, proposal_id: ProposalId, yes: bool, now: Instant) -> Effects:
        """Vote on an open proposal; a vote is final. Raises RequestRefused."""
        state = self._live()
        item = state.governance.items.get(proposal_id)
        if item is None:
            raise UnknownProposal("There is no such proposal in this group; list the proposals again.")
        if item.status is not ProposalStatus.OPEN:
            raise UnknownProposal(f"This proposal is {item.status.value} already, so votes no longer count.")
        if state.own not in item.tally.voters:
            raise RequestRefused("You joined after this proposal was opened, so others decide it.")
        known = state.governance.vote_of(item, state.own)
        if known is not None:
            raise RequestRefused(f"You voted {'yes' if known else 'no'} already, and a vote is final.")
        step = Step(now, state.channel)
        self._cast(item, yes, step)
        return self._finish(step)

    def _cast(self, item: Item, yes: bool, step: Step) -> None:
        state = self._live()
        vote = state.governance.new_vote(item, state.own, state.device.leaf_private, yes, step.now)
        message = Vote(vote.encode())
        state.governance.receive_vote(message, step)
        step.say(message)

    def send(self, text: str, now: Instant) -> Effects:
        """Say something to the group. Raises RequestRefused."""
        state = self._live()
        step = Step(now, state.channel)
        plaintext = state.chat.write(text, state.own, state.epoch, step)
        message = state.mls.encrypt(plaintext)
        state.mls_changed = True
        step.say(PrivateMessage(message))
        return self._finish(step)

    def leave(self, now: Instant) -> Effects:
        """Ask to be gone at the next commit, without a vote; the last member closes the group.

        Source: LIP-104 §Member leave.
        """
        state = self._live()
        if state.roster.n == 1:
            step = Step(now, state.channel)
            state.say_farewell(step)
            step.tell(Removed(state.epoch, by_own_wish=True))
            return self._end(GroupStatus.CLOSED, state.epoch, step)
        return self.propose(Leave(), now)

    def invite(self, *, relay: str, lifetime: Duration, now: Instant) -> tuple[InviteLink, Effects]:
        """An invite link, good for one person until ``now + lifetime``; the group still votes."""
        state = self._live()
        if not 0 < lifetime <= bounds.INVITE_LIFETIME_MAX:
            raise RequestRefused("An invite link is valid for at most 90 days.")
        token, expires = state.engine.random(16), now + lifetime
        content = invite_content(state.group_id, token, expires, state.own)
        link = new_invite(
            group_id=state.group_id,
            group_name=state.charter.name,
            rendezvous=state.charter.rendezvous,
            relay=relay,
            token=token,
            expires=expires,
            issuer=state.own,
            signature=state.sign(INVITE_LABEL, content),
        )
        return link, self._finish(Step(now, state.channel))

    def sponsor(self, request_id: bytes, now: Instant) -> Effects:
        """Open the vote on a request to join, and vote YES. Raises RequestRefused."""
        state = self._live()
        request = state.requests.waiting.get(request_id)
        if request is None:
            raise UnknownProposal("This request is no longer waiting; look at the open proposals.")
        effects = self.propose(Invite(request.key_package, request.issuer, request.token), now)
        state.requests.drop(request_id)
        more = self._finish(Step(now, state.channel))
        return Effects(effects.changes + more.changes, effects.outbound + more.outbound, effects.events, more.deadline)

    def dismiss(self, request_id: bytes, now: Instant) -> Effects:
        """Take a request off the own list; the others keep theirs. Raises RequestRefused."""
        state = self._live()
        if state.requests.drop(request_id) is None:
            raise UnknownProposal("This request is no longer waiting.")
        return self._finish(Step(now, state.channel))

    # --- What the network and the time bring --------------------------------------------------------------------

    def receive(self, topic: Topic, payload: bytes, now: Instant) -> Effects:
        """An envelope from the network. Never raises on hostile input; the same envelope twice is harmless."""
        state = self._state
        if state is None:
            return Effects()
        step = Step(now, state.channel)
        found = self._open(state, topic, payload)
        if found is None:
            step.refuse(Reason.UNREADABLE, "an envelope that is not sealed for this group")
        else:
            channel, message = found
            self._dispatch(state, channel, message, step)
            self._answer_straggler(state, channel, message, step)
        return self._finish(step)

    @staticmethod
    def _open(state: GroupState, topic: Topic, payload: bytes) -> tuple[Channel, Payload] | None:
        if len(payload) > bounds.ENVELOPE_BYTES_MAX:
            return None
        for channel in (state.rendezvous, *state.channels.values()):
            if channel.topic == topic:
                message = unseal(channel, payload, state.engine)
                return None if message is None else (channel, message)
        return None

    def _dispatch(self, state: GroupState, channel: Channel, message: Payload, step: Step) -> None:
        if channel == state.rendezvous:
            if isinstance(message, JoinRequest):
                self._receive_request(state, message, step)
            else:
                step.refuse(Reason.INVALID, "a message that does not belong on the rendezvous topic")
            return
        match message:
            case Proposal():
                item = state.governance.receive_proposal(message, step)
                if item is not None and isinstance(item.change, Invite):
                    state.requests.proposed(item.change.key_package_bytes, step.now)
            case Vote():
                item = state.governance.receive_vote(message, step)
            case Offer():
                self._receive_offer(state, message, step)
            case RoundStatement():
                if self._is_current(state, message) and state.round.receive_statement(message, step):
                    state.heard(Address(message.member))
            case SettledCommit():
                state.receive_settled(message, step)
            case Digest():
                self._receive_digest(state, channel, message, step)
            case PrivateMessage():
                self._receive_chat(state, message, step)
            case _:
                step.refuse(Reason.INVALID, "a message that does not belong on the group's channel")

    @staticmethod
    def _answer_straggler(state: GroupState, channel: Channel, message: Payload, step: Step) -> None:
        """Whoever still speaks on the channel of an old epoch has missed its end: the first few members say it."""
        if isinstance(message, SettledCommit | Digest) or channel in (state.rendezvous, state.channel):
            return
        is_late = step.now < state.settled_at + STRAGGLER_AFTER
        if is_late or state.own not in state.state.leaders[:STRAGGLER_HELPERS]:
            return
        epoch = next(epoch for epoch, known in state.channels.items() if known == channel)
        state.say_history(epoch, channel, step)

    @staticmethod
    def _is_current(state: GroupState, message: Offer | RoundStatement | Digest) -> bool:
        """Messages of other states are nothing bad: they are late, or early for us."""
        return (message.epoch, message.head) == (state.epoch, state.state.head)

    def _receive_offer(self, state: GroupState, offer: Offer, step: Step) -> None:
        if not self._is_current(state, offer) or not state.round.admits(offer, step):
            return
        for proposal in offer.proposals:
            state.governance.receive_proposal(proposal, step, solicited=True)
        for vote in offer.votes:
            state.governance.receive_vote(vote, step)
        for ack in offer.certificate:
            if self._is_current(state, ack):
                state.round.receive_statement(ack, step)
        state.candidates.note_votes(offer)
        state.round.receive_offer(offer, step)

    def _receive_digest(self, state: GroupState, channel: Channel, wanted: Digest, step: Step) -> None:
        if wanted.member == state.own:
            return
        key = state.governance.leaf_key_of(wanted.member, wanted.epoch)
        content = wanted.content(state.group_id)
        if key is None or not state.engine.verify(key, DIGEST_LABEL, content, wanted.signature):
            step.refuse(Reason.FORGED, "a digest that its member did not sign")
            return
        if self._is_current(state, wanted):
            state.heard(Address(wanted.member))
        if wanted.asked != state.own:
            return
        last = self._answered.get(Address(wanted.member))
        if last is not None and step.now < last + bounds.ANSWER_EVERY:
            return
        self._answered = {member: at for member, at in self._answered.items() if at > step.now - bounds.REPEAT_EVERY}
        self._answered[Address(wanted.member)] = step.now
        if self._is_current(state, wanted):
            for payload in answer_digest(wanted, current=state.round, governance=state.governance, roster=state.roster):
                step.say(payload)
            due = step.now >= self._asked_back_at + bounds.REPEAT_EVERY
            if due and lacks(wanted, governance=state.governance, roster=state.roster, current=state.round):
                self._asked_back_at = step.now
                step.say(self._digest(Address(wanted.member)))
        elif wanted.epoch < state.epoch:
            state.say_history(Epoch(wanted.epoch), channel, step)

    def _receive_chat(self, state: GroupState, message: PrivateMessage, step: Step) -> None:
        try:
            decrypted = state.mls.decrypt(message.data)
        except OwnMessage:
            return
        except EngineError as problem:
            step.refuse(Reason.STALE, f"a chat message that cannot be opened: {type(problem).__name__}")
            return
        state.mls_changed = True
        sender = state.roster.owner_of(decrypted.sender)
        if decrypted.epoch != state.epoch:
            sender = state.former_owner(decrypted.sender, Epoch(decrypted.epoch))
        if sender is None:
            step.refuse(Reason.NOT_ENTITLED, "a chat message by no member of its epoch")
            return
        state.heard(sender)
        state.chat.read(decrypted.plaintext, sender, Epoch(decrypted.epoch), step)

    def _receive_request(self, state: GroupState, request: JoinRequest, step: Step) -> None:
        if state.welcome_again(request.key_package_bytes, step):
            return
        rank = state.state.leaders.index(state.own)
        sentence = state.requests.receive(request, state.roster, rank, step)
        if sentence is not None and rank == 0:
            self._answer(state, request.key_package_bytes, sentence, step)

    @staticmethod
    def _answer(state: GroupState, key_package: bytes, sentence: str, step: Step) -> None:
        content = sentence.encode() + key_package
        answer = JoinAnswer(sentence, state.own, state.sign(ANSWER_LABEL, content))
        step.say(answer, joiner_channel(key_package))

    def tick(self, now: Instant) -> Effects:
        """Let time pass; call it at ``Effects.deadline``, calling it at other times is harmless."""
        state = self._state
        if state is None:
            return Effects()
        step = Step(now, state.channel)
        state.governance.tick(step)
        state.chat.tick(step)
        state.send_welcomes(step)
        self._open_votes(state, step)
        return self._finish(step)

    def _open_votes(self, state: GroupState, step: Step) -> None:
        """Put requests to the vote whose turn it is for the own member; it votes itself only when its person does."""
        for request_id, request in state.requests.due(step.now):
            if not state.governance.has_room(state.own):
                state.requests.postpone(request_id, step.now)
                continue
            state.requests.drop(request_id)
            change = Invite(request.key_package, request.issuer, request.token)
            try:
                self._check_change(change, state, step.now)
            except RequestRefused as problem:
                step.refuse(Reason.STALE, f"a request to join that came to nothing: {problem}")
                continue
            proposal = state.governance.new_proposal(change, state.own, state.device.leaf_private, step.now)
            if state.governance.receive_proposal(proposal, step) is not None:
                state.requests.proposed(request.key_package, step.now)
                step.say(proposal)

    # --- Ending a call ------------------------------------------------------------------------------------------

    def _finish(self, step: Step) -> Effects:
        """Let the round do what is due, and say all that follows as effects."""
        state = self._live()
        self._open_votes(state, step)
        while True:
            if state.is_alone_and_leaving():
                state.say_farewell(step)
                step.tell(Removed(state.epoch, by_own_wish=True))
                return self._end(GroupStatus.CLOSED, state.epoch, step)
            before = state.round
            before.advance(step)
            if state.status is not GroupStatus.MEMBER:
                return self._end(state.status, Epoch(state.epoch + 1), step)
            if state.round is before:
                break
        if state.round.repeat(step):
            self._ask(state, step)
        self._answer_rejected(state, step)
        self._note_waiting(state, step)
        deadline = self._deadline(state, step.now)
        return Effects(self._changes(state), self._outbound(state, step), tuple(step.events), deadline)

    def _ask(self, state: GroupState, step: Step) -> None:
        """Ask one other member, drawn at random, for what is missing here."""
        others = [seat.address for seat in state.roster.seats if seat.address != state.own]
        if others:
            pick = int.from_bytes(state.engine.random(8), "big") % len(others)
            step.say(self._digest(others[pick]))

    def _digest(self, asked: Address) -> Digest:
        state = self._live()
        return make_digest(
            current=state.round,
            governance=state.governance,
            roster=state.roster,
            own=state.own,
            asked=asked,
            group_id=state.group_id,
            sign=state.sign,
        )

    def _answer_rejected(self, state: GroupState, step: Step) -> None:
        """Who asked to join and was refused is told so, by the first in the order of leaders."""
        if state.state.leaders[0] != state.own:
            return
        for event in step.events:
            if isinstance(event, ProposalDecided) and not event.approved:
                item = state.governance.items[event.proposal_id]
                if isinstance(item.change, Invite):
                    self._answer(
                        state, item.change.key_package_bytes, "The group has voted and does not admit you.", step
                    )

    def _note_waiting(self, state: GroupState, step: Step) -> None:
        """Say in time that a round waits, and for whom."""
        missing: tuple[Address, ...] = ()
        since = state.round.at.entered_at
        if state.round.is_open and step.now >= since + _WAITING_AFTER_VIEWS * state.round.base_time:
            missing = state.missing()
        if missing != self._waiting:
            self._waiting = missing
            step.tell(Waiting(missing, state.roster.q))

    def _deadline(self, state: GroupState, now: Instant) -> Instant | None:
        times = [
            state.governance.deadline(),
            state.chat.deadline(),
            state.requests.deadline(),
            state.round.deadline(now),
            *(Instant(pending.send_at) for pending in state.welcomes.values() if pending.send_at is not None),
        ]
        return min((time for time in times if time is not None), default=None)

    def _changes(self, state: GroupState) -> tuple[RecordChange, ...]:
        changes = self._ledger.drain()
        if state.mls_changed:
            state.mls_changed = False
            changes += tuple(RecordChange(_MLS + key, value) for key, value in state.mls.changes())
        return changes

    @staticmethod
    def _outbound(state: GroupState, step: Step) -> tuple[Outbound, ...]:
        return tuple(Outbound(channel.topic, seal(channel, payload, state.engine)) for channel, payload in step.said)

    def _end(self, status: GroupStatus, epoch: Epoch, step: Step) -> Effects:
        """The own member is out: keep no key and no state, only what people need to know."""
        state = self._live()
        mls = [RecordChange(_MLS + key, None) for key in state.mls.snapshot()]
        self._ledger.delete_all(b"")
        self._ended = Ended(SCHEMA, MACHINE, state.group_id, state.own, encode_message(state.charter), status, epoch)
        self._ledger.put(b"ended", self._ended)
        outbound = self._outbound(state, step)
        self._state = None
        return Effects(tuple(mls) + self._ledger.drain(), outbound, tuple(step.events), None)


def _fits_in(text: str, size: int) -> bool:
    """Is it text that UTF-8 can write, in at most ``size`` bytes?"""
    try:
        return len(text.encode()) <= size
    except UnicodeEncodeError:
        return False


def _check_schema(schema: int, machine: str) -> None:
    if schema != SCHEMA or machine != MACHINE:
        raise BadSnapshot("This group was stored by another version of demls; update, or restore a backup.")


def _new_state(
    ledger: Ledger, engine: Engine, device: Device, group_id: GroupId, charter: Charter, mls: MlsGroup
) -> GroupState:
    record = GroupRecord(
        SCHEMA,
        MACHINE,
        group_id,
        device.address,
        device.name,
        device.device,
        device.leaf_key,
        device.leaf_private,
        encode_message(device.binding),
        encode_message(charter),
    )
    ledger.put(b"group", record)
    state = GroupState(ledger=ledger, engine=engine, device=device, group_id=group_id, charter=charter, mls=mls)
    state.mls_changed = True
    return state
