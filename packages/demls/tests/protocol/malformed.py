"""What a malicious leader may offer, by the number of the check that finds it. ``bad_leader.py`` is where it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from bad_leader import (
    Altered,
    Making,
    Scene,
    Setting,
    a_removal_is_kept_waiting,
    an_invite_is_kept_waiting,
    both,
    expiring_invite,
    invite,
    open_invite,
    own_wish,
    refused_invite,
    removal,
    settings,
    wish,
    wish_of_the_removed,
    with_a_leave,
    with_a_twin,
)
from comeback import request_of, say_at_the_rendezvous
from demls.protocol.checks import RULES, Check, Verdict
from demls.protocol.credential import BINDING_EXTENSION, binding_sentence
from demls.protocol.group import SUPPORTED_EXTENSIONS
from demls.protocol.items import Item
from demls.protocol.policy import DAY_POLICY, POLICY_EXTENSION
from demls.protocol.sync import build_sync
from demls.protocol.updates import updates_of
from demls.wire.chain import LostTurn, electorate_hash, succession_hash
from demls.wire.ids import Address, Instant
from demls.wire.messages import (
    Binding,
    Candidate,
    Entry,
    Invite,
    Leave,
    PastElectorate,
    Remove,
    Resync,
    Settings,
    encode_message,
)
from demls_consensus import wallet_sign

VERDICTS = {rule.check: rule.verdict for rule in RULES}


@dataclass(frozen=True)
class Case:
    """``reads``: what the honest engines are made to report of the commit."""

    check: Check
    name: str
    going_on: Setting
    make: Making
    reads: Callable[[Scene], dict[str, Any]] | None = None
    place: int = 0
    """The view that the bad leader leads."""
    shows_votes: bool = True
    stolen: bool = False
    """Committed with the keys of the leader of view 1, who finds a commit in its own name (V01)."""
    wait: int = 0
    """So long the offer is under way."""
    accomplice: int = 0
    """Counted from the end of the order of leaders: who has made an Update that its node does not know."""

    @property
    def verdict(self) -> Verdict:
        return VERDICTS[self.check]


def sound(scene: Scene, **how: Any) -> Candidate:
    """With all that is approved where the honest are."""
    return scene.candidate(*scene.state_of(scene.honest[0]).governance.approved(), **how)


def making(**how: Any) -> Making:
    return lambda scene: sound(scene, **how)


def changed(**fields: Any) -> Making:
    """The sound candidate with other bytes in one place."""
    return lambda scene: replace(sound(scene), **fields)


def bit(place: int) -> Making:
    """One bit of the commit is another."""

    def make(scene: Scene) -> Candidate:
        whole = sound(scene)
        commit = bytearray(whole.commit)
        commit[place] ^= 1
        return replace(whole, commit=bytes(commit))

    return make


def of_the_next_epoch(scene: Scene) -> Candidate:
    mls = scene.own_mls()
    mls.merge(mls.propose_commit(force_path=True).staged)
    return sound(scene, mls=mls)


def of_another_group(scene: Scene) -> Candidate:
    """A group of the same people in which the leader makes what it likes."""
    person, device = scene.insider.person, scene.state.device
    other = person.engine.create_group(
        group_id=scene.state.group_id,
        signature_private=device.leaf_private,
        credential=device.credential(),
        extensions=device.extensions(),
        supported=SUPPORTED_EXTENSIONS,
        context_extensions=scene.state.mls.context_extensions(),
    )
    return sound(scene, mls=other, removes=[])


def by_another(view: int) -> Making:
    """A commit that the leader of view 1 has made, minted for this view."""

    def make(scene: Scene) -> Candidate:
        return sound(scene, by=scene.leaders[1], view=view)

    return make


def doubled(scene: Scene) -> Candidate:
    item = scene.item(Remove)
    return sound(scene, entries=(scene.state.governance.entry(item),) * 2)


def twins(scene: Scene) -> Candidate:
    items = [i for i in scene.state_of(scene.honest[0]).governance.items.values() if isinstance(i.change, Remove)]
    return scene.candidate(*items, removes=[scene.leaf(scene.victim)])


def out_of_order(scene: Scene) -> Candidate:
    items = sorted(scene.state_of(scene.honest[0]).governance.approved(), key=Item.order, reverse=True)
    return scene.candidate(*items, sort=False)


def too_many(scene: Scene) -> Candidate:
    return sound(scene, entries=tuple(Entry(bytes([n]) * 32, b"") for n in range(51)))


def with_policy(**fields: Any) -> Making:
    """A GroupContext change to the charter as it is, but for this."""

    def make(scene: Scene) -> Candidate:
        charter = replace(scene.state.charter, **fields)
        return sound(scene, extensions={POLICY_EXTENSION: encode_message(charter)})

    return make


def settled_otherwise(**fields: Any) -> Making:
    """Settings were decided, and others are made."""

    def make(scene: Scene) -> Candidate:
        charter = replace(scene.amended(), **fields)
        return sound(scene, extensions={POLICY_EXTENSION: encode_message(charter)})

    return make


def other_package(scene: Scene) -> Candidate:
    """The decided invite, and somebody else's key package in the commit."""
    device = scene.world.device("yves")
    engine = scene.world.person("yves").engine
    package = engine.key_package(
        signature_private=device.leaf_private,
        credential=device.credential(),
        extensions=device.extensions(),
        supported=SUPPORTED_EXTENSIONS,
    )
    return sound(scene, adds=[package.public.encoded])


