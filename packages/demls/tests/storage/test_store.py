"""The store: batches whole or not at all, encrypted, ordered, across restarts."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest
from demls.protocol.effects import Change, Outbound
from demls.storage.errors import DiskFull, SchemaTooNew, StorageError
from demls.storage.schema import MIGRATIONS, SCHEMA_VERSION, VERSION_TABLE
from demls.storage.store import BACKUP_SETTING, Batch, Store, TimelineRow
from demls.wire.ids import Cursor, Instant, Topic
from sqlcipher3 import dbapi2  # type: ignore[import-untyped]

KEY = bytes(range(32))
ONE = Topic(b"1" * 32)
TWO = Topic(b"2" * 32)
NOW = Instant(1_700_000_000_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "demls.sqlite"


def row(scope: str, body: bytes) -> TimelineRow:
    return TimelineRow(scope, NOW, "message", body)


def full_batch(scope: str = "group") -> Batch:
    return Batch(
        scope,
        changes=[Change(b"a", b"1"), Change(b"b", b"2")],
        outbound=[Outbound(ONE, b"first"), Outbound(TWO, b"second")],
        cursors={ONE: Cursor(b"c1"), TWO: Cursor(b"c2")},
        timeline=[row(scope, b"hello"), row("node", b"news")],
    )


def test_a_batch_is_there_after_a_restart(path: Path) -> None:
    with Store.open(path, KEY) as store:
        committed = store.commit(full_batch())
    with Store.open(path, KEY) as store:
        assert store.scopes() == ["group"]
        assert store.records("group") == {b"a": b"1", b"b": b"2"}
        assert store.cursors("group") == {ONE: b"c1", TWO: b"c2"}
        outbox = store.outbox(10)
        assert [(entry.scope, entry.topic, entry.payload) for entry in outbox] == [
            ("group", ONE, b"first"),
            ("group", TWO, b"second"),
        ]
        assert tuple(entry.id for entry in outbox) == committed.outbox_ids
        timeline = store.timeline_after(0, 10)
        assert [(entry.scope, entry.body) for entry in timeline] == [("group", b"hello"), ("node", b"news")]
        assert tuple(entry.id for entry in timeline) == committed.timeline_ids
        counts = store.counts()
        assert (counts.records, counts.outbox, counts.cursors, counts.timeline) == (2, 2, 2, 2)
        assert counts.size_bytes == path.stat().st_size


def test_scopes_are_kept_apart(path: Path) -> None:
    with Store.open(path, KEY) as store:
        store.commit(Batch("x", [Change(b"k", b"of x")]))
        store.commit(Batch("y", [Change(b"k", b"of y")]))
        assert store.records("x") == {b"k": b"of x"}
        assert store.records("y") == {b"k": b"of y"}
        assert store.records("unknown") == {}
        assert store.cursors("unknown") == {}


def test_the_last_change_of_a_key_wins(path: Path) -> None:
    with Store.open(path, KEY) as store:
        store.commit(Batch("x", [Change(b"k", b"1"), Change(b"gone", b"1"), Change(b"k", b"2"), Change(b"gone", None)]))
        assert store.records("x") == {b"k": b"2"}
        store.commit(Batch("x", [Change(b"k", None), Change(b"k", b"3"), Change(b"never", None)]))
        assert store.records("x") == {b"k": b"3"}


def test_a_dropped_scope_loses_state_and_keeps_its_outbox_and_what_people_saw(path: Path) -> None:
    with Store.open(path, KEY) as store:
        store.commit(full_batch("joining"))
        store.commit(Batch("group", [Change(b"k", b"v")], drop_scopes=["joining", "unknown"]))
        assert store.scopes() == ["group"]
        assert store.records("joining") == {}
        assert store.cursors("joining") == {}
        assert len(store.outbox(10)) == 2
        assert [entry.body for entry in store.timeline("joining", None, 10)] == [b"hello"]
        store.commit(Batch("group", [Change(b"new", b"state")], drop_scopes=["group"]))
        assert store.records("group") == {b"new": b"state"}
        store.forget_timeline("joining")
        assert store.timeline("joining", None, 10) == []


def test_what_was_published_leaves_the_outbox_and_ids_never_come_again(path: Path) -> None:
    with Store.open(path, KEY) as store:
        first = store.commit(full_batch()).outbox_ids
        assert [entry.payload for entry in store.outbox(1)] == [b"first"]
        assert [entry.payload for entry in store.outbox(10, after=first[0])] == [b"second"]
        store.published([*first, 999])
        assert store.outbox(10) == []
    with Store.open(path, KEY) as store:
        again = store.commit(full_batch())
        assert min(again.outbox_ids) > max(first)


def test_the_timeline_is_read_in_pages_backwards_and_forwards(path: Path) -> None:
    with Store.open(path, KEY) as store:
        ids: list[int] = []
        for number in range(10):
            ids += store.commit(Batch("x", timeline=[row("x", b"%d" % number), row("y", b"other")])).timeline_ids[:1]
        newest = store.timeline("x", None, 3)
        assert [entry.body for entry in newest] == [b"7", b"8", b"9"]
        assert [entry.body for entry in store.timeline("x", newest[0].id, 3)] == [b"4", b"5", b"6"]
        assert [entry.body for entry in store.timeline_after(ids[7], 3)] == [b"other", b"8", b"other"]


def test_settings_are_kept_and_forgotten(path: Path) -> None:
    with Store.open(path, KEY) as store:
        assert store.setting("name") is None
        store.set_setting("name", b"Alice")
        store.set_setting("name", b"Bob")
    with Store.open(path, KEY) as store:
        assert store.setting("name") == b"Bob"
        store.set_setting("name", None)
        assert store.setting("name") is None


def test_cursors_of_topics_no_longer_read_are_forgotten(path: Path) -> None:
    with Store.open(path, KEY) as store:
        store.commit(full_batch())
        store.forget_topics("group", [ONE])
        assert store.cursors("group") == {TWO: b"c2"}


def test_nothing_is_readable_on_the_disk_and_nobody_else_may_read_it(path: Path) -> None:
    secret = b"a very recognisable secret"
    with Store.open(path, KEY) as store:
        store.commit(Batch("group", [Change(secret, secret * 100)], timeline=[row("x", secret)]))
        files = [file for file in path.parent.iterdir() if file.is_file()]
        assert len(files) == 3, "the file, its log and the log's index"
        for file in files:
            content = file.read_bytes()
            assert secret not in content
            assert b"SQLite format" not in content
            assert file.stat().st_mode & 0o777 == 0o600, file
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert KEY.hex() not in repr(store)


def test_a_folder_that_was_open_to_others_is_closed(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    path.parent.chmod(0o755)
    Store.open(path, KEY).close()
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_wrong_key_is_a_sentence_about_the_password(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Store.open(path, KEY) as store:
        store.commit(full_batch())
    with pytest.raises(StorageError, match="cannot be opened with this password"):
        Store.open(path, bytes(32))
    with Store.open(path, KEY) as store:
        assert store.records("group") == {b"a": b"1", b"b": b"2"}
    assert capfd.readouterr() == ("", "")


def test_a_key_of_another_size_is_a_fault_of_the_caller(path: Path) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Store.open(path, b"short")


def test_a_damaged_file_is_a_sentence(path: Path) -> None:
    with Store.open(path, KEY) as store:
        store.commit(Batch("x", [Change(b"%d" % number, bytes(1_000)) for number in range(200)]))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with Store.open(path, KEY) as store, pytest.raises(StorageError, match=r"damaged|cannot be read"):
        store.records("x")


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be written"):
        Store.open(tmp_path / "file" / "demls.sqlite", KEY)


def test_a_full_disk_loses_nothing_and_the_next_commit_that_fits_works(path: Path) -> None:
    with Store.open(path, KEY, size_bytes_max=400_000) as store:
        store.commit(full_batch())
        large = Batch(
            "new scope",
            [Change(b"%d" % number, random.Random(number).randbytes(10_000)) for number in range(100)],
            outbound=[Outbound(ONE, b"must not be sent")],
            cursors={ONE: Cursor(b"must not move")},
            timeline=[row("another scope", b"must not be seen")],
            drop_scopes=["group"],
        )
        with pytest.raises(DiskFull, match="nothing has been lost"):
            store.commit(large)
        assert store.scopes() == ["group"]
        assert store.records("group") == {b"a": b"1", b"b": b"2"}
        assert len(store.outbox(10)) == 2
        store.commit(Batch("new scope", [Change(b"k", b"fits")], timeline=[row("another scope", b"seen")]))
    with Store.open(path, KEY) as store:
        assert store.records("new scope") == {b"k": b"fits"}
        assert [entry.body for entry in store.timeline("another scope", None, 10)] == [b"seen"]
        store.commit(large)  # there is room now


def test_a_mistake_of_the_caller_leaves_no_half_batch(path: Path) -> None:
    with Store.open(path, KEY) as store:
        with pytest.raises(StorageError):
            store.commit(Batch("x", [Change(b"k", b"v")], outbound=[Outbound(ONE, None)]))  # type: ignore[arg-type]
        assert store.scopes() == []
        store.commit(Batch("x", [Change(b"k", b"v")]))
        assert store.records("x") == {b"k": b"v"}


def test_a_backup_is_whole_encrypted_and_says_that_it_is_one(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy" / "backup.sqlite"
    target.parent.mkdir()
    with Store.open(path, KEY) as store:
        store.commit(full_batch())
        store.backup(target)
        store.commit(Batch("group", [Change(b"later", b"1")]))
        assert store.setting(BACKUP_SETTING) is None
        with pytest.raises(StorageError, match="already exists"):
            store.backup(target)
    assert target.stat().st_mode & 0o777 == 0o600
    assert b"hello" not in target.read_bytes()
    assert [file.name for file in target.parent.iterdir()] == ["backup.sqlite"]
    with pytest.raises(StorageError, match="password"):
        Store.open(target, bytes(32))
    with Store.open(target, KEY) as copy:
        assert copy.records("group") == {b"a": b"1", b"b": b"2"}
        assert int(copy.setting(BACKUP_SETTING) or b"0") > 1_700_000_000_000  # when it was made
        copy.commit(Batch("group", [Change(b"k", b"goes on")]))


def test_a_backup_to_a_place_that_cannot_be_written_is_a_sentence(path: Path, tmp_path: Path) -> None:
    with Store.open(path, KEY) as store, pytest.raises(StorageError, match="choose another place"):
        store.backup(tmp_path / "missing" / "backup.sqlite")


def old_file(path: Path, version: int) -> None:
    """A file as the version of the schema ``version`` left it, with a record and a message in it."""
    path.parent.mkdir(mode=0o700)
    connection = dbapi2.connect(str(path), isolation_level=None)
    connection.execute(f"PRAGMA key = \"x'{KEY.hex()}'\"")
    connection.execute(VERSION_TABLE)
    for migration in MIGRATIONS[:version]:
        for statement in migration.statements:
            connection.execute(statement)
        connection.execute("INSERT INTO migrations VALUES (?, ?)", (migration.version, migration.what))
    connection.execute("INSERT INTO scopes VALUES (1, 'group')")
    connection.execute("INSERT INTO records VALUES (1, ?, ?)", (b"k", b"old"))
    connection.execute("INSERT INTO timeline (scope, at, kind, body) VALUES (1, 5, 'message', ?)", (b"old",))
    connection.close()


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_a_file_of_any_older_version_is_brought_up_to_date_with_all_that_is_in_it(path: Path, version: int) -> None:
    old_file(path, version)
    for _ in range(2):
        with Store.open(path, KEY) as store:
            assert store.records("group") == {b"k": b"old"}
            assert [entry.body for entry in store.timeline("group", None, 10)] == [b"old"]
            store.commit(Batch("group", [Change(b"k", b"old")]))


def test_a_file_of_a_newer_version_is_refused_and_not_touched(path: Path) -> None:
    old_file(path, SCHEMA_VERSION)
    connection = dbapi2.connect(str(path), isolation_level=None)
    connection.execute(f"PRAGMA key = \"x'{KEY.hex()}'\"")
    connection.execute("INSERT INTO migrations VALUES (?, 'the future')", (SCHEMA_VERSION + 1,))
    connection.close()
    with pytest.raises(SchemaTooNew, match="install the newest demls"):
        Store.open(path, KEY)


def test_versions_of_the_schema_are_numbered_without_holes() -> None:
    assert [migration.version for migration in MIGRATIONS] == list(range(1, SCHEMA_VERSION + 1))


def test_threads_take_turns(path: Path) -> None:
    with Store.open(path, KEY) as store:
        ids: list[int] = []

        def work(name: str) -> None:
            for number in range(30):
                batch = Batch(name, [Change(b"%d" % number, os.urandom(50))], timeline=[row(name, b"x")])
                ids.extend(store.commit(batch).timeline_ids)
                assert len(store.records(name)) == number + 1

        threads = [threading.Thread(target=work, args=(f"scope {number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(ids) == list(range(1, 121))
        assert store.counts().records == 120
