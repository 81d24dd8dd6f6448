"""Which message is this, of whom, and is one missing before it?

Each message carries the counter of its sender's device and the ids of the newest messages seen (scalable data sync),
and is signed, so that anybody can hand it on. A gap is asked for (``repair``) and told once nobody could close it, so
that nobody takes silence for nothing said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from demls.protocol import policy as bounds
from demls.protocol.copies import Copies, Spot, parse
from demls.protocol.errors import RequestRefused
from demls.protocol.events import MessageReceived, MessagesDiffer, MessagesMissing, Reason
from demls.protocol.gaps import Gap, Heard
from demls.protocol.lots import paced
from demls.protocol.roster import Roster
from demls.protocol.step import Step
from demls.wire.chain import Reseated
from demls.wire.ids import Address, Duration, Epoch, Instant, LeafKey
from demls.wire.messages import (
    encode_message,
)
from demls.wire.talk import SEEN_MAX, STREAM_BYTES, ChatPlace, ConversationMessage, signed_content, stream_of

if TYPE_CHECKING:
    from demls.protocol.state import GroupState

MESSAGE_LABEL = "demls message"
CLOCK_LEAP_MAX = Duration(2 * bounds.MINUTE)
"""So far a sender's clock may be ahead for the own messages to be dated after what they answer."""

BASES_KEPT = 256
_HEARD = b"chat/of/"
_CLOCK = b"chat/clock"

Place = tuple[Address, bytes]
"""A member and the name of its device's messages."""


@dataclass(slots=True)
class Wanted:
    """A message that others have seen and this member has not; nobody knows whose it is."""

    ask_at: int
    asked: int = 0


