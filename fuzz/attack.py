"""Does a member stand whatever insiders send? One script against a fresh victim, and its law."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from random import Random

from demls.protocol import policy as bounds
from demls.protocol.candidates import JOINER_EXTENSION
from demls.protocol.channel import Channel, seal
from demls.protocol.chat import MESSAGE_LABEL
from demls.protocol.commit_round import OFFER_LABEL, ROUND_LABEL
from demls.protocol.continuity import DIGEST_LABEL
from demls.protocol.credential import BINDING_EXTENSION, CredentialRefused
from demls.protocol.effects import Effects
from demls.protocol.electorates import VOTE_LABEL
from demls.protocol.engine import EngineError
from demls.protocol.errors import RequestRefused
from demls.protocol.governance import PROPOSAL_LABEL
from demls.protocol.group import Group
from demls.protocol.repair import PLACES_LABEL, QUESTION_LABEL, REPAIR_DATA
from demls.protocol.requests import INVITE_LABEL
from demls.protocol.resync import resync_sentence
from demls.protocol.stranding import NOTHING_KEPT_LABEL
from demls.protocol.successors import SUCCESSOR_LABEL
from demls.protocol.sync import build_sync
from demls.protocol.validation import added_by, amended_context
from demls.protocol.views import GroupStatus
from demls.wire.chain import Succession, succession_hash
from demls.wire.ids import Duration, Instant, Topic
from demls.wire.messages import (
    Binding,
    Candidate,
    ChangeRequest,
    CommitContext,
    Digest,
    Entry,
    Frame,
    JoinerSecrets,
    JoinRequest,
    NothingKept,
    Offer,
    PartsRequest,
    Payload,
    PrivateMessage,
    Proposal,
    Refresh,
    Remove,
    Resync,
    ResyncReason,
    Settings,
    SettledCommit,
    SuccessorNotice,
    Vote,
    VoteBundle,
    encode_message,
    invite_content,
)
from demls.wire.statements import RoundStatement, StatementKind
from demls.wire.talk import ChatPlaces, ChatQuestion, ConversationMessage, SaidAgain, SpokenMessage
from demls_consensus import Malformed, SignedVote, wallet_sign
from demls_engine import Engine as RealEngine
from judge import Broken
from mutation import mutate_bytes, mutate_message, sample
from network import decoded, state_of
from scene import (
    CHAT,
    COMMIT,
    FLOOD,
    KINDS,
    RENDEZVOUS,
    SEALED,
    SEALED_OLD,
    SIGNED,
    SIGNED_RENDEZVOUS,
    UPDATE,
    returning_channel,
    scene,
)
from script import Act, mutate_script, read

RECORDS_MAX = {
    b"group": 1,
    b"ended": 1,
    b"standing": 1,
    b"since": 1,
    b"channel": bounds.SETTLED_KEPT + 1,
    b"owners": bounds.CHANNELS_KEPT + 1,
    b"electorate": 256,
    b"settled": bounds.SETTLED_KEPT + 1,
    b"proposal": 1024,
    b"vote": 4096,
    b"round": 2048,
    b"request": bounds.REQUESTS_MAX,
    b"token": 512,
    b"welcome": 64,
    b"chat": 64,
    b"copy": 512,
    b"kept": bounds.SETTLED_KEPT + 1,
    b"repair": bounds.SETTLED_KEPT + 1,
    b"heard": 64,
    b"successor": bounds.SUCCESSORS_MAX,
    b"returning": 1,
    b"unsent": bounds.UNSENT_MAX,
    b"refresh": 2,
    b"mls": 256,
}
"""How many records of each kind a group of a few members may keep, whatever it receives in one script."""
OTHER_RECORDS_MAX = 256
OUTBOUND_MAX = 1024
_WAIT_MAX_MS = 400 * bounds.DAY
_FLOOD_MAX = 150


class Attack:
    """One script against a fresh victim."""

    def __init__(self) -> None:
        self.scene = scene()
        self.engine = RealEngine(bytes(32))
        self.now = self.scene.now
        self.records = dict(self.scene.victim)
        self.group, effects = Group.load(self.records, engine=self.engine, now=self.now)
        self.insider = None
        self.is_flooded = False
        self.take(effects)

    def run(self, acts: list[Act]) -> None:
        for act in acts:
            if self.group.status is GroupStatus.RETURNING:
                self.step_of_returning(act.kind % KINDS, act.data)
            elif self.group.status is not GroupStatus.MEMBER:
                break
            elif act.kind % KINDS != FLOOD or not self.is_flooded:
                self.step(act.kind % KINDS, act.data)
        check_records(self.records)
        self.restart()

    def take(self, effects: Effects) -> None:
        for change in effects.changes:
            if change.value is None:
                self.records.pop(change.key, None)
            else:
                self.records[change.key] = change.value
        if len(effects.outbound) > OUTBOUND_MAX:
            raise Broken(f"{len(effects.outbound)} envelopes in answer to one")

    def restart(self) -> None:
        """What was kept can be loaded and shown, and is the whole state."""
        if self.group.snapshot() != self.records:
            raise Broken("the changes do not add up to the snapshot")
        self.group.view(self.now)
        self.group.members()
        self.group, effects = Group.load(self.records, engine=self.engine, now=self.now)
        self.take(effects)

    def step(self, kind: int, data: bytes) -> None:
        state = state_of(self.group)
        match kind:
            case 0:
                self.seal(state.channel, data)
            case 1:
                self.seal(min(state.channels.items())[1], data)
            case 2:
                self.seal(self.scene.rendezvous, data)
            case 3:
                self.signed(data)
            case 4:
                self.receive(state.channel.topic, data)
            case 5:
                self.receive(self.scene.rendezvous.topic, data)
            case 6:
                self.wait(data)
            case 7:
                self.own(data[0] if data else 0)
            case 8:
                self.commit(data)
            case 9:
                self.flood(data)
            case 10:
                self.chat(data)
            case 11:
                self.restart()
            case 13:
                self.signed(data, self.scene.rendezvous)
            case 14:
                self.update(data)
            case _:
                self.receive(state.channel.topic, self.engine.seal(state.channel.key, data, state.channel.topic))

    def step_of_returning(self, kind: int, data: bytes) -> None:
        """The victim waits for a new seat: all that reaches it is what lands where it is answered."""
        (topic,) = self.group.topics()
        match kind:
            case 4 | 5:
                self.receive(topic, data)
            case 6:
                self.wait(data)
            case 7:
                self.own(data[0] if data else 0)
            case 11:
                self.restart()
            case _:
                message = decoded(data, Frame)
                if message is not None:
                    self.receive(topic, seal(returning_channel(self.records), message.payload, self.engine))

    def wait(self, data: bytes) -> None:
        self.now = Instant(self.now + min(int.from_bytes(data[:5], "big"), _WAIT_MAX_MS))
        self.take(self.group.tick(self.now))

    def receive(self, topic: Topic, payload: bytes) -> None:
        self.take(self.group.receive(topic, payload, self.now))

    def seal(self, channel: Channel, frame: bytes) -> None:
        message = decoded(frame, Frame)
        if message is not None:
            self.say(message.payload, channel)

    def say(self, message: Payload, channel: Channel | None = None) -> None:
        if self.group.status.value == "member":
            channel = channel or state_of(self.group).channel
            self.receive(channel.topic, seal(channel, message, self.engine))

    def signed(self, frame: bytes, channel: Channel | None = None) -> None:
        message = decoded(frame, Frame)
        if message is not None:
            self.say(self.sign(message.payload), channel)

    def sign(self, message: Payload) -> Payload:
        """The same message with a good signature of the insider that it names."""
        group_id, sign = self.group.group_id, self.engine.sign
        match message:
            case Proposal():
                device = self.scene.signer(message.owner)
                message = dataclasses.replace(message, group_id=group_id, owner=device.address)
                if isinstance(message.change.payload, Resync):
                    message = self.sign_by_wallet(message, message.change.payload)
                return dataclasses.replace(message, signature=sign(device.leaf_private, PROPOSAL_LABEL, message.id))
            case Vote():
                return self.sign_vote(message)
            case VoteBundle():
                return VoteBundle(tuple(map(self.sign_vote, message.votes)))
            case RoundStatement():
                device = self.scene.signer(message.member)
                message = dataclasses.replace(message, member=device.address)
                signature = sign(device.leaf_private, ROUND_LABEL, message.content(group_id))
                return dataclasses.replace(message, signature=signature)
            case Digest():
                device = self.scene.signer(message.member)
                message = dataclasses.replace(message, member=device.address)
                signature = sign(device.leaf_private, DIGEST_LABEL, message.content(group_id))
                return dataclasses.replace(message, signature=signature)
            case Offer():
                device = self.scene.signer(message.leader)
                message = dataclasses.replace(
                    message,
                    leader=device.address,
                    certificate=tuple(self.sign(ack) for ack in message.certificate),
                    proposals=tuple(self.sign(proposal) for proposal in message.proposals),
                    votes=tuple(self.sign(vote) for vote in message.votes),
                )
                signature = sign(device.leaf_private, OFFER_LABEL, message.content(group_id))
                return dataclasses.replace(message, signature=signature)
            case SettledCommit():
                return self.certified(message)
            case JoinRequest():
                device = self.scene.signer(message.issuer)
                content = invite_content(group_id, message.token, message.expires, device.address)
                signature = sign(device.leaf_private, INVITE_LABEL, content)
                return dataclasses.replace(message, issuer=device.address, signature=signature)
            case SuccessorNotice():
                device = self.scene.signer(message.member)
                message = dataclasses.replace(message, member=device.address)
                signature = sign(device.leaf_private, SUCCESSOR_LABEL, message.content(group_id))
                return dataclasses.replace(message, signature=signature)
            case NothingKept():
                device = self.scene.signer(message.member)
                message = dataclasses.replace(message, member=device.address)
                signature = sign(device.leaf_private, NOTHING_KEPT_LABEL, message.content(group_id))
                return dataclasses.replace(message, signature=signature)
            case ChatQuestion() | ChatPlaces():
                device = self.scene.signer(message.member)
                message = dataclasses.replace(message, member=device.address)
                label = QUESTION_LABEL if isinstance(message, ChatQuestion) else PLACES_LABEL
                signature = sign(device.leaf_private, label, message.content(group_id))
                return dataclasses.replace(message, signature=signature)
            case SaidAgain():
                return self.sealed_again(message)
        return message

    def sign_by_wallet(self, proposal: Proposal, change: Resync) -> Proposal:
        """The request for a new seat with a good signature of its owner's wallet."""
        try:
            sentence = resync_sentence(proposal.group_id, proposal.owner, change)
        except CredentialRefused:
            return proposal  # a date that no sentence can name
        signature = wallet_sign(self.scene.wallets[proposal.owner], sentence.encode())
        return dataclasses.replace(
            proposal, change=ChangeRequest(dataclasses.replace(change, wallet_signature=signature))
        )

    def sealed_again(self, message: SaidAgain) -> SaidAgain:
        """What is not sealed yet is signed and sealed."""
        spoken = decoded(message.sealed, SpokenMessage)
        key = state_of(self.group).repair_key(message.epoch)
        if spoken is None or key is None:
            return message
        device = self.scene.signer(spoken.member)
        content = spoken.message.content(self.group.group_id)
        signature = self.engine.sign(device.leaf_private, MESSAGE_LABEL, content)
        signed = SpokenMessage(device.address, dataclasses.replace(spoken.message, signature=signature))
        return SaidAgain(message.epoch, self.engine.seal(key, encode_message(signed), REPAIR_DATA))

    def sign_vote(self, message: Vote) -> Vote:
        try:
            vote = SignedVote.decode(message.signed_vote)
        except Malformed:
            return message
        device = self.scene.signer(vote.voter)
        signed = SignedVote.cast(
            vote.proposal_id,
            device.address,
            vote.choice,
            vote.time_ms,
            lambda content: self.engine.sign(device.leaf_private, VOTE_LABEL, content),
        )
        return Vote(signed.encode())

    def certified(self, settled: SettledCommit) -> SettledCommit:
        """With locks of all insiders, who are a quorum here."""
        locks = [
            RoundStatement(
                settled.epoch,
                settled.head,
                settled.view,
                settled.candidate.id,
                b"",
                address,
                bytes(64),
                int(StatementKind.LOCK),
            )
            for address in self.scene.devices
        ]
        signed = tuple(self.sign(lock) for lock in locks)
        return SettledCommit.of(settled.epoch, settled.head, settled.candidate, settled.view, signed, settled.proposals)

    def commit(self, context: bytes) -> None:
        """A real commit with this authenticated data, for what is open, certified by the insiders."""
        insider = self.mls()
        state = state_of(self.group)
        if insider.epoch != state.epoch:
            return
        going = list(state.governance.in_flight())
        own = state.roster.owner_of(insider.own_leaf)
        removed = {item.subject for item in going if item.effect[0] == "remove"} - {own}
        reseated = {
            item.subject: item
            for item in going
            if isinstance(item.change, Resync) and item.subject not in (own, *removed)
        }
        removes = [leaf for member in removed for leaf in state.roster.leaves_of(member)]
        removes += [state.roster.seat(member).leaf for member in reseated]
        adds = added_by(reseated.values())
        read_context = decoded(context, CommitContext)
        if read_context is not None:
            entries = tuple(Entry(item.proposal_id, b"") for item in going[:50]) or read_context.entries
            leaders = state.state.leaders
            led = next(
                place for place, member in enumerate(leaders) if state.roster.seat(member).leaf == insider.own_leaf
            )
            view = read_context.view // 4 * len(leaders) + led
            context = encode_message(
                dataclasses.replace(read_context, head=state.state.head, entries=entries, view=view)
            )
        settings = next((item.change for item in going if isinstance(item.change, Settings)), None)
        context_extensions = None if settings is None else amended_context(state.charter, settings)
        updates = tuple(
            item.change.update
            for item in going
            if isinstance(item.change, Refresh) and item.subject not in (own, *removed, *reseated)
        )
        joiner_key = sync = b""
        if adds and read_context is not None:
            joiner_key, sync = bytes(32), self.sync(Instant(read_context.time))
        secrets = JoinerSecrets(joiner_key, hashlib.sha256(sync).digest()) if sync else None
        try:
            built = insider.propose_commit(
                adds=adds,
                removes=removes,
                updates=updates,
                context_extensions=context_extensions,
                authenticated_data=context,
                group_info_extensions={JOINER_EXTENSION: encode_message(secrets)} if secrets else None,
            )
        except EngineError:
            return
        candidate = Candidate(built.commit, built.welcome or b"", joiner_key, sync, updates)
        settled = SettledCommit.of(state.epoch, state.state.head, candidate, 0, (), ())
        self.say(self.sign(Offer(state.epoch, state.state.head, 0, candidate, (), (), b"", bytes(64), ())))
        self.say(self.certified(settled))

    def sync(self, time: Instant) -> bytes:
        """What those are told who come in by a commit of this time."""
        state = state_of(self.group)
        follows = Succession(
            state.state.stewards.listing(), state.state.lost, (), state.state.deeds, state.state.reseated
        )
        named = succession_hash(encode_message(follows))
        return encode_message(build_sync(state.state, state.governance, state.group_id, time, named))

    def update(self, binding: bytes) -> None:
        """A real Update of the leader's leaf, with this wallet binding if there is one, asked for in its name."""
        state = state_of(self.group)
        leader = self.loaded(self.scene.leader_records)
        if leader.epoch != state.epoch:
            return
        owner = state.roster.owner_of(leader.own_leaf)
        update, _ = leader.propose_update(extensions={BINDING_EXTENSION: binding} if binding else None)
        refresh = ChangeRequest(Refresh(update, bool(binding)))
        self.say(self.sign(Proposal(state.group_id, state.epoch, owner, refresh, self.now, 0, bytes(64))))

    def loaded(self, records: dict[bytes, bytes]):
        return self.engine.load_group(
            {key.removeprefix(b"mls/"): value for key, value in records.items() if key.startswith(b"mls/")}
        )

    def mls(self):
        if self.insider is None:
            self.insider = self.loaded(self.scene.insider_records)
        return self.insider

    def chat(self, plaintext: bytes) -> None:
        self.say(PrivateMessage(self.mls().encrypt(plaintext)))

    def flood(self, frame: bytes) -> None:
        """Hundreds of such messages, each a little different and each well signed."""
        message = decoded(frame, Frame)
        if message is None:
            return
        self.is_flooded = True
        for number in range(_FLOOD_MAX):
            self.say(
                self.sign(varied(message.payload, number)),
                self.scene.rendezvous if belongs_on_rendezvous(message.payload) else None,
            )

    def own(self, what: int) -> None:
        """What the victim's person does meanwhile."""
        group, now = self.group, self.now
        try:
            match what % 11:
                case 0 | 1:
                    for proposal in group.view(now).proposals:
                        if proposal.may_vote and self.group.status.value == "member":
                            self.take(group.vote(proposal.proposal_id, what % 11 == 0, now))
                case 2:
                    self.take(group.send("text", now))
                case 3:
                    self.take(group.leave(now))
                case 4:
                    self.take(group.propose(Remove(next(iter(self.scene.devices))), now))
                case 6:
                    self.take(group.change_settings(now, name="ours"))
                case 7:
                    for request in group.view(now).requests:
                        self.take(group.sponsor(request.request_id, now))
                case 8:
                    self.take(group.refresh_keys(now))
                case 9 if group.status is GroupStatus.RETURNING:
                    self.take(group.use_wallet(self.sign_as_victim, now))
                case 9:
                    self.take(group.forget_messages(now, now))
                case 10:
                    self.take(group.rejoin(self.sign_as_victim, ResyncReason.WISH, now))
                case _:
                    self.take(group.invite(relay="", lifetime=Duration(bounds.HOUR), now=now)[1])
        except RequestRefused:
            pass

    def sign_as_victim(self, sentence: str) -> bytes:
        return wallet_sign(self.scene.victim_wallet, sentence.encode())


