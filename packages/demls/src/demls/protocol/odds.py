"""How likely is it that a list drawn from the members falls to the malicious ones among them?

Drawn without replacement, so hypergeometric: exact, from whole numbers. A list is *captured* when so many of it are
malicious that they decide alone, *blocked* when they can refuse whatever they want, and of a committee that
acknowledges commits a *third* is too many: then two commits of one state could both be certified.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import comb

from demls_consensus import Share, faults

from demls.protocol import policy as bounds
from demls.wire.charters import Deciders, Policy

SHARES_BAD = (Fraction(1, 10), Fraction(1, 5), Fraction(1, 4), Fraction(1, 3))
"""Of the members, in the tables for people."""


@dataclass(frozen=True, slots=True)
class Odds:
    """What ``drawn`` of ``members`` come to, if ``bad`` of these are malicious: chances in one draw, from 0 to 1."""

    members: int
    bad: int
    drawn: int
    third: float
    captured: float
    blocked: float


def chance(members: int, bad: int, drawn: int, least: int) -> float:
    """That at least ``least`` of ``drawn`` out of ``members`` are among the ``bad``. O(drawn).

    Raises ValueError for counts that cannot be.
    """
    if not 0 <= bad <= members or not 0 <= drawn <= members:
        raise ValueError(f"{bad} bad and {drawn} drawn cannot both be among {members} members.")
    good, most = members - bad, min(bad, drawn)
    first = max(least, drawn - good, 0)
    ways = sum(comb(bad, hit) * comb(good, drawn - hit) for hit in range(first, most + 1))
    return float(Fraction(ways, comb(members, drawn)))


def odds(members: int, bad: int, drawn: int, share: Share = Share.TWO_THIRDS) -> Odds:
    """``share``: of the list, that decides."""
    needed = share.needed(drawn)
    return Odds(
        members,
        bad,
        drawn,
        chance(members, bad, drawn, faults(drawn) + 1),
        chance(members, bad, drawn, needed),
        chance(members, bad, drawn, drawn - needed + 1),
    )


def odds_of_stewards(policy: Policy, members: int) -> Iterator[Odds]:
    """Of the list that such a group would draw, for some shares of bad members; nothing if it draws all of them."""
    drawn = min(members, policy.stewards_max)
    if 0 < drawn < members:
        share = _steward_share(policy)
        yield from (odds(members, int(members * bad), drawn, share) for bad in SHARES_BAD)


def _steward_share(policy: Policy) -> Share:
    """The least that decides where stewards do."""
    rules = [rule for rule in (policy.invite, policy.remove) if rule.decided_by == Deciders.STEWARDS]
    return min((Share.from_code(rule.share) for rule in rules), default=Share.TWO_THIRDS, key=lambda one: one.code)


def odds_of_committee(policy: Policy, members: int) -> Iterator[Odds]:
    """Of the drawn part of the committee that acknowledges commits; nothing if all members do."""
    drawn = bounds.committee_size(policy, members)
    if drawn:
        yield from (odds(members, int(members * bad), drawn) for bad in SHARES_BAD)
