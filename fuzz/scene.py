"""Against whom do the receivers stand? A group of three whose other two members are insiders, and scripts of theirs.

The insiders hold all keys that a member holds: they seal whatever they like, sign it, build commits, and together
even certify them. The victim must neither raise nor keep more than its bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from demls.protocol.channel import Channel, joiner_channel, unseal
from demls.protocol.credential import Device, binding_sentence
from demls.protocol.group import Group
from demls.protocol.policy import COUNCIL, DAY, HOUR, MINUTE, QUICK
from demls.protocol.records import Ledger
from demls.protocol.returning import Returning, ReturningRecord
from demls.wire.ids import Address, Duration, Instant
from demls.wire.messages import (
    Binding,
    CommitContext,
    Digest,
    Entry,
    Frame,
    NothingKept,
    PartsRequest,
    Proposal,
    Remove,
    ResyncReason,
    WelcomeBundle,
    decode_message,
    encode_message,
)
from demls.wire.talk import (
    ChatPlace,
    ChatPlaces,
    ChatQuestion,
    ConversationMessage,
    Lacking,
    SaidAgain,
    SpokenMessage,
    Stretch,
    stream_of,
)
from demls_consensus import wallet_address
from demls_engine import Engine as RealEngine
from network import Net, Node, state_of
from script import Act, read, write

VICTIM, LEADER, INSIDER = "victim", "leader", "insider"
KINDS = 15
SEALED, SEALED_OLD, RENDEZVOUS, SIGNED, RAW, RAW_RENDEZVOUS, WAIT, OWN, COMMIT, FLOOD, CHAT, RESTART, UNPADDED = range(
    13
)
SIGNED_RENDEZVOUS, UPDATE = 13, 14
"""Kinds of steps of a script against the victim; ``Attack.step`` says what each does."""

_FORGOTTEN = frozenset(kind + bytes(8) for kind in (b"settled/", b"kept/"))
"""The victim keeps the first commit no longer, as if that were long ago: who asks for it is told so."""

POLICY = replace(QUICK, stewards_max=1)
"""One steward at a time, so that elections are due all along."""


@dataclass(frozen=True)
class Scene:
    """The victim's records at the beginning, and what the insiders know."""

    now: Instant
    victim: dict[bytes, bytes]
    devices: dict[bytes, Device]
    wallets: dict[bytes, bytes]
    """Of the insiders, by address."""
    victim_wallet: bytes
    insider_records: dict[bytes, bytes]
    leader_records: dict[bytes, bytes]
    rendezvous: Channel
    scripts: tuple[bytes, ...]
    floods: tuple[bytes, ...]
    one_of_each: tuple[bytes, ...]
    """Frames, one of each kind of message and of change."""
    welcome: WelcomeBundle
    joining: dict[bytes, bytes]
    joiner_channel: Channel
    returning: dict[bytes, bytes]
    """The victim's records after it has asked for a new seat, and the frames that it gets then."""
    returned: tuple[bytes, ...]

    def signer(self, address: bytes) -> Device:
        """The insider of this address, else the first one."""
        return self.devices.get(address) or next(iter(self.devices.values()))


def _network() -> Net:
    net = Net()
    net.found(LEADER, POLICY)
    net.admit(VICTIM, LEADER)
    net.admit(INSIDER, LEADER)
    net.run(60_000)
    return net


def _story(act: Callable[[Net], None]) -> tuple[Net, bytes]:
    """What the insiders send while the victim hears nothing, as a script for it."""
    net = _network()
    begin, last = len(net.log), net.now
    net.deaf = {VICTIM}
    act(net)
    rendezvous = state_of(net.nodes[VICTIM].group).rendezvous
    acts = []
    for at, topic, payload in net.log[begin:]:
        channel = rendezvous if topic == rendezvous.topic else net.channels.get(topic)
        message = unseal(channel, payload, net.nodes[LEADER].engine) if channel else None
        if at > last:
            acts.append(Act(WAIT, (at - last).to_bytes(5, "big")))
            last = at
        if message is not None:
            acts.append(Act(RENDEZVOUS if channel == rendezvous else SEALED, encode_message(Frame(message))))
    return net, write(acts)


def _admission(net: Net) -> None:
    net.ask("newcomer", LEADER)
    net.run(3_000)
    net.vote(LEADER, INSIDER)
    net.run(8_000)


