"""Whatever comes in: it is accepted, or refused with an EngineError and nothing has changed."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from demls_engine import Engine, EngineError, EnginePanic, MlsGroup
from demls_engine.contract import BINDING, POLICY, Person, flipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@dataclass
class Scene:
    """A group of three, and real bytes of every kind to mutate."""

    engine: Engine
    group: MlsGroup
    samples: dict[str, bytes]
    entries: dict[str, Callable[[bytes], object]]


def build_scene() -> Scene:
    engine = Engine(b"hostile" + bytes(25))
    first, second, third, joiner = (Person(engine, name) for name in ("first", "second", "third", "joiner"))
    first.found()
    packages = [second.key_package(), third.key_package()]
    candidate = first.group.propose_commit(adds=[package.public.encoded for package in packages])
    first.group.merge(candidate.staged)
    for person, package in zip((second, third), packages, strict=True):
        person.join(candidate, package, first.group.ratchet_tree())
    group = third.group

    package = joiner.key_package()
    update, _ = second.group.propose_update()
    _, own_update = third.group.propose_update()
    commit = first.group.propose_commit(
        adds=[package.public.encoded], updates=[update], context_extensions={POLICY: b"x"}, authenticated_data=b"y"
    )
    assert commit.welcome is not None
    fork = engine.load_group(first.group.snapshot())
    fork.merge(commit.staged)
    tree = fork.ratchet_tree()
    welcome, opened = commit.welcome, engine.open_welcome(commit.welcome, package.private)
    own = group.propose_commit()
    samples = {
        "key package": package.public.encoded,
        "key package secrets": package.private,
        "welcome": welcome,
        "tree": tree,
        "commit": commit.commit,
        "update": update,
        "own update": own_update,
        "candidate": own.staged,
        "message": first.group.encrypt(b"text", b"data"),
        "sealed": engine.seal(bytes(32), b"text", b""),
        "signature": engine.sign(bytes(32), "label", b"content"),
    }
    entries: dict[str, Callable[[bytes], object]] = {
        "parse_key_package": engine.parse_key_package,
        "open_welcome": lambda it: engine.open_welcome(it, package.private),
        "open_welcome secrets": lambda it: engine.open_welcome(welcome, it),
        "join": opened.join,
        "stage": lambda it: group.stage(it, [update]),
        "stage updates": lambda it: group.stage(commit.commit, [it]),
        "stage own update": lambda it: group.stage(commit.commit, [update], it),
        "merge": group.merge,
        "decrypt": group.decrypt,
        "read_update": group.read_update,
        "adds": lambda it: group.propose_commit(adds=[it]),
        "updates": lambda it: group.propose_commit(updates=[it]),
        "verify": lambda it: (engine.verify(it, "label", b"content", it), engine.verify_batch([(it, "", it, it)])),
        "unseal": lambda it: engine.unseal(bytes(32), it, b""),
        "signature key": lambda it: engine.sign(it, "label", b"content"),
        "load_group": lambda it: engine.load_group({it: it}),
        "extensions": lambda it: group.propose_update(extensions={BINDING: it}),
        "group id": lambda it: engine.create_group(
            group_id=it,
            signature_private=bytes(32),
            credential=it,
            extensions={},
            supported=[],
            context_extensions={},
        ),
    }
    return Scene(engine, group, samples, entries)


SCENE = build_scene()
# What is no mistake changes the state: merging a real candidate, reading a real message.
CHANGING = {("merge", "candidate"), ("decrypt", "message")}


def offer(scene: Scene, entry: str, content: bytes) -> None:
    """Give ``content`` to the entry; anything but success or an EngineError fails the test."""
    before = scene.group.snapshot()
    try:
        scene.entries[entry](content)
    except EnginePanic as panic:
        pytest.fail(f"{entry} panicked: {panic}")
    except EngineError:
        pass
    assert scene.group.snapshot() == before


@pytest.mark.parametrize("entry", SCENE.entries)
@pytest.mark.parametrize("sample", SCENE.samples)
def test_bytes_of_one_kind_at_the_door_of_another(entry: str, sample: str) -> None:
    if (entry, sample) not in CHANGING:
        offer(SCENE, entry, SCENE.samples[sample])


@pytest.mark.parametrize("entry", SCENE.entries)
@pytest.mark.parametrize("sample", SCENE.samples)
def test_truncated_and_extended_bytes(entry: str, sample: str) -> None:
    content = SCENE.samples[sample]
    generator = random.Random(f"{entry} {sample}")
    for length in {0, 1, 2, 4, 8, *(generator.randrange(len(content)) for _ in range(8))}:
        offer(SCENE, entry, content[:length])
    offer(SCENE, entry, content + b"\0")
    offer(SCENE, entry, content * 2)


@pytest.mark.parametrize("entry", SCENE.entries)
def test_random_mutations_of_real_bytes(entry: str) -> None:
    generator = random.Random(entry)
    for content in SCENE.samples.values():
        for _ in range(40):
            mutated = bytearray(content)
            for _ in range(generator.choice((1, 1, 2, 5))):
                match generator.randrange(4):
                    case 0:
                        mutated = bytearray(flipped(bytes(mutated), generator.randrange(len(mutated))))
                    case 1:
                        mutated[generator.randrange(len(mutated))] = generator.choice((0, 1, 0x3F, 0x40, 0x80, 0xFF))
                    case 2:
                        at = generator.randrange(len(mutated))
                        mutated[at:at] = generator.randbytes(generator.randrange(1, 9))
                    case _:
                        at = generator.randrange(len(mutated))
                        del mutated[at : at + generator.randrange(1, 9)]
                if not mutated:
                    mutated = bytearray(1)
            if bytes(mutated) not in SCENE.samples.values():
                offer(SCENE, entry, bytes(mutated))


@given(entry=st.sampled_from(sorted(SCENE.entries)), content=st.binary(max_size=400))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_arbitrary_bytes(entry: str, content: bytes) -> None:
    offer(SCENE, entry, content)


@given(
    entry=st.sampled_from(sorted(SCENE.entries)),
    header=st.sampled_from([bytes([0, 1, 0, wire_format]) for wire_format in range(1, 6)]),
    content=st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.sampled_from([b"\xbf\xff\xff\xff", b"\x80\xff\xff\xff", b"\x7f\xff", b"\x05group", bytes(8)]),
        ),
        max_size=12,
    ).map(b"".join),
)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_headers_with_lying_lengths(entry: str, header: bytes, content: bytes) -> None:
    offer(SCENE, entry, header + content)


@given(
    key=st.sampled_from(sorted(SCENE.group.snapshot())),
    content=st.one_of(st.binary(max_size=60), st.none()),
    position=st.integers(0, 10_000),
)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_damaged_states(key: bytes, content: bytes | None, position: int) -> None:
    state = SCENE.group.snapshot()
    damaged = content if content is not None or not state[key] else flipped(state[key], position)
    if damaged in (None, state[key]):
        return
    with pytest.raises(EngineError) as caught:
        SCENE.engine.load_group(state | {key: damaged})
    assert not isinstance(caught.value, EnginePanic)


@given(removes=st.lists(st.integers(-(2**70), 2**70), max_size=5), length=st.integers(-(2**70), 2**70))
@settings(deadline=None)
def test_numbers_of_any_size(removes: list[int], length: int) -> None:
    for act in (
        lambda: SCENE.group.propose_commit(removes=[*removes, 99]),
        lambda: SCENE.group.export_secret("label", b"", abs(length) + 2**16),
        lambda: SCENE.engine.create_group(
            group_id=b"",
            signature_private=bytes(32),
            credential=b"",
            extensions={},
            supported=[],
            context_extensions={},
            past_epochs=-1 - abs(length),
        ),
        lambda: SCENE.engine.key_package(
            signature_private=bytes(32), credential=b"", extensions={abs(length) + 2**16: b""}, supported=[]
        ),
    ):
        with pytest.raises(EngineError):
            act()
