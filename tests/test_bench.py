"""Do the measurements run, at sizes that take no time, and do they print what they say?"""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from demls.protocol.effects import Change, Effects, Outbound
from demls.wire.ids import Topic

ROOT = Path(__file__).parent.parent
COST = {"cpu_ms", "messages", "bytes"}


def bench(results: Path, *told: str) -> list[dict[str, Any]]:
    """What one prints; it keeps the same in ``results``."""
    done = subprocess.run(
        [sys.executable, ROOT / "bench", *told],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DEMLS_BENCH_RESULTS": str(results)},
    )
    assert done.returncode == 0, done.stderr
    told_json = json.loads(done.stdout)
    assert set(told_json) == {"bench", "machine", "versions", "commit", "results"}
    assert told_json == json.loads((results / f"{told[0]}.json").read_text())
    return told_json["results"]


def module_of(name: str) -> ModuleType:
    """A module of the measurements, with its neighbours: modules of other tests may bear the same names."""
    neighbours = {path.stem for path in (ROOT / "bench").glob("*.py")}
    others = {known: sys.modules.pop(known) for known in neighbours & sys.modules.keys()}
    sys.path.insert(0, str(ROOT / "bench"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT / "bench"))
        for known in neighbours & sys.modules.keys():
            del sys.modules[known]
        sys.modules.update(others)


def test_a_group_tells_what_each_action_costs(tmp_path: Path) -> None:
    (found,) = bench(tmp_path, "group", "--members", "3", "--runs", "1")
    assert found["members"] == 3
    for kind in ("add", "remove", "election", "refresh", "chat"):
        assert set(found[kind]) == COST
        assert all(value > 0 for value in found[kind].values())
    assert found["chat"]["messages"] == 1
    assert found["election"]["messages"] == 1 + 3 + 1 + 6, "a proposal and votes; an offer, acknowledgements and locks"


def test_without_the_reference_node_only_ours_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARGO_TARGET_DIR", str(tmp_path / "not built"))
    (found,) = bench(tmp_path, "group", "--members", "3", "--runs", "1", "--beside", "--if-built")
    assert found["members"] == 3
    assert not (tmp_path / "reference.json").exists()


def test_of_several_turns_the_smallest_of_each_kind_counts() -> None:
    turns = [
        {"members": 3, "add": {"cpu_ms": 2.0, "bytes": 1}, "chat": {"cpu_ms": 0.1, "bytes": 2}},
        {"members": 3, "add": {"cpu_ms": 1.0, "bytes": 3}, "chat": {"cpu_ms": 0.3, "bytes": 4}},
    ]
    assert module_of("report").smallest(turns, ("add", "chat")) == {
        "members": 3,
        "add": {"cpu_ms": 1.0, "bytes": 3},
        "chat": {"cpu_ms": 0.1, "bytes": 2},
    }


def test_the_time_of_a_change_is_shared_out_among_parts(tmp_path: Path) -> None:
    (found,) = bench(tmp_path, "where", "--members", "3", "--runs", "2", "--kind", "election")
    parts = found["parts_ms"]
    assert {"engine: MLS", "engine: signatures", "engine: sealing", "protocol", "wire"} <= set(parts)
    assert sum(parts.values()) == pytest.approx(found["cpu_ms"], abs=0.1)
    assert found["calls_of_members"] > 3, "each is called with what the others say, several at once"
    share_out = module_of("where").share_out
    shares = {"engine: MLS": 2.0, "protocol": 6.0, "wire": 2.0}
    assert share_out(6.0, shares) == {"engine: MLS": 2.0, "protocol": 3.0, "wire": 1.0}
    assert share_out(1.0, shares) == {"engine: MLS": 1.0, "protocol": 0.0, "wire": 0.0}, "a disturbed profile"
    assert "## Where the time goes" in module_of("performance").page(module_of("performance").load(tmp_path))


def test_what_a_disk_writes_is_counted_in_pages_however_often_its_log_begins_anew() -> None:
    disk, page = module_of("written").Disk({b"old": bytes(100)}), 4_120
    try:
        assert disk.write(Effects()) == 0
        assert 0 < disk.write(Effects((Change(b"new", b"value"),))) <= 3 * page
        written = [disk.write(Effects((Change(b"large", os.urandom(500_000)),))) for _ in range(30)]
        assert all(size % page == 0 and 500_000 < size < 1_200_000 for size in written)
        log = next(Path(disk._folder.name).rglob("*-wal"))
        assert log.stat().st_size < sum(written) / 2
        sent = disk.write(Effects((), (Outbound(Topic(bytes(32)), bytes(100)),)))
        assert 2 * page <= sent <= 6 * page, "into the outbox, and out of it"
    finally:
        disk.close()


def test_one_decision_tells_what_its_parts_cost(tmp_path: Path) -> None:
    (found,) = bench(tmp_path, "consensus", "--voters", "20", "--runs", "1")
    assert set(found) == {"voters", "verify_one_by_one", "verify_batch", "tally", "decision"}


@pytest.mark.parametrize(("decided_by", "size"), [("members", 40), ("stewards", 70)])
def test_a_large_group_tells_what_each_change_costs_an_ordinary_member(
    tmp_path: Path, decided_by: str, size: int
) -> None:
    whole, many, epochs = 11, 2, 2
    told = ("--members", str(size), "--full", str(whole), "--many", str(many), "--epochs", str(epochs))
    (found,) = bench(tmp_path, "large", *told, "--decided-by", decided_by)
    assert (found["members"], found["decided_by"], found["left_out"]) == (size, decided_by, [])
    kinds = ("message", "add", "remove", "emergency", f"add_{many}", "election")
    for kind in kinds:
        assert found[kind]["received"] > 0
        assert found[kind]["written_bytes"] > 0
    voters = size if decided_by == "members" else found["stewards"]
    said = 1 + voters + 1 + 2 * size
    assert said - whole <= found["add"]["published"] <= said + whole, "all vote, acknowledge and lock, or have merged"
    assert found["join"]["cpu_ms"] > 0
    assert found["restart"]["memory_bytes"] > 0
    assert found[f"catch_up_{epochs}"]["epochs"] == epochs
    assert found[f"catch_up_{epochs}"]["epoch"] == found["restart"]["epoch"] - 1 + epochs, "it is where the others are"


