"""The model engine: the MLS engine of ``demls.protocol.engine`` without cryptography.

It meets the same contract as ``demls_engine`` (epochs, members, refusals, windows, states) with hashes, and gives the
same bytes for the same seed and calls, in every process. ``model_crypto`` says what the model does not show: secrecy,
and adversaries that compute. The other modules by question: which bytes (``model_wire``), how an epoch follows from
another (``model_epoch``), commits and Updates (``model_commit``), joining (``model_welcome``), application messages
(``model_messages``). A group is used from one thread at a time.

It is stricter than the real engine in two places, both by RFC 9420: an Update cannot take another member's signature
key (§7.3), and a founder supports the extensions of its own group (§7.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

import msgspec
from demls_engine import EngineError, Inactive, InvalidInput, InvalidMessage, UnreadableState, WrongEpoch, WrongState

from demls.simulation import model_commit, model_crypto, model_epoch, model_welcome
from demls.simulation.model_commit import Moment, Wanted
from demls.simulation.model_crypto import Random
from demls.simulation.model_messages import EpochMessages
from demls.simulation.model_views import (
    Candidate,
    Decrypted,
    KeyPackage,
    Member,
    NewKeyPackage,
    SignatureKey,
    StagedCommit,
    read_key_package,
)
from demls.simulation.model_wire import (
    MODEL_VERSION,
    About,
    Decoder,
    Epoch,
    MessageState,
    PrivateMessage,
    Tree,
    encode,
    private_extensions,
    read_message,
)

_ABOUT = b"about"
_EPOCH = b"epoch"
_MANIFEST = b"manifest"
_MESSAGES = b"messages/"
_EXPORTED_BYTES_MAX = 255 * 32  # HKDF-Expand gives no more (RFC 5869 §2.3)

_Windows = tuple[int, int, int]
"""Past epochs, out of order, forward: as ``demls_engine`` explains them."""

_read_state = Decoder(UnreadableState)


class ModelGroup:
    """The live state of one group."""

    def __init__(self, random: Random, about: About, epoch: Epoch, messages: Sequence[EpochMessages]) -> None:
        self._random = random
        self._about = about
        self._epoch = epoch
        self._messages = {each.epoch: each for each in messages}
        """Of the current epoch and past ones that are still read, oldest first."""
        self._encoded: dict[bytes, bytes] = {}
        """The parts of the state; what is not in it has changed."""
        self._saved: dict[bytes, bytes] = {}

    @property
    def group_id(self) -> bytes:
        return self._epoch.context.group_id

    @property
    def epoch(self) -> int:
        return self._epoch.context.epoch

    @property
    def own_leaf(self) -> int:
        return self._about.own_leaf

    @property
    def is_active(self) -> bool:
        return self._about.is_active

    @property
    def member_count(self) -> int:
        return len(model_epoch.members_of(self._epoch.tree))

    def members(self) -> list[Member]:
        return [Member.of(index, leaf) for index, leaf in model_epoch.members_of(self._epoch.tree)]

    def member(self, leaf: int) -> Member | None:
        node = model_epoch.leaf_at(self._epoch.tree, leaf)
        return None if node is None else Member.of(leaf, node)

    def context_extensions(self) -> dict[int, bytes]:
        return dict(self._epoch.context.extensions)

    def authenticator(self) -> bytes:
        self._check_active()
        return model_epoch.authenticator_of(self._epoch.secret)

    def export_secret(self, label: str, context: bytes, length: int) -> bytes:
        self._check_active()
        if not 1 <= length <= _EXPORTED_BYTES_MAX:
            raise InvalidInput(f"An exported secret has 1 to {_EXPORTED_BYTES_MAX} bytes.")
        return model_crypto.expand(b"exporter", self._epoch.secret, label.encode(), context, length=length)

    def can_add(self, key_packages: Sequence[bytes | KeyPackage]) -> bool:
        adds = [package if isinstance(package, bytes) else package.encoded for package in key_packages]
        return model_commit.can_add(self._moment(), adds)

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
        wanted = Wanted(
            adds, removes, updates, context_extensions, authenticated_data, group_info_extensions or {}, force_path
        )
        return model_commit.build(self._moment(), wanted)

    def propose_update(
        self, *, extensions: Mapping[int, bytes] | None = None, signature_private: bytes | None = None
    ) -> tuple[bytes, bytes]:
        return model_commit.propose_update(self._moment(), extensions, signature_private)

    def read_update(self, proposal: bytes) -> Member:
        return Member.of(*model_commit.read_update(self._moment(), proposal))

    def stage(self, commit: bytes, updates: Sequence[bytes] = (), own_update: bytes | None = None) -> StagedCommit:
        return model_commit.stage(self._moment(), commit, updates, own_update)

    def merge(self, commit: StagedCommit | bytes) -> dict[int, Member | None]:
        authenticator, before = self.authenticator(), self._epoch.tree
        if isinstance(commit, StagedCommit):
            following = commit.next
            if following.is_merged or following.base != authenticator:
                raise WrongState("The commit was staged on another state, or is merged.")
            following.is_merged = True
            self._enter(following.epoch, following.signature_private, removes_self=commit.removes_self)
        else:
            candidate = model_commit.open_candidate(commit)
            if candidate.base != authenticator:
                raise WrongState("The candidate was built on another state; build or stage it again.")
            self._enter(candidate.epoch, None, removes_self=False)
        return self._changed(before) if self.is_active else {}

    def encrypt(self, plaintext: bytes, authenticated_data: bytes = b"") -> bytes:
        self._check_active()
        self._encoded.pop(_messages_key(self.epoch), None)
        return self._messages[self.epoch].encrypt(self.group_id, self.own_leaf, plaintext, authenticated_data)

    def decrypt(self, message: bytes) -> Decrypted:
        self._check_active()
        private = read_message(PrivateMessage, message)
        if private.group_id != self.group_id:
            raise InvalidMessage("The message is of another group.")
        messages = self._messages.get(private.epoch)
        if messages is None:
            raise WrongEpoch("The message is of an epoch that this state cannot read.")
        decrypted = messages.decrypt(private, self.own_leaf, self._about.out_of_order, self._about.forward)
        self._encoded.pop(_messages_key(private.epoch), None)
        return decrypted

    def decrypt_batch(self, messages: Sequence[bytes]) -> list[Decrypted | EngineError]:
        return [self._decrypted_or_error(message) for message in messages]

    def forget_past_epochs(self, keep: int) -> None:
        if keep < 0:
            raise InvalidInput("A number of epochs is negative.")
        past = sorted(epoch for epoch in self._messages if epoch != self.epoch)
        for epoch in past[: max(len(past) - keep, 0)]:
            del self._messages[epoch]
            self._encoded.pop(_messages_key(epoch), None)

    def ratchet_tree(self) -> bytes:
        return encode(self._epoch.tree)

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        current = self.snapshot()
        gone: list[tuple[bytes, bytes | None]] = [(key, None) for key in self._saved if key not in current]
        changed = [(key, value) for key, value in current.items() if self._saved.get(key) != value]
        self._saved = current
        return sorted([*gone, *changed], key=lambda change: change[0])

    def snapshot(self) -> dict[bytes, bytes]:
        parts = self._encoded
        if _ABOUT not in parts:
            parts[_ABOUT] = encode(self._about)
        if _EPOCH not in parts:
            parts[_EPOCH] = encode(self._epoch)
        for epoch, messages in self._messages.items():
            key = _messages_key(epoch)
            if key not in parts:
                parts[key] = encode(messages.state())
        state = dict(sorted(parts.items()))
        state[_MANIFEST] = _manifest_of(state)
        return state

    @classmethod
    def load(cls, random: Random, saved: Mapping[bytes, bytes]) -> ModelGroup:
        """Raises UnreadableState for anything but a whole state of one moment."""
        state = dict(saved)
        manifest = state.pop(_MANIFEST, None)
        if manifest != _manifest_of(state) or _ABOUT not in state or _EPOCH not in state:
            raise UnreadableState("This is no state of a group, or a damaged one, or one of different moments.")
        about = _read_state(About, state[_ABOUT])
        if about.version != MODEL_VERSION:
            raise UnreadableState(f"The state was written by {about.version} and this is {MODEL_VERSION}.")
        messages = [
            EpochMessages(_read_state(MessageState, state[key])) for key in sorted(state) if key.startswith(_MESSAGES)
        ]
        group = cls(random, about, _read_state(Epoch, state[_EPOCH]), messages)
        group._encoded = state
        group._saved = group.snapshot()
        return group

    def _enter(self, epoch: Epoch, signature_private: bytes | None, *, removes_self: bool) -> None:
        if signature_private is not None:
            self._about = msgspec.structs.replace(self._about, signature_private=signature_private)
            self._encoded.pop(_ABOUT, None)
        self._epoch = epoch
        self._encoded.pop(_EPOCH, None)
        if removes_self:
            self._about = msgspec.structs.replace(self._about, is_active=False)
            self._encoded.pop(_ABOUT, None)
            return
        self._messages[self.epoch] = EpochMessages.new(self.epoch, epoch.secret)
        self.forget_past_epochs(self._about.past_epochs)

    def _changed(self, before: Tree) -> dict[int, Member | None]:
        pairs = enumerate(zip_longest(before, self._epoch.tree))
        changed = {index: leaf for index, (old, leaf) in pairs if old is not leaf and old != leaf}
        return {index: None if leaf is None else Member.of(index, leaf) for index, leaf in changed.items()}

    def _moment(self) -> Moment:
        self._check_active()
        return Moment(self._epoch, self._about.own_leaf, self._about.signature_private, self._random)

    def _check_active(self) -> None:
        if not self._about.is_active:
            raise Inactive("The own leaf is no longer in the group.")

    def _decrypted_or_error(self, message: bytes) -> Decrypted | EngineError:
        try:
            return self.decrypt(message)
        except EngineError as error:
            return error


def _messages_key(epoch: int) -> bytes:
    return _MESSAGES + epoch.to_bytes(8, "big")


def _manifest_of(state: Mapping[bytes, bytes]) -> bytes:
    """Binds all parts to each other."""
    return model_crypto.digest(b"manifest", *(part for item in sorted(state.items()) for part in item))


class ModelOpenedWelcome:
    """A welcome whose secrets were opened; nothing is stored anywhere yet."""

    def __init__(self, random: Random, invitation: model_welcome.Invitation, windows: _Windows) -> None:
        self._random = random
        self._invitation = invitation
        self._windows = windows

    @property
    def group_id(self) -> bytes:
        return self._invitation.info.context.group_id

    @property
    def epoch(self) -> int:
        return self._invitation.info.context.epoch

    @property
    def group_info_extensions(self) -> dict[int, bytes]:
        return dict(self._invitation.info.extensions)

    @property
    def context_extensions(self) -> dict[int, bytes]:
        return dict(self._invitation.info.context.extensions)

    @property
    def committer(self) -> int:
        return self._invitation.info.signer

    def join(self, ratchet_tree: bytes) -> ModelGroup:
        own_leaf, epoch = self._invitation.join(ratchet_tree)
        return _new_group(self._random, own_leaf, self._invitation.signature_private, epoch, self._windows)


def _check_windows(windows: _Windows) -> _Windows:
    bounds = zip(windows, (100, 1_000, 100_000), strict=True)
    if not all(0 <= value <= bound for value, bound in bounds):
        raise InvalidInput("At most 100 past epochs, 1,000 out of order and 100,000 forward.")
    return windows


def _new_group(random: Random, own_leaf: int, signature_private: bytes, epoch: Epoch, windows: _Windows) -> ModelGroup:
    about = About(MODEL_VERSION, own_leaf, signature_private, True, *windows)
    return ModelGroup(random, about, epoch, [EpochMessages.new(epoch.context.epoch, epoch.secret)])


class ModelEngine:
    """Where groups and keys of the model begin. Everything random follows from the seed and the order of calls."""

    def __init__(self, seed: bytes | None = None) -> None:
        """``seed``: 32 bytes; None takes one from the system."""
        self._random = Random(seed)

    def random(self, count: int) -> bytes:
        return self._random.draw(count)

    def signature_key(self) -> SignatureKey:
        private = self._random.draw(model_crypto.KEY_BYTES)
        return SignatureKey(private, model_crypto.public_of(private))

    def sign(self, private: bytes, label: str, content: bytes) -> bytes:
        return model_crypto.sign(private, label, content)

    def verify(self, public: bytes, label: str, content: bytes, signature: bytes) -> bool:
        return model_crypto.verify(public, label, content, signature)

    def verify_batch(self, items: Sequence[tuple[bytes, str, bytes, bytes]]) -> list[bool]:
        return [model_crypto.verify(*item) for item in items]

    def seal(self, key: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
        return model_crypto.seal(key, self._random.draw(model_crypto.NONCE_BYTES), plaintext, associated_data)

    def unseal(self, key: bytes, sealed: bytes, associated_data: bytes) -> bytes | None:
        return model_crypto.unseal(key, sealed, associated_data)

    def unseal_many(self, key: bytes, sealed: Sequence[bytes], associated_data: bytes) -> list[bytes | None]:
        model_crypto.check_key(key)
        return [model_crypto.unseal(key, one, associated_data) for one in sealed]

    def key_package(
        self, *, signature_private: bytes, credential: bytes, extensions: Mapping[int, bytes], supported: Sequence[int]
    ) -> NewKeyPackage:
        leaf = model_welcome.make_leaf(self._random, signature_private, credential, extensions, supported)
        return model_welcome.make_key_package(self._random, signature_private, leaf)

    def parse_key_package(self, encoded: bytes) -> KeyPackage:
        return KeyPackage.of(read_key_package(encoded))

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
    ) -> ModelGroup:
        windows = _check_windows((past_epochs, out_of_order, forward))
        leaf = model_welcome.make_leaf(self._random, signature_private, credential, extensions, supported)
        required = private_extensions(context_extensions)
        try:
            epoch = model_epoch.found(group_id, leaf, required, self._random.draw(32))
        except InvalidMessage as error:
            raise InvalidInput(str(error)) from error
        return _new_group(self._random, 0, signature_private, epoch, windows)

    def open_welcome(
        self,
        welcome: bytes,
        key_package_private: bytes,
        *,
        past_epochs: int = 3,
        out_of_order: int = 16,
        forward: int = 1000,
    ) -> ModelOpenedWelcome:
        windows = _check_windows((past_epochs, out_of_order, forward))
        return ModelOpenedWelcome(self._random, model_welcome.open_welcome(welcome, key_package_private), windows)

    def load_group(self, state: Mapping[bytes, bytes]) -> ModelGroup:
        return ModelGroup.load(self._random, state)
