"""Do real nodes show scores and proofs, let people accuse, freeze what waits, and go on by themselves?"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest
from demls.api.models import NewEmergency, NewSettings, PolicyChange, RuleChange, ScoringChange
from demls.node.errors import Refused
from demls.protocol.effects import Effects
from demls.protocol.errors import RequestRefused, UnknownMember
from demls.protocol.step import Step
from demls.wire.ids import Instant, ProposalId, address_text
from demls.wire.messages import Vote
from friends import befriend, lines

MINUTE = 60_000
NAMES = ("alice", "bob", "carol", "dave")
LONG = RuleChange(duration_ms=10 * MINUTE, silence_is_yes=False)


def policy(**scoring: int) -> PolicyChange:
    """Long enough that only votes decide."""
    return PolicyChange(
        batch_window_ms=0, settings=LONG, remove=LONG, emergency=LONG, scoring=ScoringChange.model_validate(scoring)
    )


def address(world: Any, name: str) -> str:
    return address_text(world.wallet(name).address)


def accusation(world: Any, name: str) -> NewEmergency:
    return NewEmergency(about="member", address=address(world, name))


async def says_yes_and_no(desk: Any, group: str, proposal: str) -> None:
    """A member whose node signs two different things."""

    def act(machine: Any, at: Instant) -> tuple[None, Effects]:
        state = machine._live()
        step = Step(at, state.channel)
        item = state.governance.items[ProposalId(bytes.fromhex(proposal))]
        for yes in (True, False):
            vote = state.governance.new_vote(item, state.own, state.device.leaf_private, yes, at)
            step.say(Vote(vote.encode()))
        return None, machine._finish(step)

    await desk._ask(group, act)


def cards(desk: Any, group: str, kind: str, *statuses: str) -> list[Any]:
    return [one for one in desk._shown(group).proposals if one.kind == kind and one.status in (statuses or ("open",))]


async def vote_on(world: Any, desks: list[Any], group: str, kind: str) -> None:
    for desk in desks:
        card = (await world.until(lambda desk=desk: cards(desk, group, kind)))[0]
        await desk.vote(group, card.id, yes=True)


async def proven(world: Any, desks: list[Any], group: str, name: str) -> None:
    """Until each node can prove something against this member."""
    for desk in desks:
        while not (await desk.member(group, address(world, name))).proofs:
            world.changed.clear()
            await world.changed.wait()


async def test_a_member_accuses_another_of_what_its_node_can_prove(world: Any) -> None:
    async with AsyncExitStack() as stack:
        desks = [await stack.enter_async_context(world.node(name, is_real=True)) for name in NAMES]
        alice, bob, carol, dave = desks
        group = await befriend(world, alice, desks[1:], policy(equivocation=40))
        done = await alice.propose_settings(group, NewSettings(description="Ours"))
        await world.until(lambda: cards(dave, group, "settings"))

        with pytest.raises(RequestRefused, match="no proof that dave broke a rule"):
            await alice.open_emergency(group, accusation(world, "dave"))
        with pytest.raises(RequestRefused, match="cannot accuse yourself"):
            await alice.open_emergency(group, accusation(world, "alice"))
        with pytest.raises(UnknownMember):
            await alice.open_emergency(group, accusation(world, "erin"))
        with pytest.raises(Refused, match="40 hexadecimal digits"):
            await alice.open_emergency(group, NewEmergency(about="member", address="0x12"))
        with pytest.raises(Refused, match="Say whom"):
            await alice.open_emergency(group, NewEmergency(about="member"))
        with pytest.raises(RequestRefused, match="There is no deadlock"):
            await alice.open_emergency(group, NewEmergency(about="deadlock"))

        await says_yes_and_no(dave, group, done.proposal)
        await proven(world, [alice, bob, carol], group, "dave")
        guilty = await alice.member(group, address(world, "dave"))
        assert (guilty.score, guilty.accusation) == (60, "note")
        assert [(move.points, move.after) for move in guilty.score_history][-1] == (-40, 60)
        assert guilty.score_sentence.startswith("dave has 60 points; a newcomer has 100.")
        assert guilty.proofs == [
            f"dave signed both yes and no on proposal {done.proposal[:8]}, in epoch {alice._shown(group).epoch}."
        ]

        opened = await alice.open_emergency(group, accusation(world, "dave"))
        assert opened.sentence == (
            "You asked the members to note that dave has signed two different things; your vote is yes."
        )
        card = await alice.proposal(group, opened.proposal)
        assert (card.emergency.accused.name, card.emergency.confirmed, card.removes) == ("dave", True, False)
        with pytest.raises(RequestRefused, match="have decided, or are deciding"):
            await alice.open_emergency(group, accusation(world, "dave"))
        for desk in desks:
            await world.until(lambda desk=desk: desk._shown(group).frozen)
        assert all(one.frozen for one in await bob.groups())

        waits = await bob.remove_member(group, address(world, "dave"))
        assert waits.sentence == (
            "You proposed to remove dave. It waits until the emergency is decided, and is opened then."
        )
        (held,) = bob._shown(group).waiting
        assert (held.title, held.is_mine) == ("Remove dave", True)
        assert "1 proposal waits so far, yours." in bob._shown(group).frozen

        await vote_on(world, [bob, carol], group, "emergency")
        for desk in desks:
            await world.until(lambda desk=desk: cards(desk, group, "emergency", "noted"))
            await world.until(lambda desk=desk: not desk._shown(group).frozen)
        await world.until(lambda: cards(alice, group, "remove"))
        assert not bob._shown(group).waiting
        noted = await bob.proposal(group, opened.proposal)
        assert noted.result.endswith("dave stays a member, with a lower score. There is nothing to commit.")
        assert (await bob.member(group, address(world, "alice"))).score_history[-1].points == 20
        assert "The emergency is over; what has waited is opened now." in lines(bob, group)
        assert "The emergency is over; nothing has waited for it." in lines(dave, group) + lines(alice, group)


async def test_whoever_is_proven_guilty_is_removed_at_once(world: Any) -> None:
    async with AsyncExitStack() as stack:
        desks = [await stack.enter_async_context(world.node(name, is_real=True)) for name in NAMES]
        alice, *others, dave = desks
        group = await befriend(world, alice, desks[1:], policy())
        done = await alice.propose_settings(group, NewSettings(description="Ours"))
        await world.until(lambda: cards(dave, group, "settings"))
        await says_yes_and_no(dave, group, done.proposal)
        await world.until(lambda: cards(alice, group, "emergency"), 60.0)
        (card,) = cards(alice, group, "emergency")
        assert card.title == "Remove dave at once: has signed two different things"
        with pytest.raises(RequestRefused, match="being decided already"):
            await alice.open_emergency(group, accusation(world, "dave"))
        for desk in (alice, *others):
            await world.until(lambda desk=desk: cards(desk, group, "emergency", "open", "approved", "committed"))
            if (await desk.proposal(group, card.id)).may_vote:
                await desk.vote(group, card.id, yes=True)
        await world.until(lambda: dave._shown(group).state == "removed", 60.0)
        await world.until(lambda: alice._shown(group).members == 3)
        ended = await alice.proposal(group, card.id)
        assert ended.result.endswith(f"dave went with the commit of epoch {ended.epoch}.")
        assert not alice._shown(group).recovery
        assert any("dave was removed at once" in line for line in lines(alice, group))
