"""What does a bad leader offer? Candidates that the numbered checks find, built from what was decided.

``FAULTS`` is the list, by the check that finds each. What the engines cannot be made to build (the own removal, a path
with another identity, foreign kinds of MLS proposals) is not there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from demls.protocol.candidates import JOINER_EXTENSION
from demls.protocol.engine import EngineError, MlsGroup
from demls.protocol.group import SUPPORTED_EXTENSIONS
from demls.protocol.items import Item
from demls.protocol.policy import JOINER_KEY_BYTES, POLICY_EXTENSION
from demls.protocol.sync import build_sync
from demls.protocol.updates import updates_of
from demls.protocol.validation import amended_context
from demls.simulation.adversaries.mind import Mind, Parcel
from demls.wire.chain import LostTurn, electorate_hash, succession_hash
from demls.wire.ids import Address, Instant, View
from demls.wire.messages import (
    Candidate,
    CommitContext,
    Entry,
    Invite,
    JoinerSecrets,
    Offer,
    PastElectorate,
    Payload,
    Settings,
    encode_message,
)

_LATE = 150_000


class Workshop:
    """One turn of a bad leader: builds the sound candidate of what is approved, but for what it is told."""

    def __init__(self, mind: Mind, offer: Offer) -> None:
        self.mind = mind
        self.state = mind.state
        self.sound = offer.candidate
        self.view = offer.view
        self.work = self.state.candidates.work_for(mind.node.address, Instant(mind.now))

    def build(
        self,
        work: list[Item] | None = None,
        *,
        adds: list[bytes] | None = None,
        removes: list[int] | None = None,
        extensions: dict[int, bytes] | None = None,
        context: bytes | None = None,
        sync: dict[str, Any] | None = None,
        succession: dict[str, Any] | None = None,
        mls: MlsGroup | None = None,
        **fields: Any,
    ) -> Candidate | None:
        """None if there is nothing to build it of, or MLS takes no such commit."""
        state, items = self.state, self.work if work is None else work
        time = Instant(max(self.mind.now, state.state.time + 1))
        entries = tuple(state.governance.entry(item) for item in items)
        said: dict[str, Any] = {"head": state.state.head, "view": self.view, "time": time, "entries": entries} | fields
        decided_adds, decided_removes, decided_settings = state.candidates._proposals_of(items)
        adds = decided_adds if adds is None else adds
        joiner_key, stated = b"", b""
        if adds:
            follows = state.candidates.follow_own(items, View(self.view), Instant(said["time"]))
            if follows is None:
                return None
            named = succession_hash(encode_message(replace(follows, **(succession or {}))))
            full = build_sync(state.state, state.governance, state.group_id, Instant(said["time"]), named)
            stated = encode_message(replace(full, **(sync or {})))
            joiner_key = self.mind.dice.randbytes(JOINER_KEY_BYTES)
        secrets = encode_message(JoinerSecrets(joiner_key, hashlib.sha256(stated).digest()))
        updates = updates_of(items, self.mind.node.address)
        try:
            built = (mls or state.mls).propose_commit(
                adds=adds,
                removes=decided_removes if removes is None else removes,
                updates=updates,
                context_extensions=decided_settings if extensions is None else extensions,
                authenticated_data=encode_message(CommitContext(**said)) if context is None else context,
                group_info_extensions={JOINER_EXTENSION: secrets} if adds else None,
                force_path=not adds,
            )
        except EngineError:
            return None
        return Candidate(built.commit, built.welcome or b"", joiner_key, stated, updates)

    def changed(self, **fields: Any) -> Candidate:
        """The sound one with other bytes in one place."""
        return replace(self.sound, **fields)

    def has_newcomers(self) -> bool:
        return any(isinstance(item.change, Invite) for item in self.work)

    def innocent(self) -> Address | None:
        """An innocent member that nobody removes."""
        going = {item.subject for item in self.work}
        left = [address for address in self.mind.innocents() if address not in going]
        return self.mind.dice.choice(left) if left else None

    def leaves_of(self, address: Address) -> list[int]:
        return list(self.state.roster.leaves_of(address))

    def own_package(self) -> bytes:
        """A key package of a device of its own, that nobody has asked to admit."""
        node = self.mind.node
        device = node.spare_device(Instant(self.mind.now))
        package = node.engine.key_package(
            signature_private=device.leaf_private,
            credential=device.credential(),
            extensions=device.extensions(),
            supported=SUPPORTED_EXTENSIONS,
        )
        return package.public.encoded


Fault = Callable[[Workshop], Candidate | None]


def _flipped(shop: Workshop, place: int) -> Candidate:
    commit = bytearray(shop.sound.commit)
    commit[place % len(commit)] ^= 1
    return shop.changed(commit=bytes(commit))


def _of_the_next_epoch(shop: Workshop) -> Candidate | None:
    mls = shop.mind.node.engine.load_group(shop.state.mls.snapshot())
    mls.merge(mls.propose_commit(force_path=True).staged)
    return shop.build(mls=mls)


def _of_another_group(shop: Workshop) -> Candidate | None:
    """A group under the same id, in which it is alone."""
    device = shop.state.device
    other = shop.mind.node.engine.create_group(
        group_id=shop.state.group_id,
        signature_private=device.leaf_private,
        credential=device.credential(),
        extensions=device.extensions(),
        supported=SUPPORTED_EXTENSIONS,
        context_extensions=shop.state.mls.context_extensions(),
    )
    return shop.build(mls=other, removes=[])


def _of_another_view(shop: Workshop) -> Candidate | None:
    """Minted in a view that another leads."""
    leaders = shop.state.state.leaders
    other = next((v for v in range(len(leaders)) if leaders[v] != shop.mind.node.address), None)
    return None if other is None else shop.build(view=other)


def _doubled(shop: Workshop) -> Candidate | None:
    entries = tuple(map(shop.state.governance.entry, shop.work))
    return shop.build(entries=(*entries, entries[0])) if entries else None


def _out_of_order(shop: Workshop) -> Candidate | None:
    return shop.build(shop.work[::-1]) if len(shop.work) > 1 else None


def _other_charter(shop: Workshop) -> Candidate | None:
    """Settings that nobody has decided, or others than were."""
    decided = next((item.change for item in shop.work if isinstance(item.change, Settings)), None)
    charter = replace(shop.state.charter, name="mine")
    changed = amended_context(shop.state.charter, replace(decided, name="mine")) if decided is not None else None
    return shop.build(extensions=changed or {POLICY_EXTENSION: encode_message(charter)})


def _no_welcome(shop: Workshop) -> Candidate | None:
    """What newcomers need is missing; or it is there, and nobody comes."""
    field = shop.mind.dice.choice(("welcome", "joiner_key", "sync"))
    if shop.has_newcomers():
        return shop.changed(**{field: b""})
    return shop.changed(**{field: bytes(JOINER_KEY_BYTES)})


def _other_sync(shop: Workshop) -> Candidate | None:
    """The sync is of another state, or cannot be read."""
    if not shop.has_newcomers():
        return None
    electorate = shop.state.state.electorate.message()
    says: tuple[dict[str, Any], ...] = (
        {"epoch": shop.state.epoch + 7},
        {"head": bytes(32)},
        {"group_id": bytes(32)},
        {"time": 1},
        {"electorate": electorate_hash(encode_message(replace(electorate, seats=electorate.seats[:1])))},
        {"electorates": (PastElectorate(electorate.epoch, shop.state.state.electorate.hash),)},
    )
    wrong = shop.mind.dice.choice((*says, None))
    return shop.changed(sync=b"sync") if wrong is None else shop.build(sync=wrong)


def _unknown_entry(shop: Workshop) -> Candidate | None:
    entries = tuple(map(shop.state.governance.entry, shop.work))
    return shop.build(entries=(*entries, Entry(shop.mind.dice.randbytes(32), b"")))


def _one_more_removed(shop: Workshop) -> Candidate | None:
    """An innocent member goes by the way, or in the place of who was meant."""
    innocent, decided = shop.innocent(), shop.state.candidates._proposals_of(shop.work)[1]
    if innocent is None:
        return None
    is_more = not decided or shop.mind.dice.random() < 0.5
    return shop.build(removes=[*(decided if is_more else []), *shop.leaves_of(innocent)])


def _nobody_removed(shop: Workshop) -> Candidate | None:
    return shop.build(removes=[]) if any(item.effect[0] == "remove" for item in shop.work) else None


def _one_more_admitted(shop: Workshop) -> Candidate | None:
    """Its own second device comes in by the way, or in the place of who was invited."""
    invited = shop.state.candidates._proposals_of(shop.work)[0]
    is_more = not invited or shop.mind.dice.random() < 0.5
    return shop.build(adds=[*(invited if is_more else []), shop.own_package()])


def _not_approved(shop: Workshop) -> Candidate | None:
    """Work that is still open, or was refused."""
    alive = [item for item in shop.state.governance.alive() if item not in shop.work]
    if not alive:
        return None
    return shop.build(sorted([*shop.work, shop.mind.dice.choice(alive)], key=Item.order))


def _no_certificate(shop: Workshop) -> Candidate | None:
    """A decision certificate of nobody."""
    made_up = shop.mind.dice.randbytes(32)
    entries = (shop.state.governance.entry(item) for item in shop.work)
    return shop.build(entries=tuple(replace(entry, certificate_hash=made_up) for entry in entries))


def _left_out(shop: Workshop) -> Candidate | None:
    """All but one of what was approved waits, for as long as it leads."""
    return shop.build([shop.mind.dice.choice(shop.work)]) if len(shop.work) > 1 else None


def _own_list(shop: Workshop) -> Candidate | None:
    """Newcomers are told of a list of stewards, or of turns lost, that nobody else knows."""
    if not shop.has_newcomers():
        return None
    innocent = shop.innocent()
    listing = replace(shop.state.state.stewards.listing(), members=(shop.mind.node.address,))
    says: list[dict[str, Any]] = [{"dormant": (bytes(20),)}, {"stewards": listing}]
    says += [{"lost": (LostTurn(innocent, shop.state.epoch),)}] if innocent is not None else []
    return shop.build(succession=shop.mind.dice.choice(says))


def _of_time(shop: Workshop, difference: int) -> Candidate | None:
    return shop.build(time=Instant(shop.mind.now + difference))


def _not_later(shop: Workshop) -> Candidate | None:
    return shop.build(time=Instant(shop.state.state.time - shop.mind.dice.randint(0, 1)))


FAULTS: dict[str, Fault] = {
    "V01 no commit": lambda shop: shop.changed(commit=b"commit"),
    "V01 a broken tag": lambda shop: _flipped(shop, -1),
    "V01 another content": lambda shop: _flipped(shop, shop.mind.dice.randint(0, 400)),
    "V01 of the next epoch": _of_the_next_epoch,
    "V01 of another group": _of_another_group,
    "V02 no authenticated data": lambda shop: shop.build(context=b""),
    "V02 unreadable authenticated data": lambda shop: shop.build(context=b"\xff" * 40),
    "V02 no entries": lambda shop: shop.build(entries=()),
    "V02 another state": lambda shop: shop.build(head=bytes(32)),
    "V02 not later than its parent": _not_later,
    "V03 of another's view": _of_another_view,
    "V04 an entry twice": _doubled,
    "V04 not in order": _out_of_order,
    "V05 other settings": _other_charter,
    "V05 no charter": lambda shop: shop.build(extensions={}),
    "V08 no welcome": _no_welcome,
    "V08 another sync": _other_sync,
    "V09 an unknown entry": _unknown_entry,
    "V10 an innocent removed": _one_more_removed,
    "V10 nobody removed": _nobody_removed,
    "V10 a stranger admitted": _one_more_admitted,
    "V12 not approved": _not_approved,
    "V12 no certificate": _no_certificate,
    "V13 left out": _left_out,
    "V14 too early": lambda shop: _of_time(shop, -_LATE),
    "V14 too late": lambda shop: _of_time(shop, _LATE),
    "V15 another succession": _own_list,
}


def offer_faulty(mind: Mind, payload: Payload) -> list[Parcel] | None:
    """A faulty candidate in place of the sound one: to all, or to one or a few who alone can then confirm it."""
    if not isinstance(payload, Offer) or payload.certificate or not mind.is_own_round(payload):
        return None
    other = mind.other_offer(payload, "faulty", _faulty)
    if other is None:
        return None
    dice = mind.world.dice(f"few {mind.node.name} {payload.epoch} {payload.view}")
    names = sorted(mind.world.name_of(seat.address) for seat in mind.state.roster.seats)
    few = frozenset(dice.sample(names, min(2, len(names))))
    choices = [Parcel(other)], [Parcel(other, few)], [Parcel(other, few), Parcel(payload)]
    return dice.choice(choices)


def _faulty(mind: Mind, offer: Offer) -> Candidate | None:
    """A fault that can be made now, drawn anew for each view."""
    shop = Workshop(mind, offer)
    for name in mind.dice.sample(sorted(FAULTS), len(FAULTS)):
        made = FAULTS[name](shop) if shop.work else None
        if made is not None and made.id != offer.candidate.id:
            mind.note(f"makes a candidate with the fault {name}")
            return made
    return None
