"""New keys for a member's leaf: asked for by its owner alone, committed with other work or by itself."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from bad_leader import Scene
from demls.protocol import policy as bounds
from demls.protocol import succession
from demls.protocol.admission import Meaning
from demls.protocol.ballots import Ballot
from demls.protocol.credential import binding_sentence
from demls.protocol.engine import Engine, EngineError
from demls.protocol.errors import RequestRefused
from demls.protocol.events import Faulted, KeysRenewed, MessageReceived, Reason, Rejected, Settled
from demls.protocol.items import Item
from demls.protocol.policy import DAY, DAY_POLICY, MINUTE, QUICK, REFRESH_AFTER
from demls.protocol.state import GroupState
from demls.protocol.succession import Carried
from demls.protocol.updates import OwnUpdate, check_refreshes, fitting, updates_of
from demls.protocol.views import MemberView
from demls.simulation.model_engine import ModelEngine
from demls.wire.chain import KeyAge
from demls.wire.ids import Address, Epoch, Instant, View
from demls.wire.messages import (
    Binding,
    ChangeRequest,
    Proposal,
    Refresh,
    Remove,
)
from demls_consensus import Silence, Tally, wallet_sign
from demls_engine import Engine as RealEngine
from hypothesis import given
from hypothesis import strategies as st
from insider import Insider
from malformed import sound
from world import World

OWN = b"refresh/own"
MakeEngine = Callable[[bytes], Engine]


@pytest.fixture(params=[RealEngine, ModelEngine], ids=["real engine", "model engine"])
def world(request: pytest.FixtureRequest) -> World:
    engine: MakeEngine = request.param
    world = World(engine=engine)
    world.group_of("alice", "bob", "carol", "dave")
    world.run(MINUTE)
    return world


def state_of(world: World, name: str) -> GroupState:
    state = world.person(name).group._state
    assert state is not None
    return state


def member(world: World, reader: str, name: str) -> MemberView:
    """What ``reader`` is shown of somebody."""
    address = world.person(name).address
    return next(view for view in world.person(reader).group.members() if view.address == address)


def epoch_of(world: World) -> int:
    """Everybody's, with one authenticator and one opinion about the age of keys."""
    views = [person.group.view(world.now) for person in world.members()]
    assert len({(view.epoch, view.authenticator) for view in views}) == 1
    ages = {tuple((m.address, m.keys_epoch, m.keys_at) for m in p.group.members()) for p in world.members()}
    assert len(ages) == 1
    return views[0].epoch


def keys_of(world: World, name: str) -> int:
    epoch = member(world, name, name).keys_epoch
    assert epoch is not None
    return epoch


def ask(world: World, name: str) -> None:
    world.do(name, lambda group: group.refresh_keys(world.now))


def steward(world: World) -> str:
    return world.name_of(state_of(world, world.members()[0].name).state.leaders[0])


def ordinary(world: World) -> list[str]:
    """Everybody but the next to commit, in the order of leaders."""
    return [world.name_of(member) for member in state_of(world, world.members()[0].name).state.leaders[1:]]


# --- What people see ------------------------------------------------------------------------------------------------


def test_a_member_asks_and_has_new_keys_with_the_next_commit(world: World) -> None:
    epoch, name = epoch_of(world), ordinary(world)[0]
    ask(world, name)
    world.run(30_000)
    assert epoch_of(world) == epoch + 1
    assert keys_of(world, name) == epoch + 1
    assert member(world, "alice", name).keys_at == state_of(world, "alice").state.time
    told = [event for event in world.person("alice").events if isinstance(event, KeysRenewed)]
    assert told == [KeysRenewed(epoch + 1, (world.person(name).address,))]  # type: ignore[arg-type]
    settled = [event for event in world.person("alice").events if isinstance(event, Settled)]
    assert settled[-1].carried == ()
    assert not [
        proposal
        for person in world.members()
        for proposal in world.proposals(person.name)
        if proposal.epoch == epoch + 1
    ]


