"""Who asks to join, with which token, and who opens the vote?

A request carries the one-time token of an invite link, signed by the member that answers for it. Every member keeps
it; the first in the order of leaders proposes it to the group, the next ones if it stays silent (LIP-104 §Timers,
voting inactivity). Nobody is ever voted on because of a request that no member answers for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from demls.protocol import policy as bounds
from demls.protocol.credential import CredentialRefused, check_leaf, parse_credential
from demls.protocol.engine import Engine, EngineError, ReadKeyPackage
from demls.protocol.events import Reason, RequestReceived
from demls.protocol.records import Ledger
from demls.protocol.roster import Roster
from demls.protocol.step import Step
from demls.wire.framing import digest
from demls.wire.ids import Address, Duration, Epoch, GroupId, Instant
from demls.wire.messages import Invite, JoinRequest, UsedToken, invite_content

INVITE_LABEL = "demls invite"
TOKEN_BYTES = 16
_NOBODY = bytes(20)
"""Issuer of what came without a token."""
POSTPONED = Duration(10_000)
_IS_MEMBER = "a request by somebody who is a member"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as kept: ``open_at``: when the own member opens the vote if nobody did before.

    Without a token it waits for a sponsor: no vote is opened by itself.
    """

    key_package: bytes
    address: bytes
    name: str
    issuer: bytes
    token: bytes
    received_at: int
    open_at: int
    epoch: int


