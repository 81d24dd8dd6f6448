"""Who plays the villain? A member whose node is really malicious: the one of the folder ``rogue`` of a checkout."""

from __future__ import annotations

import os
from pathlib import Path

import demls
from demls.cli.cast import Player, Seat
from demls.cli.processes import DemoFailed

BAD = "Mallory"
FOLDER_VARIABLE = "DEMLS_ROGUE"


def rogue_folder() -> Path:
    """Where the malicious node lies: beside the packages of a checkout. Raises DemoFailed."""
    beside = Path(demls.__file__).resolve().parents[4] / "rogue"
    folder = Path(os.environ.get(FOLDER_VARIABLE) or beside).expanduser().resolve()
    if not (folder / "node.py").is_file():
        raise DemoFailed(
            "The malicious node of this story is no part of the installed package. Run the story from a checkout of "
            f"the repository, or name its folder “rogue” in {FOLDER_VARIABLE}."
        )
    return folder


def rogue_seat(relay: str, *strategies: str) -> Seat:
    """Mallory's seat; ``strategies``: how she leads, each as ``GROUP=NAME``. Raises DemoFailed."""
    folder = rogue_folder()
    module = ("rogue.node", *(word for strategy in strategies for word in ("--strategy", strategy)))
    path = os.pathsep.join(filter(None, (str(folder.parent), os.environ.get("PYTHONPATH"))))
    return Seat(BAD, relay, module=module, environment=(("PYTHONPATH", path),))


async def cheat(bad: Player, group: str, deed: str) -> None:
    """Have her do a deed of ``rogue.deeds``: she types it instead of a message."""
    await bad.client.send(group, f"cheat: {deed}")
