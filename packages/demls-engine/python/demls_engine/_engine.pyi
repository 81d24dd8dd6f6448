"""Types of the native module: RFC 9420 through OpenMLS.

Conventions: all keys, messages and states are ``bytes``; extension and leaf numbers are ``int``;
times are seconds since 1970 as ``int`` and only ever come from the caller: no clock is read here.
"""

from collections.abc import Mapping, Sequence
from typing import final

LIBRARY_VERSION: str
"""Name and version of the MLS library, stored beside every state."""

class EngineError(Exception):
    """Root of all errors of this package."""

class InvalidMessage(EngineError):
    """Bytes from the network that are malformed or do not verify. Nothing has changed."""

class WrongEpoch(InvalidMessage):
    """A well-formed message of an epoch that this state cannot read. Nothing has changed."""

class AlreadyUsed(InvalidMessage):
    """The key of this message was used before: a replay, or too old. Nothing has changed."""

class OwnMessage(InvalidMessage):
    """The message claims the own leaf as its sender, unauthenticated. Nothing has changed."""

class WrongState(EngineError):
    """A staged commit belongs to another state than the live one; stage it again."""

class Inactive(EngineError):
    """The own leaf is no longer in the group; only reading of old state is possible."""

class InvalidInput(EngineError):
    """The caller passed something that cannot be used (say, a key of the wrong size)."""

class UnreadableState(EngineError):
    """A stored state was written by another version or is damaged; resync the group."""

class EnginePanic(EngineError):
    """A defect in the native code. Drop the group object and load it again."""

@final
class SignatureKey:
    """An Ed25519 leaf key pair."""

    private: bytes
    """32-byte seed; a secret."""
    public: bytes
    """32 bytes."""

@final
class KeyPackage:
    """What a verified key package says (RFC 9420 §10)."""

    encoded: bytes
    """The bare TLS KeyPackage."""
    reference: bytes
    """KeyPackageRef (RFC 9420 §5.2)."""
    signature_key: bytes
    credential: bytes
    """Identity of its BasicCredential."""
    extensions: dict[int, bytes]
    """Leaf-node extensions of private use."""
    not_before: int
    not_after: int

@final
class NewKeyPackage:
    """A fresh key package with its secrets."""

    public: KeyPackage
    private: bytes
    """Opaque secrets for ``open_welcome``; used once, then to be destroyed."""

@final
class Member:
    """One leaf of the ratchet tree."""

    leaf: int
    signature_key: bytes
    credential: bytes
    extensions: dict[int, bytes]

@final
class Candidate:
    """An own commit that was built and not merged."""

    commit: bytes
    """MLSMessage with a PublicMessage."""
    welcome: bytes | None
    """MLSMessage with a Welcome without ratchet tree; None if nobody was added."""
    staged: bytes
    """Private part: what ``merge`` takes, as long as the state is the one it was built on."""

@final
class StagedCommit:
    """A received commit, checked by RFC 9420 and not merged."""

    committer: int
    """Leaf index, proven by the signature and the membership tag."""
    adds: list[KeyPackage]
    removes: list[int]
    updates: list[int]
    """Leaves that refresh themselves through an Update proposal of their own, ascending."""
    updated_leaves: list[Member]
    """What each of ``updates`` becomes; a caller compares it with what the member was."""
    context_extensions: dict[int, bytes] | None
    """The whole new set, if the commit replaces the GroupContext extensions.

    Whatever else a foreign client puts there appears under its own number (3 for required
    capabilities other than the types of the set, 5 for external senders).
    """
    other_proposals: list[str]
    """Names of any other proposals in it (psk, reinit, external_init, custom, ...)."""
    has_path: bool
    path_signature_key: bytes | None
    path_credential: bytes | None
    path_extensions: dict[int, bytes] | None
    authenticated_data: bytes
    removes_self: bool
    epoch: int
    """The epoch that merging leads to."""
    authenticator: bytes
    """Epoch authenticator after the merge; equal for all members of the same commit. Empty if self is removed."""

