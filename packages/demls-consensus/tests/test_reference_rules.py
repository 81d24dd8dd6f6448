"""Do the reference rules refuse, count and forget as the crates do?"""

import dataclasses
from typing import Any

import pytest
from demls_consensus import Malformed
from demls_consensus.reference import (
    FAST,
    STRICT,
    ConsensusFailed,
    ConsensusReached,
    Fault,
    Network,
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
    fold_uuid,
    validate_chain,
    validate_proposal,
    validate_vote,
    vote_hash,
)
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = 1_000
uint32 = st.integers(0, 2**32 - 1)
uint64 = st.integers(0, 2**64 - 1)
votes = st.builds(
    Vote, uint32, st.binary(), uint32, uint64, st.booleans(), st.binary(), st.binary(), st.binary(), st.binary()
)
proposals = st.builds(
    Proposal,
    st.text(),
    st.binary(),
    uint32,
    st.binary(),
    uint32,
    uint64,
    uint64,
    st.booleans(),
    uint32,
    st.lists(votes, max_size=3).map(tuple),
)


def signer(index: int) -> WalletSigner:
    return WalletSigner((index + 1).to_bytes(32, "big"))


def proposal(n: int = 4, proposal_id: int = 5, *, liveness_criteria_yes: bool = True) -> Proposal:
    return Proposal("p", b"payload", proposal_id, b"\x00" * 4, n, NOW, NOW + 600, liveness_criteria_yes)


def vote(index: int, choice: bool = True, *, on: Proposal | None = None, now_s: int = NOW) -> Vote:
    return build_vote(on or proposal(), choice=choice, signer=signer(index), vote_id=index, now_s=now_s)


def resigned(changed: Vote, index: int = 0) -> Vote:
    hashed = dataclasses.replace(changed, vote_hash=vote_hash(changed))
    return dataclasses.replace(hashed, signature=signer(index).sign(hashed.signed_bytes))


def with_votes(*cast: Vote, n: int = 4) -> Proposal:
    return dataclasses.replace(proposal(n), votes=cast)


@given(proposals)
@settings(deadline=None, max_examples=50)
def test_messages_survive_the_wire(message: Proposal) -> None:
    assert Proposal.decode(message.encode()) == message
    for inner in message.votes:
        assert Vote.decode(inner.encode()) == inner


@pytest.mark.parametrize("kind", [Vote, Proposal])
@given(data=st.binary(max_size=100))
@settings(deadline=None)
def test_garbage_is_malformed_or_a_message_that_re_encodes_to_itself(kind: Any, data: bytes) -> None:
    try:
        message = kind.decode(data)
    except Malformed:
        return
    assert kind.decode(message.encode()) == message


@pytest.mark.parametrize(
    "data",
    [
        bytes.fromhex("620161"),  # a known number (12) with the wire type of bytes instead of a varint
        bytes.fromhex("7203a20100"),  # the same in a vote inside
        bytes.fromhex("5201ff"),  # a name that is no UTF-8
        bytes.fromhex("6a05aa"),  # cut off
        b"\x00\x01",  # field number zero
    ],
)
def test_what_the_crates_cannot_parse_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        Proposal.decode(data)


def test_unknown_fields_are_dropped_and_not_signed() -> None:
    plain = vote(0)
    assert Vote.decode(plain.encode() + bytes.fromhex("a00601")) == plain


def test_folding_a_uuid() -> None:
    assert fold_uuid(bytes(12) + b"\x01\x02\x03\x04") == 0x01020304
    assert fold_uuid(b"\x11\x11\x11\x11\x22\x22\x22\x22\x44\x44\x44\x44\x88\x88\x88\x88") == 0xFFFFFFFF
    with pytest.raises(ValueError, match="16 bytes"):
        fold_uuid(b"short")


