"""A member that cannot be brought back by answers comes back with a new leaf, and without a vote."""

from __future__ import annotations

from demls.protocol.events import Returned, Settled
from demls.protocol.group import Group
from demls.protocol.views import GroupStatus
from demls.wire.messages import ResyncReason
from demls_consensus import wallet_sign
from world import Person, World


def wallet_of(person: Person):  # type: ignore[no-untyped-def]
    return lambda sentence: wallet_sign(person.wallet, sentence.encode())


def rejoin(world: World, name: str, reason: ResyncReason = ResyncReason.WISH) -> None:
    person = world.person(name)
    world.do(name, lambda group: group.rejoin(wallet_of(person), reason, world.now))


def restore(world: World, name: str, backup: dict[bytes, bytes]) -> None:
    """The node begins again with what it had stored once."""
    person = world.person(name)
    person.machine, effects = Group.restored(
        backup, sign=wallet_of(person), reason=ResyncReason.RESTORED_BACKUP, engine=person.engine, now=world.now
    )
    person.records, person.read, person.held = {}, {}, []
    world.apply(person, effects)


def seat(world: World, name: str, of: str):  # type: ignore[no-untyped-def]
    found = world.person(name).group._live().roster.seat(world.person(of).address)
    assert found is not None
    return found


def test_a_member_comes_back_with_a_new_leaf_and_without_a_vote() -> None:
    world = World()
    world.group_of("ann", "ben", "cem", "dia")
    before = seat(world, "ann", "dia")
    epoch = world.person("ann").group.view(world.now).epoch
    rejoin(world, "dia")
    assert world.person("dia").group.status is GroupStatus.RETURNING
    world.run(20_000)
    assert world.person("dia").group.status is GroupStatus.MEMBER
    after = seat(world, "ann", "dia")
    assert after.leaf_key != before.leaf_key
    assert after.since == before.since
    assert world.person("dia").group.view(world.now).epoch == epoch + 1
    (settled,) = [event for event in world.person("ann").told(Settled) if event.epoch == epoch + 1]
    assert (settled.joined, settled.left, settled.reseated) == ((), (), (world.person("dia").address,))
    (returned,) = world.person("dia").told(Returned)
    assert returned.is_vouched
    authenticators = {person.group.view(world.now).authenticator for person in world.members()}
    assert len(authenticators) == 1
    world.do("dia", lambda group: group.send("here again", world.now))
    world.do("ann", lambda group: group.send("hello", world.now))
    world.deliver()
    assert "here again" in world.person("ben").heard()
    assert "hello" in world.person("dia").heard()
