"""When too many are gone for good, those who are left found a group that goes on from the old one."""

from __future__ import annotations

import pytest
from demls.protocol.errors import RequestRefused
from demls.protocol.events import SuccessorFounded
from demls.protocol.group import Group
from demls.protocol.policy import DAY, MINUTE, PRESETS, SECOND
from demls.protocol.successors import Successors
from demls.protocol.views import ProposalKind
from demls.wire.charters import Predecessor
from demls.wire.ids import Address, Duration
from demls.wire.links import parse_invite
from demls.wire.messages import SuccessorNotice
from insider import Insider
from world import World

NAMES = ("alice", "bob", "carol", "dave", "erin")


class Succession:
    """A group of five, three of whom are gone; ``new`` is the successor that alice founds in a world of its own."""

    def __init__(self) -> None:
        self.old = World(7)
        self.old.group_of(*NAMES, policy=PRESETS["day"])
        for name in NAMES[2:]:
            self.old.person(name).online = False
        self.new = World(8)
        for name in NAMES:  # the same people, with the same wallets
            self.new.person(name).wallet = self.old.person(name).wallet
            self.new.person(name).engine = self.old.person(name).engine

    def found(self, *named: str) -> Predecessor:
        group = self.old.person("alice").group
        before = group.predecessor_of([self.address(name) for name in named])
        alice = self.new.person("alice")
        alice.machine, effects = Group.create(
            name="friends again",
            description="",
            policy=PRESETS["day"],
            device=self.new.device("alice"),
            engine=alice.engine,
            now=self.new.now,
            predecessor=before,
        )
        self.new.apply(alice, effects)
        return before

    def announce(self, *named: str) -> None:
        links = {}
        for name in named:
            link, effects = self.new.person("alice").group.invite(
                relay="memory", lifetime=Duration(30 * DAY), now=self.new.now
            )
            self.new.apply(self.new.person("alice"), effects)
            links[self.address(name)] = link
        self.old.do("alice", lambda group: group.announce_successor(links, self.old.now))
        self.old.deliver()

    def follow(self, name: str) -> None:
        """The person clicks the link that its node shows it."""
        (successor,) = self.old.person(name).group.view(self.old.now).successors
        self.new.ask(name, parse_invite(successor.link))
        self.new.run(20 * SECOND)

    def address(self, name: str) -> Address:
        return self.old.person(name).address


@pytest.fixture
def succession() -> Succession:
    return Succession()


def test_two_of_five_go_on_and_a_third_joins_them_later(succession: Succession) -> None:
    before = succession.found(*NAMES[1:])
    assert before.epoch == succession.old.person("bob").group.view(succession.old.now).epoch
    succession.announce(*NAMES[1:])
    (told,) = succession.old.person("bob").told(SuccessorFounded)
    assert isinstance(told, SuccessorFounded)
    assert (told.founder, told.group_name) == (succession.address("alice"), "friends again")
    succession.follow("bob")
    assert {p.name for p in succession.new.members()} == {"alice", "bob"}

    succession.old.person("carol").online = True
    succession.old.run(MINUTE)
    assert succession.old.person("carol").told(SuccessorFounded)
    succession.follow("carol")
    assert {p.name for p in succession.new.members()} == {"alice", "bob", "carol"}
    charters = {p.group._state.charter.predecessor for p in succession.new.members()}  # type: ignore[union-attr]
    assert charters == {(before,)}


def test_whom_the_charter_names_is_admitted_without_anybody_voting(succession: Succession) -> None:
    succession.found("bob")
    succession.announce("bob", "carol")
    succession.follow("bob")
    assert succession.new.person("bob").is_member
    succession.old.person("carol").online = True
    succession.old.run(MINUTE)
    succession.follow("carol")
    assert not succession.new.person("carol").is_member
    (invite,) = [
        p for p in succession.new.proposals("bob") if p.kind is ProposalKind.INVITE and p.subject_name == "carol"
    ]
    assert (invite.yes, invite.no) == (0, 0)


def test_who_was_voted_out_of_the_successor_is_not_admitted_by_its_charter_again(succession: Succession) -> None:
    succession.found("bob", "carol")
    succession.announce("bob", "carol")
    succession.follow("bob")
    succession.old.person("carol").online = True
    succession.old.run(MINUTE)
    succession.follow("carol")
    succession.new.do("carol", lambda group: group.leave(succession.new.now))
    succession.new.run(20 * SECOND)
    assert not succession.new.person("carol").is_member
    succession.new.ask("carol", succession.new.link("alice"))
    succession.new.run(20 * SECOND)
    assert not succession.new.person("carol").is_member


def test_who_lost_the_notice_gets_it_when_it_asks_what_it_missed(succession: Succession) -> None:
    succession.old.person("carol").online = True
    succession.old.lose = lambda person, envelope: person.name == "carol"
    succession.found("bob", "carol")
    succession.announce("bob", "carol")
    succession.old.lose = lambda person, envelope: False
    assert not succession.old.person("carol").told(SuccessorFounded)
    for name in ("bob", "carol"):
        succession.old.restart(name)
    succession.old.run(10 * MINUTE)
    assert succession.old.person("carol").told(SuccessorFounded)
    assert succession.old.person("bob").group.view(succession.old.now).successors[0].name == "friends again"


def test_nobody_announces_a_successor_in_the_name_of_another(succession: Succession) -> None:
    succession.found("bob")
    link = succession.new.link("alice")
    mallory = Insider(succession.old, "bob")
    made: list[SuccessorNotice] = []

    class Said:
        def say(self, payload: SuccessorNotice) -> None:
            made.append(payload)

    state = succession.old.person("bob").group._state
    assert state is not None
    forger = Successors(type(state.ledger)(), state.group_id, state.engine.verify)
    victims = {succession.address("alice"): link}
    forger.announce(victims, state.epoch, state.state.head, succession.address("carol"), mallory.sign, Said())  # type: ignore[arg-type]
    mallory.say(made[0])
    succession.old.deliver()
    assert succession.old.person("alice").group.view(succession.old.now).successors == ()


def test_a_founder_names_members_of_the_old_group_only(succession: Succession) -> None:
    group = succession.old.person("alice").group
    for named in ([], [succession.address("alice")], [Address(b"s" * 20)]):
        with pytest.raises(RequestRefused, match="Name at least one other member of this group"):
            group.predecessor_of(named)
    with pytest.raises(RequestRefused, match="Invite at least one member"):
        group.announce_successor({}, succession.old.now)


def test_the_link_of_a_notice_is_for_whom_it_names(succession: Succession) -> None:
    succession.found("bob", "carol")
    succession.announce("bob", "carol")
    for name in ("carol", "dave"):
        succession.old.person(name).online = True
    succession.old.run(MINUTE)
    views = {name: succession.old.person(name).group.view(succession.old.now).successors for name in NAMES[1:4]}
    links = {name: shown[0].link for name, shown in views.items()}
    assert links["dave"] == ""
    assert links["bob"] != links["carol"]
