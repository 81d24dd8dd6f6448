"""The layers of recovery: stewards fall silent, others commit in their place, new ones are elected."""

from __future__ import annotations

import time

from demls.api.models import Group, PolicyChange, Proposal, RuleChange
from demls.cli.cast import Narrator, Player, Seat, Stage, Story, since
from demls.cli.processes import DemoFailed
from demls.cli.scenes import agree, all_have, decide, found, names, propose, together
from demls.cli.scenes_trouble import Recovery, committer, line_of_cli, listening

NAMES = ("Alice", "Bob", "Carol", "Dave", "Erin", "Frank")
GROUP_NAME = "Orchard"
STEWARDS = 2
"""So few that all of them can be away: four of six still make a commit."""
POLICY = PolicyChange(
    stewards_min=1,
    stewards_max=STEWARDS,
    batch_window_ms=500,
    election=RuleChange(share="three quarters", duration_ms=240_000),
)
"""Five of six elect a list, so that the election can be watched: with two away it waits for one of them."""
SILENT = "The stewards are silent; "
ELECTING = "the nodes are electing new ones"


async def play(stage: Stage) -> None:
    """Raises DemoFailed, ClientError."""
    tell = stage.narrator.tell
    relay = await stage.relay()
    people = await stage.players(*(Seat(name, relay) for name in NAMES))
    await stage.narrator.head("Alice founds a group, and five people join.")
    group = await found(GROUP_NAME, POLICY, people[0], people[1:])
    await tell(f"“{GROUP_NAME}” has six members, of whom two are stewards at a time; four of six make a commit.")
    async with listening(group, people) as recovery:
        story = _Story(group, people, recovery, stage.narrator)
        await story.election()
        try:
            await story.backup()
            await story.nobody_of_the_list()
            await story.without_stewards()
            await story.new_stewards()
        finally:
            story.wake_all()
        await story.as_before()


