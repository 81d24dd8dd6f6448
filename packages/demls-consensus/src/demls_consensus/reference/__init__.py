"""LIP-73 as the Rust crate hashgraph-like-consensus implements it, versions 0.6.0 and 0.7.0.

For groups that contain reference nodes: bytes, hashes, signatures, order of checks and arithmetic
are theirs, weaknesses included (votes bind a 32-bit id that their sender chose, not the payload;
the sender names the number of voters; the arithmetic of 0.6.0 depends on the order of arrival).
Times are whole unix seconds, as on the wire, and always arguments.
"""

from .arithmetic import TWO_THIRDS, Version, consensus_result, required_votes
from .config import FAST, STRICT, Network, SessionConfig
from .faults import Fault
from .identifiers import fold_uuid, self_leave_proposal_id
from .messages import Proposal, Vote
from .service import (
    LIBRARY_SESSIONS_MAX,
    NODE_SESSIONS_MAX,
    ConsensusEvent,
    ConsensusFailed,
    ConsensusReached,
    ReferenceService,
)
from .sessions import ReferenceSession, State
from .signing import VoteCheck, VoteSigner, WalletSigner, build_vote, check_wallet_signature, vote_hash
from .validation import validate_chain, validate_proposal, validate_vote

__all__ = [
    "FAST",
    "LIBRARY_SESSIONS_MAX",
    "NODE_SESSIONS_MAX",
    "STRICT",
    "TWO_THIRDS",
    "ConsensusEvent",
    "ConsensusFailed",
    "ConsensusReached",
    "Fault",
    "Network",
    "Proposal",
    "ReferenceService",
    "ReferenceSession",
    "SessionConfig",
    "State",
    "Version",
    "Vote",
    "VoteCheck",
    "VoteSigner",
    "WalletSigner",
    "build_vote",
    "check_wallet_signature",
    "consensus_result",
    "fold_uuid",
    "required_votes",
    "self_leave_proposal_id",
    "validate_chain",
    "validate_proposal",
    "validate_vote",
    "vote_hash",
]
