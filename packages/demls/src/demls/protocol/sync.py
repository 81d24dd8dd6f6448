"""What does a joiner need besides MLS, and is what it got the truth?

The sync stands in the candidate that admits the joiner, so a quorum has acknowledged it; its hash stands in the
welcome. What it names by hash, since all members have it, is told with the tree. Everything that can be recomputed or
proven is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from demls_consensus import quorum

from demls.protocol import policy as bounds
from demls.protocol.candidates import JOINER_EXTENSION
from demls.protocol.continuity import is_certified
from demls.protocol.credential import CredentialRefused, check_leaf
from demls.protocol.electorates import Electorate
from demls.protocol.engine import Engine, EngineError, MlsGroup
from demls.protocol.governance import Governance
from demls.protocol.policy import CHARTER_VERSION, INSTANT_MAX, POLICY_EXTENSION, is_sound
from demls.protocol.profile import PROFILES
from demls.protocol.requests import Requests
from demls.protocol.roster import Roster
from demls.protocol.scores import is_known
from demls.protocol.stewards import StewardList, is_genuine
from demls.protocol.validation import State
from demls.wire.chain import Succession, succession_hash
from demls.wire.charters import Charter
from demls.wire.codec import WireError
from demls.wire.fields import STATED_PROPOSALS_MAX, VOTES_TOLD_MAX
from demls.wire.ids import Epoch, GroupId, Instant, LeafKey
from demls.wire.messages import (
    JoinerBundle,
    JoinerSecrets,
    PastElectorate,
    Proposal,
    Refresh,
    Resync,
    SettledCommit,
    Sync,
    Told,
    WelcomeBundle,
    decode_message,
    encode_message,
)

BUNDLE_DATA = b"demls joiners' bundle 1"
SYNCED_EPOCHS_MAX = 64


class WelcomeRefused(ValueError):
    """A welcome that cannot be trusted or used; the text says why."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A welcome that was verified in every part."""

    mls: MlsGroup
    charter: Charter
    sync: Sync
    told: Told
    settled: SettledCommit
    message: WelcomeBundle
    electorates: tuple[Electorate, ...]
    """That of the state before, and those of the past ones that are told."""
    roster: Roster
    """Of the state that the welcome leads to; when its members joined stands in ``told``."""


def build_sync(state: State, governance: Governance, group_id: bytes, time: Instant, follows: bytes) -> Sync:
    """The sync for those whom a candidate of this state admits; ``follows``: hash of its succession. O(work)."""
    lasting = [item for item in governance.alive() if not isinstance(item.change, Refresh)]
    items = lasting[:STATED_PROPOSALS_MAX]
    open_in = {Epoch(item.proposal.epoch) for item in items if not isinstance(item.change, Resync)}
    epochs = sorted((open_in | governance.recent_epochs()) - {state.epoch})[-SYNCED_EPOCHS_MAX:]
    past = (governance.electorates.get(epoch) for epoch in epochs)
    return Sync(
        group_id,
        state.epoch,
        state.head,
        state.electorate.hash,
        follows,
        tuple(item.proposal for item in items),
        time,
        tuple(PastElectorate(known.epoch, known.hash) for known in past if known is not None),
        state.way_back,
    )


def told_with(sync: Sync, state: State, governance: Governance, requests: Requests, follows: Succession) -> Told:
    """What goes with this sync to whom a candidate of the state admits: all of it that is known here. O(members).

    Called when the candidate is certified, and the work that was open then is not settled yet.
    """
    past = ((named, governance.electorates.get(named.epoch)) for named in sync.electorates)
    items = [governance.items[proposal.id] for proposal in sync.proposals if proposal.id in governance.items]
    return Told(
        state.electorate.message(),
        follows,
        tuple(known.message() for named, known in past if known is not None and known.hash == named.hash),
        governance.votes_for(items)[:VOTES_TOLD_MAX],
        requests.used_tokens(),
    )