def belongs_on_rendezvous(message: Payload) -> bool:
    is_request = isinstance(message, Proposal) and isinstance(message.change.payload, Resync)
    return is_request or isinstance(message, JoinRequest | NothingKept | PartsRequest)


def varied(message: Payload, number: int) -> Payload:
    """A message of its own for each number."""
    unique = hashlib.sha256(number.to_bytes(4, "big")).digest()
    match message:
        case Proposal(change=ChangeRequest(Resync() as change)):
            change = dataclasses.replace(change, nonce=unique[:16], expires=change.expires + number * bounds.MINUTE)
            created = message.created_at + number * bounds.MINUTE
            return dataclasses.replace(message, created_at=created, change=ChangeRequest(change))
        case PartsRequest():
            return dataclasses.replace(message, bundle=unique)
        case NothingKept():
            return dataclasses.replace(message, oldest=message.oldest + number, member=unique[:20])
        case Proposal():
            return dataclasses.replace(message, created_at=number)
        case Vote():
            raw = message.signed_vote
            return Vote(raw[:1] + unique + raw[33:])
        case VoteBundle(votes=votes):
            return VoteBundle(tuple(Vote(vote.signed_vote[:1] + unique + vote.signed_vote[33:]) for vote in votes))
        case RoundStatement():
            return dataclasses.replace(message, view=number % 200, kind=1 + number % 2)
        case Offer():
            return dataclasses.replace(message, view=number)
        case Digest():
            return dataclasses.replace(message, view=number)
        case JoinRequest():
            return dataclasses.replace(message, token=unique[:16])
        case SuccessorNotice():
            return dataclasses.replace(message, head=unique)
        case ChatQuestion() | ChatPlaces():
            return dataclasses.replace(message, number=number + 10)
        case SaidAgain():
            spoken = decoded(message.sealed, SpokenMessage)
            if spoken is not None:
                text = dataclasses.replace(spoken.message, counter=2 * number + 1, message_id=unique[:16])
                return SaidAgain(message.epoch, encode_message(SpokenMessage(spoken.member, text)))
    return message