def test_the_new_keys_are_new_and_work(world: World) -> None:
    name = ordinary(world)[-1]
    ask(world, name)
    world.run(30_000)
    for person in ("alice", "bob", "carol", "dave"):
        world.do(person, lambda group, it=person: group.send(f"from {it}", world.now))  # type: ignore[misc]
        world.run(1_000)
    for reader in world.members():
        assert {text for text in reader.heard() if text.startswith("from")} >= {
            f"from {other.name}" for other in world.members() if other is not reader
        }
    other = next(person.name for person in world.members() if person.name != name)
    world.do(name, lambda group: group.propose(Remove(world.person(other).address), world.now))
    world.vote_on_everything("alice", "bob", "carol", "dave")
    world.run(60_000)
    epoch_of(world)
    assert len(world.members()) == 3


def test_the_leader_renews_its_keys_by_committing(world: World) -> None:
    epoch, name = epoch_of(world), steward(world)
    ask(world, name)
    world.run(30_000)
    assert (epoch_of(world), keys_of(world, name)) == (epoch + 1, epoch + 1)
    settled = state_of(world, name).history.leaving(epoch)
    assert settled is not None
    assert settled.candidate.updates == ()


def test_wishes_go_along_with_other_work_in_one_commit(world: World) -> None:
    epoch, (first, second, third) = epoch_of(world), ordinary(world)
    world.ask("erin", world.link(first))
    world.run(5_000)
    world.do(first, lambda group: group.propose(Remove(world.person(third).address), world.now))
    world.deliver()
    for name in (first, second, third):
        ask(world, name)
    with_work = {name: [p for p in world.proposals(name) if p.may_vote] for name in ("alice", "bob", "carol", "dave")}
    for name, waiting in with_work.items():
        for proposal in waiting:
            world.do(name, lambda group, it=proposal: group.vote(it.proposal_id, True, world.now))  # type: ignore[misc]
    world.run(90_000)
    epoch_of(world)
    assert {person.name for person in world.members()} == {"alice", "bob", "carol", "dave", "erin"} - {third}
    settled = state_of(world, first).history.leaving(epoch)
    assert settled is not None
    assert len(settled.candidate.updates) == 2, "whoever is removed needs no new keys"
    assert keys_of(world, first) == keys_of(world, second) == epoch + 1
    assert {member(world, "erin", name).keys_epoch for name in (first, second)} == {epoch + 1}


def test_only_additions_leave_the_keys_of_their_committer_as_they_are(world: World) -> None:
    epoch, name = epoch_of(world), steward(world)
    before = keys_of(world, name)
    world.admit("alice", "erin")
    assert epoch_of(world) == epoch + 1
    assert keys_of(world, name) == before
    assert keys_of(world, "erin") == epoch + 1


def test_chat_goes_on_while_an_update_is_pending(world: World) -> None:
    """A proposal in the live group would block it."""
    name = ordinary(world)[0]
    world.lose = lambda person, envelope: envelope.sender == name and person.name != name
    ask(world, name)
    world.run(2_000)
    world.lose = lambda person, envelope: False
    assert OWN in world.person(name).records
    world.do(name, lambda group: group.send("meanwhile", world.now))
    world.deliver()
    assert "meanwhile" in world.person(steward(world)).heard()


def test_who_asks_twice_is_told_so(world: World) -> None:
    name = ordinary(world)[0]
    world.lose = lambda person, envelope: True
    ask(world, name)
    with pytest.raises(RequestRefused, match="already"):
        ask(world, name)


def test_alone_one_renews_by_committing() -> None:
    world = World()
    world.found("alice")
    ask(world, "alice")
    world.run(30_000)
    assert (epoch_of(world), keys_of(world, "alice")) == (1, 1)


def test_two_renew_their_keys() -> None:
    world = World()
    world.group_of("alice", "bob")
    world.run(MINUTE)
    for name in ("alice", "bob"):
        ask(world, name)
        world.run(30_000)
        assert keys_of(world, name) == epoch_of(world)


# --- An epoch that passes, restarts, absence ------------------------------------------------------------------------


