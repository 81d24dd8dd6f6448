"""What does a node do for its group without being asked by its person?

It opens votes that are due when it is its turn (requests to join with a token, elections, dormancy), and the next in
the order of leaders do if it stays silent (LIP-104 §Inactivity timer, voting inactivity). It votes by itself only
where there is nothing to choose: on the one valid steward list, on what it has heard of a member, and on the
admission of those whom the charter of a successor group names. While something is being decided it compares what it
holds with others.
"""

from __future__ import annotations

from demls.protocol import policy as bounds
from demls.protocol.asking import Asking
from demls.protocol.errors import RequestRefused
from demls.protocol.events import Reason
from demls.protocol.items import Item
from demls.protocol.lots import lot
from demls.protocol.refreshing import Refreshing
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.protocol.validation import State
from demls.protocol.views import ProposalStatus
from demls.protocol.wishes import cast_vote, check_change, open_proposal
from demls.wire.ids import Address, Duration, Instant, ProposalId
from demls.wire.messages import Awake, Dormant, Emergency, Invite, Remove, Settings, StewardElection
from demls.wire.violations import Violation

RETURNS = 3
"""So many members are asked one after the other besides the first, by whoever comes back."""

RETURNS_WITHIN = Duration(10 * bounds.SECOND)
"""In a crowd, the first of these is put off by so much at most."""

AWAKE_AGAIN = Duration(10 * bounds.MINUTE)
"""So long after a vote on counting a member again has failed, it is opened once more."""