class Chat:
    """The messages of one group: own and others' counters, gaps, and copies to be said again."""

    def __init__(self, state: GroupState) -> None:
        self._state = state
        self._ledger = ledger = state.ledger
        self.copies = Copies(ledger, state.own)
        self.stream = stream_of(state.device.leaf_key)
        self.heard: dict[Place, Heard] = {
            (Address(key[:-STREAM_BYTES]), key[-STREAM_BYTES:]): heard for key, heard in ledger.under(_HEARD, Heard)
        }
        self.open: set[Place] = {place for place, heard in self.heard.items() if heard.gaps or heard.claim}
        """The devices of which something is missing."""
        self.wanted: dict[bytes, Wanted] = {}
        self.stamp = 0
        """Grows with everything that changes what is missing."""
        self.spoken_at = Instant(0)
        """When something was last said in the group, as far as this node knows since it was started."""
        self.returned_at: Instant | None = None
        self.sent = ledger.find(b"chat/sent", int) or 0
        self.sent_epoch = ledger.find(b"chat/sent-epoch", int) or 0
        self._seen: list[bytes] = ledger.find(b"chat/seen", list[bytes]) or []
        self._bases: dict[int, int] = ledger.find(b"chat/bases", dict[int, int]) or {}
        """The own counter when an epoch began in which somebody joined or came back."""
        self._anew: dict[bytes, int] = ledger.find(b"chat/anew", dict[bytes, int]) or {}
        """In which epoch members came back with a new leaf: what was said before is not readable for them."""
        self._clock: list[int] = ledger.find(_CLOCK, list[int]) or [0, 0]
        """The newest dates of messages: of the own ones, and of others'."""

    # --- Epochs -------------------------------------------------------------------------------------------------

    def enter(self, roster: Roster, epoch: Epoch, reseated: Iterable[Reseated]) -> None:
        """A new state: whoever came misses nothing that was said before, so later messages name none of it."""
        since = roster.since()
        anew = {given.member_id: epoch for given in reseated if given.epoch == epoch}
        if anew:
            self._anew = {member: at for member, at in (self._anew | anew).items() if Address(member) in since}
            self._ledger.put(b"chat/anew", self._anew)
        if anew or epoch in since.values():
            self._bases[epoch] = self.sent
            while len(self._bases) > BASES_KEPT:
                del self._bases[min(self._bases)]
            self._ledger.put(b"chat/bases", self._bases)
            self._seen = []
            self._ledger.put(b"chat/seen", self._seen)

    def since(self) -> int:
        """The epoch from which on messages are for the own member."""
        return self.since_of(self._state.own)

    def since_of(self, member: Address) -> int:
        """The epoch in which a member joined, or came back with a new leaf."""
        seat = self._state.roster.seat(member)
        return max(seat.since, self._anew.get(member, 0)) if seat is not None else self._state.epoch

    def yours_from(self, member_since: int) -> int:
        """The first own message that a member may have that came in this epoch."""
        return self._bases.get(member_since, 0) + 1

    # --- Own messages -------------------------------------------------------------------------------------------

    def write(self, text: str, own: Address, epoch: Epoch, step: Step) -> bytes:
        """The next own message, ready to be encrypted. Raises RequestRefused for a text that cannot be sent."""
        try:
            raw = text.encode()
        except UnicodeEncodeError as problem:
            raise RequestRefused("The message contains characters that cannot be sent; type it again.") from problem
        if not text.strip():
            raise RequestRefused("There is nothing to send: the message is empty.")
        if len(raw) > bounds.MESSAGE_BYTES_MAX:
            raise RequestRefused(
                f"The message has {len(raw)} bytes; at most {bounds.MESSAGE_BYTES_MAX} fit. Send it in parts."
            )
        state = self._state
        self.sent += 1
        self.sent_epoch = epoch
        self._ledger.put(b"chat/sent", self.sent)
        self._ledger.put(b"chat/sent-epoch", epoch)
        others = min(self._clock[1] + 1, step.now + CLOCK_LEAP_MAX)
        at = Instant(max(step.now, self._clock[0], others))
        self._note_time(at, 0)
        base_epoch = max(self._bases, default=0)
        message = ConversationMessage(
            raw,
            state.engine.random(16),
            self.sent,
            at,
            tuple(self._seen),
            epoch,
            self.stream,
            base_epoch,
            self._bases.get(base_epoch, 0),
            bytes(64),
        )
        message = replace(message, signature=state.sign(MESSAGE_LABEL, message.content(state.group_id)))
        encoded = encode_message(message)
        self.copies.keep(Spot(own, self.stream, self.sent), message, encoded, step.now)
        self._note_seen(message)
        self.spoken_at = step.now
        step.tell(MessageReceived(message.message_id, own, epoch, text, at, self.sent))
        return encoded

    # --- Others' messages ---------------------------------------------------------------------------------------

    def read(self, plaintext: bytes, sender: Address, epoch: Epoch, step: Step) -> None:
        """A decrypted message of ``sender``, whom MLS has proven."""
        parsed = parse(plaintext)
        if parsed is None:
            step.refuse(Reason.UNREADABLE, "a chat message that cannot be read")
            return
        message, text = parsed
        if message.epoch != epoch:
            step.refuse(Reason.INVALID, "a chat message that names another epoch than its own")
            return
        if self.take(sender, message, plaintext, text, step):
            self.spoken_at = step.now
            self._want(message, step.now)

    def take(
        self, sender: Address, message: ConversationMessage, raw: bytes, text: str, step: Step, *, again: bool = False
    ) -> bool:
        """A message of ``sender``, told once. ``raw``: its canonical bytes.

        ``again``: handed on, so worth exactly its signature. Of what MLS has proven, the signature is not looked at
        before the message is to be handed on (``may_hand_on``).
        """
        key = self.key_of(sender, message.stream, message.epoch)
        spot = Spot(sender, message.stream, message.counter)
        known = self.copies.find(spot)
        if known is not None and known.message == raw:
            if not again:
                step.refuse(Reason.STALE, "a chat message that was here before")
            return False
        if again and not self._is_signed(key, raw, message):
            step.refuse(Reason.FORGED, "a chat message that its sender did not sign")
            return False
        if not 0 < message.counter <= bounds.COUNTER_MAX or message.sent_at > bounds.INSTANT_MAX:
            step.refuse(Reason.INVALID, "a chat message with an impossible number or date")
            return False
        place = sender, message.stream
        heard = self.heard.get(place)
        if heard is None or not heard.highest:
            heard = self._begin(place, message, key, step.now)
        if known is not None:
            self._note_difference(place, heard, message.counter, step)
            return False
        is_late = self._count(place, heard, message, step)
        if is_late is None:
            if not again:
                step.refuse(Reason.STALE, "a chat message that was here before")
            return False
        if key is not None:
            self.copies.keep(spot, message, raw, step.now)
        is_late = is_late or (again and message.sent_at < max(self._clock))
        self._note_time(min(message.sent_at, step.now + CLOCK_LEAP_MAX), 1)
        self._note_seen(message)
        self.wanted.pop(message.message_id, None)
        self.save(place)
        epoch, at = Epoch(message.epoch), Instant(message.sent_at)
        step.tell(
            MessageReceived(message.message_id, sender, epoch, text, at, message.counter, is_late, is_recovered=again)
        )
        return True

    def may_hand_on(self, spot: Spot, raw: bytes, message: ConversationMessage) -> bool:
        """Did its sender sign a message that is kept, so that others can believe who hands it on?"""
        own, key = self._state.own, self.key_of(spot.member, spot.stream, message.epoch)
        return spot.member == own or self._is_signed(key, raw, message)

    def _is_signed(self, key: LeafKey | None, raw: bytes, message: ConversationMessage) -> bool:
        content = signed_content(raw, self._state.group_id)
        return key is not None and self._state.engine.verify(key, MESSAGE_LABEL, content, message.signature)

    def key_of(self, member: Address, stream: bytes, epoch: int) -> LeafKey | None:
        """The leaf key of a member's device, as far as it is known here."""
        state = self._state
        heard = self.heard.get((member, stream))
        if heard is not None and heard.key:
            return LeafKey(heard.key)
        seat = state.roster.seat(member)
        candidates = [
            seat.leaf_key if seat is not None else None,
            state.governance.electorates.leaf_key_of(member, epoch),
            *state.former.keys_of(member),
        ]
        return next((key for key in candidates if key is not None and stream_of(key) == stream), None)

    def _begin(self, place: Place, message: ConversationMessage, key: LeafKey | None, now: Instant) -> Heard:
        """The first message heard of a device: what was said before it may have been for this member, too."""
        own_since, counter = self.since(), message.counter
        heard = self.heard.get(place) or self._new(place, key)
        if self._came_later(place[0]):
            return heard
        if message.base_epoch == own_since:
            heard.highest = min(message.base, counter - 1)
        elif message.base_epoch > own_since and counter > 1:
            certain = min(message.base, counter - 1)
            heard.highest = certain
            if certain:
                self._add_gap(heard, max(1, certain - bounds.CLAIMED_MISSING_MAX + 1), certain, 0, now, claimed=True)
        else:
            heard.highest = counter - 1
        return heard

    def _came_later(self, member: Address) -> bool:
        """Did it join with this member or after it, so that all that it says is for this member, too?"""
        since = self._state.roster.since().get(member)
        return since is not None and since >= self.since()

    def _new(self, place: Place, key: LeafKey | None) -> Heard:
        mine = [known for known in self.heard if known[0] == place[0]]
        for known in mine[: max(0, len(mine) - bounds.DEVICES_OF_MEMBER_MAX + 1)]:
            self._forget(known)
        heard = self.heard[place] = Heard(bytes(key or b""))
        return heard

    def _count(self, place: Place, heard: Heard, message: ConversationMessage, step: Step) -> bool | None:
        """Is it late, because others of the same device came before? None: it was here before."""
        counter, now = message.counter, step.now
        if counter <= heard.highest:
            if not heard.take(counter, message.sent_at, is_mine=message.epoch >= self.since()):
                return None
            # The device may only have told how far it counts; now it was heard, and others are told of it.
            heard.at, heard.epoch = max(heard.at, message.sent_at), max(heard.epoch, message.epoch)
            for gap in heard.gaps:
                if not gap.is_told:
                    gap.asked = gap.tries = 0
                    gap.ask_at = min(gap.ask_at, now + bounds.QUESTION_EVERY)
            return True
        if counter > heard.highest + 1:
            first = heard.highest + 1
            before = min(message.sent_at, now)
            self._add_gap(heard, first, counter - 1, heard.at, now, before=before)
            self._tell([(place, gap) for gap in heard.shrink()], step)
        heard.highest, heard.at, heard.epoch = counter, message.sent_at, message.epoch
        if heard.claim is not None:
            claim = heard.claim
            heard.claim = replace(claim, first=counter + 1, asked=0) if claim.last > counter else None
        return False

    def _add_gap(
        self, heard: Heard, first: int, last: int, after: int, now: Instant, *, before: int = 0, claimed: bool = False
    ) -> None:
        heard.gaps.append(
            Gap(first, last, after, before, now, self.first_ask(now), self._was_away(now), is_claimed=claimed)
        )

    def first_ask(self, now: Instant) -> int:
        """It may only be late, and others may miss it, too: a while that is not the same for all.

        Longer in a large group: the first who ask hold the others back, if these hear them before they ask.
        """
        jitter = int.from_bytes(self._state.engine.random(2), "big") / 0xFFFF
        return now + bounds.ASK_FIRST_AFTER + int(paced(bounds.ASK_FIRST_AFTER, len(self._state.roster.seats)) * jitter)

    def _was_away(self, now: Instant) -> bool:
        return self.returned_at is not None and now < self.returned_at + bounds.AWAY_FOR

    def _note_difference(self, place: Place, heard: Heard, counter: int, step: Step) -> None:
        step.refuse(Reason.INVALID, "another chat message under a number that was used")
        if not heard.has_differed:
            heard.has_differed = True
            self.save(place)
            step.tell(MessagesDiffer(place[0], counter))

    def _note_seen(self, message: ConversationMessage) -> None:
        if message.epoch >= max(self._bases, default=0):
            self._seen = [*self._seen, message.message_id][-SEEN_MAX:]
            self._ledger.put(b"chat/seen", self._seen)

    def _note_time(self, at: int, whose: int) -> None:
        if at > self._clock[whose]:
            self._clock[whose] = at
            self._ledger.put(_CLOCK, self._clock)

    def _want(self, message: ConversationMessage, now: Instant) -> None:
        """What its sender has seen and this member has not. What was said before a member came is never named."""
        lacking = self.copies.lacks(message.seen)
        if not lacking or message.epoch < self.since():
            return
        for message_id in lacking:
            if message_id not in self.wanted:
                self.wanted[message_id] = Wanted(self.first_ask(now) + bounds.ASK_FIRST_AFTER)
                self.stamp += 1
        while len(self.wanted) > bounds.WANTED_IDS_MAX:
            del self.wanted[next(iter(self.wanted))]

    # --- What others know ---------------------------------------------------------------------------------------

    def note_said(self, place: Place, said: ChatPlace, step: Step, *, is_mine: bool) -> None:
        """A device's own word on how far it has counted; ``is_mine``: and on what of it is for this member."""
        key = self.key_of(*place, said.epoch)
        if key is None or said.counter > bounds.COUNTER_MAX:
            return
        heard = self.heard.get(place)
        if heard is None and (said.epoch < self.since() or not said.counter):
            return
        if heard is None or not heard.highest:
            heard = heard or self._new(place, key)
            if not self._came_later(place[0]):
                is_known = is_mine and said.yours_from > 0
                heard.highest = min(said.yours_from - 1, said.counter) if is_known else said.counter
                if not is_known:
                    first = max(1, heard.highest - bounds.CLAIMED_MISSING_MAX + 1)
                    self._add_gap(heard, first, heard.highest, 0, step.now, claimed=True)
        if said.counter > heard.highest:
            self._add_gap(heard, heard.highest + 1, said.counter, heard.at, step.now, before=step.now)
            heard.highest, heard.epoch = said.counter, max(said.epoch, heard.epoch)
            self._tell([(place, gap) for gap in heard.shrink()], step)
        heard.claim = None
        if is_mine:
            heard.clip(said.yours_from)
            for gap in heard.gaps:
                if gap.last < said.kept_from:
                    gap.asked = max(gap.asked, gap.asks_max - 1)  # others may still have it
        self.save(place)

    def note_claim(self, place: Place, claimed: ChatPlace, now: Instant) -> None:
        """Another member says that a device has counted so far. Worth a question, and nothing more."""
        heard, key = self.heard.get(place), self.key_of(*place, claimed.epoch)
        if key is None or claimed.epoch < self.since() or claimed.counter > bounds.COUNTER_MAX:
            return
        if heard is None:
            heard = self._new(place, key)
        if claimed.counter <= heard.highest:
            return
        before = heard.claim
        if before is not None and (before.last >= claimed.counter or before.is_told):
            if not (before.is_told and now >= before.asked_at + bounds.ASK_ANEW_AFTER):
                return
            before = None
        first = max(heard.highest + 1, claimed.counter - bounds.CLAIMED_MISSING_MAX + 1)
        heard.claim = Gap(first, claimed.counter, 0, 0, now, self.first_ask(now), is_claimed=True)
        if before is not None:
            heard.claim.ask_at, heard.claim.asked = before.ask_at, before.asked
        self.save(place)

    def places(self) -> list[ChatPlace]:
        """How far everybody was heard, the own device first, then the newest."""
        own = [ChatPlace(self._state.own, self.stream, self.sent, self.sent_epoch)] if self.sent else []
        others = [
            ChatPlace(member, stream, heard.highest, heard.epoch)
            for (member, stream), heard in self.heard.items()
            if heard.highest and heard.at and self.key_of(member, stream, heard.epoch) is not None
        ]
        return own + sorted(others, key=lambda place: (-place.epoch, place.member))

    def hears_again(self, member: Address, now: Instant) -> None:
        """A member that was away is back: ask it for what was given up."""
        if not self.open:
            return
        for place in [place for place in self.open if place[0] == member]:
            for gap in self.heard[place].gaps:
                is_due = gap.is_told and gap.anew < bounds.ASKS_ANEW_MAX
                if is_due and now >= gap.asked_at + bounds.ASK_ANEW_AFTER:
                    gap.asked = gap.tries = 0
                    gap.ask_at = self.first_ask(now)
                    gap.anew += 1
                    gap.asked_at = now
                    self.stamp += 1

    # --- Telling ------------------------------------------------------------------------------------------------

    def fetching(self) -> int:
        """How many messages are asked for, of which people know nothing yet."""
        return sum(gap.width for place in self.open for gap in self.heard[place].gaps if gap.is_open)

    def tell_lost(self, step: Step) -> None:
        """Tell of what nobody could say again, all at once."""
        lost: list[tuple[Place, Gap]] = []
        must_tell, is_hopeful = False, False
        for place in sorted(self.open):
            heard = self.heard[place]
            if heard.claim is not None and not heard.claim.is_told and heard.claim.has_failed(step.now):
                heard.claim.is_told = True
                self.save(place)
            is_hopeful = is_hopeful or (heard.claim is not None and not heard.claim.is_told)
            for gap in list(heard.gaps):
                is_over = gap.is_told and step.now >= gap.noticed_at + bounds.CHAT_KEPT_FOR
                if is_over or (gap.is_claimed and gap.has_failed(step.now)):
                    heard.gaps.remove(gap)
                    self.save(place)
                elif gap.is_open and gap.has_failed(step.now):
                    lost.append((place, gap))
                    must_tell = must_tell or step.now >= gap.ask_at + bounds.LOST_TOLD_AFTER
                elif gap.is_open:
                    is_hopeful = True
        if lost and (must_tell or not is_hopeful):
            for place, gap in lost:
                gap.is_told = True
                self.save(place)
            self._tell(lost, step)
        for message_id in [one for one, wanted in self.wanted.items() if self._is_vain(wanted, step.now)]:
            del self.wanted[message_id]

    @staticmethod
    def _is_vain(wanted: Wanted, now: Instant) -> bool:
        return wanted.asked >= bounds.CLAIM_ASKS_MAX and now >= wanted.ask_at

    def times(self, now: Instant) -> list[int]:
        """When something has to be asked for, or may be given up."""
        times = [wanted.ask_at for wanted in self.wanted.values()]
        for place in self.open:
            heard = self.heard[place]
            for gap in [*heard.gaps, *([heard.claim] if heard.claim is not None else [])]:
                if gap.is_told:
                    if gap.is_exhausted or heard.claim is gap:
                        continue
                    times.append(gap.ask_at)
                elif gap.is_over(now):
                    times += [gap.ask_at, gap.ask_at + bounds.LOST_TOLD_AFTER]
                else:
                    times += [gap.ask_at, gap.noticed_at + bounds.DAY]
        return times

    @staticmethod
    def _tell(lost: list[tuple[Place, Gap]], step: Step) -> None:
        for (member, _), gap in sorted(lost, key=lambda one: (one[0], one[1].first)):
            after, before = Instant(gap.after), Instant(gap.before)
            step.tell(MessagesMissing(member, gap.first, gap.last, after, before, gap.was_away))

    # --- Keeping ------------------------------------------------------------------------------------------------

    def save(self, place: Place) -> None:
        heard = self.heard[place]
        self._ledger.put(_HEARD + place[0] + place[1], heard)
        if heard.gaps or heard.claim is not None:
            self.open.add(place)
        else:
            self.open.discard(place)
        self.stamp += 1

    def retain(self, members: frozenset[Address]) -> None:
        """Of those who left, only so many are remembered."""
        former = list(dict.fromkeys(member for member, _ in self.heard if member not in members))
        gone = set(former[: max(0, len(former) - bounds.FORMER_NAMES_KEPT)])
        for place in [place for place in self.heard if place[0] in gone]:
            self._forget(place)

    def _forget(self, place: Place) -> None:
        del self.heard[place]
        self.open.discard(place)
        self._ledger.delete(_HEARD + place[0] + place[1])
        self.stamp += 1