@final
class Decrypted:
    sender: int
    epoch: int
    plaintext: bytes
    authenticated_data: bytes

@final
class OpenedWelcome:
    """A welcome whose secrets were opened; nothing is stored anywhere yet."""

    group_id: bytes
    epoch: int
    group_info_extensions: dict[int, bytes]
    context_extensions: dict[int, bytes]
    committer: int
    """Leaf index of the signer of the GroupInfo, as it claims; proven by ``join``."""

    def join(self, ratchet_tree: bytes) -> MlsGroup:
        """Verify tree, GroupInfo signature and confirmation tag, and become a member.

        Raises InvalidMessage; may be called again with another tree.
        """

@final
class MlsGroup:
    """The live state of one group. One call at a time: a second one waits.

    ``propose_commit``, ``propose_update``, ``read_update`` and ``stage`` work on copies and hold up nobody.
    """

    group_id: bytes
    epoch: int
    own_leaf: int
    is_active: bool
    member_count: int

    def members(self) -> list[Member]:
        """All leaves in use, by ascending index; O(n)."""

    def member(self, leaf: int) -> Member | None: ...
    def context_extensions(self) -> dict[int, bytes]: ...
    def authenticator(self) -> bytes:
        """Epoch authenticator (RFC 9420 §8.7)."""

    def export_secret(self, label: str, context: bytes, length: int) -> bytes:
        """MLS exporter (RFC 9420 §8.5)."""

    def can_add(self, key_packages: Sequence[bytes | KeyPackage]) -> bool:
        """Would ``propose_commit`` take these key packages as ``adds``, all together, in the present state?

        Nothing is built or encrypted; O(n) in the members. Raises Inactive.
        """

    def propose_commit(
        self,
        *,
        adds: Sequence[bytes] = (),
        removes: Sequence[int] = (),
        updates: Sequence[bytes] = (),
        context_extensions: Mapping[int, bytes] | None = None,
        authenticated_data: bytes = b"",
        group_info_extensions: Mapping[int, bytes] | None = None,
        force_path: bool = False,
    ) -> Candidate:
        """Build a commit without merging it; the live state does not change, messages go on.

        ``adds``: bare KeyPackages, at most 100 (a caller's rule); ``removes``: leaf indices;
        ``updates``: proposals made by ``propose_update`` of others.
        All but Updates stand inline. Several candidates may exist at once.
        Raises InvalidInput if the set makes no valid commit, Inactive.
        """

    def propose_update(
        self, *, extensions: Mapping[int, bytes] | None = None, signature_private: bytes | None = None
    ) -> tuple[bytes, bytes]:
        """(proposal as MLSMessage with a PublicMessage, secrets to keep until it is committed).

        The leaf keeps its extensions and its signature key unless others are given.
        """

    def read_update(self, proposal: bytes) -> Member:
        """Verify another member's Update and show the leaf as it would become.

        Raises InvalidMessage, WrongEpoch, OwnMessage.
        """

    def stage(self, commit: bytes, updates: Sequence[bytes] = (), own_update: bytes | None = None) -> StagedCommit:
        """Check a received commit; the live state does not change.

        ``updates``: all proposals that the commit may refer to; those that do not verify are left out.
        ``own_update``: secrets of the own Update of this epoch, if the commit may contain it.
        Raises InvalidMessage, WrongEpoch, OwnMessage, Inactive.
        """

    def merge(self, commit: StagedCommit | bytes) -> dict[int, Member | None]:
        """Move to the next epoch with a received (StagedCommit) or an own (Candidate.staged) commit.

        Gives what changed: leaves of the new epoch by ascending index, None for one that is blank; all others are as
        they were. Empty if the own leaf is removed. Raises WrongState if it was made on another state; then
        nothing changes. If the commit removes the own leaf, the group becomes inactive.
        """

    def encrypt(self, plaintext: bytes, authenticated_data: bytes = b"") -> bytes:
        """An application message as MLSMessage. Save ``changes()`` before sending it."""

    def decrypt(self, message: bytes) -> Decrypted:
        """Raises InvalidMessage, WrongEpoch, AlreadyUsed, OwnMessage; then nothing changes."""

    def decrypt_batch(self, messages: Sequence[bytes]) -> list[Decrypted | EngineError]:
        """Same as one by one, in order, with one crossing of the border and the GIL released."""

    def forget_past_epochs(self, keep: int) -> None:
        """Drop message secrets of all but the newest ``keep`` past epochs."""

    def ratchet_tree(self) -> bytes:
        """The public tree for joiners."""

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """What must be saved since the last call: (key, value), None = delete. Ordered by key.

        Deferred message secrets are flushed first.
        """

    def snapshot(self) -> dict[bytes, bytes]:
        """The whole state as it would be saved."""