def test_what_an_epoch_leaves_undone_is_asked_for_anew(world: World) -> None:
    epoch, name = epoch_of(world), ordinary(world)[-1]
    world.lose = lambda person, envelope: envelope.sender == name and person.name != name
    ask(world, name)
    first = world.person(name).records[OWN]
    others = [person.name for person in world.members() if person.name != name]
    world.do(others[0], lambda group: group.change_settings(world.now, description="other words"))
    world.vote_on_everything(*others)
    world.run(20_000)
    assert world.person(others[0]).group.view(world.now).epoch == epoch + 1
    assert keys_of(world, name) == epoch
    assert world.person(name).records[OWN] != first
    world.lose = lambda person, envelope: False
    world.run(60_000)
    assert keys_of(world, name) == epoch_of(world) == epoch + 2


def test_the_secrets_are_durable_until_the_epoch_is_over(world: World) -> None:
    name = ordinary(world)[0]
    said: list[bool] = []
    world.watch = lambda person, effects: (
        said.append(OWN in person.records) if person.name == name and effects.outbound else None
    )
    ask(world, name)
    assert said == [True], "before anything is said"
    world.run(30_000)
    assert keys_of(world, name) == epoch_of(world)
    assert not [key for key in world.person(name).records if key.startswith(b"refresh/")]


@pytest.mark.parametrize("moment", range(6))
def test_a_restart_in_the_middle_changes_nothing(world: World, moment: int) -> None:
    """All restart at once: before it is said, while the round is open, before the merge."""
    epoch, name = epoch_of(world), ordinary(world)[0]
    ask(world, name)
    for step in range(8):
        if step == moment:
            for person in world.members():
                world.restart(person.name)
        world.run(100)
    world.run(60_000)
    assert keys_of(world, name) == epoch_of(world) == epoch + 1
    for person in world.members():
        world.restart(person.name)
    world.run(20_000)
    assert keys_of(world, name) == epoch_of(world) == epoch + 1


def test_who_was_away_follows_commits_with_updates(world: World) -> None:
    name, away = ordinary(world)[0], ordinary(world)[-1]
    epoch = epoch_of(world)
    world.person(away).online = False
    for _ in range(5):
        ask(world, name)
        world.run(60_000)
    world.person(away).online = True
    world.run(60_000)
    assert epoch_of(world) == epoch + 5
    assert keys_of(world, name) == epoch + 5


def test_who_is_away_finds_its_own_keys_renewed(world: World) -> None:
    name, epoch = ordinary(world)[-1], epoch_of(world)
    ask(world, name)
    world.person(name).online = False
    world.run(60_000)
    world.restart(name)
    world.person(name).online = True
    world.run(60_000)
    assert keys_of(world, name) == epoch_of(world) == epoch + 1
    world.do(name, lambda group: group.send("back", world.now))
    world.run(1_000)
    assert all("back" in person.heard() for person in world.members() if person.name != name)


# --- By itself ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [QUICK, DAY_POLICY], ids=lambda policy: policy.preset)
def test_everybodys_keys_are_renewed_within_a_week(policy: object) -> None:
    world = World(engine=ModelEngine)
    world.group_of("alice", "bob", "carol", "dave", "erin", policy=policy)  # type: ignore[arg-type]
    epoch, published = epoch_of(world), world.published
    world.run(REFRESH_AFTER - bounds.REFRESH_SPREAD - MINUTE)
    assert epoch_of(world) == epoch, "an idle group rests"
    assert world.published < published + 200
    for _ in range(8):
        world.run(3 * DAY)
        for person in world.members():
            at = member(world, person.name, person.name).keys_at
            assert at is not None
            assert at > world.now - REFRESH_AFTER - MINUTE
    assert epoch_of(world) <= epoch + 5 * 5, "once a week each at the most"


def test_older_keys_are_renewed_along_with_what_is_committed_anyway() -> None:
    world = World(engine=ModelEngine)
    world.group_of("alice", "bob", "carol", "dave", policy=DAY_POLICY)
    world.run(bounds.REFRESH_ALONG_AFTER + DAY)
    epoch = epoch_of(world)
    world.do("alice", lambda group: group.change_settings(world.now, description="other words"))
    world.vote_on_everything("alice", "bob", "carol", "dave")
    world.run(2 * MINUTE)
    assert epoch_of(world) == epoch + 1
    assert {keys_of(world, person.name) for person in world.members()} == {epoch + 1}


