"""What several test files of this package use."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from demls_consensus import Ballot, Choice, Electorate, Share, SignedItem, SignedVote, Silence
from hypothesis import HealthCheck, settings

# A machine may be busy: how long an example takes says nothing about the code.
settings.register_profile("demls", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("demls")

PROPOSAL = hashlib.sha256(b"a proposal").digest()


class HashScheme:
    """A stand-in for signatures that is fast and counts: a signature is a hash of key and content."""

    def __init__(self) -> None:
        self.checked = 0
        self.batches = 0

    def sign(self, key: bytes, content: bytes) -> bytes:
        return hashlib.sha256(key + content).digest()

    def verify(self, key: bytes, content: bytes, signature: bytes) -> bool:
        self.checked += 1
        return signature == self.sign(key, content)

    def verify_batch(self, items: Sequence[SignedItem]) -> list[bool]:
        self.batches += 1
        return [self.verify(*item) for item in items]


@dataclass
class Kit:
    """Makes voters 0, 1, 2 ..., their votes, ballots."""

    proposal: bytes = PROPOSAL
    scheme_type: type[HashScheme] = field(default=HashScheme)

    def scheme(self) -> HashScheme:
        return self.scheme_type()

    def voter(self, index: int) -> bytes:
        return index.to_bytes(20, "big")

    def key(self, index: int) -> bytes:
        return b"key of " + self.voter(index)

    def electorate(self, n: int) -> Electorate:
        return Electorate({self.voter(index): self.key(index) for index in range(n)})

    def vote(
        self, index: int, choice: Choice = Choice.YES, *, time_ms: int = 7, proposal: bytes | None = None
    ) -> SignedVote:
        def sign(content: bytes) -> bytes:
            return HashScheme().sign(self.key(index), content)

        return SignedVote.cast(proposal or self.proposal, self.voter(index), choice, time_ms, sign)

    def ballot(
        self,
        n: int,
        *,
        proposal: bytes | None = None,
        owner: int = 0,
        silence: Silence = Silence.COUNTS_AS_YES,
        opened_at_ms: int = 1_000,
        duration_ms: int = 500,
        share: Share = Share.TWO_THIRDS,
    ) -> Ballot:
        return Ballot(
            proposal or self.proposal,
            self.voter(owner),
            self.electorate(n),
            opened_at_ms,
            duration_ms,
            silence,
            share=share,
        )


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit()


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Any]:
    folder = Path(__file__).parent / "vectors"
    return lambda name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
