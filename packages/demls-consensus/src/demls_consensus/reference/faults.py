"""What can the reference crates find wrong?"""

from enum import Enum, unique


@unique
class Fault(Enum):
    """The verdicts of the reference crates' `ConsensusError`, by their names there.

    They are values, not exceptions: what others send never raises.
    """

    INVALID_CONSENSUS_THRESHOLD = "InvalidConsensusThreshold"
    INVALID_TIMEOUT = "InvalidTimeout"
    INVALID_EXPECTED_VOTERS_COUNT = "InvalidExpectedVotersCount"
    INVALID_MAX_ROUNDS = "InvalidMaxRounds"
    INVALID_VOTE_SIGNATURE = "InvalidVoteSignature"
    EMPTY_SIGNATURE = "EmptySignature"
    DUPLICATE_VOTE = "DuplicateVote"
    USER_ALREADY_VOTED = "UserAlreadyVoted"
    VOTE_EXPIRED = "VoteExpired"
    EMPTY_VOTE_OWNER = "EmptyVoteOwner"
    INVALID_VOTE_HASH = "InvalidVoteHash"
    EMPTY_VOTE_HASH = "EmptyVoteHash"
    PROPOSAL_EXPIRED = "ProposalExpired"
    VOTE_PROPOSAL_ID_MISMATCH = "VoteProposalIdMismatch"
    RECEIVED_HASH_MISMATCH = "ReceivedHashMismatch"
    PARENT_HASH_MISMATCH = "ParentHashMismatch"
    TIMESTAMP_OLDER_THAN_CREATION_TIME = "TimestampOlderThanCreationTime"
    SESSION_NOT_ACTIVE = "SessionNotActive"
    SESSION_NOT_FOUND = "SessionNotFound"
    PROPOSAL_ALREADY_EXIST = "ProposalAlreadyExist"
    INSUFFICIENT_VOTES_AT_TIMEOUT = "InsufficientVotesAtTimeout"
    MAX_ROUNDS_EXCEEDED = "MaxRoundsExceeded"
    SIGNATURE_SCHEME = "SignatureScheme"
