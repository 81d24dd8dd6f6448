"""A malicious leader in a running group: it has the keys, the MLS state and the knowledge of an honest member.

Commits are real ones, by the real engine. What no engine of ours makes or reads (a PSK, an Update, the own removal, a
path with another identity) is put into the mouth of the honest members' engines, for one commit: ``Scene.read_as``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from demls.protocol.candidates import JOINER_EXTENSION
from demls.protocol.channel import seal
from demls.protocol.checks import Check, Verdict
from demls.protocol.credential import Device, binding_sentence
from demls.protocol.engine import MlsGroup
from demls.protocol.events import Faulted, Rejected
from demls.protocol.items import Item
from demls.protocol.policy import DAY_POLICY, POLICY_EXTENSION
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.protocol.sync import build_sync
from demls.protocol.updates import updates_of
from demls.protocol.validation import added_by, amended, removed_by
from demls.wire.chain import Succession, succession_hash
from demls.wire.charters import Charter
from demls.wire.ids import Address, Instant, LeafKey, View
from demls.wire.messages import (
    Binding,
    Candidate,
    Change,
    CommitContext,
    Entry,
    Invite,
    JoinerSecrets,
    Payload,
    Proposal,
    Remove,
    Settings,
    encode_message,
)
from demls.wire.statements import RoundStatement, StatementKind
from demls_consensus import wallet_sign
from insider import Insider
from world import Person, World

NAMES = ("alice", "bob", "carol", "dave", "erin")
Setting = Callable[["Scene"], None]
Making = Callable[["Scene"], Candidate]


class Altered:
    """An engine's answer, or a group, with some answers changed."""

    def __init__(self, real: Any, **answers: Any) -> None:
        self._real, self._answers = real, answers

    def __getattr__(self, name: str) -> Any:
        return self._answers[name] if name in self._answers else getattr(self._real, name)


