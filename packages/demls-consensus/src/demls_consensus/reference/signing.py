"""How does a vote of the reference crates bind its fields, its predecessors and its owner?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from ..wallet import ADDRESS_BYTES, WalletFault, recover_or_fault, wallet_address, wallet_sign
from .faults import Fault
from .messages import Proposal, Vote

VoteCheck: TypeAlias = Callable[[bytes, bytes, bytes], Fault | None]
"""(vote owner, signed bytes, signature) to what is wrong: the crates' pluggable signature scheme."""


class VoteSigner(Protocol):
    """Who signs own votes."""

    @property
    def identity(self) -> bytes:
        """What stands in `vote_owner`."""
        ...

    def sign(self, content: bytes) -> bytes:
        """Return the signature over `content`."""
        ...


@dataclass(frozen=True, slots=True)
class WalletSigner:
    """The crates' default signer: an Ethereum wallet (32-byte private key) and EIP-191 messages."""

    private_key: bytes = field(repr=False)

    @property
    def identity(self) -> bytes:
        """The 20-byte address."""
        return wallet_address(self.private_key)

    def sign(self, content: bytes) -> bytes:
        """Return the 65-byte signature over `content`."""
        return wallet_sign(self.private_key, content)


def check_wallet_signature(owner: bytes, content: bytes, signature: bytes) -> Fault | None:
    """Check an EIP-191 signature as the crates do by default: malformed input and a wrong signer differ."""
    if len(owner) != ADDRESS_BYTES:
        return Fault.SIGNATURE_SCHEME
    recovered = recover_or_fault(content, signature)
    if isinstance(recovered, WalletFault):
        return Fault.SIGNATURE_SCHEME
    return None if recovered == owner else Fault.INVALID_VOTE_SIGNATURE


def vote_hash(vote: Vote) -> bytes:
    """Return SHA-256 over the fields of a vote (LIP-73 §2, step 4.7): numbers little-endian, nothing prefixed."""
    return hashlib.sha256(
        b"".join(
            (
                vote.vote_id.to_bytes(4, "little"),
                vote.vote_owner,
                vote.proposal_id.to_bytes(4, "little"),
                vote.timestamp.to_bytes(8, "little"),
                bytes([vote.vote]),
                vote.parent_hash,
                vote.received_hash,
            )
        )
    ).digest()


def build_vote(proposal: Proposal, *, choice: bool, signer: VoteSigner, vote_id: int, now_s: int) -> Vote:
    """Make and sign a vote on `proposal`, linked to the votes in it (LIP-73 §2, step 4).

    received_hash is the hash of the last vote in the list (the LIP says the first), parent_hash that
    of the signer's own latest one. vote_id: 32 random bits, see `fold_uuid`. now_s: unix seconds.
    """
    owner = signer.identity
    own = [vote for vote in proposal.votes if vote.vote_owner == owner]
    draft = Vote(
        vote_id=vote_id,
        vote_owner=owner,
        proposal_id=proposal.proposal_id,
        timestamp=now_s,
        vote=choice,
        parent_hash=own[-1].vote_hash if own else b"",
        received_hash=proposal.votes[-1].vote_hash if proposal.votes else b"",
    )
    hashed = replace(draft, vote_hash=vote_hash(draft))
    return replace(hashed, signature=signer.sign(hashed.signed_bytes))
