"""Are decisions shown with their commit, requests put to one vote only, and former members still known?"""

from __future__ import annotations

from demls.protocol.checks import Verdict
from demls.protocol.policy import PRESETS
from demls.protocol.records import Ledger
from demls.protocol.requests import Requests
from demls.protocol.step import Step
from demls.protocol.vote_lists import votes_in
from demls.wire.ids import View
from demls.wire.messages import Invite, JoinRequest, Offer, Remove
from world import World


def test_a_candidate_waits_until_the_decision_certificates_that_it_names_are_shown() -> None:
    world = World(3)
    world.found("alice", PRESETS["day"])
    for name in ("bob", "carol"):
        world.admit("alice", name)
    world.do("bob", lambda group: group.propose(Remove(world.person("carol").address), world.now))
    world.deliver()
    world.hold = lambda person, envelope: True
    world.vote_on_everything("alice")
    alice, bob = (world.person(name).group._state for name in ("alice", "bob"))
    assert alice is not None
    assert bob is not None
    minted = alice.candidates.mint(View(0), Step(world.now, alice.channel))
    assert minted is not None
    step = Step(world.now, bob.channel)
    votes = votes_in(minted.votes, bob.governance.electorates)
    for vote in votes:
        bob.governance.take(vote, step)
    assert bob.candidates.judge(minted.candidate, fresh=True, step=step) is Verdict.NOT_YET
    head, epoch = bob.state.head, bob.epoch
    offer = Offer(epoch, head, 0, minted.candidate, minted.votes, (), alice.own, bytes(64), minted.proposals)
    bob.candidates.note_votes(offer, votes)
    assert bob.candidates.judge(minted.candidate, fresh=True, step=step) is Verdict.VALID


def test_a_request_that_comes_after_its_proposal_opens_no_second_vote_and_uses_up_its_link() -> None:
    world = World(4)
    world.found("alice")
    link = world.link("alice")
    state = world.person("alice").group._state
    assert state is not None
    requests = Requests(Ledger(), state.engine, state.group_id, state.read_key_package)
    packages = []
    for name in ("bob", "carol"):
        device = world.device(name)
        made = world.person(name).engine.key_package(
            signature_private=device.leaf_private,
            credential=device.credential(),
            extensions=device.extensions(),
            supported=(),
        )
        packages.append(made.public.encoded)
    asked = [JoinRequest(one, link.token, link.expires, link.issuer, link.signature) for one in packages]
    requests.proposed(Invite(packages[0], world.person("alice").address, link.token), world.now)
    step = Step(world.now, state.channel)
    assert requests.receive(asked[0], state.roster, state.epoch, 0, frozenset(), step) is None
    assert not requests.waiting
    assert "used before" in (requests.receive(asked[1], state.roster, state.epoch, 0, frozenset(), step) or "")
    assert not requests.waiting


def test_the_name_of_a_former_member_is_kept_over_a_restart() -> None:
    world = World(5)
    world.found("alice")
    for name in ("bob", "carol"):
        world.admit("alice", name)
    carol = world.person("carol").address
    world.do("bob", lambda group: group.propose(Remove(carol), world.now))
    world.deliver()
    world.vote_on_everything("alice")
    world.run(10_000)
    assert carol not in {member.address for member in world.person("alice").group.members()}
    assert world.person("alice").group.name_of(carol) == "carol"
    world.restart("alice")
    assert world.person("alice").group.name_of(carol) == "carol"
