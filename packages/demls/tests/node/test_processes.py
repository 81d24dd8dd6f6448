"""Do real nodes over a real relay keep what they confirmed, whatever happens to their processes?"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from demls.api.models import TimelineNews
from demls.cli.processes import Person, make_person
from demls.cli.watch import Watch, following
from demls.client import Client, RefusedByNode
from lives import texts_of
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

pytestmark = pytest.mark.processes

SECONDS = 60.0


async def start(*arguments: str, password: Path | None = None) -> Process:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "DEMLS_PASSWORD_FILE": str(password)}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "demls.cli.main",
        *arguments,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        env=environment,
    )


async def line_with(process: Process, beginning: str) -> str:
    assert process.stdout is not None
    said = []
    async with asyncio.timeout(SECONDS):
        while line := (await process.stdout.readline()).decode():
            said.append(line)
            if line.startswith(beginning):
                return line.removeprefix(beginning).strip()
    raise AssertionError(said)


async def end(process: Process, number: int = signal.SIGTERM) -> int:
    if process.returncode is None:
        process.send_signal(number)
    async with asyncio.timeout(SECONDS):
        await process.communicate()
    assert process.returncode is not None
    return process.returncode


@asynccontextmanager
async def relay_at(place: Path, port: int = 0) -> AsyncIterator[str]:
    process = await start("relay", "--port", str(port), "--log", str(place / "relay.sqlite"))
    try:
        yield (await line_with(process, "The relay is ready at ")).split(";")[0]
    finally:
        await end(process)


async def start_node(person: Person) -> Process:
    process = await start("node", "--folder", str(person.folder), "--port", "0", password=person.folder / "password")
    await line_with(process, "Its page: ")
    return process


@asynccontextmanager
async def node_of(person: Person) -> AsyncIterator[Watch]:
    process = await start_node(person)
    try:
        async with following(person.name, Client.connect(person.folder)) as watch:
            yield watch
    finally:
        await end(process)


async def admit(alice: Watch, bob: Watch, group: str) -> None:
    """Bob asks, Alice, the only member, votes."""
    await bob.client.join((await alice.client.invite(group)).text)
    shown = await alice.until_group(group, lambda one: bool(one.proposals), "Bob's request")
    await alice.client.vote(group, shown.proposals[0].id, yes=True)
    await bob.until_group(group, lambda one: one.state == "member", "Bob's admission")


async def test_a_killed_node_goes_on_without_losing_or_repeating_a_message(tmp_path: Path) -> None:
    async with relay_at(tmp_path) as relay:
        alice_, bob_ = (make_person(name, tmp_path, relay) for name in ("Alice", "Bob"))
        async with node_of(alice_) as alice:
            group = (await alice.client.create_group("Friends", preset="quick")).id
            process = await start_node(bob_)
            confirmed: list[str] = []
            try:
                async with following("Bob", Client.connect(bob_.folder)) as bob:
                    await admit(alice, bob, group)
                for kill in range(3):
                    async with Client.connect(bob_.folder) as client:
                        enough = asyncio.Event()
                        talking = asyncio.create_task(talk(alice.client, client, group, kill, confirmed, enough))
                        async with asyncio.timeout(SECONDS):
                            await enough.wait()
                        assert await end(process, signal.SIGKILL) == -signal.SIGKILL
                        talking.cancel()
                        await asyncio.gather(talking, return_exceptions=True)
                    process = await start_node(bob_)
                async with following("Bob", Client.connect(bob_.folder)) as bob:
                    await bob.client.send(group, "the last")
                    await alice.client.send(group, "of all")
                    confirmed += ["the last", "of all"]
                    for watch in (alice, bob):
                        for text in confirmed:
                            await watch.until_said(text)
                        seen = await texts_of(watch.client, group)
                        assert len(seen) == len(set(seen))
                    shown = [await one.client.group(group) for one in (alice, bob)]
                    assert shown[0].authenticator == shown[1].authenticator
            finally:
                await end(process)


async def talk(alice: Client, bob: Client, group: str, kill: int, confirmed: list[str], enough: asyncio.Event) -> None:
    for number in range(10_000):
        for name, client in (("alice", alice), ("bob", bob)):
            text = f"{name} {kill}.{number}"
            await client.send(group, text)
            confirmed.append(text)
        if number == 10:
            enough.set()


async def test_a_node_without_its_relay_says_so_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    async with relay_at(tmp_path) as relay:
        port = int(relay.rsplit(":", 1)[1])
        alice_, bob_ = (make_person(name, tmp_path, relay) for name in ("Alice", "Bob"))
    async with node_of(alice_) as alice, node_of(bob_) as bob:
        group = (await alice.client.create_group("Friends", preset="quick")).id
        assert not (await alice.client.node()).relay.connected
        await alice.until_group(group, lambda one: one.sync.state == "offline", "the word that the relay is away")
        await alice.client.send(group, "written offline")
        async with relay_at(tmp_path, port):
            await alice.until(lambda: alice.node is not None and alice.node.relay.connected, "the connection")
            await admit(alice, bob, group)
            await alice.client.send(group, "hello")
            await bob.until_said("hello")
            await bob.until_group(group, lambda one: one.sync.state == "in sync", "being in sync")
        await alice.until_group(group, lambda one: one.sync.state == "offline", "the word that the relay is gone")


async def test_a_contact_is_invited_without_a_link(tmp_path: Path) -> None:
    async with relay_at(tmp_path) as relay:
        alice_, bob_ = (make_person(name, tmp_path, relay) for name in ("Alice", "Bob"))
        async with node_of(alice_) as alice, node_of(bob_) as bob:
            group = (await alice.client.create_group("Friends", preset="quick")).id
            done = await alice.client.invite_contact(group, (await bob.client.contact()).text)
            assert done.proposal is not None
            await bob.until(lambda: any(one.state == "member" for one in bob.groups.values()), "Bob's admission")
            (joined,) = bob.groups.values()
            assert joined.name == "Friends"
            await bob.client.send(joined.id, "thanks")
            await alice.until_said("thanks")


async def test_a_node_refuses_to_start_with_one_sentence(tmp_path: Path) -> None:
    person = make_person("Alice", tmp_path, "ws://127.0.0.1:1")
    wrong = tmp_path / "wrong"
    wrong.write_text("not the password\n")
    right = person.folder / "password"
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = str(taken.getsockname()[1])
    running = await start_node(person)
    try:
        await refuses("in use by another demls node", "--folder", str(person.folder), "--port", "0", password=right)
    finally:
        assert await end(running, signal.SIGINT) == 0
        assert not (person.folder / "api.address").exists()
    await refuses("The password does not open", "--folder", str(person.folder), "--port", "0", password=wrong)
    await refuses("port " + port, "--folder", str(person.folder), "--port", port, password=right)
    await refuses("demls init", "--folder", str(tmp_path / "nothing"), password=right)
    await refuses("setting", "--folder", str(person.folder), "--relay", "http://x", password=right)
    (person.folder / "config.toml").write_text("colour = 'red'\n")
    await refuses("there is no such setting", "--folder", str(person.folder), password=right)
    taken.close()


async def refuses(sentence: str, *arguments: str, password: Path) -> None:
    process = await start("node", *arguments, password=password)
    async with asyncio.timeout(SECONDS):
        said = (await process.communicate())[0].decode()
    assert process.returncode == 1, said
    assert sentence in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1


async def test_rubbish_on_the_api_port_does_no_harm(tmp_path: Path) -> None:
    person = make_person("Alice", tmp_path, "ws://127.0.0.1:1")
    async with node_of(person) as alice:
        url = (person.folder / "api.address").read_text().strip()
        token = (person.folder / "api.token").read_text().strip()
        assert (person.folder / "api.token").stat().st_mode & 0o777 == 0o600
        port = int(url.rsplit(":", 1)[1])
        dice = random.Random(1)
        for number in range(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            beginning = (b"", b"GET /api/v1/", b"POST /api/v1/groups HTTP/1.1\r\nHost: 127.0.0.1\r\n")[number % 3]
            writer.write(beginning + dice.randbytes(dice.randrange(1, 2000)) + b"\r\n\r\n")
            writer.write_eof()
            async with asyncio.timeout(SECONDS):
                answer = await reader.read(65_536)
            assert not answer or answer.split(b" ")[1][:1] == b"4", answer
            writer.close()
        bearer = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            deep = await http.post("/api/v1/groups", content=b"[" * 100_000, headers=bearer)
            assert deep.status_code == 400
        assert (await alice.client.health()).ok


async def test_the_events_socket_is_for_those_who_may(tmp_path: Path) -> None:
    person = make_person("Alice", tmp_path, "ws://127.0.0.1:1")
    async with node_of(person) as alice:
        url = (person.folder / "api.address").read_text().strip()
        token = (person.folder / "api.token").read_text().strip()
        socket_url = f"ws{url.removeprefix('http')}/api/v1/events"
        good = {"authorization": f"Bearer {token}"}
        page = await alice.client.page_address()
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            code = page.split("#")[1]
            answer = await http.post("/api/v1/session", json={"code": code}, headers={"origin": url})
            cookie = answer.headers["set-cookie"].split(";")[0]
        for headers in (
            {},
            {"authorization": "Bearer no"},
            {**good, "origin": "http://evil.example"},
            {**good, "host": "evil.example"},
            {"cookie": cookie},
            {"cookie": cookie, "origin": "http://127.0.0.1:1"},
        ):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(socket_url, additional_headers=headers, proxy=None):
                    pass
            assert refused.value.response.status_code in (400, 403)
        for headers in (good, {"cookie": cookie, "origin": url}):
            async with connect(socket_url, additional_headers=headers, proxy=None) as events:
                assert '"type":"node"' in await events.recv()
        with pytest.raises(InvalidStatus):
            async with connect(f"{socket_url}?after=-1", additional_headers=good, proxy=None):
                pass


async def test_a_client_misses_nothing_across_a_restart_of_the_node(tmp_path: Path) -> None:
    person = make_person("Alice", tmp_path, "ws://127.0.0.1:1")
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def listen() -> None:
        async for news in Client.connect(person.folder).events(after=0):
            if isinstance(news, TimelineNews) and news.entry.kind == "message":
                await heard.put(news.entry.text)

    listening: asyncio.Task[None] | None = None
    texts = []
    try:
        for number in range(3):
            async with node_of(person) as alice:
                if number == 0:
                    group = (await alice.client.create_group("Notes")).id
                    await alice.client.send(group, "before anybody listened")
                    listening = asyncio.create_task(listen())
                    texts.append("before anybody listened")
                await alice.client.send(group, f"note {number}")
                texts.append(f"note {number}")
        async with node_of(person), asyncio.timeout(SECONDS):
            assert [await heard.get() for _ in texts] == texts
        assert heard.empty()
    finally:
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def test_a_wrong_token_is_refused_for_good(tmp_path: Path) -> None:
    person = make_person("Alice", tmp_path, "ws://127.0.0.1:1")
    async with node_of(person):
        url = (person.folder / "api.address").read_text().strip()
        async with Client.at(url, "wrong") as stranger:
            with pytest.raises(RefusedByNode, match="token"):
                await stranger.groups()
            with pytest.raises(RefusedByNode, match="token"):
                async for _ in stranger.events():
                    pass
