"""Does a joiner stand whatever it is welcomed to? Frames for somebody who waits, and groups that somebody made up."""

from __future__ import annotations

import dataclasses
import hashlib
from functools import cache
from random import Random

from demls.protocol import policy as bounds
from demls.protocol.candidates import JOINER_EXTENSION
from demls.protocol.channel import joiner_channel, seal
from demls.protocol.commit_round import ROUND_LABEL
from demls.protocol.continuity import first_head
from demls.protocol.credential import Device
from demls.protocol.engine import Engine, EngineError
from demls.protocol.errors import RequestRefused
from demls.protocol.governance import PROPOSAL_LABEL
from demls.protocol.group import SUPPORTED_EXTENSIONS, Group
from demls.protocol.joining import Joining
from demls.protocol.machines import load_machine
from demls.protocol.sync import BUNDLE_DATA
from demls.wire.charters import Charter, Predecessor, Rule
from demls.wire.ids import Address, Duration, Instant
from demls.wire.messages import (
    Candidate,
    ChangeRequest,
    Deed,
    Electorate,
    Frame,
    JoinerBundle,
    JoinerSecrets,
    KeyAge,
    Leave,
    Proposal,
    Remove,
    Seat,
    SettledCommit,
    StewardListing,
    Succession,
    Sync,
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
    return [
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
    records = joining.snapshot() if joining.group is None else joining.group.snapshot()
    machine, _ = load_machine(records, engine=engine, now=now)
    if not isinstance(machine, Group):
        return
    machine.view(now)
    machine.members()
    for wait in (0, 1_000, 60_000):
        machine.tick(Instant(now + wait))
    for act in (
        lambda: machine.send("text", now),
        lambda: machine.invite(relay="", lifetime=Duration(bounds.HOUR), now=now)[1],
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


FORGED_CHARTER, FORGED_SYNC, FORGED_SECRETS, FORGED_TREE, FORGED_SETTLED = range(5)


@cache
def _founder() -> tuple[Device, bytes, Joining, dict[bytes, bytes], bytes, Address]:
    """The hostile founder's device, group id, and somebody who waits because of a contact."""
    engine = RealEngine(b"f" * 32)
    device = new_device(engine, b"\1" * 32, "founder", START)
    joiner = new_device(engine, b"\2" * 32, "joiner", START)
    joining, _ = Joining.await_welcome(device=joiner, engine=engine, now=START)
    return device, b"g" * 32, joining, joining.snapshot(), joining.key_package, joiner.address


def _both_members() -> list[bytes]:
    device, *_, joiner = _founder()
    return sorted((device.address, joiner))


def attack_welcome(data: bytes) -> None:
    """A welcome that verifies, to a group whose founder made up all that is in it."""
    device, group_id, _, records, key_package, _ = _founder()
    acts = {act.kind % 5: act.data for act in read(data)}
    engine = RealEngine(b"e" * 32)
    charter, sync = acts.get(FORGED_CHARTER, b""), decoded(acts.get(FORGED_SYNC, b""), Sync)
    if sync is None:
        return
    seat = next(iter(sync.roster))
    seats = (Seat(device.address, seat.leaf, device.leaf_key, seat.since, seat.dormant),)
    electorate = dataclasses.replace(sync.electorate, epoch=0, seats=seats)
    signed = []
    for proposal in sync.proposals:
        own = dataclasses.replace(proposal, group_id=group_id, owner=device.address)
        signature = engine.sign(device.leaf_private, PROPOSAL_LABEL, own.id)
        signed.append(dataclasses.replace(own, signature=signature))
    told = iter(sync.succession.keys)
    ages = tuple(
        dataclasses.replace(next(told, KeyAge(address, 0, START)), member_id=address) for address in _both_members()
    )
    follows = dataclasses.replace(sync.succession, keys=ages)
    sync = dataclasses.replace(
        sync, group_id=group_id, epoch=0, electorate=electorate, proposals=tuple(signed), succession=follows
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
        built = mls.propose_commit(adds=[key_package], group_info_extensions={JOINER_EXTENSION: secrets})
        mls.merge(built.staged)
    except EngineError:
        return
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
    settled = SettledCommit(0, sync.head, sent, lock.view, (lock,), ())
    tree = acts.get(FORGED_TREE) or mls.ratchet_tree()
    bundle = engine.seal(joiner_key, encode_message(JoinerBundle(tree, settled)), BUNDLE_DATA)
    joining, _ = Joining.load(records, engine=engine, now=START)
    channel = joiner_channel(key_package)
    welcome = WelcomeBundle(candidate.welcome, bundle)
    joining.receive(channel.topic, seal(channel, welcome, engine), START)
    if joining.group is not None:
        _go_on(joining.group, device, engine)
    use(joining, engine, START)


def _go_on(group: Group, founder: Device, engine: Engine) -> None:
    """The hostile founder proposes to remove its only guest, then leaves, which needs no vote."""
    now = START
    for change in (Remove(_founder()[5]), Leave()):
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


def welcome_seeds() -> list[bytes]:
    device, group_id, *_ = _founder()
    seat = Seat(device.address, 0, device.leaf_key, 0)
    charter = Charter(1, "demls", "friends", "", bytes(32), bounds.QUICK)
    listed = StewardListing((device.address,), 0, 0, 0, (), ())
    electorate = Electorate(0, (seat,), (device.address,), bounds.QUICK)
    ages = tuple(KeyAge(address, 0, START) for address in _both_members())
    follows = Succession(listed, (), (), (), ages)
    plain = Sync(group_id, 0, first_head(group_id), electorate, follows, (), (), START, (), (), bytes(32))
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
        electorates=sample(Random(4), Sync).electorates,
        used_tokens=sample(Random(5), Sync).used_tokens,
    )
    top = 2**64 - 1
    slow = dataclasses.replace(charter, policy=dataclasses.replace(charter.policy, remove=Rule(top, True)))
    late = dataclasses.replace(plain, time=top)
    odd = dataclasses.replace(
        plain, succession=dataclasses.replace(sample(Random(6), Succession), stewards=listed, dormant=(), keys=ages)
    )
    doing = dataclasses.replace(
        plain, succession=dataclasses.replace(follows, deeds=(Deed(device.address, 0, 2**32 - 2),))
    )
    asleep = dataclasses.replace(plain, succession=dataclasses.replace(follows, dormant=(device.address,)))
    heir = dataclasses.replace(charter, predecessor=(Predecessor(bytes(32), 7, bytes(32), (_founder()[5],)),))
    return [
        write([Act(FORGED_CHARTER, encode_message(charter)), Act(FORGED_SYNC, encode_message(sync))])
        for charter, sync in (
            *((charter, plain), (charter, busy), (slow, plain), (charter, late)),
            *((charter, odd), (charter, doing), (charter, asleep), (heir, plain)),
        )
    ]


def mutate_welcome(generator: Random, data: bytes, others: list[bytes]) -> bytes:
    kinds = {FORGED_CHARTER: Charter, FORGED_SYNC: Sync, FORGED_SECRETS: JoinerSecrets}

    def act(generator: Random, act: Act, others: list[bytes]) -> Act:
        kind = kinds.get(act.kind % 5)
        if kind is None:
            return Act(act.kind, mutate_bytes(generator, act.data, others))
        return Act(act.kind, mutate_message(generator, act.data, others, kind))

    if generator.random() < 0.1:
        return data + write([Act(generator.randrange(2, 5), generator.randbytes(40))])
    return mutate_script(generator, data, others, act)