def test_in_large_groups_people_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "REFRESH_MEMBERS_MAX", 3)
    world = World(engine=ModelEngine)
    world.group_of("alice", "bob", "carol", "dave")
    epoch = epoch_of(world)
    world.run(3 * REFRESH_AFTER)
    assert epoch_of(world) == epoch
    ask(world, "dave")
    world.run(MINUTE)
    assert keys_of(world, "dave") == epoch_of(world) == epoch + 1


def test_no_commit_renews_more_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one commit may take have asked: the rest comes in the next, and nobody is blamed."""
    monkeypatch.setattr(bounds, "REFRESHES_PER_COMMIT", 2)
    world = World(engine=ModelEngine)
    world.group_of("alice", "bob", "carol", "dave", "erin", policy=DAY_POLICY)
    world.run(5 * MINUTE)
    epoch = epoch_of(world)
    for person in world.members():
        ask(world, person.name)
    world.run(5 * MINUTE)
    last = epoch_of(world)
    assert epoch + 2 <= last <= epoch + 4
    assert all(keys_of(world, person.name) > epoch for person in world.members())
    for left in range(epoch, last):
        settled = state_of(world, "alice").history.leaving(left)
        assert settled is not None
        assert len(settled.candidate.updates) <= 2
    assert not [
        event for person in world.people.values() for event in person.events if type(event).__name__ == "Faulted"
    ]


def test_more_wishes_than_a_commit_may_carry_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bad leader lives by another bound."""
    scene = Scene(5)
    for name in scene.leaders[1:4]:
        scene.world.do(name, lambda group: group.refresh_keys(scene.world.now))
    scene.world.deliver()
    candidate = sound(scene)
    monkeypatch.setattr(bounds, "REFRESHES_PER_COMMIT", 2)
    scene.mark()
    scene.offer(candidate, 0)
    assert scene.named() == {name: [(scene.bad, "V17")] for name in scene.honest}
    scene.go_on()
    assert scene.is_together()


# --- The wallet's binding -------------------------------------------------------------------------------------------


def bind(world: World, name: str, expires: int) -> Binding:
    device, person = state_of(world, name).device, world.person(name)
    sentence = binding_sentence(device.address, device.leaf_key, device.device, world.now, Instant(expires))
    return Binding(world.now, expires, wallet_sign(person.wallet, sentence.encode()))


@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_binding_is_renewed_with_the_keys(world: World, place: int) -> None:
    """Also that of the next to commit: a path cannot bring a new binding, so another member commits it."""
    name = [steward(world), *ordinary(world)][place]
    epoch = epoch_of(world)
    world.run(30 * MINUTE)
    binding = bind(world, name, world.now + 365 * DAY)
    world.do(name, lambda group: group.refresh_keys(world.now, binding))
    world.run(2 * MINUTE)
    assert epoch_of(world) == epoch + 1
    assert {member(world, reader.name, name).binding_ends for reader in world.members()} == {binding.expires}
    assert not [key for key in world.person(name).records if key.startswith(b"refresh/")]


def test_alone_there_is_nobody_to_commit_a_new_binding() -> None:
    """The keys are renewed all the same, once."""
    world = World()
    world.found("alice")
    world.run(MINUTE)
    before = member(world, "alice", "alice").binding_ends
    binding = bind(world, "alice", world.now + 365 * DAY)
    world.do("alice", lambda group: group.refresh_keys(world.now, binding))
    world.run(MINUTE)
    assert (epoch_of(world), keys_of(world, "alice")) == (1, 1)
    assert member(world, "alice", "alice").binding_ends == before


# --- Hostile --------------------------------------------------------------------------------------------------------


def refusals(world: World, name: str, since: int) -> list[tuple[Reason, str]]:
    told = world.person(name).events[since:]
    return [(event.reason, event.detail) for event in told if isinstance(event, Rejected)]


def update_of(world: World, name: str) -> bytes:
    """An Update that this member's node does not know of."""
    return state_of(world, name).mls.propose_update()[0]


