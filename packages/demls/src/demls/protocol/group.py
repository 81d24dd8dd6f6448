"""A group as its member sees it: the facade over all machines, and the order in which messages are dispatched.

Bytes and the time go in, ``Effects`` come out. Nothing here reads a clock, a file or the network; randomness comes
from the engine. Hostile input never raises; what people ask for and cannot have raises ``RequestRefused``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from demls.protocol import policy as bounds
from demls.protocol.accusing import NO_DEADLOCK, accusation_of, deadlock_of, open_emergency
from demls.protocol.asking import Asking
from demls.protocol.credential import BINDING_EXTENSION, Device
from demls.protocol.duties import Duties
from demls.protocol.echoes import Echoes
from demls.protocol.effects import Change as RecordChange
from demls.protocol.effects import Effects, Taken
from demls.protocol.engine import Engine, EngineError
from demls.protocol.errors import BadSnapshot, NotAMember, RequestRefused, TooMuch, UnknownProposal
from demls.protocol.events import Event, Joined, ProposalHeld, Reason, Rejected, Removed, Returned, Waiting
from demls.protocol.inbound import Found, Inbound, answer_rejected
from demls.protocol.membership import MACHINE, Ended, check_schema, device_of, new_state
from demls.protocol.overview import group_view, member_views, returning_view
from demls.protocol.profile import DEMLS
from demls.protocol.ratchets import UNWRITTEN
from demls.protocol.records import SCHEMA, Ledger
from demls.protocol.returning import Returning, Sign
from demls.protocol.state import GroupRecord, GroupState
from demls.protocol.step import Step
from demls.protocol.stillness import Places, count, is_quiet, is_still
from demls.protocol.stranding import Stranding
from demls.protocol.sync import Accepted
from demls.protocol.timing import Timing
from demls.protocol.views import GroupStatus, GroupView, MemberView
from demls.protocol.wishes import cast_vote, check_change, check_names, check_vote, new_link, open_proposal
from demls.wire.charters import Charter, Policy, Predecessor
from demls.wire.ids import (
    Address,
    Duration,
    Epoch,
    GroupId,
    Instant,
    LeafKey,
    ProposalId,
    Topic,
)
from demls.wire.messages import (
    Binding,
    Change,
    Emergency,
    Invite,
    InviteLink,
    Leave,
    Payload,
    PrivateMessage,
    Remove,
    ResyncReason,
    Settings,
    decode_message,
    encode_message,
)
from demls.wire.statements import RoundStatement

__all__ = ["SUPPORTED_EXTENSIONS", "Group", "Invite", "Remove"]

SUPPORTED_EXTENSIONS = (bounds.POLICY_EXTENSION, BINDING_EXTENSION)
"""Extension types that every member's leaf lists; the policy's is required by the group."""

_MLS = b"mls/"
_WAITING_AFTER_VIEWS = 3
_LESSONS_MAX = 4
"""So often what a call has brought to light may bring more to light in the same call."""


class Group:
    """One group, seen by one member. Make it with ``create``, ``from_welcome`` or ``load``."""

    def __init__(
        self, state: GroupState | None, ended: Ended | None = None, returning: Returning | None = None
    ) -> None:
        self._state = state
        self._ended = ended
        self._returning = returning
        self._ledger = state.ledger if state is not None else Ledger()
        self._waiting: tuple[Address, ...] = ()
        self._finished_at = Instant(0)
        """When the last call ended that did all that was due."""
        self._writes = 0
        """Of the ledger, before the message that is being taken in."""
        self._echoes = Echoes()
        self._engine: Engine
        if state is not None:
            self._begin(state)

    def _begin(self, state: GroupState) -> None:
        self._state = state
        self._asking = Asking(state)
        self._duties = Duties(state, self._asking)
        self._stranding = Stranding(state, self._asking)
        self._inbound = Inbound(state, self._asking, self._stranding, self._duties.caught_up)
        self._timing = Timing(state, self._duties, self._stranding)

    # --- Beginning ----------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        *,
        name: str,
        description: str,
        policy: Policy,
        device: Device,
        engine: Engine,
        now: Instant,
        predecessor: Predecessor | None = None,
    ) -> tuple[Group, Effects]:
        """Found a group of one, whose founder is its first steward (LIP-104 §Single steward).

        ``predecessor``: the state of another group that this one goes on from. Raises RequestRefused.
        """
        check_names(name, description)
        fault = bounds.fault_of(policy)
        if fault:
            raise RequestRefused(f"This policy cannot work. {fault}")
        group_id = GroupId(engine.random(32))
        before = (predecessor,) if predecessor is not None else ()
        charter = Charter(bounds.CHARTER_VERSION, DEMLS.name, name, description, engine.random(32), policy, before)
        mls = engine.create_group(
            group_id=group_id,
            signature_private=device.leaf_private,
            credential=device.credential(),
            extensions=device.extensions(),
            supported=SUPPORTED_EXTENSIONS,
            context_extensions={bounds.POLICY_EXTENSION: encode_message(charter)},
        )
        state = new_state(Ledger(), engine, device, group_id, charter, mls)
        state.found(now)
        group = cls(state)
        step = Step(now, state.channel)
        step.tell(Joined(state.epoch))
        return group, group._finish(step)

    @classmethod
    def from_welcome(
        cls,
        accepted: Accepted,
        *,
        device: Device,
        engine: Engine,
        now: Instant,
        ledger: Ledger,
        introducer: Address | None = None,
        kept: Mapping[bytes, bytes] | None = None,
        told: Event | None = None,
    ) -> tuple[Group, Effects]:
        """Become a member through a verified welcome; ``ledger`` holds the records of the joining, which end.

        ``introducer``: the member whose link was used, to be heard before this is known to be its group.
        ``kept``: of those records, what the group goes on with; ``told``: what people are told, that they have joined
        if None.
        """
        ledger.delete_all(b"")
        for name, value in (kept or {}).items():
            ledger.put_bytes(name, value)
        group_id = GroupId(accepted.mls.group_id)
        state = new_state(ledger, engine, device, group_id, accepted.charter, accepted.mls)
        state.requests.adopt_used(accepted.told.used_tokens)
        state.enter_joined(accepted, now)
        if introducer is not None and introducer not in accepted.settled.signers:
            state.expect_introducer(introducer)
        group = cls(state)
        step = Step(now, state.channel)
        for proposal in accepted.sync.proposals:
            state.governance.receive_proposal(proposal, step, solicited=True)
        for vote in accepted.told.votes:
            state.governance.receive_vote(vote, step)
        state.governance.settle((), state.roster, state.state.electorate, step)
        step.events[:] = [told or Joined(state.epoch)]
        group._asking.ask(step, introducer)
        group._duties.came_back(now)
        state.repair.joined(now)
        return group, group._finish(step)

    @classmethod
    def load(cls, records: Mapping[bytes, bytes], *, engine: Engine, now: Instant) -> tuple[Group, Effects]:
        """Go on from a snapshot, or from the sum of all changes. Raises BadSnapshot."""
        ledger = Ledger({key: value for key, value in records.items() if not key.startswith(_MLS)})
        ended = ledger.find(b"ended", Ended)
        if ended is not None:
            check_schema(ended.schema, ended.machine)
            group = cls(None, ended)
            group._ledger = ledger
            return group, Effects()
        if ledger.find_bytes(b"returning") is not None:
            returning, effects = Returning.load(ledger, engine)
            check_schema(returning.record.schema, MACHINE)
            group = cls(None, returning=returning)
            group._ledger, group._engine = ledger, engine
            return group, effects
        record = ledger.get(b"group", GroupRecord)
        check_schema(record.schema, record.machine)
        charter = decode_message(record.charter, Charter)
        mls_state = {key[len(_MLS) :]: value for key, value in records.items() if key.startswith(_MLS)}
        try:
            mls = engine.load_group(mls_state)
        except EngineError as problem:
            raise BadSnapshot("The stored keys of this group cannot be read; restore a backup.") from problem
        state = GroupState(
            ledger=ledger,
            engine=engine,
            device=device_of(record),
            group_id=GroupId(record.group_id),
            charter=charter,
            mls=mls,
        )
        state.resume(now)
        group = cls(state)
        step = Step(now, state.channel)
        group._asking.come_back(step)
        group._duties.came_back(now)
        state.repair.came_back(now)
        return group, group._finish(step)

    # --- What it is ---------------------------------------------------------------------------------------------

    @property
    def group_id(self) -> GroupId:
        if self._returning is not None:
            return self._returning.group_id
        return GroupId(self._ended.group_id) if self._ended else self._live().group_id

    @property
    def status(self) -> GroupStatus:
        if self._returning is not None:
            return GroupStatus.RETURNING
        return self._ended.status if self._ended else GroupStatus.MEMBER

    @property
    def is_stranded(self) -> bool:
        """Has it missed so much that only a new seat brings it back?"""
        return self._state is not None and self._stranding.is_stranded

    def topics(self) -> frozenset[Topic]:
        """Where to listen now: the rendezvous and the channels of the newest epochs. Ask again after each call."""
        if self._returning is not None:
            return self._returning.topics()
        if self._state is None:
            return frozenset()
        return frozenset(self._state.listening())

    def view(self, now: Instant) -> GroupView:  # noqa: ARG002 - what is shown may come to depend on the time
        """Everything people see at a glance. O(members + proposals)."""
        if self._returning is not None:
            return returning_view(self._returning)
        if self._state is None:
            ended = self._ended
            assert ended is not None
            charter = decode_message(ended.charter, Charter)
            return GroupView.of_ended(
                GroupId(ended.group_id), charter, ended.status, Epoch(ended.epoch), Address(ended.address)
            )
        return replace(group_view(self._state, self._waiting), is_stranded=self.is_stranded)

    def members(self) -> tuple[MemberView, ...]:
        """All members by leaf; empty once the own member is out. O(n)."""
        return member_views(self._state) if self._state is not None else ()

    def name_of(self, address: bytes) -> str:
        """What a member, or a former one, calls itself; empty for anybody else."""
        if self._returning is not None:
            return self._returning.name_of(address)
        return self._state.name_of(address) if self._state is not None else ""

    def snapshot(self) -> dict[bytes, bytes]:
        """All records; ``load`` makes the same group of them, byte for byte."""
        if self._state is None:
            return self._ledger.snapshot()
        mls = {_MLS + key: value for key, value in self._state.mls.snapshot().items()}
        records = self._ledger.snapshot() | mls
        records.pop(UNWRITTEN, None)  # these are the ratchets as they are now
        return records

    def _live(self) -> GroupState:
        if self._returning is not None:
            raise self._returning.refuse()
        if self._state is None:
            raise NotAMember("You are no longer in this group; join it again with an invite link.")
        return self._state

    # --- What people do -----------------------------------------------------------------------------------------

    def propose(self, change: Change, now: Instant) -> Effects:
        """Ask the group to admit or remove somebody, with the own YES. Raises RequestRefused."""
        state = self._live()
        check_change(change, state, now)
        step = Step(now, state.channel)
        item = open_proposal(change, state, step)
        if any(isinstance(event, ProposalHeld) for event in step.events):
            return self._finish(step)
        if item is None:
            detail = next((event.detail for event in step.events if isinstance(event, Rejected)), "")
            raise TooMuch(f"The proposal was not accepted ({detail}); wait until others have been decided.")
        if item.needs_votes and state.own in item.tally.voters:
            cast_vote(item, True, state, step)
        return self._finish(step)

    def change_settings(
        self,
        now: Instant,
        *,
        name: str | None = None,
        description: str | None = None,
        policy: Policy | None = None,
    ) -> Effects:
        """Propose another name, description or policy; what is not given stays. Raises RequestRefused."""
        charter = self._live().charter
        return self.propose(
            Settings(
                charter.digest,
                charter.name if name is None else name,
                charter.description if description is None else description,
                charter.policy if policy is None else policy,
            ),
            now,
        )

    def vote(self, proposal_id: ProposalId, yes: bool, now: Instant) -> Effects:
        """Vote on an open proposal; a vote is final. Raises RequestRefused."""
        state = self._live()
        item = check_vote(proposal_id, state)
        step = Step(now, state.channel)
        cast_vote(item, yes, state, step)
        return self._finish(step)

    def accuse(self, member: Address, now: Instant) -> Effects:
        """Open an emergency, with the own YES, about the gravest that can be proven against a member.

        Raises RequestRefused; then nothing has changed.
        """
        state = self._live()
        step = Step(now, state.channel)
        open_emergency(accusation_of(member, state), state, step)
        return self._finish(step)

    def deadlock(self) -> Emergency | None:
        """What ``report_deadlock`` would open now; None if no deadlock can be shown. Raises NotAMember."""
        return deadlock_of(self._live())

    def report_deadlock(self, now: Instant) -> Effects:
        """Open an emergency, with the own YES, about stewards who have not committed.

        Raises RequestRefused; then nothing has changed.
        """
        state = self._live()
        emergency = deadlock_of(state)
        if emergency is None:
            raise RequestRefused(NO_DEADLOCK)
        step = Step(now, state.channel)
        open_emergency(emergency, state, step)
        return self._finish(step)

    def send(self, text: str, now: Instant) -> Effects:
        """Say something to the group; while this node waits for a new seat, it is kept. Raises RequestRefused."""
        if self._returning is not None:
            return self._returning.keep_unsent(text)
        state = self._live()
        step = Step(now, state.channel)
        plaintext = state.chat.write(text, state.own, state.epoch, step)
        message = state.mls.encrypt(plaintext)
        state.mls_changed = state.ratchets.sent(len(state.roster.seats)) or state.mls_changed
        step.say(PrivateMessage(message))
        self._asking.look_around(step)
        return self._finish(step)

    def forget_messages(self, before: Instant, now: Instant) -> Effects:
        """Delete the copies of messages that came before an instant; who missed them cannot have them from here."""
        state = self._live()
        state.chat.copies.forget_before(before)
        return self._finish(Step(now, state.channel))

    def refresh_keys(self, now: Instant, binding: Binding | None = None) -> Effects:
        """Ask for new encryption keys of the own leaf with the next commit, without a vote (RFC 9420 §12.1.2).

        ``binding``: a new wallet binding to bring along. Raises RequestRefused.
        """
        state = self._live()
        step = Step(now, state.channel)
        self._duties.refreshing.wish(binding, step)
        return self._finish(step)

    def to_bind(self, now: Instant) -> tuple[LeafKey, str] | None:
        """The own leaf and its device's name, if the wallet should speak for them anew: its binding ends soon."""
        state = self._live()
        known = state.roster.binding_of(state.own)
        is_due = known is None or known.expires <= now + bounds.BINDING_RENEWED_BEFORE
        return (state.device.leaf_key, state.device.device) if is_due else None

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

    def invite(
        self, *, relay: str, lifetime: Duration, now: Instant, is_open: bool = False
    ) -> tuple[InviteLink, Effects]:
        """An invite link, good for one person until ``now + lifetime``; the group still votes.

        ``is_open``: good for anybody, but each request then waits for a sponsor before there is a vote.
        """
        state = self._live()
        link = new_link(state, relay=relay, lifetime=lifetime, now=now, is_open=is_open)
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

    def predecessor_of(self, members: Iterable[Address]) -> Predecessor:
        """What the charter of a successor group says of this one: from which state on, and whom its founder names.

        Their admission is agreed by the charter: nodes vote yes by themselves. Raises RequestRefused.
        """
        state = self._live()
        named = sorted(set(members) - {state.own})
        unknown = [address for address in named if address not in state.roster.addresses]
        if not named or unknown:
            raise RequestRefused("Name at least one other member of this group, and only its members.")
        return Predecessor(state.group_id, state.epoch, state.state.head, tuple(named))

    def announce_successor(self, links: Mapping[Address, InviteLink], now: Instant) -> Effects:
        """Tell this group that the own member has founded a successor of it, with an invite for each of ``links``.

        Who is away gets it when it comes back. Raises RequestRefused.
        """
        state = self._live()
        if not links:
            raise RequestRefused("Invite at least one member to the successor group.")
        step = Step(now, state.channel)
        state.successors.announce(links, state.epoch, state.state.head, state.own, state.sign, step)
        return self._finish(step)

    # --- Coming back --------------------------------------------------------------------------------------------

    def rejoin(self, sign: Sign, reason: ResyncReason, now: Instant) -> Effects:
        """Give up the own leaf and ask the group for a new one, signed by the wallet. Raises RequestRefused."""
        state = self._live()
        mls = tuple(RecordChange(_MLS + key, None) for key in state.mls.snapshot())
        self._returning, effects = Returning.begin(self._ledger, sign=sign, reason=reason, engine=state.engine, now=now)
        self._state, self._engine = None, state.engine
        return replace(effects, changes=mls + effects.changes)

    @classmethod
    def restored(
        cls,
        records: Mapping[bytes, bytes],
        *,
        sign: Sign,
        reason: ResyncReason,
        engine: Engine,
        now: Instant,
        saved_at: int = 0,
    ) -> tuple[Group, Effects]:
        """Come back with records that may be old, or damaged in part: nothing is said from their leaf.

        The effects hold all records: those that were there before are to be dropped. Raises BadSnapshot.
        """
        ledger = Ledger({key: value for key, value in records.items() if not key.startswith(_MLS)})
        if ledger.find_bytes(b"returning") is not None:
            returning, effects = Returning.again(ledger, sign=sign, engine=engine, now=now)
        else:
            record = ledger.get(b"group", GroupRecord)
            check_schema(record.schema, record.machine)
            returning, effects = Returning.begin(
                ledger, sign=sign, reason=reason, engine=engine, now=now, saved_at=saved_at
            )
        group = cls(None, returning=returning)
        group._ledger, group._engine = ledger, engine
        everything = tuple(RecordChange(key, value) for key, value in sorted(ledger.snapshot().items()))
        return group, replace(effects, changes=everything)

    def use_wallet(self, sign: Sign, now: Instant) -> Effects:
        """The wallet is at hand, for requests that have to be made anew; harmless when nothing waits for it."""
        return Effects() if self._returning is None else self._returning.use_wallet(sign, now)

    def _go_on(self, happened: Effects | Accepted, now: Instant) -> Effects:
        """Go on waiting, or take the new seat and say what was kept meanwhile."""
        if isinstance(happened, Effects):
            return happened
        returning = self._returning
        assert returning is not None
        unsent = [value for _, value in self._ledger.under(b"unsent/", str)]
        told = Returned(
            Epoch(happened.mls.epoch), Epoch(returning.record.epoch), is_vouched=returning.is_vouched(happened)
        )
        group, effects = Group.from_welcome(
            happened,
            device=returning.device_of(),
            engine=self._engine,
            now=now,
            ledger=self._ledger,
            kept=returning.goes_on_with(),
            told=told,
        )
        assert group._state is not None
        self._returning = None
        self._begin(group._state)
        self._timing.moved()
        self._duties.came_back(now)
        taken = Taken()
        taken.add(effects)
        for text in unsent:
            taken.add(self.send(text, now))
        return taken.effects()

    # --- What the network and the time bring --------------------------------------------------------------------

    def receive(self, topic: Topic, payload: bytes, now: Instant) -> Effects:
        """An envelope from the network. Never raises on hostile input; the same envelope twice is harmless."""
        return self.receive_many(((topic, payload),), now)

    def receive_many(self, envelopes: Sequence[tuple[Topic, bytes]], now: Instant) -> Effects:
        """Envelopes that wait together, each in its turn: the same follows as from ``receive`` of one after the other.

        It costs less: they are opened, and their signatures verified, in batches.
        """
        if self._state is not None and not self._is_due(now):
            envelopes = self._echoes.without(envelopes)
        taken = Taken()
        for start in range(0, len(envelopes), bounds.ENVELOPES_AT_ONCE_MAX):
            waiting, state = envelopes[start : start + bounds.ENVELOPES_AT_ONCE_MAX], self._state
            opened = self._inbound.open(waiting) if state is not None else [None] * len(waiting)
            here: Places | None = None
            for place, (topic, payload) in enumerate(waiting):
                found, same = opened[place], state if self._state is state else None
                if same is not None and found is not None and isinstance(found[1].payload, RoundStatement):
                    here = self._where_counted(now) if here is None else here
                    if count(found, here, same, now):
                        self._timing.moved()
                        continue
                here = None
                if place and self._state is not None and (same is None or not self._inbound.is_open(topic, found)):
                    (found,) = self._inbound.open(((topic, payload),))
                self._take(topic, payload, found, now, taken)
            if state is not None:
                state.foreseen.clear()
        return self._effects(taken, now)

    def _take(self, topic: Topic, payload: bytes, found: Found | None, now: Instant, taken: Taken) -> None:
        """One envelope; ``found``: what stands in it."""
        if self._returning is not None:
            taken.add(self._go_on(self._returning.receive(topic, payload, now), now))
            return
        state = self._state
        if state is None:
            return
        step = Step(now, state.channel)
        had_changed, state.mls_changed = state.mls_changed, False
        if found is None:
            step.refuse(Reason.UNREADABLE, "an envelope that is not sealed for this group")
        else:
            self._writes, turns = self._ledger.writes, state.governance.turns
            channel, read = found
            self._inbound.dispatch(channel, read, step)
            self._inbound.answer_straggler(channel, read.payload, step)
            is_idle = step.is_known and self._is_idle(step)
            is_counted = not is_idle and self._is_still(read.payload, step, turns)
            if is_counted and isinstance(read.payload, PrivateMessage):
                self._timing.talked()
            elif is_counted:
                self._timing.moved()
                self._duties.gossip(step)
            if is_idle or (is_counted and not step.said):
                state.now = now
                taken.events += step.events
                state.mls_changed = state.mls_changed or had_changed
                return
        state.mls_changed = state.mls_changed or had_changed
        self._conclude(step, taken)

    def _where_counted(self, now: Instant) -> Places:
        """Where statements of the open round come in that may be only counted; nowhere, if something waits."""
        state = self._live()
        is_free = state.round.is_open and is_quiet(state, self._duties, self._stranding)
        if not is_free or self._waiting or self._is_due(now):
            return ()
        return state.channel, state.places.floors.get(state.epoch)

    def _is_idle(self, step: Step) -> bool:
        """Has nothing changed since the last call ended, and is nothing due yet? O(1)."""
        is_unchanged = not step.said and self._ledger.writes == self._writes and not self._live().mls_changed
        return is_unchanged and not self._is_due(step.now)

    def _is_still(self, message: Payload, step: Step, turns: int) -> bool:
        """Does nothing follow from a message besides what it says, and is nothing due yet? O(1)."""
        state = self._live()
        is_counted = is_still(message, step, turns, state=state, duties=self._duties, stranding=self._stranding)
        return is_counted and not self._waiting and not self._is_due(step.now)

    def _is_due(self, now: Instant) -> bool:
        """Is anything due by time alone, as far as the last call knew?"""
        due, current = self._timing.due, self._live().round
        if due is not None and now >= due:
            return True
        if not current.is_open:
            return False
        return self._finished_at < current.at.entered_at + _WAITING_AFTER_VIEWS * current.base_time <= now

    def tick(self, now: Instant) -> Effects:
        """Let time pass; call it at ``Effects.deadline``, calling it at other times is harmless."""
        if self._returning is not None:
            return self._go_on(self._returning.tick(now), now)
        state = self._state
        if state is None:
            return Effects()
        step = Step(now, state.channel)
        state.governance.tick(step)
        state.repair.tick(step)
        state.welcomes.tick(step)
        return self._finish(step)

    # --- Ending a call ------------------------------------------------------------------------------------------

    def _finish(self, step: Step) -> Effects:
        """Let the round do what is due, and say all that follows as effects."""
        taken = Taken()
        self._conclude(step, taken)
        return self._effects(taken, step.now)

    def _effects(self, taken: Taken, now: Instant) -> Effects:
        """All that follows from a call, and when more is due: looked for once, however much was taken in."""
        state = self._state
        if state is None:
            return taken.effects()
        taken.deadline = self._timing.find(now)
        return taken.effects(self._changes(state))

    def _conclude(self, step: Step, taken: Taken) -> None:
        """Let the round do what is due; all that follows but the changes is added to ``taken``."""
        state = self._live()
        state.now = step.now
        self._learn(step)
        state.resyncs.act(step)
        self._stranding.act(step)
        if not state.is_halted:
            self._duties.act(step)
        while not state.is_halted:
            if state.is_alone_and_leaving():
                state.say_farewell(step)
                step.tell(Removed(state.epoch, by_own_wish=True))
                taken.add(self._end(GroupStatus.CLOSED, state.epoch, step))
                return
            before = state.round
            before.advance(step)
            self._duties.act(step)
            if state.status is not GroupStatus.MEMBER:
                taken.add(self._end(state.status, Epoch(state.epoch + 1), step))
                return
            if state.round is before:
                break
        if not state.is_halted and state.round.repeat(step):
            self._asking.ask(step)
        for _ in range(_LESSONS_MAX):
            if not self._learn(step):
                break
            self._duties.act(step)
        answer_rejected(state, step)
        self._note_waiting(state, step)
        if step.said:
            state.presence.note(state.own, state.roster, step.now, state.charter.policy.dormant_after)
        state.repair.notice_talk()
        self._finished_at = step.now
        self._timing.moved()
        taken.outbound += self._echoes.seal(step, state.engine)
        taken.events += step.events

    def _learn(self, step: Step) -> bool:
        """Score what has been proven or decided in this call. Says whether there was anything new."""
        state, known = self._live(), step.learned
        state.emergencies.learn(step, state.epoch, state.charter.policy.scoring)
        return step.learned > known

    def _note_waiting(self, state: GroupState, step: Step) -> None:
        """Say in time that a round waits, and for whom."""
        missing: tuple[Address, ...] = ()
        since = state.round.at.entered_at
        if (
            state.round.is_open
            and not state.is_halted
            and step.now >= since + _WAITING_AFTER_VIEWS * state.round.base_time
        ):
            missing = state.missing()
        if missing != self._waiting:
            self._waiting = missing
            step.tell(Waiting(missing, state.committee.q, state.short() if missing else 0))

    def _changes(self, state: GroupState) -> tuple[RecordChange, ...]:
        if state.mls_changed:
            state.ratchets.written()
        changes = self._ledger.drain()
        if state.mls_changed:
            state.mls_changed = False
            changes += tuple(RecordChange(_MLS + key, value) for key, value in state.mls.changes())
        return changes

    def _end(self, status: GroupStatus, epoch: Epoch, step: Step) -> Effects:
        """The own member is out: keep no key and no state, only what people need to know."""
        state = self._live()
        known = {key for key, _ in state.mls.changes()} | set(state.mls.snapshot())
        mls = [RecordChange(_MLS + key, None) for key in sorted(known)]
        self._ledger.delete_all(b"")
        self._ended = Ended(SCHEMA, MACHINE, state.group_id, state.own, encode_message(state.charter), status, epoch)
        self._ledger.put(b"ended", self._ended)
        outbound = self._echoes.seal(step, state.engine)
        self._state = None
        return Effects(tuple(mls) + self._ledger.drain(), outbound, tuple(step.events), None)