def seal_bundle(mls: MlsGroup, settled: SettledCommit, told: Told, engine: Engine) -> WelcomeBundle:
    """What the joiners of a just merged commit need; O(members), since the tree is in it.

    Whoever has ever had an invite link can read along where joiners are answered, so that all of it is sealed.
    """
    candidate = settled.candidate
    known = replace(candidate, welcome=b"", joiner_key=b"")
    bundle = encode_message(JoinerBundle(mls.ratchet_tree(), replace(settled, candidate=known), told))
    return WelcomeBundle(candidate.welcome, engine.seal(candidate.joiner_key, bundle, BUNDLE_DATA))


def open_welcome(
    message: WelcomeBundle,
    key_package_private: bytes,
    engine: Engine,
    *,
    is_own_request: Callable[[Proposal], bool] = lambda proposal: False,  # noqa: ARG005 - a joiner has none
) -> Accepted:
    """Join, if everything in the message proves itself. Raises WelcomeRefused; the key package is not used up then.

    ``is_own_request``: is this proposal the own one for the new seat to which it shall lead?
    """
    try:
        opened = engine.open_welcome(message.welcome, key_package_private)
        secrets = decode_message(opened.group_info_extensions.get(JOINER_EXTENSION, b""), JoinerSecrets)
        charter = decode_message(opened.context_extensions.get(POLICY_EXTENSION, b""), Charter)
        plain = engine.unseal(secrets.joiner_key, message.bundle, BUNDLE_DATA)
        if plain is None:
            raise WelcomeRefused("The bundle of the welcome is not sealed with its key.")
        bundle = decode_message(plain, JoinerBundle)
        sent = bundle.settled.candidate
        sync = decode_message(sent.sync, Sync)
        if hashlib.sha256(sent.sync).digest() != secrets.sync_hash:
            raise WelcomeRefused("The sync is not the one that the welcome names.")
        mls = opened.join(bundle.ratchet_tree)
    except (EngineError, WireError) as problem:
        raise WelcomeRefused("The welcome cannot be opened or does not verify.") from problem
    if charter.version != CHARTER_VERSION:
        raise WelcomeRefused("The group was founded by a newer demls; update to join it.")
    candidate = replace(sent, welcome=message.welcome, joiner_key=secrets.joiner_key)
    settled = replace(bundle.settled, candidate=candidate)
    told = bundle.told
    electorates = _check_told(sync, told)
    roster = _check(mls, charter, sync, told, electorates[0], settled, engine, is_own_request)
    return Accepted(mls, charter, sync, told, settled, message, electorates, roster)


def _check_told(sync: Sync, told: Told) -> tuple[Electorate, ...]:
    """Is it what the sync names? Of past epochs some may be missing, which who sent it did not know.

    Returns the electorate of the sync's state, and those of past ones.
    """
    named = {past.epoch: past.hash for past in sync.electorates}
    electorates = tuple(map(Electorate.read, (told.electorate, *told.electorates)))
    if electorates[0].hash != sync.electorate:
        raise WelcomeRefused("The members that the welcome tells are not those that its sync names.")
    if succession_hash(encode_message(told.succession)) != sync.succession:
        raise WelcomeRefused("What the welcome tells of stewards and keys is not what its sync names.")
    for past in electorates[1:]:
        if past.hash != named.pop(past.epoch, None):
            raise WelcomeRefused("The welcome tells of a past epoch what its sync does not name.")
    return electorates