@final
class Engine:
    """Cryptography and randomness (suite MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519)."""

    def __init__(self, seed: bytes | None = None) -> None:
        """``seed``: 32 bytes for a reproducible engine (tests, simulation); None: the system's randomness."""

    def random(self, count: int) -> bytes: ...
    def signature_key(self) -> SignatureKey: ...
    def sign(self, private: bytes, label: str, content: bytes) -> bytes:
        """SignWithLabel (RFC 9420 §5.1.2), 64 bytes."""

    def verify(self, public: bytes, label: str, content: bytes, signature: bytes) -> bool:
        """VerifyWithLabel by the ZIP 215 rules; False for anything malformed."""

    def verify_batch(self, items: Sequence[tuple[bytes, str, bytes, bytes]]) -> list[bool]:
        """Verdicts for (public, label, content, signature), each equal to that of ``verify``."""

    def seal(self, key: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
        """XChaCha20-Poly1305 with a random 24-byte nonce in front; ``key`` has 32 bytes."""

    def unseal(self, key: bytes, sealed: bytes, associated_data: bytes) -> bytes | None:
        """None if it was not sealed so."""

    def unseal_many(self, key: bytes, sealed: Sequence[bytes], associated_data: bytes) -> list[bytes | None]:
        """What ``unseal`` gives of each, in one call."""

    def key_package(
        self, *, signature_private: bytes, credential: bytes, extensions: Mapping[int, bytes], supported: Sequence[int]
    ) -> NewKeyPackage:
        """A key package with an eternal MLS lifetime.

        ``extensions``: of the leaf; ``supported``: extension types to list in the capabilities.
        """

    def parse_key_package(self, encoded: bytes) -> KeyPackage:
        """Verify and describe. Raises InvalidMessage, also for a lifetime that is not eternal."""

    def create_group(
        self,
        *,
        group_id: bytes,
        signature_private: bytes,
        credential: bytes,
        extensions: Mapping[int, bytes],
        supported: Sequence[int],
        context_extensions: Mapping[int, bytes],
        past_epochs: int = 3,
        out_of_order: int = 16,
        forward: int = 1000,
    ) -> MlsGroup:
        """A group of one at epoch 0. All types in ``context_extensions`` become required capabilities.

        ``past_epochs``: how many epochs before the current one stay readable (at most 100);
        ``out_of_order``: of each sender, how many messages before its newest one may still come (at most 1,000);
        ``forward``: of each sender, how many messages may be missing before the next one (at most 100,000).
        Raises InvalidInput.
        """

    def open_welcome(
        self,
        welcome: bytes,
        key_package_private: bytes,
        *,
        past_epochs: int = 3,
        out_of_order: int = 16,
        forward: int = 1000,
    ) -> OpenedWelcome:
        """Raises InvalidMessage; the key package survives any failure."""

    def load_group(self, state: Mapping[bytes, bytes]) -> MlsGroup:
        """From ``snapshot()`` or the sum of all ``changes()``. Raises UnreadableState."""
