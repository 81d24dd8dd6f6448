"""Runs stories that are written as text: commands, and what people are expected to see.

    found alice                     found a group (``found alice day``: under another policy; ``with 3 stewards``)
    admit alice -> bob carol        the whole way of people into the group, everybody voting yes
    link alice as L [for 60s]       an invite link, named
    invite alice -> bob [with L]    bob asks to join through a (new) link of alice
    forge L as M by carol           a link like L that names carol as its issuer
    ban alice -> bob                propose a removal (with the own yes)
    leave bob
    refresh bob                     ask for new keys of bob's leaf
    describe alice as some words    propose another description of the group
    adopt alice council             propose the policy of that name
    vote alice yes [on ban bob]     on everything open, or on one proposal
    both carol on ban dave          sign a yes and a no; the yes reaches the first half of the members only
    double carol                    acknowledge two different candidates in one view
    double carol to alice           the same, and only alice hears of it for now (until ``heal``)
    accuse bob of dave              an emergency without a proof that holds
    garble bob                      bob leads with bytes that are no commit, in whichever view is his
    garble bob with X               or with what was caught, said again as its own
    stuck alice                     declare a deadlock, with the nil acknowledgements that were heard
    say alice some words
    run 5s                          let time pass
    offline bob | online bob        a node that is switched off; the relay keeps its envelopes
    lose bob                        everything sent to bob from now on is lost (``lose bob 30%``: a part of it)
    mute alice bob                  their candidates never arrive, all else they say does (``mute nobody``)
    hold alice | release            what alice sends is held back until ``release``
    split a b | c d, heal           two halves of a network
    restart bob
    backup dave                     copy what dave's node has stored
    restore dave                    his node begins again with that copy, and asks for a new seat
    amnesia dave                    his node has lost everything but its leaf key; it asks for a new seat
    rejoin dave                     he asks for a new seat himself
    catch alice as X                keep alice's offer of a candidate (``anybody``: the newest) for ``throw X``

and ``expect`` lines: ``members``, ``epoch``, ``heard``, ``status``, ``work``, ``waiting``, ``told``, ``refused``,
``backup``, ``score``, ``frozen``, ``free``, ``held``, ``stewards``, ``listed``, ``turn``, ``late``, ``described``,
``keys``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import comeback
from demls.protocol.channel import seal, unseal
from demls.protocol.errors import RequestRefused
from demls.protocol.events import (
    Event,
    Faulted,
    JoinRefused,
    Misbehaved,
    ProposalDecided,
    ProposalWithdrawn,
    Rejected,
    RequestReceived,
    Returned,
    ScoreChanged,
    Settled,
    StewardsChanged,
    Waiting,
    WentToAll,
)
from demls.protocol.group import Group
from demls.protocol.policy import PRESETS, SCORING
from demls.protocol.views import ProposalKind, ProposalView
from demls.wire.messages import Candidate, Emergency, InviteLink, Offer, Remove
from demls.wire.statements import DoubleStatement, Proof, RoundStatement, StatementKind
from demls.wire.violations import Violation
from insider import Insider
from world import Envelope, Person, World

POLICIES = PRESETS | {"two": replace(PRESETS["quick"], stewards_max=2)}
POLICIES |= {"committee": replace(PRESETS["quick"], ack_limit=6, committee=4, stewards_max=2)}
_COUNCIL = PRESETS["council"]
POLICIES |= {"stewards": replace(_COUNCIL, invite=replace(_COUNCIL.invite, duration=600_000))}
POLICIES |= {"strict": replace(PRESETS["quick"], scoring=replace(SCORING, broken_commit=100))}
"""``two``: never more than two stewards, so that a small group has to elect them. ``strict``: one broken commit is
enough for an emergency. ``committee``: in groups of more than six, four members and the stewards acknowledge commits.
``stewards``: the council, with ten minutes for an invite."""

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_VERBS = {ProposalKind.INVITE: "invite", ProposalKind.REMOVE: "ban", ProposalKind.LEAVE: "leave"}
_VERBS |= {ProposalKind.ELECTION: "election by", ProposalKind.SETTINGS: "settings by"}
_VERBS |= {ProposalKind.DORMANT: "dormant", ProposalKind.AWAKE: "awake"}
_VERBS |= {ProposalKind.EMERGENCY: "emergency", ProposalKind.RESYNC: "new seat of"}


def milliseconds(text: str) -> int:
    unit = text.lstrip("0123456789")
    return int(text.removesuffix(unit)) * _UNITS[unit]


class TranscriptFailed(AssertionError):
    """An expectation that was not met; names file and line."""


@dataclass
class Line:
    number: int
    text: str

    @property
    def words(self) -> list[str]:
        return self.text.split()


def read(path: Path) -> list[Line]:
    lines = (Line(number, raw.split("#")[0].strip()) for number, raw in enumerate(path.read_text().splitlines(), 1))
    return [line for line in lines if line.text]


class Story:
    """One run of one transcript. ``after``: called after every line, with the world."""

    def __init__(self, path: Path, after: Callable[[World], None] = lambda world: None) -> None:
        self.path = path
        self.world = World(seed=7)
        self.links: dict[str, InviteLink] = {}
        self.backups: dict[str, tuple[dict[bytes, bytes], int]] = {}
        self.caught: dict[str, Offer] = {}
        self._after = after

    def run(self) -> World:
        for line in read(self.path):
            command, *rest = line.words
            try:
                getattr(self, f"do_{command}")(*rest)
            except AssertionError as problem:
                raise TranscriptFailed(f"{self.path.name}:{line.number}: {line.text}\n    {problem}") from problem
            self._after(self.world)
        return self.world

    # --- Commands -------------------------------------------------------------------------------------------------

    def do_found(self, name: str, *how: str) -> None:
        policy = POLICIES[how[0] if how and how[0] in POLICIES else "quick"]
        if "with" in how:
            policy = replace(policy, stewards_max=int(how[how.index("with") + 1]))
        self.world.found(name, policy)

    def do_admit(self, issuer: str, _: str, *names: str) -> None:
        self.world.admit(issuer, *names)

    def do_link(self, issuer: str, _: str, label: str, *lifetime: str) -> None:
        self.links[label] = self.world.link(issuer, milliseconds(lifetime[1]) if lifetime else 3_600_000)

    def do_forge(self, known: str, _as: str, label: str, _by: str, issuer: str) -> None:
        self.links[label] = replace(self.links[known], issuer=self.world.person(issuer).address, token=bytes(16))

    def do_invite(self, issuer: str, _: str, name: str, *link: str) -> None:
        try:
            self.world.ask(name, self.links[link[1]] if link else self.world.link(issuer))
        except RequestRefused as problem:
            self.world.person(name).events.append(JoinRefused(str(problem)))
        self.world.deliver()

    def do_ban(self, name: str, _: str, other: str) -> None:
        self._ask(name, lambda group: group.propose(Remove(self.world.person(other).address), self.world.now))

    def do_leave(self, name: str) -> None:
        self._ask(name, lambda group: group.leave(self.world.now))

    def do_refresh(self, name: str) -> None:
        self._ask(name, lambda group: group.refresh_keys(self.world.now))

    def do_describe(self, name: str, _: str, *words: str) -> None:
        self._ask(name, lambda group: group.change_settings(self.world.now, description=" ".join(words)))

    def do_adopt(self, name: str, policy: str) -> None:
        self._ask(name, lambda group: group.change_settings(self.world.now, policy=POLICIES[policy]))

    def do_say(self, name: str, *words: str) -> None:
        self._ask(name, lambda group: group.send(" ".join(words), self.world.now))

    def do_vote(self, name: str, choice: str, *which: str) -> None:
        for proposal in self.world.proposals(name):
            if proposal.may_vote and (not which or self._called(proposal) == " ".join(which[1:])):
                self._ask(
                    name,
                    lambda group, it=proposal: group.vote(it.proposal_id, choice == "yes", self.world.now),  # type: ignore[misc]
                )

    def do_both(self, name: str, _: str, *which: str) -> None:
        insider = Insider(self.world, name)
        proposal = next(p for p in self.world.proposals(name) if self._called(p) == " ".join(which))
        half = {person.name for person in self.world.members()[: len(self.world.members()) // 2]}
        for yes in (True, False):
            self.world.hold = lambda person, envelope, yes=yes: (person.name in half) is not yes  # type: ignore[misc]
            insider.say(insider.vote(proposal.proposal_id, yes))
            self.world.deliver()
        self.world.hold = lambda person, envelope: False

    def do_double(self, name: str, *to: str) -> None:
        insider = Insider(self.world, name)
        if to:
            self.world.hold = lambda person, envelope: person.name not in (name, to[1])
        for byte in (1, 2):
            insider.say(insider.statement(StatementKind.ACK, 0, bytes([byte]) * 32))
        self.world.deliver()

    def do_accuse(self, name: str, _: str, other: str) -> None:
        """With two statements of the accuser in the other's name."""
        insider, target = Insider(self.world, name), self.world.person(other).address
        made = (insider.statement(StatementKind.ACK, 0, bytes([byte]) * 32, member=target) for byte in (1, 2))
        change = Emergency(Violation.EQUIVOCATION, target, (Proof(DoubleStatement(*made)),), ())
        duration = self.world.person(name).group._live().charter.policy.emergency.duration
        insider.say(insider.proposal(change, duration=duration))
        self.world.deliver()

    def do_garble(self, name: str, *what: str) -> None:
        insider = Insider(self.world, name)
        candidate = self.caught[what[1]].candidate if what else Candidate(b"no commit", b"", b"", b"")
        order = [self.world.name_of(member) for member in self.world.person(name).group._live().state.leaders]
        self.do_mute(name)
        said = seal(insider.channel, insider.offer(candidate, order.index(name)), insider.person.engine)
        self.world.publish(insider.channel.topic, said, "a relay")
        self.world.deliver()

    def do_stuck(self, name: str) -> None:
        insider = Insider(self.world, name)
        nil = [
            said
            for said in insider.overheard()
            if isinstance(said, RoundStatement)
            and (said.kind, said.candidate, said.head) == (StatementKind.ACK, b"", insider.head)
        ]
        latest = max((said.view for said in nil), default=0)
        acks = {said.member: said for said in nil if said.view == latest}
        change = Emergency(Violation.DEADLOCK, b"", (), tuple(said for _, said in sorted(acks.items())))
        duration = self.world.person(name).group._live().charter.policy.emergency.duration
        insider.say(insider.proposal(change, duration=duration))
        self.world.deliver()

    def do_run(self, time: str) -> None:
        self.world.run(milliseconds(time))

    def do_offline(self, name: str) -> None:
        self.world.person(name).online = False

    def do_online(self, name: str) -> None:
        self.world.person(name).online = True
        self.world.deliver()

    def do_lose(self, name: str, share: str = "100%") -> None:
        lost = int(share.removesuffix("%")) / 100
        self.world.lose = lambda person, envelope: person.name == name and self.world.random.random() < lost

    def do_mute(self, *names: str) -> None:
        offers: dict[int, bool] = {}

        def is_lost(person: Person, envelope: Envelope) -> bool:
            if envelope.sender not in names or person.name == envelope.sender:
                return False
            if id(envelope) not in offers:
                insider = Insider(self.world, person.name)
                opened = (
                    (unseal(channel, envelope.payload, person.engine) for channel in insider.channels.values())
                    if person.is_member
                    else ()
                )
                offers[id(envelope)] = any(isinstance(payload, Offer) for payload in opened)
            return offers[id(envelope)]

        self.world.lose = is_lost

    def do_hold(self, name: str) -> None:
        self.world.hold = lambda person, envelope: envelope.sender == name and person.name != name

    def do_release(self) -> None:
        self.world.heal()

    def do_split(self, *names: str) -> None:
        middle = names.index("|")
        self.world.split(names[:middle], names[middle + 1 :])

    def do_heal(self) -> None:
        self.world.heal()

    def do_restart(self, name: str) -> None:
        self.world.restart(name)

    def do_backup(self, name: str) -> None:
        person = self.world.person(name)
        self.backups[name] = dict(person.records), len(person.heard())

    def do_restore(self, name: str) -> None:
        comeback.restore(self.world, name, self.backups[name][0])

    def do_amnesia(self, name: str) -> None:
        comeback.lose_state(self.world, name)

    def do_rejoin(self, name: str) -> None:
        comeback.rejoin(self.world, name)

    def do_catch(self, name: str, _: str, label: str) -> None:
        """The newest offer that ``name`` made, whoever got it."""
        listener = self.world.members()[0].name if name == "anybody" else name
        offers = [payload for payload in Insider(self.world, listener).overheard() if isinstance(payload, Offer)]
        wanted = {offer.leader for offer in offers} if name == "anybody" else {self.world.person(name).address}
        self.caught[label] = [offer for offer in offers if offer.leader in wanted][-1]

    def do_throw(self, name: str, label: str) -> None:
        """Say the caught offer again: on the channel of its epoch, and on that of today."""
        insider = Insider(self.world, name)
        for channel in {insider.channels[self.caught[label].epoch], insider.channel}:
            self.world.publish(channel.topic, seal(channel, self.caught[label], insider.person.engine), name)
        self.world.deliver()

    def _ask(self, name: str, call: Callable[[Group], object]) -> None:
        try:
            self.world.do(name, call)  # type: ignore[arg-type]
        except RequestRefused as problem:
            self.world.person(name).events.append(Rejected("refused", str(problem)))  # type: ignore[arg-type]
        self.world.deliver()

    def _called(self, proposal: ProposalView) -> str:
        if proposal.kind is ProposalKind.SETTINGS:
            return "settings"
        return f"{_VERBS[proposal.kind]} {self.world.name_of(proposal.subject)}"

    # --- Expectations ---------------------------------------------------------------------------------------------

    def do_expect(self, what: str, *rest: str) -> None:
        getattr(self, f"expect_{what}")(*rest)

    def expect_members(self, *names: str) -> None:
        """All who are in, and every one of them sees just these."""
        assert_same(sorted(names), sorted(person.name for person in self.world.members()))
        for person in self.world.members():
            seen = sorted(self.world.name_of(member.address) for member in person.group.members())
            assert_same(sorted(names), seen, f"{person.name} sees")

    def expect_epoch(self, *pairs: str) -> None:
        """``expect epoch 3`` of all members, or ``expect epoch alice 3 bob 2``."""
        if len(pairs) == 1:
            pairs = tuple(word for person in self.world.members() for word in (person.name, pairs[0]))
        for name, epoch in zip(pairs[::2], pairs[1::2], strict=True):
            assert_same(int(epoch), self.world.person(name).group.view(self.world.now).epoch, f"{name} is in epoch")

    def expect_stewards(self, *names: str) -> None:
        """The list, as every member that is there has it: ``expect stewards alice bob``."""
        for person in self._present():
            seen = person.group.view(self.world.now).stewards
            assert_same(list(names), list(map(self.world.name_of, seen)), f"{person.name} has the list")

    def expect_turn(self, *names: str) -> None:
        """The epoch steward, and the backup steward if there is one, as every member that is there sees it."""
        for person in self._present():
            view = person.group.view(self.world.now)
            seen = [self.world.name_of(who) for who in (view.epoch_steward, view.backup_steward) if who is not None]
            assert_same(list(names), seen, f"{person.name} sees the turn of")

    def expect_late(self, *names: str) -> None:
        """Who has lost its turn, and leads last for a while."""
        for person in self._present():
            seen = [self.world.name_of(member.address) for member in person.group.members() if member.lost_turn]
            assert_same(sorted(names), sorted(seen), f"{person.name} knows as late")

    def expect_keys(self, *pairs: str) -> None:
        """Which epoch members' keys came with, as everybody that is there sees it: ``expect keys alice 3 bob 0``."""
        for person in self._present():
            seen = {self.world.name_of(member.address): member.keys_epoch for member in person.group.members()}
            for name, epoch in zip(pairs[::2], pairs[1::2], strict=True):
                assert_same(int(epoch), seen[name], f"{person.name} sees the keys of {name}")

    def expect_described(self, *words: str) -> None:
        """How the group is described, as every member that is there has it."""
        for person in self._present():
            seen = person.group.view(self.world.now).description
            assert_same(" ".join(words), seen, f"{person.name} reads")

    def _present(self) -> list[Person]:
        return [person for person in self.world.members() if person.online]

    def expect_heard(self, name: str, *words: str) -> None:
        """All that this person ever read, separated by ``/``."""
        said = [text.strip() for text in " ".join(words).split("/") if text.strip()]
        assert_same(said, self.world.person(name).heard())

    def expect_status(self, name: str, status: str) -> None:
        person = self.world.person(name)
        assert_same(status, person.group.status.value if person.has_group else "outside")

    def expect_work(self, name: str, *words: str) -> None:
        """Proposals that are open or approved: ``expect work alice ban bob open 1/0/3`` (yes, no, silent)."""
        open_work = (p for p in self.world.proposals(name) if p.status.value in ("open", "approved"))
        seen = sorted(f"{self._called(p)} {p.status.value} {p.yes}/{p.no}/{p.silent}" for p in open_work)
        said = [text.strip() for text in " ".join(words).split(",") if text.strip()]
        assert_same(sorted(said), seen)

    def expect_score(self, name: str, *pairs: str) -> None:
        """``expect score alice bob 110 carol 100``: as alice sees it."""
        seen = {self.world.name_of(m.address): m.score for m in self.world.person(name).group.members()}
        assert_same(dict(zip(pairs[::2], map(int, pairs[1::2]), strict=True)), {n: seen[n] for n in pairs[::2]})

    def expect_frozen(self, *names: str) -> None:
        """Elections and commit proposals wait here."""
        views = {name: self.world.person(name).group.view(self.world.now) for name in names}
        assert_same([], [name for name in names if views[name].frozen_until is None], "not frozen")

    def expect_free(self, *names: str) -> None:
        views = {name: self.world.person(name).group.view(self.world.now) for name in names}
        assert_same([], [name for name in names if views[name].frozen_until is not None], "frozen")

    def expect_held(self, name: str, number: str) -> None:
        """So many proposals wait for an emergency."""
        assert_same(int(number), self.world.person(name).group.view(self.world.now).held)

    def expect_listed(self, name: str, number: str) -> None:
        """So many are on the list."""
        stewards = self.world.person(name).group._live().state.stewards
        assert_same(int(number), len(stewards.active(self.world.person(name).group._live().roster.since())))

    def expect_waiting(self, name: str, *names: str) -> None:
        """For whom the round waits, as this person sees it."""
        missing = self.world.person(name).group.view(self.world.now).round.missing
        assert_same(sorted(names), sorted(map(self.world.name_of, missing)))

    def expect_told(self, name: str, *words: str) -> None:
        """Was this person told something that contains these words?"""
        sentences = [_sentence(self.world, event) for event in self.world.person(name).events]
        wanted = " ".join(words)
        assert any(wanted in sentence for sentence in sentences), f"not among: {sorted(set(sentences))}"

    def expect_untold(self, name: str, *words: str) -> None:
        wanted = " ".join(words)
        assert not any(wanted in _sentence(self.world, event) for event in self.world.person(name).events)

    def expect_refused(self, name: str, *words: str) -> None:
        """What the person asked for last was refused with a sentence that contains these words."""
        refusals = [event.detail for event in self.world.person(name).events if isinstance(event, Rejected)]
        assert refusals, "nothing was refused"
        assert " ".join(words) in refusals[-1], f"was: {refusals[-1]}"

    def expect_backup(self, name: str, *_: str) -> None:
        """``expect backup dave reads nothing new``: with all envelopes ever sent, and all the keys in it."""
        records, heard = self.backups[name]
        person = self.world.person(name)
        before = set(person.heard()[:heard])
        thief, _effects = Group.load(records, engine=person.engine, now=self.world.now)
        new: set[str] = set()
        for envelope in (envelope for queue in self.world.log.values() for envelope in queue):
            for topic in thief.topics():
                events = thief.receive(topic, envelope.payload, self.world.now).events
                new |= {event.text for event in events if hasattr(event, "text")} - before
        assert not new, f"read {new}"


