"""What does a policy say in words, how does one become another, and what would a settings proposal change?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

from demls_consensus import Share

from demls.api import models
from demls.node.words import duration_words, times_words
from demls.protocol.odds import odds_of_committee, odds_of_stewards
from demls.protocol.policy import ACK_LIMIT, COMMITTEE, PRESETS, ack_limit, committee_drawn, needs_stewards
from demls.wire.charters import Deciders, Policy, Rule, Scoring

T = TypeVar("T")

CUSTOM = "custom"
"""The name of any policy that is no preset's."""

_DECIDERS: dict[int, models.Decider] = {Deciders.MEMBERS: "members", Deciders.STEWARDS: "stewards"}
_SHARES: dict[int, models.ShareName] = {
    Share.MORE_THAN_HALF.code: "more than half",
    Share.TWO_THIRDS.code: "two thirds",
    Share.THREE_QUARTERS.code: "three quarters",
    Share.ALL.code: "all",
}
_RULES = {
    "invite": "admissions",
    "remove": "removals",
    "election": "elections",
    "settings": "changes of the settings",
    "emergency": "emergencies",
}
_POINTS = {
    "start": "a newcomer has",
    "threshold": "nodes ask for a removal at",
    "heal": "an epoch without a fault brings back",
    "broken_commit": "a broken commit costs",
    "broken_proposal": "a commit of something else than was decided costs",
    "misbehaving": "any other faulty commit costs",
    "equivocation": "signing two different things costs",
    "lost_turn": "a lost turn costs",
    "rejected": "an accusation without proof, or voted down, costs",
    "committed": "a commit brings",
    "upheld": "an upheld accusation brings",
}


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a group's settings are."""

    name: str
    description: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class Changed:
    """One difference between two settings; ``phrase`` says what will be, within a sentence."""

    shown: models.Difference
    phrase: str


def share_name(code: int) -> models.ShareName:
    return _SHARES[code]


def decider_name(code: int) -> models.Decider:
    return _DECIDERS[code]


def shown(policy: Policy, members: int = 0) -> models.Policy:
    """The policy as the API gives it; ``members``: how many count in its group."""
    odds = list(_shown_odds(policy, members))
    return models.Policy(
        preset=policy.preset,
        invite=_shown_rule(policy.invite),
        remove=_shown_rule(policy.remove),
        election=_shown_rule(policy.election),
        settings=_shown_rule(policy.settings),
        stewards_min=policy.stewards_min,
        stewards_max=policy.stewards_max,
        batch_window_ms=policy.batch_window,
        delivery_time_ms=policy.delivery_time,
        reelections_max=policy.reelections_max,
        dormant_after_ms=policy.dormant_after,
        emergency=_shown_rule(policy.emergency),
        scoring=models.Scoring(**{name: getattr(policy.scoring, name) for name in _POINTS}),
        ack_limit=ack_limit(policy),
        committee=committee_drawn(policy),
        odds=odds,
        sentences=sentences(policy) + odds_sentences(odds),
    )


def _shown_odds(policy: Policy, members: int) -> Iterator[models.Odds]:
    if needs_stewards(policy):
        yield from (models.Odds(of="stewards", **asdict(one)) for one in odds_of_stewards(policy, members))
    yield from (models.Odds(of="committee", **asdict(one)) for one in odds_of_committee(policy, members))


def odds_sentences(odds: Sequence[models.Odds]) -> list[str]:
    """What the draws may come to, in words, for some shares of malicious members."""
    made = []
    for of, what, chance_of in (
        ("stewards", "stewards decide alone for the malicious ones", "captured"),
        ("stewards", "stewards can refuse everything for them", "blocked"),
        ("committee", "members of a committee are a third malicious, and could fork the group", "third"),
    ):
        found = [one for one in odds if one.of == of]
        if found:
            chances = [f"{share_words(one)}: {chance_words(getattr(one, chance_of))}" for one in found]
            one = found[0]
            made.append(
                f"How likely {one.drawn} of {one.members} {what}, by the share of the members that is: "
                f"{'; '.join(chances)}."
            )
    return made


def share_words(one: models.Odds) -> str:
    """``25 %``."""
    return f"{round(100 * one.bad / one.members)} %"


def chance_words(chance: float) -> str:
    """``4.5 %``, ``3 in 10^8``, ``never``."""
    if chance == 0:
        return "never"
    if chance >= _SMALL_CHANCE:
        return f"{100 * chance:.2g} %" if chance < 1 else "always"
    digit, power = f"{chance:.0e}".split("e-")
    return f"{digit} in 10^{int(power)}"


