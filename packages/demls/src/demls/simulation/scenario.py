"""What kind of world does this seed make? Everything that is drawn before the story begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from demls_consensus import Share

from demls.protocol.policy import COUNCIL, DAY, HOUR, MINUTE, PRESETS, SECOND, needs_stewards
from demls.wire.charters import Deciders, Policy, Rule

MEMBERS_MIN, MEMBERS_MAX = 2, 40
EPOCHS_LEAST = 20
EPOCHS_SHORTEST = 3
"""A world that is made smaller lives through so many at least."""

_SIZES = {
    **dict.fromkeys(range(2, 5), 8),
    **dict.fromkeys(range(5, 8), 10),
    **dict.fromkeys(range(8, 11), 5),
    **dict.fromkeys(range(11, 15), 0.5),
    **dict.fromkeys(range(15, 21), 0.25),
}
"""How often a group of each size is drawn: small groups are cheap, large ones are needed."""

_HUGE, _HUGE_SIZES = 0.004, range(21, MEMBERS_MAX + 1)
"""How often a group is larger than all of these."""

SKEW_MAX = 60 * SECOND
"""So much the clocks of two nodes may differ."""

_BRISK = (Rule(8 * SECOND, True), Rule(8 * SECOND, False))
_SLOW = (Rule(10 * MINUTE, False), Rule(2 * DAY, True))
_SHARES = (*[Share.TWO_THIRDS] * 5, Share.MORE_THAN_HALF, Share.THREE_QUARTERS, Share.ALL)
_STEWARDS = (1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 7)
"""Short lists often, so that there are elections."""
_DOZING = 0.1
_MUFFLING = 0.15
_DELIVERIES, _DELIVERIES_OF_EACH = 2_000, 800
_HEAVY_LOSS = 0.2
_HIDING = 0.15
_RESTORING = 0.5
REAL_DISK_EVERY = 20
_REAL_DISK_BELOW = 6
_EPOCHS_OF_LARGE = 6
"""Large groups live through fewer epochs, but not fewer than this."""

_ACK_LIMIT = 8
"""In a crowd, groups of more members have a committee."""

_PART_BYTES = 2_000
"""And welcomes come in parts."""

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
    tail: float = 0.0
    """If positive, delays have a heavy tail: Pareto's, with this exponent, up to a minute."""


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
    profile: str = "plain"
    skew: int = 0
    """By so much, in ms, two nodes' clocks differ at most; each drifts within it."""
    slow_disks: int = 0
    """Mean time that a write takes on a slow disk, in ms; every other disk is slow."""
    forgets: float = 0.0
    """Share of envelopes that the history of the relay has lost."""
    hides: bool = False
    """Does the relay withhold topics, or what some members say, for a while?"""
    restores: bool = False
    """Does it happen that a node is lost and restored from a backup?"""
    deliveries: int = 1 << 40
    """After so many the faults end, and after twice as many the living: so a storm of messages costs no minutes."""
    real_disk: bool = False
    """Are the nodes' disks real files of the real store?"""
    disputes: float = 0.0
    """Chance that the network is cut, for as long as an election lasts, when the election has just begun."""
    part_bytes: int = 0
    """If positive, larger welcomes come in parts of so many bytes."""

    @property
    def faults(self) -> tuple[str, ...]:
        """The kinds of things that go wrong in it."""
        weather = self.weather
        kinds = {
            "loss": weather.loss > 0,
            "heavy loss": weather.loss >= _HEAVY_LOSS,
            "repeats": weather.repeats > 0,
            "heavy tail": weather.tail > 0 or weather.stragglers > 0,
            "partitions": self.partitions,
            "crashes": self.crashes > 0,
            "strikes": self.strikes > 0,
            "stewards away": self.blackouts,
            "wrong clocks": self.skew > 0,
            "slow disks": self.slow_disks > 0,
            "forgetful relay": self.forgets > 0,
            "withholding relay": self.hides,
            "backups": self.restores,
            "bad members": self.adversaries > 0,
        }
        return tuple(kind for kind, is_so in kinds.items() if is_so)

    @classmethod
    def draw(cls, seed: int, engine: str, members: int | None = None, profile: str = "plain") -> Scenario:
        """The world of a seed. ``profile`` is one of ``PROFILES``."""
        dice = Random(f"{seed}/scenario")  # noqa: S311 - no secrets are made of it
        size = dice.choices(list(_SIZES), list(_SIZES.values()))[0]
        extra = Random(f"{seed}/profile")  # noqa: S311 - so that what else is drawn stays as it was
        if profile != "plain" and extra.random() < _HUGE:
            size = extra.choice(_HUGE_SIZES)
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
        plain = cls(
            seed,
            size,
            _draw_policy(dice, delivery, dozes=dozes),
            weather,
            dice.random() < 0.5,
            dice.choice((2_500, 4_000, 7_000)),
            max(_EPOCHS_OF_LARGE, dice.randint(EPOCHS_LEAST + 1, EPOCHS_LEAST + 5) - max(0, size - 9)),
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
        return PROFILES[profile](plain, extra)


def _plain(plain: Scenario, dice: Random) -> Scenario:  # noqa: ARG001 - one form
    return plain


def _full(plain: Scenario, dice: Random) -> Scenario:
    """Everything that can go wrong, each now and then."""
    repeats = dice.choice((plain.weather.repeats, plain.weather.repeats, 0.5))
    tail = dice.choice((0.0, 0.0, 0.0, 1.1, 1.5))
    return replace(
        plain,
        profile="full",
        deliveries=_DELIVERIES + _DELIVERIES_OF_EACH * plain.members,
        weather=replace(plain.weather, repeats=repeats, tail=tail),
        skew=dice.choice((0, 0, 2 * SECOND, 30 * SECOND, SKEW_MAX)),
        slow_disks=dice.choice((0, 0, 0, 50, 400, 2_000)),
        forgets=dice.choice((0.0, 0.0, 0.05, 0.3)) if plain.has_history else 0.0,
        hides=plain.members > 3 and dice.random() < _HIDING,
        restores=not plain.dozes and dice.random() < _RESTORING,
        real_disk=plain.members < _REAL_DISK_BELOW and plain.seed % REAL_DISK_EVERY == 0,
        disputes=dice.choice((0.0, 0.0, 0.0, 0.6)),
    )


def _harsh(plain: Scenario, dice: Random) -> Scenario:
    """All of it at once: loss, cuts and crashes all the time, as many bad members as there may be."""
    full = _full(plain, dice)
    return replace(
        full,
        profile="harsh",
        weather=replace(full.weather, loss=dice.choice((0.1, 0.2, 0.3)), repeats=0.1, stragglers=0.1),
        crashes=dice.choice((0.01, 0.03)),
        partitions=True,
        blackouts=True,
        strikes=0.3,
        adversaries=max(0, (plain.members - 1) // 3),
    )


def _calm(plain: Scenario, dice: Random) -> Scenario:  # noqa: ARG001 - one form
    """Nothing goes wrong, and nobody is bad."""
    return replace(
        plain,
        profile="calm",
        weather=CALM,
        crashes=0.0,
        partitions=False,
        blackouts=False,
        strikes=0.0,
        naps=False,
        dozes=False,
        adversaries=0,
        muffles=False,
    )


def _crowd(plain: Scenario, dice: Random) -> Scenario:
    """What only large groups have, in small ones: committees, welcomes in parts, and stewards who decide first."""
    full = _full(plain, dice)
    members = plain.members if plain.members > _ACK_LIMIT else dice.randint(_ACK_LIMIT + 1, _ACK_LIMIT + 4)
    policy = replace(full.policy, ack_limit=_ACK_LIMIT, committee=dice.choice((4, 6, 6, 8)))
    if dice.random() < 0.4:
        stewards = int(Deciders.STEWARDS)
        invite, remove = (replace(rule, decided_by=stewards) for rule in dice.choice((_BRISK, _BRISK, _SLOW)))
        most = COUNCIL.stewards_max
        policy = replace(full.policy, invite=invite, remove=remove, stewards_min=most, stewards_max=most)
    elif needs_stewards(policy):
        members_decide = int(Deciders.MEMBERS)
        invite, remove = (replace(rule, decided_by=members_decide) for rule in (policy.invite, policy.remove))
        policy = replace(policy, invite=invite, remove=remove, stewards_min=1, stewards_max=dice.choice(_STEWARDS))
    adversaries = min(full.adversaries, (members - 1) // 3)
    return replace(
        full, profile="crowd", members=members, policy=policy, adversaries=adversaries, part_bytes=_PART_BYTES
    )


PROFILES: dict[str, Callable[[Scenario, Random], Scenario]] = {
    "full": _full,
    "plain": _plain,
    "harsh": _harsh,
    "calm": _calm,
    "crowd": _crowd,
}
"""Which faults a world has. ``plain``: as full, with good clocks, disks and relays: seeds with names are of it."""


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
