"""What happens in several stories: a group is founded, decides, talks, and is found to be in one state."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from demls.api.models import Group, GroupState, PolicyChange, Proposal
from demls.cli.cast import Player, all_of
from demls.cli.processes import DemoFailed
from demls.client import RefusedByNode


async def found(name: str, policy: PolicyChange, founder: Player, others: list[Player]) -> str:
    """Found a group and admit everybody, in one commit if the policy's batch window allows; returns its id."""
    group = (await founder.client.create_group(name, preset="quick", policy=policy)).id
    for player in others:
        link = await founder.client.invite(group)
        await player.client.join(link.text)

    def asked(one: Group) -> bool:
        return sum(card.kind == "invite" for card in one.proposals) == len(others)

    shown = await founder.watch.until_group(group, asked, "the arrival of all requests to join")
    for card in shown.proposals:
        await vote_yes(founder, group, card)
    size = len(others) + 1

    async def be_in(player: Player) -> None:
        what = f"the admission of {player.name}"
        await player.watch.until_group(group, lambda one: one.state is GroupState.MEMBER and one.members == size, what)

    await all_of([founder, *others], be_in)
    return group


async def vote_yes(player: Player, group: str, card: Proposal) -> None:
    """Unless it is decided already."""
    if card.status == "open" and card.may_vote and card.my_vote is None:
        with contextlib.suppress(RefusedByNode):
            await player.client.vote(group, card.id, yes=True)


async def agree(group: str, proposal: str, voters: list[Player]) -> None:
    """Everybody named votes yes as soon as their node shows the proposal."""

    async def take_part(player: Player) -> None:
        await player.watch.until_group(
            group, lambda one: find(one, proposal) is not None, f"the vote’s arrival at {player.name}’s node"
        )
        card = find(player.watch.groups[group], proposal)
        assert card is not None
        await vote_yes(player, group, card)

    await all_of(voters, take_part)


async def propose(player: Player, group: str, *, name: str | None = None, description: str | None = None) -> str:
    """Propose other settings; returns the proposal's id."""
    done = await player.client.propose_settings(group, name=name, description=description)
    assert done.proposal is not None
    return done.proposal


async def decide(group: str, description: str, people: list[Player]) -> None:
    """The first proposes another description, all of them vote yes; returns when all of them have its commit."""
    proposal = await propose(people[0], group, description=description)
    await agree(group, proposal, people[1:])
    await all_have(group, people, lambda one: one.description == description, f"the commit of “{description}”")


async def all_have(group: str, people: list[Player], claim: Callable[[Group], bool], what: str) -> None:
    """Wait until everybody's node shows it."""

    async def have(player: Player) -> None:
        await player.watch.until_group(group, claim, f"{what} at {player.name}’s node")

    await all_of(people, have)


async def together(group: str, people: list[Player]) -> Group:
    """Check that all are in one state, the newest that any of them is in; returns it as the first shows it."""
    newest = max(player.watch.groups[group].epoch for player in people)
    await all_have(group, people, lambda one: one.epoch >= newest, f"epoch {newest}")
    shown = [await player.client.group(group) for player in people]
    states = {(one.epoch, one.authenticator) for one in shown}
    if len({epoch for epoch, _ in states}) > 1:
        return await together(group, people)  # one of them has gone on in the meantime
    if len(states) > 1:
        raise DemoFailed("Two nodes are in one epoch with two authenticators; this must never be. Please report it.")
    return shown[0]


def find(shown: Group, proposal: str) -> Proposal | None:
    """A proposal of a group as shown."""
    return next((card for card in shown.proposals if card.id == proposal), None)


def names(people: list[Player]) -> str:
    """In a sentence."""
    called = [player.name for player in people]
    return called[0] if len(called) == 1 else f"{', '.join(called[:-1])} and {called[-1]}"
