"""Who is bad, by which strategies, and when? The bad members of a world, at most f of any epoch.

A bad member runs an honest core with its real leaf key. What it says is opened on its way out, and the first strategy
that is concerned decides what goes out instead, to whom and when; others answer what it hears, or speak unprompted, at
times drawn from the seed. Whoever was cast beyond f behaves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from demls.protocol.channel import seal
from demls.protocol.effects import Effects, Outbound
from demls.protocol.events import Faulted, Misbehaved
from demls.protocol.evidence import proof_id
from demls.simulation.adversaries import accusations, candidates, forgeries, rounds, seats
from demls.simulation.adversaries.mind import PROOFS_MAX, Gang, Mind, Parcel
from demls.simulation.network import Envelope
from demls.simulation.nodes import Node
from demls.simulation.traffic import is_offer, open_body, payload_of
from demls.simulation.world import Watcher, World
from demls.wire.ids import Address, ProposalId
from demls.wire.messages import Payload, PrivateMessage


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way of acting badly; None: it does not do this.

    ``replaces``: what goes out in place of what the own node says, None if it does not care; ``welcomes``: in place of
    what it says to newcomers; ``answers``: what it says to an offer that it hears; ``speaks``: what it says unprompted.
    """

    replaces: Callable[[Mind, Payload], list[Parcel] | None] | None = None
    welcomes: Callable[[Mind, Outbound], list[Parcel]] | None = None
    answers: Callable[[Mind, Payload], list[Parcel] | None] | None = None
    speaks: Callable[[Mind], list[Parcel]] | None = None


STRATEGIES: dict[str, Strategy] = {
    "silent": Strategy(replaces=rounds.silent, welcomes=forgeries.no_welcome),
    "equivocating leader": Strategy(replaces=rounds.equivocate),
    "double signing": Strategy(replaces=rounds.sign_twice),
    "withholding": Strategy(replaces=rounds.withhold),
    "voting both ways": Strategy(replaces=rounds.vote_both_ways),
    "late votes": Strategy(replaces=rounds.vote_late),
    "refusing to ack": Strategy(replaces=rounds.refuse),
    "acking nil": Strategy(replaces=rounds.ack_nil),
    "false history": Strategy(replaces=rounds.falsify),
    "re-wrapped offers": Strategy(answers=rounds.rewrap),
    "faulty candidates": Strategy(replaces=candidates.offer_faulty),
    "stuffed offers": Strategy(replaces=forgeries.stuff),
    "false accusations": Strategy(speaks=accusations.accuse_falsely),
    "framing": Strategy(speaks=accusations.frame),
    "bogus deadlocks": Strategy(speaks=accusations.declare_deadlock),
    "true accusations": Strategy(speaks=accusations.accuse_truly),
    "endless emergencies": Strategy(speaks=accusations.keep_frozen),
    "old accusations": Strategy(speaks=accusations.accuse_again),
    "false votes": Strategy(speaks=accusations.vote_falsely),
    "forged names": Strategy(speaks=forgeries.forge),
    "replays": Strategy(speaks=forgeries.replay),
    "garbage": Strategy(speaks=forgeries.litter),
    "false questions": Strategy(speaks=forgeries.ask_falsely),
    "misled newcomers": Strategy(speaks=forgeries.mislead_newcomers),
    "useless welcomes": Strategy(welcomes=forgeries.useless_welcome),
    "proposal spam": Strategy(speaks=forgeries.spam),
    "bogus elections": Strategy(speaks=forgeries.elect_falsely),
    "false seats": Strategy(speaks=seats.ask_for_seats),
}

_MIXTURES: tuple[tuple[str, ...], ...] = (
    ("silent",),
    ("equivocating leader", "double signing", "voting both ways"),
    ("equivocating leader", "withholding", "forged names"),
    ("double signing", "false history", "false votes"),
    ("withholding", "late votes"),
    ("voting both ways", "refusing to ack"),
    ("voting both ways", "acking nil", "equivocating leader"),
    ("false history", "double signing", "equivocating leader", "replays"),
    ("faulty candidates", "false accusations", "false votes"),
    ("faulty candidates", "framing", "forged names"),
    ("endless emergencies", "old accusations", "proposal spam"),
    ("true accusations", "double signing", "false votes"),
    ("false seats", "replays", "withholding"),
)
_DRAWN_SHARE = 0.5
_DRAWN = 5
"""A mixture that is drawn has up to so many strategies."""
_PAUSES = (3_000, 8_000, 20_000)
_CALM_PAUSE = 240_000
"""Mean times between two unprompted acts, in ms; after ``rest`` there are none."""
_CROWD = 6
"""In larger groups each speaks more rarely."""