def other_leaf(scene: Scene) -> Candidate:
    return sound(scene, removes=[scene.leaf(scene.honest[0])])


def one_leaf_more(scene: Scene) -> Candidate:
    return sound(scene, removes=[scene.leaf(scene.victim), scene.leaf(scene.honest[0])])


def uninvited(scene: Scene) -> Candidate:
    """The decided removal, and somebody is let in by the way."""
    return replace(other_package(scene), sync=sound_sync(scene))


def sound_sync(scene: Scene) -> bytes:
    items = scene.state_of(scene.honest[0]).governance.approved()
    state, time = scene.state, Instant(scene.world.now)
    named = succession_hash(encode_message(scene.follows(items, time=time)))
    return encode_message(build_sync(state.state, state.governance, state.group_id, time, named))


def with_entry(proposal_id: bytes) -> Making:
    def make(scene: Scene) -> Candidate:
        items = scene.state_of(scene.honest[0]).governance.approved()
        entries = (*map(scene.state.governance.entry, items), Entry(proposal_id, b""))
        return scene.candidate(*items, entries=entries)

    return make


def with_what_is_not_approved(scene: Scene) -> Candidate:
    """Zoe's invite is carried too, whatever became of it."""
    items = scene.state_of(scene.honest[0]).governance.items.values()
    request = next(item for item in items if isinstance(item.change, Invite) and item.subject == zoe(scene))
    return scene.candidate(scene.item(Remove), request)


def zoe(scene: Scene) -> Address:
    return scene.world.person("zoe").address


def only(kind: type) -> Making:
    """Of the approved work only that of one kind, minted for view 1."""

    def make(scene: Scene) -> Candidate:
        items = scene.state_of(scene.honest[0]).governance.approved()
        return scene.candidate(*(item for item in items if isinstance(item.change, kind)), view=1)

    return make


def at(difference: int) -> Making:
    return lambda scene: sound(scene, time=scene.world.now + difference)


def own_leaf_too(scene: Scene) -> dict[str, Any]:
    return {"removes": [scene.leaf(scene.bad), scene.leaf(scene.victim)]}


def identity(**answers: Any) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: {"has_path": True} | answers


def of_the_victim(scene: Scene) -> dict[str, Any]:
    """The path has the credential of another member."""
    seat = next(m for m in scene.state.mls.members() if m.leaf == scene.leaf(scene.victim))
    return {"has_path": True, "path_credential": seat.credential, "path_extensions": seat.extensions}