class Scene:
    """A group of four or five, in which the leader of view ``place`` is bad; ``zoe`` is outside.

    The bad leader's own node hears everything, and nothing of what it says gets out until ``go_on``.
    """

    def __init__(self, size: int = 4, place: int = 0) -> None:
        self.world = world = World(seed=3 + size)
        world.group_of(*NAMES[:size], policy=DAY_POLICY)
        world.run(200_000)
        leaders = [world.name_of(address) for address in self.state_of(NAMES[0]).state.leaders]
        self.leaders = leaders
        self.bad = leaders[place]
        self.honest = [name for name in leaders if name != self.bad]
        self.victim = leaders[-1]
        self.insider = Insider(world, self.bad)
        world.lose = lambda person, envelope: envelope.sender == self.bad and person.name != self.bad
        self.heard_before: dict[str, int] = {}

    def state_of(self, name: str) -> GroupState:
        return self.world.person(name).group._state

    @property
    def state(self) -> GroupState:
        """Of the bad leader."""
        return self.state_of(self.bad)

    # --- What is decided ------------------------------------------------------------------------------------------

    def propose(self, *changes: Change) -> None:
        for change in changes:
            self.world.do(self.honest[0], lambda group, it=change: group.propose(it, self.world.now))  # type: ignore[misc]
        self.world.deliver()

    def ask(self, lifetime: int | None = None) -> None:
        """Zoe asks to join; nobody has voted yet."""
        world = self.world
        device = world.device("zoe") if lifetime is None else short_lived(world, lifetime)
        world.ask("zoe", world.link(self.honest[0]), device)
        world.run(len(self.leaders) * 3_000)

    def approve(self) -> None:
        """The honest vote yes on everything."""
        self.world.vote_on_everything(*self.honest)

    def item(self, kind: type[Change]) -> Item:  # type: ignore[valid-type]
        items = self.state_of(self.honest[0]).governance.items.values()
        return next(item for item in items if isinstance(item.change, kind) and item.ended_at is None)

    def own_proposals(self) -> list[Proposal]:
        """What the bad leader's node has proposed."""
        items = self.state.governance.items.values()
        return [item.proposal for item in items if item.proposal.owner == self.state.own]

    # --- What is offered ------------------------------------------------------------------------------------------

    def leaf(self, name: str) -> int:
        return self.state.roster.leaves_of(self.world.person(name).address)[0]

    def follows(self, items: Iterable[Item], view: int = 0, time: int | None = None) -> Succession:
        at = Instant(max(self.world.now, self.state.state.time + 1) if time is None else time)
        made = self.state.candidates.follow_own(list(items), View(view), at)
        assert made is not None
        return made

    def candidate(
        self,
        *work: Item,
        by: str = "",
        context: bytes | None = None,
        adds: Iterable[bytes] | None = None,
        removes: Iterable[int] | None = None,
        extensions: dict[int, bytes] | None = None,
        certificate: bytes | None = None,
        sort: bool = True,
        is_settled: bool = True,
        sync: dict[str, Any] | None = None,
        succession: dict[str, Any] | None = None,
        mls: MlsGroup | None = None,
        updates: Sequence[bytes] | None = None,
        shown: Sequence[bytes] | None = None,
        force_path: bool | None = None,
        **fields: Any,
    ) -> Candidate:
        """The sound candidate for ``work`` in view 0, but for what the other arguments say.

        ``updates``: which the commit refers to; ``shown``: which it comes with.
        """
        state = self.state_of(by or self.bad)
        items = sorted(work, key=Item.order) if sort else list(work)
        entries = tuple(self.state.governance.entry(item) for item in items)
        if certificate is not None:
            entries = tuple(Entry(entry.proposal_id, certificate) for entry in entries)
        time = Instant(max(self.world.now, state.state.time + 1))
        said = {"head": state.state.head, "view": 0, "time": time, "entries": entries} | fields
        if adds is None:
            adds = added_by(items)
        if removes is None:
            removes = removed_by(items, state.roster)
        if extensions is None and is_settled and any(isinstance(item.change, Settings) for item in items):
            extensions = {POLICY_EXTENSION: encode_message(self.amended())}
        joiner_key, stated, adds = b"", b"", list(adds)
        if adds:
            follows = replace(self.follows(items, said["view"], said["time"]), **(succession or {}))
            named = succession_hash(encode_message(follows))
            full = build_sync(state.state, state.governance, state.group_id, Instant(said["time"]), named)
            stated = encode_message(replace(full, **(sync or {})))
            joiner_key = b"k" * 32
        secrets = encode_message(JoinerSecrets(joiner_key, bytes(32))) if adds else b""
        updates = updates_of(items, state.own) if updates is None else updates
        built = (mls or state.mls).propose_commit(
            adds=adds,
            removes=list(removes),
            updates=updates,
            context_extensions=extensions,
            authenticated_data=encode_message(CommitContext(**said)) if context is None else context,
            group_info_extensions={JOINER_EXTENSION: secrets} if adds else None,
            force_path=not adds or own_wish_in(items, state.own) if force_path is None else force_path,
        )
        shown = updates if shown is None else shown
        return Candidate(built.commit, built.welcome or b"", joiner_key, stated, tuple(shown))

    def amended(self) -> Charter:
        """After the settings that are being decided."""
        change = self.item(Settings).change
        assert isinstance(change, Settings)
        return amended(self.state.charter, change)

    def own_mls(self) -> MlsGroup:
        """The bad leader's MLS state once more, to go ahead with."""
        return self.world.person(self.bad).engine.load_group(self.state.mls.snapshot())

    # --- What is said ---------------------------------------------------------------------------------------------

    def say(self, payload: Payload) -> None:
        """On the group's channel, by nobody's node."""
        engine = self.insider.person.engine
        self.world.publish(self.insider.channel.topic, seal(self.insider.channel, payload, engine), "insider")
        self.world.deliver()

    def offer(self, candidate: Candidate, view: int, *, shows_votes: bool = True, by: str = "", **fields: Any) -> None:
        """With the votes that belong to what is approved, by the bad leader or another."""
        governance = self.state_of(self.honest[0]).governance
        fields["votes"] = governance.lists_for(governance.approved()) if shows_votes else ()
        insider = Insider(self.world, by) if by else self.insider
        self.say(insider.offer(candidate, view, **fields))

    def mark(self) -> None:
        self.heard_before = {name: len(self.world.person(name).events) for name in self.honest}

    def acked(self, candidate: Candidate) -> list[str]:
        """Who has acknowledged it, of the honest."""
        statements = (payload for payload in self.insider.overheard() if isinstance(payload, RoundStatement))
        return [self.world.name_of(s.member) for s in statements if s.candidate == candidate.id]

    def read_as(self, candidate: Candidate, answers: dict[str, Any]) -> None:
        """The honest members' engines report this commit so."""
        for name in self.honest:
            candidates = self.state_of(name).candidates
            real = candidates._mls

            def stage(commit: bytes, updates: Any = (), own: Any = None, real: Any = real) -> Any:
                staged = real.stage(commit, updates, own)
                return Altered(staged, **answers) if commit == candidate.commit else staged

            candidates._mls = Altered(real, stage=stage)  # type: ignore[assignment]

    # --- What came of it ------------------------------------------------------------------------------------------

    def told(self, person: Person) -> list[Any]:
        return person.events[self.heard_before.get(person.name, 0) :]

    def named(self) -> dict[str, list[tuple[str, str]]]:
        """Whom each honest member names for which check, since ``mark``."""
        return {
            name: [
                (self.world.name_of(event.member), event.check)
                for event in self.told(self.world.person(name))
                if isinstance(event, Faulted)
            ]
            for name in self.honest
        }

    def refused(self) -> dict[str, list[str]]:
        """What each honest member refuses as not sound, by the check's number."""
        return {
            name: [
                event.detail.split(":")[0]
                for event in self.told(self.world.person(name))
                if isinstance(event, Rejected) and event.detail[:1] == "V"
            ]
            for name in self.honest
        }

    def findings(self, candidate: Candidate) -> set[tuple[Check, Verdict] | None]:
        """What the honest find when they judge it as a fresh one now."""
        found = set()
        for name in self.honest:
            finding = self.state_of(name).candidates._finding(candidate, fresh=True, now=self.world.now)
            found.add(None if finding is None else (finding.check, finding.verdict))
        return found

    def go_on(self) -> None:
        """The bad leader behaves from now on, and time goes by."""
        self.world.lose = lambda person, envelope: False
        for person in self.world.people.values():
            person.online = True
        self.world.run(120_000)

    def is_together(self) -> bool:
        """Everybody is in one epoch, with one authenticator, and nothing approved is left."""
        views = [person.group.view(self.world.now) for person in self.world.members()]
        left = [p for person in self.world.members() for p in self.world.proposals(person.name)]
        is_done = not any(p.status.value == "approved" for p in left)
        return len({(view.epoch, view.authenticator) for view in views}) == 1 and is_done


