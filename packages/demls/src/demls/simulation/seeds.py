"""Which seeds have a story of their own? Those that once broke a promise, kept with what they showed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NamedSeed:
    """A seed that once broke a promise, and what it showed."""

    name: str
    seed: int
    shows: str
    members: int | None = None
    engine: str = "model"
    never: tuple[str, ...] = ()
    """Counters that must stay at nought in it."""
    profile: str = "plain"


NAMED: tuple[NamedSeed, ...] = (
    NamedSeed("open work older than a joiner", 1000, "P3: a joiner refused open work older than four epochs.", 2),
    NamedSeed("refused work comes back, of three", 1013, "P3: a joiner did not know work that was approved late.", 3),
    NamedSeed("refused work comes back, of four", 1006, "P3: a joiner did not know work that was approved late.", 4),
    NamedSeed("speaks where nobody listens", 2010, "P3: far behind, one spoke on a channel that nobody reads.", 2),
    NamedSeed("welcome said once", 2022, "P3: a lost welcome was never said again.", 2),
    NamedSeed("message after its sender left", 2008, "P4: a gap before a message that came after the departure.", 6),
    NamedSeed("two yes of one voter", 2056, "P3: no certificate fitted the different votes held of one voter.", 6),
    NamedSeed("straggler brings up an old request", 2033, "P2: who had left was admitted again without asking.", 7),
    NamedSeed("joiner brings up an old request", 2068, "P2: a removed member came in by a request in the history.", 6),
    NamedSeed("open request used twice", 2014, "P2: a request by an open link had no token that could be used up.", 6),
    NamedSeed("own votes count again in each view", 79, "P3: some stayed locked on what others never found good.", 9),
    NamedSeed("a straggler leaves", 238, "P3: newcomers could not judge a leave opened before they came.", 13),
    NamedSeed("leaves out who is gone", 138, "P3: newcomers could not judge a list without those who left.", 8),
    NamedSeed(
        "an old wish that nobody knows", 90, "P3: a straggler's wish of an epoch that newcomers cannot know.", 12
    ),
    NamedSeed(
        "an old wish that one of two knows", 459, "P3: a wish that a newcomer cannot know held up two members.", 5
    ),
    NamedSeed("a freeze ends with own wishes", 43, "The checker forgot that a bad member's node votes for it.", 9),
    NamedSeed("left behind among newcomers", 91, "P3: nobody could answer a member in whose epoch nobody had been.", 6),
    NamedSeed("a wish put anew", 326, "The checker forgot a yes to the same that had lapsed.", 10),
    NamedSeed(
        "out by a commit that nobody saw", 784, "The checker waited for who had left the newest epoch it knew.", 4
    ),
    NamedSeed("a yes before a no", 1435, "The checker forgot the yes of a bad member that said no, too.", 7),
    NamedSeed("a leave that one straggler tells of", 1747, "The checker forgot the wish of who had come back.", 7),
    NamedSeed("a welcome that nobody has any more", 1376, "All who had it left before its joiner asked again.", 5),
    NamedSeed(
        "said while a new seat was on its way", 28, "P4: who came in asked nobody what it had missed.", profile="full"
    ),
    NamedSeed(
        "lost, where nobody says anything", 129, "P4: in a quiet group a gap was asked for without end.", profile="full"
    ),
    NamedSeed(
        "a link of before a new seat", 113, "P1: a newcomer knew who had invited it by a key of before.", profile="full"
    ),
    NamedSeed("new keys of who leaves", 446, "P3: leaders were to commit new keys of members who go.", profile="full"),
    NamedSeed("new keys and patience", 482, "P3: leaders were to commit new keys of members who go.", profile="full"),
    NamedSeed("a steward with a new seat", 21, "The checker held a new seat's member for a steward.", profile="full"),
    NamedSeed("a torn write that was whole", 180, "The simulated disk tore a write behind its end.", profile="full"),
    NamedSeed("restored while it writes", 9, "The simulated disk never ended a write of before.", profile="full"),
    NamedSeed(
        "alone with an offer", 15, "P3: who had offered what others never knew waited for ever.", 4, profile="harsh"
    ),
    NamedSeed(
        "who is left awake decides",
        237,
        "The checker counted a dormant member in an epoch passed at once.",
        profile="full",
    ),
    NamedSeed(
        "newcomers ask more than once", 323, "P4: the only member that a newcomer asked did not answer.", profile="full"
    ),
    NamedSeed(
        "a first message that was for me",
        1009,
        "P4: who has a message of another's knew not that all later ones are for it, too.",
        profile="full",
    ),
    NamedSeed(
        "an emergency that a newcomer cannot judge",
        1245,
        "The checker did not wait for the emergency that held up all others.",
        profile="full",
    ),
    NamedSeed(
        "newcomers see for themselves who is silent",
        198,
        "The checker gave newcomers less time than it takes to know that somebody is silent.",
        profile="full",
    ),
    NamedSeed(
        "a welcome that was lost with a disk",
        411,
        "The checker forgot that who had the welcome had come back from a backup.",
        profile="full",
    ),
    NamedSeed(
        "only bad members are left",
        674,
        "The checker held an epoch of long ago for the newest, since nobody honest had seen a later one.",
        profile="full",
    ),
    NamedSeed(
        "a former device of who came and left again",
        793,
        "P4: of who had left twice only the last key was known, so nobody could ask for what it had said before.",
        profile="full",
    ),
    NamedSeed(
        "two new seats as many leave",
        1152,
        "The checker counted the members after the commit, the rule those before it.",
        profile="full",
    ),
    NamedSeed(
        "the last one closes the group and asks a straggler",
        2518,
        "The checker waited for who had closed the group, and then asked another who knew nothing of that.",
        profile="full",
    ),
    NamedSeed(
        "a new seat that only some find hindered",
        2541,
        "P3: one insisted on a new seat while others knew of a vote to remove its owner, of which it had no room.",
        profile="full",
    ),
    NamedSeed(
        "a seat is given when all others have waited for long",
        3035,
        "The checker counted the time in which too few were there against those who came.",
        profile="full",
    ),
    NamedSeed(
        "in by silence, while it is decided by silence",
        3287,
        "The checker gave a newcomer less time than two ballots take.",
        profile="full",
    ),
    NamedSeed(
        "a removal that one has missed",
        3383,
        "P3: one had missed a removal, and forgotten who decides what was opened then.",
        profile="full",
    ),
    NamedSeed(
        "back while an emergency is open",
        3521,
        "The checker forgot that nobody votes on anything else then.",
        profile="full",
    ),
    NamedSeed(
        "old work that the newcomer cannot know",
        3626,
        "P3: one insisted on work of an epoch before the other came; the third of them was away.",
        profile="full",
    ),
    NamedSeed(
        "two acked what was refused then",
        4011,
        "P3: both waited in an open round for good, with nothing to do.",
        profile="full",
    ),
)