class Sabotage(Watcher):
    """All bad members of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.acts: Counter[str] = Counter()
        self.is_on = False
        self.is_resting = False
        self.is_slow = False
        dice = world.dice("adversaries")
        cast = dice.sample(list(world.nodes.values())[: world.scenario.members], world.scenario.adversaries)
        self.gang = Gang(may_act=self.may_act)
        for node in cast:
            names = dice.choice(_MIXTURES)
            if dice.random() < _DRAWN_SHARE:
                names = tuple(dice.sample(sorted(STRATEGIES.keys() - {"silent"}), dice.randint(2, _DRAWN)))
            self.gang.minds[node.name] = Mind(world, node, names, self.gang)
            node.is_adversary = True
        if cast:
            world.sabotage = self.replace
            world.is_bad = self.may_act

    @property
    def minds(self) -> dict[str, Mind]:
        return self.gang.minds

    @property
    def counts_as_yes(self) -> set[tuple[ProposalId, Address]]:
        """Who has signed a yes and a no, or a yes of which its node knows nothing: that counts as a yes."""
        return self.gang.counts_as_yes

    def start(self) -> None:
        self.is_on = True
        for mind in self.minds.values():
            if any(STRATEGIES[name].speaks is not None for name in mind.names):
                crowd = max(1.0, self.world.scenario.members / _CROWD)
                self._speak_later(mind, int(mind.dice.choice(_PAUSES) * crowd))

    def rest(self) -> None:
        """Nothing new is begun by bad members; what they say otherwise they still change."""
        self.is_resting = True

    def may_act(self, node: Node) -> bool:
        """Is it one of the first f of those cast who are in its epoch?"""
        state = node.state
        if not self.is_on or state is None:
            return False
        bad = [name for name, mind in self.minds.items() if mind.node.address in state.roster.addresses]
        return node.name in bad[: state.committee.f]

    # --- What its node says -------------------------------------------------------------------------------------

    def replace(self, node: Node, outbound: Outbound, payload: Payload | None) -> bool:
        """Send what the strategies say instead. Says whether one of them was concerned.

        ``payload``: None if it is for newcomers, and so not opened.
        """
        if isinstance(payload, PrivateMessage) or not self.may_act(node):
            return False
        mind = self.minds[node.name]
        for name in mind.names:
            strategy = STRATEGIES[name]
            if payload is None:
                parcels = strategy.welcomes(mind, outbound) if strategy.welcomes is not None else None
            else:
                parcels = strategy.replaces(mind, payload) if strategy.replaces is not None else None
            if parcels is not None:
                self.acts[name] += 1
                for parcel in parcels:
                    self._send(mind, parcel, name, outbound)
                return True
        return False

    # --- What it hears ------------------------------------------------------------------------------------------

    def stepped(self, node: Node, effects: Effects, cause: Envelope | None) -> None:
        mind = self.minds.get(node.name)
        for event in effects.events:
            if isinstance(event, Faulted | Misbehaved) and mind is not None:
                self.gang.proofs[proof_id(event.proof)] = event.member, event.proof
                while len(self.gang.proofs) > PROOFS_MAX:
                    del self.gang.proofs[next(iter(self.gang.proofs))]
        if mind is not None and cause is not None:
            self._hear(mind, node, cause)

    def idled(self, node: Node, cause: Envelope | None) -> None:
        mind = self.minds.get(node.name)
        if mind is not None and cause is not None:
            self._hear(mind, node, cause)

    def _hear(self, mind: Mind, node: Node, cause: Envelope) -> None:
        mind.heard.append(cause)
        answering = [name for name in mind.names if STRATEGIES[name].answers is not None]
        if not answering or not mind.is_acting:
            return
        channel = node.channels.get(cause.topic)
        body = open_body(channel, cause.payload, node.engine) if channel is not None else None
        payload = payload_of(body) if body is not None and is_offer(body) else None
        for name in answering if payload is not None else ():
            act = STRATEGIES[name].answers
            assert act is not None
            assert payload is not None
            self._say(mind, act(mind, payload) or [], name)

    # --- What it says unprompted --------------------------------------------------------------------------------

    def _speak_later(self, mind: Mind, mean: int) -> None:
        def speak() -> None:
            if self.is_resting:
                return
            if mind.is_acting:
                name = mind.dice.choice([name for name in mind.names if STRATEGIES[name].speaks is not None])
                act = STRATEGIES[name].speaks
                assert act is not None
                self._say(mind, act(mind), name)
            self._speak_later(mind, mean)

        pause = int(mind.dice.expovariate(1 / (_CALM_PAUSE if self.is_slow else mean))) + 200
        self.world.clock.after(pause, speak)

    def _say(self, mind: Mind, parcels: list[Parcel], name: str) -> None:
        self.acts[name] += bool(parcels)
        for parcel in parcels:
            self._send(mind, parcel, name, None)

    def _send(self, mind: Mind, parcel: Parcel, name: str, outbound: Outbound | None) -> None:
        """By default where the node spoke, or on the present channel of the group."""
        world, node, content = self.world, mind.node, parcel.payload
        channel = parcel.channel or (node.channels.get(outbound.topic) if outbound is not None else None)
        channel = channel or mind.state.channel
        if isinstance(content, Envelope):
            topic, sealed = content.topic, content.payload
        elif isinstance(content, bytes):
            topic, sealed = channel.topic, content
        else:
            topic, sealed = channel.topic, seal(channel, content, node.engine)
        if parcel.only is not None or parcel.delay:
            to = f" to {' '.join(sorted(parcel.only))}" if parcel.only is not None else ""
            later = f" in {parcel.delay / 1000:.1f} s" if parcel.delay else ""
            for watcher in world.watchers:
                watcher.noted(node.name, f"({name}) sends {type(content).__name__.lower()}{to}{later}")
        if parcel.delay:
            world.clock.after(parcel.delay, lambda: world.network.publish(node.name, topic, sealed, parcel.only))
        else:
            world.network.publish(node.name, topic, sealed, parcel.only)
