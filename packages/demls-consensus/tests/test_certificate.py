"""What proves to anybody, for ever, that a proposal was approved?"""

import dataclasses
import hashlib
import random
from typing import Any

import pytest
from demls_consensus import Certificate, Choice, Malformed, Reason, Share, SignedVote, quorum
from hypothesis import given, settings
from hypothesis import strategies as st


def certificate_of(kit: Any, n: int) -> Certificate:
    certificate = Certificate.collect(kit.proposal, [kit.vote(index) for index in range(n)], n)
    assert certificate is not None
    return certificate


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 10, 100])
def test_a_quorum_of_yes_votes_is_a_certificate_and_one_less_is_none(kit: Any, n: int) -> None:
    votes = [kit.vote(index) for index in range(quorum(n))]
    certificate = Certificate.collect(kit.proposal, votes, n)
    assert certificate is not None
    assert certificate.verify(kit.electorate(n), kit.scheme())
    assert Certificate.collect(kit.proposal, votes[1:], n) is None


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(
            st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.sampled_from(list(Choice))), max_size=3 * n)
        )
    ),
    st.sampled_from(list(Share)),
    st.randoms(),
)
@settings(deadline=None)
def test_a_certificate_is_found_when_enough_different_voters_said_yes_and_only_then(
    kit: Any, drawn: tuple[int, list[tuple[int, Choice]]], share: Share, shuffler: random.Random
) -> None:
    n, calls = drawn
    votes = [kit.vote(index, choice) for index, choice in calls]
    yes = sorted({index for index, choice in calls if choice is Choice.YES})
    certificate = Certificate.collect(kit.proposal, votes, n, share=share)
    shuffler.shuffle(votes)
    assert Certificate.collect(kit.proposal, votes, n, share=share) == certificate
    if len(yes) < share.needed(n):
        assert certificate is None
        return
    assert certificate is not None
    assert certificate.voters == tuple(kit.voter(index) for index in yes[: share.needed(n)])
    for other in Share:
        enough = other.needed(n) <= share.needed(n)
        fault = None if enough else Reason.TOO_FEW_VOTES
        assert certificate.fault(kit.electorate(n), kit.scheme(), share=other) is fault
        assert certificate.verify(kit.electorate(n), kit.scheme(), share=other) is enough


@given(st.integers(1, 12), st.integers(0, 12))
@settings(deadline=None)
def test_without_a_share_two_thirds_make_a_certificate(kit: Any, n: int, drawn: int) -> None:
    votes = tuple(kit.vote(index) for index in range(min(n, drawn)))
    plain = Certificate.collect(kit.proposal, votes, n)
    assert plain == Certificate.collect(kit.proposal, votes, n, share=Share.TWO_THIRDS)
    assert (plain is not None) is (3 * len(votes) >= 2 * n)
    if votes:
        assert Certificate(kit.proposal, votes).verify(kit.electorate(n), kit.scheme()) is (plain is not None)


@pytest.mark.parametrize("share", list(Share))
def test_one_vote_too_few_is_no_certificate_of_any_share(kit: Any, share: Share) -> None:
    for n in (2, 3, 6, 10):
        votes = tuple(kit.vote(index) for index in range(share.needed(n)))
        assert Certificate.collect(kit.proposal, votes[1:], n, share=share) is None
        fewer = Certificate(kit.proposal, votes[1:])
        assert fewer.fault(kit.electorate(n), kit.scheme(), share=share) is Reason.TOO_FEW_VOTES
        assert Certificate(kit.proposal, votes).verify(kit.electorate(n), kit.scheme(), share=share)


def test_collecting_takes_the_quorum_with_the_lowest_ids_in_order_whatever_the_order_of_votes(kit: Any) -> None:
    votes = [kit.vote(index) for index in (5, 3, 0, 4, 1)] + [kit.vote(2, Choice.NO), kit.vote(3, time_ms=99)]
    certificate = Certificate.collect(kit.proposal, votes, 6)
    assert certificate is not None
    assert certificate.voters == tuple(kit.voter(index) for index in (0, 1, 3, 4))


def test_collecting_passes_over_votes_on_other_proposals(kit: Any) -> None:
    votes = [kit.vote(0), kit.vote(1, proposal=b"\x09" * 32)]
    assert Certificate.collect(kit.proposal, votes, 2) is None


@given(st.integers(1, 12), st.data())
@settings(deadline=None)
def test_a_certificate_stays_one_whatever_arrives_later(kit: Any, n: int, data: st.DataObject) -> None:
    yes = data.draw(st.permutations(range(n)))[: quorum(n)]
    votes = [kit.vote(index) for index in yes]
    before = Certificate.collect(kit.proposal, votes, n)
    assert before is not None
    encoded = before.encode()
    later = data.draw(st.lists(st.tuples(st.integers(0, n - 1), st.sampled_from(list(Choice))), max_size=2 * n))
    votes += [kit.vote(index, choice, time_ms=50) for index, choice in later]
    after = Certificate.collect(kit.proposal, data.draw(st.permutations(votes)), n)
    assert after is not None
    for certificate in (Certificate.decode(encoded), after):
        assert certificate.verify(kit.electorate(n), kit.scheme())


