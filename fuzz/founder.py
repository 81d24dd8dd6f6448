"""Does a joiner stand whatever it is welcomed to? Frames for somebody who waits, and groups that somebody made up."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from functools import cache
from random import Random

from demls.protocol import policy as bounds
from demls.protocol.candidates import JOINER_EXTENSION
from demls.protocol.channel import joiner_channel, seal
from demls.protocol.commit_round import ROUND_LABEL
from demls.protocol.contacts import Inbox
from demls.protocol.continuity import first_head
from demls.protocol.credential import Device
from demls.protocol.engine import Engine, EngineError
from demls.protocol.errors import RequestRefused
from demls.protocol.governance import PROPOSAL_LABEL
from demls.protocol.group import SUPPORTED_EXTENSIONS, Group
from demls.protocol.joining import Joining
from demls.protocol.machines import load_machine
from demls.protocol.sync import BUNDLE_DATA
from demls.wire.chain import (
    Deed,
    Electorate,
    KeyAge,
    Reseated,
    Seat,
    StewardListing,
    Succession,
    electorate_hash,
    succession_hash,
)
from demls.wire.charters import Charter, Predecessor, Rule
from demls.wire.ids import Address, Duration, Instant
from demls.wire.messages import (
    Candidate,
    ChangeRequest,
    Frame,
    JoinerBundle,
    JoinerSecrets,
    Leave,
    PastElectorate,
    Proposal,
    Refresh,
    Remove,
    Resync,
    SettledCommit,
    Sync,
    Told,
    WelcomeBundle,
    encode_message,
)
from demls.wire.statements import RoundStatement, StatementKind
from demls_engine import Engine as RealEngine
from mutation import mutate_bytes, mutate_message, sample
from network import START, decoded, new_device, state_of
from scene import scene
from script import Act, mutate_script, read, write

_WAIT_MAX_MS = 400 * bounds.DAY

JOIN_SEALED, JOIN_RAW, JOIN_WAIT = range(3)


def attack_joining(data: bytes) -> None:
    """Frames and raw bytes for somebody who waits for a welcome."""
    at = scene()
    engine = RealEngine(bytes(32))
    joining, _ = Joining.load(at.joining, engine=engine, now=at.now)
    now = at.now
    for act in read(data):
        match act.kind % 3:
            case 0:
                message = decoded(act.data, Frame)
                if message is not None:
                    joining.receive(at.joiner_channel.topic, seal(at.joiner_channel, message.payload, engine), now)
            case 1:
                joining.receive(at.joiner_channel.topic, act.data, now)
            case _:
                now = Instant(now + min(int.from_bytes(act.data[:5], "big"), _WAIT_MAX_MS))
                joining.tick(now)
    use(joining, engine, now)


def joining_seeds() -> list[bytes]:
    answer = sample(Random(1), Frame)
    frame = encode_message(Frame(scene().welcome))
    wait = Act(JOIN_WAIT, (10_000).to_bytes(5, "big"))
    others = (Act(JOIN_SEALED, other) for other in scene().one_of_each)
    return [
        write([*others, Act(JOIN_SEALED, frame)]),
        write([Act(JOIN_SEALED, frame)]),
        write([wait, Act(JOIN_SEALED, encode_message(answer)), wait, Act(JOIN_SEALED, frame)]),
        write([Act(JOIN_RAW, bytes(64))]),
    ]


def mutate_joining(generator: Random, data: bytes, others: list[bytes]) -> bytes:
    def act(generator: Random, act: Act, others: list[bytes]) -> Act:
        if act.kind % 3 == JOIN_SEALED:
            return Act(act.kind, mutate_message(generator, act.data, others, Frame))
        return Act(act.kind, mutate_bytes(generator, act.data, others))

    return mutate_script(generator, data, others, act)


def use(joining: Joining, engine: Engine, now: Instant) -> None:
    """Whatever came of a joining: it can be shown and loaded, and goes on."""
    machine, _ = load_machine((joining.group or joining).snapshot(), engine=engine, now=now)
    go_on(machine, engine, now)


def go_on(machine: Group | Joining | Inbox, engine: Engine, now: Instant) -> None:
    """A member that came in can do whatever members do."""
    if not isinstance(machine, Group):
        return
    machine.view(now)
    machine.members()
    for wait in (0, 1_000, 60_000):
        machine.tick(Instant(now + wait))
    for act in (
        lambda: machine.send("text", now),
        lambda: machine.invite(relay="", lifetime=Duration(bounds.HOUR), now=now)[1],
        lambda: machine.refresh_keys(now),
        lambda: machine.propose(Remove(machine.members()[0].address), now),
        lambda: machine.leave(now),
    ):
        try:
            if machine.status.value == "member":
                act()
        except RequestRefused:
            pass
    machine.tick(Instant(now + 60_000))
    load_machine(machine.snapshot(), engine=engine, now=now)


FORGED_KINDS = 7
FORGED_CHARTER, FORGED_SYNC, FORGED_SECRETS, FORGED_TREE, FORGED_SETTLED, FORGED_REQUEST, FORGED_TOLD = range(
    FORGED_KINDS
)
"""What a hostile founder makes up; with FORGED_REQUEST it shows the guest's own request for its new seat."""


