"""Handshakes of the model: commits and Updates as signed public messages.

A group lends its present as a ``Moment``; nothing here changes it. What comes out is bytes, and epochs to enter later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from demls_engine import EngineError, InvalidInput, InvalidMessage, OwnMessage, WrongEpoch

from demls.simulation.model_crypto import Random, digest, is_equal, public_of, sign, verify
from demls.simulation.model_epoch import (
    Advance,
    Change,
    advance,
    authenticator_of,
    leaf_at,
    membership_key,
    tree_after,
)
from demls.simulation.model_views import (
    Candidate,
    KeyPackage,
    Member,
    Next,
    StagedCommit,
    read_key_package,
    reference_of,
)
from demls.simulation.model_welcome import make_welcome
from demls.simulation.model_wire import (
    CandidateState,
    CommitContent,
    Epoch,
    Leaf,
    Path,
    PublicContent,
    PublicMessage,
    UpdateContent,
    UpdateSecrets,
    close,
    encode,
    private_extensions,
    read_message,
    reopen,
)

CANDIDATE_KIND = b"MEca"
UPDATE_KIND = b"MEup"
_SIGNATURE_LABEL = "FramedContentTBS"


@dataclass(frozen=True, slots=True)
class Moment:
    """A group's state as far as handshakes need it."""

    epoch: Epoch
    own_leaf: int
    signature_private: bytes
    random: Random

    @property
    def base(self) -> bytes:
        """What commits built or staged now are tagged with."""
        return authenticator_of(self.epoch.secret)

    def fresh_leaf(self) -> Leaf:
        """The own leaf with a new encryption key."""
        leaf = self.epoch.tree[self.own_leaf]
        assert leaf is not None, "an active member has a leaf"
        return msgspec.structs.replace(leaf, encryption_key=self.random.draw(32))

    def frame(self, body: CommitContent | UpdateContent, authenticated_data: bytes) -> PublicContent:
        context = self.epoch.context
        return PublicContent(context.group_id, context.epoch, self.own_leaf, authenticated_data, body)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a candidate shall contain."""

    adds: Sequence[bytes]
    removes: Sequence[int]
    updates: Sequence[bytes]
    context_extensions: Mapping[int, bytes] | None
    authenticated_data: bytes
    group_info_extensions: Mapping[int, bytes]
    force_path: bool


def build(moment: Moment, wanted: Wanted) -> Candidate:
    """A commit of the own leaf; raises InvalidInput if the set makes no valid one."""
    try:
        return _build(moment, wanted)
    except InvalidMessage as error:
        raise InvalidInput(f"The proposals make no commit: {error}") from error


def _build(moment: Moment, wanted: Wanted) -> Candidate:
    packages = [read_key_package(encoded) for encoded in wanted.adds]
    updates: dict[int, Leaf] = {}
    for proposal in wanted.updates:
        sender, leaf = read_update(moment, proposal)
        if sender in updates:
            raise InvalidMessage("A member has two Updates.")
        updates[sender] = leaf
    extensions = None if wanted.context_extensions is None else private_extensions(wanted.context_extensions)
    info_extensions = private_extensions(wanted.group_info_extensions) if packages else ()
    change = Change(moment.own_leaf, packages, wanted.removes, updates, extensions, None)
    path = Path(moment.fresh_leaf(), moment.random.draw(32)) if wanted.force_path or change.needs_path else None
    change = Change(moment.own_leaf, packages, wanted.removes, updates, extensions, path)
    tree = tree_after(moment.epoch, change)

    references = tuple(reference_of(proposal) for proposal in wanted.updates)
    body = CommitContent(tuple(wanted.adds), tuple(wanted.removes), references, extensions, path)
    content = moment.frame(body, wanted.authenticated_data)
    signature = _sign(moment, content)
    moved = advance(moment.epoch, tree, change, encode(content) + signature)
    commit = encode(_message(moment, content, signature, moved.confirmation_tag))
    welcome = make_welcome(moved, packages, info_extensions, moment.own_leaf, moment.signature_private)
    staged = close(CANDIDATE_KIND, CandidateState(moment.base, moved.epoch))
    return Candidate(commit, welcome, staged)


def can_add(moment: Moment, adds: Sequence[bytes]) -> bool:
    """Would ``build`` make a commit that adds these, and nothing else?"""
    if not adds:
        return True
    try:
        packages = [read_key_package(encoded) for encoded in adds]
        tree_after(moment.epoch, Change(moment.own_leaf, packages, (), {}, None, None))
    except InvalidMessage:
        return False
    return True


def open_candidate(staged: bytes) -> CandidateState:
    """Raises InvalidInput if ``build`` did not make this."""
    return reopen(CANDIDATE_KIND, CandidateState, staged)


def propose_update(
    moment: Moment, extensions: Mapping[int, bytes] | None, signature_private: bytes | None
) -> tuple[bytes, bytes]:
    """An Update of the own leaf, and the secrets to keep until it is committed.

    Whether the leaf fits into the group is asked when it is committed, as the real engine does.
    """
    leaf = moment.fresh_leaf()
    if extensions is not None:
        leaf = msgspec.structs.replace(leaf, extensions=private_extensions(extensions))
    if signature_private is not None:
        leaf = msgspec.structs.replace(leaf, signature_key=public_of(signature_private))
    content = moment.frame(UpdateContent(leaf), b"")
    proposal = encode(_message(moment, content, _sign(moment, content), b""))
    secrets = UpdateSecrets(moment.base, reference_of(proposal), leaf, signature_private)
    return proposal, close(UPDATE_KIND, secrets)


def read_update(moment: Moment, proposal: bytes) -> tuple[int, Leaf]:
    """Whose leaf becomes what; raises InvalidMessage, WrongEpoch, OwnMessage."""
    message = _read(moment, proposal, UpdateContent)
    _verify(moment, message)
    body = message.content.body
    assert isinstance(body, UpdateContent)
    return message.content.sender, body.leaf


def stage(moment: Moment, commit: bytes, proposals: Sequence[bytes], own_update: bytes | None) -> StagedCommit:
    """Checks a received commit; raises InvalidMessage, WrongEpoch, OwnMessage, InvalidInput."""
    message = _read(moment, commit, CommitContent)
    own = None if own_update is None else _own_update(moment, own_update)
    _verify(moment, message)
    content = message.content
    body = content.body
    assert isinstance(body, CommitContent)
    updates = _referred_updates(moment, body, proposals, own)
    packages = [read_key_package(encoded) for encoded in body.adds]
    change = Change(content.sender, packages, body.removes, updates, body.context_extensions, body.path)
    moved = advance(moment.epoch, tree_after(moment.epoch, change), change, encode(content) + message.signature)
    if not is_equal(moved.confirmation_tag, message.confirmation_tag):
        raise InvalidMessage("The commit leads elsewhere than its committer says.")
    new_key = own.signature_private if own is not None and moment.own_leaf in updates else None
    return _report(moment, change, moved, content.authenticated_data, new_key)


def _report(
    moment: Moment, change: Change, moved: Advance, authenticated_data: bytes, new_key: bytes | None
) -> StagedCommit:
    removes_self = moment.own_leaf in change.removes
    path = change.path
    extensions = change.context_extensions
    # Who is removed sees the public side of the next epoch and none of its secrets.
    epoch = msgspec.structs.replace(moved.epoch, secret=b"") if removes_self else moved.epoch
    return StagedCommit(
        committer=change.committer,
        adds=[KeyPackage.of(package) for package in change.adds],
        removes=sorted(change.removes),
        updates=sorted(change.updates),
        updated_leaves=[Member.of(index, leaf) for index, leaf in sorted(change.updates.items())],
        context_extensions=None if extensions is None else dict(extensions),
        has_path=path is not None,
        path_signature_key=None if path is None else path.leaf.signature_key,
        path_credential=None if path is None else path.leaf.credential,
        path_extensions=None if path is None else dict(path.leaf.extensions),
        authenticated_data=authenticated_data,
        removes_self=removes_self,
        epoch=epoch.context.epoch,
        authenticator=b"" if removes_self else authenticator_of(epoch.secret),
        next=Next(moment.base, epoch, new_key),
    )


def _own_update(moment: Moment, closed: bytes) -> UpdateSecrets:
    secrets = reopen(UPDATE_KIND, UpdateSecrets, closed)
    if secrets.base != moment.base:
        raise InvalidInput("The Update was proposed in another epoch; it can no longer be committed.")
    return secrets


def _referred_updates(
    moment: Moment, body: CommitContent, proposals: Sequence[bytes], own: UpdateSecrets | None
) -> dict[int, Leaf]:
    """The Updates that a commit refers to, out of all that may be meant; those that do not verify are left out."""
    if not body.updates:
        return {}
    known: dict[bytes, tuple[int, Leaf]] = {} if own is None else {own.reference: (moment.own_leaf, own.leaf)}
    for proposal in proposals:
        try:
            known[reference_of(proposal)] = read_update(moment, proposal)
        except EngineError:
            continue
    updates: dict[int, Leaf] = {}
    for reference in body.updates:
        if reference not in known:
            raise InvalidMessage("The commit refers to a proposal that is not known.")
        sender, leaf = known[reference]
        if sender in updates:
            raise InvalidMessage("A member has two Updates.")
        updates[sender] = leaf
    return updates


def _read(moment: Moment, encoded: bytes, kind: type[CommitContent] | type[UpdateContent]) -> PublicMessage:
    """A handshake of this group, epoch and kind, from another member (as it claims)."""
    message = read_message(PublicMessage, encoded)
    content, context = message.content, moment.epoch.context
    if not isinstance(content.body, kind):
        raise InvalidMessage("The message is of another kind.")
    if content.group_id != context.group_id:
        raise InvalidMessage("The message is of another group.")
    if content.epoch != context.epoch:
        raise WrongEpoch("The message is of an epoch that this state cannot read.")
    if content.sender == moment.own_leaf:
        raise OwnMessage("The message claims to come from the own leaf.")
    return message


def _signed(moment: Moment, content: PublicContent) -> bytes:
    """A member signs what it says and where the group stands (RFC 9420 §6.1)."""
    return encode((content, moment.epoch.context))


def _sign(moment: Moment, content: PublicContent) -> bytes:
    return sign(moment.signature_private, _SIGNATURE_LABEL, _signed(moment, content))


def _message(moment: Moment, content: PublicContent, signature: bytes, confirmation_tag: bytes) -> PublicMessage:
    tag = _membership_tag(moment, content, signature, confirmation_tag)
    return PublicMessage(content, signature, confirmation_tag, tag)


def _membership_tag(moment: Moment, content: PublicContent, signature: bytes, confirmation_tag: bytes) -> bytes:
    key = membership_key(moment.epoch)
    return digest(b"membership tag", key, encode(content), signature, confirmation_tag)


def _verify(moment: Moment, message: PublicMessage) -> None:
    content = message.content
    leaf = leaf_at(moment.epoch.tree, content.sender)
    if leaf is None:
        raise InvalidMessage("The sender is no member.")
    tag = _membership_tag(moment, content, message.signature, message.confirmation_tag)
    if not is_equal(tag, message.membership_tag):
        raise InvalidMessage("The message does not come from a member of this epoch.")
    if not verify(leaf.signature_key, _SIGNATURE_LABEL, _signed(moment, content), message.signature):
        raise InvalidMessage("The message is not signed by its sender.")