def check_records(records: dict[bytes, bytes]) -> None:
    """Each kind of record within its bound."""
    for kind, count in Counter(key.split(b"/")[0] for key in records).items():
        if count > RECORDS_MAX.get(kind, OTHER_RECORDS_MAX):
            raise Broken(f"{count} records of the kind {kind.decode()}")


_KINDS = {
    **dict.fromkeys((SEALED, SEALED_OLD, RENDEZVOUS, SIGNED, SIGNED_RENDEZVOUS, FLOOD), Frame),
    COMMIT: CommitContext,
    CHAT: ConversationMessage,
    UPDATE: Binding,
}


def mutate_attack(generator: Random, data: bytes, others: list[bytes]) -> bytes:
    return mutate_script(generator, data, others, _mutate_act)


def _mutate_act(generator: Random, act: Act, others: list[bytes]) -> Act:
    match generator.randrange(8):
        case 0:
            return Act(generator.randrange(KINDS), act.data)
        case 1:
            return Act({SEALED: SIGNED, RENDEZVOUS: SIGNED_RENDEZVOUS}.get(act.kind, act.kind), act.data)
        case 2:
            frame = Frame(sample(generator, Frame).payload)
            return Act(generator.choice((SEALED, SIGNED, RENDEZVOUS, SIGNED_RENDEZVOUS)), encode_message(frame))
    kind = _KINDS.get(act.kind % KINDS)
    if kind is None:
        return Act(act.kind, mutate_bytes(generator, act.data, others))
    return Act(act.kind, mutate_message(generator, act.data, others, kind))


def raw_envelope(data: bytes) -> None:
    """Bytes that nobody sealed, on every topic of the group."""
    attack = Attack()
    before = dict(attack.records)
    for topic in attack.group.topics():
        attack.receive(topic, data)
    attack.receive(Topic(bytes(32)), data)
    if attack.records != before:
        raise Broken("raw bytes have changed the records")


def attack_group(data: bytes) -> None:
    Attack().run(read(data))
