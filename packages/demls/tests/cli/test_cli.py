"""Does the command line do what it says, refuse with one sentence, and speak JSON to programs?"""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from demls.api.models import Group, GroupState, PolicyChange, RuleChange, ScoringChange
from demls.cli.asking import find_group
from demls.cli.main import app, main
from demls.cli.output import printable
from demls.cli.policy import policy_change
from demls.cli.processes import make_person, node_process, relay_process
from demls.cli.watch import following
from demls.client import Client
from demls.wire.links import parse_invite
from typer.testing import CliRunner

KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"


def run(*arguments: str, said: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "demls.cli.main", *arguments],
        input=said,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "NO_COLOR": "1", **environment},
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr.strip()


@pytest.fixture
def password(tmp_path: Path) -> str:
    path = tmp_path / "password"
    path.write_text("a long enough password\n")
    return str(path)


def test_help_names_every_command() -> None:
    text = CliRunner().invoke(app, ["--help"]).stdout
    for command in (
        *("init", "node", "relay", "group", "send", "read", "proposals", "vote", "ban", "leave"),
        *("status", "contact", "page", "demo", "version"),
    ):
        assert command in text


@pytest.mark.parametrize("arguments", [["dance"], ["send"], ["group", "dance"], ["node", "--port", "many"]])
def test_wrong_use_ends_with_two(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


@pytest.mark.parametrize("answer", ["maybe", ""])
def test_a_vote_is_yes_or_no(answer: str) -> None:
    assert CliRunner().invoke(app, ["vote", "group", "proposal", answer]).exit_code == 2


@pytest.mark.parametrize(
    "wrong",
    [
        *("invite.duration", "invite.duration=", "invite.duration=2", "invite.duration=-2h", "invite.length=2h"),
        *("leave.duration=2h", "remove.share=most", "remove.silence=perhaps", "settings.decided-by=me"),
        *("emergency.length=2m", "emergency.duration=soon", "emergency.share=most", "scoring", "scoring.start"),
        *(
            "scoring.start=",
            "scoring.start=-1",
            "scoring.start=1.5",
            "scoring.start=many",
            "scoring.luck=5",
            "scoring.=5",
        ),
        *("scoring.broken=5", "scoring.broken-commit.x=5", "scoring.duration=5s", "scoring.heal=9999999999"),
        *("stewards-max=many", "stewards-max=9999999999", "dormant-after=soon", "stewards-max=2147483649", "=2h", "x"),
    ],
)
def test_a_field_of_the_policy_that_is_none_ends_with_two(wrong: str) -> None:
    for command in (["group", "create", "Friends"], ["group", "settings", "Friends"]):
        assert CliRunner().invoke(app, [*command, "--set", wrong]).exit_code == 2


def test_fields_of_the_policy_are_typed_by_name() -> None:
    given = ["invite.duration=2h", "Invite.Silence = no", "remove.share=three-quarters", "settings.decided-by=members"]
    given += ["batch-window=500ms", "delivery-time=3s", "reelections=0", "dormant-after=never", "stewards-min=2"]
    change = policy_change(given, None, 9)
    assert change == PolicyChange(
        invite=RuleChange(duration_ms=7_200_000, silence_is_yes=False),
        remove=RuleChange(share="three quarters"),
        settings=RuleChange(decided_by="members"),
        stewards_min=2,
        stewards_max=9,
        batch_window_ms=500,
        delivery_time_ms=3000,
        reelections_max=0,
        dormant_after_ms=0,
    )
    given = ["emergency.duration=5m", "emergency.share=three-quarters", "emergency.decided-by=members"]
    given += ["scoring.start=120", "scoring.threshold=20", "Scoring.Broken-Commit = 60", "scoring.broken-proposal=40"]
    given += ["scoring.misbehaving=0", "scoring.equivocation=120", "scoring.lost-turn=1", "scoring.committed=5"]
    given += ["scoring.upheld=15", "scoring.rejected=25", "scoring.heal=3"]
    assert policy_change(given, None, None) == PolicyChange(
        emergency=RuleChange(duration_ms=300_000, share="three quarters", decided_by="members"),
        scoring=ScoringChange(
            start=120,
            threshold=20,
            heal=3,
            broken_commit=60,
            broken_proposal=40,
            misbehaving=0,
            equivocation=120,
            lost_turn=1,
            committed=5,
            upheld=15,
            rejected=25,
        ),
    )
    assert policy_change(None, None, None) == PolicyChange()
    assert policy_change(["dormant-after=7d"], None, None).dormant_after_ms == 7 * 86_400_000


def test_the_help_of_a_command_lists_the_fields_of_the_policy() -> None:
    text = CliRunner().invoke(app, ["group", "create", "--help"], terminal_width=400).stdout
    for field in ("duration", "share", "silence", "decided-by", "stewards-max", "batch-window", "dormant-after"):
        assert field in text
    for field in ("emergency", "scoring.start=100", "broken-commit", "equivocation", "lost-turn", "rejected"):
        assert field in text


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("scoring.luck=5", "There is no field “scoring.luck”"),
        ("scoring.start=-1", "“-1” is no value for scoring.start"),
        ("emergency.duration=soon", "“soon” is no value for emergency.duration"),
        ("scoring", "“scoring” is not of the form FIELD=VALUE"),
    ],
)
def test_a_field_that_is_none_is_refused_with_a_sentence(wrong: str, sentence: str) -> None:
    done = CliRunner().invoke(app, ["group", "settings", "Friends", "--set", wrong], terminal_width=400)
    assert sentence in " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize("arguments", [["Friends"], ["Friends", "Bob", "--deadlock"]])
