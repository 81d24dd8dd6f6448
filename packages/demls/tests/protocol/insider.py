"""A member who breaks the rules: it has a leaf key and the group's channel, and says whatever a test likes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec
from demls.protocol.channel import Channel, channel_of, floor_of, seal, unseal
from demls.protocol.commit_round import OFFER_LABEL, ROUND_LABEL
from demls.protocol.continuity import DIGEST_LABEL
from demls.protocol.electorates import VOTE_LABEL
from demls.protocol.governance import PROPOSAL_LABEL
from demls.protocol.state import GroupRecord, Standing
from demls.wire.charters import Charter
from demls.wire.ids import Address, ProposalId
from demls.wire.messages import (
    Candidate,
    Change,
    ChangeRequest,
    Digest,
    Offer,
    Payload,
    Proposal,
    ProposalState,
    Vote,
    decode_message,
)
from demls.wire.statements import RoundStatement, StatementKind
from demls_consensus import Choice, SignedVote
from world import Person, World


class Insider:
    """Speaks with the keys of ``name`` as they stand in its records when it was made (``turn`` reads them again)."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.person: Person = world.person(name)
        self.turn()

    def turn(self) -> None:
        records = self.person.records
        self.record = msgspec.msgpack.decode(records[b"group"], type=GroupRecord)
        standing = msgspec.msgpack.decode(records[b"standing"], type=Standing)
        self.head = standing.head
        self.channels = {
            int.from_bytes(key.removeprefix(b"channel/"), "big"): channel_of(secret)
            for key, secret in records.items()
            if key.startswith(b"channel/")
        }
        self.epoch = max(self.channels)
        self.group_id = self.record.group_id
        self.address = Address(self.record.address)
        self.rendezvous = channel_of(decode_message(self.record.charter, Charter).rendezvous)

    @property
    def channel(self) -> Channel:
        return self.channels[self.epoch]

    def sign(self, label: str, content: bytes) -> bytes:
        return self.person.engine.sign(self.record.leaf_private, label, content)

    def say(self, payload: Payload, channel: Channel | None = None) -> None:
        where = channel or self.channel
        self.world.publish(where.topic, seal(where, payload, self.person.engine), self.person.name)

    def overheard(self) -> list[Payload]:
        """Everything on the group's channels and floors of this epoch and those before it, opened."""
        opened = [
            unseal(channel, envelope.payload, self.person.engine)
            for _, main in sorted(self.channels.items())
            for channel in (main, floor_of(main))
            for envelope in self.world.log.get(channel.topic, [])
        ]
        return [payload for payload in opened if payload is not None]

    def proposal(self, change: Change, **fields: Any) -> Proposal:
        duration = 0 if type(change).__name__ in ("Leave", "Refresh") else 30_000
        values: dict[str, Any] = {
            "group_id": self.group_id,
            "epoch": self.epoch,
            "owner": self.address,
            "change": ChangeRequest(change),
            "created_at": self.world.now,
            "duration": duration,
            "signature": bytes(64),
        }
        unsigned = Proposal(**(values | fields))
        return replace(unsigned, signature=self.sign(PROPOSAL_LABEL, unsigned.id))

    def vote(self, proposal_id: bytes, yes: bool, voter: bytes | None = None) -> Vote:
        choice = Choice.YES if yes else Choice.NO
        signed = SignedVote.cast(
            proposal_id,
            voter or self.address,
            choice,
            self.world.now,
            lambda content: self.sign(VOTE_LABEL, content),
        )
        return Vote(signed.encode())

    def statement(self, said_as: StatementKind, view: int, candidate: bytes, **fields: Any) -> RoundStatement:
        values: dict[str, Any] = {
            "epoch": self.epoch,
            "head": self.head,
            "view": view,
            "candidate": candidate,
            "choices": b"",
            "member": self.address,
            "signature": bytes(64),
            "kind": int(said_as),
        }
        unsigned = RoundStatement(**(values | fields))
        return replace(unsigned, signature=self.sign(ROUND_LABEL, unsigned.content(self.group_id)))

    def offer(self, candidate: Candidate, view: int = 0, **fields: Any) -> Offer:
        values: dict[str, Any] = {
            "epoch": self.epoch,
            "head": self.head,
            "view": view,
            "candidate": candidate,
            "votes": (),
            "certificate": (),
            "leader": self.address,
            "signature": bytes(64),
            "proposals": (),
        }
        unsigned = Offer(**(values | fields))
        return replace(unsigned, signature=self.sign(OFFER_LABEL, unsigned.content(self.group_id)))

    def digest(self, asked: Address, proposals: Iterable[ProposalId] = (), **fields: Any) -> Digest:
        values: dict[str, Any] = {
            "epoch": self.epoch,
            "head": self.head,
            "view": 0,
            "member": self.address,
            "asked": asked,
            "proposals": tuple(ProposalState(proposal_id, b"\xff", b"\xff") for proposal_id in proposals),
            "candidates": (),
            "acked": b"",
            "locked": b"",
            "signature": bytes(64),
        }
        unsigned = Digest(**(values | fields))
        return replace(unsigned, signature=self.sign(DIGEST_LABEL, unsigned.content(self.group_id)))
