"""What has the group agreed? Who decides what, how long, what silence means; and every bound on what is kept.

The policy stands in a GroupContext extension that MLS itself authenticates to every member and joiner.
"""

from __future__ import annotations

from demls.wire.ids import Duration
from demls.wire.messages import Policy, Rule

POLICY_EXTENSION = 0xF0D0
"""GroupContext extension (private use) with the group's charter."""

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


QUICK = Policy("quick", Rule(30 * SECOND, True), Rule(30 * SECOND, True), 300, 2 * SECOND, 1, 7)
DAY_POLICY = Policy("day", Rule(DAY, True), Rule(DAY, False), 5 * SECOND, 2 * SECOND, 1, 7)
COUNCIL = Policy("council", Rule(DAY, True), Rule(2 * DAY, False), 5 * SECOND, 2 * SECOND, 1, 7)

PRESETS = {policy.preset: policy for policy in (QUICK, DAY_POLICY, COUNCIL)}


CHARTER_VERSION = 1

INSTANT_MAX = 1 << 48
"""Latest point in time that anything may name (in the year 10889): sums of times stay far from any overflow."""

DURATION_MAX = 366 * DAY
BATCH_WINDOW_MAX = HOUR
DELIVERY_TIME_MAX = 10 * MINUTE
STEWARDS_MAX = 1000


def is_sound(policy: Policy) -> bool:
    """Can a group live by this policy? A charter that says otherwise is refused by joiners."""
    return (
        max(policy.invite.duration, policy.remove.duration) <= DURATION_MAX
        and policy.batch_window <= BATCH_WINDOW_MAX
        and policy.delivery_time <= DELIVERY_TIME_MAX
        and 1 <= policy.stewards_min <= policy.stewards_max <= STEWARDS_MAX
    )


# --- Bounds. Each has a test. They limit what a member can make the others keep, whatever it sends. ---------------

ENVELOPE_BYTES_MAX = 16 * 1024 * 1024
"""Largest envelope that is opened at all."""

MESSAGE_BYTES_MAX = 32 * 1024
"""Longest chat text, UTF-8."""

NAME_BYTES_MAX = 320
DESCRIPTION_BYTES_MAX = 2000

OPEN_PROPOSALS_PER_MEMBER_MAX = 8
OPEN_PROPOSALS_MAX = 256
PROPOSALS_PER_MEMBER_AND_EPOCH_MAX = 64
ENDED_PROPOSALS_KEPT = 64
"""Proposals that ended, kept to show people and to refuse replays; votes of these are dropped."""

EARLY_VOTES_PER_MEMBER_MAX = 16
"""Votes for proposals not seen yet."""

REQUESTS_MAX = 64
FORMER_NAMES_KEPT = 256
SYNCED_TOKENS_MAX = 4096
PROPOSED_REQUESTS_KEPT = 1024
"""Requests that were put to a vote, so that a late copy does not open another."""

REQUEST_LIFETIME = Duration(DAY)
INVITES_PER_MEMBER_MAX = 32
"""Tokens of one issuer that the group remembers as used."""

CANDIDATE_ENTRIES_MAX = 50
CANDIDATES_KEPT_MAX = 16
"""Candidates of one round, the locked and the best never dropped."""

JOINER_KEY_BYTES = 32

VIEWS_AHEAD_MAX = 16
VIEWS_BEHIND_MAX = 64
"""Round statements of other views are kept within these distances from the own view."""

SETTLED_KEPT = 100
CHANNELS_KEPT = 3
"""Older epochs whose channel is still read."""

PAST_EPOCHS = 3
GAP_MEMBERS_MAX = 10_000

PATIENCE_VIEWS = 3
"""A fresh candidate may leave out what was approved less than so many view times ago."""

VIEW_TIME_MIN = Duration(4 * SECOND)
REPEAT_EVERY = Duration(2 * SECOND)
"""Pace of repeating own round statements and digests while a round is open."""

ANSWER_EVERY = Duration(SECOND)
"""A member's digests are answered at most this often, so that asking is never cheaper than answering for long."""

INVITE_LIFETIME_MAX = Duration(90 * DAY)
TAKEOVER_AFTER = Duration(3 * SECOND)
"""How long each next steward waits before it opens the vote on a request in the place of the one before."""
