"""Groups of this face's configuration, together with a member built on another library (mls-rs).

The member is the program in ``interop/``; without it (``cargo build --release`` in that folder) these tests
are skipped, unless DEMLS_INTEROP_REQUIRED says that they have to run.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from demls_engine import Engine, InvalidInput, InvalidMessage
from demls_engine.contract import BINDING, INVITE, POLICY, Person, settle

PROGRAM = Path(__file__).parents[1] / "interop" / "target" / "release" / "mls-rs-member"

Answer = dict[str, str | int | list[str]]


class OtherMember:
    """A member on mls-rs: one request, one answer."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen([PROGRAM, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, act: str, **arguments: object) -> Answer:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": act, **arguments}) + "\n")
        self.process.stdin.flush()
        answer: Answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer

    def bytes(self, act: str, name: str, **arguments: object) -> bytes:
        value = self(act, **arguments)[name]
        assert isinstance(value, str)
        return bytes.fromhex(value)

    def close(self) -> None:
        self.process.communicate()


@pytest.fixture
def other() -> Iterator[OtherMember]:
    if not PROGRAM.exists() and "DEMLS_INTEROP_REQUIRED" not in os.environ:
        pytest.skip("the mls-rs member is not built")
    member = OtherMember()
    yield member
    member.close()


def person(name: str) -> Person:
    return Person(Engine(), name)


def assert_agreement(other: OtherMember, *people: Person) -> None:
    state = other("state")
    for each in people:
        group = each.group
        assert state["epoch"] == group.epoch
        assert state["authenticator"] == group.authenticator().hex()
        assert state["exported"] == group.export_secret("label", b"context", 32).hex()
        assert state["tree"] == group.ratchet_tree().hex()
        assert state["members"] == group.member_count


def invited_by_us(other: OtherMember, founder: Person) -> None:
    package = other.bytes("key_package", "key_package", extensions=[[BINDING, b"theirs".hex()]])
    assert founder.engine.parse_key_package(package).extensions == {BINDING: b"theirs"}
    candidate = founder.group.propose_commit(adds=[package], group_info_extensions={INVITE: b"secret"})
    assert candidate.welcome is not None
    founder.group.merge(candidate.staged)
    joined = other("join", welcome=candidate.welcome.hex(), tree=founder.group.ratchet_tree().hex())
    assert [INVITE, b"secret".hex()] in joined["group_info"]  # type: ignore[operator]


def test_their_member_joins_our_group_and_everybody_commits_and_talks(other: OtherMember) -> None:
    first, second = person("first"), person("second")
    first.found()
    invited_by_us(other, first)
    assert_agreement(other, first)

    read = other("process", message=first.group.encrypt(b"from us", b"header").hex())
    assert (read["sender"], read["plaintext"]) == (0, b"from us".hex())
    assert read["authenticated_data"] == b"header".hex()
    message = other.bytes("encrypt", "message", plaintext=b"from them".hex(), authenticated_data=b"aad".hex())
    ours = first.group.decrypt(message)
    assert (ours.sender, ours.plaintext, ours.authenticated_data) == (1, b"from them", b"aad")

    package = second.key_package()
    candidate = first.group.propose_commit(
        adds=[package.public.encoded], context_extensions={POLICY: b"new"}, authenticated_data=b"why", force_path=True
    )
    heard = other("process", message=candidate.commit.hex())
    assert (heard["committer"], heard["authenticated_data"]) == (0, b"why".hex())
    first.group.merge(candidate.staged)
    second.join(candidate, package, first.group.ratchet_tree())
    assert_agreement(other, first, second)

    commit = other.bytes("commit", "commit", authenticated_data=b"their reason".hex())
    for each in (first, second):
        staged = each.group.stage(commit)
        assert (staged.committer, staged.has_path, staged.authenticated_data) == (1, True, b"their reason")
        each.group.merge(staged)
    assert_agreement(other, first, second)

    candidate = second.group.propose_commit(removes=[0])
    assert first.group.stage(candidate.commit).removes_self
    other("process", message=candidate.commit.hex())
    second.group.merge(candidate.staged)
    assert_agreement(other, second)


