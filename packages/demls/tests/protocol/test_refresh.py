"""New keys for a member's leaf: asked for by its owner alone, committed with other work or by itself."""

from __future__ import annotations

from demls.protocol.views import MemberView
from world import World


def member(world: World, reader: str, name: str) -> MemberView:
    """What ``reader`` is shown of somebody."""
    address = world.person(name).address
    return next(view for view in world.person(reader).group.members() if view.address == address)


def epochs(world: World) -> set[int]:
    return {person.group.view(world.now).epoch for person in world.members()}


def assert_together(world: World) -> None:
    views = [person.group.view(world.now) for person in world.members()]
    assert len({(view.epoch, view.authenticator) for view in views}) == 1
    ages = {tuple((m.address, m.keys_epoch, m.keys_at) for m in p.group.members()) for p in world.members()}
    assert len(ages) == 1


def ask(world: World, name: str) -> None:
    world.do(name, lambda group: group.refresh_keys(world.now))


def test_a_member_asks_and_has_new_keys_with_the_next_commit() -> None:
    world = World()
    world.group_of("alice", "bob", "carol")
    world.run(60_000)
    (epoch,) = epochs(world)
    for name in ("carol", "alice", "bob"):
        ask(world, name)
        world.run(30_000)
        epoch += 1
        assert epochs(world) == {epoch}
        assert_together(world)
        assert {member(world, reader, name).keys_epoch for reader in ("alice", "bob", "carol")} == {epoch}
