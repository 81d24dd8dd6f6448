"""How do thousands of votes travel in an offer? By ballot and choice: whose they are as a bitmap, times and signatures.

What a vote signs is built again from that, so a list proves as much as its votes do one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from demls_consensus import Choice, SignedVote

from demls.protocol import bitmaps
from demls.protocol.ballots import Ballots, votes_that_show
from demls.protocol.electorates import Electorate, Electorates
from demls.wire.fields import VOTES_IN_OFFER_MAX
from demls.wire.messages import VoteList

_SIGNATURE_BYTES = 64
_CODES = {Choice.YES: 1, Choice.NO: 2}
_CHOICES = {code: choice for choice, code in _CODES.items()}


def listed(ballots: Ballots, electorate: Electorate) -> Iterator[VoteList]:
    """The votes that make a proposal what it is; ``electorate``: that of its epoch. O(n) for each list."""
    by_list: dict[tuple[bytes, Choice], dict[bytes, SignedVote]] = {}
    for vote in votes_that_show(ballots):
        by_list.setdefault((vote.proposal_id, vote.choice), {})[vote.voter] = vote
    for (ballot_id, choice), votes in by_list.items():
        ordered = [votes[address] for address in electorate.seats if address in votes]
        if ordered:
            yield VoteList(
                ballot_id,
                electorate.epoch,
                _CODES[choice],
                bitmaps.bitmap(electorate.seats, votes),
                tuple(vote.time_ms for vote in ordered),
                b"".join(vote.signature for vote in ordered),
            )


def votes_in(lists: Iterable[VoteList], electorates: Electorates) -> list[SignedVote]:
    """The votes of these lists, whose signatures are not checked, at most ``VOTES_IN_OFFER_MAX``.

    Lists that mean nothing here are left out.
    """
    votes = (_votes_of(one, electorates.get(one.epoch)) for one in lists)
    return list(islice(chain.from_iterable(votes), VOTES_IN_OFFER_MAX))


def _votes_of(one: VoteList, electorate: Electorate | None) -> list[SignedVote]:
    choice = _CHOICES.get(one.choice)
    if electorate is None or choice is None:
        return []
    voters = bitmaps.marked(electorate.seats, one.voters)
    named = int.from_bytes(one.voters, "little").bit_count()
    if not len(voters) == named == len(one.times) == len(one.signatures) / _SIGNATURE_BYTES:
        return []
    signatures = range(0, len(one.signatures), _SIGNATURE_BYTES)
    return [
        SignedVote(one.ballot_id, voter, choice, time_ms, one.signatures[at : at + _SIGNATURE_BYTES])
        for voter, time_ms, at in zip(voters, one.times, signatures, strict=True)
    ]
