"""What gets lost on the way is asked for, also while no commit is being made; and requests wait for their turn."""

from __future__ import annotations

from dataclasses import replace

import pytest
from demls.protocol import policy as bounds
from demls.protocol.effects import Effects
from demls.protocol.errors import RequestRefused, UnknownProposal
from demls.protocol.events import Rejected
from demls.protocol.inbound import STRAGGLER_HELPERS
from demls.protocol.policy import DAY, HOUR, MINUTE, PRESETS, SECOND
from demls.protocol.views import ProposalKind, ProposalStatus, ProposalView, RequestView
from demls.wire.ids import Address, Duration
from demls.wire.messages import InviteLink, Remove
from insider import Insider
from world import Person, World


@pytest.fixture
def world() -> World:
    world = World(6)
    world.group_of("alice", "bob", policy=PRESETS["day"])
    world.admit("alice", "carol", "dave")
    return world


def address(world: World, name: str) -> Address:
    return world.person(name).address


def removal(world: World, name: str) -> ProposalView:
    return next(p for p in world.proposals(name) if p.kind is ProposalKind.REMOVE)


def epoch(world: World, name: str) -> int:
    return world.person(name).group.view(world.now).epoch


def next_epoch(world: World, name: str) -> None:
    """Somebody says how the group shall be described, and all who are there agree."""
    before = epoch(world, name)
    world.do(name, lambda group: group.change_settings(world.now, description=f"{before}"))
    world.deliver()
    world.vote_on_everything(*(p.name for p in world.members() if p.online and p.name != name))
    world.run(10 * SECOND)
    assert epoch(world, name) > before


# --- Votes --------------------------------------------------------------------------------------------------------


def test_a_lost_vote_is_repaired_although_no_round_is_open(world: World) -> None:
    world.do("alice", lambda group: group.propose(Remove(address(world, "dave")), world.now))
    world.deliver()
    world.lose = lambda person, envelope: envelope.sender == "bob" and person.name == "carol"
    world.do("bob", lambda group: group.vote(removal(world, "bob").proposal_id, True, world.now))
    world.deliver()
    assert (removal(world, "carol").yes, removal(world, "dave").yes) == (1, 2)
    world.lose = lambda person, envelope: False
    world.run(MINUTE)
    assert not any(p.group.view(world.now).round.is_open for p in world.members())
    assert removal(world, "carol").yes == 2


def test_a_proposal_that_reached_one_member_only_reaches_all(world: World) -> None:
    world.lose = lambda person, envelope: envelope.sender == "alice" and person.name != "bob"
    world.do("alice", lambda group: group.propose(Remove(address(world, "dave")), world.now))
    world.deliver()
    world.lose = lambda person, envelope: False
    world.run(2 * MINUTE)
    for name in ("bob", "carol", "dave"):
        assert (removal(world, name).status, removal(world, name).yes) == (ProposalStatus.OPEN, 1)


