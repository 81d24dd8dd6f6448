"""The 14 rules of the wrapper; each was seen to matter, and each has a test that names it."""

import os
import signal
import threading
import warnings
from collections.abc import Sequence

import pytest
from demls_engine import (
    AlreadyUsed,
    Candidate,
    Decrypted,
    Engine,
    EngineError,
    InvalidMessage,
    MlsGroup,
    OwnMessage,
    UnreadableState,
    WrongState,
)
from demls_engine.contract import BINDING, INVITE, Person, flipped, settle

MLS_1_0 = b"\x00\x01"
PUBLIC_MESSAGE, PRIVATE_MESSAGE, WELCOME = b"\x00\x01", b"\x00\x02", b"\x00\x03"


def person(name: str, **windows: int) -> Person:
    return Person(Engine(name.encode().ljust(32, b".")), name, windows)


def invite(committer: Person, joiners: Sequence[Person], others: Sequence[Person] = ()) -> Candidate:
    packages = [joiner.key_package() for joiner in joiners]
    candidate = committer.group.propose_commit(adds=[package.public.encoded for package in packages])
    settle(committer, candidate, others)
    for joiner, package in zip(joiners, packages, strict=True):
        joiner.join(candidate, package, committer.group.ratchet_tree())
    return candidate


def group_of(count: int, **windows: int) -> list[Person]:
    people = [person(f"person {index}", **windows) for index in range(count)]
    people[0].found()
    if count > 1:
        invite(people[0], people[1:])
    return people


def value_sizes(group: MlsGroup) -> dict[bytes, int]:
    return {key: len(value) for key, value in group.snapshot().items()}


def test_rule_1_the_caller_saves_what_changed_and_states_are_small_and_bound_together() -> None:
    first, second = group_of(2)
    saved = {key: value for key, value in first.group.changes() if value is not None}
    settle(first, first.group.propose_commit(), [second])
    changed = dict(first.group.changes())
    # The join configuration and the own leaf's index stay; the old epoch's keys go.
    assert not any(b"join_config" in key or b"own_leaf_index" in key for key in changed)
    assert [key for key, value in changed.items() if value is None] == [
        key for key in saved if b"epoch_key_pairs" in key
    ]
    (config,) = (value for key, value in saved.items() if b"join_config" in key)
    assert config.startswith(b"{")
    assert sum(value_sizes(second.group).values()) < 4_000
    with pytest.raises(UnreadableState):
        first.engine.load_group({**saved, **{key: value for key, value in changed.items() if value is not None}})


def test_rule_2_a_call_that_fails_changes_nothing() -> None:
    first, second = group_of(2)
    joiner = person("joiner")
    package = joiner.key_package()
    candidate = first.group.propose_commit(adds=[package.public.encoded])
    message, commit = first.group.encrypt(b"text"), first.group.propose_commit(force_path=True).commit
    before = second.group.snapshot()
    for position in range(0, max(len(message), len(commit)), 7):
        with pytest.raises(InvalidMessage):
            second.group.decrypt(flipped(message, position))
        with pytest.raises(InvalidMessage):
            second.group.stage(flipped(commit, position))
    with pytest.raises(EngineError):
        second.group.merge(flipped(candidate.staged, 500))
    assert second.group.snapshot() == before
    assert second.group.decrypt(message).plaintext == b"text"
    # Looking at a welcome uses up the key package in OpenMLS; here it survives every failure.
    settle(first, candidate, [second])
    assert candidate.welcome is not None
    opened = joiner.engine.open_welcome(candidate.welcome, package.private)
    with pytest.raises(InvalidMessage):
        opened.join(b"no tree")
    joiner.join(candidate, package, first.group.ratchet_tree())
    assert joiner.group.authenticator() == first.group.authenticator()


def test_rule_3_message_secrets_wait_for_the_next_saving_and_are_never_lost() -> None:
    first, second = group_of(2)
    second.group.changes()
    messages = [first.group.encrypt(bytes([number])) for number in range(20)]
    for message in messages[5:]:
        second.group.decrypt(message)
    changed = [key for key, _ in second.group.changes()]
    assert len(changed) == 2
    assert any(b"message_secrets" in key for key in changed)
    # A merge between messages and saving keeps what is known of the old epoch.
    second.group.decrypt(messages[4])
    settle(first, first.group.propose_commit(), [second])
    reloaded = second.engine.load_group(second.group.snapshot())
    for group in (second.group, reloaded):
        for message in messages[4:]:
            with pytest.raises(AlreadyUsed):
                group.decrypt(message)
        assert group.decrypt(messages[3]).plaintext == b"\x03"