def test_what_is_wrong_is_named(kit: Any) -> None:
    good = certificate_of(kit, 4)
    forged = dataclasses.replace(good.votes[2], signature=b"\x00" * 32)
    moved = Certificate(b"\x07" * 32, tuple(dataclasses.replace(v, proposal_id=b"\x07" * 32) for v in good.votes))
    cases = [
        (good, 4, None),
        (good, 3, None),
        (good, 5, Reason.TOO_FEW_VOTES),
        (Certificate(kit.proposal, good.votes[:2]), 4, Reason.TOO_FEW_VOTES),
        (good, 2, Reason.NOT_A_VOTER),
        (Certificate(kit.proposal, (*good.votes[:2], forged)), 4, Reason.BAD_SIGNATURE),
        (moved, 4, Reason.BAD_SIGNATURE),
    ]
    for certificate, n, fault in cases:
        assert certificate.fault(kit.electorate(n), kit.scheme()) is fault
        assert certificate.verify(kit.electorate(n), kit.scheme()) is (fault is None)


def test_a_signature_of_another_voter_or_time_does_not_fit(kit: Any) -> None:
    good = certificate_of(kit, 3)
    first, second = good.votes
    swapped = dataclasses.replace(first, signature=second.signature)
    later = dataclasses.replace(first, time_ms=first.time_ms + 1)
    for bad in (swapped, later):
        certificate = Certificate(kit.proposal, (bad, second))
        assert certificate.fault(kit.electorate(3), kit.scheme()) is Reason.BAD_SIGNATURE


def test_signatures_are_checked_in_one_batch_and_only_when_the_form_is_right(kit: Any) -> None:
    scheme = kit.scheme()
    certificate = certificate_of(kit, 10)
    certificate.verify(kit.electorate(30), scheme)
    assert scheme.batches == 0
    certificate.verify(kit.electorate(10), scheme)
    assert (scheme.batches, scheme.checked) == (1, 7)


def test_the_hash_tells_certificates_apart_and_survives_the_wire(kit: Any) -> None:
    one = certificate_of(kit, 4)
    other = Certificate(kit.proposal, one.votes[:2])
    assert one.hash != other.hash
    assert Certificate.decode(one.encode()).hash == one.hash


def test_the_encoding_and_the_hash_are_pinned() -> None:
    votes = tuple(SignedVote(b"\x11" * 32, bytes([index]) * 20, Choice.YES, index, b"\xcc") for index in (1, 2))
    certificate = Certificate(b"\x11" * 32, votes)
    assert certificate.encode().hex() == (
        "01"
        + "11" * 32
        + "00000002"
        + "01" * 20
        + "0000000000000001"
        + "01cc"
        + "02" * 20
        + "0000000000000002"
        + "01cc"
    )
    domain = b"demls-consensus/certificate/1"
    assert certificate.hash == hashlib.sha256(len(domain).to_bytes(2, "big") + domain + certificate.encode()).digest()


def test_form_is_checked_by_the_constructor(kit: Any) -> None:
    one, two = kit.vote(1), kit.vote(2)
    for votes in ((), (two, one), (one, one), (one, kit.vote(2, Choice.NO)), (kit.vote(1, proposal=b"\x05" * 32),)):
        with pytest.raises(ValueError, match="certificate"):
            Certificate(kit.proposal, votes)
    with pytest.raises(ValueError, match="32 bytes"):
        Certificate(b"short", (one,))


def test_a_smaller_roster_judges_what_remains(kit: Any) -> None:
    certificate = certificate_of(kit, 10)
    smaller = kit.electorate(6)
    assert not certificate.verify(smaller, kit.scheme())
    remaining = certificate.restricted_to(smaller)
    assert remaining is not None
    assert remaining.verify(smaller, kit.scheme())
    assert certificate.restricted_to(()) is None


def decodes_canonically(data: bytes) -> bool:
    try:
        certificate = Certificate.decode(data)
    except Malformed:
        return False
    assert certificate.encode() == data
    return True


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_garbage_is_refused_or_is_the_canonical_bytes_of_a_certificate(data: bytes) -> None:
    decodes_canonically(data)
    decodes_canonically(b"\x01" + data)


@given(st.integers(1, 5), st.data())
@settings(deadline=None)
def test_a_damaged_certificate_is_refused_or_is_the_canonical_bytes_of_another(
    kit: Any, n: int, data: st.DataObject
) -> None:
    certificate = certificate_of(kit, n)
    encoded = bytearray(certificate.encode())
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    if decodes_canonically(bytes(encoded)):
        changed = Certificate.decode(bytes(encoded))
        assert changed != certificate
        assert not changed.verify(kit.electorate(n), kit.scheme())
    assert not decodes_canonically(certificate.encode() + b"\x00")
    assert not decodes_canonically(certificate.encode()[:-1])


def test_a_count_that_cannot_fit_is_refused_before_anything_is_read(kit: Any) -> None:
    assert not decodes_canonically(b"\x01" + kit.proposal + b"\xff\xff\xff\xff" + b"\x00" * 100)
    assert not decodes_canonically(b"\x01" + kit.proposal + b"\x00\x00\x00\x00")
