"""What is fuzzed, under which law? The table ``TARGETS``: each a function of bytes that raises if its law is broken.

A decoder returns a value that re-encodes to the same bytes, or raises its one documented error, and nothing else.
A receiver never raises, keeps within bounds, and what it kept can be loaded again.
An entry point of the engine answers or raises an EngineError, and after an error nothing has changed.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import attack
import contacts
import founder
import mls
import returners
from demls.identity.errors import IdentityError
from demls.identity.keyfile import read_address, read_keyfile, write_keyfile
from demls.transport import relay_protocol as relay
from demls.transport.segments import (
    FRAME_BYTES_MIN,
    FrameRefused,
    Reassembler,
    ReassemblyLimits,
    Segment,
    parse_frame,
    split,
)
from demls.wire import chain, charters, links, talk
from demls.wire import messages as wire
from demls.wire.codec import WireError
from demls.wire.ids import Cursor, Topic
from demls_consensus import Certificate, Choice, Equivocation, Malformed, SignedVote, reference
from judge import Broken
from mutation import mutate_bytes, mutate_message, sample
from scene import scene
from script import Act, mutate_script, read, write

Mutate: TypeAlias = Callable[[Random, bytes, list[bytes]], bytes]


@dataclass(frozen=True)
class Target:
    """``check`` raises anything if the law is broken; ``seeds`` are good inputs to start from."""

    check: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    mutate: Mutate = mutate_bytes
    weight: int = 1
    """How much of the time it gets: more where there is more to find and inputs are slow."""


# --- Decoders -----------------------------------------------------------------------------------------------------


def decoder(
    decode: Callable[[bytes], Any], encode: Callable[[Any], bytes], refused: type[Exception], data: bytes
) -> None:
    """The law of decoders. The one error is ``refused`` itself and none of its subclasses or parents."""
    try:
        value = decode(data)
    except Exception as problem:
        if type(problem) is not refused:
            raise
        return
    if encode(value) != data:
        raise Broken(f"re-encodes to other bytes: {encode(value).hex()}")


def _message(cls: type) -> Target:
    return Target(
        partial(decoder, partial(wire.decode_message, cls=cls), wire.encode_message, WireError),
        lambda: [wire.encode_message(sample(Random(seed), cls)) for seed in range(24)],
        partial(mutate_message, cls=cls),
    )


def _link(cls: type, parse: Callable[[str], Any], write_text: Callable[[Any], str]) -> Target:
    """Texts are read leniently (spaces), so it is the value that must survive."""

    def check(data: bytes) -> None:
        text = data.decode("utf-8", "surrogatepass") if _is_text(data) else data.decode("latin-1")
        try:
            value = parse(text)
        except Exception as problem:
            if type(problem) is not links.BadLink:
                raise
            return
        if parse(write_text(value)) != value:
            raise Broken("a link that reads as another one when written again")

    def seeds() -> list[bytes]:
        values = [sample(Random(seed), cls) for seed in range(8)]
        return [write_text(value).encode() for value in values] + [b" demls:contact: ", b"demls:invite:\xc3\xa9"]

    return Target(check, seeds)


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _vote(voter: int = 1, choice: Choice = Choice.YES) -> SignedVote:
    return SignedVote(bytes(32), bytes([voter]) * 20, choice, 1_800_000_000_000, bytes(64))


def _vote_seeds() -> list[bytes]:
    return [_vote(choice=choice).encode() for choice in Choice]


def _certificate_seeds() -> list[bytes]:
    certificates = [
        Certificate.collect(bytes(32), [_vote(voter) for voter in range(1, n + 1)], n) for n in (1, 2, 3, 10)
    ]
    return [certificate.encode() for certificate in certificates if certificate]


def _equivocation_seeds() -> list[bytes]:
    return [Equivocation.of(_vote(), _vote(choice=Choice.NO)).encode()]


def _reference(cls: type[reference.Proposal] | type[reference.Vote]) -> Target:
    """Unknown fields are dropped there, so the law is on what is written: it reads as the same again."""

    def check(data: bytes) -> None:
        try:
            value = cls.decode(data)
        except Malformed:
            return
        if cls.decode(value.encode()) != value:
            raise Broken("a message that reads as another one when written again")

    return Target(check, partial(_reference_seeds, cls))


def _reference_seeds(cls: type) -> list[bytes]:
    signer = reference.WalletSigner(b"\1" * 32)
    empty = reference.Proposal("name", b"payload", 7, signer.identity, 3, 1_700_000_000, 1_700_000_060, True)
    vote = reference.build_vote(empty, choice=True, signer=signer, vote_id=9, now_s=1_700_000_001)
    gossip = reference.Proposal(
        "name", b"payload", 7, signer.identity, 3, 1_700_000_000, 1_700_000_060, True, 2, (vote, vote)
    )
    return [vote.encode()] if cls is reference.Vote else [empty.encode(), gossip.encode()]


def _relay(decode: Callable[[bytes], Any], frames: list[Any]) -> Target:
    """msgpack has several encodings of one value, so the law is on the value."""

    def check(data: bytes) -> None:
        try:
            value = decode(data)
        except relay.NotUnderstood:
            return
        if decode(relay.encode(value)) != value:
            raise Broken("frames that read as others when written again")

    return Target(check, lambda: [relay.encode([frame]) for frame in frames] + [relay.encode(frames)])


_NODE_FRAMES = [
    relay.Hello(1, 1_000),
    relay.Publish(1, bytes(32), b"payload"),
    relay.Subscribe(2, bytes(32), 7),
    relay.Unsubscribe(2),
    relay.Credit(64),
]
_RELAY_FRAMES = [
    relay.Welcome(1, bytes(16), 4_096, 10),
    relay.Accepted(1),
    relay.Refused(1, relay.Reason.FULL, "Full."),
    relay.Deliver(2, 8, b"payload"),
    relay.CaughtUp(2),
    relay.Failed(relay.Reason.NOT_UNDERSTOOD, "What?"),
]


# --- Segments -----------------------------------------------------------------------------------------------------

_LIMITS = ReassemblyLimits(bytes_max=20_000, open_max=4, patience=32, finished_max=8)


def _segment(data: bytes) -> None:
    try:
        found = parse_frame(data)
    except FrameRefused:
        return
    if isinstance(found, bytes):
        if data != b"\0" + found:
            raise Broken("a whole payload that is not what was framed")
    elif not (isinstance(found, Segment) and found.index < found.count and data.endswith(found.data)):
        raise Broken("a segment that is none")


def _reassembly(data: bytes) -> None:
    """Frames on two topics: sizes stay within the limits, and what comes out is what somebody split."""
    reassembler = Reassembler(_LIMITS)
    topics = [Topic(bytes(32)), Topic(b"\1" * 32)]
    for topic in topics:
        reassembler.begin(topic, Cursor(b""))
    before = dict.fromkeys(topics, b"")
    for place, act in enumerate(read(data)):
        topic = topics[act.kind % 2]
        found = reassembler.add(topic, Cursor((place + 1).to_bytes(8, "big")), act.data)
        if reassembler.size > _LIMITS.bytes_max:
            raise Broken(f"{reassembler.size} bytes are kept")
        if found is not None:
            if found.cursor < before[topic]:
                raise Broken("the cursor goes back")
            before[topic] = found.cursor
            if act.data[:1] == b"\1" and not _is_split_as(found.payload, act.data):
                raise Broken("a payload that is not the one that was split")
    for topic in topics:
        reassembler.forget(topic)
    if reassembler.size:
        raise Broken("bytes are kept of nothing")


def _is_split_as(payload: bytes, frame: bytes) -> bool:
    """Do the digests in a segment's frame name the pieces of this payload?"""
    count = int.from_bytes(frame[7:9], "big")
    size, longer = divmod(len(payload), count)
    ends = [size * place + min(place, longer) for place in range(count + 1)]
    digests = b"".join(sha256(payload[start:end]).digest() for start, end in pairwise(ends))
    return frame[9 : 9 + len(digests)] == digests