class Duties:
    """The duties of one node in one group; nothing of it is durable, a restart begins anew."""

    def __init__(self, state: GroupState, asking: Asking) -> None:
        self._state = state
        self.refreshing = Refreshing(state)
        self._ask = asking.ask
        self._ask_committee = asking.ask_committee
        self._ask_steward = asking.ask_steward
        self._come_back = asking.come_back
        self._return_at: Instant | None = None
        self._returns = 0
        self._unvoted: set[ProposalId] = set(state.governance.items)
        self._look_at: Instant | None = None
        self._gossip_at: Instant | None = None
        self._pace = Duration(0)
        self._ranked: tuple[State, int | None] | None = None
        self._held = self._seen = 0
        self._accused: dict[Address, Instant] = {}
        self._answered: set[ProposalId] = set()
        self._done: tuple[object, ...] = ()

    # --- All of them --------------------------------------------------------------------------------------------

    def act(self, step: Step) -> None:
        """Everything that is due now. O(1) while nothing is, and nothing if it was done in this step already."""
        stamp = step, *self._stamp(step)
        if stamp == self._done:
            return
        self._done = stamp
        self._notice_fresh(step)
        self._state.announcing.act(step)
        if self._state.certifying.act(self._state, step):
            self._ask_committee(step)
        self._retry_held(step)
        self._open_emergencies(step)
        self._thaw(step)
        self._open_lapsed(step)
        if not self._state.emergencies.is_frozen(step.now) and step.now >= self._thawed_at(step.now):
            self._open_requests(step)
            self._open_election(step)
            if self._look_at is not None and step.now >= self._look_at:
                self._open_dormant(step)
            self._open_awake(step)
        self._say_here(step)
        self.refreshing.act(step)
        self._notice_fresh(step)
        for proposal_id in sorted(self._unvoted):
            self._vote(proposal_id, step)
        self.gossip(step)
        if self._return_at is not None and step.now >= self._return_at:
            self._returns -= 1
            self._return_at = Instant(step.now + bounds.REPEAT_EVERY) if self._returns else None
            self._come_back(step)

    @property
    def is_waiting(self) -> bool:
        """Is there something that the next message may let it do, besides what time alone does?"""
        state = self._state
        return bool(self._unvoted or state.elections.held or state.emergencies.has_held)

    def _stamp(self, step: Step) -> tuple[object, ...]:
        """What duties depend on, within one step."""
        state = self._state
        known = state.governance.changes + state.court.changes
        return state.state, known, state.round.is_open, len(step.events), len(step.said)

    def _notice_fresh(self, step: Step) -> None:
        """Proposals that have come in, whichever way."""
        state = self._state
        fresh = state.governance.take_fresh()
        self._unvoted |= fresh | state.governance.take_moved()
        for proposal_id in sorted(fresh):
            item = state.governance.items.get(proposal_id)
            if item is not None and isinstance(item.change, Invite):
                state.requests.proposed(item.change, step.now)

    def caught_up(self, now: Instant) -> None:
        """A commit that others had settled was merged: there may be more, so ask once more in a moment."""
        state = self._state
        after = lot(state.state.head, state.own, len(state.roster.seats))  # all may have been behind
        self._return_at, self._returns = Instant(now + bounds.REPEAT_EVERY + after), 1

    def came_back(self, now: Instant) -> None:
        """After a restart, or new in the group: ask a few more in a while, since whoever was asked may be away."""
        state = self._state
        after = lot(state.state.head, state.own, len(state.roster.seats), RETURNS_WITHIN)  # many may have come at once
        self._return_at, self._returns = Instant(now + bounds.REPEAT_EVERY + after), RETURNS

    def deadline(self, now: Instant) -> Instant | None:
        """When something is due by time alone."""
        state = self._state
        after = state.charter.policy.dormant_after
        times = [state.requests.deadline(), self._election_at(), self._gossip_at, self._awake_at(), self._return_at]
        times += [self._must_speak_at(), self._emergency_at(), self._thawed_at(now)]
        times += [self.refreshing.deadline(), state.announcing.deadline(), state.certifying.deadline()]
        for proposal_id in self._unvoted:
            item = state.governance.items.get(proposal_id)
            if item is not None and isinstance(item.change, Dormant | Emergency):
                times.append(self._grace_end(item))
            times.append(self._votes_from(item) if item is not None else None)
        if after:  # a settings vote may have made it shorter
            latest = Instant(now + after // bounds.HEARD_GRAIN)
            self._look_at = latest if self._look_at is None else min(self._look_at, latest)
        times.append(self._look_at)
        return min((time for time in times if time is not None and time > now), default=None)

    def _rank(self) -> int | None:
        """Own place in the order of leaders; None for whoever does not count."""
        state = self._state.state
        if self._ranked is None or self._ranked[0] is not state:
            is_counted = self._state.own in state.roster.counted
            self._ranked = state, state.leaders.index(self._state.own) if is_counted else None
        return self._ranked[1]

    def _turn(self, since: int) -> Instant | None:
        """When it is the own turn to open what has been due since then."""
        rank = self._rank()
        return None if rank is None else Instant(since + rank * bounds.TAKEOVER_AFTER)

    def _thawed_at(self, now: Instant) -> Instant:
        """When the own node opens again what is due: during a freeze everybody's turn has come, so it comes anew."""
        lifted = self._state.emergencies.lifted_at(now)
        return (self._turn(lifted) if lifted else None) or lifted

    # --- Requests to join ---------------------------------------------------------------------------------------

    def _open_requests(self, step: Step) -> None:
        """Put requests to the vote whose turn it is for the own member; it votes itself only when its person does."""
        state = self._state
        for request_id, request in state.requests.due(step.now):
            if not state.governance.has_room(state.own):
                state.requests.postpone(request_id, step.now)
                continue
            state.requests.drop(request_id)
            change = Invite(request.key_package, request.issuer, request.token)
            try:
                check_change(change, state, step.now)
            except RequestRefused as problem:
                step.refuse(Reason.STALE, f"a request to join that came to nothing: {problem}")
                continue
            open_proposal(change, state, step)

    # --- Elections ----------------------------------------------------------------------------------------------

    def _election_at(self) -> Instant | None:
        state = self._state
        due = state.elections.next_round(state.state, state.charter.policy)
        return None if due is None else self._turn(max(due[1], state.settled_at))

    def _open_election(self, step: Step) -> None:
        """The list is used up: propose the next one, in turn (LIP-104 §Consensus types, steward election)."""
        at = self._election_at()
        if at is None or step.now < at:
            return
        state = self._state
        due = state.elections.next_round(state.state, state.charter.policy)
        election = state.elections.propose(state.state, due[0]) if due is not None else None
        if election is not None and state.governance.has_room(state.own):
            open_proposal(election, state, step)

    def _retry_held(self, step: Step) -> None:
        """Elections and emergencies that could not be judged may be, now that more is known."""
        state = self._state
        known = state.governance.changes + state.court.changes
        if known != self._held:
            self._held = known
            for proposal in (*state.elections.release(), *state.emergencies.release_unconfirmed()):
                state.receive_proposal(proposal, step)

    # --- Emergencies --------------------------------------------------------------------------------------------

    def _open_emergencies(self, step: Step) -> None:
        """A member has fallen to the threshold, and that can be proven: accuse it, in turn."""
        state = self._state
        scoring = state.charter.policy.scoring
        cases = dict(state.emergencies.accused(state.state, state.own, scoring))
        self._accused = {member: self._accused.get(member, step.now) for member in cases}
        for member, proofs in cases.items():
            at = self._turn(self._accused[member])
            if at is None or step.now < at or state.emergencies.is_accused(member):
                continue
            if state.governance.has_room(state.own):
                open_proposal(Emergency(Violation.SCORE_BELOW_THRESHOLD, member, proofs, ()), state, step)

    def _emergency_at(self) -> Instant | None:
        is_accused = self._state.emergencies.is_accused
        times = [self._turn(since) for member, since in self._accused.items() if not is_accused(member)]
        return min((time for time in times if time is not None), default=None)

    def _thaw(self, step: Step) -> None:
        """Open what has waited for an emergency."""
        state = self._state
        for proposal in state.emergencies.refresh(step):
            item = state.receive_proposal(proposal, step)
            if item is not None and proposal.owner == state.own:
                step.say(proposal)
                is_wish = isinstance(item.change, Invite | Remove | Settings)
                if is_wish and item.status is ProposalStatus.OPEN and state.own in item.tally.voters:
                    cast_vote(item, True, state, step)

    def _open_lapsed(self, step: Step) -> None:
        """Put the own wishes anew that were opened where the others had been long before."""
        state = self._state
        for lapsed in state.governance.take_lapsed():
            if lapsed.proposal.owner != state.own or not isinstance(lapsed.change, Invite | Remove | Settings):
                continue
            try:
                check_change(lapsed.change, state, step.now)
            except RequestRefused as problem:
                step.refuse(Reason.STALE, f"a wish of the own that came to nothing: {problem}")
                continue
            item = open_proposal(lapsed.change, state, step)
            if item is not None and item.status is ProposalStatus.OPEN and state.governance.vote_of(lapsed, state.own):
                cast_vote(item, True, state, step)

    # --- Dormancy -----------------------------------------------------------------------------------------------

    def _open_dormant(self, step: Step) -> None:
        state = self._state
        after = state.charter.policy.dormant_after
        self._look_at = Instant(step.now + after // bounds.HEARD_GRAIN) if after else None
        for member in state.presence.silent(state.roster, state.own, step.now, after):
            heard = state.presence.heard_at(member)
            at = self._turn((heard or step.now) + after)
            if at is not None and step.now < at:
                self._look_at = min(at, self._look_at or at)
                return
            if at is not None and not self._is_in_flight("dormant") and state.governance.has_room(state.own):
                open_proposal(Dormant(member), state, step)
                return

    def _say_here(self, step: Step) -> None:
        """Before anybody could take the own silence for absence, and at once if somebody does."""
        state = self._state
        after = state.charter.policy.dormant_after
        at = self._must_speak_at()
        if at is not None and step.now >= at:
            self._ask(step)
            state.presence.note(state.own, state.roster, step.now, after)
        for proposal_id in self._unvoted:
            item = state.governance.items.get(proposal_id)
            is_mine = item is not None and isinstance(item.change, Dormant) and item.change.member_id == state.own
            if is_mine and proposal_id not in self._answered:
                self._answered.add(proposal_id)
                self._ask(step)

    def _must_speak_at(self) -> Instant | None:
        """When the own node says that it is there; not all of a large group that fell silent together at once."""
        state = self._state
        after = state.charter.policy.dormant_after
        at = state.presence.must_speak_at(state.own, after)
        if at is None:
            return None
        return Instant(at + lot(state.state.head, state.own, len(state.roster.seats), after // 4))

    def _awake_at(self) -> Instant | None:
        times = [self._awake_due(member, heard) for member, heard in self._state.presence.returned.items()]
        return min((time for time in times if time is not None), default=None)

    def _open_awake(self, step: Step) -> None:
        state = self._state
        for member, heard in sorted(state.presence.returned.items()):
            at = self._awake_due(member, heard)
            if at is not None and step.now >= at and state.governance.has_room(state.own):
                open_proposal(Awake(member), state, step)

    def _awake_due(self, member: Address, heard: Instant) -> Instant | None:
        """When it is the own turn to propose that it counts again; None while that is being decided."""
        asked = [i for i in self._state.governance.items.values() if i.effect == ("awake", bytes(member))]
        if any(item.status in (ProposalStatus.OPEN, ProposalStatus.APPROVED) for item in asked):
            return None
        again = max((item.ended_at + AWAKE_AGAIN for item in asked if item.ended_at is not None), default=0)
        return self._turn(max(heard, again))

    def _is_in_flight(self, kind: str) -> bool:
        return any(item.effect[0] == kind for item in self._state.governance.in_flight())

    # --- Voting where there is nothing to choose ----------------------------------------------------------------

    def _vote(self, proposal_id: ProposalId, step: Step) -> None:
        state = self._state
        item = state.governance.items.get(proposal_id)
        is_open = item is not None and item.status is ProposalStatus.OPEN and state.own in item.tally.voters
        is_open = is_open and item is not None and state.may_sign(item)
        if item is None or not is_open or state.governance.vote_of(item, state.own) is not None:
            self._unvoted.discard(proposal_id)
            return
        if step.now < self._votes_from(item):
            return
        opinion = self._opinion(item, step.now)
        if opinion is not None:
            self._unvoted.discard(proposal_id)
            cast_vote(item, opinion, state, step)
        elif not isinstance(item.change, StewardElection | Dormant | Awake | Emergency):
            self._unvoted.discard(proposal_id)

    def _opinion(self, item: Item, now: Instant) -> bool | None:
        """The own node's vote; None if it is the person's to decide, or cannot be told yet."""
        state = self._state
        match item.change:
            case StewardElection() as election:
                return state.elections.opinion(election, state.state)
            case Dormant(member_id=member):
                opinion = state.presence.opinion_dormant(Address(member), now, state.charter.policy.dormant_after)
                return None if opinion and now < self._grace_end(item) else opinion
            case Awake(member_id=member):
                return True if member in state.presence.returned or member == state.own else None
            case Emergency() as emergency:
                is_mine = emergency.target_member_id == state.own
                if is_mine or now < self._grace_end(item):
                    return None
                return state.emergencies.is_confirmed(emergency) or None
            case Invite():
                founders = {founder for before in state.charter.predecessor for founder in before.founders}
                is_agreed = item.subject in founders and item.subject not in state.former.names
                return True if is_agreed else self._said_as_steward(item)
            case _:
                return self._said_as_steward(item)

    def _said_as_steward(self, item: Item) -> bool | None:
        """What the own person has said as a steward, when all members are asked the same: it need not say it again."""
        return item.ballots[0].vote_of(self._state.own) if item.place else None

    def _votes_from(self, item: Item) -> Instant:
        """When the own node may say what it votes by itself: in large groups not all at once, each by its lot."""
        return Instant((item.ballots[0].deadline if item.place else item.first_seen) + self._lot(item))

    def _grace_end(self, item: Item) -> Instant:
        """So long a member that is called dormant has to say that it is there, before nodes vote YES.

        And so long people have to vote themselves, before their nodes vote YES on an emergency that they confirm.
        """
        return Instant(item.first_seen + item.proposal.duration // 2 + self._lot(item))

    def _lot(self, item: Item) -> int:
        return lot(item.proposal_id, self._state.own, item.tally.n, item.proposal.duration // 4)

    # --- Comparing ----------------------------------------------------------------------------------------------

    def gossip(self, step: Step) -> None:
        """While something is open and no round is, ask a member what is missing, ever more rarely if nothing is.

        What stewards are deciding they compare among themselves, where others need not listen.
        """
        state = self._state
        others = frozenset[Address]() if state.round.is_open else self._compared_with()
        if not others or len(state.roster.seats) < 2:
            self._gossip_at, self._pace = None, Duration(0)
            return
        if self._gossip_at is None or state.governance.changes != self._seen:
            self._pace = Duration(bounds.GOSSIP_FIRST * max(1, len(others) // 16))
            self._schedule(step)
        elif step.now >= self._gossip_at:
            if others is state.roster.addresses:
                self._ask(step)
            else:
                self._ask_steward(others, step)
            self._pace = Duration(min(2 * self._pace, max(bounds.GOSSIP_MOST, self._pace)))
            self._schedule(step)

    def _compared_with(self) -> frozenset[Address]:
        state = self._state
        is_asleep = state.own not in state.roster.counted
        return state.roster.addresses if is_asleep else state.governance.deciding_with(state.own)

    def _schedule(self, step: Step) -> None:
        self._seen = self._state.governance.changes
        jitter = int.from_bytes(self._state.engine.random(2), "big") / 0xFFFF
        self._gossip_at = Instant(step.now + int(self._pace * (1 + jitter)))