@pytest.mark.parametrize(
    ("changed", "now_s", "fault"),
    [
        (vote(0), NOW, None),
        (vote(0), NOW + 600, None),
        (vote(0), NOW + 601, Fault.VOTE_EXPIRED),
        (vote(0, now_s=NOW + 601), NOW, Fault.VOTE_EXPIRED),
        (vote(0, now_s=NOW - 1), NOW, Fault.TIMESTAMP_OLDER_THAN_CREATION_TIME),
        (dataclasses.replace(vote(0), vote_owner=b"", vote_hash=b""), NOW, Fault.EMPTY_VOTE_OWNER),
        (dataclasses.replace(vote(0), vote_hash=b"", signature=b""), NOW, Fault.EMPTY_VOTE_HASH),
        (dataclasses.replace(vote(0), signature=b"", vote=False), NOW, Fault.EMPTY_SIGNATURE),
        (dataclasses.replace(vote(0), vote=False), NOW, Fault.INVALID_VOTE_HASH),
        (dataclasses.replace(vote(0), signature=b"\x01" * 64), NOW, Fault.SIGNATURE_SCHEME),
        (resigned(dataclasses.replace(vote(0), vote_owner=b"\x01" * 19)), NOW, Fault.SIGNATURE_SCHEME),
        (resigned(vote(0), index=1), NOW, Fault.INVALID_VOTE_SIGNATURE),
    ],
)
def test_votes_are_checked_in_order(changed: Vote, now_s: int, fault: Fault | None) -> None:
    assert validate_vote(changed, proposal(), now_s) is fault


def test_a_proposal_is_expired_one_second_before_its_votes() -> None:
    assert validate_proposal(with_votes(vote(0)), NOW + 599) is None
    assert validate_proposal(with_votes(vote(0)), NOW + 600) is Fault.PROPOSAL_EXPIRED


def test_the_chain_links_to_the_vote_before_and_to_the_owners_earlier_one() -> None:
    first = vote(0)
    second = vote(1, on=with_votes(first), now_s=NOW + 1)
    again = vote(0, on=with_votes(first, second), now_s=NOW + 2)
    assert (second.received_hash, second.parent_hash) == (first.vote_hash, b"")
    assert (again.received_hash, again.parent_hash) == (second.vote_hash, first.vote_hash)
    assert validate_chain((first, second, again)) is None
    assert validate_chain((second,)) is None
    for chain, fault in (
        ((second, first), None),
        ((first, again), Fault.RECEIVED_HASH_MISMATCH),
        ((second, again), Fault.PARENT_HASH_MISMATCH),
        ((first, dataclasses.replace(second, timestamp=NOW - 1)), Fault.RECEIVED_HASH_MISMATCH),
        ((first, dataclasses.replace(second, parent_hash=first.vote_hash)), Fault.PARENT_HASH_MISMATCH),
        ((first, dataclasses.replace(again, received_hash=b"", timestamp=NOW - 1)), Fault.PARENT_HASH_MISMATCH),
        ((dataclasses.replace(first, parent_hash=again.vote_hash), again), Fault.PARENT_HASH_MISMATCH),
    ):
        assert validate_chain(chain) is fault


def start(received: Proposal, config: SessionConfig | None = None) -> ReferenceSession | Fault:
    return ReferenceSession.from_proposal(received, config or SessionConfig(), NOW)


def test_a_received_proposal_starts_with_its_votes_and_its_own_round() -> None:
    session = start(dataclasses.replace(with_votes(vote(0)), round=77))
    assert isinstance(session, ReferenceSession)
    assert (session.round, session.votes, session.state) == (2, (vote(0),), State.ACTIVE)
    assert session.snapshot() == dataclasses.replace(with_votes(vote(0)), round=2)


def test_a_received_proposal_with_too_many_or_double_votes_is_refused() -> None:
    assert start(with_votes(vote(0), vote(0, False))) is Fault.DUPLICATE_VOTE
    assert start(with_votes(vote(0), vote(1), n=1)) is Fault.MAX_ROUNDS_EXCEEDED
    other = dataclasses.replace(vote(0), proposal_id=6)
    assert start(with_votes(other)) is Fault.VOTE_PROPOSAL_ID_MISMATCH