def test_somebody_or_a_deadlock_is_accused(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["group", "accuse", *arguments]).exit_code == 2


def test_version_speaks_json() -> None:
    assert json.loads(CliRunner().invoke(app, ["version", "--json"]).stdout)["api"] == "1"


def test_what_others_wrote_cannot_steer_the_terminal() -> None:
    assert printable("\x1b[2Jhello\x07\u202eolleh") == "�[2Jhello��olleh"


def test_commands_without_a_node_say_how_to_start_one(tmp_path: Path) -> None:
    sentence = refused(run("group", "list", "--folder", str(tmp_path)))
    assert "demls node" in sentence
    assert len(sentence.splitlines()) == 1


def test_init_sets_up_a_new_wallet_once(tmp_path: Path, password: str) -> None:
    folder = tmp_path / "me"
    done = run("init", "--folder", str(folder), "--name", "Mé “x”", DEMLS_PASSWORD_FILE=password)
    assert done.returncode == 0, done.stderr
    assert "Your wallet address is 0x" in done.stdout
    assert (folder / "keystore" / "wallet.json").exists()
    assert 'name = "Mé “x”"' in (folder / "config.toml").read_text()
    assert (folder.stat().st_mode & 0o777) == 0o700
    again = run("init", "--folder", str(folder), "--name", "Me", DEMLS_PASSWORD_FILE=password)
    assert "set up already" in refused(again)


def test_init_imports_a_key_with_a_warning_and_never_repeats_it(tmp_path: Path, password: str) -> None:
    folder = tmp_path / "me"
    done = run(
        "init", "--folder", str(folder), "--name", "Me", "--import-key", said=f"0x{KEY}\n", DEMLS_PASSWORD_FILE=password
    )
    assert done.returncode == 0, done.stderr
    assert "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23" in done.stdout
    assert "past on the chain" in done.stderr
    assert KEY not in done.stdout + done.stderr
    assert "wallet_imported = true" in (folder / "config.toml").read_text()
    copy = tmp_path / "copy"
    imported = run(
        *("init", "--folder", str(copy), "--name", "Me"),
        *("--import-keystore", str(folder / "keystore" / "wallet.json")),
        DEMLS_PASSWORD_FILE=password,
        DEMLS_IMPORT_PASSWORD_FILE=password,
    )
    assert "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23" in imported.stdout


