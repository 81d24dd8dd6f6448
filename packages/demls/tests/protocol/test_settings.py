"""A group decides on its own name, description and policy; nobody else does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from demls.protocol.errors import RequestRefused
from demls.protocol.events import SettingsChanged
from demls.protocol.policy import DAY, HOUR, MINUTE, POLICY_EXTENSION, PRESETS
from demls.protocol.views import GroupView, ProposalKind, ProposalStatus, ProposalView
from demls.wire.charters import Charter, Policy, Rule
from demls.wire.ids import ProposalId
from demls.wire.messages import Remove, Settings, decode_message
from insider import Insider
from world import World

DAY_POLICY = PRESETS["day"]


@pytest.fixture
def world() -> World:
    world = World(4)
    world.group_of("alice", "bob", policy=DAY_POLICY)
    world.admit("alice", "carol", "dave")
    return world


def change(world: World, who: str, /, **settings: Any) -> ProposalId:
    before = {p.proposal_id for p in world.proposals(who)}
    world.do(who, lambda group: group.change_settings(world.now, **settings))
    world.deliver()
    (opened,) = {p.proposal_id for p in world.proposals(who)} - before
    return opened


def seen(world: World, name: str, proposal_id: ProposalId) -> ProposalView:
    return next(p for p in world.proposals(name) if p.proposal_id == proposal_id)


def view(world: World, name: str) -> GroupView:
    return world.person(name).group.view(world.now)


def agreed(world: World) -> set[tuple[str, str, Policy, bytes]]:
    """What the members see."""
    views = [view(world, person.name) for person in world.members()]
    return {(v.name, v.description, v.policy, v.charter_digest) for v in views}


def vote(world: World, proposal_id: ProposalId, *names: str, yes: bool = True) -> None:
    for name in names:
        world.do(name, lambda group: group.vote(proposal_id, yes, world.now))
        world.deliver()


def test_name_description_and_policy_change_for_everybody(world: World) -> None:
    policy = replace(DAY_POLICY, preset="ours", remove=Rule(DAY, True), batch_window=0)
    proposal_id = change(world, "bob", name="neighbours", description="of the yard", policy=policy)
    shown = seen(world, "dave", proposal_id)
    assert (shown.kind, shown.silence_is_yes) == (ProposalKind.SETTINGS, False)
    assert shown.settings is not None
    assert (shown.settings.name, shown.settings.policy) == ("neighbours", policy)
    assert {name for name, *_ in agreed(world)} == {"friends"}
    vote(world, proposal_id, "alice", "carol")
    world.run(MINUTE)
    ((name, description, known, digest),) = agreed(world)
    assert (name, description, known) == ("neighbours", "of the yard", policy)
    for person in world.members():
        (told,) = person.told(SettingsChanged)
        assert isinstance(told, SettingsChanged)
        assert (told.charter.name, told.charter.digest, told.epoch) == ("neighbours", digest, 3)


def test_newcomers_and_restarted_nodes_know_the_new_settings(world: World) -> None:
    vote(world, change(world, "bob", name="neighbours", policy=PRESETS["quick"]), "alice", "carol")
    world.run(MINUTE)
    world.admit("dave", "erin")
    for name in ("alice", "erin"):
        world.restart(name)
    ((name, _, policy, _),) = agreed(world)
    assert (name, policy) == ("neighbours", PRESETS["quick"])
    assert "neighbours" in world.link("erin").group_name


def test_settings_and_an_admission_go_into_one_commit(world: World) -> None:
    """The newcomer's policy is the new one, and its epochs follow from it."""
    world.ask("erin", world.link("alice"))
    world.deliver()
    (invite,) = [p for p in world.proposals("bob") if p.status is ProposalStatus.OPEN]
    proposal_id = change(world, "bob", policy=replace(DAY_POLICY, stewards_min=1, stewards_max=1))
    for one in (invite.proposal_id, proposal_id):
        voters = [name for name in ("alice", "bob", "carol") if seen(world, name, one).may_vote]
        vote(world, one, *voters)
    world.run(MINUTE)
    assert world.person("erin").is_member
    assert {seen(world, "alice", one).epoch for one in (invite.proposal_id, proposal_id)} == {3}
    assert len(agreed(world)) == 1
    world.run(MINUTE)
    assert len({view(world, p.name).stewards for p in world.members()}) == 1


def test_the_rendezvous_and_the_profile_stay_as_they_are(world: World) -> None:
    before = world.link("alice")
    vote(world, change(world, "bob", name="neighbours"), "alice", "carol")
    world.run(MINUTE)
    assert world.link("alice").rendezvous == before.rendezvous
    world.ask("erin", before)
    world.run(MINUTE)
    assert any(p.kind is ProposalKind.INVITE for p in world.proposals("carol"))


def test_of_two_changes_of_the_same_settings_only_one_is_made(world: World) -> None:
    world.split(["alice", "carol"], ["bob", "dave"])
    first, second = change(world, "alice", name="neighbours"), change(world, "bob", name="friends of the yard")
    world.heal()
    for name in ("alice", "bob", "carol", "dave"):
        for one in (first, second):
            if seen(world, name, one).may_vote:
                vote(world, one, name)
    world.run(MINUTE)
    outcomes = {seen(world, "carol", one).status: seen(world, "carol", one) for one in (first, second)}
    assert set(outcomes) == {ProposalStatus.COMMITTED, ProposalStatus.WITHDRAWN}
    withdrawn = outcomes[ProposalStatus.WITHDRAWN]
    assert withdrawn.reason == "The settings have been changed since; propose it anew."
    assert len(agreed(world)) == 1
    assert view(world, "alice").epoch == 3


