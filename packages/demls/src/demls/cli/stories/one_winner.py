"""Many candidates, one history: a network in two halves, a node killed, one away, and nothing is ever undone."""

from __future__ import annotations

from demls.api.models import Group, PolicyChange, Proposal, RuleChange
from demls.cli import bridge
from demls.cli.cast import Narrator, Player, Seat, Stage, Story, all_of
from demls.cli.processes import DemoFailed, Program
from demls.cli.scenes import agree, all_have, decide, find, found, names, propose, together

NAMES = ("Alice", "Bob", "Carol", "Dave")
GROUP_NAME = "Kitchen"
TEA, COFFEE = "Tea kitchen", "Coffee kitchen"
VOTE_MS = 6_000
POLICY = PolicyChange(settings=RuleChange(duration_ms=VOTE_MS, silence_is_yes=True), batch_window_ms=500)
SHARED_ADDRESS = (("relay_public", "ws://relays-of-the-demo:7373"),)
"""What invite links name: the two relays are one to people."""


async def play(stage: Stage) -> None:
    """Raises DemoFailed, ClientError."""
    logs = [stage.place / name for name in ("relay-west.sqlite", "relay-east.sqlite")]
    urls = [await stage.relay(log.name) for log in logs]
    arguments = (str(logs[0]), urls[0], str(logs[1]), urls[1])
    between = Program("the bridge between the relays", bridge.READY, *arguments, module=("demls.cli.bridge",))
    await stage.run(between)
    people = await stage.players(*(Seat(name, urls[place // 2], SHARED_ADDRESS) for place, name in enumerate(NAMES)))
    await stage.narrator.head("Four people have a group, over two relays that hand each other everything.")
    group = await found(GROUP_NAME, POLICY, people[0], people[1:])
    story = _Story(group, people, between, stage.narrator)
    await story.tell(f"{names(story.west)} use one relay, {names(story.east)} the other; three of four make a commit.")
    await story.say(people[0], "Can everybody read this?", people)
    await story.split()
    await story.kill_in_the_round()
    await story.heal()
    await story.stay_away()


class _Story:
    def __init__(self, group: str, people: list[Player], between: Program, narrator: Narrator) -> None:
        self.group = group
        self.people = people
        self.west, self.east = people[:2], people[2:]
        self.between = between
        self.tell, self.head = narrator.tell, narrator.head
        self.epoch = 0
        self.wishes: tuple[str, ...] = ()
        self.said: list[str] = []

    async def say(self, speaker: Player, text: str, listeners: list[Player]) -> None:
        await speaker.client.send(self.group, text)
        await all_of(listeners, lambda player: player.watch.until_said(text))
        self.said.append(text)
        await self.tell(f"{speaker.name}: {text}   (read by {names([one for one in listeners if one != speaker])})")

    async def split(self) -> None:
        await self.head("The network falls into two halves.")
        self.epoch = (await together(self.group, self.people)).epoch
        self.between.pause()
        await self.tell("The process between the relays is stopped (SIGSTOP): no half hears anything of the other.")
        wishes = []
        for half, name in ((self.west, TEA), (self.east, COFFEE)):
            proposal = await propose(half[0], self.group, name=name)
            await agree(self.group, proposal, half[1:])
            wishes.append(proposal)
            await self.tell(f"{half[0].name} proposes “{name}”, {half[1].name} votes yes, the other half is silent.")
        self.wishes = tuple(wishes)
        await self.say(self.west[0], "Is anybody out there?", self.west)
        await self.say(self.east[1], "Only the two of us, it seems.", self.east)
        for half, proposal in zip((self.west, self.east), self.wishes, strict=True):

            def waits(one: Group, proposal: str = proposal) -> bool:
                return one.round.open and self._card(one, proposal).status == "approved"

            await all_have(self.group, half, waits, "the approval by silence, and the commit round that follows")
            card = self._card(half[0].watch.groups[self.group], proposal)
            await self.tell(f"At {half[0].name}’s node: {card.title}. {card.result}")
        if any(player.watch.has_said(text) for player, text in self._unheard()):
            raise DemoFailed("A message has crossed from one half to the other; the test is void.")
        await self.tell("Both halves have approved something, and neither has the three members that a commit takes.")

    def _unheard(self) -> list[tuple[Player, str]]:
        """Who cannot have read which of the last two messages."""
        to_west, to_east = self.said[-1], self.said[-2]
        return [*((player, to_west) for player in self.west), *((player, to_east) for player in self.east)]

    async def kill_in_the_round(self) -> None:
        await self.head("In the middle of that round a node is killed.")
        victim = self.west[1]
        await victim.program.kill()
        await self.tell(f"{victim.name}’s process is gone (SIGKILL), without a chance to write anything down.")
        await victim.start_again()
        shown = await victim.client.group(self.group)
        card = self._card(shown, self.wishes[0])
        if (shown.epoch, card.status, card.my_vote) != (self.epoch, "approved", True) or not shown.round.open:
            raise DemoFailed(f"{victim.name}’s node has forgotten something; this must never be. Please report it.")
        await self.tell(
            f"Started again, it is where it was: in the round for epoch {self.epoch + 1}, with {victim.name}’s vote."
        )

    async def heal(self) -> None:
        await self.head("The halves find each other again.")
        shown = [await player.client.group(self.group) for player in self.people]
        if {(one.epoch, one.name) for one in shown} != {(self.epoch, GROUP_NAME)}:
            raise DemoFailed("Half a group has made a commit; this must never be. Please report it.")
        await self.tell(f"Until now nothing was committed: epoch {self.epoch}, “{GROUP_NAME}”, at all four nodes.")
        self.between.go_on()
        await all_of(self.people, self._read_everything)
        await self.tell("The process between the relays goes on, and everybody reads what the other half has said.")

        def is_over(one: Group) -> bool:
            cards = [find(one, proposal) for proposal in self.wishes]
            return all(card is not None and card.status in ("committed", "withdrawn") for card in cards)

        await all_have(self.group, self.people, is_over, "the end of both proposals")
        winner = await together(self.group, self.people)
        ends = set()
        for player in self.people:
            one = player.watch.groups[self.group]
            ends.add((one.name, *(self._card(one, proposal).status for proposal in self.wishes)))
        if ends not in ({(TEA, "committed", "withdrawn")}, {(COFFEE, "withdrawn", "committed")}):
            raise DemoFailed(f"The four nodes tell different histories ({ends}); this must never be. Please report it.")
        for proposal in self.wishes:
            card = self._card(winner, proposal)
            await self.tell(f"{card.title}: {card.result}")
        for line in (one.text for one in self.people[0].watch.lines if "made the commit at attempt" in one.text):
            await self.tell(f"{self.people[0].name}’s node notes: “{line}”")
        await self.tell(
            f"All four are in epoch {winner.epoch} with one authenticator ({winner.authenticator[:16]}…): one of the "
            "two changes is in, the other is withdrawn with its reason, and nothing was undone."
        )

    async def _read_everything(self, player: Player) -> None:
        for text in self.said:
            await player.watch.until_said(text)

    async def stay_away(self) -> None:
        absent, rest = self.people[-1], self.people[:-1]
        await self.head(f"{absent.name} is away for several epochs.")
        before = (await together(self.group, self.people)).epoch
        await absent.program.kill()
        for description in ("Cups on the left.", "Plates on the right.", "Knives in the drawer."):
            await decide(self.group, description, rest)
        await self.say(rest[0], "The drawer it is.", rest)
        now = (await together(self.group, rest)).epoch
        await self.tell(
            f"{absent.name}’s process was killed in epoch {before}; the others have gone on to epoch {now}."
        )
        await absent.start_again()
        shown = await together(self.group, self.people)
        await self._read_everything(absent)
        if shown.epoch < before + 3:
            raise DemoFailed("Three decisions made fewer than three epochs; please report it.")
        await self.tell(
            f"Started again, it has every commit with its certificate, and the message: epoch {shown.epoch}, "
            f"one authenticator ({shown.authenticator[:16]}…) at all four nodes."
        )

    def _card(self, shown: Group, proposal: str) -> Proposal:
        card = find(shown, proposal)
        if card is None:
            raise DemoFailed("A proposal is gone without a word; this must never be. Please report it.")
        return card


STORY = Story(
    "one-winner",
    "A network in two halves that want different things, a node killed in a round, one that was away: one history.",
    "Two relays, what lies between them, and four nodes are starting…",
    play,
)
