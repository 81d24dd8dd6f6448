"""Random stories with loss, restarts, nodes switched off, people who come and go; the promises are checked throughout.

``DEMLS_STRESS_SEEDS=1000`` runs more of them than the suite does; a failure names its seed.
"""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest
from demls.protocol import policy as bounds
from demls.protocol.channel import channel_of, unseal
from demls.protocol.effects import Effects
from demls.protocol.errors import RequestRefused
from demls.protocol.events import Misbehaved, ProposalDecided, Settled
from demls.protocol.policy import PRESETS
from demls.protocol.views import ProposalKind, ProposalStatus
from demls.wire.ids import ProposalId
from demls.wire.messages import Remove, Vote
from demls.wire.statements import RoundStatement
from world import Envelope, Person, World

SEEDS = int(os.environ.get("DEMLS_STRESS_SEEDS", "40"))
NAMES = ("alice", "bob", "carol", "dave", "erin", "fred", "gina")
PAUSES = (100, 1_000, 5_000, 20_000)


class Promises:
    """Watches everything that nodes tell, store and send, and fails when a promise is broken."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.authenticators: dict[tuple[bytes, int], bytes] = {}
        self.standings: dict[tuple[bytes, int], bytes] = {}
        self.stated: dict[tuple[bytes, bytes, int, int], bytes] = {}
        self.votes: dict[tuple[bytes, bytes], int] = {}
        self.approved: set[ProposalId] = set()
        world.watch = self.watch

    def watch(self, person: Person, effects: Effects) -> None:
        self._no_two_statements(person, effects)
        self.approved |= {e.proposal_id for e in effects.events if isinstance(e, ProposalDecided) and e.approved}
        for event in effects.events:
            assert not isinstance(event, Misbehaved), f"an honest member is accused: {event}"
            if isinstance(event, Settled):
                self._consent(person, event)

    # --- P1 -------------------------------------------------------------------------------------------------------

    def agreement(self) -> None:
        """No two members of one epoch have different authenticators, or see another state."""
        for person in self.world.members():
            view = person.group.view(self.world.now)
            place = view.group_id, view.epoch
            known = self.authenticators.setdefault(place, view.authenticator)
            assert known == view.authenticator, f"a fork: {person.name} in epoch {view.epoch}"
            seen = repr((view.stewards, [(m.address, m.leaf) for m in person.group.members()])).encode()
            assert self.standings.setdefault(place, seen) == seen, f"{person.name} sees other members or stewards"

    # --- P2 -------------------------------------------------------------------------------------------------------

    def _consent(self, person: Person, event: Settled) -> None:
        """Whoever came or went did so by work that the commit carried, and that somebody saw approved."""
        if not person.is_member:
            return  # it closed the group after it
        items = {p.proposal_id: p for other in self.world.members() for p in self.world.proposals(other.name)}
        carried = [items[proposal_id] for proposal_id in event.carried]
        joined = {p.subject for p in carried if p.kind is ProposalKind.INVITE}
        left = {p.subject for p in carried if p.kind is not ProposalKind.INVITE}
        assert (set(event.joined), set(event.left)) == (joined, left)
        for proposal in carried:
            assert proposal.kind is ProposalKind.LEAVE or proposal.proposal_id in self.approved, "nobody decided this"

    # --- P5 -------------------------------------------------------------------------------------------------------

    def _no_two_statements(self, person: Person, effects: Effects) -> None:
        """No member signs two different things in one view, or votes twice, whatever was restarted in between."""
        channels = [channel_of(secret) for key, secret in person.records.items() if key.startswith(b"channel/")]
        for outbound in effects.outbound:
            payload = next(
                (
                    opened
                    for channel in channels
                    if channel.topic == outbound.topic
                    and (opened := unseal(channel, outbound.payload, person.engine)) is not None
                ),
                None,
            )
            if isinstance(payload, RoundStatement) and payload.member == person.address:
                place = payload.member, payload.head, payload.view, payload.kind
                known = self.stated.setdefault(place, payload.candidate)
                assert known == payload.candidate, f"{person.name} signed two things in view {payload.view}"
            if isinstance(payload, Vote):
                proposal_id, voter, choice = (
                    payload.signed_vote[1:33],
                    payload.signed_vote[33:53],
                    payload.signed_vote[53],
                )
                assert self.votes.setdefault((proposal_id, voter), choice) == choice, "a vote is not final"

    # --- P6 -------------------------------------------------------------------------------------------------------

    def bounds(self) -> None:
        for person in self.world.members():
            kinds = Counter(key.split(b"/")[0] for key in person.records)
            members = len(person.group.members())
            assert kinds[b"channel"] <= bounds.CHANNELS_KEPT + 1
            assert kinds[b"back"] <= bounds.SETTLED_KEPT + 1
            assert kinds[b"owners"] <= bounds.CHANNELS_KEPT + 1
            assert kinds[b"settled"] <= bounds.SETTLED_KEPT
            assert kinds[b"request"] <= bounds.REQUESTS_MAX
            assert kinds[b"token"] <= bounds.INVITES_PER_MEMBER_MAX * members
            offers = sum(1 for key in person.records if key.startswith(b"round/offer/"))
            assert offers <= bounds.CANDIDATES_KEPT_MAX

    # --- After healing ----------------------------------------------------------------------------------------------

    def healed(self) -> None:
        """P1 and P4: all are in one epoch, nothing that was approved is left over, and nothing is going on."""
        epochs = {person.name: person.group.view(self.world.now).epoch for person in self.world.members()}
        assert len(set(epochs.values())) <= 1, f"not together: {epochs}"
        for person in self.world.members():
            left_over = [p for p in self.world.proposals(person.name) if p.status is ProposalStatus.APPROVED]
            assert not left_over, f"{person.name} still waits for {[p.kind.value for p in left_over]}"
            assert not person.group.view(self.world.now).round.is_open
        for person in self.world.members():
            decided = {e.proposal_id for e in person.events if isinstance(e, ProposalDecided) and e.approved}
            ended = {p.proposal_id: p.status for p in self.world.proposals(person.name)}
            for proposal_id in decided & set(ended):
                assert ended[proposal_id] in (
                    ProposalStatus.COMMITTED,
                    ProposalStatus.WITHDRAWN,
                    ProposalStatus.REJECTED,  # silence was taken for consent, and a late NO came in
                )


class Chaos:
    """One random story."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.world = World(seed)
        self.promises = Promises(self.world)
        self.names = NAMES[: 3 + seed % 5]
        self.loss = self.dice.choice((0.0, 0.05, 0.2, 0.3))
        self.restarting = seed % 4 == 0
        self.world.found(self.names[0], PRESETS["day" if seed % 3 == 0 else "quick"])
        for name in self.names[1:]:
            self.world.admit(self.names[0], name)

    def run(self, steps: int = 25) -> None:
        self.world.lose = self._is_lost
        for number in range(steps):
            self._something(number)
            self._vote()
            self.world.run(self.dice.choice(PAUSES))
            if self.restarting:
                for person in self.world.people.values():
                    if person.machine is not None and person.online:
                        self.world.restart(person.name)
            self.promises.agreement()
            self.promises.bounds()
        self._heal()

    def _is_lost(self, person: Person, envelope: Envelope) -> bool:
        """Not what somebody said before going: nobody is left to say it again, so a relay has to keep it."""
        is_there = self.world.person(envelope.sender).is_member
        return person.name != envelope.sender and is_there and self.dice.random() < self.loss

    def _something(self, number: int) -> None:
        name = self.dice.choice(self.names)
        person, kind = self.world.person(name), self.dice.random()
        if not person.is_member:
            return
        if not person.online and kind < 0.68:
            kind = 1.0  # known limit: who joins cannot judge what a member far behind has opened meanwhile
        try:
            if kind < 0.25:
                self.world.do(name, lambda group: group.send(f"message {number}", self.world.now))
            elif kind < 0.45:
                other = self.world.person(self.dice.choice(self.names)).address
                self.world.do(name, lambda group: group.propose(Remove(other), self.world.now))
            elif kind < 0.6:
                outside = [n for n in self.names if self.world.person(n).machine is None or self._is_out(n)]
                if outside:
                    self.world.ask(self.dice.choice(outside), self.world.link(name))
            elif kind < 0.68:
                self.world.do(name, lambda group: group.leave(self.world.now))
            elif kind < 0.85:
                self.world.restart(self.dice.choice([n for n in self.names if self.world.person(n).machine]))
            else:
                person.online = not person.online
        except RequestRefused:
            pass

    def _is_out(self, name: str) -> bool:
        person = self.world.person(name)
        return person.has_group and not person.is_member

    def _vote(self) -> None:
        for person in self.world.members():
            if not person.online or self.dice.random() > 0.7:
                continue
            for proposal in self.world.proposals(person.name):
                still = person.is_member and any(
                    p.may_vote for p in self.world.proposals(person.name) if p.proposal_id == proposal.proposal_id
                )
                if still:
                    yes = self.dice.random() < 0.8
                    self.world.do(
                        person.name, lambda group, p=proposal, y=yes: group.vote(p.proposal_id, y, self.world.now)
                    )  # type: ignore[misc]

    def _heal(self) -> None:
        self.world.lose = lambda person, envelope: False
        for person in self.world.people.values():
            person.online = True
        for _ in range(6):
            self.world.run(60_000)
            self.promises.agreement()
        self.world.run(2 * bounds.DAY)  # deadlines of what is still open
        self.world.run(120_000)
        self.promises.agreement()
        self.promises.bounds()
        self.promises.healed()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_promises_hold_whatever_happens(seed: int) -> None:
    Chaos(seed).run()
