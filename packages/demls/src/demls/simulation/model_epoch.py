"""How one epoch of a group becomes the next (RFC 9420 §7, §8 and §12): trees as lists of leaves, secrets as hashes.

Everything here is a function from values to values. What does not hold raises InvalidMessage; who builds a commit
turns that into InvalidInput.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from demls_engine import InvalidMessage

from demls.simulation.model_crypto import digest, is_equal
from demls.simulation.model_wire import Context, Epoch, Extensions, Leaf, Path, SignedKeyPackage, Tree, encode


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit does to a tree and a context."""

    committer: int
    adds: Sequence[SignedKeyPackage]
    """Verified ones."""
    removes: Sequence[int]
    updates: Mapping[int, Leaf]
    context_extensions: Extensions | None
    path: Path | None

    @property
    def needs_path(self) -> bool:
        """RFC 9420 §12.4: only adds can do without."""
        return not self.adds or bool(self.removes or self.updates) or self.context_extensions is not None


@dataclass(frozen=True, slots=True)
class Advance:
    """The next epoch, and what proves it to others."""

    epoch: Epoch
    joiner_secret: bytes
    confirmation_tag: bytes


def authenticator_of(secret: bytes) -> bytes:
    return digest(b"authenticator", secret)


def membership_key(epoch: Epoch) -> bytes:
    return digest(b"membership", epoch.secret)


def tree_hash(encoded_tree: bytes) -> bytes:
    return digest(b"tree", encoded_tree)


def leaf_at(tree: Tree, index: int) -> Leaf | None:
    return tree[index] if 0 <= index < len(tree) else None


def members_of(tree: Tree) -> list[tuple[int, Leaf]]:
    """Leaves in use, with their index."""
    return [(index, leaf) for index, leaf in enumerate(tree) if leaf is not None]


def found(group_id: bytes, leaf: Leaf, extensions: Extensions, secret: bytes) -> Epoch:
    """Epoch 0 of a group of one."""
    tree: Tree = (leaf,)
    check_leaves(tree, extensions)
    context = Context(group_id, 0, tree_hash(encode(tree)), b"", extensions)
    return enter(context, tree, secret).epoch


def advance(epoch: Epoch, tree: Tree, change: Change, signed: bytes) -> Advance:
    """Chains the secrets over the commit: other bytes, other secrets. ``tree`` is the one after the commit."""
    old = epoch.context
    extensions = old.extensions if change.context_extensions is None else change.context_extensions
    transcript = digest(b"confirmed", epoch.interim, signed)
    context = Context(old.group_id, old.epoch + 1, tree_hash(encode(tree)), transcript, extensions)
    commit_secret = b"" if change.path is None else change.path.secret
    return enter(context, tree, digest(b"joiner", epoch.secret, commit_secret))


def enter(context: Context, tree: Tree, joiner_secret: bytes) -> Advance:
    """The same epoch for members and joiners."""
    secret = digest(b"epoch", joiner_secret, encode(context))
    confirmation_tag = digest(b"confirmation", secret, context.transcript)
    interim = digest(b"interim", context.transcript, confirmation_tag)
    return Advance(Epoch(context, interim, secret, tree), joiner_secret, confirmation_tag)


def tree_after(epoch: Epoch, change: Change) -> Tree:
    """The tree with the proposals applied in the order of RFC 9420 §12.3, then the path; raises InvalidMessage."""
    leaves = list(epoch.tree)
    if change.needs_path and change.path is None:
        raise InvalidMessage("The commit needs a path.")
    for index, leaf in change.updates.items():
        if index == change.committer or leaf_at(epoch.tree, index) is None:
            raise InvalidMessage("An Update is of the committer or of nobody.")
        leaves[index] = leaf
    if len(set(change.removes)) != len(change.removes):
        raise InvalidMessage("A member is removed twice.")
    for index in change.removes:
        if index == change.committer or index in change.updates or leaf_at(epoch.tree, index) is None:
            raise InvalidMessage("A Remove is of the committer, of a member with an Update, or of nobody.")
        leaves[index] = None
    if len({package.content.init_key for package in change.adds}) != len(change.adds):
        raise InvalidMessage("A key package is added twice.")
    staying = {leaf.signature_key for index, leaf in members_of(epoch.tree) if index not in change.removes}
    if not staying.isdisjoint(package.content.leaf.signature_key for package in change.adds):
        raise InvalidMessage("Who is added has the key of a member.")
    _add(leaves, change.adds)
    if change.path is not None:
        leaves[change.committer] = change.path.leaf
    while leaves[-1] is None:
        leaves.pop()
    tree = tuple(leaves)
    extensions = epoch.context.extensions if change.context_extensions is None else change.context_extensions
    check_leaves(tree, extensions)
    if change.context_extensions is not None:
        # As in the real engine, who is removed by the same commit counts too.
        _check_support((leaf for _, leaf in members_of(epoch.tree)), extensions)
    _check_fresh_keys(epoch.tree, change)
    return tree


def _add(leaves: list[Leaf | None], packages: Iterable[SignedKeyPackage]) -> None:
    """Each takes the leftmost blank leaf, or a new one at the right (RFC 9420 §12.1.1)."""
    place = 0
    for package in packages:
        while place < len(leaves) and leaves[place] is not None:
            place += 1
        leaves[place : place + 1] = [package.content.leaf]


def check_leaves(tree: Tree, required: Extensions) -> None:
    """No two members with one key, and everybody supports the types in the context and in the own leaf."""
    leaves = [leaf for _, leaf in members_of(tree)]
    for keys in ({leaf.signature_key for leaf in leaves}, {leaf.encryption_key for leaf in leaves}):
        if len(keys) != len(leaves):
            raise InvalidMessage("Two members have the same key.")
    _check_support(leaves, required)


def _check_support(leaves: Iterable[Leaf], required: Extensions) -> None:
    numbers = {number for number, _ in required}
    for leaf in leaves:
        supported = set(leaf.supported)
        if not (numbers <= supported and supported.issuperset(number for number, _ in leaf.extensions)):
            raise InvalidMessage("A member does not support an extension.")


def _check_fresh_keys(tree: Tree, change: Change) -> None:
    """A leaf that renews itself has a new encryption key (RFC 9420 §7.3)."""
    renewed = dict(change.updates)
    if change.path is not None:
        renewed[change.committer] = change.path.leaf
    for index, leaf in renewed.items():
        before = leaf_at(tree, index)
        if before is not None and is_equal(before.encryption_key, leaf.encryption_key):
            raise InvalidMessage("A leaf renews itself with its old encryption key.")
