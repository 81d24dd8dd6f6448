"""Peer scores: what is proven against a member costs it points, with reasons, until the nodes ask to remove it."""

from __future__ import annotations

from demls.api.models import GroupState, PolicyChange, Proposal, RuleChange, ScoringChange
from demls.cli.cast import Narrator, Player, Seat, Stage, Story
from demls.cli.cast_rogue import BAD, cheat, rogue_folder, rogue_seat
from demls.cli.processes import DemoFailed
from demls.cli.scenes import agree, all_have, found, names, propose, together
from demls.cli.scenes_trouble import (
    PRAISE,
    ask_cli,
    check_innocent,
    judge,
    line_of_cli,
    member,
    until_emergency,
    until_removed,
    until_score,
)

HONEST = ("Alice", "Bob", "Carol")
PATIENT, STRICT = "Workshop", "Laboratory"
POLICY = PolicyChange(batch_window_ms=1_000, emergency=RuleChange(duration_ms=30_000))
"""People have half of that to vote, then their nodes do."""
STRICT_PRICE = 120
STRICT_POLICY = PolicyChange(
    batch_window_ms=1_000,
    emergency=RuleChange(duration_ms=240_000),
    scoring=ScoringChange(broken_commit=STRICT_PRICE),
)

SMUGGLED = "offered a commit that does something else than was decided"
BROKEN = "offered a broken commit"
FALSE = "accused somebody without proof"
DOUBLE = "signed two different things"
UPHELD = "its emergency was decided yes"


async def play(stage: Stage) -> None:
    """Raises DemoFailed, ClientError."""
    rogue_folder()
    relay = await stage.relay()
    bad_seat = rogue_seat(relay, f"{PATIENT}=smuggle-removal", f"{STRICT}=garbage")
    *honest, bad = await stage.players(*(Seat(name, relay) for name in HONEST), bad_seat)
    story = _Story(honest, bad, stage.narrator)
    await story.a_smuggled_removal()
    await story.a_false_accusation()
    await story.two_signatures()
    await story.a_strict_group()


