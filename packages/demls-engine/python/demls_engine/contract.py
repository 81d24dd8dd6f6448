"""What every MLS engine with this interface does: tests to run against any implementation.

Subclass ``EngineContract`` in a test module and say how an engine is made (pytest has to be
installed). Nothing here depends on the bytes on the wire, so a model without cryptography can meet it too::

    class TestModel(EngineContract):
        def make_engine(self, seed: bytes) -> Engine:
            return cast(Engine, ModelEngine(seed))
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import product
from typing import ParamSpec

import pytest

from demls_engine import (
    AlreadyUsed,
    Candidate,
    Decrypted,
    Engine,
    EngineError,
    Inactive,
    InvalidInput,
    InvalidMessage,
    Member,
    MlsGroup,
    NewKeyPackage,
    OwnMessage,
    SignatureKey,
    StagedCommit,
    UnreadableState,
    WrongEpoch,
    WrongState,
)

Arguments = ParamSpec("Arguments")

POLICY = 0xF001
BINDING = 0xF002
INVITE = 0xF003
UNKNOWN = 0xFF00
SUPPORTED = (POLICY, BINDING, INVITE)


@dataclass
class Person:
    """Somebody with a name, an engine and a leaf key, in at most one group."""

    engine: Engine
    name: str
    windows: Mapping[str, int] = field(default_factory=dict)
    group_or_none: MlsGroup | None = None

    @cached_property
    def key(self) -> SignatureKey:
        return self.engine.signature_key()

    @property
    def group(self) -> MlsGroup:
        assert self.group_or_none is not None
        return self.group_or_none

    @property
    def extensions(self) -> dict[int, bytes]:
        return {BINDING: b"binding of " + self.name.encode()}

    def key_package(self, supported: Sequence[int] = SUPPORTED) -> NewKeyPackage:
        return self.engine.key_package(
            signature_private=self.key.private,
            credential=self.name.encode(),
            extensions=self.extensions,
            supported=supported,
        )

    def found(self, context_extensions: Mapping[int, bytes] | None = None, group_id: bytes = b"group") -> MlsGroup:
        self.group_or_none = self.engine.create_group(
            group_id=group_id,
            signature_private=self.key.private,
            credential=self.name.encode(),
            extensions=self.extensions,
            supported=SUPPORTED,
            context_extensions={POLICY: b"policy"} if context_extensions is None else context_extensions,
            **self.windows,
        )
        return self.group

    def join(self, candidate: Candidate, package: NewKeyPackage, tree: bytes) -> MlsGroup:
        assert candidate.welcome is not None
        self.group_or_none = self.engine.open_welcome(candidate.welcome, package.private, **self.windows).join(tree)
        return self.group


def flipped(content: bytes, position: int) -> bytes:
    """``content`` with one bit changed."""
    changed = bytearray(content)
    changed[position % len(content)] ^= 1 << (position % 8)
    return bytes(changed)


def settle(committer: Person, candidate: Candidate, others: Sequence[Person]) -> None:
    """Everybody merges the commit."""
    for person in others:
        merge(person.group, person.group.stage(candidate.commit))
    merge(committer.group, candidate.staged)


def merge(group: MlsGroup, commit: StagedCommit | bytes) -> list[int]:
    """Merge a commit; the leaves that it changes, which are told as they are."""
    before = leaves_of(group)
    changed = group.merge(commit)
    assert list(changed) == sorted(changed)
    if group.is_active:
        leaves = {**before, **{index: member and _seen(member) for index, member in changed.items()}}
        assert {index: leaf for index, leaf in leaves.items() if leaf is not None} == leaves_of(group)
    return list(changed)


def leaves_of(group: MlsGroup) -> dict[int, tuple[int, bytes, bytes, dict[int, bytes]]]:
    """What the engine shows of each leaf that is not blank, by index."""
    return {member.leaf: _seen(member) for member in group.members()}


def _seen(member: Member) -> tuple[int, bytes, bytes, dict[int, bytes]]:
    return member.leaf, member.signature_key, member.credential, member.extensions


def apply(saved: dict[bytes, bytes], group: MlsGroup) -> dict[bytes, bytes]:
    """``saved`` after what ``changes`` says."""
    for key, value in group.changes():
        if value is None:
            saved.pop(key)
        else:
            saved[key] = value
    return saved


class EngineContract:
    """Each test is one sentence about engines."""

    def make_engine(self, seed: bytes) -> Engine:
        """An engine whose results follow from the 32-byte ``seed``."""
        raise NotImplementedError

    def person(self, name: str, **windows: int) -> Person:
        return Person(self.make_engine(sha256(name.encode()).digest()), name, windows)

    def group_of(self, count: int, **windows: int) -> list[Person]:
        """People 0 to count - 1 in one group at epoch 1 (0 if alone); the first founded it."""
        people = [self.person(f"person {index}", **windows) for index in range(count)]
        people[0].found()
        self.invite(people[0], people[1:])
        return people

    def invite(self, committer: Person, joiners: Sequence[Person], others: Sequence[Person] = ()) -> None:
        if not joiners:
            return
        packages = [joiner.key_package() for joiner in joiners]
        candidate = committer.group.propose_commit(adds=[package.public.encoded for package in packages])
        settle(committer, candidate, others)
        tree = committer.group.ratchet_tree()
        for joiner, package in zip(joiners, packages, strict=True):
            joiner.join(candidate, package, tree)

    def assert_agreement(self, people: Sequence[Person]) -> None:
        first = people[0].group
        for person in people:
            group = person.group
            assert group.epoch == first.epoch
            assert group.authenticator() == first.authenticator()
            assert group.export_secret("label", b"context", 32) == first.export_secret("label", b"context", 32)
            assert group.ratchet_tree() == first.ratchet_tree()
            assert group.context_extensions() == first.context_extensions()
            assert [member.leaf for member in group.members()] == [member.leaf for member in first.members()]

    def assert_refused(
        self,
        group: MlsGroup,
        error: type[EngineError],
        act: Callable[Arguments, object],
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> None:
        """The call raises ``error`` and the group stays as it was."""
        before = group.snapshot()
        with pytest.raises(error):
            act(*arguments, **named)
        assert group.snapshot() == before

    # Founding and key packages

    def test_a_founder_is_alone_at_epoch_zero(self) -> None:
        founder = self.person("founder")
        group = founder.found({POLICY: b"policy", INVITE: b""}, group_id=b"the group")
        assert (group.group_id, group.epoch, group.own_leaf, group.member_count) == (b"the group", 0, 0, 1)
        assert group.is_active
        assert group.context_extensions() == {POLICY: b"policy", INVITE: b""}
        (member,) = group.members()
        assert (member.leaf, member.signature_key, member.credential) == (0, founder.key.public, b"founder")
        assert member.extensions == founder.extensions
        assert len(group.authenticator()) == 32

    def test_a_key_package_says_what_was_put_in(self) -> None:
        person = self.person("joiner")
        package = person.key_package()
        read = self.person("reader").engine.parse_key_package(package.public.encoded)
        for described in (package.public, read):
            assert described.encoded == package.public.encoded
            assert described.reference == package.public.reference
            assert described.signature_key == person.key.public
            assert described.credential == b"joiner"
            assert described.extensions == person.extensions
            assert (described.not_before, described.not_after) == (0, 2**64 - 1)
        assert person.key_package().public.reference != package.public.reference

    def test_a_changed_key_package_is_refused(self) -> None:
        encoded = self.person("joiner").key_package().public.encoded
        reader = self.person("reader").engine
        for position in range(0, len(encoded), 5):
            with pytest.raises(InvalidMessage):
                reader.parse_key_package(flipped(encoded, position))
        for wrong in (b"", encoded[:-1], encoded + b"\0"):
            with pytest.raises(InvalidMessage):
                reader.parse_key_package(wrong)

    def test_extensions_are_of_private_use(self) -> None:
        person = self.person("somebody")
        with pytest.raises(InvalidInput):
            person.found({5: b"external senders"})
        with pytest.raises(InvalidInput):
            person.key_package(supported=[3])
        with pytest.raises(InvalidInput):
            person.engine.key_package(
                signature_private=person.key.private, credential=b"", extensions={1: b""}, supported=[]
            )

    def test_keys_have_their_size(self) -> None:
        person = self.person("somebody")
        with pytest.raises(InvalidInput):
            person.engine.key_package(signature_private=b"short", credential=b"", extensions={}, supported=[])
        with pytest.raises(InvalidInput):
            person.engine.sign(b"\0" * 31, "label", b"content")
        with pytest.raises(InvalidInput):
            person.engine.seal(b"\0" * 16, b"", b"")
        with pytest.raises(InvalidInput):
            person.engine.unseal(b"", b"", b"")
        with pytest.raises(InvalidInput):
            self.make_engine(b"too short")

    # Joining

    def test_joiners_agree_with_the_committer(self) -> None:
        people = self.group_of(4)
        self.assert_agreement(people)
        assert [person.group.own_leaf for person in people] == [0, 1, 2, 3]
        names = [member.credential.decode() for member in people[2].group.members()]
        assert names == [person.name for person in people]
        assert people[3].group.member_count == 4
        third = people[0].group.member(2)
        assert third is not None
        assert third.extensions == people[2].extensions
        assert people[0].group.member(4) is None
        assert people[0].group.member(2**40) is None
        assert people[0].group.member(-1) is None

    def test_a_welcome_tells_before_the_tree_is_there(self) -> None:
        founder, joiner = self.person("founder"), self.person("joiner")
        founder.found()
        package = joiner.key_package()
        candidate = founder.group.propose_commit(
            adds=[package.public.encoded], group_info_extensions={INVITE: b"key of the tree"}
        )
        founder.group.merge(candidate.staged)
        assert candidate.welcome is not None
        opened = joiner.engine.open_welcome(candidate.welcome, package.private)
        assert (opened.group_id, opened.epoch, opened.committer) == (b"group", 1, 0)
        assert opened.group_info_extensions == {INVITE: b"key of the tree"}
        assert opened.context_extensions == {POLICY: b"policy"}

    def test_a_wrong_tree_is_refused_and_the_right_one_still_taken(self) -> None:
        founder, joiner = self.person("founder"), self.person("joiner")
        founder.found()
        package = joiner.key_package()
        old_tree = founder.group.ratchet_tree()
        candidate = founder.group.propose_commit(adds=[package.public.encoded])
        founder.group.merge(candidate.staged)
        tree = founder.group.ratchet_tree()
        assert candidate.welcome is not None
        opened = joiner.engine.open_welcome(candidate.welcome, package.private)
        for wrong in (b"", old_tree, tree[:-1], *(flipped(tree, position) for position in range(0, len(tree), 29))):
            with pytest.raises(InvalidMessage):
                opened.join(wrong)
        joiner.group_or_none = opened.join(tree)
        self.assert_agreement([founder, joiner])

    def test_a_welcome_opens_only_for_its_key_package(self) -> None:
        founder, joiner, stranger = (self.person(name) for name in ("founder", "joiner", "stranger"))
        founder.found()
        package, other = joiner.key_package(), stranger.key_package()
        candidate = founder.group.propose_commit(adds=[package.public.encoded])
        founder.group.merge(candidate.staged)
        assert candidate.welcome is not None
        with pytest.raises(InvalidMessage):
            stranger.engine.open_welcome(candidate.welcome, other.private)
        for position in range(0, len(candidate.welcome), 17):
            with pytest.raises(InvalidMessage):
                joiner.engine.open_welcome(flipped(candidate.welcome, position), package.private)
        joiner.join(candidate, package, founder.group.ratchet_tree())
        self.assert_agreement([founder, joiner])

    def test_secrets_of_a_key_package_are_checked(self) -> None:
        founder, joiner = self.person("founder"), self.person("joiner")
        founder.found()
        package = joiner.key_package()
        candidate = founder.group.propose_commit(adds=[package.public.encoded])
        assert candidate.welcome is not None
        for wrong in (b"", package.private[:-1], flipped(package.private, 100)):
            with pytest.raises(InvalidInput):
                joiner.engine.open_welcome(candidate.welcome, wrong)

    # Building commits

    def test_building_a_candidate_changes_nothing_and_messages_go_on(self) -> None:
        first, second, joiner = *self.group_of(2), self.person("joiner")
        before = first.group.snapshot()
        candidate = first.group.propose_commit(adds=[joiner.key_package().public.encoded])
        assert first.group.snapshot() == before
        assert first.group.epoch == 1
        assert second.group.decrypt(first.group.encrypt(b"still here")).plaintext == b"still here"
        assert first.group.decrypt(second.group.encrypt(b"so am I")).plaintext == b"so am I"
        settle(first, candidate, [second])
        self.assert_agreement([first, second])

    def test_of_several_candidates_one_can_be_merged(self) -> None:
        first, second = self.group_of(2)
        candidates = [first.group.propose_commit(authenticated_data=bytes([number])) for number in range(3)]
        assert len({candidate.commit for candidate in candidates}) == 3
        settle(first, candidates[1], [second])
        self.assert_agreement([first, second])
        for candidate in candidates:
            self.assert_refused(first.group, WrongState, first.group.merge, candidate.staged)

    def test_a_candidate_survives_a_restart(self) -> None:
        first, second = self.group_of(2)
        candidate = first.group.propose_commit(force_path=True)
        second.group.merge(second.group.stage(candidate.commit))
        first.group_or_none = first.engine.load_group(first.group.snapshot())
        first.group.merge(candidate.staged)
        self.assert_agreement([first, second])

    def test_only_adds_need_no_path_and_have_a_welcome(self) -> None:
        first, second, joiner = *self.group_of(2), self.person("joiner")
        candidate = first.group.propose_commit(adds=[joiner.key_package().public.encoded])
        assert candidate.welcome is not None
        assert not second.group.stage(candidate.commit).has_path
        candidate = first.group.propose_commit(adds=[joiner.key_package().public.encoded], force_path=True)
        assert second.group.stage(candidate.commit).has_path
        assert first.group.propose_commit().welcome is None

    def test_a_set_that_makes_no_valid_commit_is_refused(self) -> None:
        first, second, joiner = *self.group_of(2), self.person("joiner")
        group = first.group
        package = joiner.key_package().public.encoded
        unable = self.person("unable").key_package(supported=[]).public.encoded
        proposal, _ = second.group.propose_update()
        refused: list[Callable[[], object]] = [
            lambda: group.propose_commit(removes=[0]),
            lambda: group.propose_commit(removes=[7]),
            lambda: group.propose_commit(removes=[2**40]),
            lambda: group.propose_commit(removes=[-1]),
            lambda: group.propose_commit(removes=[1, 1]),
            lambda: group.propose_commit(adds=[package, package]),
            lambda: group.propose_commit(adds=[second.key_package().public.encoded]),
            lambda: group.propose_commit(adds=[flipped(package, 50)]),
            lambda: group.propose_commit(adds=[unable]),
            lambda: group.propose_commit(context_extensions={UNKNOWN: b""}),
            lambda: group.propose_commit(context_extensions={5: b""}),
            lambda: group.propose_commit(updates=[proposal], removes=[1]),
            lambda: group.propose_commit(updates=[flipped(proposal, 60)]),
            lambda: group.propose_commit(updates=[group.propose_update()[0]]),
        ]
        for act in refused:
            self.assert_refused(group, InvalidInput, act)
        assert second.group.decrypt(group.encrypt(b"as ever")).plaintext == b"as ever"

    def test_what_can_be_added_is_what_a_commit_takes(self) -> None:
        first, second, third = self.group_of(3)
        former = third.key_package().public.encoded
        settle(first, first.group.propose_commit(removes=[2]), [second])
        joiner, other = self.person("joiner"), self.person("other")
        packages = [
            joiner.key_package().public.encoded,
            joiner.key_package().public.encoded,
            other.key_package().public.encoded,
            former,
            first.key_package().public.encoded,
            second.key_package().public.encoded,
            self.person("unable").key_package(supported=[]).public.encoded,
            flipped(other.key_package().public.encoded, 50),
        ]
        parsed = {package: first.engine.parse_key_package(package) for package in packages[:-1]}
        before = first.group.snapshot()
        fitting = []
        for count in range(3):
            for adds in product(packages, repeat=count):
                try:
                    first.group.propose_commit(adds=adds)
                    is_taken = True
                except InvalidInput:
                    is_taken = False
                assert first.group.can_add(adds) is is_taken
                read = [parsed.get(package, package) for package in adds]
                assert first.group.can_add(read) is is_taken
                fitting.append(is_taken)
        # None; each alone of four; in pairs of different people.
        assert sum(fitting) == 1 + 4 + 2 * (2 + 2 + 1)
        assert first.group.snapshot() == before
        settle(first, first.group.propose_commit(removes=[1]), [second])
        with pytest.raises(Inactive):
            second.group.can_add(packages[:1])

    # Receiving commits

    def test_a_staged_commit_says_everything_and_changes_nothing(self) -> None:
        people = self.group_of(4)
        first, second, third, _ = people
        joiner = self.person("joiner")
        package = joiner.key_package()
        proposal, _ = third.group.propose_update()
        candidate = first.group.propose_commit(
            adds=[package.public.encoded],
            removes=[3],
            updates=[proposal],
            context_extensions={POLICY: b"new policy", INVITE: b"x"},
            authenticated_data=b"certificates",
        )
        before = second.group.snapshot()
        staged = second.group.stage(candidate.commit, [proposal])
        assert second.group.snapshot() == before
        assert staged.committer == 0
        assert [added.encoded for added in staged.adds] == [package.public.encoded]
        assert [added.reference for added in staged.adds] == [package.public.reference]
        assert staged.removes == [3]
        assert staged.updates == [2]
        assert [(leaf.leaf, leaf.signature_key) for leaf in staged.updated_leaves] == [(2, third.key.public)]
        assert staged.context_extensions == {POLICY: b"new policy", INVITE: b"x"}
        assert staged.other_proposals == []
        assert staged.authenticated_data == b"certificates"
        assert staged.has_path
        assert staged.path_signature_key == first.key.public
        assert staged.path_credential == first.name.encode()
        assert staged.path_extensions == first.extensions
        assert not staged.removes_self
        assert staged.epoch == 2
        second.group.merge(staged)
        assert second.group.authenticator() == staged.authenticator
        assert second.group.context_extensions() == {POLICY: b"new policy", INVITE: b"x"}

    def test_a_commit_without_path_has_no_path_fields(self) -> None:
        first, second, joiner = *self.group_of(2), self.person("joiner")
        candidate = first.group.propose_commit(adds=[joiner.key_package().public.encoded])
        staged = second.group.stage(candidate.commit)
        assert not staged.has_path
        assert staged.path_signature_key is None
        assert staged.path_credential is None
        assert staged.path_extensions is None
        assert staged.context_extensions is None

    def test_a_commit_can_be_staged_again_and_again(self) -> None:
        first, second = self.group_of(2)
        candidate = first.group.propose_commit()
        one, other = (second.group.stage(candidate.commit) for _ in range(2))
        assert one.authenticator == other.authenticator
        second.group.merge(other)
        self.assert_refused(second.group, WrongState, second.group.merge, one)
        self.assert_refused(second.group, WrongState, second.group.merge, other)

    def test_a_commit_staged_before_a_restart_can_be_merged(self) -> None:
        first, second = self.group_of(2)
        candidate = first.group.propose_commit()
        staged = second.group.stage(candidate.commit)
        second.group_or_none = second.engine.load_group(second.group.snapshot())
        settle(first, candidate, [])
        second.group.merge(staged)
        self.assert_agreement([first, second])

    def test_a_commit_staged_on_a_fork_is_not_merged(self) -> None:
        first, second, third = self.group_of(3)
        fork = third.engine.load_group(third.group.snapshot())
        fork.merge(fork.stage(first.group.propose_commit().commit))
        candidate = second.group.propose_commit()
        settle(second, candidate, [third])
        staged = third.group.stage(second.group.propose_commit().commit)
        self.assert_refused(fork, WrongState, fork.merge, staged)

    def test_everybody_agrees_after_a_commit_by_anybody(self) -> None:
        people = self.group_of(5)
        for turn in range(5):
            committer = people[turn]
            others = [person for person in people if person is not committer]
            settle(committer, committer.group.propose_commit(force_path=True), others)
            self.assert_agreement(people)
        assert people[0].group.epoch == 6

    def test_a_changed_commit_is_refused(self) -> None:
        first, second = self.group_of(2)
        commit = first.group.propose_commit(authenticated_data=b"data").commit
        for position in range(0, len(commit), 11):
            self.assert_refused(second.group, InvalidMessage, second.group.stage, flipped(commit, position))
        for wrong in (b"", commit[:-1], commit + b"\0"):
            self.assert_refused(second.group, InvalidMessage, second.group.stage, wrong)

    def test_a_commit_of_another_epoch_or_group_is_refused(self) -> None:
        people = self.group_of(3)
        first, second, third = people
        old = first.group.propose_commit().commit
        settle(first, first.group.propose_commit(), [second])
        ahead = first.group.propose_commit().commit
        self.assert_refused(third.group, WrongEpoch, third.group.stage, ahead)
        self.assert_refused(second.group, WrongEpoch, second.group.stage, old)
        stranger = self.person("stranger")
        stranger.found(group_id=b"elsewhere")
        foreign = stranger.group.propose_commit().commit
        with pytest.raises(InvalidMessage):
            second.group.stage(foreign)

    def test_messages_are_no_commits_and_commits_no_messages(self) -> None:
        first, second = self.group_of(2)
        proposal, _ = first.group.propose_update()
        for wrong in (first.group.encrypt(b"text"), proposal):
            with pytest.raises(InvalidMessage):
                second.group.stage(wrong)
        for wrong in (first.group.propose_commit().commit, proposal):
            with pytest.raises(InvalidMessage):
                second.group.decrypt(wrong)

    def test_an_own_commit_is_not_staged(self) -> None:
        first, _ = self.group_of(2)
        for candidate in (first.group.propose_commit(), first.group.propose_commit(removes=[1])):
            self.assert_refused(first.group, OwnMessage, first.group.stage, candidate.commit)

    # Leaving

    def test_a_removed_member_knows_and_stops(self) -> None:
        people = self.group_of(3)
        first, second, third = people
        candidate = first.group.propose_commit(removes=[2])
        staged = third.group.stage(candidate.commit)
        assert staged.removes_self
        assert staged.authenticator == b""
        assert staged.removes == [2]
        third.group.merge(staged)
        settle(first, candidate, [second])
        self.assert_agreement([first, second])
        assert [member.leaf for member in first.group.members()] == [0, 1]
        group = third.group
        assert not group.is_active
        assert not third.engine.load_group(group.snapshot()).is_active
        message, commit = first.group.encrypt(b"without you"), first.group.propose_commit().commit
        acts: list[Callable[[], object]] = [
            lambda: group.encrypt(b"hello?"),
            lambda: group.decrypt(message),
            lambda: group.stage(commit),
            group.propose_commit,
            group.propose_update,
            lambda: group.export_secret("label", b"", 32),
            group.authenticator,
            lambda: group.merge(staged),
            lambda: group.merge(candidate.staged),
        ]
        for act in acts:
            self.assert_refused(group, Inactive, act)

    def test_a_free_leaf_is_used_again(self) -> None:
        people = self.group_of(4)
        settle(people[0], people[0].group.propose_commit(removes=[1]), people[2:])
        newcomer = self.person("newcomer")
        remaining = [people[0], people[2], people[3]]
        self.invite(remaining[1], [newcomer], [remaining[0], remaining[2]])
        assert newcomer.group.own_leaf == 1
        self.assert_agreement([*remaining, newcomer])

    def test_a_merge_tells_which_leaves_are_different(self) -> None:
        first, second, third, fourth = people = self.group_of(4)
        newcomers = [self.person("newcomer"), self.person("another")]
        adds = [newcomer.key_package().public.encoded for newcomer in newcomers]
        proposal, _ = third.group.propose_update(extensions={BINDING: b"renewed"})
        both = first.group.propose_commit(adds=adds, removes=[1], updates=[proposal])
        assert merge(fourth.group, fourth.group.stage(both.commit, [proposal])) == [0, 1, 2, 4]
        assert merge(first.group, both.staged) == [0, 1, 2, 4]
        assert merge(second.group, second.group.stage(both.commit, [proposal])) == []
        pathless = first.group.propose_commit(adds=[self.person("third").key_package().public.encoded])
        assert merge(fourth.group, fourth.group.stage(pathless.commit)) == [5]
        assert merge(first.group, pathless.staged) == [5]
        last = fourth.group.propose_commit(removes=[5])
        assert merge(first.group, first.group.stage(last.commit)) == [3, 5]
        assert merge(fourth.group, last.staged) == [3, 5]
        assert people[0].group.member_count == 5

    # Updates

    def test_a_member_renews_its_leaf(self) -> None:
        people = self.group_of(3)
        first, second, third = people
        proposal, secrets = second.group.propose_update()
        read = first.group.read_update(proposal)
        assert (read.leaf, read.signature_key, read.extensions) == (1, second.key.public, second.extensions)
        candidate = first.group.propose_commit(updates=[proposal])
        third.group.merge(third.group.stage(candidate.commit, [proposal]))
        staged = second.group.stage(candidate.commit, [proposal], secrets)
        assert staged.updates == [1]
        second.group.merge(staged)
        first.group.merge(candidate.staged)
        self.assert_agreement(people)
        settle(second, second.group.propose_commit(force_path=True), [first, third])
        self.assert_agreement(people)

    def test_a_pending_update_blocks_nothing(self) -> None:
        first, second = self.group_of(2)
        before = second.group.snapshot()
        second.group.propose_update()
        assert second.group.snapshot() == before
        assert first.group.decrypt(second.group.encrypt(b"meanwhile")).plaintext == b"meanwhile"
        settle(first, first.group.propose_commit(), [second])
        self.assert_agreement([first, second])

    def test_an_update_that_was_not_chosen_is_no_harm(self) -> None:
        people = self.group_of(3)
        first, second, third = people
        updates = [person.group.propose_update() for person in (second, third)]
        candidate = first.group.propose_commit(updates=[updates[0][0]])
        pool = [b"garbage", *(proposal for proposal, _ in updates), flipped(updates[1][0], 70)]
        second.group.merge(second.group.stage(candidate.commit, pool, updates[0][1]))
        third.group.merge(third.group.stage(candidate.commit, pool, updates[1][1]))
        first.group.merge(candidate.staged)
        self.assert_agreement(people)
        assert third.group.member_count == 3

    def test_a_commit_needs_the_updates_it_refers_to(self) -> None:
        people = self.group_of(3)
        first, second, third = people
        proposal, secrets = second.group.propose_update()
        commit = first.group.propose_commit(updates=[proposal]).commit
        with pytest.raises(InvalidMessage):
            third.group.stage(commit)
        with pytest.raises(InvalidMessage):
            second.group.stage(commit, [proposal])
        assert second.group.stage(commit, [proposal], secrets).updates == [1]

    def test_the_secrets_of_an_update_serve_one_epoch(self) -> None:
        first, second = self.group_of(2)
        _, secrets = second.group.propose_update()
        settle(first, first.group.propose_commit(), [second])
        commit = first.group.propose_commit().commit
        for wrong in (secrets, b"", flipped(secrets, 90)):
            self.assert_refused(second.group, InvalidInput, second.group.stage, commit, [], wrong)

    def test_an_update_can_change_extensions_and_signature_key(self) -> None:
        people = self.group_of(3)
        first, second, third = people
        key = second.engine.signature_key()
        proposal, secrets = second.group.propose_update(extensions={BINDING: b"renewed"}, signature_private=key.private)
        candidate = first.group.propose_commit(updates=[proposal])
        staged = third.group.stage(candidate.commit, [proposal])
        (leaf,) = staged.updated_leaves
        assert (leaf.leaf, leaf.signature_key, leaf.extensions) == (1, key.public, {BINDING: b"renewed"})
        third.group.merge(staged)
        second.group.merge(second.group.stage(candidate.commit, [proposal], secrets))
        first.group.merge(candidate.staged)
        self.assert_agreement(people)
        second.group_or_none = second.engine.load_group(second.group.snapshot())
        assert first.group.decrypt(second.group.encrypt(b"with the new key")).sender == 1
        settle(second, second.group.propose_commit(), [first, third])
        self.assert_agreement(people)

    def test_updates_of_others_are_read_and_nothing_else(self) -> None:
        first, second, third = self.group_of(3)
        proposal, _ = second.group.propose_update()
        with pytest.raises(OwnMessage):
            second.group.read_update(proposal)
        commit = second.group.propose_commit()
        for wrong in (b"", flipped(proposal, 40), commit.commit, second.group.encrypt(b"text")):
            with pytest.raises(InvalidMessage):
                first.group.read_update(wrong)
        settle(second, commit, [third])
        with pytest.raises(WrongEpoch):
            third.group.read_update(proposal)

    # Messages

    def test_a_message_reaches_every_other_member(self) -> None:
        people = self.group_of(3)
        message = people[1].group.encrypt(b"hello", b"header")
        for person in (people[0], people[2]):
            read = person.group.decrypt(message)
            assert (read.sender, read.epoch, read.plaintext, read.authenticated_data) == (1, 1, b"hello", b"header")
        assert people[0].group.decrypt(people[1].group.encrypt(b"")).plaintext == b""

    def test_a_message_is_read_once(self) -> None:
        first, second = self.group_of(2)
        message = first.group.encrypt(b"once")
        second.group.decrypt(message)
        self.assert_refused(second.group, AlreadyUsed, second.group.decrypt, message)
        second.group_or_none = second.engine.load_group(second.group.snapshot())
        self.assert_refused(second.group, AlreadyUsed, second.group.decrypt, message)

    def test_an_own_message_is_an_error_and_never_an_echo(self) -> None:
        first, _ = self.group_of(2)
        message = first.group.encrypt(b"to all")
        self.assert_refused(first.group, OwnMessage, first.group.decrypt, message)

    def test_a_changed_message_is_refused_and_the_real_one_still_read(self) -> None:
        first, second = self.group_of(2)
        message = first.group.encrypt(b"real", b"header")
        for position in range(0, len(message), 3):
            self.assert_refused(second.group, InvalidMessage, second.group.decrypt, flipped(message, position))
        assert second.group.decrypt(message).plaintext == b"real"

    def test_messages_may_come_out_of_order_within_the_window(self) -> None:
        first, second = self.group_of(2, out_of_order=4)
        messages = [first.group.encrypt(bytes([number])) for number in range(8)]
        assert second.group.decrypt(messages[7]).plaintext == b"\x07"
        for number in (6, 4, 5, 3):
            assert second.group.decrypt(messages[number]).plaintext == bytes([number])
        for number in (0, 1, 2):
            self.assert_refused(second.group, AlreadyUsed, second.group.decrypt, messages[number])

    def test_messages_too_far_ahead_are_refused(self) -> None:
        first, second = self.group_of(2, forward=5)
        messages = [first.group.encrypt(bytes([number])) for number in range(8)]
        self.assert_refused(second.group, InvalidMessage, second.group.decrypt, messages[7])
        assert second.group.decrypt(messages[4]).plaintext == b"\x04"
        assert second.group.decrypt(messages[7]).plaintext == b"\x07"

    def test_past_epochs_are_read_as_far_as_kept(self) -> None:
        first, second = self.group_of(2, past_epochs=2)
        messages = []
        for _ in range(4):
            messages.append(first.group.encrypt(b"epoch %d" % first.group.epoch))
            settle(first, first.group.propose_commit(), [second])
        assert second.group.epoch == 5
        for message in messages[:2]:
            self.assert_refused(second.group, WrongEpoch, second.group.decrypt, message)
        read = second.group.decrypt(messages[2])
        assert (read.epoch, read.plaintext) == (3, b"epoch 3")
        second.group_or_none = second.engine.load_group(second.group.snapshot())
        assert second.group.decrypt(messages[3]).plaintext == b"epoch 4"
        self.assert_refused(second.group, AlreadyUsed, second.group.decrypt, messages[3])

    def test_past_epochs_can_be_forgotten_sooner(self) -> None:
        first, second = self.group_of(2, past_epochs=3)
        messages = []
        for _ in range(3):
            messages.append(first.group.encrypt(b"text"))
            settle(first, first.group.propose_commit(), [second])
        second.group.forget_past_epochs(1)
        second.group_or_none = second.engine.load_group(second.group.snapshot())
        for message in messages[:2]:
            with pytest.raises(WrongEpoch):
                second.group.decrypt(message)
        assert second.group.decrypt(messages[2]).epoch == 3
        second.group.forget_past_epochs(0)
        with pytest.raises(WrongEpoch):
            second.group.decrypt(messages[2])

    def test_a_message_of_the_next_epoch_waits(self) -> None:
        people = self.group_of(3)
        first, second, third = people
        candidate = first.group.propose_commit()
        settle(first, candidate, [second])
        message = second.group.encrypt(b"early")
        self.assert_refused(third.group, WrongEpoch, third.group.decrypt, message)
        third.group.merge(third.group.stage(candidate.commit))
        assert third.group.decrypt(message).plaintext == b"early"

    def test_who_joins_cannot_read_what_was_before(self) -> None:
        first, second, joiner = *self.group_of(2), self.person("joiner")
        message = first.group.encrypt(b"among us")
        self.invite(first, [joiner], [second])
        with pytest.raises(WrongEpoch):
            joiner.group.decrypt(message)

    def test_a_message_of_another_group_is_refused(self) -> None:
        _first, second = self.group_of(2)
        stranger = self.person("stranger")
        stranger.found(group_id=b"elsewhere")
        for wrong in (stranger.group.encrypt(b"hello"), b"", b"\0" * 40):
            self.assert_refused(second.group, InvalidMessage, second.group.decrypt, wrong)

    def test_a_batch_gives_what_single_calls_give(self) -> None:
        first, second, third = self.group_of(3)
        messages = [first.group.encrypt(bytes([number])) for number in range(4)]
        own = [person.group.encrypt(b"own") for person in (second, third)]
        batch = [messages[1], messages[0], messages[1], b"garbage", flipped(messages[2], 50), messages[2], *own]
        results = second.group.decrypt_batch(batch)
        singles: list[bytes | type[EngineError]] = []
        for message in batch:
            try:
                singles.append(third.group.decrypt(message).plaintext)
            except EngineError as error:
                singles.append(type(error))
        found = [result.plaintext if isinstance(result, Decrypted) else type(result) for result in results]
        assert found[:6] == singles[:6]
        assert found[6:] == [OwnMessage, b"own"]
        assert singles[6:] == [b"own", OwnMessage]
        assert second.group.decrypt_batch([]) == []

    # State

    def test_the_sum_of_all_changes_is_the_snapshot(self) -> None:
        people = self.group_of(3)
        first, second, third = people
        saved = apply({}, second.group)
        assert saved == second.group.snapshot()
        assert second.group.changes() == []
        second.group.decrypt(first.group.encrypt(b"one"))
        second.group.encrypt(b"two")
        assert apply(saved, second.group) == second.group.snapshot()
        settle(first, first.group.propose_commit(removes=[2]), [second])
        second.group.forget_past_epochs(0)
        changes = second.group.changes()
        assert [key for key, _ in changes] == sorted(key for key, _ in changes)
        for key, value in changes:
            if value is None:
                del saved[key]
            else:
                saved[key] = value
        assert saved == second.group.snapshot()
        assert third.group.changes() != []

    def test_a_loaded_group_goes_on_where_it_was(self) -> None:
        people = self.group_of(3)
        first, second, third = people
        early = first.group.encrypt(b"early")
        second.group.decrypt(first.group.encrypt(b"later"))
        saved = apply({}, second.group)
        second.group_or_none = second.engine.load_group(saved)
        assert second.group.changes() == []
        self.assert_agreement(people)
        assert second.group.decrypt(early).plaintext == b"early"
        settle(second, second.group.propose_commit(), [first, third])
        self.assert_agreement(people)
        assert apply(saved, second.group) == second.group.snapshot()

    def test_an_encryption_key_is_not_used_again_after_a_restart(self) -> None:
        first, second = self.group_of(2)
        sent = first.group.encrypt(b"before")
        first.group_or_none = first.engine.load_group(first.group.snapshot())
        again = first.group.encrypt(b"after")
        assert second.group.decrypt(again).plaintext == b"after"
        assert second.group.decrypt(sent).plaintext == b"before"

    def test_a_damaged_state_is_not_loaded(self) -> None:
        first, second = self.group_of(2)
        engine, state = second.engine, second.group.snapshot()
        settle(first, first.group.propose_commit(), [second])
        later = second.group.snapshot()
        with pytest.raises(UnreadableState):
            engine.load_group({})
        for key, value in state.items():
            rest = {other: state[other] for other in state if other != key}
            wrong = [rest, rest | {key: flipped(value, 3) if value else b"x"}, rest | {key + b"x": value}]
            if key in later and later[key] != value:
                wrong.append(rest | {key: later[key]})
            for damaged in wrong:
                with pytest.raises(UnreadableState):
                    engine.load_group(damaged)
        assert engine.load_group(state).epoch == 1

    def test_a_candidate_is_checked(self) -> None:
        first, _ = self.group_of(2)
        staged = first.group.propose_commit().staged
        for wrong in (b"", staged[:-1], flipped(staged, 200), staged + b"\0"):
            self.assert_refused(first.group, InvalidInput, first.group.merge, wrong)
        first.group.merge(staged)

    # Secrets, signatures, seals, randomness

    def test_exported_secrets_depend_on_label_context_length_and_epoch(self) -> None:
        first, second = self.group_of(2)
        group = first.group
        secrets = {
            group.export_secret("label", b"context", 32),
            group.export_secret("other", b"context", 32),
            group.export_secret("label", b"other", 32),
            group.export_secret("label", b"context", 16),
        }
        settle(first, group.propose_commit(), [second])
        secrets.add(group.export_secret("label", b"context", 32))
        assert len(secrets) == 5
        assert len(group.export_secret("label", b"", 64)) == 64
        for wrong in (-1, 2**20):
            with pytest.raises(InvalidInput):
                group.export_secret("label", b"", wrong)

    def test_a_signature_holds_for_what_was_signed(self) -> None:
        engine = self.person("signer").engine
        key, other = engine.signature_key(), engine.signature_key()
        signature = engine.sign(key.private, "vote", b"yes")
        assert len(signature) == 64
        assert engine.verify(key.public, "vote", b"yes", signature)
        wrong = [
            (other.public, "vote", b"yes", signature),
            (key.public, "veto", b"yes", signature),
            (key.public, "vote", b"no", signature),
            (key.public, "vote", b"yes", flipped(signature, 9)),
            (key.public, "vote", b"yes", signature[:-1]),
            (key.public, "vote", b"yes", b""),
            (key.public[:-1], "vote", b"yes", signature),
            (b"", "vote", b"yes", signature),
        ]
        right = [(key.public, "vote", b"yes", signature)] * 3
        for item in wrong:
            assert not engine.verify(*item)
        assert engine.verify_batch([*wrong, *right]) == [False] * len(wrong) + [True] * 3
        assert engine.verify_batch(right) == [True] * 3
        assert engine.verify_batch([]) == []

    def test_a_seal_opens_with_key_and_data_only(self) -> None:
        engine = self.person("sealer").engine
        key = engine.random(32)
        sealed = engine.seal(key, b"content", b"topic")
        assert engine.unseal(key, sealed, b"topic") == b"content"
        assert engine.seal(key, b"content", b"topic") != sealed
        assert len(sealed) == 24 + len(b"content") + 16
        assert engine.unseal(engine.random(32), sealed, b"topic") is None
        assert engine.unseal(key, sealed, b"other topic") is None
        for position in range(len(sealed)):
            assert engine.unseal(key, flipped(sealed, position), b"topic") is None
        for wrong in (b"", sealed[:23], sealed[:-1]):
            assert engine.unseal(key, wrong, b"topic") is None
        assert engine.unseal(key, engine.seal(key, b"", b""), b"") == b""

    def test_many_seals_are_opened_as_one_by_one(self) -> None:
        engine = self.person("sealer").engine
        key = engine.random(32)
        sealed = [engine.seal(key, bytes([number]) * number, b"topic") for number in range(8)]
        mixed = [*sealed, b"", flipped(sealed[3], 30), sealed[2][:23], engine.seal(engine.random(32), b"", b"topic")]
        opened = engine.unseal_many(key, mixed, b"topic")
        assert opened == [engine.unseal(key, one, b"topic") for one in mixed]
        assert opened[:8] == [bytes([number]) * number for number in range(8)]
        assert opened[8:] == [None] * 4
        assert engine.unseal_many(key, [], b"topic") == []
        with pytest.raises(InvalidInput):
            engine.unseal_many(b"", [], b"topic")

    def test_a_seed_determines_everything(self) -> None:
        def run(seed: bytes) -> list[object]:
            engine = self.make_engine(seed)
            founder, joiner = Person(engine, "founder"), Person(engine, "joiner")
            founder.found()
            package = joiner.key_package()
            candidate = founder.group.propose_commit(adds=[package.public.encoded], force_path=True)
            founder.group.merge(candidate.staged)
            joiner.join(candidate, package, founder.group.ratchet_tree())
            message = joiner.group.encrypt(b"text")
            return [
                engine.random(20),
                package.private,
                candidate.commit,
                candidate.welcome,
                message,
                founder.group.snapshot(),
                joiner.group.snapshot(),
                engine.seal(engine.random(32), b"", b""),
            ]

        assert run(b"a" * 32) == run(b"a" * 32)
        assert all(one != other for one, other in zip(run(b"a" * 32), run(b"b" * 32), strict=True))

    def test_random_bytes_have_the_asked_length(self) -> None:
        engine = self.person("somebody").engine
        assert [len(engine.random(count)) for count in (0, 1, 100)] == [0, 1, 100]
        assert engine.random(32) != engine.random(32)
        with pytest.raises(InvalidInput):
            engine.random(-1)