def assert_refused(world: World, mallory: Insider, proposal: object, reason: Reason, detail: str) -> None:
    epoch = epoch_of(world)
    others = [person.name for person in world.members() if person.name != mallory.person.name]
    heard = {name: len(world.person(name).events) for name in others}
    mallory.say(proposal)  # type: ignore[arg-type]
    world.run(30_000)
    for name in others:
        assert (reason, detail) in refusals(world, name, heard[name]), name
    assert epoch_of(world) == epoch


def test_a_wish_in_anothers_name_is_refused(world: World) -> None:
    mallory, victim = Insider(world, "dave"), world.person("bob").address
    forged = mallory.proposal(Refresh(update_of(world, "bob")), owner=victim)
    assert_refused(world, mallory, forged, Reason.FORGED, "a proposal that its owner did not sign")


def test_anothers_update_in_the_own_name_is_refused(world: World) -> None:
    mallory = Insider(world, "dave")
    epoch = epoch_of(world)
    mallory.say(mallory.proposal(Refresh(update_of(world, "bob"))))
    world.run(30_000)
    assert (Reason.FORGED, "an Update of another member's leaf") in refusals(world, "alice", 0)
    assert (Reason.FORGED, "an Update in the own name that was not made here") in refusals(world, "bob", 0)
    assert epoch_of(world) == epoch


def test_an_update_of_another_epoch_is_refused(world: World) -> None:
    mallory = Insider(world, "dave")
    old = mallory.proposal(Refresh(update_of(world, "dave")))
    ask(world, "alice")
    world.run(30_000)
    mallory.turn()
    assert_refused(world, mallory, old, Reason.STALE, "an Update of another epoch")
    again = mallory.proposal(Refresh(old.change.payload.update))  # type: ignore[union-attr]
    assert_refused(world, mallory, again, Reason.INVALID, "an Update that does not verify")


def test_an_update_that_changes_who_one_is_is_refused(world: World) -> None:
    mallory, mls = Insider(world, "dave"), state_of(world, "dave").mls
    private = mallory.person.engine.signature_key().private
    update, _ = mls.propose_update(signature_private=private)
    detail = "an Update changes the signature key of its leaf"
    assert_refused(world, mallory, mallory.proposal(Refresh(update)), Reason.INVALID, detail)


def test_an_update_that_hides_its_binding_is_refused(world: World) -> None:
    mallory, mls = Insider(world, "dave"), state_of(world, "dave").mls
    update, _ = mls.propose_update()
    detail = "an Update that does not say whether it brings another binding"
    proposal = mallory.proposal(Refresh(update, renews_binding=True))
    assert_refused(world, mallory, proposal, Reason.INVALID, detail)


def test_bytes_that_are_no_update_are_refused(world: World) -> None:
    mallory = Insider(world, "dave")
    commit = state_of(world, "dave").mls.propose_commit(force_path=True).commit
    for wrong in (b"u", commit, state_of(world, "dave").mls.propose_update()[0][:-1]):
        detail = "an Update that does not verify"
        assert_refused(world, mallory, mallory.proposal(Refresh(wrong)), Reason.INVALID, detail)


def test_a_flood_of_wishes_is_bounded_and_done_with_one_commit(world: World) -> None:
    mallory, epoch = Insider(world, "dave"), epoch_of(world)
    offline = [person for person in world.members() if person.name == "dave"]
    for person in offline:
        person.online = False
    for _ in range(100):
        mallory.say(mallory.proposal(Refresh(update_of(world, "dave"))))
    world.run(1)
    held = state_of(world, "alice").governance.items.values()
    assert sum(isinstance(item.change, Refresh) for item in held) <= bounds.OPEN_PROPOSALS_PER_MEMBER_MAX
    world.run(60_000)
    assert state_of(world, "alice").epoch == epoch + 1
    assert not [item for item in state_of(world, "alice").governance.items.values() if isinstance(item.change, Refresh)]


def test_a_stranger_cannot_make_a_member_answer_for_its_update(world: World) -> None:
    """Dave's second Update goes to two of them only, and is committed: dave, who knows of neither, is told so."""
    mallory = Insider(world, "dave")
    world.hold = lambda person, envelope: envelope.sender == "dave" and person.name not in ("dave", steward(world))
    mallory.say(mallory.proposal(Refresh(update_of(world, "dave"))))
    world.run(MINUTE)
    world.heal()
    world.run(MINUTE)
    names = [person.name for person in world.members() if person.name != "dave"]
    epochs = {state_of(world, name).epoch for name in names}
    assert len(epochs) == 1
    assert not [event for name in names for event in world.person(name).told(Faulted)]