def _check(
    mls: MlsGroup,
    charter: Charter,
    sync: Sync,
    told: Told,
    electorate: Electorate,
    settled: SettledCommit,
    engine: Engine,
    is_own_request: Callable[[Proposal], bool],
) -> Roster:
    """Returns who is in the group now."""
    if not is_sound(charter.policy) or sync.time > INSTANT_MAX:
        raise WelcomeRefused("The group's policy or time is beyond all bounds.")
    if charter.profile not in PROFILES or sync.group_id != mls.group_id or sync.epoch + 1 != mls.epoch:
        raise WelcomeRefused("The sync is of another group or epoch than the welcome.")
    if (settled.epoch, settled.head) != (sync.epoch, sync.head):
        raise WelcomeRefused("The certificate is of another state than the sync.")
    members = mls.members()
    try:
        for member in members:
            check_leaf(member.credential, member.signature_key, member.extensions, None)
    except CredentialRefused as problem:
        raise WelcomeRefused(f"A member of the group is not who it says: {problem}") from problem
    roster = Roster(members, Epoch(mls.epoch), {})
    _check_roster(roster, Epoch(mls.epoch), sync, told)
    keys = {seat.address: seat.leaf_key for seat in told.roster}
    counted = frozenset(seat.address for seat in told.roster if not seat.dormant)
    if not counted:
        raise WelcomeRefused("The roster of the sync counts nobody.")
    if bool(bounds.committee_size(electorate.policy, len(counted))) != bool(electorate.before):
        raise WelcomeRefused("The sync does not say from what the committee of its state was drawn.")
    speaking = electorate.committee().members
    own = settled.proposals[0] if len(settled.proposals) == 1 and is_own_request(settled.proposals[0]) else None
    is_alone = own is not None and len(counted) == 2  # of two members, one gives the other its new seat

    def key_of(member: bytes) -> LeafKey | None:
        speaks = member in speaking and not (is_alone and own is not None and member == own.owner)
        return LeafKey(keys[member]) if speaks else None

    least = 1 if is_alone else quorum(len(speaking))
    if not is_certified(settled.certificate, quorum=least, key_of=key_of, group_id=sync.group_id, engine=engine):
        raise WelcomeRefused("The commit that admits us has no certificate of the group's members.")
    return roster


def _check_roster(now: Roster, epoch: Epoch, sync: Sync, told: Told) -> None:
    """The state before differs from the tree only by whom this commit added and removed."""
    before = {seat.address: seat for seat in told.roster}
    if len(before) != len(told.roster):
        raise WelcomeRefused("The roster of the sync names somebody twice.")
    if len(told.electorate.seats) != len(before) or told.electorate.epoch != sync.epoch:
        raise WelcomeRefused("The electorate of the sync is not that of its state.")
    stayed = [seat for seat in now.seats if seat.address in before]
    given = told.succession.reseated
    anew = {one.member_id for one in given if one.epoch == epoch}
    if any(one.epoch > epoch or one.time > sync.time or one.member_id not in now.addresses for one in given):
        raise WelcomeRefused("The sync gives new seats to nobody, or in the future.")
    if any(seat.address not in anew and seat.leaf_key != before[seat.address].leaf_key for seat in stayed):
        raise WelcomeRefused("The roster of the sync contradicts the group's tree.")
    if not stayed and before:
        raise WelcomeRefused("Nobody of the group's roster is in its tree.")
    since = {seat.address: Epoch(before[seat.address].since) for seat in stayed}
    since |= {seat.address: epoch for seat in now.seats if seat.address not in before}
    if not is_genuine(StewardList.read(told.succession.stewards), since, GroupId(sync.group_id)):
        raise WelcomeRefused("The steward list of the sync is not the one that its own inputs give.")
    if not {bytes(member) for member in told.succession.dormant} <= before.keys():
        raise WelcomeRefused("The sync calls somebody dormant who is no member.")
    ages = [age.member_id for age in told.succession.keys]
    is_sane = all(age.epoch <= epoch and age.time <= INSTANT_MAX for age in told.succession.keys)
    if ages != sorted(now.addresses) or not is_sane:
        raise WelcomeRefused("The sync does not say how old each member's keys are.")
    if any(deed.epoch > sync.epoch or not is_known(deed) for deed in told.succession.deeds):
        raise WelcomeRefused("The sync tells deeds that nobody can have done.")