def test_members_that_agree_ask_ever_more_rarely(world: World) -> None:
    """An open vote that nobody misses anything of costs little, however long it is open."""
    world.do("alice", lambda group: group.propose(Remove(address(world, "dave")), world.now))
    world.run(HOUR)
    before = world.published
    world.run(HOUR)
    assert world.published - before <= 4 * (HOUR // bounds.GOSSIP_MOST + 1) * 2


def test_an_idle_group_says_nothing(world: World) -> None:
    world.run(DAY)  # newcomers ask a few times for what was said as they came
    before = world.published
    world.run(DAY)
    assert world.published == before


# --- Far behind ---------------------------------------------------------------------------------------------------


def lose_all_so_far(world: World, name: str) -> None:
    """Nothing that was said until now, on whatever channel, will ever arrive: no relay keeps it."""
    for topic, queue in world.log.items():
        world.person(name).read[topic] = len(queue)


@pytest.mark.parametrize("epochs", [1, 4, 5, 8, 9, 20])
def test_who_restarts_far_behind_catches_up_although_it_lost_everything(epochs: int, world: World) -> None:
    world.lose = lambda person, envelope: person.name == "dave"
    for _ in range(epochs):
        next_epoch(world, "alice")
    world.lose = lambda person, envelope: False
    lose_all_so_far(world, "dave")
    world.restart("dave")
    world.run(MINUTE)
    assert epoch(world, "dave") == epoch(world, "alice")
    assert world.person("dave").group.view(world.now).description == str(epoch(world, "alice") - 1)


@pytest.mark.parametrize("epochs", [3, 6])
def test_who_lost_everything_for_a_while_catches_up_without_a_restart(epochs: int, world: World) -> None:
    """It notices when it says something, or at the latest when it has been silent for long."""
    world.lose = lambda person, envelope: person.name == "dave"
    for _ in range(epochs):
        next_epoch(world, "alice")
    world.lose = lambda person, envelope: False
    lose_all_so_far(world, "dave")
    for _ in range(3):
        world.do("dave", lambda group: group.send("anybody there?", world.now))
        world.run(HOUR)
    assert epoch(world, "dave") == epoch(world, "alice")


def test_a_straggler_is_answered_by_those_who_saw_its_epoch_end(world: World) -> None:
    """Though newcomers, who cannot answer, lead before them, and whoever it asks is away."""
    dave = Insider(world, "dave")
    world.person("dave").online = False
    newcomers = {"erin", "fred", "gail", "hugo", "ivan"}
    for name in sorted(newcomers):
        world.admit("alice", name)
    first: set[str] = set()
    while not first or not first <= newcomers:
        next_epoch(world, "alice")
        leaders = world.person("alice").group._live().state.leaders
        first = {person.name for person in world.members() if person.address in leaders[:STRAGGLER_HELPERS]}
    world.person("bob").online = False
    told: set[str] = set()

    def listen(person: Person, effects: Effects) -> None:
        if effects.outbound:
            told.add(person.name)

    world.watch = listen
    dave.say(dave.digest(address(world, "bob")), dave.rendezvous)
    world.deliver()
    assert told == {"alice", "carol"}


def test_who_was_removed_meanwhile_learns_it(world: World) -> None:
    world.lose = lambda person, envelope: person.name == "dave"
    world.do("alice", lambda group: group.propose(Remove(address(world, "dave")), world.now))
    world.vote_on_everything("bob", "carol")
    world.run(10 * SECOND)
    for _ in range(5):
        next_epoch(world, "alice")
    world.lose = lambda person, envelope: False
    world.restart("dave")
    world.run(MINUTE)
    assert not world.person("dave").is_member


def test_asking_at_the_rendezvous_again_and_again_does_not_make_others_shout(world: World) -> None:
    mallory = Insider(world, "dave")
    for _ in range(6):
        next_epoch(world, "alice")
    old = mallory.digest(address(world, "alice"))
    before = world.published
    for _ in range(50):
        mallory.say(old, mallory.rendezvous)
    world.deliver()
    assert 0 < world.published - before - 50 <= 3 * 8


# --- Requests without a token -------------------------------------------------------------------------------------


def open_link(world: World, issuer: str) -> InviteLink:
    person = world.person(issuer)
    link, effects = person.group.invite(relay="memory", lifetime=Duration(DAY), now=world.now, is_open=True)
    world.apply(person, effects)
    return link


def requests(world: World, name: str) -> tuple[RequestView, ...]:
    return world.person(name).group.view(world.now).requests


def invites(world: World, name: str) -> list[ProposalView]:
    return [p for p in world.proposals(name) if p.kind is ProposalKind.INVITE and p.status is ProposalStatus.OPEN]


def test_a_stranger_waits_until_a_member_answers_for_it(world: World) -> None:
    world.ask("erin", open_link(world, "alice"))
    world.run(HOUR)
    for name in ("alice", "bob", "carol", "dave"):
        assert [(r.name, r.needs_sponsor) for r in requests(world, name)] == [("erin", True)]
        assert not invites(world, name)
    (request,) = requests(world, "carol")
    world.do("carol", lambda group: group.sponsor(request.request_id, world.now))
    world.deliver()
    (invite,) = invites(world, "bob")
    assert (invite.owner, invite.yes) == (address(world, "carol"), 1)
    assert not any(requests(world, name) for name in ("alice", "bob", "carol", "dave"))
    world.vote_on_everything("alice", "bob")
    world.run(20 * SECOND)
    assert world.person("erin").is_member


def test_an_open_link_serves_many(world: World) -> None:
    link = open_link(world, "alice")
    for name in ("erin", "fred", "gina"):
        world.ask(name, link)
    world.deliver()
    assert {r.name for r in requests(world, "bob")} == {"erin", "fred", "gina"}


def test_a_bounded_number_of_strangers_waits(world: World) -> None:
    link = open_link(world, "alice")
    for number in range(bounds.STRANGERS_MAX + 4):
        world.ask(f"stranger {number}", link)
    world.deliver()
    assert len(requests(world, "bob")) == bounds.STRANGERS_MAX
    assert "too many requests to join" in {e.detail for e in world.person("bob").told(Rejected)}  # type: ignore[attr-defined]
    world.ask("erin", world.link("bob"))
    world.deliver()
    assert len(invites(world, "carol")) == 1, "strangers do not keep out whom a member has invited"


def test_a_member_can_dismiss_a_stranger_for_itself(world: World) -> None:
    world.ask("erin", open_link(world, "alice"))
    world.deliver()
    (request,) = requests(world, "carol")
    world.do("carol", lambda group: group.dismiss(request.request_id, world.now))
    assert requests(world, "carol") == ()
    assert len(requests(world, "bob")) == 1
    with pytest.raises(UnknownProposal):
        world.person("carol").group.sponsor(request.request_id, world.now)


def test_nobody_makes_an_open_link_in_the_name_of_another(world: World) -> None:
    world.ask("erin", replace(open_link(world, "alice"), issuer=address(world, "bob")))
    world.deliver()
    assert requests(world, "bob") == ()


def test_a_request_waits_for_three_epochs_and_no_longer(world: World) -> None:
    world.ask("erin", open_link(world, "alice"))
    world.deliver()
    world.person("erin").online = False
    for _ in range(bounds.REQUEST_EPOCHS):
        next_epoch(world, "alice")
        assert [r.name for r in requests(world, "bob")] == ["erin"]
    world.restart("bob")
    assert len(requests(world, "bob")) == 1
    next_epoch(world, "alice")
    assert requests(world, "bob") == ()


def test_a_link_is_valid_for_at_most_90_days(world: World) -> None:
    for lifetime in (0, 90 * DAY + 1):
        with pytest.raises(RequestRefused, match="at most 90 days"):
            world.person("alice").group.invite(relay="memory", lifetime=Duration(lifetime), now=world.now, is_open=True)
