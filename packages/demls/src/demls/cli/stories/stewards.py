"""Several stewards: lists that follow from the chain, elections without anybody's click, and stewards that fail."""

from __future__ import annotations

import time

from demls.api.models import Group, Member, PolicyChange
from demls.cli.cast import Narrator, Player, Seat, Stage, Story, all_of, since
from demls.cli.processes import DemoFailed
from demls.cli.scenes import agree, all_have, decide, found, names, propose, together

NAMES = ("Alice", "Bob", "Carol", "Dave", "Erin", "Frank")
GROUP_NAME = "Garden"
STEWARDS = 4
"""So many that each kind of failure finds stewards who have not failed before."""
POLICY = PolicyChange(stewards_min=1, stewards_max=STEWARDS, batch_window_ms=500)


async def play(stage: Stage) -> None:
    """Raises DemoFailed, ClientError."""
    tell = stage.narrator.tell
    relay = await stage.relay()
    people = await stage.players(*(Seat(name, relay) for name in NAMES))
    await stage.narrator.head("Alice founds a group, and five people join.")
    group = await found(GROUP_NAME, POLICY, people[0], people[1:])
    await tell(f"“{GROUP_NAME}” has six members; a commit takes four, so two can be away at a time.")
    await tell(f"At most {STEWARDS} of them are stewards at a time. {people[0].watch.groups[group].stewards_sentence}")
    story = _Story(group, people, stage.narrator)
    await story.first_election()
    await story.rotation()
    await story.backup()
    await story.third()
    await story.nobody_of_the_list()
    await story.election_of_the_next()
    await stage.narrator.head("What holds now?")
    shown = await together(group, people)
    await tell(
        f"All six are in epoch {shown.epoch} with one authenticator ({shown.authenticator[:16]}…) and one list. "
        "No failure of a steward cost more than the time to notice it, and nobody had to do anything about it."
    )


