"""The model engine keeps the contract of engines, and gives the same bytes for the same seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
from demls.protocol.engine import Engine
from demls.simulation.model_engine import ModelEngine
from demls_engine import AlreadyUsed, EngineError, InvalidMessage, OwnMessage
from demls_engine import Engine as RealEngine
from demls_engine.contract import EngineContract, flipped, settle


class TestModelEngine(EngineContract):
    def make_engine(self, seed: bytes) -> RealEngine:
        engine: Engine = ModelEngine(seed)
        return cast(RealEngine, engine)

    def test_a_batch_gives_what_single_calls_give(self) -> None:
        """As in the contract, which asks for the native class of results."""
        first, second, third = self.group_of(3)
        messages = [first.group.encrypt(bytes([number])) for number in range(3)]
        own = [person.group.encrypt(b"own") for person in (second, third)]
        batch = [messages[1], messages[0], messages[1], b"garbage", flipped(messages[2], 50), messages[2], *own]
        results = second.group.decrypt_batch(batch)
        found = [type(result) if isinstance(result, EngineError) else result.plaintext for result in results]
        assert found == [b"\1", b"\0", AlreadyUsed, InvalidMessage, InvalidMessage, b"\2", OwnMessage, b"own"]
        assert second.group.decrypt_batch([]) == []

    def test_every_changed_bit_of_every_message_is_noticed(self) -> None:
        first, second, joiner = *self.group_of(2), self.person("joiner")
        package = joiner.key_package()
        candidate = first.group.propose_commit(adds=[package.public.encoded], force_path=True)
        assert candidate.welcome is not None
        message, proposal = first.group.encrypt(b"text", b"beside"), first.group.propose_update()[0]
        for act, content in (
            (second.group.stage, candidate.commit),
            (second.group.decrypt, message),
            (second.group.read_update, proposal),
            (second.engine.parse_key_package, package.public.encoded),
            (lambda changed: joiner.engine.open_welcome(changed, package.private), candidate.welcome),
        ):
            for bit in range(len(content) * 8):
                changed = bytearray(content)
                changed[bit // 8] ^= 1 << bit % 8
                with pytest.raises(InvalidMessage):
                    act(bytes(changed))
        settle(first, candidate, [second])
        joiner.join(candidate, package, first.group.ratchet_tree())
        self.assert_agreement([first, second, joiner])

    def test_two_members_do_not_have_one_key(self) -> None:
        """RFC 9420 §7.3, also for a key that comes with an Update."""
        first, second, third = self.group_of(3)
        proposal, _ = second.group.propose_update(signature_private=first.key.private)
        with pytest.raises(EngineError):
            third.group.propose_commit(updates=[proposal])

    def test_other_commits_lead_to_other_secrets(self) -> None:
        first, second = self.group_of(2)
        one, other = (first.group.propose_commit(authenticated_data=data) for data in (b"one", b"other"))
        staged = [second.group.stage(candidate.commit) for candidate in (one, other)]
        first.group.merge(one.staged)
        second.group.merge(staged[1])
        assert first.group.epoch == second.group.epoch
        assert first.group.authenticator() != second.group.authenticator()
        assert first.group.export_secret("label", b"", 32) != second.group.export_secret("label", b"", 32)
        with pytest.raises(InvalidMessage):
            second.group.decrypt(first.group.encrypt(b"on another branch"))


def test_a_story_has_the_same_bytes_in_every_process() -> None:
    def run(hash_seed: str) -> str:
        story = Path(__file__).with_name("seeded_story.py")
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [sys.executable, story], env=environment, check=True, capture_output=True, text=True
        ).stdout

    assert len({run(hash_seed) for hash_seed in ("0", "1", "2")}) == 1


def test_without_a_seed_engines_differ() -> None:
    assert ModelEngine().random(16) != ModelEngine().random(16)