def own_wish_in(items: Iterable[Item], own: Address) -> bool:
    return any(item.effect == ("refresh", bytes(own)) for item in items)


def short_lived(world: World, lifetime: int) -> Device:
    """A device of zoe whose wallet binding ends soon."""
    person = world.person("zoe")
    key = person.engine.signature_key()
    issued, expires = world.now, Instant(world.now + lifetime)
    sentence = binding_sentence(person.address, LeafKey(key.public), "laptop", issued, expires)
    binding = Binding(issued, expires, wallet_sign(person.wallet, sentence.encode()))
    return Device(person.address, "zoe", "laptop", LeafKey(key.public), key.private, binding)


# --- What is going on when the bad leader's turn comes ---------------------------------------------------------------


def removal(scene: Scene) -> None:
    """The removal of the last in the order of leaders is approved."""
    scene.propose(Remove(scene.world.person(scene.victim).address))
    scene.approve()


def invite(scene: Scene) -> None:
    """Zoe's admission is approved."""
    scene.ask()
    scene.approve()


def both(scene: Scene) -> None:
    scene.ask()
    removal(scene)


def settings(scene: Scene) -> None:
    change = Settings(scene.state.charter.digest, "neighbours", "of the yard", replace(DAY_POLICY, stewards_max=5))
    scene.propose(change)
    scene.approve()


