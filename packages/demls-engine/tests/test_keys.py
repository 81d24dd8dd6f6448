"""Keys to which nothing can be encrypted are refused before they come into a tree."""

from __future__ import annotations

import pytest
from demls_engine import Engine, InvalidInput, InvalidMessage
from demls_engine.contract import Person, settle
from forged import LOW_ORDER, forge_key_package, forge_update

SOUND = bytes([9]) + bytes(31)
"""X25519's base point."""


def person(name: str) -> Person:
    return Person(Engine(name.encode().ljust(32, b".")), name)


@pytest.fixture
def people() -> list[Person]:
    first, second, third = (person(name) for name in ("first", "second", "third"))
    first.found()
    packages = [joiner.key_package() for joiner in (second, third)]
    candidate = first.group.propose_commit(adds=[package.public.encoded for package in packages])
    settle(first, candidate, [])
    for joiner, package in zip((second, third), packages, strict=True):
        joiner.join(candidate, package, first.group.ratchet_tree())
    return [first, second, third]


def test_what_is_forged_with_a_sound_key_is_taken(people: list[Person]) -> None:
    """So what is refused below is refused for its key, and not for the way in which it was forged."""
    first, second, _ = people
    joiner = person("joiner")
    package = joiner.key_package().public.encoded
    forged = forge_key_package(joiner.engine, joiner.key.private, package, init_key=SOUND)
    assert first.engine.parse_key_package(forged).signature_key == joiner.key.public
    forged = forge_key_package(joiner.engine, joiner.key.private, package, encryption_key=SOUND)
    assert first.group.propose_commit(adds=[forged], force_path=True).welcome is not None
    update = forge_update(second.engine, second.key.private, second.group, SOUND)
    assert first.group.read_update(update).leaf == 1
    first.group.propose_commit(updates=[update])


@pytest.mark.parametrize("which", ["init_key", "encryption_key"])
@pytest.mark.parametrize("key", [*LOW_ORDER, b"", bytes(31), SOUND + b"\0"], ids=bytes.hex)
def test_a_key_package_with_such_a_key_is_refused(people: list[Person], which: str, key: bytes) -> None:
    first, joiner = people[0], person("joiner")
    package = joiner.key_package().public.encoded
    forged = forge_key_package(joiner.engine, joiner.key.private, package, **{which: key})
    with pytest.raises(InvalidMessage):
        first.engine.parse_key_package(forged)
    with pytest.raises(InvalidInput):
        first.group.propose_commit(adds=[forged])


@pytest.mark.parametrize("key", [*LOW_ORDER, b"", bytes(31), SOUND + b"\0"], ids=bytes.hex)
def test_an_update_to_such_a_key_is_refused(people: list[Person], key: bytes) -> None:
    first, second, third = people
    update = forge_update(second.engine, second.key.private, second.group, key)
    with pytest.raises(InvalidMessage):
        first.group.read_update(update)
    with pytest.raises(InvalidInput):
        first.group.propose_commit(updates=[update])
    settle(third, third.group.propose_commit(force_path=True), [first, second])
    assert first.group.authenticator() == second.group.authenticator()