def test_rounds_of_pure_p2p_networks_are_votes() -> None:
    p2p = SessionConfig(network=Network.P2P)
    assert start(with_votes(vote(0), vote(1), vote(2), vote(3)), p2p) is Fault.MAX_ROUNDS_EXCEEDED
    session = start(with_votes(vote(0), vote(1, False)), p2p)
    assert isinstance(session, ReferenceSession)
    assert session.round == 3
    seen = [(session.add_vote(vote(index, choice), NOW), session.state) for index, choice in ((2, False), (3, True))]
    assert seen == [(None, State.ACTIVE), (Fault.MAX_ROUNDS_EXCEEDED, State.FAILED)]
    assert session.add_vote(vote(3), NOW) is Fault.SESSION_NOT_ACTIVE


def test_a_session_without_voters_refuses_every_vote() -> None:
    session = start(proposal(0))
    assert isinstance(session, ReferenceSession)
    assert session.add_vote(vote(0), NOW) is Fault.MAX_ROUNDS_EXCEEDED


def test_a_result_stays_and_later_votes_have_no_effect() -> None:
    session = start(with_votes(vote(0), vote(1), vote(2)), SessionConfig(Version.V0_7_0))
    assert isinstance(session, ReferenceSession)
    assert session.state is State.REACHED_YES
    assert session.add_vote(vote(3, False), NOW + 900) is None
    assert len(session.votes) == 3
    assert session.time_out() is True


def test_the_two_versions_differ_by_the_silence_before_the_timeout() -> None:
    assert consensus_result(Version.V0_6_0, 3, yes=1, no=1, liveness_criteria_yes=True, timed_out=False) is True
    assert consensus_result(Version.V0_7_0, 3, yes=1, no=1, liveness_criteria_yes=True, timed_out=False) is None


def test_the_versions_agree_at_the_timeout_and_0_7_0_does_not_depend_on_order() -> None:
    for n in range(1, 25):
        for yes in range(n + 1):
            for no in range(n + 1 - yes):
                for live in (True, False):
                    at_end = {
                        consensus_result(version, n, yes=yes, no=no, liveness_criteria_yes=live, timed_out=True)
                        for version in Version
                    }
                    assert len(at_end) == 1
                    early = consensus_result(
                        Version.V0_7_0, n, yes=yes, no=no, liveness_criteria_yes=live, timed_out=False
                    )
                    assert early is None or at_end == {early}


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        (SessionConfig(), None),
        (STRICT, None),
        (FAST, None),
        (SessionConfig(threshold=1.1), Fault.INVALID_CONSENSUS_THRESHOLD),
        (SessionConfig(threshold=float("nan")), Fault.INVALID_CONSENSUS_THRESHOLD),
        (SessionConfig(timeout_s=0), Fault.INVALID_TIMEOUT),
        (SessionConfig(rounds_max=0), Fault.INVALID_MAX_ROUNDS),
        (SessionConfig(network=Network.P2P, rounds_max=0), None),
    ],
)
def test_settings_are_checked(config: SessionConfig, fault: Fault | None) -> None:
    assert config.fault is fault
    if fault is not None:
        with pytest.raises(ValueError, match=fault.value):
            ReferenceService(signer(0), config)


def create(service: ReferenceService, **changes: Any) -> Proposal | Fault:
    fields: dict[str, Any] = {
        "name": "p",
        "payload": b"payload",
        "proposal_id": 5,
        "proposal_owner": b"\x00" * 4,
        "expected_voters_count": 3,
        "duration_s": 600,
        "liveness_criteria_yes": True,
        "now_s": NOW,
    }
    return service.create_proposal(**(fields | changes))


def test_three_peers_decide_together_and_tell_it() -> None:
    peers = [ReferenceService(signer(index), SessionConfig(Version.V0_7_0)) for index in range(3)]
    assert isinstance(create(peers[0]), Proposal)
    cast = peers[0].cast_vote(5, choice=True, vote_id=1, now_s=NOW + 1)
    assert isinstance(cast, Vote)
    session = peers[0].get(5)
    assert session is not None
    for peer in peers[1:]:
        assert peer.process_incoming_proposal(Proposal.decode(session.snapshot().encode()), NOW + 1) is None
    second = peers[1].cast_vote(5, choice=True, vote_id=2, now_s=NOW + 2)
    assert isinstance(second, Vote)
    assert second.received_hash == cast.vote_hash
    for peer in (peers[0], peers[2]):
        assert peer.process_incoming_vote(second, NOW + 2) is None
    for peer in peers:
        assert peer.drain_events() == [ConsensusReached(5, True, NOW + 2)]
        assert peer.drain_events() == []
        assert peer.handle_timeout(5, NOW + 60) is True
        assert peer.drain_events() == [ConsensusReached(5, True, NOW + 60)]