def assert_same(wanted: object, seen: object, what: str = "was") -> None:
    assert seen == wanted, f"{what}: {seen}"


def _sentence(world: World, event: Event) -> str:
    match event:
        case JoinRefused(reason):
            return f"join refused: {reason}"
        case WentToAll():
            return "goes to all"
        case ProposalDecided(approved=approved, reason=reason):
            return f"{'approved' if approved else 'rejected'}: {reason}"
        case ProposalWithdrawn(reason=reason):
            return f"withdrawn: {reason}"
        case Misbehaved(member, what):
            return f"{world.name_of(member)} misbehaved: {what}"
        case Faulted(member=member, proof=proof):
            return f"{world.name_of(member)} failed {proof.payload.check}"  # type: ignore[union-attr]
        case ScoreChanged(member=member, cause=cause):
            return f"{world.name_of(member)} {cause}"
        case Waiting(missing, needed):
            return f"waiting for {' '.join(sorted(map(world.name_of, missing)))}, {needed} needed"
        case StewardsChanged(stewards=stewards, by_vote=by_vote):
            how = "elected" if by_vote else "drawn"
            return f"stewards {how}: {' '.join(map(world.name_of, stewards))}"
        case Settled(committer=committer):
            return f"committed by {world.name_of(committer)}"
        case Returned(missed_from=missed, is_vouched=vouched):
            return f"back, missed from {missed}, {'vouched' if vouched else 'not vouched'}"
        case RequestReceived(address=address):
            return f"request of {world.name_of(address)}"
        case Rejected(reason, detail):
            return f"{reason}: {detail}"
        case _:
            return type(event).__name__


__all__ = ["Envelope", "Person", "Story", "TranscriptFailed"]
