"""Where do people go on, when too many of a group are gone for good?

A successor is a group of its own that a member founds on purpose; this group only carries the word, to those who are
there and to whoever comes back later. Nothing is merged, and nobody is led there without its own wish.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from demls.protocol import policy as bounds
from demls.protocol.channel import Channel
from demls.protocol.events import Reason, SuccessorFounded
from demls.protocol.records import Ledger
from demls.protocol.step import Step
from demls.wire.codec import WireError
from demls.wire.ids import Address, GroupId, Instant, LeafKey
from demls.wire.links import invite_text
from demls.wire.messages import InviteLink, SuccessorNotice, decode_message, encode_message

SUCCESSOR_LABEL = "demls successor"


class Successors:
    """The notices of successor groups that are known here, one of each founder."""

    def __init__(self, ledger: Ledger, group_id: GroupId, verify: Callable[[bytes, str, bytes, bytes], bool]) -> None:
        self._ledger = ledger
        self._group_id = group_id
        self._verify = verify
        self.known: dict[Address, SuccessorNotice] = {
            Address(key): decode_message(raw, SuccessorNotice) for key, raw in ledger.bytes_under(b"successor/")
        }
        self._repeated_at = Instant(0)

    def announce(
        self,
        links: Mapping[Address, InviteLink],
        epoch: int,
        head: bytes,
        own: Address,
        sign: Callable[[str, bytes], bytes],
        step: Step,
    ) -> None:
        """Say that the own member has founded one."""
        invited = tuple(sorted(links))
        encoded = tuple(encode_message(links[address]) for address in invited)
        unsigned = SuccessorNotice(epoch, head, own, invited, encoded, bytes(64))
        notice = replace(unsigned, signature=sign(SUCCESSOR_LABEL, unsigned.content(self._group_id)))
        self._keep(notice)
        step.say(notice)

    def receive(
        self,
        notice: SuccessorNotice,
        key_of: Callable[[bytes, int], LeafKey | None],
        own: Address,
        step: Step,
    ) -> None:
        """A member says that it has founded one; its newest word counts."""
        founder = Address(notice.member)
        known = self.known.get(founder)
        if known is not None and (known == notice or known.epoch > notice.epoch):
            return
        key = key_of(notice.member, notice.epoch)
        if key is None or not self._verify(key, SUCCESSOR_LABEL, notice.content(self._group_id), notice.signature):
            step.refuse(Reason.FORGED, "a notice of a successor that its founder did not sign")
            return
        if known is None and len(self.known) >= bounds.SUCCESSORS_MAX:
            step.refuse(Reason.LIMIT, "too many notices of successors")
            return
        link = self.link_for(notice, own)
        self._keep(notice)
        step.tell(SuccessorFounded(founder, link.group_name if link else "", invite_text(link) if link else ""))

    def _keep(self, notice: SuccessorNotice) -> None:
        self.known[Address(notice.member)] = notice
        self._ledger.put_bytes(b"successor/" + notice.member, encode_message(notice))

    @staticmethod
    def link_for(notice: SuccessorNotice, member: Address) -> InviteLink | None:
        """The invite that the notice brings for a member."""
        for address, raw in zip(notice.invited, notice.links, strict=False):
            if address == member:
                try:
                    return decode_message(raw, InviteLink)
                except WireError:
                    return None
        return None

    @staticmethod
    def name_of(notice: SuccessorNotice) -> str:
        """What the group is called, as its founder's first invite says; empty if that cannot be read."""
        try:
            return decode_message(notice.links[0], InviteLink).group_name
        except WireError:
            return ""

    def repeat(self, step: Step, channel: Channel | None = None) -> None:
        """Somebody asks what it has missed: say the notices again, now and then."""
        if self.known and step.now >= self._repeated_at + bounds.REPEAT_EVERY:
            self._repeated_at = step.now
            for _, notice in sorted(self.known.items()):
                step.say(notice, channel)
