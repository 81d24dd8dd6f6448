"""How somebody gets into a group: key packages and welcomes.

A key of a key package is a hash of its private part, and what is meant for it is protected with a hash of that key:
it opens for whoever has the private part, which is all that honest code looks at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from demls_engine import InvalidMessage

from demls.simulation.model_crypto import Random, digest, is_equal, public_of, sign, verify
from demls.simulation.model_epoch import Advance, check_leaves, enter, leaf_at, tree_hash
from demls.simulation.model_views import KEY_PACKAGE_LABEL, KeyPackage, NewKeyPackage, read_key_package, reference_of
from demls.simulation.model_wire import (
    Epoch,
    Extensions,
    GroupInfo,
    KeyPackageContent,
    KeyPackageSecrets,
    Leaf,
    SignedGroupInfo,
    SignedKeyPackage,
    Tree,
    Welcome,
    check_private_numbers,
    close,
    encode,
    expose,
    private_extensions,
    protect,
    read_message,
    reopen,
)

KEY_PACKAGE_KIND = b"MEkp"
_GROUP_INFO_LABEL = "GroupInfoTBS"


def make_leaf(
    random: Random,
    signature_private: bytes,
    credential: bytes,
    extensions: Mapping[int, bytes],
    supported: Sequence[int],
) -> Leaf:
    """A fresh leaf that supports at least its own extensions; raises InvalidInput."""
    public = public_of(signature_private)
    numbers = tuple(sorted({*supported, *extensions}))
    check_private_numbers(numbers)
    return Leaf(random.draw(32), public, credential, numbers, private_extensions(extensions))


def make_key_package(random: Random, signature_private: bytes, leaf: Leaf) -> NewKeyPackage:
    init_private = random.draw(32)
    content = KeyPackageContent(_init_key(init_private), leaf)
    signed = SignedKeyPackage(content, sign(signature_private, KEY_PACKAGE_LABEL, encode(content)))
    public = KeyPackage.of(signed)
    secrets = KeyPackageSecrets(signature_private, init_private, public.encoded)
    return NewKeyPackage(public, close(KEY_PACKAGE_KIND, secrets))


def make_welcome(
    moved: Advance,
    packages: Sequence[SignedKeyPackage],
    extensions: Extensions,
    signer: int,
    signature_private: bytes,
) -> bytes | None:
    """For everybody that a commit adds; None if it adds nobody."""
    if not packages:
        return None
    info = GroupInfo(moved.epoch.context, extensions, moved.confirmation_tag, signer)
    signed = SignedGroupInfo(info, sign(signature_private, _GROUP_INFO_LABEL, encode(info)))
    group_info = protect(_welcome_key(moved.joiner_secret), encode(signed))
    recipients = tuple(
        (
            reference_of(encode(package)),
            protect(_recipient_key(package.content.init_key), moved.joiner_secret, group_info.tag),
        )
        for package in packages
    )
    return encode(Welcome(recipients, group_info))


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a welcome says before the tree is there to prove it."""

    signature_private: bytes
    leaf: Leaf
    joiner_secret: bytes
    signed: SignedGroupInfo

    @property
    def info(self) -> GroupInfo:
        return self.signed.info

    def join(self, encoded_tree: bytes) -> tuple[int, Epoch]:
        """The own leaf index and the epoch; raises InvalidMessage if anything does not match."""
        context = self.info.context
        if not is_equal(tree_hash(encoded_tree), context.tree_hash):
            raise InvalidMessage("The tree is not that of the welcome.")
        tree = read_message(Tree, encoded_tree)
        signer = leaf_at(tree, self.info.signer)
        if signer is None or not verify(
            signer.signature_key, _GROUP_INFO_LABEL, encode(self.info), self.signed.signature
        ):
            raise InvalidMessage("The welcome is not signed by a member.")
        check_leaves(tree, context.extensions)
        if self.leaf not in tree:
            raise InvalidMessage("The tree does not hold the leaf of the key package.")
        entered = enter(context, tree, self.joiner_secret)
        if not is_equal(entered.confirmation_tag, self.info.confirmation_tag):
            raise InvalidMessage("The welcome's secrets are not those of the group.")
        return tree.index(self.leaf), entered.epoch


def open_welcome(encoded: bytes, key_package_private: bytes) -> Invitation:
    """Raises InvalidMessage if the welcome is not for this key package, InvalidInput if that is damaged."""
    secrets = reopen(KEY_PACKAGE_KIND, KeyPackageSecrets, key_package_private)
    welcome = read_message(Welcome, encoded)
    reference = reference_of(secrets.encoded)
    mine = next((sealed for recipient, sealed in welcome.recipients if recipient == reference), None)
    if mine is None:
        raise InvalidMessage("The welcome is for other key packages.")
    joiner_secret = expose(_recipient_key(_init_key(secrets.init_private)), mine, welcome.group_info.tag)
    signed = read_message(SignedGroupInfo, expose(_welcome_key(joiner_secret), welcome.group_info))
    return Invitation(secrets.signature_private, read_key_package(secrets.encoded).content.leaf, joiner_secret, signed)


def _init_key(init_private: bytes) -> bytes:
    return digest(b"init key", init_private)


def _recipient_key(init_key: bytes) -> bytes:
    return digest(b"recipient", init_key)


def _welcome_key(joiner_secret: bytes) -> bytes:
    return digest(b"welcome", joiner_secret)