def _cases() -> Iterable[Case]:
    check = Check.STAGES
    yield Case(check, "no commit at all", removal, lambda scene: Candidate(b"commit", b"", b"", b""))
    yield Case(check, "a broken signature", removal, bit(-110))
    yield Case(check, "a broken confirmation or membership tag", removal, bit(-1))
    yield Case(check, "another content under the old signature", removal, bit(40))
    yield Case(check, "a commit of the next epoch", removal, of_the_next_epoch)
    yield Case(check, "a commit of another group", removal, of_another_group)

    check = Check.CONTEXT
    yield Case(check, "no authenticated data", removal, making(context=b""))
    yield Case(check, "authenticated data that cannot be read", removal, making(context=b"\xff" * 40))
    yield Case(check, "no entries", removal, making(entries=()))
    yield Case(check, "too many entries", removal, too_many)
    yield Case(check, "another state", removal, making(head=b"x" * 32))
    yield Case(check, "the time of its parent", removal, lambda scene: sound(scene, time=scene.state.state.time))
    yield Case(check, "a time before its parent", removal, lambda scene: sound(scene, time=scene.state.state.time - 1))

    check = Check.COMMITTER
    yield Case(check, "minted in a view that another leads", removal, making(view=1))
    yield Case(check, "committed by a member that does not lead", removal, by_another(0), stolen=True)

    check = Check.CANONICAL
    yield Case(check, "an entry twice", removal, doubled)
    yield Case(check, "two removals of one member", with_a_twin, twins)
    yield Case(check, "not in canonical order", with_a_leave, out_of_order)

    check = Check.NOTHING_ELSE
    yield Case(check, "a pre-shared key", removal, making(), lambda scene: {"other_proposals": ["PreSharedKey"]})
    yield Case(check, "an external init", removal, making(), lambda scene: {"other_proposals": ["ExternalInit"]})
    yield Case(check, "another name for the group", removal, with_policy(name="mine"))
    yield Case(check, "another policy", removal, with_policy(policy=replace(DAY_POLICY, stewards_max=1)))
    yield Case(check, "a GroupContext without a charter", removal, making(extensions={}))

    check = Check.NOT_ITSELF
    yield Case(check, "its own removal", removal, making(), own_leaf_too)

    check = Check.PATH
    yield Case(check, "another signature key", removal, making(), identity(path_signature_key=b"k" * 32))
    yield Case(check, "another member's credential", removal, making(), of_the_victim)
    yield Case(check, "a credential that cannot be read", removal, making(), identity(path_credential=b"me"))
    yield Case(check, "no binding", removal, making(), identity(path_extensions={}))
    yield Case(check, "a binding of nobody", removal, making(), identity(path_extensions={BINDING_EXTENSION: b"b"}))

    check = Check.WELCOME
    yield Case(check, "no welcome", invite, changed(welcome=b""))
    yield Case(check, "no joiners' key", invite, changed(joiner_key=b""))
    yield Case(check, "half a joiners' key", invite, changed(joiner_key=b"k" * 16))
    yield Case(check, "no sync", invite, changed(sync=b""))
    yield Case(check, "a sync that cannot be read", invite, changed(sync=b"sync"))
    yield Case(check, "a welcome for nobody", removal, changed(welcome=b"w"))
    yield Case(check, "a joiners' key for nobody", removal, changed(joiner_key=b"k" * 32))
    yield Case(check, "a sync for nobody", removal, changed(sync=b"s"))
    yield Case(check, "a sync of another epoch", invite, making(sync={"epoch": 7}))
    yield Case(check, "a sync of another state", invite, making(sync={"head": b"x" * 32}))
    yield Case(check, "a sync of another group", invite, making(sync={"group_id": b"x" * 32}))
    yield Case(check, "a sync of another time", invite, making(sync={"time": 1}))
    yield Case(check, "a sync with another past", invite, lambda scene: sound(scene, sync=other_past(scene)))
    yield Case(check, "a sync with a past to come", invite, lambda scene: sound(scene, sync=past_to_come(scene)))
    yield Case(check, "a sync of another epoch beside a removal", both, making(sync={"epoch": 7}))
    yield Case(check, "a sync with other members", invite, lambda scene: sound(scene, sync=fewer_seats(scene)))

    check = Check.KNOWN
    yield Case(check, "an entry that nobody has heard of", removal, with_entry(b"p" * 32))
    yield Case(check, "nothing but such an entry", removal, making(entries=(Entry(b"p" * 32, b""),)))

    check = Check.EXACT
    yield Case(check, "the removal of another member", removal, other_leaf)
    yield Case(check, "one removal more", removal, one_leaf_more)
    yield Case(check, "no removal", removal, making(removes=[]))
    yield Case(check, "another key package", invite, other_package)
    yield Case(check, "an admission by the way", removal, uninvited)
    yield Case(check, "no settings", settings, making(is_settled=False))
    yield Case(check, "settings under another name", settings, settled_otherwise(name="mine"))
    yield Case(check, "settings with another rendezvous", settings, settled_otherwise(rendezvous=b"r" * 32))

    check = Check.CREDENTIALS
    yield Case(check, "a binding that has expired on the way", expiring_invite, making(), wait=1_500)

    check = Check.APPROVED
    yield Case(check, "work that is still open", open_invite, with_what_is_not_approved)
    yield Case(check, "work that was refused", refused_invite, with_what_is_not_approved)
    yield Case(check, "a decision certificate without its votes", removal, making(), shows_votes=False)
    yield Case(check, "a decision certificate of nobody", removal, making(certificate=b"c" * 32))

    check = Check.PATIENCE
    yield Case(check, "an invite left out for long", an_invite_is_kept_waiting, only(Settings), place=1)
    yield Case(check, "a removal left out for long", a_removal_is_kept_waiting, only(Leave), place=1)

    check = Check.TIME
    yield Case(check, "more than two minutes behind", removal, at(-120_001))
    yield Case(check, "more than two minutes ahead", removal, at(180_000))

    check = Check.FOLLOWS
    yield Case(check, "stewards that nobody elected", invite, lambda scene: sound(scene, succession=own_list(scene)))
    yield Case(check, "a turn that nobody lost", invite, lambda scene: sound(scene, succession=lost_turn(scene)))
    yield Case(check, "a dormant member that is awake", invite, making(succession={"dormant": (b"d" * 20,)}))
    yield Case(check, "keys older than they are", invite, lambda scene: sound(scene, succession=old_keys(scene)))

    check = Check.UPDATES
    yield Case(check, "an Update that nobody asked for", wish, with_updates(asked, made_by(1)), accomplice=1)
    yield Case(check, "an Update in the place of another", wish, with_updates(made_by(1)), accomplice=1)
    yield Case(check, "another Update of who has asked", wish, with_updates(made_by(2)), accomplice=2)
    yield Case(check, "no Update", wish, with_updates())
    yield Case(check, "an Update beside a removal", removal, with_updates(made_by(2)), accomplice=2)
    yield Case(check, "an Update twice", wish, lambda scene: sound(scene, shown=asked(scene) * 2))
    yield Case(check, "an Update that is not used", wish, with_shown(asked, made_by(1)))
    yield Case(check, "an Update of another epoch", wish, with_shown(asked, of_the_epoch_before))
    yield Case(check, "what is no Update", wish, lambda scene: sound(scene, shown=(*asked(scene), b"update")))
    yield Case(check, "another signature key", wish, with_updates(other_key), accomplice=1)
    yield Case(check, "a leaf without a binding", wish, with_updates(unbound), accomplice=1)
    yield Case(check, "a leaf with another's binding", wish, with_updates(bound_by_another), accomplice=1)
    yield Case(check, "a leaf with an older binding", wish, with_updates(bound_before), accomplice=1)
    yield Case(check, "more in a leaf than before", wish, with_updates(with_more), accomplice=1)
    yield Case(check, "another credential", wish, making(), other_credential)
    yield Case(check, "the wish of who is removed", wish_of_the_removed, making(updates=()))
    yield Case(check, "the own wish without a path", own_wish, making(force_path=False))

    check = Check.RESYNC
    yield Case(check, "a new seat after its request has expired", seats_asked(1), after_it_expired)
    yield Case(check, "two new seats at once in a small group", seats_asked(1, 2), with_all_requests)


