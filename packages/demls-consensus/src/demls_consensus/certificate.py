"""What proves to anybody, for ever, that a proposal was approved?"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from .codec import PROPOSAL_ID_BYTES, VOTER_ID_BYTES, Reader, prefixed, require_size
from .errors import Malformed, Reason
from .quorum import Share
from .schemes import SignatureScheme
from .votes import Choice, SignedVote, read_signature

CERTIFICATE_DOMAIN = b"demls-consensus/certificate/1"
_VERSION = b"\x01"
_VOTE_BYTES_MIN = VOTER_ID_BYTES + 8 + 1 + 1


@dataclass(frozen=True, slots=True)
class Certificate:
    """Signed YES votes of distinct voters on one proposal, sorted by voter id.

    With as many votes as decide it is an electorate's final decision, and stays it whatever arrives
    later: a NO of the same voters, or of all others, takes nothing from it. Whether there are enough
    votes, and whether they are genuine, is said by `fault` and `verify`, which need the electorate
    and its share; a certificate names neither. The constructor checks form only, raising ValueError.
    """

    proposal_id: bytes
    votes: tuple[SignedVote, ...]

    def __post_init__(self) -> None:
        """Check form: at least one vote, all YES, all on this proposal, ascending by distinct voters."""
        require_size("A proposal id", self.proposal_id, PROPOSAL_ID_BYTES)
        if not self.votes:
            raise ValueError("A certificate has at least one vote.")
        if any(vote.choice is not Choice.YES or vote.proposal_id != self.proposal_id for vote in self.votes):
            raise ValueError("A certificate holds YES votes on its own proposal only.")
        if any(a.voter >= b.voter for a, b in zip(self.votes, self.votes[1:], strict=False)):
            raise ValueError("The votes of a certificate are sorted by voter id, one for each voter.")

    @classmethod
    def collect(
        cls, proposal_id: bytes, votes: Iterable[SignedVote], n: int, *, share: Share = Share.TWO_THIRDS
    ) -> Certificate | None:
        """Make a certificate of as many votes as `share` needs of `n`, or None if there are too few.

        The lowest voter ids are taken.
        Votes that are not YES or not on this proposal are passed over; of several YES votes of one
        voter the first is taken. Signatures are not checked here.
        """
        chosen: dict[bytes, SignedVote] = {}
        for vote in votes:
            if vote.choice is Choice.YES and vote.proposal_id == proposal_id:
                chosen.setdefault(vote.voter, vote)
        needed = share.needed(n)
        if len(chosen) < needed:
            return None
        return cls(proposal_id, tuple(chosen[voter] for voter in sorted(chosen)[:needed]))

    @property
    def voters(self) -> tuple[bytes, ...]:
        """Who voted YES in it, ascending."""
        return tuple(vote.voter for vote in self.votes)

    @property
    def hash(self) -> bytes:
        """The 32-byte SHA-256 hash of a domain tag and the canonical bytes."""
        return hashlib.sha256(prefixed(CERTIFICATE_DOMAIN) + self.encode()).digest()

    def fault(
        self, electorate: Mapping[bytes, bytes], scheme: SignatureScheme, *, share: Share = Share.TWO_THIRDS
    ) -> Reason | None:
        """Return why this is no decision of `electorate` (voter id to key), or None if it is one.

        Every signer must be a voter, at least as many as `share` needs must have signed, and every
        signature must be good. Costs one batch of signature checks, and nothing when the form already
        fails. The share is what the electorate has agreed, never what came along with the certificate.
        Raises ValueError when the electorate is empty.
        """
        if len(self.votes) < share.needed(len(electorate)):
            return Reason.TOO_FEW_VOTES
        if any(vote.voter not in electorate for vote in self.votes):
            return Reason.NOT_A_VOTER
        items = [(electorate[vote.voter], vote.content, vote.signature) for vote in self.votes]
        return None if all(scheme.verify_batch(items)) else Reason.BAD_SIGNATURE

    def verify(
        self, electorate: Mapping[bytes, bytes], scheme: SignatureScheme, *, share: Share = Share.TWO_THIRDS
    ) -> bool:
        """Say whether this is a final decision of `electorate`; see `fault`."""
        return self.fault(electorate, scheme, share=share) is None

    def restricted_to(self, voters: Container[bytes]) -> Certificate | None:
        """Return the same certificate without signers who are not in `voters`, or None if none is left.

        For a roster that has lost members since: what remains is judged by the smaller electorate.
        """
        kept = tuple(vote for vote in self.votes if vote.voter in voters)
        return Certificate(self.proposal_id, kept) if kept else None

    def encode(self) -> bytes:
        """Return the canonical bytes: version, id, number of votes (4), then voter, time and signature of each."""
        parts = [_VERSION, self.proposal_id, len(self.votes).to_bytes(4, "big")]
        for vote in self.votes:
            parts += (vote.voter, vote.time_ms.to_bytes(8, "big"), bytes([len(vote.signature)]), vote.signature)
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> Certificate:
        """Return the certificate in `data`, unverified; anything but its canonical bytes raises `Malformed`."""
        reader = Reader(data)
        reader.expect(_VERSION, "certificate")
        proposal_id = reader.take(PROPOSAL_ID_BYTES)
        count = reader.number(4)
        if count * _VOTE_BYTES_MIN > reader.remaining:
            raise Malformed(f"{count} votes do not fit into {reader.remaining} bytes.")
        votes = tuple(_read_vote(reader, proposal_id) for _ in range(count))
        reader.end()
        try:
            return cls(proposal_id, votes)
        except ValueError as error:
            raise Malformed(str(error)) from error


def _read_vote(reader: Reader, proposal_id: bytes) -> SignedVote:
    voter = reader.take(VOTER_ID_BYTES)
    time_ms = reader.number(8)
    return SignedVote(proposal_id, voter, Choice.YES, time_ms, read_signature(reader))
