"""What has the group agreed? Who decides what, how long, what silence means; and every bound on what is kept.

The policy stands in a GroupContext extension that MLS itself authenticates to every member and joiner.
"""

from __future__ import annotations

from dataclasses import astuple, replace

from demls_consensus import Share

from demls.wire.charters import Deciders, Policy, Rule, Scoring
from demls.wire.fields import ROSTER_MAX, STEWARDS_MAX
from demls.wire.ids import Duration
from demls.wire.messages import Awake, Change, Dormant, Emergency, Invite, Remove, Settings, StewardElection

POLICY_EXTENSION = 0xF0D0
"""GroupContext extension (private use) with the group's charter."""

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

STEWARDS_DECIDING_MIN = 64
"""Where stewards decide, the list has at least so many: a third of a short list is too easily bad by chance."""


ACK_LIMIT = 1_000
"""In groups of more members a committee acknowledges the commits, where the policy names no other number."""

COMMITTEE = 256
"""So many of the members are drawn for it, and the stewards besides, where the policy names no other number."""

COMMITTEE_MIN, COMMITTEE_MAX = 4, 4_096

_TWO_THIRDS = Share.TWO_THIRDS.code
_MEMBERS, _STEWARDS = int(Deciders.MEMBERS), int(Deciders.STEWARDS)

SCORING = Scoring(
    start=100,
    threshold=0,
    heal=2,
    broken_commit=50,
    broken_proposal=30,
    misbehaving=10,
    equivocation=100,
    lost_turn=5,
    committed=10,
    upheld=20,
    rejected=50,
)

QUICK = Policy(
    preset="quick",
    invite=Rule(30 * SECOND, True),
    remove=Rule(30 * SECOND, True),
    batch_window=300,
    delivery_time=2 * SECOND,
    stewards_min=1,
    stewards_max=7,
    election=Rule(30 * SECOND, False),
    settings=Rule(30 * SECOND, False),
    reelections_max=2,
    dormant_after=14 * DAY,
    emergency=Rule(30 * SECOND, False),
    scoring=SCORING,
)
"""Demos, bots, tests: half a minute, and silence is consent."""

DAY_POLICY = replace(
    QUICK,
    preset="day",
    invite=Rule(DAY, True),
    remove=Rule(DAY, False),
    batch_window=5 * SECOND,
    election=Rule(10 * MINUTE, False),
    emergency=Rule(10 * MINUTE, False),
    settings=Rule(2 * DAY, False),
)
"""People: a day, silence is consent to invites, removals need votes."""

COUNCIL = replace(
    DAY_POLICY,
    preset="council",
    invite=Rule(DAY, True, _TWO_THIRDS, _STEWARDS),
    remove=Rule(2 * DAY, False, _TWO_THIRDS, _STEWARDS),
    stewards_min=STEWARDS_DECIDING_MIN,
    stewards_max=STEWARDS_DECIDING_MIN,
)
"""Large groups: stewards decide who comes and who goes, all members everything else, and what stewards leave open."""

PRESETS = {policy.preset: policy for policy in (QUICK, DAY_POLICY, COUNCIL)}


CHARTER_VERSION = 1

INSTANT_MAX = 1 << 48
"""Latest point in time that anything may name (in the year 10889): sums of times stay far from any overflow."""

DURATION_MAX = 366 * DAY
BATCH_WINDOW_MAX = HOUR
DELIVERY_TIME_MAX = 10 * MINUTE
REELECTIONS_MAX = 16
SCORE_MAX = 1000
FREEZE_MAX = Duration(10 * MINUTE)
"""So long at most other decisions wait for emergencies."""

DORMANT_AFTER_MIN = Duration(HOUR)

_NO_VOTE = Rule(0, False)


def ack_limit(policy: Policy) -> int:
    """In groups of more members than this a committee acknowledges the commits."""
    return policy.ack_limit or ACK_LIMIT


def committee_drawn(policy: Policy) -> int:
    """So many the policy wants to be drawn for the committee, besides the stewards."""
    return policy.committee or COMMITTEE