def _reassembly_seeds() -> list[bytes]:
    payloads = [Random(size).randbytes(size) for size in (10, 5_000, 9_000, 15_000)]
    frames = [split(payload, FRAME_BYTES_MIN) for payload in payloads]
    mixed = [Act(place % 2, frame) for place, pieces in enumerate(frames) for frame in pieces]
    return [
        *(write([Act(0, frame) for frame in pieces]) for pieces in frames),
        write([Act(0, frame) for frame in reversed(frames[-1])]),
        write(mixed + mixed),
    ]


def _mutate_frames(generator: Random, data: bytes, others: list[bytes]) -> bytes:
    return mutate_script(
        generator, data, others, lambda rng, act, known: Act(act.kind, mutate_bytes(rng, act.data, known))
    )


# --- Keystore files -----------------------------------------------------------------------------------------------


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="demls-fuzz-"))


def _keyfile(data: bytes) -> None:
    """Any file opens or is refused, without the hours of work that it may ask for."""
    path = _folder() / "keystore"
    path.write_bytes(data)
    if _costs_much(data):
        return
    for read_file in (partial(read_keyfile, password=b"password"), read_address):
        with contextlib.suppress(IdentityError):
            read_file(path)


def _costs_much(data: bytes) -> bool:
    """Costs that the program bears, but a fuzzer does not."""
    try:
        crypto = {key.lower(): value for key, value in json.loads(data).items()}["crypto"]
        parameters = {key.lower(): value for key, value in crypto.items()}["kdfparams"]
        numbers = {key.lower(): value for key, value in parameters.items()}
        return any(numbers.get(name, 0) > 64 for name in ("n", "r", "p")) or numbers.get("c", 0) > 1_000
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _keyfile_seeds() -> list[bytes]:
    path = _folder() / "new"
    path.unlink(missing_ok=True)
    write_keyfile(path, b"\1" * 32, b"password", scrypt_n=2, is_wallet=True)
    scrypt = path.read_bytes()
    content = json.loads(scrypt)
    content["crypto"] |= {"kdf": "pbkdf2", "kdfparams": {"c": 2, "dklen": 32, "prf": "hmac-sha256", "salt": "00" * 16}}
    return [scrypt, json.dumps(content).encode(), b"{}", b"[" * 2_000]


