"""Application messages of one epoch: a key for each sender and generation, each used once (RFC 9420 §9)."""

from __future__ import annotations

from dataclasses import dataclass

from demls_engine import AlreadyUsed, InvalidMessage, OwnMessage

from demls.simulation.model_crypto import digest, is_equal
from demls.simulation.model_views import Decrypted
from demls.simulation.model_wire import MessageState, PrivateMessage, Ratchet, encode

_GENERATION_MAX = 2**32 - 1


@dataclass(slots=True)
class _Reading:
    head: int
    skipped: set[int]


class EpochMessages:
    """Which keys of an epoch were used, and which may still be."""

    def __init__(self, state: MessageState) -> None:
        self.epoch = state.epoch
        self._secret = state.secret
        self._sent = state.sent
        self._readings = {each.sender: _Reading(each.head, set(each.skipped)) for each in state.ratchets}

    @classmethod
    def new(cls, epoch: int, epoch_secret: bytes) -> EpochMessages:
        return cls(MessageState(epoch, digest(b"messages", epoch_secret), 0, ()))

    def state(self) -> MessageState:
        ratchets = [
            Ratchet(sender, reading.head, tuple(sorted(reading.skipped)))
            for sender, reading in sorted(self._readings.items())
        ]
        return MessageState(self.epoch, self._secret, self._sent, tuple(ratchets))

    def encrypt(self, group_id: bytes, own_leaf: int, plaintext: bytes, authenticated_data: bytes) -> bytes:
        generation = self._sent
        self._sent += 1
        sender_tag = self._sender_tag(own_leaf, generation)
        content_tag = self._content_tag(own_leaf, generation, authenticated_data, plaintext)
        return encode(
            PrivateMessage(
                group_id, self.epoch, own_leaf, generation, sender_tag, authenticated_data, plaintext, content_tag
            )
        )

    def decrypt(self, message: PrivateMessage, own_leaf: int, out_of_order: int, forward: int) -> Decrypted:
        """Reads and uses up the key, or raises and changes nothing.

        The order of refusals is that of the real engine, where the content cannot be checked before its key is found.
        """
        sender, generation = message.sender, message.generation
        if not 0 <= generation <= _GENERATION_MAX or sender < 0:
            raise InvalidMessage("The message has no such generation or sender.")
        if not is_equal(self._sender_tag(sender, generation), message.sender_tag):
            raise InvalidMessage("The sender data do not verify.")
        if sender == own_leaf:
            raise OwnMessage("The message claims to come from the own leaf.")
        reading = self._readings.get(sender) or _Reading(0, set())
        if generation > reading.head + forward:
            raise InvalidMessage("The message is too far ahead of its sender's others.")
        if generation < reading.head and generation not in reading.skipped:
            raise AlreadyUsed("The key of this message was used before, or it is too old.")
        tag = self._content_tag(sender, generation, message.authenticated_data, message.plaintext)
        if not is_equal(tag, message.content_tag):
            raise InvalidMessage("The content does not verify.")
        if generation < reading.head:
            reading.skipped.remove(generation)
        else:
            head = generation + 1
            oldest = head - 1 - out_of_order
            kept = {each for each in reading.skipped if each >= oldest}
            self._readings[sender] = _Reading(head, kept.union(range(max(reading.head, oldest), generation)))
        return Decrypted(sender, self.epoch, message.plaintext, message.authenticated_data)

    def _sender_tag(self, sender: int, generation: int) -> bytes:
        return digest(b"sender", self._secret, _place(sender, generation), size=16)

    def _content_tag(self, sender: int, generation: int, authenticated_data: bytes, plaintext: bytes) -> bytes:
        return digest(b"content", self._secret, _place(sender, generation), authenticated_data, plaintext, size=16)


def _place(sender: int, generation: int) -> bytes:
    return sender.to_bytes(8, "big") + generation.to_bytes(4, "big")