def test_the_service_refuses_by_name() -> None:
    service = ReferenceService(signer(0))
    assert create(service, expected_voters_count=0) is Fault.INVALID_EXPECTED_VOTERS_COUNT
    assert create(service, duration_s=0) is Fault.INVALID_TIMEOUT
    assert service.cast_vote(5, choice=True, vote_id=1, now_s=NOW) is Fault.SESSION_NOT_FOUND
    assert service.process_incoming_vote(vote(1), NOW) is Fault.SESSION_NOT_FOUND
    assert service.handle_timeout(5, NOW) is Fault.SESSION_NOT_FOUND
    assert isinstance(create(service), Proposal)
    assert service.process_incoming_proposal(proposal(), NOW) is Fault.PROPOSAL_ALREADY_EXIST
    assert service.cast_vote(5, choice=True, vote_id=1, now_s=NOW + 600) is Fault.PROPOSAL_EXPIRED
    assert isinstance(service.cast_vote(5, choice=True, vote_id=1, now_s=NOW), Vote)
    assert service.cast_vote(5, choice=True, vote_id=1, now_s=NOW) is Fault.USER_ALREADY_VOTED
    assert service.process_incoming_vote(vote(0), NOW) is Fault.DUPLICATE_VOTE
    assert service.process_incoming_vote(vote(1, False), NOW + 600) is Fault.PROPOSAL_EXPIRED
    service.remove(5)
    service.remove(5)
    assert service.process_incoming_vote(vote(1), NOW) is Fault.SESSION_NOT_FOUND


def test_too_few_votes_fail_at_the_timeout() -> None:
    service = ReferenceService(signer(0))
    create(service, expected_voters_count=2)
    assert service.handle_timeout(5, NOW + 60) is Fault.INSUFFICIENT_VOTES_AT_TIMEOUT
    assert service.drain_events() == [ConsensusFailed(5, NOW + 60)]
    assert service.process_incoming_vote(vote(1), NOW) is Fault.SESSION_NOT_ACTIVE


def test_the_oldest_sessions_are_pushed_out() -> None:
    service = ReferenceService(signer(0), sessions_max=2)
    for number in range(4):
        create(service, proposal_id=number, now_s=NOW + number // 2)
    assert [service.get(number) is not None for number in range(4)] == [False, False, True, True]
    assert len(service) == 2


def test_events_are_bounded() -> None:
    service = ReferenceService(signer(0), events_max=3)
    create(service, expected_voters_count=2)
    for second in range(5):
        service.handle_timeout(5, NOW + second)
    assert service.drain_events() == [ConsensusFailed(5, NOW + second) for second in (2, 3, 4)]


def test_another_signature_scheme_can_be_plugged_in() -> None:
    def nobody(_owner: bytes, _content: bytes, _signature: bytes) -> Fault | None:
        return Fault.INVALID_VOTE_SIGNATURE

    service = ReferenceService(signer(0), check=nobody)
    assert service.process_incoming_proposal(with_votes(vote(0)), NOW) is Fault.INVALID_VOTE_SIGNATURE


@given(proposals, uint64)
@settings(deadline=None, max_examples=100)
def test_hostile_proposals_never_raise(hostile: Proposal, now_s: int) -> None:
    service = ReferenceService(signer(0))
    service.process_incoming_proposal(hostile, now_s)
    for inner in hostile.votes:
        service.process_incoming_vote(inner, now_s)
    service.handle_timeout(hostile.proposal_id, now_s)


def test_a_wallet_signer_does_not_show_its_key() -> None:
    assert "0000" not in repr(signer(0))
    assert check_wallet_signature(signer(0).identity, b"m", signer(0).sign(b"m")) is None