@dataclass(frozen=True)
class Guest:
    """Whom the hostile founder welcomes: somebody who waits because of a contact, or who has asked for a new seat."""

    group_id: bytes
    address: Address
    key_package: bytes
    records: dict[bytes, bytes]
    old_seat: Seat | None = None
    request: Proposal | None = None


@cache
def _founder() -> tuple[Device, Guest]:
    """The hostile founder's device, and somebody who waits because of a contact."""
    engine = RealEngine(b"f" * 32)
    device = new_device(engine, b"\1" * 32, "founder", START)
    joiner = new_device(engine, b"\2" * 32, "joiner", START)
    joining, _ = Joining.await_welcome(device=joiner, engine=engine, now=START)
    return device, Guest(b"g" * 32, joiner.address, joining.key_package, joining.snapshot())


def ages_of(*members: bytes) -> tuple[KeyAge, ...]:
    """The ages that a sync has to tell."""
    return tuple(KeyAge(member, 0, START) for member in sorted(members))


def attack_welcome(data: bytes) -> None:
    """A welcome that verifies, to a group whose founder made up all that is in it."""
    device, guest = _founder()
    engine = RealEngine(b"e" * 32)
    welcome = forged({act.kind % FORGED_KINDS: act.data for act in read(data)}, device, guest, engine)
    if welcome is None:
        return
    joining, _ = Joining.load(guest.records, engine=engine, now=START)
    channel = joiner_channel(guest.key_package)
    joining.receive(channel.topic, seal(channel, welcome, engine), START)
    if joining.group is not None:
        _go_on(joining.group, device, engine, guest.address)
    use(joining, engine, START)