def committee_size(policy: Policy, counted: int) -> int:
    """How many of ``counted`` members are drawn for the committee; 0: all of them acknowledge commits.

    Never fewer than 256 or half of the members, whatever the policy says: a small committee is for small groups.
    """
    if counted <= ack_limit(policy):
        return 0
    return min(counted, max(committee_drawn(policy), min(COMMITTEE, (counted + 1) // 2)))


def stewards_deciding_min(members: int) -> int:
    """So many stewards have to be there, of ``members`` that count, for them to decide alone: else all members do.

    Three quarters of 64, or of all members where the group has fewer: of a list of 64 some may have left since.
    """
    return (3 * min(STEWARDS_DECIDING_MIN, members) + 3) // 4


def needs_stewards(policy: Policy) -> bool:
    """Do stewards decide any kind of change?"""
    return _STEWARDS in (policy.invite.decided_by, policy.remove.decided_by)


def rule_of(policy: Policy, change: Change) -> Rule:
    """How a kind of change is decided; leaving needs no vote.

    Nodes vote by themselves on elections and dormancy, and YES on emergencies that they have confirmed.
    """
    match change:
        case Invite():
            return policy.invite
        case Remove():
            return policy.remove
        case StewardElection() | Dormant() | Awake():
            return policy.election
        case Emergency():
            return policy.emergency
        case Settings():
            return policy.settings
        case _:
            return _NO_VOTE


def is_sound(policy: Policy) -> bool:
    """Can a group live by this policy? A charter that says otherwise is refused by joiners."""
    return not fault_of(policy)


def fault_of(policy: Policy) -> str:
    """Why no group can live by this policy, in a sentence; empty if one can."""
    rules = (policy.invite, policy.remove, policy.election, policy.settings, policy.emergency)
    shares, deciders = {share.code for share in Share}, {int(decider) for decider in Deciders}
    if any(
        rule.duration > DURATION_MAX or rule.share not in shares or rule.decided_by not in deciders for rule in rules
    ):
        return "A vote lasts at most 366 days, and is decided by a known share of the members or the stewards."
    if policy.batch_window > BATCH_WINDOW_MAX or policy.delivery_time > DELIVERY_TIME_MAX:
        return "The batch window is at most an hour, the delivery time at most ten minutes."
    if not 1 <= policy.stewards_min <= policy.stewards_max <= STEWARDS_MAX:
        return f"The number of stewards is between 1 and {STEWARDS_MAX}, the least not above the most."
    if any(rule.decided_by != _MEMBERS for rule in (policy.election, policy.settings, policy.emergency)):
        return "Elections, settings and emergencies are always decided by all members."
    if policy.emergency.silence_is_yes:
        return "Silence is no consent to an emergency."
    if policy.emergency.duration > FREEZE_MAX:
        return "An emergency is decided within ten minutes, since all other decisions wait for it."
    scoring = policy.scoring
    if not scoring.threshold < scoring.start <= SCORE_MAX or max(astuple(scoring)) > SCORE_MAX:
        return f"A newcomer's score lies above the threshold, and no number of the scores above {SCORE_MAX}."
    if needs_stewards(policy) and policy.stewards_min < STEWARDS_DECIDING_MIN:
        return f"Where stewards decide, the list needs at least {STEWARDS_DECIDING_MIN} of them."
    if not COMMITTEE_MIN <= committee_drawn(policy) <= min(COMMITTEE_MAX, ack_limit(policy)):
        return (
            f"The committee that acknowledges commits has {COMMITTEE_MIN} to {COMMITTEE_MAX} members, "
            "and not more than the number of members above which there is one."
        )
    if ack_limit(policy) > ROSTER_MAX:
        return f"A committee acknowledges commits at the latest in groups of more than {ROSTER_MAX} members."
    if policy.reelections_max > REELECTIONS_MAX:
        return f"An election is tried again at most {REELECTIONS_MAX} times in one epoch."
    if policy.dormant_after and not DORMANT_AFTER_MIN <= policy.dormant_after <= DURATION_MAX:
        return "A member becomes dormant after an hour at the earliest and 366 days at the latest, or never."
    return ""


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
"""These three count what is voted on; each kind that needs no vote is counted by itself (``items.room_of``)."""
ENDED_PROPOSALS_KEPT = 64
"""Proposals that ended, kept to show people and to refuse replays; votes of these are dropped."""

EARLY_VOTES_PER_MEMBER_MAX = 16
"""Votes for proposals not seen yet."""

REQUESTS_MAX = 64
FORMER_NAMES_KEPT = 256
SYNCED_TOKENS_MAX = 4096
PROPOSED_REQUESTS_KEPT = 1024
"""Requests that were put to a vote, so that a late copy does not open another."""

REQUEST_EPOCHS = 3
"""A request to join is kept for so many epochs after the one it came in (LIP-104 §Buffering KeyPackages)."""

REQUEST_LIFETIME = Duration(30 * DAY)
"""And no longer than this, however few epochs there are."""

WELCOME_LIFETIME = Duration(DAY)
WELCOME_WHOLE_MAX = 100 * 1024
"""A welcome of more bytes is outlined, and its parts are asked for."""

WELCOME_PARTS_AT_ONCE = 64
"""So many parts a member says at most within ``REPEAT_EVERY``, whoever asks for them."""

OUTLINES_MAX = 4
"""Welcomes that somebody assembles at a time; who reads along may have sent some of them."""

OUTLINE_MEMBERS_MAX = 8
"""Members that have said the same outline, and are asked for its parts in turn."""

PARTS_AGAIN_MOST = Duration(10 * MINUTE)
"""Pauses between questions for parts double up to this while none arrives; the first is ``REPEAT_EVERY``."""

STRANGERS_MAX = 16
"""Requests without a token that are kept; they wait for a sponsor."""

INVITES_PER_MEMBER_MAX = 32
"""Tokens of one issuer that the group remembers as used."""

CANDIDATE_ENTRIES_MAX = 50
CANDIDATES_KEPT_MAX = 16
"""Candidates of one round, the locked and the best never dropped."""

REFRESHES_PER_COMMIT = 16
"""Leaves renewed by Updates in one commit, the committer's own not counted as one of others: each blanks its path."""

REFRESH_AFTER = Duration(7 * DAY)
"""A member's node asks for new keys of its leaf at the latest after this, where it does so by itself."""

REFRESH_SPREAD = Duration(REFRESH_AFTER // 4)
"""So much earlier than that, by a lot of each member and key, so that not all ask in one epoch."""

REFRESH_ALONG_AFTER = Duration(REFRESH_AFTER // 2)
"""Keys older than this are renewed along with other work, where a commit is coming anyway."""

REFRESH_RIDER_HEARD = Duration(4 * DAY)
"""A leader waits its batch window for those whose keys could be renewed along only if they were heard this lately."""

REFRESH_MEMBERS_MAX = 200
"""In larger groups members ask only when their people wish it: every Update makes later commits larger."""

REFRESH_TURN = Duration(10 * SECOND)
"""If more keys are due than one commit takes, those with younger keys ask so much later."""

BINDING_RENEWED_BEFORE = Duration(60 * DAY)
"""A wish for new keys brings a new wallet binding too if the present one ends within this."""

JOINER_KEY_BYTES = 32

VIEWS_AHEAD_MAX = 16
VIEWS_BEHIND_MAX = 64
"""Round statements of other views are kept within these distances from the own view."""

SETTLED_ALWAYS_KEPT = 100
SETTLED_KEPT = 1000
SETTLED_KEPT_FOR = Duration(30 * DAY)
SETTLED_BYTES_KEPT = 32 * 1024 * 1024
"""Settled commits are kept to be served: the newest 100, up to 1,000 while they are younger than 30 days, and of all
of these as many of the newest as fit into 32 MiB."""

CHANNELS_KEPT = 3
"""Older epochs whose channel is still read."""

PAST_EPOCHS = 3
GAP_MEMBERS_MAX = 10_000

PATIENCE_VIEWS = 3
"""A fresh candidate may leave out what was approved less than so many view times ago."""

VIEW_TIME_MIN = Duration(4 * SECOND)

SECRETS_WRITTEN_AT_ONCE = 64
"""In a group of more members the message secrets are not written with every chat message."""

SENT_UNWRITTEN_MAX = 64
HEARD_UNWRITTEN_MAX = 256
"""After so many chat messages, sent or heard, they are written all the same."""

ENVELOPES_AT_ONCE_MAX = 512
"""So many waiting envelopes are opened and verified together at most."""

OWN_ENVELOPES_KEPT = 1024
"""Of so many of the newest own envelopes a node knows the hash, so as not to open them when they come back."""

REPEAT_EVERY = Duration(2 * SECOND)
"""Pace of repeating own round statements and digests while a round is open."""

REPEAT_MOST = Duration(16 * SECOND)
"""Pace in a view that lasts, so that a group which waits for a quorum does not talk all the time."""

ANSWER_EVERY = Duration(SECOND)
"""A member's digests are answered at most this often, so that asking is never cheaper than answering for long."""

INVITE_LIFETIME_MAX = Duration(90 * DAY)
TAKEOVER_AFTER = Duration(3 * SECOND)
"""How long each next member waits before it opens a vote that is due in the place of the one before."""

WARMED_ABOVE_MIN = 256
"""In groups of at least so many members who only adds members warms its path of the tree, too, if that is cold."""

COLD_PATH_BYTES = 40 * 1024
"""A path is cold if a commit with it has more bytes than this: it is encrypted to single leaves, not to subtrees."""

CERTIFIERS_MAX = 8
"""So many members of a committee, in the order of leaders, tell the others what it has settled if nobody did."""

CERTIFICATES_DUE_MAX = 4
"""Of so many epochs."""

CERTIFIED_ASK_WITHIN = Duration(10 * SECOND)
"""Whoever lacks the candidate of a certificate asks for it within this time, by lot."""

TURNS_LOST_FOR = 16
"""A leader whose view ended without a commit leads last for so many epochs, unless it commits before."""

ELECTIONS_HELD_PER_MEMBER = 2
"""Elections kept that cannot be judged yet, because a removal they name is not known to be decided."""

HEARD_GRAIN = 16
"""When a member was last heard is stored again when a 16th of ``dormant_after`` has passed."""

ELECTORATES_KEPT = 32
ELECTORATE_SEATS_KEPT = 4096
"""Electorates are kept of so many epochs as long as they have so few seats together: who missed what was opened then
can still judge it. Those of the last few epochs, and of those with open work, are kept in any case."""

QUIET_FOR = Duration(2 * MINUTE)
"""Who has not been heard for so long is not counted on, when it comes to what others lack."""

LACKING_FOR = Duration(30 * SECOND)
"""So long members have to lack old work, of which they were told, before it is taken for what they cannot know."""

CROWD = 64
"""In larger groups what all have to say in one moment is spread, so that about so many speak in a second."""

GOSSIP_FIRST = Duration(10 * SECOND)
GOSSIP_MOST = Duration(10 * MINUTE)
"""While something is being decided and no round is open, members compare what they hold at this pace, doubling."""

SCORE_HISTORY_KEPT = 32
SCORES_OF_FORMER_MEMBERS_KEPT = 256
ACTS_TRIED_KEPT = 32
"""Acts of one member on which the group has decided, so that the question is not put again."""

JUDGED_KEPT = 256
"""Candidates found faulty that are remembered, to confirm an accusation."""

FROZEN_PROPOSALS_MAX = 256
FROZEN_PROPOSALS_PER_MEMBER_MAX = 8
"""Proposals that wait while an emergency is decided."""

RESYNC_LIFETIME = Duration(HOUR)
RESYNC_EVERY = Duration(HOUR)
"""A member is given a new seat at most this often, in chain time."""

RESYNC_EARLY_MAX = Duration(2 * MINUTE)
"""A request for a new seat may be so far ahead of chain time."""

RESYNC_MARGIN = Duration(3 * MINUTE)
"""So far from the edges of what is allowed leaders stay, since clocks differ."""

RESYNC_REQUEST_EVERY = Duration(MINUTE)
"""Requests for a new seat by one member, one replacing the other."""

RESYNCS_PER_MEMBER_MAX = 2
"""Requests of one member that are kept besides those that candidates carry."""

RESYNCS_CARRIED_MAX = 8
"""Requests of one member that are kept at all."""

NOTHING_KEPT_EVERY = Duration(30 * SECOND)
"""A member is told this often that nobody can help it."""

STRANDED_AFTER = Duration(10 * MINUTE)
"""Told by members it does not know, and hearing nobody, a node takes so long to believe that it is too far behind."""

UNSENT_MAX = 64
"""Messages kept while the own node waits for a new seat."""

SUCCESSORS_MAX = 8
"""Notices of successor groups that are kept."""

# --- Chat ---------------------------------------------------------------------------------------------------------

CHAT_KEPT_FOR = Duration(30 * DAY)
"""So long messages are kept to be said again to members that missed them."""

OWN_COPIES_KEPT = 2048
OWN_COPY_BYTES_KEPT = 4 * 1024 * 1024
COPIES_OF_MEMBER_KEPT = 512
COPY_BYTES_OF_MEMBER_KEPT = 1024 * 1024
COPIES_KEPT = 4096
COPY_BYTES_KEPT = 8 * 1024 * 1024
"""Copies of the other members' messages; of whoever has said most, the oldest go first."""

COUNTER_MAX = 1 << 48
GAPS_OF_DEVICE_MAX = 64
MISSING_OF_DEVICE_MAX = 2048
"""Missing messages of one device that are remembered and asked for; older ones are told as lost at once."""

CLAIMED_MISSING_MAX = 256
"""Messages of a device that only others have named, and that are asked for."""

DEVICES_OF_MEMBER_MAX = 4
WANTED_IDS_MAX = 32

ASK_FIRST_AFTER = Duration(2 * SECOND)
"""A gap may close by itself for so long, and up to as long again by chance."""

ASK_AGAIN_AFTER = Duration(4 * SECOND)
ASK_AGAIN_MOST = Duration(10 * MINUTE)
"""The pauses between questions for the same messages double from the first to the second."""

ASKS_MAX = 8
"""So often is asked for messages before people are told that they are lost."""

CLAIM_ASKS_MAX = 6
"""And for what only others have named, of which people are not told."""

ASK_ANEW_AFTER = Duration(10 * MINUTE)
ASKS_ANEW_MAX = 8
"""Messages that were told as lost are asked for again when their sender, or whoever has heard them, comes back."""

QUESTION_EVERY = Duration(2 * SECOND)
QUESTIONS_PER_HOUR_MAX = 240
"""Of one node in one group, whatever others make it believe."""

LOST_TOLD_AFTER = Duration(MINUTE)
"""So long what is lost waits to be told together with what may be lost too."""

AWAY_FOR = Duration(5 * MINUTE)
"""What is found missing within this time after coming back was missed by being away."""

COPIES_IN_ANSWER_MAX = 64
ANSWER_BYTES_MAX = 128 * 1024
COPIES_PER_ASKER_AND_HOUR_MAX = 2048
ANSWER_BYTES_PER_ASKER_AND_HOUR_MAX = 8 * 1024 * 1024
SAY_AGAIN_EVERY = Duration(3 * SECOND)
"""No message is said again more often, whoever asks."""

HELP_AFTER = Duration(2 * SECOND)
"""So long others wait for the sender itself, before they hand on what it has said."""

HELPERS_MAX = 32
HELP_HELD_MAX = 512
"""Messages that are to be handed on, unless somebody else does."""

PLACES_PAUSES = (Duration(30 * SECOND), Duration(5 * MINUTE), Duration(HOUR))
"""When nothing is said any more, somebody tells after each of these how far it has heard everybody."""