def seats_asked(*from_last: int) -> Setting:
    """Some of the honest have asked for new seats, and everybody knows it."""

    def going_on(scene: Scene) -> None:
        for place in from_last:
            say_at_the_rendezvous(scene.world, request_of(scene.world, scene.honest[-place]))

    return going_on


def with_all_requests(scene: Scene) -> Candidate:
    return scene.candidate(*scene.state_of(scene.honest[0]).governance.resyncs.values())


def after_it_expired(scene: Scene) -> Candidate:
    return sound(scene, time=scene.item(Resync).meaning.expires)


def fewer_seats(scene: Scene) -> dict[str, Any]:
    electorate = scene.state.state.electorate.message()
    return {"electorate": electorate_hash(encode_message(replace(electorate, seats=electorate.seats[:-1])))}


def past_to_come(scene: Scene) -> dict[str, Any]:
    now = scene.state.state.electorate
    return {"electorates": (PastElectorate(now.epoch, now.hash),)}


def other_past(scene: Scene) -> dict[str, Any]:
    """The epoch before had members that it had not."""
    now = scene.state.state.electorate.message()
    other = replace(now, epoch=now.epoch - 1)
    return {"electorates": (PastElectorate(other.epoch, electorate_hash(encode_message(other))),)}


def old_keys(scene: Scene) -> dict[str, Any]:
    keys = scene.follows(scene.state_of(scene.honest[0]).governance.approved()).keys
    return {"keys": (replace(keys[0], epoch=0, time=0), *keys[1:])}