def with_a_leave(scene: Scene) -> None:
    """The removal, and the leave of the one before."""
    scene.propose(Remove(scene.world.person(scene.victim).address))
    scene.world.do(scene.leaders[-2], lambda group: group.leave(scene.world.now))
    scene.approve()


def wish(scene: Scene) -> None:
    """The one before the last in the order of leaders has asked for new keys."""
    scene.world.do(scene.leaders[-2], lambda group: group.refresh_keys(scene.world.now))
    scene.world.deliver()


def wish_of_the_removed(scene: Scene) -> None:
    """The last in the order of leaders has asked for new keys, and its removal is approved."""
    scene.world.do(scene.victim, lambda group: group.refresh_keys(scene.world.now))
    removal(scene)


def own_wish(scene: Scene) -> None:
    """Zoe's admission is approved, and the bad leader has asked for new keys."""
    invite(scene)
    scene.world.do(scene.bad, lambda group: group.refresh_keys(scene.world.now))
    for name in scene.honest:
        scene.state_of(name).receive_proposal(scene.own_proposals()[-1], Step(scene.world.now, scene.state.channel))


def with_a_twin(scene: Scene) -> None:
    """Two removals of the same member, by different members."""
    ban = Remove(scene.world.person(scene.victim).address)
    for name in scene.honest[:2]:
        scene.world.do(name, lambda group: group.propose(ban, scene.world.now))
    scene.approve()


def open_invite(scene: Scene) -> None:
    """A removal is approved, and zoe's admission is still open."""
    scene.ask()
    scene.propose(Remove(scene.world.person(scene.victim).address))
    ban = scene.item(Remove).proposal_id
    for name in scene.honest[1:]:
        scene.world.do(name, lambda group: group.vote(ban, True, scene.world.now))
    scene.world.deliver()


def refused_invite(scene: Scene) -> None:
    """Zoe was refused; after that a removal is approved."""
    scene.ask()
    request = scene.item(Invite).proposal_id
    for name in scene.honest:
        if any(p.may_vote for p in scene.world.proposals(name)):
            scene.world.do(name, lambda group: group.vote(request, False, scene.world.now))
            scene.world.deliver()
    removal(scene)


def expiring_invite(scene: Scene) -> None:
    """Zoe's admission and a removal are approved in the last second of zoe's wallet binding."""
    scene.ask(lifetime=len(scene.leaders) * 3_000 + 1_000)
    removal(scene)


def kept_waiting(scene: Scene, old: Setting, new: Setting) -> None:
    """The leader of view 0 cannot be heard, and the bad one, of view 1, lets old work wait before it lets view 0 end.

    Then there is new work.
    """
    world, first = scene.world, scene.leaders[0]
    silent = {first, scene.bad}
    world.lose = lambda person, envelope: envelope.sender in silent and person.name != envelope.sender
    scene.honest = [name for name in scene.honest if name != first]
    old(scene)
    for proposal in world.proposals(scene.honest[0]):
        if proposal.status.value == "open":
            scene.say(scene.insider.vote(proposal.proposal_id, True))
    world.run(30_000)
    for kind in StatementKind:
        scene.say(scene.insider.statement(kind, 0, b""))
    silent.remove(first)
    scene.honest.append(first)
    new(scene)


def a_removal_is_kept_waiting(scene: Scene) -> None:
    kept_waiting(scene, removal, a_leave)


def an_invite_is_kept_waiting(scene: Scene) -> None:
    kept_waiting(scene, invite, settings)


def a_leave(scene: Scene) -> None:
    scene.world.do(scene.honest[0], lambda group: group.leave(scene.world.now))
    scene.world.deliver()