class Requests:
    """The requests to join one group, and the tokens that were used."""

    def __init__(self, ledger: Ledger, engine: Engine, group_id: GroupId, read: ReadKeyPackage) -> None:
        self._ledger = ledger
        self._engine = engine
        self._read = read
        self._group_id = group_id
        self.waiting: dict[bytes, Request] = dict(ledger.under(b"request/", Request))
        self._used: dict[bytes, tuple[bytes, bytes, int]] = dict(ledger.under(b"token/", tuple[bytes, bytes, int]))
        """token: (request, issuer, when it expires)"""
        self._proposed: dict[bytes, Instant] = {key: Instant(at) for key, at in ledger.under(b"proposed/", int)}

    def receive(
        self, request: JoinRequest, roster: Roster, epoch: Epoch, rank: int, agreed: frozenset[Address], step: Step
    ) -> str | None:
        """A request from the rendezvous topic. ``rank``: own place among the leaders; ``agreed``: named by the charter.

        Returns a sentence for the requester if it can never succeed, None otherwise.
        """
        refusal = self._refusal(request, roster, step.now)
        if refusal is not None and not (refusal[0] is Reason.LIMIT and self._names(request) in agreed):
            reason, sentence = refusal
            if self._names(request) in roster.addresses:
                step.refuse(Reason.STALE, _IS_MEMBER)
                return None
            step.refuse(reason, sentence)
            return sentence if reason in (Reason.STALE, Reason.LIMIT) else None
        try:
            package = self._read(request.key_package_bytes)
            credential = check_leaf(package.credential, package.signature_key, package.extensions, step.now)
        except (EngineError, CredentialRefused) as problem:
            step.refuse(Reason.INVALID, f"a request to join with an unusable key package: {problem}")
            return None
        if credential.address in roster.addresses:
            step.refuse(Reason.STALE, _IS_MEMBER)
            return None
        request_id = digest(b"demls request 1", request.key_package_bytes)
        if request_id in self.waiting or (request.token or request_id[:TOKEN_BYTES]) in self._used:
            return None
        if request_id in self._proposed:
            self._use(request, request_id)
            return None
        strangers = sum(1 for kept in self.waiting.values() if not kept.token)
        if len(self.waiting) >= bounds.REQUESTS_MAX or (not request.token and strangers >= bounds.STRANGERS_MAX):
            step.refuse(Reason.LIMIT, "too many requests to join")
            return None
        self._use(request, request_id)
        open_at = step.now + rank * bounds.TAKEOVER_AFTER if request.token else bounds.INSTANT_MAX
        kept = Request(
            request.key_package_bytes,
            credential.address,
            credential.name,
            request.issuer,
            request.token,
            step.now,
            open_at,
            epoch,
        )
        self.waiting[request_id] = kept
        self._ledger.put(b"request/" + request_id, kept)
        step.tell(RequestReceived(request_id, Address(kept.address), kept.name, Address(kept.issuer)))
        return None

    def admitted(self, request: JoinRequest, roster: Roster) -> Address | None:
        """Which member asks, by the key package that it was added with; None if the request is nobody's who was."""
        try:
            package = self._read(request.key_package_bytes)
            address = Address(parse_credential(package.credential).address)
        except (EngineError, CredentialRefused):
            return None
        seat = roster.seat(address)
        return address if seat is not None and seat.leaf_key == package.signature_key else None

    def _names(self, request: JoinRequest) -> Address | None:
        """Whom the key package names."""
        try:
            return Address(parse_credential(self._read(request.key_package_bytes).credential).address)
        except (EngineError, CredentialRefused):
            return None

    def _refusal(self, request: JoinRequest, roster: Roster, now: Instant) -> tuple[Reason, str] | None:
        if len(request.token) not in (0, TOKEN_BYTES):
            return Reason.INVALID, "a token of another length"
        seat = roster.seat(request.issuer)
        if seat is None:
            return Reason.STALE, "Who made this invite link is no longer in the group; ask another member for one."
        content = invite_content(self._group_id, request.token, request.expires, request.issuer)
        if not self._engine.verify(seat.leaf_key, INVITE_LABEL, content, request.signature):
            return Reason.STALE, "This invite link does not bear the present key of its maker; ask for a new one."
        if request.expires <= now or request.expires > now + bounds.INVITE_LIFETIME_MAX:
            return Reason.STALE, "This invite link has expired; ask for a new one."
        if not request.token:
            return None
        used = self._used.get(request.token)
        if used is not None and used[0] != digest(b"demls request 1", request.key_package_bytes):
            return Reason.STALE, "This invite link was used before; ask for a new one."
        if used is None and sum(1 for _, by, _ in self._used.values() if by == request.issuer) >= (
            bounds.INVITES_PER_MEMBER_MAX
        ):
            return Reason.LIMIT, "The member who made this invite link has invited too many people lately; ask another."
        return None

    def _use(self, request: JoinRequest, request_id: bytes) -> None:
        if not request.token:
            return
        self._used[request.token] = (request_id, request.issuer, request.expires)
        self._ledger.put(b"token/" + request.token, self._used[request.token])

    def used_tokens(self) -> tuple[UsedToken, ...]:
        """The newest used tokens, for a sync."""
        newest = sorted(self._used.items(), key=lambda used: (-used[1][2], used[0]))[: bounds.SYNCED_TOKENS_MAX]
        return tuple(UsedToken(token, request, issuer, expires) for token, (request, issuer, expires) in newest)

    def adopt_used(self, tokens: tuple[UsedToken, ...]) -> None:
        """What was used before the own joining: those requests are not ours to bring up again."""
        for used in tokens:
            self._used[used.token] = (used.request_id, used.issuer, used.expires)
            self._ledger.put(b"token/" + used.token, self._used[used.token])

    def due(self, now: Instant) -> list[tuple[bytes, Request]]:
        """Requests whose vote the own member shall open now."""
        return [(request_id, kept) for request_id, kept in self.waiting.items() if kept.open_at <= now]

    def postpone(self, request_id: bytes, now: Instant) -> None:
        """The own member has too much open: it opens this vote later, if nobody else does."""
        kept = replace(self.waiting[request_id], open_at=now + POSTPONED)
        self.waiting[request_id] = kept
        self._ledger.put(b"request/" + request_id, kept)

    def drop(self, request_id: bytes) -> Request | None:
        """It was proposed, dismissed, or is too old."""
        kept = self.waiting.pop(request_id, None)
        if kept is not None:
            self._ledger.delete(b"request/" + request_id)
        return kept

    def proposed(self, invite: Invite, now: Instant) -> None:
        """A proposal for this key package is (or was) there: nobody opens another, whenever the request comes.

        Its token is used up by that, also for those who never saw the request and for joiners; what came without a
        token is remembered by its own name.
        """
        request_id = digest(b"demls request 1", invite.key_package_bytes)
        key = invite.token or request_id[:TOKEN_BYTES]
        if key not in self._used:
            issuer = invite.sponsor if invite.token else _NOBODY
            self._used[key] = (request_id, issuer or _NOBODY, now + bounds.INVITE_LIFETIME_MAX)
            self._ledger.put(b"token/" + key, self._used[key])
        self.drop(request_id)
        self._proposed[request_id] = now
        self._ledger.put(b"proposed/" + request_id, now)
        if len(self._proposed) > bounds.PROPOSED_REQUESTS_KEPT:
            oldest = min(self._proposed, key=lambda known: (self._proposed[known], known))
            del self._proposed[oldest]
            self._ledger.delete(b"proposed/" + oldest)

    def reopen(self, change: Invite, epoch: Epoch, rank: int, now: Instant) -> None:
        """Whoever had opened the vote on a request is gone: the next in order opens it again."""
        try:
            credential = parse_credential(self._read(change.key_package_bytes).credential)
        except (EngineError, CredentialRefused):
            return
        request_id = digest(b"demls request 1", change.key_package_bytes)
        self._proposed.pop(request_id, None)
        self._ledger.delete(b"proposed/" + request_id)
        kept = Request(
            change.key_package_bytes,
            credential.address,
            credential.name,
            change.sponsor,
            change.token,
            now,
            now + rank * bounds.TAKEOVER_AFTER,
            epoch,
        )
        self.waiting[request_id] = kept
        self._ledger.put(b"request/" + request_id, kept)

    def settle(self, roster: Roster, epoch: Epoch, now: Instant) -> None:
        """Forget what is too old, who has become a member, and tokens that nobody can use any more."""
        for request_id, kept in list(self.waiting.items()):
            is_old = epoch > kept.epoch + bounds.REQUEST_EPOCHS or now > kept.received_at + bounds.REQUEST_LIFETIME
            if kept.address in roster.addresses or is_old:
                self.drop(request_id)
        for token, (_, issuer, expires) in list(self._used.items()):
            if (issuer != _NOBODY and issuer not in roster.addresses) or expires <= now:
                del self._used[token]
                self._ledger.delete(b"token/" + token)

    def deadline(self) -> Instant | None:
        times = (Instant(kept.open_at) for kept in self.waiting.values() if kept.token)
        return min(times, default=None)
