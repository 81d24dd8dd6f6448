"""What does a real node do on a real machine? Processes over a relay, asked and watched through their API.

    python bench node [--members 50] [--messages 2000] [--groups 50] [--json FILE]

How many messages a second one node of a group of 50 takes in and shows (the others are machines in this process, on the
same relay); from ``send`` to the other node's event, and from the key press to the other page where Chromium and the
page are there; start-up; memory at rest; many groups on one node. See README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from contextlib import AsyncExitStack
from importlib.resources import files
from pathlib import Path
from statistics import median, quantiles

from demls.api.models import GroupState
from demls.cli.processes import Person, Program, make_person, node_program, relay_address, relay_program
from demls.cli.watch import Watch, following
from demls.client import Client
from demls.protocol.policy import DAY, HOUR, QUICK
from demls.transport.relay_client import RelayTransport
from demls.wire.ids import Cursor, Duration, Instant, Topic
from demls.wire.links import invite_text
from leaves import make
from people import People
from playwright.async_api import async_playwright
from report import Result, add_arguments, publish, say

SENDS = 50
STARTS = 3
REST_SECONDS = 3.0
WAIT_SECONDS = 300.0
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_STEWARDS = 7


def now() -> Instant:
    return Instant(time.time_ns() // 1_000_000)


def resident(program: Program) -> int:
    """Bytes of memory of the process; 0 where the system does not tell."""
    assert program._process is not None
    try:
        lines = Path(f"/proc/{program._process.pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)


def processor_seconds(program: Program) -> float:
    """So long the process has computed; 0 where the system does not tell."""
    assert program._process is not None
    try:
        fields = Path(f"/proc/{program._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / 100


class Others:
    """All members of a group but the measured one: machines in this process, on the relay with real time."""

    def __init__(self, size: int, relay: str) -> None:
        leaves = make(size, policy=QUICK, leading=size, ordinary=0, start=Instant(now() - HOUR))
        self.people = People(leaves, stewards=min(_STEWARDS, size))
        self.people.now = now()
        self._relay = relay
        self._transport = RelayTransport(relay)
        self._topics: set[Topic] = set()
        self._told: dict[Topic, int] = {}
        self._own: set[bytes] = set()

    async def start(self) -> None:
        await self._transport.start()
        await self._tell()

    async def close(self) -> None:
        await self._transport.close()

    def invite(self) -> str:
        group = self.people.members()[0].group
        assert group is not None
        link, _ = group.invite(relay=self._relay, lifetime=Duration(DAY), now=now())
        return invite_text(link)

    async def admit(self) -> None:
        """Do what the network brings, and vote yes, until somebody has joined."""
        before = self.people.size()
        while self.people.size() == before:
            try:
                async with asyncio.timeout(0.2):
                    delivery = await self._transport.receive()
            except TimeoutError:
                delivery = None
            self.people.now = now()
            if delivery is not None and delivery.payload not in self._own:
                self.people.broadcast(delivery.topic, delivery.payload)
                self._told[delivery.topic] = len(self.people._log[delivery.topic])
                self.people._deliver()
            self.people.vote()
            for member in self.people.members():
                if member.deadline is not None and member.deadline <= now():
                    machine = member.machine
                    assert machine is not None
                    self.people._step(member, lambda m=machine: m.tick(now()))
            self.people._deliver()
            await self._tell()

    async def _tell(self) -> None:
        """Publish what the machines have said, and listen where they do."""
        for topic in {topic for member in self.people.members() for topic in member.machine.topics()} - self._topics:
            self._topics.add(topic)
            self._transport.subscribe(topic, Cursor(b""))
        for topic, said in list(self.people._log.items()):
            for payload in said[self._told.get(topic, 0) :]:
                self._own.add(payload)
                await self._transport.publish(topic, payload)
            self._told[topic] = len(said)

    def talk(self, messages: int) -> list[tuple[Topic, bytes]]:
        """So many messages in turn, as envelopes; they are read by the measured node alone."""
        envelopes = []
        members = self.people.members()
        for number in range(messages):
            member = members[number % len(members)]
            group = member.group
            assert group is not None
            effects = group.send(f"message {number}", now())
            envelopes += [(envelope.topic, envelope.payload) for envelope in effects.outbound]
        return envelopes

    async def say(self, envelopes: list[tuple[Topic, bytes]]) -> None:
        async with asyncio.TaskGroup() as group:
            for topic, payload in envelopes:
                group.create_task(self._transport.publish(topic, payload))


async def throughput(place: Path, members: int, messages: int) -> Result:
    """How many messages a second go through one node, in and out."""
    async with AsyncExitStack() as stack:
        relay, _ = await _relay(place, stack)
        person = make_person("Reader", place, relay)
        program = await _started(node_program(person), stack)
        others = Others(members - 1, relay)
        stack.push_async_callback(others.close)
        await others.start()
        watch = await stack.enter_async_context(following("Reader", Client.connect(person.folder)))
        shown = await watch.client.join(others.invite())
        await others.admit()
        await watch.until_group(shown.id, lambda one: one.state is GroupState.MEMBER, "the admission")
        say(f"{messages} messages to one node")
        envelopes = others.talk(messages)
        counted = _texts(watch)
        computed, began = processor_seconds(program), time.monotonic()
        saying = asyncio.create_task(others.say(envelopes))
        async with asyncio.timeout(WAIT_SECONDS):
            await watch.wait_for(lambda: _texts(watch) >= counted + messages)
        took = time.monotonic() - began
        computed = processor_seconds(program) - computed
        await saying
        sent, began = max(1, messages // 10), time.monotonic()
        for number in range(sent):
            await watch.client.send(shown.id, f"answer {number}")
        return {
            "members": members,
            "messages": messages,
            "received_per_second": round(messages / took, 1),
            "cpu_ms_per_message": round(1000 * computed / messages, 3),
            "sent_per_second": round(sent / (time.monotonic() - began), 1),
        }


async def latency(place: Path, sends: int) -> Result:
    """Two nodes: from ``send`` at the one to the event at the other; in pages, if they and a browser are there."""
    async with AsyncExitStack() as stack:
        relay, _ = await _relay(place, stack)
        people = [make_person(name, place, relay) for name in ("Alice", "Bob")]
        for person in people:
            await _started(node_program(person), stack)
        alice, bob = [
            await stack.enter_async_context(following(person.name, Client.connect(person.folder))) for person in people
        ]
        group = await alice.client.create_group("Bench", preset="quick")
        await bob.client.join((await alice.client.invite(group.id)).text)
        await alice.until_group(group.id, lambda one: any(p.may_vote for p in one.proposals), "the request")
        shown = alice.groups[group.id]
        await alice.client.vote(group.id, next(p.id for p in shown.proposals if p.may_vote), yes=True)
        await bob.until_group(group.id, lambda one: one.state is GroupState.MEMBER, "the admission")
        took = []
        for number in range(sends):
            text, began = f"hello {number}", time.monotonic()
            arrived = asyncio.create_task(_heard(bob, text))
            await alice.client.send(group.id, text)
            async with asyncio.timeout(WAIT_SECONDS):
                took.append((await arrived - began) * 1000)
        return {"send_to_event_ms": _spread(took)} | await _in_pages(people, sends)


async def _heard(watch: Watch, text: str) -> float:
    await watch.wait_for(lambda: any(line.text == text for line in watch.lines[-4:]))
    return time.monotonic()


async def _in_pages(people: list[Person], sends: int) -> Result:
    chromium = next((found for name in _CHROMIUM if (found := shutil.which(name))), None)
    if chromium is None or not files("demls.node").joinpath("page", "index.html").is_file():
        return {"key_to_screen_ms": None, "why": "Chromium or the built page is not there"}
    async with async_playwright() as playwright, AsyncExitStack() as stack:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        stack.push_async_callback(browser.close)
        pages = []
        for person in people:
            async with Client.connect(person.folder) as client:
                address = await client.page_address()
            page = await (await browser.new_context()).new_page()
            await page.goto(address)
            await page.get_by_text("Bench").first.click()
            pages.append(page)
        took = []
        for number in range(sends):
            text = f"from the page {number}"
            await pages[0].get_by_test_id("composer").fill(text)
            began = time.monotonic()
            await pages[0].keyboard.press("Enter")
            await pages[1].get_by_text(text, exact=True).first.wait_for()
            took.append((time.monotonic() - began) * 1000)
        return {"key_to_screen_ms": _spread(took)}


async def starting(place: Path, groups: int) -> Result:
    """Start-up, memory at rest, and both again with many groups."""
    async with AsyncExitStack() as stack:
        relay, _ = await _relay(place, stack)
        person = make_person("Carol", place, relay)
        empty, memory = await _starts(person)
        program = node_program(person)
        await program.start()
        began = time.monotonic()
        async with Client.connect(person.folder) as client:
            for number in range(groups):
                await client.create_group(f"Group {number}", preset="day")
        making = (time.monotonic() - began) * 1000 / groups
        await program.stop()
        full, full_memory = await _starts(person)
        return {
            "start_ms": empty,
            "memory_bytes": memory,
            "groups": groups,
            "create_group_ms": round(making, 1),
            "start_with_groups_ms": full,
            "memory_with_groups_bytes": full_memory,
        }


async def _starts(person: Person) -> tuple[float, int]:
    """(ms from the start of the process until its API answers, the smallest of some; bytes of memory at rest)."""
    took, memory = [], 0
    for _ in range(STARTS):
        program, began = node_program(person), time.monotonic()
        await program.start()
        try:
            async with Client.connect(person.folder) as client:
                await client.groups()
            took.append((time.monotonic() - began) * 1000)
            await asyncio.sleep(REST_SECONDS)
            memory = resident(program)
        finally:
            await program.stop()
    return round(min(took), 1), memory


async def _relay(place: Path, stack: AsyncExitStack) -> tuple[str, Program]:
    program = relay_program(place)
    stack.push_async_callback(program.stop)
    return relay_address(await program.start()), program


async def _started(program: Program, stack: AsyncExitStack) -> Program:
    stack.push_async_callback(program.stop)
    await program.start()
    return program


def _texts(watch: Watch) -> int:
    return sum(1 for line in watch.lines if line.kind == "message")


def _spread(took: list[float]) -> Result:
    cuts = quantiles(took, n=20) if len(took) > 1 else took * 20
    return {"median": round(median(took), 1), "p95": round(cuts[18], 1)}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench node", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=50, metavar="N")
    parser.add_argument("--messages", type=int, default=2_000, metavar="M")
    parser.add_argument("--groups", type=int, default=50, metavar="G")
    add_arguments(parser)
    arguments = parser.parse_args()
    result: Result = {}
    sends = arguments.runs or SENDS
    parts = {
        "throughput": lambda place: throughput(place, arguments.members, arguments.messages),
        "latency": lambda place: latency(place, sends),
        "starting": lambda place: starting(place, arguments.groups),
    }
    for name, part in parts.items():
        say(name)
        with tempfile.TemporaryDirectory(prefix="demls-bench-") as folder:
            result[name] = asyncio.run(part(Path(folder)))
    publish("node", [result], columns=[], file=arguments.json)


if __name__ == "__main__":
    main()
