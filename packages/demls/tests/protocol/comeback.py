"""How people come back: with a restored backup, after a lost state, or because they were too far behind."""

from __future__ import annotations

from collections.abc import Callable

from demls.protocol.channel import channel_of, seal
from demls.protocol.group import Group
from demls.protocol.records import Ledger
from demls.protocol.returning import Returning
from demls.wire.messages import Proposal, ResyncReason, decode_message
from demls_consensus import wallet_sign
from world import Person, World


def wallet_of(person: Person) -> Callable[[str], bytes]:
    return lambda sentence: wallet_sign(person.wallet, sentence.encode())


def rejoin(world: World, name: str, reason: ResyncReason = ResyncReason.WISH) -> None:
    """The person asks for a new seat."""
    sign = wallet_of(world.person(name))
    world.do(name, lambda group: group.rejoin(sign, reason, world.now))


def restore(
    world: World, name: str, backup: dict[bytes, bytes], reason: ResyncReason = ResyncReason.RESTORED_BACKUP
) -> None:
    """The node begins again with what it had stored once."""
    person = world.person(name)
    person.machine, effects = Group.restored(
        dict(backup), sign=wallet_of(person), reason=reason, engine=person.engine, now=world.now
    )
    person.records, person.read, person.held = {}, {}, []
    world.apply(person, effects)


def lose_state(world: World, name: str) -> None:
    """Nothing is left but who one is in which group: the leaf's key, and the wallet."""
    restore(world, name, {b"group": world.person(name).records[b"group"]}, ResyncReason.LOST_STATE)


def request_of(world: World, name: str, records: dict[bytes, bytes] | None = None) -> Proposal:
    """A request that this member signs and does not say; its node goes on as if nothing were."""
    person = world.person(name)
    kept = {key: value for key, value in (records or person.records).items() if not key.startswith(b"mls/")}
    returning, _ = Returning.begin(
        Ledger(kept), sign=wallet_of(person), reason=ResyncReason.WISH, engine=person.engine, now=world.now
    )
    return decode_message(returning.record.request, Proposal)


def say_at_the_rendezvous(world: World, proposal: Proposal, sender: str = "insider") -> None:
    """As anybody who knows the rendezvous can."""
    somebody = next(person for person in world.people.values() if person.is_member)
    channel = channel_of(somebody.group._live().charter.rendezvous)
    world.publish(channel.topic, seal(channel, proposal, somebody.engine), sender)
    world.deliver()
