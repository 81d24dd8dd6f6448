"""Do the two sides of a contact stand whatever lands in an inbox?"""

from __future__ import annotations

from functools import cache
from random import Random

from demls.protocol.channel import Channel, channel_of, seal, unseal
from demls.protocol.contacts import Fetching, Inbox
from demls.protocol.credential import Device
from demls.protocol.joining import Joining
from demls.protocol.machines import load_machine
from demls.wire.ids import Instant
from demls.wire.messages import (
    Frame,
    KeyPackageAnswer,
    KeyPackageRequest,
    encode_message,
)
from demls_engine import Engine as RealEngine
from judge import Broken
from mutation import mutate_message
from network import START, decoded, new_device
from scene import scene
from script import Act, mutate_script, read, write


@cache
def _inbox() -> tuple[dict[bytes, bytes], Channel, Device]:
    engine = RealEngine(b"i" * 32)
    inbox, _ = Inbox.create(engine=engine, now=START)
    contact = inbox.contact(bytes(20), "me", "")
    return inbox.snapshot(), channel_of(contact.inbox), new_device(engine, b"\3" * 32, "me", START)


def attack_inbox(data: bytes) -> None:
    """Requests for key packages, and whatever else lands in an inbox."""
    records, channel, device = _inbox()
    engine = RealEngine(bytes(32))
    inbox, _ = Inbox.load(records, engine=engine, now=START)
    inbox.devices = lambda now: device  # noqa: ARG005
    now = START
    for act in read(data):
        message = decoded(act.data, Frame)
        now = Instant(now + act.kind * 60_000)
        payload = seal(channel, message.payload, engine) if message is not None else act.data
        effects = inbox.receive(channel.topic, payload, now)
        if len(effects.outbound) > 1 or len(inbox.take_new()) != len(effects.outbound):
            raise Broken("more than one answer, or an answer without a joining")
    kept = inbox.snapshot()
    if sum(len(key) + len(value) for key, value in kept.items()) > 4096:
        raise Broken("the inbox keeps too much")
    load_machine(kept, engine=engine, now=now)


def inbox_seeds() -> list[bytes]:
    requests = [encode_message(Frame(KeyPackageRequest(bytes([number]) * 32))) for number in range(40)]
    return [
        write([Act(0, requests[0])]),
        write([Act(0, request) for request in requests]),
        write([Act(3, request) for request in requests]),
        write([Act(0, frame) for frame in scene().one_of_each]),
        write([Act(0, b"x")]),
    ]


def mutate_frames(generator: Random, data: bytes, others: list[bytes]) -> bytes:
    def act(generator: Random, act: Act, others: list[bytes]) -> Act:
        if generator.random() < 0.2:
            return Act(generator.randrange(256), act.data)
        return Act(act.kind, mutate_message(generator, act.data, others, Frame))

    return mutate_script(generator, data, others, act)


def attack_fetching(data: bytes) -> None:
    """Answers to a request for a key package."""
    engine = RealEngine(bytes(32))
    device = _inbox()[2]
    inbox, _ = Inbox.load(_inbox()[0], engine=engine, now=START)
    fetching, effects = Fetching.ask(inbox.contact(device.address, "me", ""), engine=engine, now=START)
    request = unseal(_inbox()[1], effects.outbound[0].payload, engine)
    assert isinstance(request, KeyPackageRequest)
    channel = channel_of(request.reply)
    for act in read(data):
        message = decoded(act.data, Frame)
        payload = seal(channel, message.payload, engine) if message is not None else act.data
        fetching.receive(channel.topic, payload, START)
    if fetching.key_package is not None:
        engine.parse_key_package(fetching.key_package)


def fetching_seeds() -> list[bytes]:
    engine, device = RealEngine(bytes(32)), _inbox()[2]
    joining, _ = Joining.await_welcome(device=device, engine=engine, now=START)
    answer = encode_message(Frame(KeyPackageAnswer(joining.key_package)))
    others = [Act(0, frame) for frame in scene().one_of_each]
    return [write([Act(0, answer)]), write([*others, Act(0, answer)]), write([Act(0, b"x")])]
