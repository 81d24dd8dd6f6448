"""Newcomers set up their state: in the middle of a vote, of a recovery, of a commit round, and of an emergency."""

from __future__ import annotations

from demls.api.models import Group, GroupState, PolicyChange, Proposal, RuleChange
from demls.cli.cast import Narrator, Player, Seat, Stage, Story
from demls.cli.cast_rogue import BAD, cheat, rogue_folder, rogue_seat
from demls.cli.processes import DemoFailed
from demls.cli.scenes import agree, all_have, decide, find, found, names, propose, together
from demls.cli.scenes_trouble import committer, judge, until_emergency, until_removed
from demls.client import RefusedByNode

NAMES = ("Alice", "Bob", "Carol")
NEW = "Nina"
CHOIR, BAND, THEATRE = "Choir", "Band", "Theatre"
VOTED = RuleChange(duration_ms=240_000, silence_is_yes=False)
"""So long that only votes decide."""
SILENT = RuleChange(duration_ms=4_000, silence_is_yes=True)
"""For what is to be approved while people are away."""
CHOIR_POLICY = PolicyChange(stewards_min=1, stewards_max=1, batch_window_ms=500, invite=VOTED, settings=VOTED)
BAND_POLICY = PolicyChange(batch_window_ms=500, invite=VOTED, settings=SILENT)
THEATRE_POLICY = PolicyChange(batch_window_ms=500, invite=SILENT, settings=VOTED, emergency=VOTED)
EPOCHS_MAX = 16
"""Within so many everybody has had a turn as a steward."""


async def play(stage: Stage) -> None:
    """Raises DemoFailed, ClientError."""
    rogue_folder()
    relay = await stage.relay()
    seats = [*(Seat(name, relay) for name in NAMES), rogue_seat(relay), Seat(NEW, relay)]
    *people, nina = await stage.players(*seats)
    await stage.narrator.head(f"Four people have three groups; {NEW} joins each of them, never at a quiet moment.")
    story = _Story(people, nina, stage.narrator)
    await story.in_a_vote_and_a_recovery()
    await story.in_a_round()
    await story.in_an_emergency()
    await story.becomes_a_steward()


