"""What do these counts decide?

The demls rule, as pure functions of counts. A decision never waits for the deadline when it
can no longer be overtaken, and no order of arrival enters.
"""

from enum import Enum, unique

from .quorum import Share, tolerated_noes

SILENCE_COUNTS_ABOVE = 2
"""With this many voters or fewer all must vote YES; silence is never consent (LIP-73 §4 Liveness)."""


@unique
class Silence(Enum):
    """What the silence of a voter means at the deadline (LIP-73 §4 Silent Node Management)."""

    COUNTS_AS_YES = "counts as yes"
    COUNTS_FOR_NOTHING = "counts for nothing"


@unique
class Verdict(Enum):
    """What a tally says at a moment.

    | verdict | when | can it change? |
    |---|---|---|
    | `PENDING` | nothing is decided and the deadline has not passed | yes |
    | `YES_BY_VOTES` | as many YES votes as the share needs | never |
    | `YES_BY_SILENCE` | deadline, silence counts, too few NO votes | a late NO takes it back |
    | `NO_BY_VOTES` | so many NO votes that YES cannot be reached | if NO voters equivocate, and so count as YES |
    | `NO_BY_SILENCE` | deadline, silence counts for nothing, too few YES votes | late YES votes can be enough |
    """

    PENDING = "pending"
    YES_BY_VOTES = "yes by votes"
    YES_BY_SILENCE = "yes by silence"
    NO_BY_VOTES = "no by votes"
    NO_BY_SILENCE = "no by silence"

    @property
    def is_yes(self) -> bool:
        """The change is approved as things stand."""
        return self in (Verdict.YES_BY_VOTES, Verdict.YES_BY_SILENCE)

    @property
    def is_no(self) -> bool:
        """The change is refused as things stand."""
        return self in (Verdict.NO_BY_VOTES, Verdict.NO_BY_SILENCE)

    @property
    def is_final(self) -> bool:
        """Nothing that arrives later can change it."""
        return self is Verdict.YES_BY_VOTES


def decide(
    n: int, *, yes: int, no: int, silence: Silence, deadline_passed: bool, share: Share = Share.TWO_THIRDS
) -> Verdict:
    """Return the verdict on `yes` and `no` votes of `n` voters (LIP-73 §3, §4).

    A voter who signed both choices is counted once, as YES. Whoever is neither is silent. As many
    YES votes as `share` needs are a YES, and more NO votes than leave room for them a NO. Silence
    that counts as YES therefore is one when YES votes and silent voters together are as many.
    Raises ValueError for counts that cannot be.
    """
    return decide_by(n, share.needed(n), yes=yes, no=no, silence=silence, deadline_passed=deadline_passed)


def decide_by(n: int, needed: int, *, yes: int, no: int, silence: Silence, deadline_passed: bool) -> Verdict:
    """Return the verdict as `decide` does, for whoever knows already how many YES votes are `needed`."""
    _require_counts(n, yes, no)
    if yes >= needed:
        return Verdict.YES_BY_VOTES
    if no > n - needed:
        return Verdict.NO_BY_VOTES
    if not deadline_passed:
        return Verdict.PENDING
    if silence is Silence.COUNTS_AS_YES and n > SILENCE_COUNTS_ABOVE:
        return Verdict.YES_BY_SILENCE
    return Verdict.NO_BY_SILENCE


def is_refusal(
    n: int,
    *,
    yes: int,
    no: int,
    none: int,
    silence: Silence = Silence.COUNTS_AS_YES,
    share: Share = Share.TWO_THIRDS,
) -> bool:
    """Say whether those who spoke in a certificate refuse a change on which `n` people vote.

    A certificate of acknowledgements carries, from each signer who is a voter, its own votes on
    the change: `yes`, `no` (a signer who shows both is a `yes`) or `none`. The answer depends on
    the certificate alone, so everybody who reads it judges it alike:

    * silence counts as YES, n > 2: refused when the NO votes leave no room for the YES votes that
      the share needs, no > n - share.needed(n). Those with no vote, and voters who are not in the
      certificate, consent.
    * silence counts for nothing, or n <= 2: refused unless as many as the share needs voted YES in
      it; so a certificate of fewer signers always refuses.

    Do not ask it about a change that brings its own decision certificate: that one is final.
    Raises ValueError for counts that cannot be.
    """
    _require_counts(n, yes, no + none)
    if min(no, none) < 0:
        raise ValueError(f"Counts are not negative: no={no}, none={none}.")
    if silence is Silence.COUNTS_AS_YES and n > SILENCE_COUNTS_ABOVE:
        return no > tolerated_noes(n, share=share)
    return yes < share.needed(n)


def _require_counts(n: int, yes: int, others: int) -> None:
    if yes < 0 or others < 0 or yes + others > n:
        raise ValueError(f"{yes} and {others} voices cannot come from {n} voters.")