def _removal(net: Net, subject: str) -> None:
    net.do(LEADER, lambda group: group.propose(Remove(wallet_address(net.nodes[subject].wallet)), net.now))
    net.vote(INSIDER)
    net.run(8_000)


def _leave(net: Net) -> None:
    net.do(INSIDER, lambda group: group.leave(net.now))
    net.run(8_000)


def _refresh(net: Net) -> None:
    """Both insiders have new keys: the leader by committing, the other by an Update."""
    for name in (INSIDER, LEADER):
        net.do(name, lambda group: group.refresh_keys(net.now))
        net.run(8_000)


def _talk(net: Net) -> None:
    for text in ("hello", "who is there?", "again"):
        net.do(INSIDER, lambda group, text=text: group.send(text, net.now))


def _settings(net: Net) -> None:
    """Another name, then another policy, with the elections that are due after each commit."""
    for change in ({"name": "others"}, {"policy": replace(POLICY, stewards_max=2, dormant_after=DAY)}):
        net.do(LEADER, lambda group, change=change: group.change_settings(net.now, **change))
        net.vote(INSIDER)
        net.run(20_000)


def _stewards(net: Net) -> None:
    """The stewards decide from now on: they admit somebody, and say to all that they have."""
    net.do(LEADER, lambda group: group.change_settings(net.now, policy=COUNCIL))
    net.vote(INSIDER)
    net.run(20_000)
    _admission(net)


def _dormancy(net: Net) -> None:
    """The victim is not heard for long, and the others are: it counts no longer."""
    for _ in range(4):
        for name in (LEADER, INSIDER):
            net.do(name, lambda group: group.send("still here", net.now))
        net.run(5 * DAY)
    net.run(60_000)


def _successor(net: Net) -> None:
    leader = net.nodes[LEADER]
    members = [Address(wallet_address(net.nodes[name].wallet)) for name in (VICTIM, INSIDER)]
    links = {}
    for member in members:
        links[member], effects = leader.group.invite(relay="", lifetime=Duration(DAY), now=net.now)
        net.apply(leader, effects)
    net.do(LEADER, lambda group: group.announce_successor(links, net.now))
    net.do(INSIDER, lambda group: group.announce_successor(links, net.now))


def _comeback() -> tuple[dict[bytes, bytes], tuple[bytes, ...]]:
    """The victim comes back with a new leaf: its records when it has asked, and what was said to it then."""
    net = _network()
    victim = net.nodes[VICTIM]
    victim.group.send("before", net.now)
    net.apply(victim, victim.group.rejoin(victim.sign, ResyncReason.RESTORED_BACKUP, net.now))
    records, begin = dict(victim.records), len(net.log)
    (topic,) = victim.group.topics()
    channel = returning_channel(records)
    assert channel.topic == topic
    net.run(30_000)
    assert victim.group.status.value == "member"
    found = [unseal(channel, payload, victim.engine) for _, at, payload in net.log[begin:] if at == topic]
    return records, tuple(encode_message(Frame(message)) for message in found if message is not None)


def returning_channel(records: dict[bytes, bytes]) -> Channel:
    """Where somebody is answered who has asked for a new seat."""
    return joiner_channel(Ledger(records).get(b"returning", ReturningRecord).key_package)


def request_of(node: Node, now: Instant) -> Proposal:
    """A request for a new seat that this member has signed and not said."""
    kept = {key: value for key, value in node.records.items() if not key.startswith(b"mls/")}
    returning, _ = Returning.begin(
        Ledger(kept), sign=node.sign, reason=ResyncReason.WISH, engine=RealEngine(b"r" * 32), now=now
    )
    return decode_message(returning.record.request, Proposal)


def _stalled(net: Net) -> None:
    """One member alone: acks, digests and views without end."""
    net.deaf = {VICTIM, LEADER}
    net.do(INSIDER, lambda group: group.propose(Remove(wallet_address(net.nodes[LEADER].wallet)), net.now))
    net.run(60_000)