Updates = Callable[[Scene], tuple[bytes, ...]]


def asked(scene: Scene) -> tuple[bytes, ...]:
    """What the honest members have asked for."""
    return updates_of(scene.state_of(scene.honest[0]).governance.approved(), scene.insider.address)


def made_by(place: int, **how: Any) -> Updates:
    """An Update that this member, from the end of the order of leaders, never asks for."""
    return lambda scene: (scene.state_of(scene.leaders[-place]).mls.propose_update(**how)[0],)


def with_updates(*updates: Updates) -> Making:
    """The commit refers to these."""
    return lambda scene: sound(scene, updates=[one for some in updates for one in some(scene)])


def with_shown(*updates: Updates) -> Making:
    """The sound commit comes with these."""
    return lambda scene: sound(scene, shown=[one for some in updates for one in some(scene)])


def of_the_epoch_before(scene: Scene) -> tuple[bytes, ...]:
    """As good as one: the live group has gone on, and nobody knows of the epoch that it went to."""
    mls = scene.own_mls()
    mls.merge(mls.propose_commit(force_path=True).staged)
    return (mls.propose_update()[0],)


def other_key(scene: Scene) -> tuple[bytes, ...]:
    engine = scene.insider.person.engine
    return made_by(1, signature_private=engine.signature_key().private)(scene)


def unbound(scene: Scene) -> tuple[bytes, ...]:
    return made_by(1, extensions={})(scene)


def bound_by_another(scene: Scene) -> tuple[bytes, ...]:
    return made_by(1, extensions=scene.state.device.extensions())(scene)


def bound_before(scene: Scene) -> tuple[bytes, ...]:
    """By the wallet itself, for a shorter time than the leaf is bound for now."""
    name = scene.leaders[-1]
    device, wallet = scene.state_of(name).device, scene.world.person(name).wallet
    issued, expires = device.binding.issued, Instant(device.binding.expires - 1)
    sentence = binding_sentence(device.address, device.leaf_key, device.device, Instant(issued), expires)
    binding = Binding(issued, expires, wallet_sign(wallet, sentence.encode()))
    return made_by(1, extensions={BINDING_EXTENSION: encode_message(binding)})(scene)


def with_more(scene: Scene) -> tuple[bytes, ...]:
    extensions = scene.state_of(scene.leaders[-1]).device.extensions()
    return made_by(1, extensions=extensions | {POLICY_EXTENSION: b"mine"})(scene)


def other_credential(scene: Scene) -> dict[str, Any]:
    """The leaf of the one who has asked gets the credential of another member."""
    leaves = {member.leaf: member for member in scene.state.mls.members()}
    mine, other = (scene.leaf(scene.leaders[place]) for place in (-2, -1))
    leaf = Altered(leaves[mine], credential=leaves[other].credential)
    return {"updated_leaves": [leaf]}


def own_list(scene: Scene) -> dict[str, Any]:
    listing = scene.follows(scene.state_of(scene.honest[0]).governance.approved()).stewards
    return {"stewards": replace(listing, members=(scene.insider.address,))}


def lost_turn(scene: Scene) -> dict[str, Any]:
    return {"lost": (LostTurn(scene.world.person(scene.honest[0]).address, scene.state.epoch),)}


CASES = list(_cases())
