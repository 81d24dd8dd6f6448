"""``demls demo``: a relay and three nodes in processes of their own, the story, then a seat for the visitor."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from demls.cli.output import line, say
from demls.cli.processes import DemoFailed, Person, make_person, node_process, relay_process
from demls.cli.story import Cast, Narrator, play
from demls.cli.watch import Watch, following
from demls.client import Client, RefusedByNode

NAMES = ("Alice", "Bob", "Carol")
OPENING_SECONDS = 8.0


async def run_demo(folder: Path | None, *, is_fast: bool, stays: bool) -> None:
    """Play, then stay until Ctrl-C if it ``stays``. Its processes end with it. Raises DemoFailed, ClientError."""
    _cancel_once(asyncio.current_task())
    with contextlib.ExitStack() as stack:
        place = _place(folder, stack)
        with contextlib.suppress(asyncio.CancelledError):
            await _run(place, Narrator(is_fast=is_fast), stays=stays)
            return
        if not stays:
            raise DemoFailed("The demo was stopped before its end.")
        say("\nThe demo ends; its processes are stopped.")


def _cancel_once(task: asyncio.Task[None] | None) -> None:
    """The first signal ends the demo; further ones must not disturb the stopping of its processes."""
    assert task is not None
    loop = asyncio.get_running_loop()
    signals = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

    def cancel() -> None:
        for number in signals:
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    for number in signals:
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt
            loop.add_signal_handler(number, cancel)


def _place(folder: Path | None, stack: contextlib.ExitStack) -> Path:
    if folder is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="demls-demo-")))
    if folder.exists() and any(folder.iterdir()):
        raise DemoFailed(f"{folder} is not empty. Give the demo a folder of its own.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


async def _run(place: Path, narrator: Narrator, *, stays: bool) -> None:
    async with contextlib.AsyncExitStack() as stack:
        say("A relay and three nodes are starting…")
        relay = await stack.enter_async_context(relay_process(place))
        made = await asyncio.gather(*(asyncio.to_thread(make_person, name, place, relay) for name in NAMES))
        people: dict[str, Person] = {person.name: person for person in made}
        # One exit stack cannot be entered from several tasks; the processes start side by side all the same.
        pages = await _start_nodes(stack, made)
        say("\nOpen these pages to see what each of them sees:\n")
        for person, page in zip(made, pages, strict=True):
            say(f"  {person.name:<6} {page}")
        await narrator.pause(OPENING_SECONDS)
        alice, bob, carol = [
            await stack.enter_async_context(following(person.name, Client.connect(person.folder))) for person in made
        ]
        cast = Cast(people, alice, bob, carol, relay, place)
        group = await play(cast, narrator)
        say("\nThe story is over, and everything it claims was checked.")
        if stays:
            await _host(cast, group)


async def _start_nodes(stack: contextlib.AsyncExitStack, people: list[Person]) -> list[str]:
    contexts = [node_process(person) for person in people]
    pages = await asyncio.gather(*(context.__aenter__() for context in contexts), return_exceptions=True)
    for context, page in zip(contexts, pages, strict=True):
        if not isinstance(page, BaseException):
            stack.push_async_exit(context)
    for page in pages:
        if isinstance(page, BaseException):
            raise page
    return [str(page) for page in pages]


async def _host(cast: Cast, group: str) -> None:
    """The fourth seat: a link for the visitor, and Alice's and Bob's votes for whoever asks with it."""
    say("\nThe fourth seat is yours. In another terminal:\n")
    say(f"  demls init --folder ~/demls-visitor --relay {cast.relay}")
    say("  demls node --folder ~/demls-visitor --port 0")
    say("\nOpen the page it prints, choose “Join”, and paste this invite link; Alice and Bob will vote yes:\n")
    say((await cast.alice.client.invite(group)).text)
    say("\n(Or: demls group join --folder ~/demls-visitor. Ctrl-C ends the demo.)\n")
    async with asyncio.TaskGroup() as tasks:
        for watch in (cast.alice, cast.bob):
            tasks.create_task(_welcome(watch, group))
        tasks.create_task(_echo(cast.alice, group))


async def _welcome(watch: Watch, group: str) -> None:
    """Vote yes on everybody who asks with a link; each link is good for one person, so the next is printed."""
    members = watch.groups[group].members

    def waiting_for_me() -> list[str]:
        return [
            card.id
            for card in watch.groups[group].proposals
            if card.kind == "invite" and card.status == "open" and card.may_vote and card.my_vote is None
        ]

    def is_news(known: int) -> bool:
        return bool(waiting_for_me()) or watch.groups[group].members != known

    while True:
        await watch.wait_for(partial(is_news, members))
        for proposal in waiting_for_me():
            with contextlib.suppress(RefusedByNode):  # decided in the meantime
                await watch.client.vote(group, proposal, yes=True)
            await watch.wait_for(partial(_is_gone, proposal, waiting_for_me))
        shown = watch.groups[group]
        if watch.name == "Alice" and shown.members > members:
            say(f"\nOne more link, for one more person:\n{(await watch.client.invite(group)).text}\n")
        members = shown.members


def _is_gone(proposal: str, waiting: Callable[[], list[str]]) -> bool:
    return proposal not in waiting()


async def _echo(watch: Watch, group: str) -> None:
    told = len(watch.lines)
    while True:
        await watch.wait_for(partial(_has_more, watch, told))
        for entry in watch.lines[told:]:
            told += 1
            if entry.group == group:
                say(f"  {line(entry)}")


def _has_more(watch: Watch, told: int) -> bool:
    return len(watch.lines) > told
