"""What do the reference crates put on the wire?

`consensus.v1` protobuf messages (LIP-73 §1), as frozen dataclasses. Encoding is canonical: fields
in ascending order, default values left out. Times are unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from ..errors import Malformed
from . import consensus_pb2 as pb

AnyMessage = TypeVar("AnyMessage", bound=Message)


@dataclass(frozen=True, slots=True)
class Vote:
    """One vote. vote_id and proposal_id: 32 bits. vote_owner: as a rule a 20-byte Ethereum address.

    parent_hash names the owner's earlier vote, received_hash the vote before this one; both are
    empty or 32 bytes, as is vote_hash. signature: 65 bytes with the default scheme.
    """

    vote_id: int
    vote_owner: bytes
    proposal_id: int
    timestamp: int
    vote: bool
    parent_hash: bytes = b""
    received_hash: bytes = b""
    vote_hash: bytes = b""
    signature: bytes = b""

    def encode(self) -> bytes:
        """Return the protobuf bytes; ValueError if a number does not fit its field."""
        return _vote_to_pb(self).SerializeToString(deterministic=True)

    @classmethod
    def decode(cls, data: bytes) -> Vote:
        """Return the vote in `data`, unverified; `Malformed` if it is none. Unknown fields are dropped."""
        return _vote_from_pb(_parse(pb.Vote(), data))

    @property
    def signed_bytes(self) -> bytes:
        """The bytes that the signature covers: this message without its signature."""
        return replace(self, signature=b"").encode()


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposal with the votes that travel in it.

    proposal_id: 32 bits, chosen by the sender. expected_voters_count: n, on the sender's word.
    round: 1 without votes, 2 with them (gossip). timestamp, expiration_timestamp: unix seconds.
    """

    name: str
    payload: bytes
    proposal_id: int
    proposal_owner: bytes
    expected_voters_count: int
    timestamp: int
    expiration_timestamp: int
    liveness_criteria_yes: bool
    round: int = 1
    votes: tuple[Vote, ...] = ()

    def encode(self) -> bytes:
        """Return the protobuf bytes; ValueError if a number does not fit its field."""
        return pb.Proposal(
            name=self.name,
            payload=self.payload,
            proposal_id=self.proposal_id,
            proposal_owner=self.proposal_owner,
            votes=[_vote_to_pb(vote) for vote in self.votes],
            expected_voters_count=self.expected_voters_count,
            round=self.round,
            timestamp=self.timestamp,
            expiration_timestamp=self.expiration_timestamp,
            liveness_criteria_yes=self.liveness_criteria_yes,
        ).SerializeToString(deterministic=True)

    @classmethod
    def decode(cls, data: bytes) -> Proposal:
        """Return the proposal in `data`, unverified; `Malformed` if it is none. Unknown fields are dropped."""
        message = _parse(pb.Proposal(), data)
        return cls(
            name=message.name,
            payload=message.payload,
            proposal_id=message.proposal_id,
            proposal_owner=message.proposal_owner,
            expected_voters_count=message.expected_voters_count,
            timestamp=message.timestamp,
            expiration_timestamp=message.expiration_timestamp,
            liveness_criteria_yes=message.liveness_criteria_yes,
            round=message.round,
            votes=tuple(_vote_from_pb(vote) for vote in message.votes),
        )


def _vote_to_pb(vote: Vote) -> pb.Vote:
    return pb.Vote(
        vote_id=vote.vote_id,
        vote_owner=vote.vote_owner,
        proposal_id=vote.proposal_id,
        timestamp=vote.timestamp,
        vote=vote.vote,
        parent_hash=vote.parent_hash,
        received_hash=vote.received_hash,
        vote_hash=vote.vote_hash,
        signature=vote.signature,
    )


def _vote_from_pb(message: pb.Vote) -> Vote:
    _refuse_wrong_wire_types(message)
    return Vote(
        vote_id=message.vote_id,
        vote_owner=message.vote_owner,
        proposal_id=message.proposal_id,
        timestamp=message.timestamp,
        vote=message.vote,
        parent_hash=message.parent_hash,
        received_hash=message.received_hash,
        vote_hash=message.vote_hash,
        signature=message.signature,
    )


def _parse(message: AnyMessage, data: bytes) -> AnyMessage:
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise Malformed(f"This is no {type(message).__name__}: {error}") from error
    _refuse_wrong_wire_types(message)
    return message


def _refuse_wrong_wire_types(message: Message) -> None:
    # Rust's prost refuses a known field of a wrong wire type; Python files it under unknown fields.
    known = type(message).DESCRIPTOR.fields_by_number
    unknown = UnknownFieldSet(message)
    if any(unknown[index].field_number in known for index in range(len(unknown))):
        raise Malformed(f"A field of this {type(message).__name__} has a wrong wire type.")
