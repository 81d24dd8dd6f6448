"""The commands that set up and run things: init, node, relay, demo, version."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from demls.cli.options import FolderOption, JsonOption
from demls.cli.output import say

LIST = "list"


class WithStories(TyperCommand):
    """``--story`` without a name asks for the list."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for place, argument in enumerate(args):
            if argument == "--story" and (place + 1 == len(args) or args[place + 1].startswith("-")):
                args = [*args[: place + 1], LIST, *args[place + 1 :]]
                break
        return super().parse_args(ctx, args)


def add_to(app: typer.Typer) -> None:
    for command in (init, node, relay):
        app.command()(command)
    app.command(cls=WithStories)(demo)
    app.command()(version)


def init(
    folder: FolderOption = None,
    name: Annotated[str | None, typer.Option(help="What you call yourself.")] = None,
    relay: Annotated[str | None, typer.Option(help="The relay to use, such as wss://relay.example.org.")] = None,
    import_key: Annotated[
        bool, typer.Option("--import-key", help="Use an existing wallet: its key is asked for, 64 hexadecimal digits.")
    ] = False,
    import_keystore: Annotated[
        Path | None, typer.Option(help="Use an existing wallet: an Ethereum keystore file, its password is asked for.")
    ] = None,
) -> None:
    """Set up a data folder: a new wallet (or an imported one) and the settings."""
    from demls.cli.setup import set_up  # noqa: PLC0415 (commands start faster)

    set_up(folder, name, relay, import_key=import_key, import_keystore=import_keystore)


def node(
    folder: FolderOption = None,
    relay: Annotated[str | None, typer.Option(help="The relay, if not the one in config.toml.")] = None,
    port: Annotated[int | None, typer.Option(help="The API's port; 0: any free one.")] = None,
    host: Annotated[str | None, typer.Option(help="The address the API listens on.")] = None,
) -> None:
    """Run the node; it prints the address of its page."""
    import asyncio  # noqa: PLC0415

    from demls.client.address import data_folder  # noqa: PLC0415
    from demls.identity.password import environment_password  # noqa: PLC0415
    from demls.node.data_folder import DataFolder  # noqa: PLC0415
    from demls.node.program import check_is_set_up, run_node  # noqa: PLC0415
    from demls.node.settings import read_settings  # noqa: PLC0415

    place = DataFolder(data_folder(folder))
    check_is_set_up(place)
    settings = read_settings(place.config, relay=relay, api_port=port, api_host=host)
    password = environment_password()

    def announce(address: str, page: str) -> None:
        say(f"The node is ready at {address}; stop it with Ctrl-C.")
        say(f"Its page: {page}")
        say("This address opens the page once; “demls page” prints a fresh one.")

    asyncio.run(run_node(place, settings, password, announce))


def relay(
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 or :: for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0: any free one.")] = 7373,
    log: Annotated[
        Path | None,
        typer.Option(help="The file that keeps the envelopes.", show_default="in the data folder"),
    ] = None,
) -> None:
    """Run a relay: it keeps sealed envelopes and hands them on; it can read none."""
    import asyncio  # noqa: PLC0415

    from demls.cli.relay import run_relay  # noqa: PLC0415
    from demls.client.address import data_folder  # noqa: PLC0415

    asyncio.run(run_relay(host, port, log or data_folder(None) / "relay.sqlite"))


def demo(
    folder: Annotated[
        Path | None, typer.Option(help="Where to keep everything.", show_default="a temporary folder")
    ] = None,
    story: Annotated[
        str,
        typer.Option(
            "--story",
            help="Which story; without a name they are listed.",
            metavar="[NAME]",
        ),
    ] = "reading-circle",
    fast: Annotated[bool, typer.Option("--fast", help="Play at full speed.")] = False,
    stay: Annotated[
        bool | None, typer.Option(help="Keep a seat for you after it.", show_default="on a terminal")
    ] = None,
) -> None:
    """Play a story between real processes, checked as it goes: the life of a group, and a seat for you; or others."""
    import asyncio  # noqa: PLC0415

    from demls.cli.demo import find_story, run_demo, tell_stories  # noqa: PLC0415

    if story == LIST:
        tell_stories()
        return
    has_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    stays = has_terminal and not fast if stay is None else stay
    asyncio.run(run_demo(folder, find_story(story), is_fast=fast or not has_terminal, stays=stays))


def version(as_json: JsonOption = False) -> None:
    """Print the version."""
    from demls.api.version import API_VERSION, release  # noqa: PLC0415

    if as_json:
        say(f'{{"release": "{release()}", "api": "{API_VERSION}", "python": "{sys.version.split()[0]}"}}')
    else:
        say(f"demls {release()} (API {API_VERSION})")
