"""The model engine and the real one tell the same stories."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from demls.protocol.policy import PRESETS
from demls.protocol.views import GroupStatus
from demls.simulation.model_engine import ModelEngine
from demls.simulation.model_views import SignatureKey
from demls.wire.messages import Remove
from demls_engine import Engine as RealEngine
from hypothesis import given, settings
from hypothesis import strategies as st
from scripts_of_groups import Play, Step
from transcript import Story
from world import World

TRANSCRIPTS = sorted((Path(__file__).parents[1] / "protocol" / "transcripts").glob("*.txt"))

STEPS: st.SearchStrategy[Step] = st.tuples(
    st.integers(0, 11), st.integers(0, 4), st.integers(0, 127), st.integers(0, 511)
)
ALL_JOIN: Step = (0, 0, 0b11110, 0)


def model(seed: bytes) -> RealEngine:
    return cast(RealEngine, ModelEngine(seed))


@settings(derandomize=True, deadline=None, database=None, max_examples=80)
@given(st.lists(STEPS, max_size=40))
def test_any_script_is_played_and_refused_alike(script: list[Step]) -> None:
    steps = [ALL_JOIN, *script]
    assert Play(model).run(steps) == Play(RealEngine).run(steps)


@settings(derandomize=True, deadline=None, database=None, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from((0, 2, 4, 4, 5, 6, 6, 8)), *([st.integers(0, 11)] * 3)), max_size=60))
def test_messages_in_any_order_are_read_and_refused_alike(script: list[Step]) -> None:
    steps = [ALL_JOIN, *((what, who, one if what else 0, other if what else 0) for what, who, one, other in script)]
    assert Play(model).run(steps) == Play(RealEngine).run(steps)


def lived(world: World) -> World:
    """A founder admits three people, they talk, one is removed by vote, and the others talk on."""
    world.found("alice", PRESETS["quick"])
    world.admit("alice", "bob")
    world.admit("bob", "carol", "dave")
    for name in ("alice", "dave"):
        world.do(name, lambda group, name=name: group.send(f"hello from {name}", world.now))  # type: ignore[misc]
        world.deliver()
    for name in list(world.people):
        world.restart(name)
    dave = world.person("dave").address
    world.do("alice", lambda group: group.propose(Remove(dave), world.now))
    world.deliver()
    world.vote_on_everything("bob", "carol")
    world.run(60_000)
    world.do("carol", lambda group: group.send("without dave", world.now))
    world.deliver()
    return world


def ends(world: World) -> list[object]:
    found: list[object] = []
    for person in world.people.values():
        view = person.group.view(world.now)
        names = sorted(world.name_of(member.address) for member in person.group.members())
        found.append((person.name, view.status, view.epoch, names, person.heard()))
    return found


def test_the_core_lives_the_same_life_on_both_engines() -> None:
    on_model, on_real = ends(lived(World(seed=1, engine=ModelEngine))), ends(lived(World(seed=1)))
    assert on_model == on_real
    statuses = [entry[1] for entry in on_model if isinstance(entry, tuple)]
    assert statuses.count(GroupStatus.MEMBER) == 3


class SameDice(ModelEngine):
    """The model, with the random numbers of the real engine: a group of one seed has one id, and so the same stewards.

    The stories name them. Who leads after the last steward depends on the bytes of commits: no story names that.
    """

    def __init__(self, seed: bytes) -> None:
        super().__init__(seed)
        self._real = RealEngine(seed)

    def random(self, count: int) -> bytes:
        return self._real.random(count)

    def signature_key(self) -> SignatureKey:
        self._real.signature_key()  # which takes from the same numbers
        return super().signature_key()


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_stories_of_the_core_go_as_told_on_the_model(path: Path) -> None:
    story = Story(path)
    story.world = World(seed=7, engine=SameDice)
    story.run()