class _Story:
    """Three groups of the same four; whoever made the invite link is stopped each time before Nina gets in."""

    def __init__(self, people: list[Player], nina: Player, narrator: Narrator) -> None:
        self.people, self.nina = people, nina
        self.alice, self.bob, self.carol, self.bad = people
        self.tell, self.head = narrator.tell, narrator.head
        self.group = ""

    # --- Scenes -----------------------------------------------------------------------------------------------------

    async def _ask(self, inviter: Player, asked: list[Player]) -> str:
        """Nina asks with a link of ``inviter``; returns the proposal to admit her once all ``asked`` show it."""
        link = await inviter.client.invite(self.group)
        await self.nina.client.join(link.text)

        def has_come(one: Group) -> bool:
            return bool(self._invites(one))

        await all_have(self.group, asked, has_come, f"{NEW}’s request")
        return self._invites(asked[0].watch.groups[self.group])[0].id

    def _invites(self, shown: Group) -> list[Proposal]:
        return [card for card in shown.proposals if card.kind == "invite" and card.subject.address == self.nina.address]

    async def _is_in(self, live: list[Player]) -> Group:
        """Nina is in, and shows what the others show: epoch, authenticator, members, settings."""

        def is_member(one: Group) -> bool:
            return one.state is GroupState.MEMBER and one.members == len(self.people) + 1

        await all_have(self.group, [*live, self.nina], is_member, f"the admission of {NEW}")
        shown = await together(self.group, [*live, self.nina])
        seen = await self.nina.client.group(self.group)
        if (seen.name, seen.description, seen.policy) != (shown.name, shown.description, shown.policy):
            raise DemoFailed(f"{NEW} came to know other settings than the others; please report it.")
        theirs, hers = [await player.client.members(self.group) for player in (live[0], self.nina)]
        if {(one.address, one.name) for one in theirs} != {(one.address, one.name) for one in hers}:
            raise DemoFailed(f"{NEW} came to know other members than the others; please report it.")
        return shown

    async def _joined_in(self) -> int:
        """The epoch in which Nina began, as her own node notes it."""
        line = await self.nina.watch.until_line(
            self.group, lambda one: one.text.startswith("You joined"), "her joining"
        )
        assert line.epoch is not None
        return line.epoch

    async def _has_no_voice(self, proposal: str) -> str:
        """In what was opened before she came; returns what she is told."""
        try:
            await self.nina.client.vote(self.group, proposal, yes=True)
        except RefusedByNode as refusal:
            return str(refusal)
        raise DemoFailed(f"{NEW} voted on what was opened before she came; this must never be. Please report it.")

    async def _round_waits(self, live: list[Player]) -> None:
        """A commit round is open, everybody who is there has answered, and one more is needed."""

        def is_stuck(one: Group) -> bool:
            return one.round.open and one.round.heard == len(live) == one.round.needed - 1

        await all_have(self.group, live, is_stuck, "the commit round that waits")

    def _stop(self, player: Player) -> None:
        player.program.pause()

    # --- Chapters ---------------------------------------------------------------------------------------------------

    async def in_a_vote_and_a_recovery(self) -> None:
        alice, bob, carol, bad = self.people
        live = [bob, carol, bad]
        await self.head(f"“{CHOIR}”: {NEW} comes in the middle of a vote, and while the only steward is silent.")
        self.group = await found(CHOIR, CHOIR_POLICY, alice, [bob, carol, bad])
        wish = "We sing on Thursdays."
        proposal = await propose(bob, self.group, description=wish)
        invite = await self._ask(alice, self.people)
        before = await together(self.group, self.people)
        if [one.address for one in before.stewards] != [alice.address]:
            raise DemoFailed(f"{alice.name} is not the only steward; the test is void.")
        self._stop(alice)
        await self.tell(f"{bob.name} has proposed “{wish}”, nobody else has voted. {alice.name} gave {NEW} a link.")
        await self.tell(f"{alice.name}, the only steward, is stopped (SIGSTOP); {names(live)} vote yes on {NEW}.")
        await agree(self.group, invite, live)
        await self._is_in(live)
        maker = await committer(self.nina, self.group, before.epoch)
        if maker.address not in {player.address for player in live}:
            raise DemoFailed(f"{maker.name} made the commit while stopped; please report it.")
        await self.tell(
            f"{maker.name}, no steward, made the commit. Welcome, tree and state came from those who are there: "
            f"{NEW} shows epoch, authenticator, members and settings as they do."
        )
        await self._follows_the_vote(proposal, wish, live)
        await self._is_needed("We sing on Fridays.", live)
        await alice.go_on()
        shown = await together(self.group, [*self.people, self.nina])
        await self.tell(f"{alice.name} is back: all five are in epoch {shown.epoch}, with one authenticator.")

    async def _follows_the_vote(self, proposal: str, wish: str, live: list[Player]) -> None:
        """Nina sees the vote that was open as the others do, without a voice in it, and what comes of it."""
        bob, *others = live

        def sees(one: Group) -> bool:
            card = find(one, proposal)
            return card is not None and (card.status, card.yes, card.voters, card.may_vote) == ("open", 1, 4, False)

        await all_have(self.group, [self.nina], sees, "the vote that was open before")
        card = find(self.nina.watch.groups[self.group], proposal)
        assert card is not None
        await self.tell(f"{NEW} sees the open vote: {card.yes} yes, {card.silent} silent of {card.voters}.")
        await self.tell(f"She tries to vote and is told: “{await self._has_no_voice(proposal)}”")
        await agree(self.group, proposal, others)
        await all_have(self.group, [*live, self.nina], lambda one: one.description == wish, f"“{wish}”")
        await self.tell(
            f"{names(others)} vote yes, and it is committed. Four of five had to take part: {bob.name}, "
            f"{names(others)}, and the node of {NEW}."
        )

    async def _is_needed(self, wish: str, live: list[Player]) -> None:
        """Of five members, one of them stopped, all four others have to vote yes: Nina's vote decides."""
        proposal = await propose(live[0], self.group, description=wish)
        await agree(self.group, proposal, live[1:])
        everybody = [*live, self.nina]

        def waits_for_nina(one: Group) -> bool:
            card = find(one, proposal)
            return card is not None and (card.status, card.yes, card.needed) == ("open", len(live), len(live) + 1)

        await all_have(self.group, everybody, waits_for_nina, f"the vote that waits for {NEW}")
        await self.nina.client.vote(self.group, proposal, yes=True)
        await all_have(self.group, everybody, lambda one: one.description == wish, f"“{wish}”")
        await self.tell(
            f"The next vote has {len(live)} of the {len(everybody)} yes that it needs; {NEW}’s is the last."
        )

    async def in_a_round(self) -> None:
        alice, bob, carol, bad = self.people
        live = [alice, carol, bad]
        await self.head(f"“{BAND}”: {NEW} comes in the middle of a commit round.")
        self.group = await found(BAND, BAND_POLICY, alice, [bob, carol, bad])
        invite = await self._ask(bob, self.people)
        self._stop(bob)
        self._stop(self.nina)
        await self.tell(f"{bob.name} gave {NEW} a link; then both {bob.name}’s and {NEW}’s processes are stopped.")
        await agree(self.group, invite, live)
        await all_have(self.group, live, lambda one: one.members == len(self.people) + 1, f"the admission of {NEW}")
        admitted = await together(self.group, live)
        await self.tell(
            f"{names(live)} vote yes: {NEW} is a member in epoch {admitted.epoch}, and does not know it yet."
        )
        wish = "We play by ear."
        await propose(alice, self.group, description=wish)

        await self._round_waits(live)
        stuck = alice.watch.groups[self.group]
        await self.tell(f"“{wish}” is approved, and a commit takes four of five. {stuck.round.sentence}")
        if stuck.epoch != admitted.epoch or stuck.description == wish:
            raise DemoFailed("Three of five have made a commit; this must never be. Please report it.")
        await self.nina.go_on()
        await all_have(self.group, [*live, self.nina], lambda one: one.description == wish, f"“{wish}”")
        shown = await self._is_in(live)
        began = await self._joined_in()
        if began != stuck.epoch or shown.epoch != began + 1:
            raise DemoFailed(f"{NEW} began in epoch {began} and not in that of the round; please report it.")
        await self.tell(
            f"{NEW}’s process goes on: her node sets up epoch {began}, finds the round under way, and takes part. "
            f"That makes four: “{wish}” is in, epoch {shown.epoch}, one authenticator ({shown.authenticator[:16]}…)."
        )
        await bob.go_on()
        await together(self.group, [*self.people, self.nina])
        await self.tell(f"{bob.name} was stopped all the time, so {NEW} had welcome and state from others.")

    async def in_an_emergency(self) -> None:
        alice, bob, carol, bad = self.people
        await self.head(f"“{THEATRE}”: {NEW} comes while an emergency is being decided.")
        self.group = await found(THEATRE, THEATRE_POLICY, alice, [bob, carol, bad])
        invite = await self._ask(bob, self.people)
        for player in (bob, carol):
            self._stop(player)
        await self._round_waits([alice, bad])
        stuck = alice.watch.groups[self.group]
        card = find(stuck, invite)
        assert card is not None
        await self.tell(
            f"{bob.name}, who gave {NEW} a link, and {carol.name} are stopped. {card.title}: {card.result} "
            f"{stuck.round.sentence}"
        )
        await cheat(bad, self.group, "sign-twice")
        emergency = await until_emergency(self.group, [alice], bad)
        await self.tell(
            f"Now {BAD} signs two different things. {alice.name}’s node opens an emergency: “{emergency.title}.”"
        )
        await carol.go_on()
        live = [alice, carol, bad]
        await agree(self.group, invite, [carol])
        await agree(self.group, invite, [bad])
        await self._is_in(live)
        await until_emergency(self.group, [alice, carol], bad)
        for player in (alice, carol):
            if not (await player.client.group(self.group)).frozen:
                raise DemoFailed("The emergency was decided before anybody voted; the test is void.")
        await self.tell(f"{carol.name} is back, and the round that was under way is finished: {NEW} is in.")
        await self.tell(f"At {carol.name}’s node: “{carol.watch.groups[self.group].frozen}”")
        await bob.go_on()
        honest = [alice, bob, carol]
        await until_emergency(self.group, [*honest, self.nina], bad)
        await all_have(self.group, [self.nina], lambda one: bool(one.frozen), "the freeze")
        refusal = await self._has_no_voice(emergency.id)
        await self.tell(f"{bob.name} is back, too. {NEW}’s node shows the emergency; she tries to vote: “{refusal}”")
        await judge(self.group, honest, bad, yes=True)
        await until_removed(self.group, [*honest, self.nina], bad)
        shown = await together(self.group, [*honest, self.nina])
        await self.tell(
            f"{names(honest)} vote yes, and {BAD} is out. {NEW} has followed it: all four are "
            f"in epoch {shown.epoch} with one authenticator ({shown.authenticator[:16]}…)."
        )

    async def becomes_a_steward(self) -> None:
        await self.head(f"{NEW} becomes a steward.")
        people = [self.alice, self.bob, self.carol, self.nina]
        for number in range(EPOCHS_MAX):
            shown = await together(self.group, people)
            first = shown.epoch_steward
            if first is not None and first.address == self.nina.address:
                break
            await decide(self.group, f"Rehearsal {number + 1}.", people)
        else:
            raise DemoFailed(f"{NEW} has not become a steward within {EPOCHS_MAX} epochs; please report it.")
        await self.tell(f"Some commits later it is her turn in epoch {shown.epoch}. {shown.stewards_sentence}")
        await decide(self.group, "First night.", people)
        after = await together(self.group, people)
        for player in people:
            if (await committer(player, self.group, shown.epoch)).address != self.nina.address:
                raise DemoFailed(f"Another than {NEW} made the commit; is this machine very busy?")
        await self.tell(f"{NEW} made the commit of epoch {after.epoch}; all four nodes know it from the chain.")


STORY = Story(
    "joiners",
    "Somebody joins in the middle of a vote, a recovery, a commit round and an emergency (needs a checkout).",
    "A relay and five nodes are starting, one of them malicious…",
    play,
)
