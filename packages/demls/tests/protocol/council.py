"""The governance of one member, with proposals and votes made by all: no network, no MLS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from demls.protocol import policy as bounds
from demls.protocol.admission import Meaning
from demls.protocol.ballots import ballot_of_all
from demls.protocol.channel import channel_of
from demls.protocol.electorates import VOTE_LABEL, Electorate, electorate_of
from demls.protocol.events import Reason
from demls.protocol.governance import PROPOSAL_LABEL, Governance
from demls.protocol.items import Item
from demls.protocol.policy import QUICK
from demls.protocol.records import Ledger
from demls.protocol.roster import Roster
from demls.protocol.step import Step
from demls.protocol.views import ProposalStatus
from demls.wire.charters import Policy
from demls.wire.ids import Address, Epoch, Instant
from demls.wire.messages import Change, ChangeRequest, Emergency, Invite, Leave, Proposal, Remove, Vote
from demls_consensus import Choice, SignedVote
from demls_engine import Engine
from leaves import GROUP, Leaf, address

NOW = Instant(1_000_000)
ENGINE = Engine(bytes(32))
KEYS = [ENGINE.signature_key() for _ in range(13)]
RETURNED = [ENGINE.signature_key() for _ in range(13)]


@dataclass
class SigningLeaf(Leaf):
    """One whose key can sign."""

    key: Any

    @property
    def signature_key(self) -> bytes:
        return bytes(self.key.public)


def roster(*numbers: int, epoch: int = 0, returned: tuple[int, ...] = (), dormant: tuple[int, ...] = ()) -> Roster:
    """Members since epoch 0, but for ``returned``, who came back in ``epoch`` with new keys."""
    leaves = [SigningLeaf(n, RETURNED[n] if n in returned else KEYS[n]) for n in numbers]
    since = {address(n): Epoch(0) for n in numbers if n not in returned}
    return Roster(leaves, Epoch(epoch), since, map(address, dormant))


class Council:
    """The governance of one member, with votes made by all."""

    def __init__(self, n: int = 4, policy: Policy = QUICK, stewards: tuple[int, ...] = ()) -> None:
        self.ledger = Ledger()
        self.policy = policy
        self.now = NOW
        self.events: list[object] = []
        self.faults: dict[bytes, tuple[Reason, str]] = {}
        self.obstacles: dict[bytes, str] = {}
        self.stewards = tuple(map(address, stewards))
        self.governance = self._make()
        members = roster(*range(n))
        self.governance.enter(members, self.electorate(members, 0))

    def _make(self) -> Governance:
        def meaning_of(change: Change, owner: Address) -> Meaning | None:
            if isinstance(change, Invite):
                return Meaning(("add", change.key_package_bytes), Address(change.key_package_bytes))
            if isinstance(change, Remove | Leave):
                subject = Address(change.member_id) if isinstance(change, Remove) else owner
                return Meaning(("remove", bytes(subject)), subject)
            if isinstance(change, Emergency):
                return Meaning(("remove", change.target_member_id), Address(change.target_member_id))
            return Meaning((type(change).__name__, b""), owner)

        return Governance(
            ledger=self.ledger,
            engine=ENGINE,
            group_id=GROUP,
            meaning_of=meaning_of,
            fault_of=self.fault_of,
            obstacle=self.obstacle,
        )

    def fault_of(self, proposal: Proposal) -> tuple[Reason, str] | None:
        return self.faults.get(proposal.id)

    def obstacle(self, item: Item) -> str:
        return self.obstacles.get(item.proposal_id, "")

    def electorate(self, members: Roster, epoch: int) -> Electorate:
        return electorate_of(Epoch(epoch), members, self.stewards, self.policy)

    def step(self) -> Step:
        return Step(self.now, channel_of(bytes(32)))

    def do(self, call: Any) -> Any:
        step = self.step()
        result = call(step)
        self.events += step.events
        return result

    def proposal(self, change: Change, owner: int = 0, epoch: int = 0, serial: int = 0) -> Proposal:
        duration = bounds.rule_of(self.policy, change).duration
        unsigned = Proposal(GROUP, epoch, address(owner), ChangeRequest(change), serial, duration, bytes(64))
        signature = ENGINE.sign(KEYS[owner].private, PROPOSAL_LABEL, unsigned.id)
        return Proposal(GROUP, epoch, address(owner), ChangeRequest(change), serial, duration, signature)

    def receive(self, proposal: Proposal) -> Item | None:
        item: Item | None = self.do(lambda step: self.governance.receive_proposal(proposal, step))
        return item

    def vote(self, proposal: Proposal, *ballots: tuple[int, bool], keys: Any = None) -> None:
        for number, yes in ballots:
            message = ballot(proposal, number, yes, keys)
            self.do(lambda step, it=message: self.governance.receive_vote(it, step))

    def vote_of_all(self, proposal: Proposal, *ballots: tuple[int, bool]) -> None:
        """In the ballot of all members, after that of the stewards."""
        for number, yes in ballots:
            message = ballot(proposal, number, yes, ballot_id=ballot_of_all(proposal.id))
            self.do(lambda step, it=message: self.governance.receive_vote(it, step))

    def wait(self, milliseconds: int) -> None:
        self.now = Instant(self.now + milliseconds)
        self.do(self.governance.tick)

    def settle(self, members: Roster, epoch: int, *carried: Proposal) -> None:
        ids = [proposal.id for proposal in carried]
        electorate = self.electorate(members, epoch)
        self.do(lambda step: self.governance.settle(ids, members, electorate, step))

    def restart(self, members: Roster, epoch: int = 0) -> None:
        self.ledger = Ledger(self.ledger.snapshot())
        self.governance = self._make()
        self.governance.load(members, Epoch(epoch))

    def status(self, proposal: Proposal) -> ProposalStatus:
        return self.governance.items[proposal.id].status


def ballot(proposal: Proposal, number: int, yes: bool, keys: Any = None, ballot_id: bytes = b"") -> Vote:
    private = (keys or KEYS)[number].private
    choice = Choice.YES if yes else Choice.NO
    vote = SignedVote.cast(
        ballot_id or proposal.id, address(number), choice, 5, lambda content: ENGINE.sign(private, VOTE_LABEL, content)
    )
    return Vote(vote.encode())