def test_a_change_is_decided_under_the_policy_in_which_it_was_opened(world: World) -> None:
    removal = open_removal(world)
    vote(world, change(world, "bob", policy=replace(DAY_POLICY, remove=Rule(HOUR, True))), "alice", "carol")
    world.run(2 * HOUR)
    assert seen(world, "alice", removal).status is ProposalStatus.OPEN
    world.run(DAY)
    assert seen(world, "alice", removal).status is ProposalStatus.REJECTED


def open_removal(world: World) -> ProposalId:
    world.do("alice", lambda group: group.propose(Remove(world.person("dave").address), world.now))
    world.deliver()
    return next(p.proposal_id for p in world.proposals("bob") if p.kind is ProposalKind.REMOVE)


def test_a_rejected_change_changes_nothing(world: World) -> None:
    before = agreed(world)
    vote(world, change(world, "bob", name="mine"), "alice", "carol", yes=False)
    world.run(MINUTE)
    assert agreed(world) == before
    assert not world.person("alice").told(SettingsChanged)


SENTENCES: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"name": "  "}, "Give the group a name of at most 80 characters."),
    "a long description": ({"description": "x" * 2001}, "The description is too long: at most 500 characters."),
    "nothing new": ({"name": "friends"}, "These are the group's settings already."),
    "no stewards": ({"policy": replace(DAY_POLICY, stewards_min=0)}, "The number of stewards is between 1 and"),
    "stewards who elect themselves": (
        {"policy": replace(DAY_POLICY, election=Rule(MINUTE, False, 2, 2))},
        "Elections, settings and emergencies are always decided by all members.",
    ),
    "few stewards who decide": (
        {"policy": replace(DAY_POLICY, invite=Rule(MINUTE, False, 2, 2))},
        "Where stewards decide, the list needs at least 64 of them.",
    ),
    "silence that consents to an emergency": (
        {"policy": replace(DAY_POLICY, emergency=Rule(MINUTE, True))},
        "Silence is no consent to an emergency.",
    ),
    "a share that nobody knows": (
        {"policy": replace(DAY_POLICY, remove=Rule(MINUTE, False, 9))},
        "is decided by a known share of the members or the stewards",
    ),
    "elections without end": ({"policy": replace(DAY_POLICY, reelections_max=17)}, "at most 16 times in one epoch"),
    "sleep after a minute": (
        {"policy": replace(DAY_POLICY, dormant_after=MINUTE)},
        "A member becomes dormant after an hour at the earliest",
    ),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_settings_that_cannot_be_are_refused_with_a_sentence(case: str, world: World) -> None:
    fields, sentence = SENTENCES[case]
    with pytest.raises(RequestRefused, match=sentence):
        world.person("alice").group.change_settings(world.now, **fields)
    assert not any(p.kind is ProposalKind.SETTINGS for p in world.proposals("alice"))


def test_a_second_change_waits_for_the_first(world: World) -> None:
    change(world, "bob", name="neighbours")
    with pytest.raises(RequestRefused, match="being decided already"):
        world.person("carol").group.change_settings(world.now, name="others")


def test_a_change_of_settings_that_were_changed_meanwhile_is_refused(world: World) -> None:
    digest = view(world, "alice").charter_digest
    vote(world, change(world, "bob", name="neighbours"), "alice", "carol")
    world.run(MINUTE)
    old = Settings(digest, "others", "", DAY_POLICY)
    with pytest.raises(RequestRefused, match="changed meanwhile"):
        world.person("carol").group.propose(old, world.now)
    mallory = Insider(world, "dave")
    proposal = mallory.proposal(old, duration=DAY_POLICY.settings.duration)
    mallory.say(proposal)
    world.deliver()
    assert not any(p.proposal_id == proposal.id for p in world.proposals("alice"))


UNSOUND: dict[str, Callable[[Policy], Policy]] = {
    "no stewards": lambda policy: replace(policy, stewards_min=0),
    "a vote of years": lambda policy: replace(policy, remove=Rule(400 * DAY, False)),
    "stewards who decide on the settings": lambda policy: replace(policy, settings=Rule(DAY, False, 2, 2)),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_a_member_cannot_bring_an_unsound_policy_to_the_vote(case: str, world: World) -> None:
    mallory = Insider(world, "dave")
    settings = Settings(view(world, "alice").charter_digest, "friends", "", UNSOUND[case](DAY_POLICY))
    proposal = mallory.proposal(settings, duration=DAY_POLICY.settings.duration)
    mallory.say(proposal)
    world.deliver()
    assert not any(p.proposal_id == proposal.id for p in world.proposals("alice"))


def test_the_group_context_holds_the_charter_and_nothing_else(world: World) -> None:
    vote(world, change(world, "bob", name="neighbours"), "alice", "carol")
    world.run(MINUTE)
    for person in world.members():
        records = {key.removeprefix(b"mls/"): v for key, v in person.group.snapshot().items() if key[:4] == b"mls/"}
        context = person.engine.load_group(records).context_extensions()
        assert list(context) == [POLICY_EXTENSION]
        charter = decode_message(context[POLICY_EXTENSION], Charter)
        assert (charter.name, charter.digest) == ("neighbours", view(world, person.name).charter_digest)