def forged(acts: dict[int, bytes], device: Device, guest: Guest, engine: Engine) -> WelcomeBundle | None:
    """What the founder of a group of its own makes up for a guest; None if it is nothing."""
    group_id = guest.group_id
    charter, sync = acts.get(FORGED_CHARTER, b""), decoded(acts.get(FORGED_SYNC, b""), Sync)
    told = decoded(acts.get(FORGED_TOLD, b""), Told)
    if sync is None or told is None:
        return None
    seat = next(iter(told.roster))
    seats = (Seat(device.address, seat.leaf, device.leaf_key, seat.since, seat.dormant),)
    if guest.old_seat is not None:
        old = guest.old_seat if FORGED_REQUEST in acts else dataclasses.replace(guest.old_seat, dormant=True)
        seats += (old,)
    electorate = dataclasses.replace(told.electorate, epoch=0, seats=seats)
    signed = []
    for proposal in sync.proposals:
        own = dataclasses.replace(proposal, group_id=group_id, owner=device.address)
        signature = engine.sign(device.leaf_private, PROPOSAL_LABEL, own.id)
        signed.append(dataclasses.replace(own, signature=signature))
    keys = iter(told.succession.keys)
    ages = tuple(
        dataclasses.replace(next(keys, age), member_id=age.member_id) for age in ages_of(device.address, guest.address)
    )
    follows = dataclasses.replace(told.succession, keys=ages)
    if guest.old_seat is not None and follows.reseated:
        first = dataclasses.replace(follows.reseated[0], member_id=guest.address)
        follows = dataclasses.replace(follows, reseated=(first, *follows.reseated[1:]))
    told = dataclasses.replace(told, electorate=electorate, succession=follows)
    sync = dataclasses.replace(
        sync,
        group_id=group_id,
        epoch=0,
        electorate=electorate_hash(encode_message(electorate)),
        proposals=tuple(signed),
        succession=succession_hash(encode_message(follows)),
        electorates=tuple(PastElectorate(one.epoch, electorate_hash(encode_message(one))) for one in told.electorates),
    )
    raw_sync = encode_message(sync)
    joiner_key = bytes(32)
    secrets = acts.get(FORGED_SECRETS) or encode_message(JoinerSecrets(joiner_key, hashlib.sha256(raw_sync).digest()))
    try:
        mls = engine.create_group(
            group_id=group_id,
            signature_private=device.leaf_private,
            credential=device.credential(),
            extensions=device.extensions(),
            supported=SUPPORTED_EXTENSIONS,
            context_extensions={bounds.POLICY_EXTENSION: charter},
        )
        built = mls.propose_commit(adds=[guest.key_package], group_info_extensions={JOINER_EXTENSION: secrets})
        mls.merge(built.staged)
    except EngineError:
        return None
    candidate = Candidate(built.commit, built.welcome or b"", joiner_key, raw_sync)
    view = acts.get(FORGED_SETTLED, b"")[:8]
    lock = RoundStatement(
        0,
        sync.head,
        int.from_bytes(view, "big"),
        candidate.id,
        b"",
        device.address,
        bytes(64),
        int(StatementKind.LOCK),
    )
    signature = engine.sign(device.leaf_private, ROUND_LABEL, lock.content(group_id))
    lock = dataclasses.replace(lock, signature=signature)
    sent = dataclasses.replace(candidate, welcome=b"", joiner_key=b"")
    own = (guest.request,) if FORGED_REQUEST in acts and guest.request is not None else ()
    settled = SettledCommit.of(0, sync.head, sent, lock.view, (lock,), own)
    tree = acts.get(FORGED_TREE) or mls.ratchet_tree()
    bundle = engine.seal(joiner_key, encode_message(JoinerBundle(tree, settled, told)), BUNDLE_DATA)
    return WelcomeBundle(candidate.welcome, bundle)


def _go_on(group: Group, founder: Device, engine: Engine, guest: Address) -> None:
    """The hostile founder proposes to remove its only guest, then leaves, which needs no vote."""
    now = START
    for change in (Remove(guest), Leave()):
        if group.status.value == "member":
            state = state_of(group)
            electorate = state.governance.electorates.get(state.epoch)
            duration = electorate.rule(change).duration if electorate is not None else 0
            unsigned = Proposal(
                group.group_id, state.epoch, founder.address, ChangeRequest(change), now, duration, bytes(64)
            )
            signature = engine.sign(founder.leaf_private, PROPOSAL_LABEL, unsigned.id)
            proposal = dataclasses.replace(unsigned, signature=signature)
            group.receive(state.channel.topic, seal(state.channel, proposal, engine), now)
            now = Instant(now + 1_000)
            group.tick(now)


