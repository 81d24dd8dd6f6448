"""What can be wrong with what others sent?

    ValueError
     +-- Malformed      the only error that decoding foreign bytes can raise

Network input is never answered with any other exception: functions that take it return
`Refused` with a `Reason`. Wrong use by the caller raises ValueError or KeyError.
"""

from enum import Enum, unique


class Malformed(ValueError):
    """These bytes are not the one canonical encoding of a vote, a certificate or evidence: drop them."""


@unique
class Reason(Enum):
    """Why something from the network was refused. Refusing changes no state."""

    MALFORMED = "malformed"
    """The bytes do not decode, or break a rule of form."""
    WRONG_PROPOSAL = "wrong proposal"
    """The vote is for another proposal than the one it was brought for."""
    NOT_A_VOTER = "not a voter"
    """The voter is not in the electorate."""
    BAD_SIGNATURE = "bad signature"
    """The signature does not fit the voter's key and the signed content."""
    TOO_FEW_VOTES = "too few votes"
    """A certificate with fewer YES votes than its electorate needs."""
    NO_EQUIVOCATION = "no equivocation"
    """Evidence whose two votes are not two different votes of one voter on one proposal."""
    ALREADY_OPEN = "already open"
    """A session for this proposal id is open."""
    CLOSED = "closed"
    """The session for this proposal id was closed; ids are never used twice."""
    OWNER_LIMIT = "owner limit"
    """The owner has as many open sessions as one owner may have."""
    SESSION_LIMIT = "session limit"
    """As many sessions are open as may be."""
    ELECTORATE_LIMIT = "electorate limit"
    """The electorate is larger than the book accepts."""
    DURATION_LIMIT = "duration limit"
    """The voting time is longer than the book accepts."""
    EARLY_LIMIT = "early limit"
    """No room to keep a vote whose proposal is not known yet."""