def test_what_the_budget_leaves_no_time_for_is_named(tmp_path: Path) -> None:
    told = ("--members", "30", "--full", "11", "--many", "2", "--epochs", "1", "--budget", "0")
    (found,) = bench(tmp_path, "large", *told, "--decided-by", "members")
    assert found["left_out"] == ["message", "add", "remove", "add_2", "election", "catch_up_1", "emergency"]


def test_a_month_tells_what_its_changes_cost_an_ordinary_member(tmp_path: Path) -> None:
    told = ("--members", "70", "--months", "0.1", "--a-day", "1", "1", "1")
    (found,) = bench(tmp_path, "month", *told)
    assert (found["days_planned"], found["days_played"], found["stewards"]) == (3, 3, 64)
    assert [found[kind]["count"] for kind in ("remove", "add", "refresh", "changes", "outside")] == [3, 3, 3, 9, 9]
    assert [day["day"] for day in found["days"]] == [1, 2, 3]
    assert sum(found["parts_ms"].values()) == pytest.approx(found["changes"]["cpu_ms"]["mean"], abs=1)
    for kind in ("remove", "add", "refresh"):
        for measure in ("cpu_ms", "received", "received_bytes", "written_bytes", "commit_bytes"):
            spent = found[kind][measure]
            assert 0 < spent["median"] <= spent["max"]
            assert found["days"][0][kind][measure] > 0
    said = 1 + 1 + 1 + 2 * 70
    assert said - 3 <= found["remove"]["received"]["median"] <= said + 3, (
        "proposal, votes, offer; all acknowledge and lock"
    )
    assert found["days"][2]["remove"]["commit_bytes"] < found["days"][0]["remove"]["commit_bytes"], "the tree warms up"
    all_changes = 9 * found["changes"]["received_bytes"]["mean"]
    total = {name: spent["received_bytes"] for name, spent in found["total"].items()}
    assert total["all"] - total["rest"] == pytest.approx(all_changes, rel=0.01)
    page = module_of("performance")
    assert "### 70 members, 64 stewards" in page.page(page.load(tmp_path))
    assert page.draw_all(tmp_path, tmp_path) == ["month"]


def test_a_month_elects_when_its_list_is_used_up(tmp_path: Path) -> None:
    told = ("--members", "210", "--months", "0.1", "--a-day", "11", "11", "0")
    (found,) = bench(tmp_path, "month", *told)
    assert found["election"]["count"] == 1
    assert found["changes"]["count"] == 66


def test_a_month_ends_with_its_budget(tmp_path: Path) -> None:
    (found,) = bench(tmp_path, "month", "--members", "210", "--months", "9", "--a-day", "1", "1", "0", "--budget", "3")
    assert 0 < found["days_played"] < found["days_planned"] == 270


def test_a_change_takes_network_delays_and_processor_time(tmp_path: Path) -> None:
    (found,) = bench(tmp_path, "latency", "--members", "8", "--runs", "1")
    assert found["add"]["from_proposal_ms"] > found["add"]["from_last_vote_ms"] > 3 * 50, "offer, acks, locks"


def test_light_members_are_waited_for_as_whole_ones(tmp_path: Path) -> None:
    (found,) = bench(tmp_path, "latency", "--members", "120", "--full", "11", "--runs", "1")
    assert (found["whole"], found["members"]) == (11, 120)
    assert found["add"]["from_proposal_ms"] > 4 * 50


@pytest.mark.processes
def test_real_nodes_are_measured(tmp_path: Path) -> None:
    told = ("--members", "4", "--messages", "20", "--groups", "2", "--runs", "2")
    (found,) = bench(tmp_path, "node", *told)
    assert found["throughput"]["received_per_second"] > 0
    assert found["latency"]["send_to_event_ms"]["median"] > 0
    assert found["starting"]["memory_with_groups_bytes"] > 0


def test_growth_is_the_exponent_of_n() -> None:
    page = module_of("performance")
    square = [(n, 3.0 * n**2) for n in (3, 10, 40, 200)]
    assert page.growth_text(square) == "n^2.0"
    assert page.growth([(3, 9.0), (10, 100.0)]) is None, "one size from ten members on shows no growth"


def test_the_page_says_only_what_was_measured(tmp_path: Path) -> None:
    page = module_of("performance")
    bench(tmp_path, "group", "--members", "3", "--runs", "1")
    found = page.load(tmp_path)
    text = page.page(found)
    assert "## A group, every member real" in text
    assert "## A node" not in text
    assert "The reference node was not measured in this run." in text
    assert page.draw_all(tmp_path, tmp_path) == ["group"]
    assert (tmp_path / "group.svg").read_text().startswith("<?xml")


def test_a_busy_machine_is_named(tmp_path: Path) -> None:
    page = module_of("performance")
    machine = {"processor": "x", "cores": 2, "load": 5.0}
    one = {"bench": "consensus", "machine": machine, "versions": {"python": "3"}, "commit": "", "results": []}
    (tmp_path / "consensus.json").write_text(json.dumps(one))
    assert "**Preliminary:**" in page.page(page.load(tmp_path))
    one["machine"] = machine | {"load": 0.1}
    assert "**Preliminary:**" not in page.page({"consensus": one})