def founded(charter: Charter, sync: Sync) -> list[Act]:
    """What a hostile founder makes up of its group."""
    return [Act(FORGED_CHARTER, encode_message(charter)), Act(FORGED_SYNC, encode_message(sync))]


def welcome_seeds() -> list[bytes]:
    device, guest = _founder()
    group_id = guest.group_id
    seat = Seat(device.address, 0, device.leaf_key, 0)
    charter = Charter(1, "demls", "friends", "", bytes(32), bounds.QUICK)
    listed = StewardListing((device.address,), 0, 0, 0, (), ())
    electorate = Electorate(0, (seat,), (device.address,), bounds.QUICK)
    ages = ages_of(device.address, guest.address)
    follows = Succession(listed, (), (), (), ages)
    plain = Sync(group_id, 0, first_head(group_id), bytes(32), bytes(32), (), START, (), bytes(32))
    told = Told(electorate, follows, (), (), ())
    proposal = sample(Random(3), Proposal)
    busy = dataclasses.replace(
        plain,
        proposals=(
            dataclasses.replace(
                proposal,
                epoch=0,
                duration=30_000,
                change=dataclasses.replace(proposal.change, payload=Remove(device.address)),
            ),
        ),
    )
    much = dataclasses.replace(sample(Random(4), Told), electorate=electorate, succession=follows)
    top = 2**64 - 1
    slow = dataclasses.replace(charter, policy=dataclasses.replace(charter.policy, remove=Rule(top, True)))
    late = dataclasses.replace(plain, time=top)
    odd = dataclasses.replace(
        told, succession=dataclasses.replace(sample(Random(6), Succession), stewards=listed, dormant=(), keys=ages)
    )
    doing = dataclasses.replace(
        told, succession=dataclasses.replace(follows, deeds=(Deed(device.address, 0, 2**32 - 2),))
    )
    returned = Reseated(device.address, 0, START)
    wish = ChangeRequest(
        Resync(device.leaf_key, b"", guest.key_package, START + bounds.HOUR, 1, 1, bytes(16), bytes(65))
    )
    waiting = Proposal(group_id, 0, device.address, wish, START, 0, bytes(64))
    seated = dataclasses.replace(
        plain,
        proposals=(waiting, dataclasses.replace(waiting, change=ChangeRequest(Refresh(b"update", True)))),
    )
    anew = dataclasses.replace(
        told,
        succession=dataclasses.replace(follows, reseated=(returned, returned, Reseated(guest.address, 1, START))),
    )
    asleep = dataclasses.replace(told, succession=dataclasses.replace(follows, dormant=(device.address,)))
    heir = dataclasses.replace(charter, predecessor=(Predecessor(bytes(32), 7, bytes(32), (guest.address,)),))
    return [
        write([*founded(charter, sync), Act(FORGED_TOLD, encode_message(told))])
        for charter, sync, told in (
            *((charter, plain, told), (charter, busy, much), (slow, plain, told), (charter, late, told)),
            *((charter, plain, odd), (charter, plain, doing), (charter, plain, asleep), (heir, plain, told)),
            (charter, seated, anew),
        )
    ]


def mutate_welcome(generator: Random, data: bytes, others: list[bytes]) -> bytes:
    """Also for a returner, who has one kind of step more."""
    kinds = {FORGED_CHARTER: Charter, FORGED_SYNC: Sync, FORGED_TOLD: Told, FORGED_SECRETS: JoinerSecrets}

    def act(generator: Random, act: Act, others: list[bytes]) -> Act:
        kind = kinds.get(act.kind)
        if kind is None:
            return Act(act.kind, mutate_bytes(generator, act.data, others))
        return Act(act.kind, mutate_message(generator, act.data, others, kind))

    if generator.random() < 0.1:
        return data + write([Act(generator.randrange(2, FORGED_KINDS + 1), generator.randbytes(40))])
    return mutate_script(generator, data, others, act)
