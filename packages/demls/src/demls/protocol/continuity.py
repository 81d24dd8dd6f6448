"""What does a member need that missed something, and who sends it?

Settled commits are kept as they were certified and served to whoever is behind; while work is open, members tell one
another in turn what they hold, and the one asked sends what is missing. Anything without a certificate is worth
nothing, whoever sends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from demls_consensus import Choice

from demls.protocol import policy as bounds
from demls.protocol.ballots import Ballot, is_for
from demls.protocol.commit_round import ROUND_LABEL, Round
from demls.protocol.engine import Engine
from demls.protocol.governance import Governance
from demls.protocol.records import Ledger
from demls.protocol.roster import Roster
from demls.wire.fields import STATED_PROPOSALS_MAX
from demls.wire.framing import digest
from demls.wire.ids import Address, Epoch, Head, Instant, LeafKey, ProposalId
from demls.wire.messages import Digest, Payload, ProposalState, SettledCommit, Vote, decode_message, encode_message
from demls.wire.statements import Locks, RoundStatement, StatementKind

DIGEST_LABEL = "demls digest"
ANSWER_PAYLOADS_MAX = 128
"""Payloads in one answer; what is still missing is asked for again."""


def next_head(head: bytes, epoch: int, candidate: bytes) -> Head:
    """The name of the state that a settled candidate makes."""
    return Head(digest(b"demls head 1", head, epoch, candidate))


def first_head(group_id: bytes) -> Head:
    """The name of a group's founding state."""
    return Head(digest(b"demls head 1", group_id, 0, b""))


