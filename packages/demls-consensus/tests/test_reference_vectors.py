"""Do the reference rules agree with the crates, byte for byte and outcome for outcome?"""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from demls_consensus import wallet_address, wallet_recover
from demls_consensus.reference import (
    Fault,
    Proposal,
    ReferenceService,
    ReferenceSession,
    SessionConfig,
    State,
    Version,
    Vote,
    WalletSigner,
    build_vote,
    check_wallet_signature,
    consensus_result,
    required_votes,
    self_leave_proposal_id,
    validate_proposal,
    vote_hash,
)

Vectors = Callable[[str], Any]

THRESHOLDS = {"1/2": 0.5, "0.6": 0.6, "2/3": 2.0 / 3.0, "3/4": 0.75, "0.9": 0.9, "1": 1.0}
STATES = {State.ACTIVE: "-", State.REACHED_YES: "Y", State.REACHED_NO: "N"}
RESULTS = {True: "yes", False: "no", None: "none"}


def vote_of(row: dict[str, Any]) -> Vote:
    return Vote(
        vote_id=row["vote_id"],
        vote_owner=bytes.fromhex(row["vote_owner"]),
        proposal_id=row["proposal_id"],
        timestamp=row["timestamp"],
        vote=row["vote"],
        parent_hash=bytes.fromhex(row["parent_hash"]),
        received_hash=bytes.fromhex(row["received_hash"]),
        vote_hash=bytes.fromhex(row["vote_hash"]),
        signature=bytes.fromhex(row["signature"]),
    )


def signers(vectors: Vectors) -> dict[bytes, WalletSigner]:
    keys = [bytes.fromhex(row["eth_key"]) for row in vectors("consensus")["keys"]]
    return {wallet_address(key): WalletSigner(key) for key in keys}


def test_addresses_belong_to_their_keys(vectors: Vectors) -> None:
    rows = vectors("consensus")["keys"] + vectors("ids")["numbered_members"]
    assert len(rows) == 12
    for row in rows:
        address = row.get("address") or row["eth_address"]
        assert wallet_address(bytes.fromhex(row["eth_key"])).hex() == address


def test_leaf_keys_belong_to_their_seeds(vectors: Vectors) -> None:
    for row in vectors("ids")["numbered_members"]:
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(row["mls_seed"]))
        assert key.public_key().public_bytes_raw().hex() == row["mls_public"]


def test_self_leave_ids(vectors: Vectors) -> None:
    rows = vectors("ids")["self_leave"]
    assert rows
    for row in rows:
        assert self_leave_proposal_id(bytes.fromhex(row["member_id"])) == row["self_leave_proposal_id"]


def test_votes_have_the_same_bytes_hashes_and_signatures(vectors: Vectors) -> None:
    consensus = vectors("consensus")
    rows = consensus["vote_hash_cases"] + consensus["chain"]["votes"]
    assert len(rows) > 6
    for row in rows:
        vote = vote_of(row)
        assert vote.encode().hex() == row["encoded"]
        assert Vote.decode(bytes.fromhex(row["encoded"])) == vote
        assert vote.signed_bytes.hex() == row["signed_bytes"]
        assert vote_hash(vote).hex() == row["vote_hash"]
        assert wallet_recover(vote.signed_bytes, vote.signature) == vote.vote_owner
        assert check_wallet_signature(vote.vote_owner, vote.signed_bytes, vote.signature) is None
        assert signers(vectors)[vote.vote_owner].sign(vote.signed_bytes).hex() == row["signature"]


def test_a_chain_is_built_with_the_same_bytes(vectors: Vectors) -> None:
    chain = vectors("consensus")["chain"]
    proposal = Proposal.decode(bytes.fromhex(chain["proposal"]))
    assert proposal.encode().hex() == chain["proposal"]
    votes = [vote_of(row) for row in chain["votes"]]
    assert proposal.votes == tuple(votes[:5])
    assert votes[5].vote_owner == votes[0].vote_owner
    for index, vote in enumerate(votes):
        so_far = dataclasses.replace(proposal, votes=tuple(votes[:index]))
        signer = signers(vectors)[vote.vote_owner]
        assert build_vote(so_far, choice=vote.vote, signer=signer, vote_id=vote.vote_id, now_s=vote.timestamp) == vote


