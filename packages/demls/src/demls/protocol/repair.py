"""Who asks for messages that are missing, and who says them again?

The sender itself answers at once. What it has signed can be handed on by anybody, so others do if it stays silent:
each waits a while of its own and keeps still once it hears that somebody was faster. What is said again is sealed with
a key of the epoch in which it was said first, so it reaches those for whom it was meant and nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from demls.protocol import policy as bounds
from demls.protocol.chat import Chat, Place
from demls.protocol.copies import Spot, parse
from demls.protocol.events import Reason
from demls.protocol.gaps import Gap
from demls.protocol.step import Step
from demls.wire.codec import WireError
from demls.wire.framing import digest
from demls.wire.ids import Address, Duration, Epoch, Instant
from demls.wire.messages import decode_message, encode_message
from demls.wire.talk import (
    LACKING_MAX,
    PLACES_MAX,
    STRETCHES_MAX,
    ChatPlace,
    ChatPlaces,
    ChatQuestion,
    Lacking,
    SaidAgain,
    SpokenMessage,
    Stretch,
)

if TYPE_CHECKING:
    from demls.protocol.state import GroupState

QUESTION_LABEL = "demls question"
PLACES_LABEL = "demls places"
REPAIR_LABEL = "demls said again"
"""Exporter label of the key under which messages of an epoch are said again."""

REPAIR_DATA = b"demls said again 1"
RECENT_MAX = 4096
RETURN_AFTER = Duration(bounds.SECOND)


@dataclass(slots=True)
class Budget:
    """What was said again for one member in this hour."""

    since: int
    copies: int = 0
    size: int = 0
    answered_at: int = 0

    @property
    def is_spent(self) -> bool:
        is_full = self.copies >= bounds.COPIES_PER_ASKER_AND_HOUR_MAX
        return is_full or self.size >= bounds.ANSWER_BYTES_PER_ASKER_AND_HOUR_MAX


@dataclass(frozen=True, slots=True)
class Help:
    """A message to be handed on to a member, unless somebody else does until ``due``."""

    due: int
    asker: Address


class Repair:
    """The questions and answers of one node in one group; nothing of it is durable, a restart begins anew."""

    def __init__(self, state: GroupState) -> None:
        self._state = state
        self._asked_at = Instant(0)
        self._answered_at = Instant(0)
        """When somebody last said a message again that cannot be read here."""
        self._hour = Instant(0)
        self._questions = 0
        self._number = 0
        self._numbers: dict[tuple[str, Address], int] = {}
        self._budgets: dict[Address, Budget] = {}
        self._helps: dict[Spot, Help] = {}
        self._said: dict[Spot, int] = {}
        self._stage: int | None = None
        self._places_at: Instant | None = None
        self._spoken_at = Instant(0)
        self._expired_at = Instant(0)
        self._deadline: tuple[object, Instant | None] = (None, None)

    @property
    def _chat(self) -> Chat:
        return self._state.chat

    # --- Time ---------------------------------------------------------------------------------------------------

    def came_back(self, now: Instant) -> None:
        """After a restart, or when others had settled commits: tell how far everybody was heard, to hear of more."""
        self._chat.returned_at = now
        self._ask_around(0, now)

    def joined(self, now: Instant) -> None:
        """With a new seat: ask for what was said since it was given, a few times, since who is asked may be silent."""
        self._ask_around(0, now)

    def _ask_around(self, stage: int, now: Instant) -> None:
        self._stage = stage
        self._places_at = Instant(now + RETURN_AFTER + self._jitter(RETURN_AFTER))

    def tick(self, step: Step) -> None:
        """Everything that is due now."""
        self.notice_talk()
        if step.now >= self._expired_at + bounds.HOUR:
            self._expired_at = step.now
            self._chat.copies.forget_before(Instant(step.now - bounds.CHAT_KEPT_FOR))
        self._help(step)
        self._chat.tell_lost(step)
        self._ask(step)
        if self._places_at is not None and step.now >= self._places_at:
            self._say_places(step)

    def deadline(self, now: Instant) -> Instant | None:
        """When something is due next. O(1) while nothing changes."""
        self.notice_talk()
        if not (self._helps or self._chat.wanted or self._chat.open):
            return self._places_at if self._places_at is not None and self._places_at > now else None
        stamp = self._chat.stamp, self._asked_at, self._places_at, len(self._helps), self._questions
        known, next_at = self._deadline
        if known != stamp or (next_at is not None and next_at <= now):
            next_at = self._next(now)
            self._deadline = stamp, next_at
        return next_at

    def _next(self, now: Instant) -> Instant | None:
        times = [held.due for held in self._helps.values()]
        missing = self._chat.times(now)
        if missing:
            may_ask_at = self._may_ask_at()
            times += [max(time, may_ask_at) for time in missing]
        if self._places_at is not None:
            times.append(self._places_at)
        return Instant(min([time for time in times if time > now], default=0)) or None

    def notice_talk(self) -> None:
        """Something was said: when it is quiet again, somebody shall tell how far it has heard everybody."""
        if self._chat.spoken_at != self._spoken_at:
            self._spoken_at = self._chat.spoken_at
            self._stage = None
            self._schedule(self._spoken_at)

    def _schedule(self, now: Instant) -> None:
        """The next time to tell, if nothing is said and nobody else tells first."""
        self._stage = 0 if self._stage is None else self._stage + 1
        if self._stage >= len(bounds.PLACES_PAUSES) or len(self._state.roster.seats) < 2:
            self._places_at = None
            return
        after = bounds.PLACES_PAUSES[self._stage]
        spread = Duration(after + 200 * len(self._state.roster.seats))
        self._places_at = Instant(now + after + self._jitter(spread))

    def _jitter(self, most: Duration) -> int:
        return int(most * int.from_bytes(self._state.engine.random(4), "big") / 0xFFFFFFFF)

    # --- Asking -------------------------------------------------------------------------------------------------

    def _may_ask_at(self) -> int:
        if self._questions >= bounds.QUESTIONS_PER_HOUR_MAX:
            return self._hour + bounds.HOUR
        return self._asked_at + bounds.QUESTION_EVERY

    def _ask(self, step: Step) -> None:
        chat, state, now = self._chat, self._state, step.now
        if now >= self._hour + bounds.HOUR:
            self._hour, self._questions = now, 0
        if now < self._may_ask_at() or len(state.roster.seats) < 2:
            return
        due = self._due(now)
        ids = [message_id for message_id, wanted in chat.wanted.items() if now >= wanted.ask_at]
        if not due and not ids:
            return
        has_heard = max(state.heard_at, self._answered_at) >= self._asked_at
        lacking: list[Lacking] = []
        tries = 0
        for place, wanted_gaps in list(due.items())[:LACKING_MAX]:
            gaps = wanted_gaps[:STRETCHES_MAX]
            lacking.append(Lacking(*place, tuple(Stretch(gap.first, gap.last) for gap in gaps)))
            tries = max(tries, *(gap.tries for gap in gaps))
            for gap in gaps:
                self._note_asked(gap, now, counts=has_heard or not gap.asked)
            chat.save(place)
        for message_id in ids:
            wanted = chat.wanted[message_id]
            wanted.asked += 1
            wanted.ask_at = now + (bounds.ASK_AGAIN_AFTER << wanted.asked)
            tries = max(tries, wanted.asked - 1)
        self._asked_at = now
        self._questions += 1
        self._number = max(self._number + 1, now)
        unsigned = ChatQuestion(
            state.epoch, state.own, self._number, min(tries, 16), tuple(lacking), tuple(ids), bytes(64)
        )
        content = unsigned.content(state.group_id)
        step.say(replace(unsigned, signature=state.sign(QUESTION_LABEL, content)))

    def _due(self, now: Instant) -> dict[Place, list[Gap]]:
        due: dict[Place, list[Gap]] = {}
        for place in sorted(self._chat.open):
            heard = self._chat.heard[place]
            gaps = [*heard.gaps, *([heard.claim] if heard.claim is not None else [])]
            wanted = [gap for gap in gaps if not gap.is_over(now) and now >= gap.ask_at]
            if wanted:
                due[place] = wanted
        return due

    def _note_asked(self, gap: Gap, now: Instant, *, counts: bool) -> None:
        gap.tries += 1
        gap.asked += counts
        gap.asked_at = now
        gap.has_yielded = False
        pause = Duration(min(bounds.ASK_AGAIN_AFTER << min(gap.tries - 1, 16), bounds.ASK_AGAIN_MOST))
        gap.ask_at = now + pause + self._jitter(Duration(pause // 4))

    def _yield(self, question: ChatQuestion, now: Instant) -> None:
        """Somebody else asks for the same, and all hear the answer: wait for it, once between two own questions."""
        for lacking in question.lacking:
            heard = self._chat.heard.get((Address(lacking.member), lacking.stream))
            if heard is None:
                continue
            for gap in heard.gaps:
                is_covered = any(one.first <= gap.first and gap.last <= one.last for one in lacking.stretches)
                if is_covered and not gap.has_yielded and not gap.is_exhausted:
                    gap.has_yielded = True
                    gap.ask_at = max(gap.ask_at, now + bounds.ASK_AGAIN_AFTER + self._jitter(bounds.ASK_AGAIN_AFTER))
                    self._chat.stamp += 1
        for message_id in question.ids:
            wanted = self._chat.wanted.get(message_id)
            if wanted is not None and not wanted.asked:
                wanted.asked = 1
                wanted.ask_at = now + bounds.ASK_AGAIN_AFTER + self._jitter(bounds.ASK_AGAIN_AFTER)
                self._chat.stamp += 1

    # --- Answering ----------------------------------------------------------------------------------------------

    def receive_question(self, question: ChatQuestion, step: Step) -> None:
        asker = Address(question.member)
        content = question.content(self._state.group_id)
        if not self._is_genuine("question", asker, QUESTION_LABEL, question.number, content, question.signature, step):
            return
        self._yield(question, step.now)
        budget = self._budget(asker, step.now)
        if budget.is_spent or step.now < budget.answered_at + bounds.ANSWER_EVERY:
            step.refuse(Reason.LIMIT, "a member asks for more messages than anybody can have missed")
            return
        budget.answered_at = step.now
        mine, others, is_short = self._wanted(question)
        left = self._say(mine, asker, step)
        if is_short and not left:
            self._say_signed([self._own_place(asker)], asker, step, is_answer=True)
        if others and self._may_help(question):
            due = step.now + self._help_after(question)
            for spot in others[: bounds.COPIES_IN_ANSWER_MAX]:
                if len(self._helps) < bounds.HELP_HELD_MAX:
                    self._helps.setdefault(spot, Help(due, asker))

    def _wanted(self, question: ChatQuestion) -> tuple[list[Spot], list[Spot], bool]:
        """Own and others' messages that are asked for and kept, and whether some of the own are not."""
        state, chat = self._state, self._chat
        own: dict[Spot, None] = {}
        others: dict[Spot, None] = {}
        is_short = False
        for lacking in question.lacking:
            member = Address(lacking.member)
            for stretch in lacking.stretches:
                found = chat.copies.between(member, lacking.stream, stretch.first, stretch.last)
                (own if member == state.own else others).update(dict.fromkeys(found))
                is_mine = member == state.own and lacking.stream == chat.stream
                is_short = is_short or (is_mine and len(found) <= stretch.last - stretch.first)
        for message_id in question.ids:
            spot = chat.copies.named(message_id)
            if spot is not None:
                (own if spot.member == state.own else others)[spot] = None
        since = chat.since_of(Address(question.member))
        kept_own, kept_others = ([spot for spot in spots if self._is_for(since, spot)] for spots in (own, others))
        return kept_own, kept_others, is_short or len(kept_own) < len(own)

    def _is_for(self, since: int, spot: Spot) -> bool:
        """Was it said after a member had come in ``since``?"""
        copy = self._chat.copies.find(spot)
        return copy is not None and copy.epoch >= since

    def _budget(self, asker: Address, now: Instant) -> Budget:
        budget = self._budgets.get(asker)
        if budget is None or now >= budget.since + bounds.HOUR:
            members = self._state.roster.addresses
            self._budgets = {member: known for member, known in self._budgets.items() if member in members}
            budget = self._budgets[asker] = Budget(now)
        return budget

    def _say(self, spots: Iterable[Spot], asker: Address, step: Step) -> int:
        """Say messages again, within bounds. How many of them have to wait."""
        budget = self._budget(asker, step.now)
        said = size = left = 0
        for spot in spots:
            copy = self._chat.copies.find(spot)
            key = self._state.repair_key(Epoch(copy.epoch)) if copy is not None else None
            if copy is None or key is None or step.now < self._said.get(spot, 0) + bounds.SAY_AGAIN_EVERY:
                continue
            is_full = said >= bounds.COPIES_IN_ANSWER_MAX or (
                said and size + len(copy.message) > bounds.ANSWER_BYTES_MAX
            )
            if is_full or budget.is_spent:
                left += 1
                continue
            message = copy.read()
            if not self._chat.may_hand_on(spot, copy.message, message):
                self._chat.copies.forget([spot])
                continue
            plain = encode_message(SpokenMessage(spot.member, message))
            step.say(SaidAgain(copy.epoch, self._state.engine.seal(key, plain, REPAIR_DATA)))
            self._note_said(spot, step.now)
            said, size = said + 1, size + len(copy.message)
            budget.copies, budget.size = budget.copies + 1, budget.size + len(copy.message)
        return left

    def _note_said(self, spot: Spot, now: Instant) -> None:
        self._helps.pop(spot, None)
        self._said.pop(spot, None)
        self._said[spot] = now
        while len(self._said) > RECENT_MAX:
            del self._said[next(iter(self._said))]

    def _may_help(self, question: ChatQuestion) -> bool:
        """In a large group only some come into question, others and more of them the next time."""
        n = len(self._state.roster.seats)
        many = bounds.HELPERS_MAX << question.tries
        if n <= many:
            return True
        drawn = int.from_bytes(digest(b"demls helper 1", question.signature, self._state.own)[:8], "big")
        return drawn < (many << 64) // n

    def _help_after(self, question: ChatQuestion) -> int:
        helpers = min(len(self._state.roster.seats), bounds.HELPERS_MAX << question.tries)
        return bounds.HELP_AFTER + self._jitter(Duration(min(bounds.MINUTE, bounds.SECOND + 300 * helpers)))

    def _help(self, step: Step) -> None:
        due: dict[Address, list[Spot]] = {}
        for spot, held in list(self._helps.items()):
            if step.now >= held.due:
                del self._helps[spot]
                due.setdefault(held.asker, []).append(spot)
        for asker, spots in due.items():
            self._say(sorted(spots), asker, step)

    # --- What was said again ------------------------------------------------------------------------------------

    def receive_again(self, again: SaidAgain, step: Step) -> None:
        """Somebody hands on a message: worth exactly its sender's signature."""
        key = self._state.repair_key(Epoch(again.epoch))
        if key is None:
            self._answered_at = step.now  # said before this member came or came back, or too long ago
            return
        plain = self._state.engine.unseal(key, again.sealed, REPAIR_DATA)
        try:
            spoken = decode_message(plain, SpokenMessage) if plain is not None else None
        except WireError:
            spoken = None
        if spoken is None or spoken.message.epoch != again.epoch:
            step.refuse(Reason.UNREADABLE, "a message said again that is not sealed with the key of its epoch")
            return
        raw = encode_message(spoken.message)
        parsed = parse(raw)
        if parsed is None:
            step.refuse(Reason.UNREADABLE, "a message said again that cannot be read")
            return
        member = Address(spoken.member)
        spot = Spot(member, spoken.message.stream, spoken.message.counter)
        known = self._chat.copies.find(spot)
        if member == self._state.own:
            if known is not None and known.message == raw:
                self._note_said(spot, step.now)
            return
        if self._chat.take(member, spoken.message, raw, parsed[1], step, again=True) or (
            known is not None and known.message == raw
        ):
            self._note_said(spot, step.now)

    # --- How far everybody was heard ----------------------------------------------------------------------------

    def _say_places(self, step: Step) -> None:
        state = self._state
        places = self._chat.places()
        others = sorted(address for address in state.roster.addresses if address != state.own)
        self._schedule(step.now)
        if others:
            asked = others[int.from_bytes(state.engine.random(8), "big") % len(others)]
            self._say_signed(places[:PLACES_MAX], asked, step, is_answer=False)

    def _own_place(self, asker: Address) -> ChatPlace:
        """How far the own device has counted, and what of it is for this member and kept."""
        chat, own = self._chat, self._state.own
        since = chat.since_of(asker)
        kept = chat.copies.oldest(own, chat.stream)
        oldest = kept if kept is not None else chat.sent + 1
        return ChatPlace(own, chat.stream, chat.sent, chat.sent_epoch, chat.yours_from(since), oldest)

    def _say_signed(self, places: list[ChatPlace], asked: Address, step: Step, *, is_answer: bool) -> None:
        state = self._state
        self._number = max(self._number + 1, step.now)
        unsigned = ChatPlaces(state.epoch, state.own, asked, self._number, is_answer, tuple(places), bytes(64))
        content = unsigned.content(state.group_id)
        step.say(replace(unsigned, signature=state.sign(PLACES_LABEL, content)))

    def receive_places(self, said: ChatPlaces, step: Step) -> None:
        """Another member tells how far it has heard everybody, or answers about itself."""
        state, speaker = self._state, Address(said.member)
        content = said.content(state.group_id)
        if not self._is_genuine("places", speaker, PLACES_LABEL, said.number, content, said.signature, step):
            return
        is_mine = said.asked == state.own
        for place in said.places:
            member = Address(place.member)
            if member == state.own:
                continue
            if member == speaker:
                self._chat.note_said((member, place.stream), place, step, is_mine=is_mine and said.is_answer)
            else:
                self._chat.note_claim((member, place.stream), place, step.now)
            self._chat.hears_again(member, step.now)
        if said.is_answer:
            return
        more = self._more_than(said, self._chat.since_of(speaker))
        if more and is_mine:
            budget = self._budget(speaker, step.now)
            if step.now >= budget.answered_at + bounds.ANSWER_EVERY:
                budget.answered_at = step.now
                own = self._own_place(speaker)
                told = [own if place.member == state.own else place for place in more[:PLACES_MAX]]
                self._say_signed(told, speaker, step, is_answer=True)
        elif not more and self._places_at is not None and self._stage is not None and not self._more_than(said, 0):
            self._schedule(step.now)

    def _more_than(self, said: ChatPlaces, since: int) -> list[ChatPlace]:
        """What was said after the speaker came and it does not know of."""
        known = {(place.member, place.stream): place.counter for place in said.places}
        return [
            place
            for place in self._chat.places()
            if place.member != said.member
            and place.epoch >= since
            and place.counter > known.get((place.member, place.stream), 0)
        ]

    # --- Checks -------------------------------------------------------------------------------------------------

    def _is_genuine(
        self, kind: str, member: Address, label: str, number: int, content: bytes, signature: bytes, step: Step
    ) -> bool:
        """Did a present member say this itself, and now?"""
        state = self._state
        seat = state.roster.seat(member)
        if seat is None or member == state.own:
            if seat is None:
                step.refuse(Reason.NOT_ENTITLED, "a question about messages by no member")
            return False
        if number <= self._numbers.get((kind, member), -1):
            step.refuse(Reason.STALE, "a question about messages that was asked before")
            return False
        if not state.engine.verify(seat.leaf_key, label, content, signature):
            step.refuse(Reason.FORGED, "a question about messages that its member did not sign")
            return False
        if len(self._numbers) > 4 * len(state.roster.seats):
            self._numbers = {key: value for key, value in self._numbers.items() if key[1] in state.roster.addresses}
        self._numbers[kind, member] = number
        state.heard(member, step.now)
        state.vouched(member)
        return True