def _shown_rule(rule: Rule) -> models.Rule:
    return models.Rule(
        decided_by=decider_name(rule.decided_by),
        share=share_name(rule.share),
        duration_ms=rule.duration,
        silence_is_yes=rule.silence_is_yes,
    )


def sentences(policy: Policy) -> list[str]:
    """What the group has agreed."""
    dormant = (
        f"Members not heard for {duration_words(policy.dormant_after)} may be counted no longer, "
        "until they are heard again."
        if policy.dormant_after
        else "Every member counts, however long it is not heard."
    )
    return [
        f"Who is admitted: {_rule_words(policy.invite)}",
        f"Who is removed: {_rule_words(policy.remove)}",
        "Leaving needs no vote.",
        f"Name, description and these rules: {_rule_words(policy.settings)}",
        f"{_from_to(policy.stewards_min, policy.stewards_max)} take turns in making the commits; all members check.",
        f"Where there is a choice, stewards are elected: {_rule_words(policy.election)} "
        f"Nodes vote by themselves, and try again {_at_most(policy.reelections_max)} in an epoch.",
        dormant,
        f"A commit waits {duration_words(policy.batch_window)} for more that is approved; what one member sends is "
        f"expected to reach all others within {duration_words(policy.delivery_time)}.",
        f"Who is removed at once, for what it is proven to have done: {_rule_words(policy.emergency)} "
        "Other proposals wait meanwhile.",
        f"Each node keeps scores of what is proven: {', '.join(_points_words(policy.scoring))}.",
        f"In groups of more than {ack_limit(policy)} members the stewards and {committee_drawn(policy)} drawn members "
        "acknowledge the commits.",
        *([_UNDECIDED] if needs_stewards(policy) else []),
    ]


_SMALL_CHANCE = 0.001
_UNDECIDED = (
    "What the stewards leave undecided goes to all members, for as long again. If too few stewards are left, "
    "all members decide at once."
)


def _points_words(scoring: Scoring) -> list[str]:
    words = [f"{phrase} {getattr(scoring, name)}" for name, phrase in _POINTS.items()]
    return [f"{words[0]} points", *words[1:]]


def _rule_words(rule: Rule) -> str:
    silence = "then, with more than two of them, silence counts as yes" if rule.silence_is_yes else "silence is no yes"
    who = f"{share_name(rule.share)} of the {decider_name(rule.decided_by)}"
    return f"{who} vote yes within {duration_words(rule.duration)}; {silence}."


def _from_to(least: int, most: int) -> str:
    if least == most:
        return "1 steward" if least == 1 else f"{least} stewards"
    return f"{least} to {most} stewards"


def _at_most(count: int) -> str:
    return f"at most {times_words(count)}" if count else "never"


# --- Changing -----------------------------------------------------------------------------------------------------


def preset(name: models.Preset) -> Policy:
    return PRESETS[name]


def changed(policy: Policy, change: models.PolicyChange) -> Policy:
    """``policy`` with what ``change`` gives. Whether a group can live by it is for the core to say."""
    made = replace(
        policy,
        invite=_changed_rule(policy.invite, change.invite),
        remove=_changed_rule(policy.remove, change.remove),
        election=_changed_rule(policy.election, change.election),
        settings=_changed_rule(policy.settings, change.settings),
        stewards_min=_or(change.stewards_min, policy.stewards_min),
        stewards_max=_or(change.stewards_max, policy.stewards_max),
        batch_window=_or(change.batch_window_ms, policy.batch_window),
        delivery_time=_or(change.delivery_time_ms, policy.delivery_time),
        reelections_max=_or(change.reelections_max, policy.reelections_max),
        dormant_after=_or(change.dormant_after_ms, policy.dormant_after),
        emergency=_changed_rule(policy.emergency, change.emergency),
        scoring=_changed_scoring(policy.scoring, change.scoring),
        ack_limit=_or_default(change.ack_limit, policy.ack_limit, ACK_LIMIT),
        committee=_or_default(change.committee, policy.committee, COMMITTEE),
    )
    if made == policy:
        return policy
    same = (known for known in PRESETS.values() if replace(made, preset=known.preset) == known)
    return next(same, replace(made, preset=CUSTOM))


def _or_default(given: int | None, present: int, default: int) -> int:
    """On the wire the default is 0."""
    return present if given is None else 0 if given == default else given


def _or(given: T | None, present: T) -> T:
    return present if given is None else given


def _changed_rule(rule: Rule, change: models.RuleChange | None) -> Rule:
    if change is None:
        return rule
    codes = {name: code for code, name in _SHARES.items()}
    return Rule(
        duration=_or(change.duration_ms, rule.duration),
        silence_is_yes=_or(change.silence_is_yes, rule.silence_is_yes),
        share=rule.share if change.share is None else codes[change.share],
        decided_by=rule.decided_by if change.decided_by is None else int(Deciders[change.decided_by.upper()]),
    )


