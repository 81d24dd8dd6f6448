"""Large records: only pieces that have changed are written, each is kept once, none is left over."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from demls.protocol.effects import Change
from demls.storage import large as large_records
from demls.storage.errors import DiskFull, StorageError
from demls.storage.pieces import LARGE_BYTES, PIECE_BYTES_MAX
from demls.storage.schema import MIGRATIONS, VERSION_TABLE
from demls.storage.store import Batch, Store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlcipher3 import dbapi2  # type: ignore[import-untyped]

KEY = bytes(range(32))
MEGABYTE = random.Random(1).randbytes(1_000_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "demls.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store.open(path, KEY) as opened:
        yield opened


def put(store: Store, scope: str = "group", /, **records: bytes | None) -> None:
    store.commit(Batch(scope, [Change(key.encode(), value) for key, value in records.items()]))


def pieces(store: Store) -> dict[int, bytes]:
    """What is in the file: row to bytes. Each piece must be named as often as it says, and no other be there."""
    contents = dict(store._rows("SELECT piece, bytes FROM contents"))
    uses = dict(store._rows("SELECT id, uses FROM pieces"))
    named: Counter[int] = Counter()
    for (listed,) in store._rows("SELECT pieces FROM large"):
        named.update(name.row for name in large_records._unpack(listed))
    assert uses == named
    assert uses.keys() == contents.keys()
    return contents


@pytest.mark.parametrize("size", [LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 1, 100_000])
@pytest.mark.parametrize("is_random", [True, False])
def test_a_record_of_any_size_is_there_after_a_restart(path: Path, size: int, is_random: bool) -> None:
    record = random.Random(size).randbytes(size) if is_random else bytes(size)
    with Store.open(path, KEY) as store:
        put(store, a=record, b=b"small")
        assert bool(pieces(store)) == (size > LARGE_BYTES)
        assert store.counts().records == 2
    with Store.open(path, KEY) as store:
        assert list(store.records("group").items()) == [(b"a", record), (b"b", b"small")]
        assert store.scopes() == ["group"]


def test_only_what_has_changed_is_written(store: Store) -> None:
    put(store, tree=MEGABYTE)
    before = pieces(store)
    changed = MEGABYTE[:300_000] + b"a new member" + MEGABYTE[300_000:700_000] + MEGABYTE[700_040:]
    put(store, tree=changed)
    after = pieces(store)
    assert store.records("group") == {b"tree": changed}
    new = after.keys() - before.keys()
    assert 1 <= len(new) <= 8
    assert len(after) - len(before) <= 4
    assert all(after[row] == before[row] for row in after.keys() & before.keys())


def test_an_unchanged_record_changes_no_piece(path: Path) -> None:
    with Store.open(path, KEY) as store:
        put(store, tree=MEGABYTE)
        before = pieces(store)
    with Store.open(path, KEY) as store:  # found in the record's row, nothing is remembered
        put(store, tree=MEGABYTE)
        assert pieces(store) == before


def test_what_several_records_have_in_common_is_kept_once(store: Store) -> None:
    put(store, offer=MEGABYTE)
    alone = len(pieces(store))
    put(store, settled=b"certificate" * 1_000 + MEGABYTE)
    assert len(pieces(store)) <= alone + 6
    put(store, offer=None)
    assert store.records("group") == {b"settled": b"certificate" * 1_000 + MEGABYTE}
    put(store, settled=b"small now")
    assert pieces(store) == {}
    assert store.records("group") == {b"settled": b"small now"}


def test_it_is_kept_once_after_a_restart_too_if_the_records_were_read(path: Path) -> None:
    with Store.open(path, KEY) as store:
        put(store, one=MEGABYTE)
        alone = len(pieces(store))
    with Store.open(path, KEY) as store:
        store.records("group")
        put(store, two=MEGABYTE)
        assert len(pieces(store)) == alone


def test_a_record_may_repeat_itself(store: Store) -> None:
    put(store, zeros=bytes(10 * PIECE_BYTES_MAX))
    assert len(pieces(store)) == 1
    put(store, zeros=bytes(7 * PIECE_BYTES_MAX), more=bytes(3 * PIECE_BYTES_MAX))
    assert len(pieces(store)) == 1
    assert store.records("group") == {b"zeros": bytes(7 * PIECE_BYTES_MAX), b"more": bytes(3 * PIECE_BYTES_MAX)}


def test_scopes_share_nothing(store: Store) -> None:
    put(store, "one", tree=MEGABYTE)
    alone = len(pieces(store))
    put(store, "two", tree=MEGABYTE)
    assert len(pieces(store)) == 2 * alone
    store.commit(Batch("two", drop_scopes=["one"]))
    assert len(pieces(store)) == alone
    assert store.records("one") == {}
    assert store.records("two") == {b"tree": MEGABYTE}
    assert store.scopes() == ["two"]


def test_a_scope_that_is_dropped_and_written_anew_at_once(store: Store) -> None:
    put(store, tree=MEGABYTE, gone=MEGABYTE[:50_000])
    store.commit(Batch("group", [Change(b"tree", MEGABYTE[:500_000])], drop_scopes=["group"]))
    assert store.records("group") == {b"tree": MEGABYTE[:500_000]}
    assert len(b"".join(pieces(store).values())) == 500_000


def test_a_transaction_that_failed_leaves_nothing_to_remember(path: Path) -> None:
    with Store.open(path, KEY, size_bytes_max=600_000) as store:
        put(store, tree=MEGABYTE[:200_000])
        before = pieces(store)
        with pytest.raises(DiskFull):
            put(store, tree=MEGABYTE[100_000:])
        assert pieces(store) == before
        assert store.records("group") == {b"tree": MEGABYTE[:200_000]}
        put(store, tree=MEGABYTE[100_000:250_000])  # of pieces that were written in vain
        pieces(store)
        assert store.records("group") == {b"tree": MEGABYTE[100_000:250_000]}


def test_what_is_remembered_and_gone_is_written_again(path: Path, store: Store) -> None:
    put(store, tree=MEGABYTE)
    with Store.open(path, KEY) as other:
        put(other, tree=None)
        put(other, another=random.Random(2).randbytes(1_000_000))
    put(store, copy=MEGABYTE)
    assert pieces(store)
    assert store.records("group")[b"copy"] == MEGABYTE


def test_what_is_remembered_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_records, "_REMEMBERED_MAX", 100)
    put(store, one=MEGABYTE, two=MEGABYTE)
    assert len(store._large._rows) == 100
    put(store, three=MEGABYTE)  # most of it is kept twice now
    pieces(store)
    put(store, one=None, two=MEGABYTE[:20_000])
    pieces(store)
    assert store.records("group") == {b"two": MEGABYTE[:20_000], b"three": MEGABYTE}


def test_a_missing_piece_is_a_sentence(store: Store) -> None:
    put(store, tree=MEGABYTE)
    store._connection.execute("DELETE FROM contents WHERE piece = 7")
    with pytest.raises(StorageError, match="restore a backup"):
        store.records("group")


def test_a_backup_has_the_pieces(store: Store, tmp_path: Path) -> None:
    put(store, tree=MEGABYTE)
    store.backup(tmp_path / "backup")
    with Store.open(tmp_path / "backup", KEY) as copy:
        assert copy.records("group") == {b"tree": MEGABYTE}


def test_large_records_of_the_second_schema_are_read_whole_and_written_in_pieces(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    connection = dbapi2.connect(str(path), isolation_level=None)
    connection.execute(f"PRAGMA key = \"x'{KEY.hex()}'\"")
    connection.execute(VERSION_TABLE)
    for migration in MIGRATIONS[:2]:
        for statement in migration.statements:
            connection.execute(statement)
        connection.execute("INSERT INTO migrations VALUES (?, ?)", (migration.version, migration.what))
    connection.execute("INSERT INTO scopes VALUES (1, 'group')")
    for key in (b"stays", b"tree"):
        connection.execute("INSERT INTO records VALUES (1, ?, ?)", (key, MEGABYTE))
    connection.execute("INSERT INTO records VALUES (1, ?, ?)", (b"k", b"small"))
    connection.execute("INSERT INTO cursors VALUES (1, ?, ?)", (b"t" * 32, b"c"))
    connection.execute("INSERT INTO outbox (scope, topic, payload) VALUES (1, ?, ?)", (b"t" * 32, b"p"))
    connection.close()
    whole = {b"k": b"small", b"stays": MEGABYTE, b"tree": MEGABYTE}
    with Store.open(path, KEY) as store:
        assert store.records("group") == whole
        assert store.cursors("group") == {b"t" * 32: b"c"}
        assert [entry.payload for entry in store.outbox(10)] == [b"p"]
        assert pieces(store) == {}
        put(store, tree=MEGABYTE + b"more")
        assert pieces(store)
        assert store._rows("SELECT key FROM records ORDER BY key") == [(b"k",), (b"stays",)]
    with Store.open(path, KEY) as store:
        assert store.records("group") == whole | {b"tree": MEGABYTE + b"more"}


def test_nothing_of_a_large_record_is_readable_on_the_disk(path: Path, store: Store) -> None:
    put(store, tree=MEGABYTE)
    for file in path.parent.iterdir():
        content = file.read_bytes()
        assert not any(MEGABYTE[at : at + 16] in content for at in range(0, 1_000_000, 50_000)), file


values = st.one_of(
    st.none(),
    st.binary(max_size=20),
    st.builds(lambda begin, size: MEGABYTE[begin : begin + size], st.integers(0, 30_000), st.integers(0, 60_000)),
)
batches = st.lists(
    st.tuples(
        st.sampled_from(["one", "two"]),
        st.dictionaries(st.sampled_from([b"a", b"b", b"c"]), values),
        st.sets(st.sampled_from(["one", "two"])),
        st.booleans(),
    ),
    max_size=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches)
def test_whatever_is_written_is_read_and_no_piece_is_left_over(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[str, dict[bytes, bytes | None], set[str], bool]]
) -> None:
    path = tmp_path_factory.mktemp("store") / "data" / "demls.sqlite"
    model: dict[str, dict[bytes, bytes]] = {"one": {}, "two": {}}
    store = Store.open(path, KEY)
    try:
        for scope, records, dropped, restarts in told:
            for name in dropped:
                model[name] = {}
            model[scope] |= {key: value for key, value in records.items() if value is not None}
            model[scope] = {key: value for key, value in model[scope].items() if records.get(key, b"") is not None}
            changes = [Change(key, value) for key, value in records.items()]
            store.commit(Batch(scope, changes, drop_scopes=sorted(dropped)))
            if restarts:
                store.close()
                store = Store.open(path, KEY)
            pieces(store)
            assert {name: store.records(name) for name in model} == model
    finally:
        store.close()