def test_proposals_are_created_with_the_same_bytes(vectors: Vectors) -> None:
    for index, row in enumerate(vectors("consensus")["created_proposals"]):
        service = ReferenceService(WalletSigner(b"\x01" * 32))
        created = service.create_proposal(
            name=f"p{index}",
            payload=bytes([index]),
            proposal_id=row["proposal_id"],
            proposal_owner=index.to_bytes(4, "big"),
            expected_voters_count=3,
            duration_s=row["expiration_timestamp"] - row["timestamp"],
            liveness_criteria_yes=True,
            now_s=row["timestamp"],
        )
        assert isinstance(created, Proposal)
        assert created.encode().hex() == row["encoded"]
        assert created.round == row["round"]


def test_validation_gives_the_same_verdicts(vectors: Vectors) -> None:
    cases = vectors("consensus")["validation"]
    assert len(cases) == 17
    for name, case in cases.items():
        proposal = Proposal.decode(bytes.fromhex(case["proposal"]))
        fault = validate_proposal(proposal, case["now"])
        assert (fault.value if fault else "ok") == case["validate_proposal"], name
        session = ReferenceSession.from_proposal(proposal, SessionConfig(), case["now"])
        if isinstance(session, Fault):
            said = session.value
        else:
            state = {State.ACTIVE: "StillActive"}.get(session.state, session.state.value)
            said = f"ok {state} round {session.round}"
        assert said == case["from_proposal"], name


@pytest.mark.parametrize(("version", "field"), [(Version.V0_6_0, "result_0.6.0"), (Version.V0_7_0, "result")])
def test_outcomes_of_counts(vectors: Vectors, version: Version, field: str) -> None:
    rows = vectors("decisions")["rows"]
    assert len(rows) == 996
    for row in rows:
        result = consensus_result(
            version,
            row["n"],
            yes=row["yes"],
            no=row["no"],
            liveness_criteria_yes=row["liveness_yes"],
            timed_out=row["timed_out"],
            threshold=THRESHOLDS[row["threshold"]],
        )
        assert RESULTS[result] == row[field], row


def test_required_votes(vectors: Vectors) -> None:
    for row in vectors("decisions")["required_votes"]:
        expected = required_votes(row["n"], THRESHOLDS[row["threshold"]])
        assert row["required_votes_0.6.0"] == row["required_votes_0.7.0"] == expected, row


@pytest.mark.parametrize("version", list(Version))
def test_every_order_of_votes_passes_through_the_same_states(vectors: Vectors, version: Version) -> None:
    peers = [WalletSigner(index.to_bytes(32, "big")) for index in range(1, 8)]
    ballots: dict[tuple[int, bool], Vote] = {}
    bare = Proposal("p", b"", 9, b"\x00" * 4, 1, 1_000, 2_000, liveness_criteria_yes=True)
    for index, signer in enumerate(peers):
        for choice in (True, False):
            ballots[index, choice] = build_vote(bare, choice=choice, signer=signer, vote_id=index, now_s=1_001)
    rows = vectors("vote_orders")["rows"]
    assert len(rows) == 246
    for row in rows:
        service = ReferenceService(peers[-1], SessionConfig(version), check=lambda *_: None)
        proposal = Proposal("p", b"", 9, b"\x00" * 4, row["n"], 1_000, 2_000, liveness_criteria_yes=row["liveness_yes"])
        assert service.process_incoming_proposal(proposal, 1_001) is None
        session = service.get(9)
        assert session is not None
        states = ""
        for index, letter in enumerate(row["votes"]):
            assert service.process_incoming_vote(ballots[index, letter == "y"], 1_002) is None
            states += STATES[session.state]
        expected = row[f"v{version.value}"]
        assert states == expected["after_each"], row
        end = service.handle_timeout(9, 1_060)
        assert (end.value if isinstance(end, Fault) else RESULTS[end]) == expected["end"], row
