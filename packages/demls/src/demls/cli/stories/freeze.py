"""The partial freeze: while an emergency is decided other proposals wait, talk goes on, and nothing is lost by it."""

from __future__ import annotations

from demls.api.models import Done, Group, PolicyChange, Proposal, RuleChange
from demls.cli.cast import Narrator, Player, Seat, Stage, Story, all_of
from demls.cli.cast_rogue import BAD, cheat, rogue_folder, rogue_seat
from demls.cli.processes import DemoFailed
from demls.cli.scenes import agree, all_have, find, found, names, together
from demls.cli.scenes_trouble import all_emergencies, judge, line_of_cli, member, until_emergency, until_removed

HONEST = ("Alice", "Bob", "Carol")
GROUP_NAME = "Studio"
SLOW = RuleChange(duration_ms=240_000, silence_is_yes=False)
"""So long that nothing here ends by time: every decision is one of people."""
POLICY = PolicyChange(batch_window_ms=500, remove=SLOW, settings=SLOW, emergency=SLOW)
WAITS = "It waits until the emergency is decided, and is opened then."
HELD = "Your proposal waits until the emergency is decided; it is opened then"
OVER = "The emergency is over"
DECIDED_NO = "its emergency was decided no"


async def play(stage: Stage) -> None:
    """Raises DemoFailed, ClientError."""
    rogue_folder()
    relay = await stage.relay()
    *honest, bad = await stage.players(*(Seat(name, relay) for name in HONEST), rogue_seat(relay))
    await stage.narrator.head(f"Alice founds a group, and three people join. {BAD}’s node can do what others’ cannot.")
    group = await found(GROUP_NAME, POLICY, honest[0], [*honest[1:], bad])
    await stage.narrator.tell(f"“{GROUP_NAME}” has four members; three make a decision, and three a commit.")
    story = _Story(group, honest, bad, stage.narrator)
    await story.until_no()
    await story.until_yes()
    await stage.narrator.head("What holds now?")
    shown = await together(group, honest)
    await stage.narrator.tell(
        f"All three are in epoch {shown.epoch} with one authenticator ({shown.authenticator[:16]}…). Two emergencies "
        "have held up two proposals: both are carried out, and nobody had to propose anything twice."
    )


