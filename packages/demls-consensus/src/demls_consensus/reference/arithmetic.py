"""What do the reference crates decide from these counts?"""

import math
import sys
from enum import Enum, unique

from ..decision import SILENCE_COUNTS_ABOVE

TWO_THIRDS = 2.0 / 3.0


@unique
class Version(Enum):
    """Whose arithmetic: the two differ before the timeout, never at it.

    0.6.0 counts silent voters before the timeout too, so its outcome depends on the order in which
    votes arrive. It is what the reference node 4.1 runs; members of one group must use one version.
    """

    V0_6_0 = "0.6.0"
    V0_7_0 = "0.7.0"


def required_votes(n: int, threshold: float = TWO_THIRDS) -> int:
    """Return how many of `n` expected voters must have voted, and also how many must agree.

    All for n <= 2. Otherwise ceil(2n/3) in whole numbers when the threshold is two thirds within
    one double epsilon, else ceil(n * threshold) in doubles.
    """
    return n if n <= SILENCE_COUNTS_ABOVE else threshold_value(n, threshold)


def threshold_value(n: int, threshold: float) -> int:
    """Return the share `threshold` of `n`, rounded up; also the round limit of pure P2P networks."""
    if abs(threshold - TWO_THIRDS) < sys.float_info.epsilon:
        return (2 * n + 2) // 3
    return math.ceil(n * threshold)


def consensus_result(
    version: Version,
    n: int,
    *,
    yes: int,
    no: int,
    liveness_criteria_yes: bool,
    timed_out: bool,
    threshold: float = TWO_THIRDS,
) -> bool | None:
    """Return YES (True), NO (False) or undecided (None) for `yes` and `no` votes of `n` expected voters.

    liveness_criteria_yes: silence counts as YES, else as NO; it also breaks a tie of full turnout.
    Undecided at the timeout means failed. More votes than `n` are possible in the crates, and here.
    Source: LIP-73 §3 and §4 as the crates read them.
    """
    silent = max(0, n - yes - no)
    if n <= SILENCE_COUNTS_ABOVE:
        return None if yes + no < n else yes == n
    needed = threshold_value(n, threshold)
    if not timed_out and yes + no < needed:
        return None
    if version is Version.V0_7_0 and silent == 0 and yes == no:
        return liveness_criteria_yes
    if version is Version.V0_7_0 and not timed_out:
        return _winner(yes, no, needed, margin=silent)
    weight_yes = yes + (silent if liveness_criteria_yes else 0)
    weight_no = no + (0 if liveness_criteria_yes else silent)
    result = _winner(weight_yes, weight_no, needed, margin=0)
    if result is None and yes + no == n and weight_yes == weight_no:
        return liveness_criteria_yes
    return result


def _winner(yes: int, no: int, needed: int, *, margin: int) -> bool | None:
    """Return who has enough votes and leads by more than `margin`."""
    if yes >= needed and yes > no + margin:
        return True
    if no >= needed and no > yes + margin:
        return False
    return None