def test_hostile_messages_cost_an_innocent_owner_nothing(world: World) -> None:
    points = {name: member(world, "alice", name).score for name in ("bob", "carol", "dave")}
    mallory = Insider(world, "dave")
    mallory.say(mallory.proposal(Refresh(update_of(world, "bob")), owner=world.person("bob").address))
    mallory.say(mallory.proposal(Refresh(update_of(world, "bob"))))
    world.run(30_000)
    assert {name: member(world, "alice", name).score for name in points} == points


def test_messages_of_the_old_keys_epoch_are_still_read(world: World) -> None:
    """What was sent before the refresh arrives after it: message keys of the newest past epochs are kept."""
    name = ordinary(world)[0]
    reader = ordinary(world)[1]
    world.hold = lambda person, envelope: envelope.sender == name and person.name == reader
    world.do(name, lambda group: group.send("before", world.now))
    world.deliver()
    kept = list(world.person(reader).held)
    world.hold = lambda person, envelope: False
    ask(world, name)
    world.run(30_000)
    world.person(reader).held = kept
    world.release()
    assert "before" in [e.text for e in world.person(reader).events if isinstance(e, MessageReceived)]


def test_updates_stand_in_the_order_of_the_entries(world: World) -> None:
    names = ordinary(world)
    for name in names:
        ask(world, name)
    world.run(100)
    work = state_of(world, names[0]).governance.approved()
    if len(work) == len(names):
        updates = updates_of(work, world.person(steward(world)).address)
        assert list(updates) == [item.change.update for item in work if isinstance(item.change, Refresh)]
    world.run(MINUTE)
    epoch_of(world)


# --- What it is for -------------------------------------------------------------------------------------------------


class Thief:
    """Has copied everything that a node has stored, at one moment, and reads what the group publishes from then on."""

    def __init__(self, world: World, name: str) -> None:
        self.engine = RealEngine(b"t" * 32)
        records = world.person(name).records
        self.mls = self.engine.load_group({key[4:]: value for key, value in records.items() if key.startswith(b"mls/")})
        own = records.get(OWN)
        self.own = msgspec.msgpack.decode(own, type=OwnUpdate) if own is not None else None

    def follow(self, world: World) -> bool:
        """The next commit, as somebody hands it to the thief; False if it cannot go along."""
        settled = state_of(world, "alice").history.leaving(self.mls.epoch)
        assert settled is not None
        candidate = settled.candidate
        is_mine = self.own is not None and self.own.update in candidate.updates
        secrets = self.own.secrets if self.own is not None and is_mine else None
        try:
            self.mls.merge(self.mls.stage(candidate.commit, candidate.updates, secrets))
        except EngineError:
            return False
        return self.mls.authenticator() == state_of(world, "alice").mls.authenticator()


def stolen_group() -> World:
    world = World()
    world.group_of("alice", "bob", "carol", "dave")
    world.run(MINUTE)
    return world


def victim_of(world: World) -> str:
    return next(name for name in ordinary(world) if name != "alice")


def test_a_thief_of_keys_follows_every_commit_until_their_owner_renews_them() -> None:
    world = stolen_group()
    name = victim_of(world)
    thief = Thief(world, name)
    other = next(one for one in ordinary(world) if one not in (name, "alice"))
    ask(world, other)
    world.run(MINUTE)
    assert thief.follow(world), "new keys of another do not shut it out"
    ask(world, name)
    world.run(MINUTE)
    assert not thief.follow(world)
    world.do("alice", lambda group: group.send("in private", world.now))
    world.run(1_000)
    assert "in private" in world.person(name).heard()


def test_a_thief_of_keys_is_shut_out_by_a_commit_of_their_owner() -> None:
    world = stolen_group()
    name = steward(world)
    thief = Thief(world, name)
    ask(world, name)
    world.run(MINUTE)
    assert keys_of(world, name) == epoch_of(world)
    with pytest.raises(EngineError):
        thief.mls.stage(state_of(world, name).history.leaving(thief.mls.epoch).candidate.commit)  # type: ignore[union-attr]


