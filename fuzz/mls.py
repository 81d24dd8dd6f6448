"""Does the engine answer or refuse, and change nothing when it refuses?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from demls.protocol.engine import Engine, EngineError
from demls.protocol.group import SUPPORTED_EXTENSIONS
from demls_engine import Engine as RealEngine
from demls_engine import EnginePanic
from judge import Broken
from network import START, new_device
from scene import scene


@dataclass(frozen=True)
class EngineScene:
    """An engine group's state with real bytes of every kind for it."""

    state: dict[bytes, bytes]
    key_package: bytes
    private: bytes
    welcome: bytes
    tree: bytes
    commits: tuple[bytes, ...]
    update: bytes
    messages: tuple[bytes, ...]


@cache
def engine_scene() -> EngineScene:
    at = scene()
    engine = RealEngine(b"s" * 32)

    def mls(records: dict[bytes, bytes]) -> dict[bytes, bytes]:
        return {key.removeprefix(b"mls/"): value for key, value in records.items() if key.startswith(b"mls/")}

    insider = engine.load_group(mls(at.insider_records))
    device = new_device(engine, b"\4" * 32, "joiner", START)
    package = engine.key_package(
        signature_private=device.leaf_private,
        credential=device.credential(),
        extensions=device.extensions(),
        supported=SUPPORTED_EXTENSIONS,
    )
    update, _ = insider.propose_update()
    added = insider.propose_commit(adds=[package.public.encoded], authenticated_data=b"data")
    removed = insider.propose_commit(removes=[0], force_path=True)
    messages = tuple(insider.encrypt(text) for text in (b"", b"text", b"t" * 300))
    fork = engine.load_group(insider.snapshot())
    fork.merge(added.staged)
    return EngineScene(
        mls(at.victim),
        package.public.encoded,
        package.private,
        added.welcome or b"",
        fork.ratchet_tree(),
        (added.commit, removed.commit),
        update,
        messages,
    )


def attack_engine(call: Callable[[Engine, object, bytes], object], *, may_change: bool, data: bytes) -> None:
    """An entry point of the engine with these bytes: it answers or raises an EngineError, which changes nothing."""
    engine = RealEngine(bytes(32))
    group = engine.load_group(engine_scene().state)
    before = group.snapshot()
    try:
        call(engine, group, data)
        if may_change:
            return
    except EnginePanic as panic:
        raise Broken(f"the engine panics: {panic}") from panic
    except EngineError:
        pass
    if group.snapshot() != before:
        raise Broken("the state has changed")


def load_records(engine: Engine, group: object, data: bytes) -> None:  # noqa: ARG001
    """One record of the state, named by the first byte, replaced; without a rest: left out."""
    state = engine_scene().state
    key = sorted(state)[data[0] % len(state)] if data else b""
    changed = {name: value for name, value in state.items() if name != key}
    loaded = engine.load_group(changed | {key: data[1:]} if data[1:] else changed)
    loaded.snapshot()
    loaded.members()


def load_seeds() -> list[bytes]:
    state = engine_scene().state
    return [bytes([place]) + state[key] for place, key in enumerate(sorted(state))] + [b"\0"]
