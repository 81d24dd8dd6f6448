"""Which proposals and votes do the reference crates refuse, and for what first?

The order of the checks is part of the behaviour: the first that fails names the fault.
"""

from collections.abc import Sequence

from .faults import Fault
from .messages import Proposal, Vote
from .signing import VoteCheck, check_wallet_signature, vote_hash


def validate_proposal(proposal: Proposal, now_s: int, check: VoteCheck = check_wallet_signature) -> Fault | None:
    """Return what is wrong with a received proposal and the votes in it (LIP-73 §2), or None.

    Order: expiry; for each vote its proposal id, then `validate_vote`; the chain. Not checked, as in
    the crates: creation time in the future, the number of voters, the owner, the round.
    """
    if is_expired(proposal, now_s):
        return Fault.PROPOSAL_EXPIRED
    for vote in proposal.votes:
        if vote.proposal_id != proposal.proposal_id:
            return Fault.VOTE_PROPOSAL_ID_MISMATCH
        fault = validate_vote(vote, proposal, now_s, check)
        if fault is not None:
            return fault
    return validate_chain(proposal.votes)


def is_expired(proposal: Proposal, now_s: int) -> bool:
    """Say whether the expiration second has begun."""
    return now_s >= proposal.expiration_timestamp


def validate_vote(
    vote: Vote, proposal: Proposal, now_s: int, check: VoteCheck = check_wallet_signature
) -> Fault | None:
    """Return what is wrong with one vote on `proposal` (LIP-73 §3), or None.

    Order: empty owner, hash, signature; hash; signature; older than the proposal; expired.
    """
    if not vote.vote_owner:
        return Fault.EMPTY_VOTE_OWNER
    if not vote.vote_hash:
        return Fault.EMPTY_VOTE_HASH
    if not vote.signature:
        return Fault.EMPTY_SIGNATURE
    if vote.vote_hash != vote_hash(vote):
        return Fault.INVALID_VOTE_HASH
    fault = check(vote.vote_owner, vote.signed_bytes, vote.signature)
    if fault is not None:
        return fault
    if vote.timestamp < proposal.timestamp:
        return Fault.TIMESTAMP_OLDER_THAN_CREATION_TIME
    if max(vote.timestamp, now_s) > proposal.expiration_timestamp:
        return Fault.VOTE_EXPIRED
    return None


def validate_chain(votes: Sequence[Vote]) -> Fault | None:
    """Return what is wrong with the links between the votes of one proposal (LIP-73 §2, steps 2 and 3), or None.

    A received_hash, if there is one, names the vote just before, which is not younger; a
    parent_hash, if there is one, names an earlier vote of the same owner, which is not younger.
    As in the crates, a single vote is not checked.
    """
    if len(votes) <= 1:
        return None
    index_of = {vote.vote_hash: index for index, vote in enumerate(votes)}
    for index, vote in enumerate(votes):
        if index > 0 and vote.received_hash:
            before = votes[index - 1]
            if vote.received_hash != before.vote_hash or before.timestamp > vote.timestamp:
                return Fault.RECEIVED_HASH_MISMATCH
        if vote.parent_hash:
            at = index_of.get(vote.parent_hash, index)
            parent = votes[at]
            if at >= index or parent.vote_owner != vote.vote_owner or parent.timestamp > vote.timestamp:
                return Fault.PARENT_HASH_MISMATCH
    return None