@cache
def scene() -> Scene:
    """Built once: it takes a few hundredths of a second."""
    net = _network()
    admitted, admission = _story(_admission)
    stories = [admission]
    stories += [
        _story(act)[1]
        for act in (
            lambda net: _removal(net, VICTIM),
            lambda net: _removal(net, INSIDER),
            _leave,
            _refresh,
            _talk,
            _stalled,
            _settings,
            _stewards,
            _dormancy,
            _successor,
        )
    ]
    newcomer = _asked_only()
    channel = joiner_channel(newcomer.machine.key_package)  # type: ignore[union-attr]
    found = (unseal(channel, payload, newcomer.engine) for _, topic, payload in admitted.log if topic == channel.topic)
    welcome = next(message for message in found if isinstance(message, WelcomeBundle))
    victim = net.nodes[VICTIM]
    devices = [net.nodes[name].device for name in (INSIDER, LEADER)]
    known = {bytes(device.address): device for device in devices if device is not None}
    head, roster = state_of(victim.group).state.head, state_of(victim.group).roster
    context = encode_message(CommitContext(head, 0, net.now, (Entry(bytes(32), b""),)))
    insider = known[bytes(devices[0].address)]  # type: ignore[union-attr]
    stream, epoch = stream_of(insider.leaf_key), state_of(victim.group).epoch
    text = ConversationMessage(b"text", bytes(16), 1, net.now, (bytes(16),), epoch, stream, epoch, 0, bytes(64))
    chat = encode_message(text)
    asks = _questions(text, insider.address, stream_of(victim.device.leaf_key), victim.device.address)  # type: ignore[union-attr]
    returns = _returns(net, insider)
    binding, odd_binding = _bindings(net)
    acts = [read(story) for story in stories]
    signed = [write([Act(SIGNED if act.kind == SEALED else act.kind, act.data) for act in story]) for story in acts]
    frames = [act.data for story in acts for act in story if act.kind in (SEALED, RENDEZVOUS)] + asks + returns
    one_of_each = {_kind(decode_message(frame, Frame)): frame for frame in frames}
    removal = encode_message(
        Frame(new_proposal(known[bytes(devices[0].address)], victim.group, Remove(devices[1].address), net.now))  # type: ignore[union-attr]
    )
    assert roster.n == 3
    scripts = [
        *stories,
        *signed,
        *(write(story[:cut]) for story in acts for cut in (2, 4, 8)),
        write([Act(SEALED, removal), Act(OWN, b"\0"), Act(WAIT, (1_000).to_bytes(5, "big")), Act(COMMIT, context)]),
        write([*acts[0][:6], Act(COMMIT, context)]),
        write([Act(COMMIT, context), Act(OWN, b"\2"), Act(CHAT, chat), Act(CHAT, chat)]),
        write([Act(CHAT, chat), Act(OWN, b"\3"), Act(WAIT, (50_000).to_bytes(5, "big")), Act(RESTART)]),
        write([Act(OWN, b"\6"), Act(WAIT, (50_000).to_bytes(5, "big")), Act(OWN, b"\7"), Act(COMMIT, context)]),
        write([Act(OWN, b"\4"), Act(OWN, b"\5"), Act(OWN, b"\1"), Act(WAIT, (50_000).to_bytes(5, "big"))]),
        write([Act(OWN, b"\2"), *(Act(SIGNED, frame) for frame in asks), Act(WAIT, (50_000).to_bytes(5, "big"))]),
        write([*(Act(SEALED, frame) for frame in asks), Act(CHAT, chat), Act(RESTART)]),
        *(
            write([Act(SIGNED_RENDEZVOUS, frame), _wait(20_000), Act(COMMIT, context), Act(RESTART)])
            for frame in returns
        ),
        write([*(Act(RENDEZVOUS, frame) for frame in returns), Act(COMMIT, context), _wait(11 * MINUTE)]),
        write([Act(RENDEZVOUS, returns[2]), _wait(1_000), Act(COMMIT, context), Act(RESTART)]),
        write([Act(SIGNED_RENDEZVOUS, returns[4]), _wait(11 * MINUTE), Act(OWN, b"\12"), Act(RESTART)]),
        write([Act(UPDATE), _wait(1_000), Act(COMMIT, context), Act(UPDATE), Act(RESTART)]),
        write([Act(UPDATE, binding), Act(OWN, b"\10"), _wait(1_000), Act(COMMIT, context)]),
        write([Act(UPDATE, odd_binding), _wait(1_000), Act(COMMIT, context)]),
        write([Act(OWN, b"\12"), Act(OWN, b"\11"), Act(OWN, b"\2"), *_unrelated(returns, asks), Act(OWN, b"\11")]),
        write([Act(RAW, b"x"), Act(RAW_RENDEZVOUS, b"x"), Act(UNPADDED, b"\0\0\0\1x"), Act(UNPADDED, bytes(256))]),
    ]
    return Scene(
        net.now,
        {key: value for key, value in victim.records.items() if key not in _FORGOTTEN},
        known,
        {wallet_address(net.nodes[name].wallet): net.nodes[name].wallet for name in (INSIDER, LEADER)},
        victim.wallet,
        dict(net.nodes[INSIDER].records),
        dict(net.nodes[LEADER].records),
        state_of(victim.group).rendezvous,
        tuple(scripts),
        tuple(write([Act(FLOOD, frame), Act(RESTART)]) for frame in one_of_each.values()),
        tuple(one_of_each.values()),
        welcome,
        dict(newcomer.records),
        channel,
        *_comeback(),
    )


