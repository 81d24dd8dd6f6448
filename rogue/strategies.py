"""How does a malicious leader cheat? Each strategy makes another candidate of the honest one, with real keys."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from demls.identity.device import bind_device
from demls.identity.wallet import Wallet
from demls.protocol.candidates import JOINER_EXTENSION, Candidates, OwnCandidate
from demls.protocol.commit_round import OFFER_LABEL, ROUND_LABEL, Round
from demls.protocol.credential import Device
from demls.protocol.group import SUPPORTED_EXTENSIONS
from demls.protocol.items import Item
from demls.protocol.policy import JOINER_KEY_BYTES, POLICY_EXTENSION
from demls.protocol.round_host import Mint
from demls.protocol.step import Step
from demls.protocol.updates import updates_of
from demls.wire.chain import succession_hash
from demls.wire.ids import Address, Instant, LeafKey, View
from demls.wire.messages import (
    Candidate,
    CommitContext,
    JoinerSecrets,
    Offer,
    Settings,
    encode_message,
)
from demls.wire.statements import RoundStatement, StatementKind

MEMBERS_MIN = 3
"""In smaller groups it behaves: there is nobody to cheat."""
GARBAGE_BYTES = 900


@dataclass(frozen=True, slots=True)
class Turn:
    """The malicious member leads this view, and has this work to commit."""

    own: Candidates
    view: View
    step: Step
    work: list[Item]

    def candidate(
        self,
        *,
        removes: tuple[int, ...] = (),
        adds: tuple[bytes, ...] = (),
        settings: dict[int, bytes] | None = None,
        head: bytes | None = None,
        is_empty: bool = False,
    ) -> Candidate:
        """A real commit of the work that was decided, but for what the arguments say."""
        own, work = self.own, [] if is_empty else self.work
        decided_adds, decided_removes, decided_settings = own._proposals_of(work)
        all_adds = [*decided_adds, *adds]
        time = Instant(max(self.step.now, own._state.time + 1))
        entries = tuple(own._governance.entry(item) for item in work)
        context = encode_message(CommitContext(head or own._state.head, self.view, time, entries))
        joiner_key, sync = b"", b""
        if all_adds:
            follows = own.follow_own(work, self.view, time)
            assert follows is not None
            named = succession_hash(encode_message(follows))
            joiner_key, sync = own._engine.random(JOINER_KEY_BYTES), encode_message(own._make_sync(time, named))
        secrets = encode_message(JoinerSecrets(joiner_key, hashlib.sha256(sync).digest()))
        updates = updates_of(work, own._own_address)
        built = own._mls.propose_commit(
            adds=all_adds,
            removes=[*decided_removes, *removes],
            updates=updates,
            context_extensions=settings or decided_settings,
            authenticated_data=context,
            group_info_extensions={JOINER_EXTENSION: secrets} if all_adds else None,
            force_path=not all_adds,
        )
        made = Candidate(built.commit, built.welcome or b"", joiner_key, sync, updates)
        self.keep(made, OwnCandidate(built.staged, context))
        return made

    def keep(self, candidate: Candidate, own: OwnCandidate) -> None:
        """As an own candidate, which the own node finds good."""
        self.own._own[candidate.id] = own
        self.own._ledger.put(b"round/private/" + candidate.id, own)


def smuggle_removal(turn: Turn) -> Candidate:
    """Remove somebody on whom nobody has voted: the last by leaf."""
    seats = turn.own._state.roster.seats
    others = [seat.leaf for seat in seats if seat.address != turn.own._own_address]
    return turn.candidate(removes=(max(others),))


def smuggle_addition(turn: Turn) -> Candidate:
    """Admit a key package on which nobody has voted, of a wallet made up for it."""
    engine, wallet = turn.own._engine, Wallet.create()
    key = engine.signature_key()
    leaf_key = LeafKey(key.public)
    binding = bind_device(wallet, leaf_key, "burner", turn.step.now)
    device = Device(wallet.address, "Trudy", "burner", leaf_key, key.private, binding)
    package = engine.key_package(
        signature_private=device.leaf_private,
        credential=device.credential(),
        extensions=device.extensions(),
        supported=SUPPORTED_EXTENSIONS,
    )
    return turn.candidate(adds=(package.public.encoded,))


def other_settings(turn: Turn) -> Candidate:
    """Carry out a settings decision, with other settings: one steward for good."""
    charter = turn.own._state.charter
    decided = next((item.change for item in turn.work if isinstance(item.change, Settings)), None)
    policy = replace(charter.policy if decided is None else decided.policy, stewards_max=1)
    return turn.candidate(settings={POLICY_EXTENSION: encode_message(replace(charter, policy=policy))})


def garbage(turn: Turn) -> Candidate:
    """No commit at all."""
    made = turn.candidate()
    own = turn.own._own[made.id]
    candidate = replace(made, commit=os.urandom(GARBAGE_BYTES))
    turn.keep(candidate, own)
    return candidate


def other_state(turn: Turn) -> Candidate:
    """Continue a state that never was."""
    return turn.candidate(head=os.urandom(32))


def leave_out(turn: Turn) -> Candidate:
    """Leave out all that was decided."""
    return turn.candidate(is_empty=True)


def two_faced(turn: Turn) -> Candidate:
    """A good one; ``_offer_two`` offers another besides, and signs for both."""
    return turn.candidate()


STRATEGIES: dict[str, Callable[[Turn], Candidate]] = {
    "smuggle-removal": smuggle_removal,
    "smuggle-addition": smuggle_addition,
    "other-settings": other_settings,
    "garbage": garbage,
    "other-state": other_state,
    "leave-out": leave_out,
    "two-faced": two_faced,
}


def cheat(chosen: Mapping[str, str]) -> None:
    """From now on this process cheats: group name ("" for all) to strategy."""
    honest_mint, honest_offer = Candidates.mint, Round._offer

    def strategy_of(own: Candidates) -> str | None:
        is_worth_it = own._state.roster.n >= MEMBERS_MIN
        return chosen.get(own._state.charter.name, chosen.get("")) if is_worth_it else None

    def mint(self: Candidates, view: View, step: Step) -> Mint | None:
        name, work = strategy_of(self), self.work_for(self._own_address, step.now)
        if name is None or not work:
            return honest_mint(self, view, step)
        candidate = STRATEGIES[name](Turn(self, view, step, work))
        return Mint(candidate, self._governance.lists_for(work), tuple(item.proposal for item in work))

    def offer(self: Round, mint: Mint, acks: tuple[RoundStatement, ...], step: Step) -> None:
        host: Any = self._host
        is_two_faced = not acks and strategy_of(host.candidates) == "two-faced"
        other = host.candidates.mint(View(self.at.view), step) if is_two_faced else None
        if other is not None:
            for candidate in (mint.candidate, other.candidate):
                step.say(_ack(self, host, candidate))
        honest_offer(self, mint, acks, step)
        if other is not None:
            step.say(_second_offer(self, host, other))

    Candidates.mint = mint  # type: ignore[method-assign]
    Round._offer = offer  # type: ignore[method-assign]


def _ack(current: Round, host: Any, candidate: Candidate) -> RoundStatement:
    unsigned = RoundStatement(
        current.epoch,
        current.head,
        current.at.view,
        candidate.id,
        host.choices(candidate.id),
        Address(current._own),
        bytes(64),
        int(StatementKind.ACK),
    )
    return replace(unsigned, signature=host.sign(ROUND_LABEL, unsigned.content(current._group_id)))


def _second_offer(current: Round, host: Any, mint: Mint) -> Offer:
    unsigned = Offer(
        current.epoch,
        current.head,
        current.at.view,
        mint.candidate,
        mint.votes,
        (),
        Address(current._own),
        bytes(64),
        mint.proposals,
    )
    return replace(unsigned, signature=host.sign(OFFER_LABEL, unsigned.content(current._group_id)))
