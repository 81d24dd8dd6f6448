"""The relay's log: durable, ordered, bounded, one user at a time."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from demls.transport.base import TransportError
from demls.transport.relay_log import LogFull, LogLimits, RelayLog
from demls.wire.ids import Duration, Instant, Topic

NOW = Instant(1_700_000_000_000)
ONE = Topic(b"1" * 32)
TWO = Topic(b"2" * 32)


def page(log: RelayLog, topic: Topic, after: int = 0) -> list[bytes]:
    return [payload for _, payload in log.page(topic, after, 10_000, 1 << 30)]


def test_envelopes_come_back_in_order_topic_by_topic_also_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "relay.sqlite"
    with RelayLog.open(path) as log:
        first = log.append([(ONE, b"a"), (TWO, b"b"), (ONE, b"c")], NOW)
        log_id = log.log_id
    with RelayLog.open(path) as log:
        assert log.log_id == log_id
        assert log.last_seq() == first[-1]
        second = log.append([(ONE, b"d")], NOW)
        assert second[0] > first[-1]
        assert page(log, ONE) == [b"a", b"c", b"d"]
        assert page(log, ONE, first[0]) == [b"c", b"d"]
        assert page(log, TWO) == [b"b"]
        assert page(log, Topic(b"3" * 32)) == []
        assert (log.counts().envelopes, log.counts().topics) == (4, 2)


def test_another_file_is_another_log(tmp_path: Path) -> None:
    with RelayLog.open(tmp_path / "a.sqlite") as one, RelayLog.open(tmp_path / "b.sqlite") as other:
        assert one.log_id != other.log_id


def test_a_page_ends_at_its_count_and_at_its_bytes(tmp_path: Path) -> None:
    with RelayLog.open(tmp_path / "relay.sqlite") as log:
        log.append([(ONE, bytes(100))] * 10, NOW)
        assert len(log.page(ONE, 0, 3, 1 << 20)) == 3
        assert len(log.page(ONE, 0, 100, 250)) == 3
        assert len(log.page(ONE, 0, 100, 1)) == 1


def test_the_oldest_of_a_topic_go_when_the_topic_is_too_large(tmp_path: Path) -> None:
    with RelayLog.open(tmp_path / "relay.sqlite", LogLimits(topic_bytes_max=10_000)) as log:
        log.append([(TWO, b"kept")], NOW)
        for number in range(50):
            log.append([(ONE, bytes([number]) * 744)], NOW)
        assert page(log, ONE) == [bytes([number]) * 744 for number in range(40, 50)]
        assert page(log, TWO) == [b"kept"]
        assert log.counts().dropped == 40


def test_the_oldest_of_all_go_when_the_log_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "relay.sqlite"
    with RelayLog.open(path, LogLimits(total_bytes_max=10_000)) as log:
        log.append([(TWO, b"first")], NOW)
        last = log.append([(ONE, bytes(744))] * 2_000, NOW)[-1]
        assert page(log, TWO) == []
        assert len(page(log, ONE)) == 10
        assert log.counts().size_bytes <= 10_000
        assert log.counts().topics == 1
    with RelayLog.open(path) as log:
        assert log.last_seq() == last, "a sequence is never given twice"
        assert (log.counts().envelopes, log.counts().size_bytes, log.counts().topics) == (10, 10_000, 1)


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    with RelayLog.open(tmp_path / "relay.sqlite", LogLimits(age_max=Duration(1_000))) as log:
        log.append([(ONE, b"old")] * 600, NOW)
        log.append([(ONE, b"new")], Instant(NOW + 1_001))
        log.append([(ONE, b"new")], Instant(NOW + 1_001))
        assert page(log, ONE) == [b"new", b"new"]


def test_a_full_disk_is_a_sentence_and_changes_nothing(tmp_path: Path) -> None:
    with RelayLog.open(tmp_path / "relay.sqlite", LogLimits(file_bytes_max=200_000)) as log:
        log.append([(ONE, b"kept")], NOW)
        before = log.counts()
        with pytest.raises(LogFull, match="make room"):
            log.append([(TWO, bytes(1_000))] * 1_000, NOW)
        assert log.counts() == before
        log.append([(ONE, b"and on")], NOW)
        assert page(log, ONE) == [b"kept", b"and on"]
        assert page(log, TWO) == []


def test_a_second_relay_on_the_same_log_is_told_so(tmp_path: Path) -> None:
    with RelayLog.open(tmp_path / "relay.sqlite"), pytest.raises(TransportError, match="in use by another relay"):
        RelayLog.open(tmp_path / "relay.sqlite")
    RelayLog.open(tmp_path / "relay.sqlite").close()


def test_a_damaged_log_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "relay.sqlite").write_bytes(b"not a database" * 1_000)
    with pytest.raises(TransportError, match="cannot be read or written"):
        RelayLog.open(tmp_path / "relay.sqlite")


def test_a_log_of_another_version_is_a_sentence(tmp_path: Path) -> None:
    RelayLog.open(tmp_path / "relay.sqlite").close()
    connection = sqlite3.connect(tmp_path / "relay.sqlite")
    connection.execute("UPDATE about SET schema = 99")
    connection.commit()
    connection.close()
    with pytest.raises(TransportError, match="another version"):
        RelayLog.open(tmp_path / "relay.sqlite")


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TransportError, match="cannot be written"):
        RelayLog.open(tmp_path / "file" / "relay.sqlite")