class _Story:
    """Two groups of the same four people: in one it takes several faults, in the other a single one."""

    def __init__(self, honest: list[Player], bad: Player, narrator: Narrator) -> None:
        self.honest, self.bad = honest, bad
        self.tell, self.head = narrator.tell, narrator.head
        self.group = ""
        self.start = 0
        self.score = 0

    async def _found(self, name: str, policy: PolicyChange) -> None:
        """Mallory leads first, since she founds the group."""
        self.group = await found(name, policy, self.bad, self.honest)
        shown = await together(self.group, [self.bad, *self.honest])
        if shown.epoch_steward is None or shown.epoch_steward.address != self.bad.address or shown.policy is None:
            raise DemoFailed(f"{BAD} is not the epoch steward of “{name}”; the test is void.")
        self.start = shown.policy.scoring.start
        self.score = (await member(self.honest[0], self.group, self.bad.address)).score

    async def _decide(self, description: str) -> str:
        """The honest three decide something, which Mallory has to commit."""
        proposal = await propose(self.honest[0], self.group, description=description)
        await agree(self.group, proposal, self.honest[1:])
        await self.tell(f"{names(self.honest)} decide on a description: “{description}”. {BAD} leads.")
        return proposal

    async def _landed(self, description: str) -> None:
        await all_have(self.group, self.honest, lambda one: one.description == description, "what was decided")

    async def _fallen(self, cause: str, *, by: int) -> None:
        """All honest nodes have noted the fault, at its price, and blame nobody else for it."""
        score = await until_score(self.group, self.honest, self.bad, cause)
        for player in self.honest:
            shown = await member(player, self.group, self.bad.address)
            moves = [move.points for move in shown.score_history if move.cause == cause]
            if moves != [-by]:
                raise DemoFailed(f"“{cause}” has cost {moves} at {player.name}’s node, not {by}; please report it.")
        await check_innocent(self.group, self.honest, self.start)
        if score > self.score - by:
            raise DemoFailed(f"{BAD} has {score} points after {self.score} and a fault of {by}; please report it.")
        self.score = score

    async def _why(self) -> str:
        """Why has Mallory so few? API and command line answer alike."""
        asked = self.honest[0]
        shown = await member(asked, self.group, self.bad.address)
        name = asked.watch.groups[self.group].name
        sentence = await line_of_cli(asked, shown.score_sentence, "group", "score", name, BAD)
        return f"Why has {BAD} {shown.score}? “demls group score {name} {BAD}” says: “{sentence}”"

    async def a_smuggled_removal(self) -> None:
        await self.head(f"“{PATIENT}”: four people, and everybody begins with the same score.")
        await self._found(PATIENT, POLICY)
        said = await ask_cli(self.honest[0], "group", "members", PATIENT)
        for player in self.honest:
            if not any(player.address in line and f" {self.start} " in line for line in said.splitlines()):
                raise DemoFailed(f"The command line does not show {self.start} points of {player.name}.")
        await self.tell(f"Each newcomer has {self.start} points. {BAD}, who made the first commit, has {self.score}.")
        await self.head("Her first fault: her commit also removes somebody on whom nobody has voted.")
        await self._decide("Tools for all.")
        await self._landed("Tools for all.")
        await self._fallen(SMUGGLED, by=30)
        await self.tell(await self._why())
        await self.tell("The other three have lost nothing at any node, and who committed in her place has won.")

    async def a_false_accusation(self) -> None:
        victim = self.honest[-1]
        await self.head(f"Her second fault: she accuses {victim.name}, with signatures that {victim.name} never gave.")
        await cheat(self.bad, self.group, f"accuse {victim.address}")
        for player in self.honest:
            line = await player.watch.until_line(
                self.group, lambda one: "accused somebody with proofs that do not hold" in one.text, "the warning"
            )
        await self.tell(f"All three honest nodes warn: “{line.text}”")
        await self._fallen(FALSE, by=50)
        if any(card.kind == "emergency" for card in self.honest[0].watch.groups[self.group].proposals):
            raise DemoFailed("There is a vote on a false accusation; this must never be. Please report it.")
        shown = await member(self.honest[0], self.group, victim.address)
        await self.tell(f"{victim.name} still has {shown.score}, and there is no vote. {BAD} has {self.score}.")

    async def two_signatures(self) -> None:
        await self.head("Her third fault: she signs two different things in one view.")
        await cheat(self.bad, self.group, "sign-twice")
        for player in self.honest:
            line = await player.watch.until_line(
                self.group, lambda one: "signed two different statements in one view" in one.text, "the warning"
            )
        await self._fallen(DOUBLE, by=100)
        why = await self._why()
        card, frozen = await self._emergency()
        await judge(self.group, self.honest[:1], self.bad, yes=True)
        await self.tell(f"All three honest nodes warn: “{line.text}”")
        await self.tell(why)
        await self._tell_of(card, frozen)
        for player in self.honest[1:]:
            line = await player.watch.until_line(
                self.group,
                lambda one: one.proposal == card.id and "It has checked the proofs." in one.text,
                "its own vote on the emergency",
            )
        await self.tell(f"{self.honest[0].name} votes yes; for the others their nodes do: “{line.text}”")
        await self._is_out()
        await self._praise()

    async def _emergency(self) -> tuple[Proposal, str]:
        """It opens by itself at the threshold; and what waits for it, in the words of a node."""
        card = await until_emergency(self.group, self.honest, self.bad)
        if not card.removes or card.asked_by.address == self.bad.address:
            raise DemoFailed(f"“{card.title}” is not the emergency that was due; please report it.")
        shown = await self.honest[0].watch.until_group(self.group, lambda one: bool(one.frozen), "the freeze")
        return card, shown.frozen

    async def _tell_of(self, card: Proposal, frozen: str) -> None:
        await self.tell(f"At the threshold {card.asked_by.name}’s node opens a vote by itself: “{card.title}.”")
        await self.tell(card.rule)
        await self.tell(f"Meanwhile: {frozen}")

    async def _is_out(self) -> None:
        await until_removed(self.group, self.honest, self.bad)
        gone = await self.honest[0].watch.until_line(
            self.group, lambda one: f"{BAD} was removed at once" in one.text, "word of the removal"
        )
        await self.tell(f"“{gone.text}” {BAD}’s page says that she is out: “{await self._farewell()}”")
        await together(self.group, self.honest)
        await check_innocent(self.group, self.honest, self.start)

    async def _farewell(self) -> str:
        shown = await self.bad.client.group(self.group)
        if shown.state is not GroupState.REMOVED:
            raise DemoFailed(f"{BAD}’s node does not know that she is out; please report it.")
        return shown.sync.sentence

    async def _praise(self) -> None:
        """Who committed and who accused with right have more than a newcomer, as all nodes say."""
        shown = [await member(self.honest[0], self.group, player.address) for player in self.honest]
        causes = {move.cause for one in shown for move in one.score_history}
        if not {PRAISE, UPHELD} <= causes:
            raise DemoFailed("Nobody was praised for the commits, or for the emergency; please report it.")
        for one in shown:
            await self.tell(one.score_sentence)

    async def a_strict_group(self) -> None:
        await self.head(f"“{STRICT}”: here the members have agreed that a broken commit costs {STRICT_PRICE} points.")
        await self._found(STRICT, STRICT_POLICY)
        await self._decide("No open fire.")
        line = await self.honest[0].watch.until_line(
            self.group, lambda one: "offered a commit that breaks check V01" in one.text, "the refusal"
        )
        await self._fallen(BROKEN, by=STRICT_PRICE)
        card, frozen = await self._emergency()
        await judge(self.group, self.honest, self.bad, yes=True)
        await self.tell(f"Her commit is a heap of random bytes: “{line.text}” One such commit is enough here.")
        await self._tell_of(card, frozen)
        await self.tell(f"{names(self.honest)} vote yes.")
        await self._is_out()
        await self._landed("No open fire.")
        shown = await together(self.group, self.honest)
        await self.tell(
            f"What was decided is in, too. {names(self.honest)} are in epoch {shown.epoch} with one authenticator "
            f"({shown.authenticator[:16]}…), and nobody of them has lost a point for what {BAD} did."
        )


STORY = Story(
    "scores",
    "A malicious steward cheats until her score is at the threshold, and the nodes remove her (needs a checkout).",
    "A relay and four nodes are starting, one of them malicious…",
    play,
)