class History:
    """The newest settled commits, by the epoch that they left."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._answered: dict[Epoch, Instant] = {}
        self._kept: dict[int, tuple[int, int]] = {
            int.from_bytes(key, "big"): kept for key, kept in ledger.under(b"kept/", tuple[int, int])
        }
        """When each was kept, and its size; oldest first."""
        self._bytes = sum(size for _, size in self._kept.values())

    def keep(self, settled: SettledCommit, now: Instant) -> None:
        raw = encode_message(settled)
        self._ledger.put_bytes(_key(settled.epoch), raw)
        self._ledger.put(_kept_key(settled.epoch), (now, len(raw)))
        self._bytes += len(raw) - self._kept.get(settled.epoch, (0, 0))[1]
        self._kept[settled.epoch] = (now, len(raw))
        self._answered = {epoch: at for epoch, at in self._answered.items() if epoch > settled.epoch - 8}

    def expire(self, now: Instant) -> list[int]:
        """Delete what is kept no longer: all but the newest 100 when they are old or many, and what does not fit.

        Returns the epochs that they left.
        """
        gone: list[int] = []
        for epoch, (at, size) in list(self._kept.items()):
            count = len(self._kept)
            is_old = now >= at + bounds.SETTLED_KEPT_FOR and count > bounds.SETTLED_ALWAYS_KEPT
            is_too_much = self._bytes > bounds.SETTLED_BYTES_KEPT and count > 1
            if not (is_old or is_too_much or count > bounds.SETTLED_KEPT):
                break
            del self._kept[epoch]
            self._bytes -= size
            self._ledger.delete(_key(epoch))
            self._ledger.delete(_kept_key(epoch))
            gone.append(epoch)
        return gone

    def leaving(self, epoch: int) -> SettledCommit | None:
        """The settled commit that left ``epoch``, if it is still kept."""
        raw = self._ledger.find_bytes(_key(epoch))
        return None if raw is None else decode_message(raw, SettledCommit)

    def answer(self, epoch: Epoch, now: Instant) -> SettledCommit | None:
        """For a member seen in an old epoch; at most once in a while, so that nobody can make others shout."""
        last = self._answered.get(epoch)
        if last is not None and now < last + bounds.REPEAT_EVERY:
            return None
        settled = self.leaving(epoch)
        if settled is not None:
            self._answered[epoch] = now
        return settled


def is_certified(
    locks: Locks,
    *,
    quorum: int,
    key_of: Callable[[bytes], LeafKey | None],
    group_id: bytes,
    engine: Engine,
) -> bool:
    """Do these locks certify their candidate: are there those of ``quorum`` distinct members of its state?

    ``key_of``: the leaf key of a member whose lock counts. All signatures are verified in one batch.
    """
    if len(locks.signers) != len(locks.signatures):
        return False
    signed: dict[bytes, tuple[bytes, str, bytes, bytes]] = {}
    for lock in locks.statements():
        if lock.member not in signed:
            key = key_of(lock.member)
            if key is None:
                return False
            signed[lock.member] = key, ROUND_LABEL, lock.content(group_id), lock.signature
    return len(signed) >= quorum and all(engine.verify_batch(list(signed.values())))


def make_digest(
    *,
    current: Round,
    governance: Governance,
    roster: Roster,
    own: Address,
    asked: Address,
    group_id: bytes,
    sign: Callable[[str, bytes], bytes],
) -> Digest:
    """What the own member holds of the open work of this state."""
    proposals = tuple(
        ProposalState(
            ballot.ballot_id if place else item.proposal_id,
            _voted(ballot, Choice.YES, roster),
            _voted(ballot, Choice.NO, roster),
        )
        for item in governance.alive()
        for place, ballot in enumerate(item.ballots)
        if ballot.votes or not place
    )[:STATED_PROPOSALS_MAX]
    unsigned = Digest(
        current.epoch,
        current.head,
        current.at.view,
        own,
        asked,
        proposals,
        tuple(sorted(current.candidates))[:64],
        roster.bitmap(current.statements(StatementKind.ACK, current.at.view)),
        roster.bitmap(current.statements(StatementKind.LOCK, current.at.view)),
        bytes(64),
    )
    signature = sign(DIGEST_LABEL, unsigned.content(group_id))
    return Digest(
        unsigned.epoch,
        unsigned.head,
        unsigned.view,
        own,
        asked,
        proposals,
        unsigned.candidates,
        unsigned.acked,
        unsigned.locked,
        signature,
    )


def answer_digest(
    wanted: Digest, *, current: Round, governance: Governance, roster: Roster, hears: bool
) -> list[Payload]:
    """What the asking member lacks and the own member has, bounded; ``hears``: statements of the round, too."""
    answer: list[Payload] = []
    held = {ProposalId(state.proposal_id): _held(state, roster) for state in wanted.proposals}
    for item in governance.items.values():
        if item.is_closed and item.proposal_id not in held:
            continue
        if item.proposal_id not in held:
            answer.append(item.proposal)
        for place, ballot in enumerate(item.ballots):
            if is_for(item.ballots, place, item.place, wanted.member):
                known = held.get(ballot.ballot_id, frozenset())
                answer.extend(Vote(vote.encode()) for voted, vote in ballot.votes.items() if voted not in known)
    newest_first = sorted(current.offers.values(), key=lambda offer: -offer.view)
    answer.extend(offer for offer in newest_first if offer.candidate.id not in wanted.candidates)
    kinds = ((StatementKind.ACK, wanted.acked), (StatementKind.LOCK, wanted.locked)) if hears else ()
    for kind, bitmap in kinds:
        answer.extend(_missing(current.statements(kind, wanted.view), roster.marked(bitmap)))
        if current.at.view > wanted.view:
            answer.extend(current.statements(kind, current.at.view).values())
    return answer[:ANSWER_PAYLOADS_MAX]


def lacks(wanted: Digest, *, governance: Governance, roster: Roster, current: Round, own: bytes, hears: bool) -> bool:
    """Does the sender of a digest hold something that is missing here? ``hears``: also statements of the round."""
    for state in wanted.proposals:
        found = governance.find(state.proposal_id)
        if found is None:
            return True
        item, ballot = found
        if ballot is None:
            continue
        missing = _held(state, roster).difference(ballot.votes)
        is_mine = is_for(item.ballots, item.ballots.index(ballot), item.place, own)
        if missing and (is_mine or ballot.would_decide(_held(state, roster))):
            return True
    if not hears:
        return any(candidate not in current.candidates for candidate in wanted.candidates)
    acked, locked = (current.statements(kind, wanted.view) for kind in (StatementKind.ACK, StatementKind.LOCK))
    unknown = roster.marked(wanted.acked).difference(acked) or roster.marked(wanted.locked).difference(locked)
    return bool(unknown) or any(candidate not in current.candidates for candidate in wanted.candidates)


def _voted(ballot: Ballot, choice: Choice, roster: Roster) -> bytes:
    return roster.bitmap(voter for voter, said in ballot.votes if said is choice)


def _held(state: ProposalState, roster: Roster) -> frozenset[tuple[Address, Choice]]:
    """The votes that the sender of a digest holds."""
    yes = {(voter, Choice.YES) for voter in roster.marked(state.yes)}
    return frozenset(yes | {(voter, Choice.NO) for voter in roster.marked(state.no)})


def _missing(statements: dict[Address, RoundStatement], known: Iterable[Address]) -> list[RoundStatement]:
    known = set(known)
    return [statement for member, statement in statements.items() if member not in known]


def _kept_key(epoch: int) -> bytes:
    return b"kept/" + max(epoch, 0).to_bytes(8, "big")


def _key(epoch: int) -> bytes:
    return b"settled/" + max(epoch, 0).to_bytes(8, "big")
