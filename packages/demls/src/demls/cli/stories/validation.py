"""Commit validation: a member whose node is really malicious leads, and the others refuse what nobody decided."""

from __future__ import annotations

from dataclasses import dataclass

from demls.api.models import Group, PolicyChange
from demls.cli.cast import Narrator, Player, Seat, Stage, Story, all_of
from demls.cli.cast_rogue import BAD, rogue_folder, rogue_seat
from demls.cli.processes import DemoFailed
from demls.cli.scenes import agree, all_have, find, found, names, propose, together

HONEST = ("Alice", "Bob", "Carol")
POLICY = PolicyChange(batch_window_ms=2_000)
REFUSED = "offered a commit that breaks check "


@dataclass(frozen=True, slots=True)
class Attack:
    """``strategy``: of ``rogue.node``. ``check``: by which it is refused; empty if there is no rule to break."""

    group: str
    strategy: str
    what: str
    check: str
    outcome: str
    warning: str = ""
    """What every honest node warns of."""
    lands_by_leader: bool = False
    """The decided change comes with the bad leader's own commit."""


ATTACKS = (
    Attack(
        "Attic",
        "smuggle-removal",
        "Her commit also removes Carol, on whom nobody has voted.",
        "V10",
        "Carol is still in.",
    ),
    Attack(
        "Balcony",
        "smuggle-addition",
        "Her commit also admits a key package of hers, on which nobody has voted.",
        "V10",
        "Nobody came in.",
    ),
    Attack(
        "Cellar",
        "other-settings",
        "Her commit carries the decision, but writes other settings into the group.",
        "V10",
        "The settings are those that were decided.",
    ),
    Attack("Den", "garbage", "Her commit is a heap of random bytes.", "V01", "Nobody stumbled."),
    Attack("Entrance", "other-state", "Her commit continues a state that never was.", "V02", "There is one history."),
    Attack(
        "Floor",
        "leave-out",
        "Her commit leaves out what was decided.",
        "",
        "An empty commit breaks no rule, and can get no certificate: the next leader carries out what was decided.",
    ),
    Attack(
        "Garage",
        "two-faced",
        "She offers two different commits in one view, and signs for both.",
        "",
        "The first was taken by all, the second by nobody.",
        warning="signed two different statements in one view",
        lands_by_leader=True,
    ),
)


async def play(stage: Stage) -> None:
    """Raises DemoFailed, ClientError."""
    rogue_folder()
    relay = await stage.relay()
    bad_seat = rogue_seat(relay, *(f"{attack.group}={attack.strategy}" for attack in ATTACKS))
    *honest, bad = await stage.players(*(Seat(name, relay) for name in HONEST), bad_seat)
    await stage.narrator.head(f"{BAD} has founded some groups; {names(honest)} do not know yet what her node can do.")
    await stage.narrator.tell(
        f"Her program is demls with its core changed: when she leads and there is something to commit, it cheats. "
        f"Each group has four members, so three make a commit; {BAD} is the first steward of each."
    )
    for attack in ATTACKS:
        await _play(attack, honest, bad, stage.narrator)
    await stage.narrator.head("What holds now?")
    await _blame(honest)
    await stage.narrator.tell(
        f"The {len(ATTACKS)} attacks changed nothing that was not decided, and at no honest node is anybody but "
        f"{BAD} named for breaking a rule."
    )


async def _play(attack: Attack, honest: list[Player], bad: Player, narrator: Narrator) -> None:
    await narrator.head(f"“{attack.group}”: {attack.what}")
    group = await found(attack.group, POLICY, bad, honest)
    before = await together(group, [bad, *honest])
    if before.epoch_steward is None or before.epoch_steward.address != bad.address:
        raise DemoFailed(f"{BAD} is not the epoch steward of “{attack.group}”; the test is void.")
    wish = f"{attack.group} for all"
    proposal = await propose(honest[0], group, description=wish)
    await agree(group, proposal, honest[1:])
    await narrator.tell(f"{names(honest)} decide on a description: “{wish}”. {BAD} leads.")
    if attack.check:
        for player in honest:
            line = await player.watch.until_line(
                group, lambda one: f"{REFUSED}{attack.check} " in one.text, f"the refusal by check {attack.check}"
            )
        await narrator.tell(f"All three honest nodes note: “{line.text}”")
    if attack.warning:
        for player in honest:
            line = await player.watch.until_line(group, lambda one: attack.warning in one.text, "the warning")
        await narrator.tell(f"All three honest nodes warn: “{line.text}”")

    def has_landed(one: Group) -> bool:
        card = find(one, proposal)
        return card is not None and card.status == "committed" and one.description == wish

    await all_have(group, honest, has_landed, "what was decided")
    shown = await together(group, honest)
    await _check_state(attack, before, shown, honest)
    next_leader = await _lost_turn(attack, group, honest)
    await narrator.tell(f"{attack.outcome} What was decided is in, {next_leader}: epoch {shown.epoch}, one history.")


async def _check_state(attack: Attack, before: Group, shown: Group, honest: list[Player]) -> None:
    """Nothing but the description is another, and one epoch was made of it."""

    def agreed(one: Group) -> tuple[object, ...]:
        return one.name, one.policy, one.members, one.counted

    people = {member.address for member in await honest[0].client.members(shown.id)}
    if agreed(shown) != agreed(before) or not people >= {player.address for player in honest}:
        raise DemoFailed(f"“{attack.group}” has changed in a way that nobody decided; please report it.")
    if shown.epoch != before.epoch + 1:
        raise DemoFailed(f"“{attack.group}” went from epoch {before.epoch} to {shown.epoch}; please report it.")


async def _lost_turn(attack: Attack, group: str, honest: list[Player]) -> str:
    """Whose commit it was, in words; only the bad leader may have lost a turn, and only if it was another's."""

    async def check(player: Player) -> None:
        lost = [one.name for one in await player.client.members(group) if one.lost_turn]
        if lost != ([] if attack.lands_by_leader else [BAD]):
            raise DemoFailed(f"At {player.name}’s node {lost} have lost their turns; please report it.")

    await all_of(honest, check)
    if attack.lands_by_leader:
        return f"by {BAD}’s first commit, which was a good one"
    line = await honest[0].watch.until_line(group, lambda one: "made the commit at attempt 2" in one.text, "the commit")
    who = honest[0].name if line.text.startswith("You ") else line.text.split(" made ")[0]
    if who == BAD:
        raise DemoFailed(f"{BAD} was trusted with another attempt; please report it.")
    return f"by {who}’s commit"


async def _blame(honest: list[Player]) -> None:
    """Nobody innocent is named by any honest node."""
    for player in honest:
        blaming = [one.text for one in player.watch.lines if REFUSED in one.text or "broke a rule" in one.text]
        if not blaming or not all(text.startswith(BAD) for text in blaming):
            raise DemoFailed(f"{player.name}’s node blames somebody innocent; please report it.")


STORY = Story(
    "validation",
    "A member with a malicious node leads, and cheats in seven ways; everybody checks her commits (needs a checkout).",
    "A relay and four nodes are starting, one of them malicious…",
    play,
)