def test_rule_4_proposals_are_bytes_and_never_stay_in_the_group() -> None:
    first, second, third = group_of(3)
    updates = [each.group.propose_update() for each in (second, third)]
    first.group.propose_commit(updates=[proposal for proposal, _ in updates])
    second.group.stage(first.group.propose_commit(updates=[updates[1][0]]).commit, [updates[1][0]])
    for each in (first, second, third):
        assert not any(b"proposals" in key or b"own_leaf_nodes" in key for key in each.group.snapshot())
        each.group.encrypt(b"chat goes on")
    # What was not chosen is not in the commit, although its proposal was seen.
    staged = second.group.stage(first.group.propose_commit().commit, [proposal for proposal, _ in updates])
    assert staged.updates == []


def test_rule_5_a_stale_commit_is_not_merged() -> None:
    first, second, third = group_of(3)
    stale = first.group.propose_commit()
    staged_by_third = third.group.stage(stale.commit)
    settle(second, second.group.propose_commit(), [first, third])
    before = first.group.authenticator()
    with pytest.raises(WrongState):
        first.group.merge(stale.staged)
    with pytest.raises(WrongState):
        third.group.merge(staged_by_third)
    assert first.group.authenticator() == third.group.authenticator() == before
    # A refused one is not used up: on the state that it belongs to it still merges.
    fork = person("fork").engine.load_group(group_state_before(staged_by_third.epoch - 1))
    fork.merge(staged_by_third)
    assert fork.authenticator() == staged_by_third.authenticator


def group_state_before(epoch: int) -> dict[bytes, bytes]:
    """Third's state of the run above: the same seeds lead to the same state."""
    *_, third = group_of(3)
    assert third.group.epoch == epoch
    return third.group.snapshot()


def test_rule_6_a_claim_of_the_own_leaf_is_an_error() -> None:
    first, _ = group_of(2)
    with pytest.raises(OwnMessage):
        first.group.decrypt(first.group.encrypt(b"mine"))
    with pytest.raises(OwnMessage):
        first.group.stage(first.group.propose_commit().commit)
    (result,) = first.group.decrypt_batch([first.group.encrypt(b"mine")])
    assert isinstance(result, OwnMessage)


def test_rule_7_no_state_depends_on_the_wall_clock() -> None:
    """Two runs at different times save the same bytes; test_interop refuses mortal key packages."""
    one, other = group_of(2), group_of(2)
    for people in (one, other):
        settle(people[0], people[0].group.propose_commit(force_path=True), people[1:])
        people[1].group.decrypt(people[0].group.encrypt(b"text"))
    for here, there in zip(one, other, strict=True):
        assert here.group.snapshot() == there.group.snapshot()
    package = person("joiner").key_package().public
    assert (package.not_before, package.not_after) == (0, 2**64 - 1)


def test_rule_8_several_candidates_wait_side_by_side() -> None:
    first, second, third = group_of(3)
    candidates = [
        first.group.propose_commit(removes=[2]),
        first.group.propose_commit(adds=[person("joiner").key_package().public.encoded]),
        first.group.propose_commit(force_path=True),
    ]
    second.group.decrypt(first.group.encrypt(b"none of them holds up a message"))
    settle(first, candidates[2], [second, third])
    assert first.group.member_count == 3
    assert first.group.authenticator() == second.group.authenticator()


def test_rule_9_windows_are_bounded_and_forgeries_cost_no_key() -> None:
    first, second = group_of(2)
    messages = [first.group.encrypt(b"") for _ in range(1_003)]
    before = second.group.snapshot()
    with pytest.raises(InvalidMessage):
        second.group.decrypt(messages[1_001])
    with pytest.raises(InvalidMessage):
        second.group.decrypt(flipped(messages[900], 60))
    assert second.group.snapshot() == before
    second.group.decrypt(messages[1_000])
    for number in range(984, 1_000):
        second.group.decrypt(messages[number])
    with pytest.raises(AlreadyUsed):
        second.group.decrypt(messages[983])
    small = value_sizes(second.group)
    second.group.decrypt(messages[1_001])
    assert sum(value_sizes(second.group).values()) < sum(small.values()) + 100


@pytest.mark.parametrize("windows", [{"past_epochs": 101}, {"out_of_order": 1_001}, {"forward": 100_001}])
def test_rule_9_windows_without_bound_are_refused(windows: dict[str, int]) -> None:
    with pytest.raises(EngineError):
        person("somebody", **windows).found()


def test_rule_10_handshakes_are_public_messages_that_can_be_checked_again() -> None:
    first, second = group_of(2)
    candidate = first.group.propose_commit(adds=[person("joiner").key_package().public.encoded])
    proposal, _ = first.group.propose_update()
    assert candidate.welcome is not None
    assert candidate.commit.startswith(MLS_1_0 + PUBLIC_MESSAGE)
    assert proposal.startswith(MLS_1_0 + PUBLIC_MESSAGE)
    assert candidate.welcome.startswith(MLS_1_0 + WELCOME)
    assert first.group.encrypt(b"").startswith(MLS_1_0 + PRIVATE_MESSAGE)
    authenticators = {second.group.stage(candidate.commit).authenticator for _ in range(3)}
    assert len(authenticators) == 1