def test_whoever_steals_while_the_wish_is_open_has_the_new_keys_too() -> None:
    """The limit of it: the secrets of the Update are stored until the epoch is over."""
    world = stolen_group()
    name = victim_of(world)
    world.do(name, lambda group: group.refresh_keys(world.now))
    thief = Thief(world, name)
    world.run(MINUTE)
    assert keys_of(world, name) == epoch_of(world)
    assert thief.follow(world)
    ask(world, name)
    world.run(MINUTE)
    assert not thief.follow(world)


# --- Rules ----------------------------------------------------------------------------------------------------------

members_of_ten = st.integers(0, 9)


def address(number: int) -> Address:
    return Address(bytes([number]) * 20)


@given(
    st.frozensets(members_of_ten),
    st.frozensets(members_of_ten),
    st.dictionaries(members_of_ten, st.tuples(st.integers(0, 5), st.integers(0, 10**6))),
)
def test_the_age_of_keys_follows_from_the_commit(
    renewed: frozenset[int], added: frozenset[int], before: dict[int, tuple[int, int]]
) -> None:
    """All who are in have one, in the order of addresses; new ones where the commit brings them, else the old."""
    after = {address(number): Epoch(3) for number in {*before, *added}}
    ages = tuple(KeyAge(address(number), *age) for number, age in before.items())
    fresh, joined = frozenset(map(address, renewed)), frozenset(map(address, added))
    none: frozenset[Address] = frozenset()
    commit = Carried((), none, joined, address(0), View(0), none, none, time=Instant(77), renewed=fresh)
    found = succession._keys(commit, Epoch(9), ages, after)
    assert [age.member_id for age in found] == sorted(after)
    for age in found:
        number = age.member_id[0]
        is_new = number in renewed or number in added
        assert (age.epoch, age.time) == ((9, 77) if is_new else before[number])


@given(st.lists(st.tuples(members_of_ten, st.sampled_from(["refresh", "bind", "remove"])), max_size=40), members_of_ten)
def test_what_one_commit_carries_of_the_wishes(wishes: list[tuple[int, str]], committer: int) -> None:
    work = [wish_of(number, kind, place) for place, (number, kind) in enumerate(dict(wishes).items())]
    fits = fitting(work, address(committer))
    removed = {item.subject for item in work if item.effect[0] == "remove"}
    chosen = [item for item in fits if isinstance(item.change, Refresh)]
    assert [item for item in work if item in fits] == fits, "in its order"
    assert [item for item in fits if item not in chosen] == [i for i in work if not isinstance(i.change, Refresh)]
    assert len(chosen) <= bounds.REFRESHES_PER_COMMIT
    assert removed.isdisjoint(item.subject for item in chosen)
    assert not any(item.change.renews_binding for item in chosen if item.subject == address(committer))  # type: ignore[union-attr]
    updates = updates_of(fits, address(committer))
    own = [item for item in chosen if item.subject == address(committer)]
    assert len(updates) == len(chosen) - len(own)
    check = check_refreshes(fits, updates, address(committer), Epoch(1), has_path=True)
    assert check == ""
    if updates:
        assert check_refreshes(fits, updates[:-1], address(committer), Epoch(1), has_path=True)
        assert check_refreshes(fits, updates, address(committer), Epoch(2), has_path=True)
    if own:
        assert check_refreshes(fits, updates, address(committer), Epoch(1), has_path=False)


def wish_of(number: int, kind: str, place: int) -> Item:
    owner = address(number)
    change = Remove(owner) if kind == "remove" else Refresh(b"update %d" % place, renews_binding=kind == "bind")
    proposal = Proposal(bytes(32), 1, owner, ChangeRequest(change), 0, 0, bytes(64))
    meaning = Meaning(("remove" if kind == "remove" else "refresh", bytes(owner)), owner)
    tally = Tally(frozenset({b"v"}), Silence.COUNTS_AS_YES)
    return Item(proposal, proposal.id, meaning, Instant(0), (Ballot(proposal.id, tally, Instant(0)),))