class _Story:
    """The chapters, of one list of two: each goes on with those silent who fell silent before."""

    def __init__(self, group: str, people: list[Player], recovery: Recovery, narrator: Narrator) -> None:
        self.group = group
        self.people = people
        self.recovery = recovery
        self.tell, self.head = narrator.tell, narrator.head
        self.stopped: list[Player] = []

    @property
    def live(self) -> list[Player]:
        return [player for player in self.people if player not in self.stopped]

    def wake_all(self) -> None:
        """However it ends."""
        for player in self.stopped:
            player.program.go_on()

    async def election(self) -> None:
        await self.head("The founder’s list is used up with the next commit: the nodes elect the next by themselves.")
        await decide(self.group, "We plant in spring.", self.people)

        def is_elected(one: Group) -> bool:
            until = one.stewards_until
            is_new = len(one.stewards) == STEWARDS and until is not None and one.epoch + 1 == until
            return is_new and not one.recovery

        await all_have(self.group, self.people, is_elected, "an elected list")
        shown = await together(self.group, self.people)
        await self.tell(f"No person was asked. {shown.stewards_sentence}")

    async def backup(self) -> None:
        await self.head("Layer 1: the epoch steward falls silent, and the backup steward has its turn.")
        shown = await together(self.group, self.people)
        first, second = (self._player(one.address) for one in shown.stewards)
        self._stop(first)
        await self.tell(f"{first.name}’s process is stopped (SIGSTOP): its connections stay open, and it says nothing.")
        took = await self._decide("We water in summer.")
        await self._made_by(shown.epoch, {second.name})
        sentence = await self.recovery.until(f"{first.name} has not committed; {second.name}")
        await self.tell(f"Meanwhile the nodes said: “{sentence}”")
        await self.tell(f"{second.name} made the commit, {took} after the proposal.")

    async def nobody_of_the_list(self) -> None:
        await self.head("All stewards are silent: a member commits in their place.")
        shown = await together(self.group, self.live)
        steward = next(player for player in self.live if player.address in {one.address for one in shown.stewards})
        self._stop(steward)
        await self.tell(f"{names(self.stopped)} are stopped now; {names(self.live)} are left, and do not ask for more.")
        took = await self._decide("We harvest in autumn.")
        who = await self._made_by(shown.epoch, {player.name for player in self.live})
        sentence = await self.recovery.until(f"{SILENT}{who}")
        await self.tell(f"Meanwhile the nodes said: “{sentence}”")
        await self.tell(f"{who} made the commit, {took} after the proposal.")

    async def without_stewards(self) -> None:
        await self.head("Layer 2: the list has failed, so the nodes elect another; the work does not wait for that.")

        def is_electing(one: Group) -> bool:
            cards = _elections(one)
            return ELECTING in one.recovery and not one.round.open and bool(cards) and cards[0].yes == len(self.live)

        await all_have(self.group, self.live, is_electing, "the election of new stewards")
        asked = self.live[0]
        shown = await asked.client.group(self.group)
        line = await line_of_cli(asked, shown.recovery, "group", "show", GROUP_NAME)
        await self.tell(f"“demls group show {GROUP_NAME}” says: {line}")
        card = _elections(shown)[0]
        if (card.yes, card.no, card.needed, card.by_nodes) != (4, 0, 5, True):
            raise DemoFailed(f"{card.yes} of {card.needed} nodes have voted for the new list; please report it.")
        await self.tell(f"{card.title}: {card.rule} So far: {card.yes} yes.")
        took = await self._decide("We rest in winter.")
        who = await self._made_by(shown.epoch, {player.name for player in self.live})
        await self.tell(f"{who}, who is no steward, made the next commit, {took} after the proposal.")

    async def new_stewards(self) -> None:
        back = self.stopped.pop(0)
        await self.head(f"{back.name} is back: five of six can be heard, and the election is decided.")
        await back.go_on()

        def is_normal(one: Group) -> bool:
            elected = [card for card in one.proposals if card.kind == "election" and card.status == "committed"]
            until = one.stewards_until
            return not one.recovery and len(elected) > 1 and until is not None and one.epoch <= until

        await all_have(self.group, self.live, is_normal, "new stewards, and the end of the recovery")
        shown = await together(self.group, self.live)
        lists = {tuple(one.address for one in player.watch.groups[self.group].stewards) for player in self.live}
        if len(lists) != 1:
            raise DemoFailed("The nodes do not show one list of stewards; this must never be. Please report it.")
        await self.tell(f"All five show one list. {shown.stewards_sentence} Nothing is said of recovery any more.")

    async def as_before(self) -> None:
        await self.head("Everybody is back, and all is as it was.")
        for player in self.stopped:
            await player.go_on()
        self.stopped = []
        await together(self.group, self.people)
        shown = await all_settled(self.group, self.people)
        took = await self._decide("It all begins again.")
        who = await self._made_by(shown.epoch, {one.name for one in shown.stewards})
        after = await together(self.group, self.people)
        await self.tell(
            f"{who}, a steward, made the next commit, {took} after the proposal: all six are in epoch {after.epoch} "
            f"with one authenticator ({after.authenticator[:16]}…). Nobody had to do anything about the stewards."
        )

    def _stop(self, player: Player) -> None:
        player.program.pause()
        self.stopped.append(player)

    async def _decide(self, description: str) -> str:
        """Those who are there decide something, and it is committed; returns how long that took."""
        begun = time.monotonic()
        proposal = await propose(self.live[0], self.group, description=description)
        await agree(self.group, proposal, self.live[1:])
        await all_have(
            self.group, self.live, lambda one: one.description == description, f"the commit of “{description}”"
        )
        return since(begun)

    async def _made_by(self, epoch: int, expected: set[str]) -> str:
        """Who made the commit that ended ``epoch``, the same at all nodes."""
        makers = {(await committer(player, self.group, epoch)).name for player in self.live}
        if len(makers) != 1 or not makers <= expected:
            raise DemoFailed(f"{makers} made a commit that was for {expected} to make; please report it.")
        return makers.pop()

    def _player(self, address: str) -> Player:
        return next(player for player in self.people if player.address == address)


def _elections(shown: Group) -> list[Proposal]:
    return [card for card in shown.proposals if card.kind == "election" and card.status == "open"]


async def all_settled(group: str, people: list[Player]) -> Group:
    """Nothing is under way any more at any of these nodes."""

    def rests(one: Group) -> bool:
        return not one.round.open and not one.recovery and not any(card.status == "open" for card in one.proposals)

    await all_have(group, people, rests, "the end of all that was under way")
    return await together(group, people)


STORY = Story(
    "recovery",
    "Stewards fall silent, one and then all: backup, a member in their place, an election, and all is as before.",
    "A relay and six nodes are starting…",
    play,
)