def test_init_refuses_what_cannot_be_used_and_writes_nothing(
    tmp_path: Path, password: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "me"
    short = tmp_path / "short"
    short.write_text("short")
    cases = (
        (("--name", "x" * 65), "", password),
        (("--relay", "http://example.org"), "", password),
        (("--import-key",), "not a key\n", password),
        (("--import-keystore", str(tmp_path / "none.json")), "", password),
        ((), "", str(short)),
        ((), "", str(tmp_path / "missing")),
        ((), "", ""),
    )
    for arguments, said, source in cases:
        monkeypatch.setattr("sys.argv", ["demls", "init", "--folder", str(folder), *arguments])
        monkeypatch.setattr("sys.stdin", io.StringIO(said))
        monkeypatch.setenv("DEMLS_PASSWORD_FILE", source)
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 1
        assert capsys.readouterr().err.splitlines()[-1].startswith("demls: "), arguments
        assert not (folder / "keystore" / "storage.json").exists()


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[tuple[Path, Path]]:
    """The folders of Alice's and Bob's running nodes."""
    async with relay_process(tmp_path) as relay:
        alice, bob = (make_person(name, tmp_path, relay) for name in ("Alice", "Bob"))
        async with node_process(alice), node_process(bob):
            yield alice.folder, bob.folder


@pytest.mark.processes
async def test_the_life_of_a_group_from_two_terminals(town: tuple[Path, Path]) -> None:
    alice, bob = town

    async def at(folder: Path, *arguments: str, said: str = "") -> str:
        done = await asyncio.to_thread(run, *arguments, "--folder", str(folder), said=said)
        assert done.returncode == 0, done
        return done.stdout.strip()

    assert "in no group" in await at(alice, "group", "list")
    assert "You founded" in await at(alice, "group", "create", "Friends of tea", "--preset", "quick")
    link = await at(alice, "group", "invite", "Friends of tea")
    assert link.startswith("demls:invite:")
    waiting = asyncio.create_task(at(bob, "group", "join", "--wait", said=link + "\n"))
    async with Client.connect(alice) as node:
        group = (await find_group(node, "friends")).id
        async for news in node.events():
            if news.type == "group" and news.group.proposals:
                break
    card = json.loads(await at(alice, "proposals", "friends", "--json"))[0]
    assert card["title"] == "Admit Bob"
    assert "final" in await at(alice, "vote", "friends", card["short_id"], "yes")
    assert "You are a member" in await waiting
    assert await at(bob, "send", "friends", "hello", "tea") == "Sent."
    async with Client.connect(alice) as node:
        async for news in node.events(after=0):
            if news.type == "timeline" and news.entry.text == "hello tea":
                break
    assert "hello tea" in await at(alice, "read", "friends")
    members = json.loads(await at(alice, "group", "members", group[:6], "--json"))
    assert [one["name"] for one in members] == ["Alice", "Bob"]
    scores = await at(alice, "group", "score", "friends")
    assert "A newcomer has 100; at 0 nodes ask for a removal." in scores
    told = " ".join((await at(alice, "group", "score", "friends", "Alice")).split())
    assert told.startswith("You have 110 points; a newcomer has 100. Since then: committed the group's work")
    assert json.loads(await at(alice, "group", "score", "friends", "Bob", "--json"))["score"] == 100
    assert "in sync" in await at(bob, "status", "friends")
    assert "Friends of tea: member" in await at(bob, "status")
    assert (await at(bob, "contact")).startswith("demls:contact:")
    assert "/#" in await at(bob, "page")
    assert "remove Alice" in await at(bob, "ban", "friends", members[0]["address"])
    for arguments, words in (
        (("ban", "friends", "0x12"), "40 hexadecimal digits"),
        (("send", "nowhere", "x"), "no group “nowhere”"),
        (("group", "delete", "friends"), "Leave it first"),
        (("vote", "friends", "zz", "no"), "no such proposal"),
        (("group", "accuse", "friends", "Alice"), "Your node has no proof that Alice broke a rule"),
        (("group", "accuse", "friends", "--deadlock"), "There is no deadlock to be shown"),
        (("group", "score", "friends", "Zoe"), "There is no member “Zoe”"),
        (("group", "join", "demls:invite:rubbish"), "damaged"),
    ):
        assert words in refused(await asyncio.to_thread(run, *arguments, "--folder", str(bob)))
    assert "next commit" in await at(bob, "leave", "friends")


@pytest.mark.processes
async def test_settings_strangers_and_successors_from_two_terminals(town: tuple[Path, Path]) -> None:
    alice, bob = town

    async def at(folder: Path, *arguments: str) -> str:
        done = await asyncio.to_thread(run, *arguments, "--folder", str(folder))
        assert done.returncode == 0, done
        return done.stdout.strip()

    async def until(folder: Path, group: str, claim: Callable[[Group], object]) -> None:
        async with asyncio.timeout(60), Client.connect(folder) as node:
            async for news in node.events():
                if news.type == "group" and news.group.id == group and claim(news.group):
                    return

    policy = ("--stewards-max", "3", "--set", "remove.share=all", "--set", "batch-window=0s")
    refusal = await asyncio.to_thread(
        run, *("group", "create", "x", "--set", "stewards-min=9", "--set", "stewards-max=3", "--folder", str(alice))
    )
    assert "number of stewards" in refused(refusal)
    await at(alice, "group", "create", "Friends", "--preset", "quick", *policy)
    group = json.loads(await at(alice, "group", "show", "Friends", "--json"))["id"]
    shown = await at(alice, "group", "show", "Friends")
    assert "Alice is the only steward" in " ".join(shown.split())
    assert "epoch steward" in shown
    assert "all of the members vote yes within 30 seconds" in " ".join(shown.split())
    link = await at(alice, "group", "invite", "Friends", "--open")
    await at(bob, "group", "join", link)
    await until(alice, group, lambda one: one.requests)
    asks = await at(alice, "proposals", "Friends")
    assert "Bob asks to join" in asks
    assert "demls group sponsor" in asks
    assert "need a sponsor" in await at(alice, "status")
    assert "put to the vote" in await at(alice, "group", "sponsor", "Friends", asks[:8])
    await until(bob, group, lambda one: one.members == 2)
    wide = " ".join((await at(bob, "group", "settings", "Friends", "--name", "Good friends")).split())
    assert "You proposed to change the settings" in wide
    assert "Passes with 2 of 2 votes" in wide
    await until(alice, group, lambda one: any(card.may_vote for card in one.proposals))
    cards = json.loads(await at(alice, "proposals", "Friends", "--json"))
    card = next(one for one in cards if one["kind"] == "settings")
    assert card["title"] == "Rename the group to “Good friends”"
    await at(alice, "vote", "Friends", card["short_id"], "yes")
    await until(bob, group, lambda one: one.name == "Good friends")
    assert json.loads(await at(bob, "group", "settings", group, "--json"))["remove"]["share"] == "all"
    assert "Nobody has founded a successor" in await at(bob, "group", "successor", group)
    assert "are invited" in await at(alice, "group", "successor", group, "--with", "Bob", "--name", "Next")
    await until(bob, group, lambda one: one.successors)
    assert "Next" in await at(bob, "group", "successor", group)
    joined = json.loads(await at(bob, "group", "successor", group, "--join", "Alice", "--json"))
    await until(bob, joined["id"], lambda one: one.members == 2)
    for arguments, words in (
        (("group", "successor", group, "--with", "Nobody"), "no member “Nobody”"),
        (("group", "successor", group, "--with", "Bob"), "founded a successor"),
        (("group", "sponsor", group, "00"), "no longer waiting"),
        (("group", "settings", group, "--set", "dormant-after=5s"), "an hour at the earliest"),
        (("group", "settings", group, "--set", "emergency.duration=11m"), "decided within ten minutes"),
        (("group", "settings", group, "--set", "emergency.decided-by=stewards"), "always decided by all members"),
        (("group", "settings", group, "--set", "scoring.threshold=100"), "score lies above the threshold"),
        (("group", "settings", group, "--set", "scoring.start=1001"), "no number of the scores above 1000"),
    ):
        assert words in refused(await asyncio.to_thread(run, *arguments, "--folder", str(alice)))


@pytest.mark.processes
async def test_new_keys_and_a_new_seat_from_two_terminals(town: tuple[Path, Path]) -> None:
    alice, bob = town

    async def at(folder: Path, *arguments: str) -> str:
        done = await asyncio.to_thread(run, *arguments, "--folder", str(folder))
        assert done.returncode == 0, done
        return " ".join(done.stdout.split())

    async def until(folder: Path, claim: Callable[[Group], object]) -> Group:
        async with asyncio.timeout(60), Client.connect(folder) as node:
            async for news in node.events():
                if news.type == "group" and claim(news.group):
                    return news.group
        raise AssertionError("the node has stopped")

    async def keys(folder: Path) -> dict[str, int]:
        """In which epoch each member's keys were renewed."""
        found = json.loads(await at(folder, "group", "members", "Friends", "--json"))
        return {one["name"]: one["keys_epoch"] for one in found}

    await at(alice, "group", "create", "Friends", "--preset", "quick")
    link = await at(alice, "group", "invite", "Friends")
    await at(bob, "group", "join", link)
    asked = await until(alice, lambda one: any(card.may_vote for card in one.proposals))
    await at(alice, "vote", "Friends", asked.proposals[0].id[:8], "yes")
    begun = await until(bob, lambda one: one.members == 2)

    before = await keys(alice)
    assert await at(bob, "group", "refresh-keys", "Friends") == (
        "Your keys in this group are renewed with the next commit; it needs no vote."
    )
    renewed = await until(alice, lambda one: one.epoch > begun.epoch)
    after = await keys(alice)
    assert after["Bob"] == renewed.epoch > before["Bob"]
    table = await at(alice, "group", "members", "Friends")
    assert "Keys renewed" in table
    assert "just now" in table

    words = "Your node asks the group for a new seat; it needs no vote. Until it is there, what you write is kept."
    assert await at(bob, "group", "rejoin", "Friends") == words
    back = await until(bob, lambda one: one.state is GroupState.MEMBER and one.epoch > renewed.epoch)
    read = await at(bob, "read", "Friends")
    assert "You asked for a new seat in this group; it asks the group" in read
    assert f"You are back (epoch {back.epoch})." in read
    assert "Bob is back with a new key" in await at(alice, "read", "Friends")
    assert (await keys(alice))["Bob"] == back.epoch

    # Once more within the hour: it has to wait, says why, and keeps what is written.
    assert await at(bob, "group", "rejoin", "Friends") == words
    waiting = await until(bob, lambda one: "once an hour" in one.rejoin)
    assert waiting.state is GroupState.RETURNING
    assert not waiting.can_rejoin
    await at(bob, "send", "Friends", "kept until then")
    status = await at(bob, "status", "Friends")
    assert "1 of your messages goes out then." in status
    for command in ("rejoin", "refresh-keys"):
        done = await asyncio.to_thread(run, "group", command, "Friends", "--folder", str(bob))
        assert "waits for a new seat" in refused(done)
        done = await asyncio.to_thread(run, "group", command, "Nowhere", "--folder", str(bob))
        assert "no group “Nowhere”" in refused(done)
    assert "kept until then" not in await at(alice, "read", "Friends")


@pytest.mark.processes
def test_the_demo_plays_to_its_end_and_leaves_nothing_behind(tmp_path: Path) -> None:
    place = tmp_path / "demo"
    done = run("demo", "--folder", str(place))
    assert done.returncode == 0, done.stdout + done.stderr
    pages, story = done.stdout.split("Alice founds a group.")
    assert pages.count("http://127.0.0.1:") == 3
    for words in ("Carol is in: epoch 2", "Her node tells her", "authenticators are equal", "no later one"):
        assert words in story
    assert not list(place.glob("*/api.address"))
    again = run("demo", "--folder", str(place))
    assert "not empty" in refused(again)


@pytest.mark.processes
async def test_the_demo_keeps_a_seat_for_a_visitor_and_stops_its_processes_in_the_end(tmp_path: Path) -> None:
    place = tmp_path / "demo"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "demls.cli.main", "demo", "--folder", str(place), "--fast", "--stay"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    async with asyncio.timeout(120):
        said = ""
        while not said.startswith("demls:invite:"):
            said = (await process.stdout.readline()).decode()
            assert process.returncode is None
        visitor = make_person("Vera", tmp_path, parse_invite(said).relay)
        async with node_process(visitor), following("Vera", Client.connect(visitor.folder)) as vera:
            group = (await vera.client.join(said)).id
            await vera.until_group(group, lambda one: one.state == "member", "the visitor's admission")
        running = [int(lock.read_text()) for lock in place.glob("*/node.lock")]
        assert len(running) == 3
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
        rest = await process.stdout.read()
        assert await process.wait() == 0
    assert b"processes are stopped" in rest
    for number in running:
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)