def _changed_scoring(scoring: Scoring, change: models.ScoringChange | None) -> Scoring:
    return scoring if change is None else replace(scoring, **change.model_dump(exclude_none=True))


# --- Comparing ----------------------------------------------------------------------------------------------------


def differences(before: Agreed, after: Agreed) -> tuple[Changed, ...]:
    """What differs, the name first."""
    return tuple(_differences(before, after))


def _differences(before: Agreed, after: Agreed) -> Iterator[Changed]:
    if before.name != after.name:
        yield _changed("name", "Name", before.name, after.name, f"rename the group to “{after.name}”")
    if before.description != after.description:
        phrase = "change the description" if after.description else "remove the description"
        yield _changed("description", "Description", before.description, after.description, phrase)
    for name, noun in _RULES.items():
        yield from _rule_differences(name, noun, getattr(before.policy, name), getattr(after.policy, name))
    yield from _number_differences(before.policy, after.policy)


def _rule_differences(name: str, noun: str, old: Rule, new: Rule) -> Iterator[Changed]:
    label = noun[:1].upper() + noun[1:]
    if old.decided_by != new.decided_by:
        was, will = decider_name(old.decided_by), decider_name(new.decided_by)
        yield _changed(
            f"{name}.decided_by", f"{label}, decided by", f"the {was}", f"the {will}", f"the {will} decide {noun}"
        )
    if old.share != new.share:
        was_share, share = share_name(old.share), share_name(new.share)
        phrase = f"{noun} need {'all votes' if share == 'all' else share}"
        yield _changed(f"{name}.share", f"{label}, share", was_share, share, phrase)
    if old.duration != new.duration:
        was_time, time = duration_words(old.duration), duration_words(new.duration)
        yield _changed(f"{name}.duration_ms", f"{label}, time to vote", was_time, time, f"votes on {noun} last {time}")
    if old.silence_is_yes != new.silence_is_yes:
        was_silence, silence = _silence(old), _silence(new)
        phrase = f"silence on {noun} {silence}"
        yield _changed(f"{name}.silence_is_yes", f"{label}, silence", was_silence, silence, phrase)


def _silence(rule: Rule) -> str:
    return "counts as yes" if rule.silence_is_yes else "is no yes"


def _number_differences(old: Policy, new: Policy) -> Iterator[Changed]:
    def both(was: str, will: str, field: str, label: str, phrase: str) -> Iterator[Changed]:
        if was != will:
            yield _changed(field, label, was, will, phrase)

    least, most = str(new.stewards_min), str(new.stewards_max)
    yield from both(str(old.stewards_min), least, "stewards_min", "Fewest stewards", f"at least {least} stewards")
    yield from both(str(old.stewards_max), most, "stewards_max", "Most stewards", f"at most {most} stewards")
    window = duration_words(new.batch_window)
    yield from both(
        duration_words(old.batch_window),
        window,
        "batch_window_ms",
        "Commits wait for more",
        f"commits wait {window} for more",
    )
    delivery = duration_words(new.delivery_time)
    yield from both(
        duration_words(old.delivery_time),
        delivery,
        "delivery_time_ms",
        "Expected delivery",
        f"what is sent is expected within {delivery}",
    )
    again = _at_most(new.reelections_max)
    yield from both(
        _at_most(old.reelections_max),
        again,
        "reelections_max",
        "Elections are tried again",
        f"elections are tried again {again}",
    )
    after = duration_words(new.dormant_after) if new.dormant_after else "never"
    yield from both(
        duration_words(old.dormant_after) if old.dormant_after else "never",
        after,
        "dormant_after_ms",
        "Members count no longer after",
        f"members not heard for {after} count no longer" if new.dormant_after else "every member always counts",
    )
    limit, committee = str(ack_limit(new)), str(committee_drawn(new))
    yield from both(
        str(ack_limit(old)), limit, "ack_limit", "A committee above", f"a committee in groups above {limit} members"
    )
    yield from both(
        str(committee_drawn(old)), committee, "committee", "Drawn for a committee", f"committees of {committee} drawn"
    )
    for name, phrase in _POINTS.items():
        was_points, points = str(getattr(old.scoring, name)), str(getattr(new.scoring, name))
        label = f"Scores, {name.replace('_', ' ')}"
        yield from both(was_points, points, f"scoring.{name}", label, f"{phrase} {points} points")


def _changed(field: str, label: str, before: str, after: str, phrase: str) -> Changed:
    return Changed(models.Difference(field=field, label=label, before=before, after=after), phrase)