def test_rule_11_a_hundred_join_at_once_and_other_threads_go_on_meanwhile() -> None:
    founder = person("founder")
    founder.found()
    joiners = [person(f"joiner {index}") for index in range(100)]
    packages = [joiner.key_package() for joiner in joiners]
    candidate = founder.group.propose_commit(adds=[package.public.encoded for package in packages])
    founder.group.merge(candidate.staged)
    tree = founder.group.ratchet_tree()
    threads = [
        threading.Thread(target=joiner.join, args=(candidate, package, tree))
        for joiner, package in list(zip(joiners, packages, strict=True))[::25]
    ]
    for thread in threads:
        thread.start()
    # This thread has the interpreter to itself whenever the others compute.
    assert founder.group.encrypt(b"meanwhile")
    for thread in threads:
        thread.join(timeout=60)
    assert {joiner.group.authenticator() for joiner in joiners[::25]} == {founder.group.authenticator()}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_rule_12_a_forked_process_has_threads_of_its_own() -> None:
    first, second = group_of(2)
    candidate = first.group.propose_commit(force_path=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.alarm(30)  # should it hang
        staged = second.group.stage(candidate.commit)
        built = second.group.propose_commit(force_path=True)
        os._exit(0 if staged.has_path and built.commit else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert second.group.stage(candidate.commit).has_path


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_rule_12_a_forked_process_does_not_repeat_randomness() -> None:
    engine = Engine()
    engine.random(32)
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.write(writer, engine.random(32))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 32) != engine.random(32)


def test_rule_12_calls_from_many_threads_wait_for_each_other() -> None:
    first, second = group_of(2)
    sent: list[bytes] = []

    def talk() -> None:
        for _ in range(50):
            sent.append(first.group.encrypt(b"text"))
            first.group.propose_commit()

    threads = [threading.Thread(target=talk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    results = second.group.decrypt_batch(sorted(sent, key=sent.index))
    assert len(set(sent)) == 200
    assert sum(isinstance(result, Decrypted) for result in results) == 200


def test_rule_13_nobody_sees_the_order_of_removes_and_updates() -> None:
    people = group_of(8)
    first, watcher = people[0], people[7]
    updates = [each.group.propose_update()[0] for each in people[1:4]]
    for _ in range(5):
        candidate = first.group.propose_commit(removes=[6, 4, 5], updates=list(reversed(updates)))
        staged = watcher.group.stage(candidate.commit, updates)
        assert staged.removes == [4, 5, 6]
        assert staged.updates == [1, 2, 3]
        assert [leaf.leaf for leaf in staged.updated_leaves] == [1, 2, 3]


def test_rule_13_adds_keep_their_order() -> None:
    first, second = group_of(2)
    packages = [person(f"joiner {index}").key_package().public.encoded for index in range(10)]
    staged = second.group.stage(first.group.propose_commit(adds=packages).commit)
    assert [added.encoded for added in staged.adds] == packages


def test_rule_14_a_welcome_carries_extensions_of_the_group_info() -> None:
    first = person("first")
    first.found()
    joiner = person("joiner")
    package = joiner.key_package()
    told = {INVITE: b"x" * 1_000, 0xF0AB: b""}
    candidate = first.group.propose_commit(adds=[package.public.encoded], group_info_extensions=told)
    assert candidate.welcome is not None
    assert joiner.engine.open_welcome(candidate.welcome, package.private).group_info_extensions == told


def test_rule_14_a_leaf_changes_its_extensions_with_or_without_a_new_key() -> None:
    first, second = group_of(2)
    for private in (None, second.engine.signature_key().private):
        proposal, secrets = second.group.propose_update(extensions={BINDING: b"new"}, signature_private=private)
        candidate = first.group.propose_commit(updates=[proposal])
        second.group.merge(second.group.stage(candidate.commit, [], secrets))
        first.group.merge(candidate.staged)
        member = first.group.member(1)
        assert member is not None
        assert member.extensions == {BINDING: b"new"}
        assert (member.signature_key == second.key.public) == (private is None)
        assert first.group.decrypt(second.group.encrypt(b"text")).sender == 1


def test_a_seed_makes_the_same_commit_in_whatever_order_a_hash_map_has_its_proposals() -> None:
    def commits() -> list[bytes]:
        first, *others = group_of(6)
        updates = [each.group.propose_update()[0] for each in others[2:]]
        mixed = first.group.propose_commit(removes=[1, 2], updates=updates[:2], force_path=True)
        renewed = first.group.propose_commit(updates=updates)
        return [mixed.commit, renewed.commit]

    first = commits()
    assert all(commits() == first for _ in range(5))