def _mutate_json(generator: Random, data: bytes, others: list[bytes]) -> bytes:
    """A value somewhere in the JSON replaced by another one."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not content or generator.random() < 0.3:
        return mutate_bytes(generator, data, others)
    inner = content
    while True:
        key = generator.choice(sorted(inner))
        if not (isinstance(inner[key], dict) and inner[key]) or generator.random() < 0.1:
            break
        inner = inner[key]
    values = (None, 0, -1, 1, 2**63, 1.5, "", "zz", "00", "é", [], {}, True, inner[key], str(inner[key])[:-1])
    match generator.randrange(4):
        case 0:
            del inner[key]
        case 1:
            inner[key.upper()] = inner.pop(key)
        case _:
            inner[key] = generator.choice(values)
    return json.dumps(content).encode()


# --- The engine ---------------------------------------------------------------------------------------------------


def _engine(
    call: Callable[[Any, Any, bytes], object], seeds: Callable[[], list[bytes]], *, reads: bool = False
) -> Target:
    return Target(lambda data: mls.attack_engine(call, may_change=reads, data=data), seeds)


def _engine_bytes(*names: str) -> Callable[[], list[bytes]]:
    def seeds() -> list[bytes]:
        at = mls.engine_scene()
        values = [getattr(at, name) for name in names]
        return [item for value in values for item in ([value] if isinstance(value, bytes) else value)]

    return seeds


def _open_secrets(engine: Any, group: Any, data: bytes) -> object:  # noqa: ARG001
    return engine.open_welcome(mls.engine_scene().welcome, data)


def _open(engine: Any, group: Any, data: bytes) -> object:  # noqa: ARG001
    return engine.open_welcome(data, mls.engine_scene().private)


def _join(engine: Any, group: Any, data: bytes) -> object:  # noqa: ARG001
    at = mls.engine_scene()
    return engine.open_welcome(at.welcome, at.private).join(data)


TARGETS: dict[str, Target] = {
    "frame": _message(wire.Frame),
    "credential": _message(wire.Credential),
    "binding": _message(wire.Binding),
    "charter": _message(charters.Charter),
    "change-request": _message(wire.ChangeRequest),
    "policy": _message(charters.Policy),
    "electorate": _message(chain.Electorate),
    "succession": _message(chain.Succession),
    "successor-notice": _message(wire.SuccessorNotice),
    "sync": _message(wire.Sync),
    "told": _message(wire.Told),
    "joiner-bundle": _message(wire.JoinerBundle),
    "joiner-secrets": _message(wire.JoinerSecrets),
    "commit-context": _message(wire.CommitContext),
    "conversation-message": _message(talk.ConversationMessage),
    "contact-text": _link(wire.Contact, links.parse_contact, links.contact_text),
    "invite-text": _link(wire.InviteLink, links.parse_invite, links.invite_text),
    "signed-vote": Target(partial(decoder, SignedVote.decode, SignedVote.encode, Malformed), _vote_seeds),
    "certificate": Target(partial(decoder, Certificate.decode, Certificate.encode, Malformed), _certificate_seeds),
    "equivocation": Target(partial(decoder, Equivocation.decode, Equivocation.encode, Malformed), _equivocation_seeds),
    "reference-proposal": _reference(reference.Proposal),
    "reference-vote": _reference(reference.Vote),
    "relay-from-node": _relay(relay.decode_from_node, _NODE_FRAMES),
    "relay-from-relay": _relay(relay.decode_from_relay, _RELAY_FRAMES),
    "segment": Target(
        _segment, lambda: [frame for size in (3, 9_000) for frame in split(b"s" * size, FRAME_BYTES_MIN)]
    ),
    "reassembly": Target(_reassembly, _reassembly_seeds, _mutate_frames),
    "keyfile": Target(_keyfile, _keyfile_seeds, _mutate_json),
    "group-raw": Target(attack.raw_envelope, lambda: [b"", bytes(64), bytes(300)]),
    "group": Target(attack.attack_group, lambda: list(scene().scripts), attack.mutate_attack, 8),
    "group-flood": Target(attack.attack_group, lambda: list(scene().floods), attack.mutate_attack, 3),
    "joining": Target(founder.attack_joining, founder.joining_seeds, founder.mutate_joining, 3),
    "welcome": Target(founder.attack_welcome, founder.welcome_seeds, founder.mutate_welcome, 4),
    "returning": Target(returners.attack_returning, returners.returning_seeds, returners.mutate_returning, 3),
    "look-alike": Target(returners.attack_look_alike, returners.look_alike_seeds, founder.mutate_welcome, 3),
    "inbox": Target(contacts.attack_inbox, contacts.inbox_seeds, contacts.mutate_frames),
    "fetching": Target(contacts.attack_fetching, contacts.fetching_seeds, contacts.mutate_frames),
    "engine-key-package": _engine(
        lambda engine, _, data: engine.parse_key_package(data), _engine_bytes("key_package", "update")
    ),
    "engine-stage": _engine(lambda _, group, data: group.stage(data), _engine_bytes("commits", "messages", "update")),
    "engine-update": _engine(lambda _, group, data: group.read_update(data), _engine_bytes("update", "commits")),
    "engine-decrypt": _engine(lambda _, group, data: group.decrypt(data), _engine_bytes("messages"), reads=True),
    "engine-welcome": _engine(_open, _engine_bytes("welcome")),
    "engine-secrets": _engine(_open_secrets, _engine_bytes("private")),
    "engine-tree": _engine(_join, _engine_bytes("tree")),
    "engine-load": _engine(mls.load_records, mls.load_seeds),
}
