"""What can be added to a tree is found out without a commit, and is what a commit takes."""

from __future__ import annotations

from functools import cache

from demls_engine import Engine, InvalidInput, MlsGroup
from demls_engine.contract import SUPPORTED, UNKNOWN, Person, settle
from forged import LOW_ORDER, forge_key_package
from hypothesis import given, settings
from hypothesis import strategies as st


def person(name: str) -> Person:
    return Person(Engine(name.encode().ljust(32, b".")), name)


def keys_of(package: bytes) -> tuple[bytes, bytes]:
    """(init key, encryption key); both have a length of one byte before them."""
    return package[5:37], package[38:70]


@cache
def scene() -> tuple[MlsGroup, dict[str, bytes]]:
    """A group from which a member was removed, and key packages by what is special about them."""
    first, second, third = (person(name) for name in ("first", "second", "third"))
    first.found()
    joined = [joiner.key_package() for joiner in (second, third)]
    candidate = first.group.propose_commit(adds=[package.public.encoded for package in joined])
    settle(first, candidate, [])
    second.join(candidate, joined[0], first.group.ratchet_tree())
    settle(first, first.group.propose_commit(removes=[2]), [second])

    joiner, other = person("joiner"), person("other")
    package, another = joiner.key_package().public.encoded, other.key_package().public.encoded
    init_key, encryption_key = keys_of(another)

    def forged(**keys: bytes) -> bytes:
        return forge_key_package(joiner.engine, joiner.key.private, package, **keys)

    packages = {
        "sound": package,
        "of the same person": joiner.key_package().public.encoded,
        "of another": another,
        "that supports more": person("able").key_package([*SUPPORTED, UNKNOWN]).public.encoded,
        "that supports too little": person("unable").key_package(SUPPORTED[1:]).public.encoded,
        "of a member": second.key_package().public.encoded,
        "that a member joined with": joined[0].public.encoded,
        "of a former member": third.key_package().public.encoded,
        "that a former member joined with": joined[1].public.encoded,
        "with another's init key": forged(init_key=init_key),
        "with another's encryption key": forged(encryption_key=encryption_key),
        "with another's encryption key as init key": forged(init_key=encryption_key),
        "with another's init key as encryption key": forged(encryption_key=init_key),
        "with a member's encryption key": forged(encryption_key=keys_of(joined[0].public.encoded)[1]),
        "with a member's encryption key as init key": forged(init_key=keys_of(joined[0].public.encoded)[1]),
        "with a former member's encryption key": forged(encryption_key=keys_of(joined[1].public.encoded)[1]),
        "to which nothing can be encrypted": forged(init_key=LOW_ORDER[0]),
        "cut off": package[:-1],
        "empty": b"",
    }
    return first.group, packages


def is_taken(group: MlsGroup, adds: list[bytes]) -> bool:
    try:
        group.propose_commit(adds=adds)
    except InvalidInput:
        return False
    return True


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(sorted(scene()[1])), max_size=5))
def test_it_agrees_with_commits_about_any_set(names: list[str]) -> None:
    group, packages = scene()
    adds = [packages[name] for name in names]
    assert group.can_add(adds) is is_taken(group, adds)


def test_it_agrees_with_commits_about_all_pairs() -> None:
    group, packages = scene()
    alone = {name for name, package in packages.items() if group.can_add([package])}
    assert alone == {name for name, package in packages.items() if is_taken(group, [package])}
    assert {"sound", "of another", "that supports more", "of a former member"} <= alone
    for name, package in packages.items():
        for other_name, other in packages.items():
            assert group.can_add([package, other]) is is_taken(group, [package, other]), (name, other_name)