class _Story:
    """Two emergencies about one member: the first is decided no, the second yes."""

    def __init__(self, group: str, honest: list[Player], bad: Player, narrator: Narrator) -> None:
        self.group = group
        self.honest, self.bad = honest, bad
        self.everybody = [*honest, bad]
        self.tell, self.head = narrator.tell, narrator.head
        self.known: frozenset[str] = frozenset()
        self.freezes = 0

    async def until_no(self) -> None:
        alice, bob, carol = self.honest
        await self.head(f"{BAD} asks to remove {bob.name}, and then votes both yes and no on that.")
        ban = (await self.bad.client.remove(self.group, bob.address)).proposal
        assert ban is not None
        await all_have(self.group, self.honest, lambda one: find(one, ban) is not None, "the proposal")
        await cheat(self.bad, self.group, f"vote-twice {ban}")
        await self._frozen()
        description = "Paint and clay."
        await self._propose(alice, description)
        await self._talk(alice, "Can you read this, although so much waits?", "Yes, talk goes on.", bob)
        await self._vote_on_what_was_open(ban, [alice, carol])
        await self.head(f"The three decide that {BAD} may stay.")
        await judge(self.group, [alice, bob], self.bad, yes=False)
        card = await self._thawed("rejected")
        await self._lands(alice, description)
        if self.bad.address not in {one.address for one in await alice.client.members(self.group)}:
            raise DemoFailed(f"{BAD} is out although the emergency was decided no; please report it.")
        accuser = await member(alice, self.group, card.asked_by.address)
        if not any(move.cause == DECIDED_NO and move.points < 0 for move in accuser.score_history):
            raise DemoFailed(f"The emergency that was decided no has cost {accuser.name} nothing; please report it.")
        await self.tell(f"{BAD} is still in. It has cost whose node opened it: {accuser.score_sentence}")

    async def until_yes(self) -> None:
        _, bob, carol = self.honest
        await self.head(
            f"{BAD} signs two different things once more. What was decided is not tried again, but this is."
        )
        await cheat(self.bad, self.group, "sign-twice")
        await self._frozen()
        description = "Paint, clay and charcoal."
        await self._propose(bob, description)
        await self._talk(carol, "It is the second time.", "Then let us vote.", bob)
        await self.head(f"The three decide that {BAD} goes.")
        await judge(self.group, self.honest, self.bad, yes=True)
        await until_removed(self.group, self.honest, self.bad)
        self.everybody = self.honest
        gone = await bob.watch.until_line(self.group, lambda one: "was removed at once" in one.text, "the removal")
        await self.tell(f"{bob.name}’s node notes: “{gone.text}”")
        await self._thawed("committed")
        await self._lands(bob, description)

    async def _frozen(self) -> None:
        """Proofs are seen, an emergency opens by itself, and everybody's node says what that means."""
        card = await until_emergency(self.group, self.honest, self.bad, self.known)
        self.freezes += 1
        await all_have(self.group, self.everybody, lambda one: bool(one.frozen), "the freeze")
        shown = self.honest[0].watch.groups[self.group]
        if card.status != "open" or shown.frozen_until is None:
            raise DemoFailed("The emergency was decided before anybody voted; the test is void.")
        await self.tell(f"{card.asked_by.name}’s node opens an emergency by itself: “{card.title}.”")
        await self.tell(f"All nodes say: “{shown.frozen}”")

    async def _propose(self, player: Player, description: str) -> None:
        """It is held at the proposer's node, and nobody is asked."""
        done: Done = await player.client.propose_settings(self.group, description=description)
        if WAITS not in done.sentence or done.proposal is not None:
            raise DemoFailed(f"{player.name} was not told that the proposal waits: {done.sentence} Please report it.")
        await player.watch.until_line(self.group, lambda one: one.text.startswith(HELD), "the line that it waits")
        shown = await player.watch.until_group(
            self.group, lambda one: one.held == 1, f"the held proposal of {player.name}"
        )
        for other in self.everybody:
            if self._settings(await other.client.group(self.group)):
                raise DemoFailed(f"{other.name} is asked about what should wait; please report it.")
        await self.tell(f"{player.name} proposes “{description}” and is told: “{done.sentence}”")
        [held] = shown.waiting
        line = await line_of_cli(player, held.sentence, "group", "show", GROUP_NAME)
        await self.tell(f"“demls group show {GROUP_NAME}” says: {line.removeprefix('Waits').strip()}")

    def _settings(self, shown: Group) -> list[Proposal]:
        return [card for card in shown.proposals if card.kind == "settings" and card.status in ("open", "approved")]

    async def _talk(self, speaker: Player, question: str, answer: str, answering: Player) -> None:
        for player, text in ((speaker, question), (answering, answer)):
            await player.client.send(self.group, text)
            await all_of(self.everybody, lambda one, text=text: one.watch.until_said(text))  # type: ignore[misc]
            await self.tell(f"{player.name}: {text}   (read by all)")
        await self._still_frozen()

    async def _still_frozen(self) -> None:
        for player in self.honest:
            if not (await player.client.group(self.group)).frozen:
                raise DemoFailed("The freeze was over too early; the test is void.")

    async def _vote_on_what_was_open(self, ban: str, voters: list[Player]) -> None:
        await all_of(voters, lambda player: player.client.vote(self.group, ban, yes=False))

        def is_rejected(one: Group) -> bool:
            card = find(one, ban)
            return card is not None and card.status == "rejected"

        await all_have(self.group, self.honest, is_rejected, "the end of the vote that was open before")
        await self._still_frozen()
        card = find(self.honest[0].watch.groups[self.group], ban)
        assert card is not None
        await self.tell(f"Votes on what was open go on, too. {card.title}: {card.result}")

    async def _thawed(self, end: str) -> Proposal:
        """The freeze ends with the emergency, at all nodes; returns how the emergency is shown."""

        def is_over(one: Group) -> bool:
            about = [shown for shown in one.proposals if shown.kind == "emergency"]
            is_decided = not any(shown.status in ("open", "approved") for shown in about)
            return is_decided and any(shown.status == end for shown in about) and not one.frozen

        await all_have(self.group, self.honest, is_over, "the end of the emergency and of the freeze")
        self.known = all_emergencies(self.group, self.honest, self.bad)
        times = self.freezes
        for player in self.honest:
            await player.watch.until(
                lambda player=player: len(self._over(player)) >= times,  # type: ignore[misc]
                f"word of the end of the freeze at {player.name}’s node",
            )
        cards = self.honest[0].watch.groups[self.group].proposals
        ended = next(one for one in cards if one.kind == "emergency" and one.status == end)
        await self.tell(f"{ended.result} {self.honest[0].name}’s node notes: “{self._over(self.honest[0])[-1]}”")
        return ended

    def _over(self, player: Player) -> list[str]:
        return [one.text for one in player.watch.lines if one.group == self.group and one.text.startswith(OVER)]

    async def _lands(self, proposer: Player, description: str) -> None:
        """What was held is opened by itself, with its proposer's vote, and is carried out when the others agree."""
        others = [player for player in self.honest if player is not proposer]

        def is_open(one: Group) -> bool:
            return any(card.asked_by.address == proposer.address for card in self._settings(one))

        await all_have(self.group, self.honest, is_open, "the proposal that was held")
        card = self._settings(others[0].watch.groups[self.group])[0]
        await self.tell(
            f"{proposer.name}’s proposal is opened by itself: “{card.title}”. {proposer.name} does nothing."
        )
        await agree(self.group, card.id, others)

        def has_landed(one: Group) -> bool:
            shown = find(one, card.id)
            return shown is not None and shown.status == "committed" and one.description == description

        await all_have(self.group, self.honest, has_landed, f"“{description}”")
        for player in self.honest:
            shown = await player.client.group(self.group)
            if shown.held or shown.frozen:
                raise DemoFailed(f"Something still waits at {player.name}’s node; please report it.")
        shown = await together(self.group, self.honest)
        await self.tell(f"{names(others)} vote yes, and it is carried out: “{description}” (epoch {shown.epoch}).")


STORY = Story(
    "freeze",
    "While an emergency is decided other proposals wait, talk goes on, and all that waited lands (needs a checkout).",
    "A relay and four nodes are starting, one of them malicious…",
    play,
)
