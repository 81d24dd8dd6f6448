"""What callers of the model engine see of leaves, key packages, commits and messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from demls_engine import InvalidMessage

from demls.simulation.model_crypto import digest, verify
from demls.simulation.model_wire import Epoch, Leaf, SignedKeyPackage, encode, read_message

FOREVER = 2**64 - 1
KEY_PACKAGE_LABEL = "KeyPackageTBS"


@dataclass(frozen=True, slots=True)
class SignatureKey:
    private: bytes
    public: bytes


@dataclass(frozen=True, slots=True)
class Member:
    leaf: int
    signature_key: bytes
    credential: bytes
    extensions: dict[int, bytes]

    @classmethod
    def of(cls, index: int, leaf: Leaf) -> Member:
        return cls(index, leaf.signature_key, leaf.credential, dict(leaf.extensions))


@dataclass(frozen=True, slots=True)
class KeyPackage:
    """A key package that was verified."""

    encoded: bytes
    reference: bytes
    signature_key: bytes
    credential: bytes
    extensions: dict[int, bytes]
    not_before: int = 0
    not_after: int = FOREVER

    @classmethod
    def of(cls, package: SignedKeyPackage) -> KeyPackage:
        encoded, leaf = encode(package), package.content.leaf
        reference = reference_of(encoded)
        return cls(encoded, reference, leaf.signature_key, leaf.credential, dict(leaf.extensions))


def reference_of(encoded: bytes) -> bytes:
    """KeyPackageRef and ProposalRef (RFC 9420 §5.2)."""
    return digest(b"reference", encoded)


@lru_cache(maxsize=256)
def read_key_package(encoded: bytes) -> SignedKeyPackage:
    """Raises InvalidMessage if it does not verify. All members of a world read the same ones, again and again."""
    package = read_message(SignedKeyPackage, encoded)
    content = package.content
    if not verify(content.leaf.signature_key, KEY_PACKAGE_LABEL, encode(content), package.signature):
        raise InvalidMessage("The key package is not signed by its key.")
    return package


@dataclass(frozen=True, slots=True)
class NewKeyPackage:
    public: KeyPackage
    private: bytes


@dataclass(frozen=True, slots=True)
class Candidate:
    """An own commit that was built and not merged."""

    commit: bytes
    welcome: bytes | None
    staged: bytes


@dataclass(slots=True)
class Next:
    """Where a received commit leads, for one merge."""

    base: bytes
    """Authenticator of the epoch that the commit was staged on."""
    epoch: Epoch
    signature_private: bytes | None
    """For an own Update with another signature key."""
    is_merged: bool = False


@dataclass(frozen=True, slots=True)
class StagedCommit:
    """A received commit that holds, and was not merged."""

    committer: int
    adds: list[KeyPackage]
    removes: list[int]
    updates: list[int]
    updated_leaves: list[Member]
    context_extensions: dict[int, bytes] | None
    has_path: bool
    path_signature_key: bytes | None
    path_credential: bytes | None
    path_extensions: dict[int, bytes] | None
    authenticated_data: bytes
    removes_self: bool
    epoch: int
    authenticator: bytes
    next: Next = field(repr=False)
    other_proposals: list[str] = field(default_factory=list)
    """Always none: the model knows no others."""


@dataclass(frozen=True, slots=True)
class Decrypted:
    sender: int
    epoch: int
    plaintext: bytes
    authenticated_data: bytes