def test_we_join_their_group(other: OtherMember) -> None:
    second = person("second")
    other("create", group_id=b"theirs".hex(), context=[[POLICY, b"policy".hex()]])
    package = second.key_package()
    made = other(
        "commit", adds=[package.public.encoded.hex()], group_info=[[INVITE, b"key".hex()]], authenticated_data=""
    )
    assert isinstance(made["welcomes"], list)
    opened = second.engine.open_welcome(bytes.fromhex(made["welcomes"][0]), package.private)
    assert (opened.group_id, opened.epoch, opened.committer) == (b"theirs", 1, 0)
    assert opened.group_info_extensions == {INVITE: b"key"}
    assert opened.context_extensions == {POLICY: b"policy"}
    second.group_or_none = opened.join(other.bytes("state", "tree"))
    assert_agreement(other, second)
    settled = second.group.propose_commit(force_path=True)
    other("process", message=settled.commit.hex())
    second.group.merge(settled.staged)
    assert_agreement(other, second)
    assert second.group.decrypt(other.bytes("encrypt", "message", plaintext="00ff")).plaintext == b"\0\xff"


def test_we_commit_their_update(other: OtherMember) -> None:
    first, second = person("first"), person("second")
    first.found()
    invited_by_us(other, first)
    package = second.key_package()
    candidate = first.group.propose_commit(adds=[package.public.encoded])
    other("process", message=candidate.commit.hex())
    first.group.merge(candidate.staged)
    second.join(candidate, package, first.group.ratchet_tree())

    proposal = other.bytes("propose_update", "message")
    assert first.group.read_update(proposal).leaf == 1
    candidate = first.group.propose_commit(updates=[proposal])
    other("process", message=candidate.commit.hex())
    second.group.merge(second.group.stage(candidate.commit, [proposal]))
    first.group.merge(candidate.staged)
    assert_agreement(other, first, second)


def test_they_commit_our_update(other: OtherMember) -> None:
    first = person("first")
    first.found()
    invited_by_us(other, first)
    proposal, secrets = first.group.propose_update(extensions={BINDING: b"renewed"})
    other("process", message=proposal.hex())
    commit = other.bytes("commit", "commit", authenticated_data="")
    staged = first.group.stage(commit, [], secrets)
    assert staged.updates == [0]
    first.group.merge(staged)
    assert_agreement(other, first)


def test_their_removal_makes_us_inactive(other: OtherMember) -> None:
    first, second = person("first"), person("second")
    first.found()
    invited_by_us(other, first)
    package = second.key_package()
    candidate = first.group.propose_commit(adds=[package.public.encoded])
    other("process", message=candidate.commit.hex())
    settle(first, candidate, [])
    second.join(candidate, package, first.group.ratchet_tree())
    commit = other.bytes("commit", "commit", removes=[0], authenticated_data="")
    staged = first.group.stage(commit)
    assert staged.removes_self
    first.group.merge(staged)
    assert not first.group.is_active
    second.group.merge(second.group.stage(commit))
    assert_agreement(other, second)
    with pytest.raises(InvalidMessage):
        second.group.stage(commit)


def test_key_packages_with_a_lifetime_are_refused_by_who_adds_and_who_receives(other: OtherMember) -> None:
    first = person("first")
    first.found()
    invited_by_us(other, first)
    mortal = OtherMember(str(2**40))
    package = mortal.bytes("key_package", "key_package")
    mortal.close()
    with pytest.raises(InvalidMessage):
        first.engine.parse_key_package(package)
    with pytest.raises(InvalidInput):
        first.group.propose_commit(adds=[package])
    commit = other.bytes("commit", "commit", adds=[package.hex()], authenticated_data="")
    before = first.group.snapshot()
    with pytest.raises(InvalidMessage, match="lifetime"):
        first.group.stage(commit)
    assert first.group.snapshot() == before
