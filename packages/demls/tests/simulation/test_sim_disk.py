"""The simulated disk: the model of the store's contract and the real store, on files that are torn, say the same."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from demls.protocol.effects import Change, Effects, Outbound
from demls.simulation.clock import START, Hand
from demls.simulation.disk import Kept, StoreDisk, applied, torn
from demls.simulation.run import simulate
from demls.simulation.world import World
from demls.wire.ids import Topic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KEYS = [b"a", b"b", b"c/1", b"c/2"]
LARGE = random.Random(1).randbytes(40_000)
values = st.one_of(
    st.none(),
    st.binary(max_size=9_000),
    st.builds(lambda at, put_in: LARGE[:at] + put_in + LARGE[at:], st.integers(0, len(LARGE)), st.binary(max_size=9)),
)
"""Of a large one the most part is what it was before, so that only pieces of it are written."""
SHARES = (0.0, 0.1, 0.5, 0.9, 0.999)
changes = st.lists(
    st.builds(Change, st.sampled_from(KEYS), values),
    max_size=4,
    unique_by=lambda c: c.key,
)
outbound = st.lists(st.builds(Outbound, st.just(Topic(bytes(32))), st.binary(max_size=300)), max_size=3)
writes = st.builds(lambda c, o: Effects(tuple(c), tuple(o)), changes, outbound)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), writes),
        st.tuples(st.just("anew"), writes),
        st.tuples(st.just("published"), st.integers(0, 3)),
        st.tuples(st.just("die"), st.none()),
        st.tuples(st.just("die writing"), st.tuples(writes, st.sampled_from(SHARES))),
    ),
    max_size=12,
)


@pytest.fixture
def disk() -> Iterator[StoreDisk]:
    made = StoreDisk()
    yield made
    made.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_the_store_reads_what_the_model_says(told: list[tuple[str, object]]) -> None:
    """Whatever is written, and wherever it dies; what was acknowledged is there, what was not is not."""
    disk, kept = StoreDisk(), Kept({}, ())
    try:
        for what, about in told:
            match what, about:
                case "write" | "anew", Effects() as effects:
                    if what == "anew":
                        disk.begin_anew()
                    disk.write(effects)
                    kept = applied(kept, effects.changes, effects.outbound, is_new=what == "anew")
                case "published", int() as count:
                    disk.published(count)
                    kept = Kept(kept.records, kept.outbox[count:])
                case "die", _:
                    disk.die()
                case "die writing", (Effects() as effects, float() as share):
                    disk.die(effects, share)
            assert disk.kept() == kept
    finally:
        disk.close()


def test_a_write_that_reached_the_disk_whole_is_there(disk: StoreDisk) -> None:
    """So the test above does not pass because torn files never hold anything."""
    effects = Effects((Change(b"a", bytes(5_000)),), ())
    disk.die(effects, 1.0)
    assert disk.kept().records == {b"a": bytes(5_000)}


def test_records_of_a_group_are_torn_in_pieces(disk: StoreDisk) -> None:
    """Groups are small here, and yet the store keeps some of their records in pieces."""
    disk.write(Effects((Change(b"a", LARGE[:5_000]),), ()))
    assert disk._store._rows("SELECT COUNT(*) > 1 FROM pieces") == [(1,)]
    disk.die(Effects((Change(b"a", LARGE[:6_000]),), ()), 0.9)
    assert disk.kept().records == {b"a": LARGE[:5_000]}


def test_only_what_a_write_changed_is_torn() -> None:
    assert torn(b"oldold", b"oldnew+more", 0.0) == b"oldold"
    assert torn(b"oldold", b"oldnew+more", 0.5) == b"oldnew+"
    assert torn(b"oldold", b"oldnew+more", 1.0) == b"oldnew+more"
    assert torn(b"", b"abcd", 0.5) == b"ab"


def test_a_backup_knows_that_it_is_one(disk: StoreDisk) -> None:
    disk.write(Effects((Change(b"a", b"1"),), ()))
    backup = disk.back_up()
    disk.write(Effects((Change(b"a", b"2"),), ()))
    assert disk.restore(backup)
    assert disk.kept().records == {b"a": b"1"}


def test_a_group_lives_on_real_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds that are multiples of twenty use the real store; every death compares it with the model."""
    compared = []
    restart = World.restart

    def count(self: World, node: object, life: int) -> None:
        compared.append(life)
        restart(self, node, life)  # type: ignore[arg-type]

    monkeypatch.setattr(World, "restart", count)
    outcome = simulate(400, members=3, engine="model")
    assert (outcome.promise, outcome.detail) == ("", "")
    assert compared


def test_a_disk_that_forgets_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    write = StoreDisk.write

    def forget(self: StoreDisk, effects: Effects) -> None:
        write(self, Effects(effects.changes[:-1], effects.outbound))

    monkeypatch.setattr(StoreDisk, "write", forget)
    outcome = simulate(400, members=3, engine="model")
    assert outcome.promise == "P5"
    assert "disk holds something else" in outcome.detail


@given(st.integers(-60_000, 60_000), st.integers(-30_000, 30_000), st.integers(0, 10_000_000))
def test_a_clock_goes_forward_and_can_be_asked_when(offset: int, drift: int, passed: int) -> None:
    hand, now = Hand(offset, drift), START + passed
    shown = hand.read(now)
    assert hand.read(now + 1) >= shown
    assert abs(shown - now) <= abs(offset) + abs(drift)
    when = hand.when(shown)
    assert hand.read(when) >= shown
    assert hand.read(when - 1) < shown or hand.read(when - 1) == shown
