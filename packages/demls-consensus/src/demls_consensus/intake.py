"""What became of votes from the network, and how are many of them checked at once?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, unique

from .errors import Malformed, Reason
from .evidence import Equivocation
from .schemes import SignatureScheme
from .votes import SignedVote


@unique
class Kept(Enum):
    """What became of a vote that was not refused."""

    NEW = "new"
    """It is the voter's first on this proposal, and counts."""
    REPEATED = "repeated"
    """The voter's same choice was here already: harmless, its signature was not even looked at."""
    EQUIVOCATION = "equivocation"
    """The voter has now signed both choices: it counts as YES and is evidence."""
    EARLY = "early"
    """The proposal is not known yet: the vote waits for it."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A vote that was taken; `evidence` is there exactly when it made the voter an equivocator."""

    vote: SignedVote
    kept: Kept
    evidence: Equivocation | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that was not taken, and why; no state has changed."""

    reason: Reason


def take_in(
    votes: Sequence[SignedVote | bytes],
    scheme: SignatureScheme,
    *,
    screen: Callable[[SignedVote], Accepted | Refused | bytes],
    admit: Callable[[SignedVote, bytes], Accepted | Refused],
) -> list[Accepted | Refused]:
    """Decode, screen, verify in one batch, and admit `votes`; results in the same order.

    `screen` answers without the signature, or returns the key that must have made it. `admit`
    receives a genuine vote and that key, after all have been screened: it finds for itself what an
    earlier vote of the batch has changed.
    """
    results: dict[int, Accepted | Refused] = {}
    unchecked: dict[int, tuple[SignedVote, bytes]] = {}
    for index, sent in enumerate(votes):
        vote = _decode(sent)
        answer = vote if isinstance(vote, Refused) else screen(vote)
        if isinstance(vote, SignedVote) and isinstance(answer, bytes):
            unchecked[index] = (vote, answer)
        elif not isinstance(answer, bytes):
            results[index] = answer
    genuine = scheme.verify_batch([(key, vote.content, vote.signature) for vote, key in unchecked.values()])
    for (index, (vote, key)), is_genuine in zip(unchecked.items(), genuine, strict=True):
        results[index] = admit(vote, key) if is_genuine else Refused(Reason.BAD_SIGNATURE)
    return [results[index] for index in range(len(votes))]


def _decode(vote: SignedVote | bytes) -> SignedVote | Refused:
    if isinstance(vote, SignedVote):
        return vote
    try:
        return SignedVote.decode(vote)
    except Malformed:
        return Refused(Reason.MALFORMED)
