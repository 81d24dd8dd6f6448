"""What follows from a message of the network? Every message is an attacker's until proven otherwise.

Nothing here raises; what is not acceptable is refused, with a reason, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice

from demls.protocol import policy as bounds
from demls.protocol.asking import Asking
from demls.protocol.channel import Channel, joiner_channel, unpad
from demls.protocol.commit_round import ROUND_LABEL
from demls.protocol.continuity import DIGEST_LABEL, answer_digest, lacks
from demls.protocol.engine import Engine, EngineError, OwnMessage
from demls.protocol.events import ProposalDecided, Reason
from demls.protocol.settling import receive_settled
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.protocol.stranding import Stranding
from demls.protocol.views import ProposalStatus
from demls.protocol.vote_lists import votes_in
from demls.wire.alike import Frames, Read
from demls.wire.codec import WireError
from demls.wire.fields import STATED_PROPOSALS_MAX
from demls.wire.ids import Address, Duration, Epoch, Instant, ProposalId, Topic
from demls.wire.messages import (
    CertifiedCommit,
    Digest,
    Invite,
    JoinAnswer,
    JoinRequest,
    NothingKept,
    Offer,
    PartsRequest,
    Payload,
    PrivateMessage,
    Proposal,
    Resync,
    SettledCommit,
    SuccessorNotice,
    Vote,
    VoteBundle,
)
from demls.wire.statements import RoundStatement
from demls.wire.talk import ChatPlaces, ChatQuestion, SaidAgain

ANSWER_LABEL = "demls answer"
STRAGGLER_AFTER = Duration(2 * bounds.REPEAT_EVERY)
"""So long after a commit, messages of the epoch before are nothing unusual."""

STRAGGLER_HELPERS = 3

HEARD_LATELY = Duration(10 * bounds.SECOND)
"""For so long it is known without another signature that a member is here."""

Found = tuple[Channel, Read]
"""A message, and the channel it came on."""

_IN_BOOTH = (Vote, Digest, Proposal)
"""What stewards say among themselves; candidates are for all."""

_ON_FLOOR = (RoundStatement, Digest, Offer, Proposal, Vote)
"""What a committee says among itself, also in answer to a digest."""

_OFTEN_KNOWN = (Proposal, Vote, RoundStatement, Digest)


class Inbound:
    """The messages of one group, in the order in which they arrive."""

    def __init__(
        self, state: GroupState, asking: Asking, stranding: Stranding, caught_up: Callable[[Instant], None]
    ) -> None:
        """``caught_up``: called when a commit that others had settled was merged."""
        self._state = state
        self._asking = asking
        self._stranding = stranding
        self._caught_up = caught_up
        self._asked_back_at = Instant(0)
        self._answered: dict[Address, Instant] = {}
        self._said_here_at = Instant(0)
        self._greeted: set[tuple[Epoch, Address]] = set()
        self._frames = Frames(state.group_id)

    def open(self, envelopes: Sequence[tuple[Topic, bytes]]) -> list[Found | None]:
        """What stands in these envelopes; None for each that is not sealed for this group."""
        if len(envelopes) == 1:
            return [self._open_one(*envelopes[0])]
        found: list[Found | None] = [None] * len(envelopes)
        listening = self._state.listening()
        places: dict[Topic, list[int]] = {}
        for place, (topic, payload) in enumerate(envelopes):
            if topic in listening and len(payload) <= bounds.ENVELOPE_BYTES_MAX:
                places.setdefault(topic, []).append(place)
        for topic, waiting in places.items():
            channel = listening[topic]
            sealed = [envelopes[place][1] for place in waiting]
            reads = read_all(channel, sealed, self._state.engine, self._frames)
            for place, read in zip(waiting, reads, strict=True):
                found[place] = (channel, read) if read is not None else None
        self._state.foreseen.look((one[1] for one in found if one is not None), self._state)
        return found

    def _open_one(self, topic: Topic, payload: bytes) -> Found | None:
        channel = self._state.listening().get(topic)
        if channel is None or len(payload) > bounds.ENVELOPE_BYTES_MAX:
            return None
        (read,) = read_all(channel, (payload,), self._state.engine, self._frames)
        return (channel, read) if read is not None else None

    def is_open(self, topic: Topic, found: Found | None) -> bool:
        """Was the envelope opened, and does the node still listen where it did then?"""
        return found is not None and self._state.listening().get(topic) is found[0]

    def dispatch(self, channel: Channel, read: Read, step: Step) -> None:
        state, message = self._state, read.payload
        if channel.topic == state.rendezvous.topic:
            self._dispatch_from_outside(message, step)
            return
        if state.places.is_booth(channel) and not isinstance(message, _IN_BOOTH):
            step.refuse(Reason.INVALID, "a message that does not belong where stewards decide")
            return
        if state.places.is_floor(channel) and not isinstance(message, _ON_FLOOR):
            step.refuse(Reason.INVALID, "a message that does not belong where the committee speaks")
            return
        match message:
            case RoundStatement():
                self._receive_statement(message, read.raw, step)
            case Vote():
                self._receive_vote(message, step)
            case PrivateMessage():
                self._receive_chat(message, step)
            case Proposal():
                step.is_known = message.id in state.governance.items
                state.receive_proposal(message, step)
            case VoteBundle(votes=votes):
                for vote in votes:
                    self._receive_vote(vote, step)
                state.announcing.heard(message)
            case Offer():
                self._receive_offer(message, read.raw, step)
            case CertifiedCommit():
                state.certifying.receive(state, message, step)
            case SettledCommit():
                before = state.epoch
                receive_settled(state, message, step)
                if state.epoch > before:
                    self._caught_up(step.now)
                    state.repair.came_back(step.now)
            case Digest():
                self._receive_digest(channel, message, step)
            case ChatQuestion():
                state.repair.receive_question(message, step)
            case SaidAgain():
                state.repair.receive_again(message, step)
            case ChatPlaces():
                state.repair.receive_places(message, step)
            case SuccessorNotice():
                state.successors.receive(message, state.present_key, state.own, step)
            case _:
                step.refuse(Reason.INVALID, "a message that does not belong on the group's channel")
        if not isinstance(message, _OFTEN_KNOWN):
            step.is_known = False  # votes that came with it say nothing about it

    def _receive_vote(self, message: Vote, step: Step) -> None:
        voted = self._state.governance.receive_vote(message, step)
        if voted is not None:
            item, vote = voted
            self._state.heard(Address(vote.voter), step.now, in_epoch=Epoch(item.proposal.epoch))

    def _receive_statement(self, statement: RoundStatement, raw: bytes, step: Step) -> None:
        state = self._state
        if not self._is_current(statement) or state.is_halted:
            step.is_known = True
            return
        seat = state.roster.seat(statement.member)
        if seat is not None and seat.address not in state.committee.members:
            content = statement.content(state.group_id)
            if state.engine.verify(seat.leaf_key, ROUND_LABEL, content, statement.signature):
                state.heard(seat.address, step.now)
            if not seat.dormant:
                step.refuse(Reason.NOT_ENTITLED, "a round statement by a member that is not in the committee")
        elif state.round.receive_statement(
            statement,
            step,
            raw,
            is_signed=seat is not None and state.foreseen.has_signed(statement, seat.leaf_key),
        ):
            state.heard(Address(statement.member), step.now)
            state.vouched(Address(statement.member))
        else:
            step.is_known = not step.events

    def _dispatch_from_outside(self, message: Payload, step: Step) -> None:
        """What is said where everybody can who has ever had an invite link."""
        match message:
            case JoinRequest():
                self._receive_request(message, step)
            case Digest():
                self._receive_return(message, step)
            case Proposal(change=change) if isinstance(change.payload, Resync):
                self._receive_resync(message, change.payload, step)
            case NothingKept():
                self._stranding.receive(message, step)
            case PartsRequest():
                self._state.welcomes.answer_parts(message, step)
            case _:
                step.refuse(Reason.INVALID, "a message that does not belong on the rendezvous topic")

    def answer_straggler(self, channel: Channel, message: Payload, step: Step) -> None:
        """Whoever still speaks on the channel of an old epoch has missed its end: the first few members say it."""
        state = self._state
        if step.now < state.settled_at + STRAGGLER_AFTER:
            return
        is_elsewhere = channel in (state.channel, state.rendezvous, state.places.floors.get(state.epoch))
        if is_elsewhere or isinstance(message, SettledCommit | CertifiedCommit | Digest):
            return
        places = (*state.channels.items(), *state.places.floors.items())
        epoch = next((epoch for epoch, known in places if known == channel), None)
        if epoch is None:
            return  # on a stewards' channel: whoever speaks there does so elsewhere too
        if state.own in self._helpers(epoch):
            state.say_history(epoch, channel, step)

    def _witnesses(self, epoch: Epoch, asker: bytes = b"") -> Iterator[Address]:
        """Who saw the end of ``epoch``, in the order of leaders; whoever has a new seat since has forgotten it."""
        state = self._state.state
        anew = {Address(given.member_id): given.epoch for given in state.reseated}
        seats = map(state.roster.seat, state.leaders)
        return (
            seat.address
            for seat in seats
            if seat is not None and seat.address != asker and max(seat.since, anew.get(seat.address, 0)) <= epoch + 1
        )

    def _helpers(self, epoch: Epoch, asker: bytes = b"") -> list[Address]:
        """Who answers whoever is still in ``epoch``: the first in the order of leaders that saw its end."""
        others = (address for address in self._state.state.leaders if address != asker)
        witnesses = list(islice(self._witnesses(epoch, asker), STRAGGLER_HELPERS))
        return witnesses or list(islice(others, STRAGGLER_HELPERS))

    def _is_current(self, message: Offer | RoundStatement | Digest) -> bool:
        """Messages of other states are nothing bad: they are late, or early for us."""
        return (message.epoch, message.head) == (self._state.epoch, self._state.state.head)

    def _receive_offer(self, offer: Offer, raw: bytes, step: Step) -> None:
        state = self._state
        if not self._is_current(offer) or state.is_halted or not state.round.admits(offer, step):
            return
        state.heard(Address(offer.leader), step.now)
        named = state.candidates.named(offer.candidate)
        for proposal in offer.proposals:
            if proposal.id in named:
                state.receive_proposal(proposal, step, solicited=True)
        votes = votes_in(offer.votes, state.governance.electorates)
        for vote in votes:
            state.governance.take(vote, step)
        for ack in offer.certificate:
            if self._is_current(ack):
                state.round.receive_statement(ack, step)
        if state.candidates.note_votes(offer, votes):
            state.round.replace_offer(offer)
        state.round.receive_offer(offer, step, raw, is_signed=True)
        state.certifying.merge(state, step)

    def _receive_digest(self, channel: Channel, wanted: Digest, step: Step) -> None:
        state = self._state
        if wanted.member == state.own:
            return
        key = state.known_key(wanted.member, wanted.epoch)
        content = wanted.content(state.group_id)
        if key is None or not state.engine.verify(key, DIGEST_LABEL, content, wanted.signature):
            step.refuse(Reason.FORGED, "a digest that its member did not sign")
            step.is_known = True
            return
        seat = state.roster.seat(wanted.member)
        step.is_known = seat is not None and not seat.dormant
        if self._is_current(wanted):
            state.heard(Address(wanted.member), step.now)
            state.vouched(Address(wanted.member))
            if len(wanted.proposals) < STATED_PROPOSALS_MAX:
                listed = frozenset(ProposalId(stated.proposal_id) for stated in wanted.proposals)
                quiet = partial(state.presence.quiet, state.roster, state.own, step.now)
                state.governance.note_listed(Address(wanted.member), listed, quiet, step)
                step.is_known = step.is_known and not step.events
        if wanted.asked != state.own:
            return
        last = self._answered.get(Address(wanted.member))
        if last is not None and step.now < last + bounds.ANSWER_EVERY:
            return
        self._answered = {member: at for member, at in self._answered.items() if at > step.now - bounds.REPEAT_EVERY}
        self._answered[Address(wanted.member)] = step.now
        if self._is_current(wanted):
            self._greet(Address(wanted.member), step)
            for payload in answer_digest(
                wanted,
                current=state.round,
                governance=state.governance,
                roster=state.roster,
                hears=state.places.hears_committee(wanted.member),
            ):
                state.places.say_answer(payload, step, channel)
            due = step.now >= self._asked_back_at + bounds.REPEAT_EVERY
            if due and lacks(
                wanted,
                governance=state.governance,
                roster=state.roster,
                current=state.round,
                own=state.own,
                hears=state.places.hears_committee(state.own),
            ):
                self._asked_back_at = step.now
                step.say(self._asking.digest(Address(wanted.member)), channel)
        elif wanted.epoch < state.epoch:
            state.say_history(Epoch(wanted.epoch), channel, step)
        state.successors.repeat(step)

    def _greet(self, member: Address, step: Step) -> None:
        """A newcomer that asks this member hears it once: it may wait for that to know which group it is in."""
        state = self._state
        seat = state.roster.seat(member)
        if seat is not None and seat.since == state.epoch and (state.epoch, member) not in self._greeted:
            self._greeted = {(epoch, known) for epoch, known in self._greeted if epoch == state.epoch}
            self._greeted.add((state.epoch, member))
            step.say(self._asking.digest(member))

    def _receive_return(self, wanted: Digest, step: Step) -> None:
        """Somebody asks where everybody is: tell it what it missed, or learn that this node is the one behind."""
        state = self._state
        if wanted.member == state.own:
            return
        if self._says_nothing_new(wanted, step.now):
            step.is_known = True
            return
        key = state.known_key(wanted.member, wanted.epoch)
        if key is None or not state.engine.verify(key, DIGEST_LABEL, wanted.content(state.group_id), wanted.signature):
            step.refuse(Reason.FORGED, "a digest that its member did not sign")
            step.is_known = True
            return
        seat = state.roster.seat(wanted.member)
        step.is_known = seat is not None and not seat.dormant
        channel = state.way_back(Epoch(wanted.epoch))
        is_asked = wanted.asked == state.own or state.own in self._helpers(Epoch(wanted.epoch), wanted.member)
        if self._is_current(wanted):
            state.heard(Address(wanted.member), step.now)
            if wanted.asked == state.own and step.now >= self._said_here_at + bounds.REPEAT_EVERY:
                self._said_here_at = step.now
                self._asking.say_here(step)
        if wanted.epoch < state.epoch and is_asked and state.history.leaving(wanted.epoch) is None:
            witnesses = list(islice(self._witnesses(Epoch(wanted.epoch), wanted.member), bounds.CROWD))
            if not witnesses or state.own in witnesses:  # else others can help
                self._stranding.answer(Address(wanted.member), Epoch(wanted.epoch), step)
        if wanted.epoch < state.epoch and channel is not None and is_asked:
            state.say_history(Epoch(wanted.epoch), channel, step)
            state.successors.repeat(step, channel)
        elif wanted.epoch > state.epoch and step.now >= self._asked_back_at + bounds.REPEAT_EVERY:
            self._asked_back_at = step.now
            step.say(self._asking.brief(Address(wanted.member)), state.rendezvous)

    def _says_nothing_new(self, wanted: Digest, now: Instant) -> bool:
        """Does somebody who was heard a moment ago say that it is here, and ask another member?"""
        if wanted.asked == self._state.own or not self._is_current(wanted):
            return False
        member, seat = Address(wanted.member), self._state.roster.seat(wanted.member)
        if seat is None or seat.dormant or self._state.welcomes.awaits(member):
            return False
        heard = self._state.presence.heard_at(member)
        return heard is not None and now < heard + HEARD_LATELY

    def _receive_resync(self, proposal: Proposal, change: Resync, step: Step) -> None:
        """A member asks for a new seat. The first in the order of leaders tells it if there is none for it."""
        state = self._state
        if state.welcomes.again(change.key_package_bytes, step):
            return
        item = state.receive_proposal(proposal, step)
        is_first = state.own == next((one for one in state.state.leaders if one != proposal.owner), None)
        sentence = ""
        if item is None and state.roster.seat(proposal.owner) is None:
            sentence = "You are no longer in this group; ask a member for a new invite link."
        elif item is not None and item.status is ProposalStatus.OPEN:
            sentence = state.resyncs.hindrance(item, step.now)
        if is_first and sentence:
            answer_request(state, change.key_package_bytes, sentence, step)

    def _receive_chat(self, message: PrivateMessage, step: Step) -> None:
        state = self._state
        try:
            decrypted = state.mls.decrypt(message.data)
        except OwnMessage:
            return
        except EngineError as problem:
            step.refuse(Reason.STALE, f"a chat message that cannot be opened: {type(problem).__name__}")
            return
        state.mls_changed = state.ratchets.heard(len(state.roster.seats)) or state.mls_changed
        sender = state.roster.owner_of(decrypted.sender)
        if decrypted.epoch != state.epoch:
            sender = state.former_owner(decrypted.sender, Epoch(decrypted.epoch))
        if sender is None:
            step.refuse(Reason.NOT_ENTITLED, "a chat message by no member of its epoch")
            return
        epoch = Epoch(decrypted.epoch)
        state.heard(sender, step.now, in_epoch=epoch)
        state.vouched(sender)
        state.chat.hears_again(sender, step.now)
        state.chat.read(decrypted.plaintext, sender, epoch, step)

    def _receive_request(self, request: JoinRequest, step: Step) -> None:
        state = self._state
        if state.welcomes.again(request.key_package_bytes, step):
            return
        if state.welcomes.is_sharing:
            member = state.requests.admitted(request, state.roster)
            if member is not None:
                state.welcomes.share_own(member, request.key_package_bytes, step)
                return
        if state.own not in state.state.leaders:
            return
        rank = state.state.leaders.index(state.own)
        agreed = frozenset(Address(founder) for before in state.charter.predecessor for founder in before.founders)
        sentence = state.requests.receive(request, state.roster, state.epoch, rank, agreed, step)
        if sentence is not None and rank == 0:
            answer_request(state, request.key_package_bytes, sentence, step)


def read_all(channel: Channel, sealed: Sequence[bytes], engine: Engine, frames: Frames) -> list[Read | None]:
    """What was sealed for ``channel``; None for each that was not, or is no canonical frame."""
    return [_read(padded, frames) for padded in engine.unseal_many(channel.key, sealed, channel.topic)]


def _read(padded: bytes | None, frames: Frames) -> Read | None:
    frame = unpad(padded)
    try:
        return None if frame is None else frames.read(frame)
    except WireError:
        return None


def answer_request(state: GroupState, key_package: bytes, sentence: str, step: Step) -> None:
    """Tell whoever asked to join why it will not be admitted."""
    content = sentence.encode() + key_package
    answer = JoinAnswer(sentence, state.own, state.sign(ANSWER_LABEL, content))
    step.say(answer, joiner_channel(key_package))


def answer_rejected(state: GroupState, step: Step) -> None:
    """Who asked to join and was refused is told so, by the first in the order of leaders."""
    if state.state.leaders[0] != state.own:
        return
    for event in step.events:
        if isinstance(event, ProposalDecided) and not event.approved:
            change = state.governance.items[event.proposal_id].change
            if isinstance(change, Invite):
                answer_request(state, change.key_package_bytes, "The group has voted and does not admit you.", step)
