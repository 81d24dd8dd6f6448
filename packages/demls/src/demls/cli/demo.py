"""``demls demo``: a story between processes of their own, which all end with it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from pathlib import Path

from demls.cli.cast import Narrator, Stage, Story
from demls.cli.output import say
from demls.cli.processes import DemoFailed
from demls.cli.stories import STORIES


def find_story(name: str) -> Story:
    """Raises DemoFailed."""
    if name not in STORIES:
        raise DemoFailed(f"There is no story “{name}”: say one of {', '.join(STORIES)}.")
    return STORIES[name]


def tell_stories() -> None:
    """The list of all stories, the default first."""
    width = max(map(len, STORIES))
    for story in STORIES.values():
        say(f"{story.name:<{width}}  {story.sentence}")


async def run_demo(folder: Path | None, story: Story, *, is_fast: bool, stays: bool) -> None:
    """Play, then stay until Ctrl-C if it ``stays``. Its processes end with it. Raises DemoFailed, ClientError."""
    _cancel_once(asyncio.current_task())
    with contextlib.ExitStack() as stack:
        place = _place(folder, stack)
        with contextlib.suppress(asyncio.CancelledError):
            await _run(place, Narrator(is_fast=is_fast), story, stays=stays)
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


async def _run(place: Path, narrator: Narrator, story: Story, *, stays: bool) -> None:
    async with contextlib.AsyncExitStack() as stack:
        say(story.processes)
        afterwards = await story.play(Stage(place, narrator, stack))
        say("\nThe story is over, and everything it claims was checked.")
        if stays:
            await (afterwards or _wait)()


async def _wait() -> None:
    say("\nThe nodes go on, and their pages show what came of it. Ctrl-C ends the demo.")
    await asyncio.Event().wait()