def _wait(milliseconds: int) -> Act:
    return Act(WAIT, milliseconds.to_bytes(5, "big"))


def _unrelated(returns: list[bytes], asks: list[bytes]) -> list[Act]:
    """What somebody hears, and sees pass, who waits for a new seat."""
    return [*(Act(SEALED, frame) for frame in (*returns, *asks)), Act(RAW, b"x"), _wait(2 * HOUR), Act(RESTART)]


def _returns(net: Net, insider: Device) -> list[bytes]:
    """What is said on the rendezvous when somebody comes back; ``Attack.sign`` signs it anew."""
    state = state_of(net.nodes[VICTIM].group)
    victim, leader = (Address(wallet_address(net.nodes[name].wallet)) for name in (VICTIM, LEADER))
    asked = Digest(0, bytes(32), 0, leader, victim, (), (), b"", b"", bytes(64))
    return [
        encode_message(Frame(payload))
        for payload in (
            request_of(net.nodes[INSIDER], net.now),
            request_of(net.nodes[LEADER], net.now),
            request_of(net.nodes[VICTIM], net.now),
            NothingKept(state.epoch, victim, state.epoch + 2, insider.address, bytes(64)),
            NothingKept(state.epoch, victim, state.epoch + 9, b"n" * 20, bytes(64)),
            PartsRequest(bytes(32), leader, b"\xff"),
            asked,
        )
    ]


def _bindings(net: Net) -> tuple[bytes, bytes]:
    """Another wallet binding of the leader's leaf, and one that its wallet has not signed."""
    leader = net.nodes[LEADER]
    known = leader.device.binding  # type: ignore[union-attr]
    issued, expires = net.now, Instant(known.expires + DAY)
    sentence = binding_sentence(leader.device.address, leader.device.leaf_key, "laptop", issued, expires)  # type: ignore[union-attr]
    return encode_message(Binding(issued, expires, leader.sign(sentence))), encode_message(
        Binding(issued, expires, known.signature)
    )


def _questions(text: ConversationMessage, insider: Address, victims: bytes, victim: Address) -> list[bytes]:
    """What is asked and answered about missing messages; ``Attack.sign`` seals what is said again."""
    far = replace(text, counter=1 << 40, message_id=b"f" * 16)
    lacking = (
        Lacking(victim, victims, (Stretch(1, 1 << 60), Stretch(5, 2))),
        Lacking(insider, text.stream, (Stretch(1, 9),)),
    )
    places = (ChatPlace(victim, victims, 1 << 60, 0), ChatPlace(insider, text.stream, 7, text.epoch, 3, 5))
    return [
        encode_message(Frame(payload))
        for payload in (
            ChatQuestion(text.epoch, insider, 1, 0, lacking, (bytes(16),), bytes(64)),
            ChatPlaces(text.epoch, insider, victim, 1, False, places, bytes(64)),
            ChatPlaces(text.epoch, insider, victim, 2, True, places, bytes(64)),
            SaidAgain(text.epoch, encode_message(SpokenMessage(insider, text))),
            SaidAgain(text.epoch, encode_message(SpokenMessage(insider, far))),
        )
    ]


def _kind(frame: Frame) -> type:
    """Proposals by what they would change."""
    payload = frame.payload
    return type(payload.change.payload) if isinstance(payload, Proposal) else type(payload)


def _asked_only() -> Node:
    """The newcomer as it is before anything is answered; everything here is reproducible, so it is the same one."""
    net = _network()
    net.deaf = {VICTIM}
    net.ask("newcomer", LEADER)
    return net.nodes["newcomer"]


def new_proposal(device: Device, group: Group, change: Remove, now: Instant) -> Proposal:
    governance = state_of(group).governance
    return governance.new_proposal(change, device.address, device.leaf_private, now)
