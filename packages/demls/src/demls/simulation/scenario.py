"""What kind of world does this seed make? Everything that is drawn before the story begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from demls_consensus import Share

from demls.protocol.policy import DAY, HOUR, MINUTE, PRESETS, SECOND
from demls.wire.charters import Policy, Rule

MEMBERS_MIN, MEMBERS_MAX = 2, 20
EPOCHS_LEAST = 20

_SIZES = {
    **dict.fromkeys(range(2, 5), 8),
    **dict.fromkeys(range(5, 8), 10),
    **dict.fromkeys(range(8, 11), 5),
    **dict.fromkeys(range(11, 15), 0.5),
    **dict.fromkeys(range(15, 21), 0.25),
}
"""How often a group of each size is drawn: small groups are cheap, large ones are needed."""

_BRISK = (Rule(8 * SECOND, True), Rule(8 * SECOND, False))
_SLOW = (Rule(10 * MINUTE, False), Rule(2 * DAY, True))
_SHARES = (*[Share.TWO_THIRDS] * 5, Share.MORE_THAN_HALF, Share.THREE_QUARTERS, Share.ALL)
_STEWARDS = (1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 7)
"""Short lists often, so that there are elections."""
_DOZING = 0.1
_MUFFLING = 0.15
_LOSSES = (0.0, 0.0, 0.02, 0.05, 0.1, 0.2, 0.3)


@dataclass(frozen=True, slots=True)
class Weather:
    """What the network does to each delivery. Times in milliseconds."""

    loss: float
    repeats: float
    delay_least: int
    delay_most: int
    stragglers: float
    """Share of deliveries that take ten times as long."""


CALM = Weather(0.0, 0.0, 20, 150, 0.0)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A world before anything happens in it. ``pace``: mean time between two acts of people, in ms."""

    seed: int
    members: int
    policy: Policy
    weather: Weather
    has_history: bool
    pace: int
    epochs: int
    crashes: float
    """Chance of a crash in a step that writes something."""
    partitions: bool
    blackouts: bool
    """Are all stewards switched off now and then?"""
    strikes: float
    """Chance that a leader dies, or the network is cut, when a member has just acknowledged a candidate."""
    naps: bool
    """Is a node switched off now and then for several epochs?"""
    dozes: bool
    """Do members vanish for so long that they become dormant?"""
    adversaries: int
    engine: str
    muffles: bool
    """Are the packets of one member dropped for a long time?"""

    @classmethod
    def draw(cls, seed: int, engine: str, members: int | None = None) -> Scenario:
        dice = Random(f"{seed}/scenario")  # noqa: S311 - no secrets are made of it
        size = dice.choices(list(_SIZES), list(_SIZES.values()))[0]
        size = size if members is None else members
        fault = max(0, (size - 1) // 3)
        loss = dice.choice(_LOSSES)
        delivery = dice.choice((500, 1_000, 2_000, 4_000))
        dozes = size > 2 and dice.random() < _DOZING
        weather = Weather(
            loss,
            dice.choice((0.0, 0.02, 0.1)),
            dice.choice((5, 50, 200)),
            dice.choice((250, 600, delivery)),
            dice.choice((0.0, 0.0, 0.02, 0.1)),
        )
        return cls(
            seed,
            size,
            _draw_policy(dice, delivery, dozes=dozes),
            weather,
            dice.random() < 0.5,
            dice.choice((2_500, 4_000, 7_000)),
            dice.randint(EPOCHS_LEAST + 1, EPOCHS_LEAST + 5) - max(0, size - 9),
            dice.choice((0.0, 0.0005, 0.002, 0.006)) * min(1.0, 7 / size),
            dice.random() < 0.6,
            dice.random() < 0.3,
            dice.choice((0.0, 0.0, 0.02, 0.1)) * min(1.0, 5 / size),
            size > 3 and dice.random() < 0.3,
            dozes,
            max(0, dice.choice((0, fault, fault, fault + 1)) - 2 * dozes) if fault else 0,
            engine,
            size > 3 and dice.random() < _MUFFLING,
        )


def _draw_policy(dice: Random, delivery: int, *, dozes: bool) -> Policy:
    preset = PRESETS[dice.choice(("quick", "quick", "quick", "day", "day", "council"))]
    invite, remove = dice.choice(((preset.invite, preset.remove), (preset.invite, preset.remove), _BRISK, _SLOW))
    if dozes:
        invite, remove = _BRISK
    invite = replace(invite, share=dice.choice(_SHARES).code, decided_by=preset.invite.decided_by)
    policy = replace(
        preset,
        invite=invite,
        remove=replace(remove, share=dice.choice(_SHARES).code),
        batch_window=dice.choice((0, 300, 1_500, 5_000)),
        delivery_time=delivery,
        reelections_max=dice.randint(0, 3),
        election=Rule(dice.choice((10, 30, 30, 600)) * SECOND, False),
        settings=Rule(dice.choice((30, 30, 600)) * SECOND, False),
        dormant_after=HOUR if dozes else 14 * DAY,
    )
    if preset.preset == "council":
        return policy
    most = dice.choice(_STEWARDS)
    return replace(policy, stewards_min=dice.randint(1, most), stewards_max=most)