class _Story:
    """The chapters, of one list of four: each takes its turns from where the one before left them."""

    def __init__(self, group: str, people: list[Player], narrator: Narrator) -> None:
        self.group = group
        self.people = people
        self.tell, self.head = narrator.tell, narrator.head
        self.lost: set[str] = set()
        """Who led without a commit: such members lead last for a while."""

    async def first_election(self) -> None:
        await self.head("The founder’s list is used up with the next commit: the nodes elect the next by themselves.")
        await decide(self.group, "We meet on Mondays.", self.people)
        await self._same_list()

    async def rotation(self) -> None:
        await self.head("Every epoch has the next of the list as its steward.")
        first = (await together(self.group, self.people)).stewards
        await decide(self.group, "We meet on Tuesdays.", self.people)
        if await self._lost_turns():
            raise DemoFailed("Somebody lost a turn although every process was running; is this machine very busy?")
        shown = await together(self.group, self.people)
        if [one.address for one in shown.stewards] != [one.address for one in (*first[1:], first[0])]:
            raise DemoFailed("The list has not moved on by one; this must never be. Please report it.")
        await self.tell(f"{first[0].name} committed what was decided, at the first attempt: epoch {shown.epoch}.")
        await self._turns(shown)

    async def backup(self) -> None:
        await self.head("The epoch steward is silent: the backup steward commits.")
        await self._commit_without(1, "We meet on Wednesdays.")

    async def third(self) -> None:
        await self.head("Epoch steward and backup steward are silent: the third commits.")
        await self._commit_without(2, "We meet on Thursdays.")

    async def nobody_of_the_list(self) -> None:
        await self.head("The last steward who has not failed is silent too: a member commits in the stewards’ place.")
        shown = await together(self.group, self.people)
        failed = [one.name for one in shown.stewards if one.address in self.lost]
        await self.tell(f"Whoever lost a turn leads last for a while: {', '.join(failed)}.")
        await self._commit_without(1, "We meet on Fridays.", by_a_member=True)

    async def election_of_the_next(self) -> None:
        await self.head("The list is used up, and all of its stewards have failed: the next election.")
        await self._same_list()

    async def _same_list(self) -> None:
        """An election was committed, and all show its list."""

        def is_elected(one: Group) -> bool:
            until = one.stewards_until
            return len(one.stewards) == STEWARDS and until is not None and one.epoch <= until

        await all_have(self.group, self.people, is_elected, "an elected list that serves")
        shown = await together(self.group, self.people)
        lists = {tuple(one.address for one in player.watch.groups[self.group].stewards) for player in self.people}
        cards = [card for card in shown.proposals if card.kind == "election" and card.status == "committed"]
        if len(lists) != 1 or not cards or not all(card.by_nodes and not card.may_vote for card in cards):
            raise DemoFailed("The nodes do not show one elected list; this must never be. Please report it.")
        card = max(cards, key=lambda one: one.epoch or 0)
        await self.tell(f"“{card.title}”: the nodes voted by themselves, no person was asked.")
        await self.tell(f"{card.result} All six nodes show this list.")
        await self._turns(shown)

    async def _turns(self, shown: Group) -> None:
        assert shown.epoch_steward is not None
        assert shown.backup_steward is not None
        await self.tell(
            f"Epoch {shown.epoch}: epoch steward {shown.epoch_steward.name}, backup {shown.backup_steward.name}. "
            f"{shown.stewards_sentence}"
        )

    async def _commit_without(self, count: int, description: str, *, by_a_member: bool = False) -> None:
        """The next ``count`` leaders are stopped; the others decide something, and the leader after them commits."""
        before = await together(self.group, self.people)
        in_turn = [one.address for one in before.stewards if one.address not in self.lost]
        stopped = [self._player(address) for address in in_turn[:count]]
        live = [player for player in self.people if player not in stopped]
        for player in stopped:
            player.program.pause()
        which = "process" if len(stopped) == 1 else "processes"
        are = "is" if len(stopped) == 1 else "are"
        await self.tell(f"The {which} of {names(stopped)} {are} stopped (SIGSTOP). {names(live)} decide: {description}")
        begun = time.monotonic()
        try:
            proposal = await propose(live[0], self.group, description=description)
            await agree(self.group, proposal, live[1:])
            await all_have(self.group, live, lambda one: one.description == description, f"the commit without {count}")
            took = since(begun)
            expected = None if by_a_member else self._player(in_turn[count]).name
            await self._tell_committer(before, live, count + 1, expected, took)
        finally:
            for player in stopped:
                await player.go_on()
        self.lost = await self._lost_turns()
        if not self.lost >= {player.address for player in stopped}:
            raise DemoFailed(f"{names(stopped)} led without a commit and lost no turn; please report it.")
        shown = await together(self.group, self.people)
        verb = "goes" if len(stopped) == 1 else "go"
        await self.tell(f"{names(stopped)} {verb} on, and all six are in epoch {shown.epoch} again.")

    async def _tell_committer(
        self, before: Group, live: list[Player], attempt: int, expected: str | None, took: str
    ) -> None:
        """Who made the commit, by the line that everybody's node wrote; ``expected``: None for no steward."""
        words = f"made the commit at attempt {attempt} "
        line = await live[0].watch.until_line(
            self.group,
            lambda one: words in one.text and one.epoch == before.epoch + 1,
            f"word of who made the commit of epoch {before.epoch + 1}",
        )
        who = live[0].name if line.text.startswith("You ") else line.text.split(" made ")[0]
        is_steward = who in {one.name for one in before.stewards}
        if (expected is None and is_steward) or (expected is not None and who != expected):
            raise DemoFailed(f"{who} made the commit and not {expected or 'a member'}; please report it.")
        await self.tell(f"{who} made the commit at attempt {attempt}, {took} after the proposal.")
        if expected is None:
            sentences = [
                shown.sentence
                for player in live
                for group, epoch, shown in player.watch.rounds
                if (group, epoch) == (self.group, before.epoch) and shown.leader and not shown.leader_is_steward
            ]
            if not any(one.startswith(f"The stewards are silent; {who}") for one in sentences):
                raise DemoFailed("No page said that the stewards are silent; please report it.")
            await self.tell(f"The page said meanwhile: “{sentences[0]}”")

    async def _lost_turns(self) -> set[str]:
        """Who lost a turn, as all nodes say."""
        await together(self.group, self.people)
        shown: set[frozenset[str]] = set()

        async def look(player: Player) -> None:
            members: list[Member] = await player.client.members(self.group)
            shown.add(frozenset(one.address for one in members if one.lost_turn))

        await all_of(self.people, look)
        if len(shown) != 1:
            raise DemoFailed("The nodes do not agree on whose turns were lost; this must never be. Please report it.")
        return set(shown.pop())

    def _player(self, address: str) -> Player:
        return next(player for player in self.people if player.address == address)


STORY = Story(
    "stewards",
    "Six people and their elected stewards: turns, elections by the nodes, and stewards whose processes are stopped.",
    "A relay and six nodes are starting…",
    play,
)
