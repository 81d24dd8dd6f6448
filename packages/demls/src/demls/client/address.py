"""Where is the node? The data folder, and the address and token that its node leaves there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from demls.client.errors import NodeNotRunning


@dataclass(frozen=True, slots=True)
class Address:
    """Where a node's API is and the token that opens it."""

    url: str
    token: str

    def __repr__(self) -> str:
        return f"Address({self.url!r})"


def find_node(folder: Path) -> Address:
    """The running node of a data folder. Raises NodeNotRunning."""
    try:
        url = (folder / "api.address").read_text("ascii").strip()
        token = (folder / "api.token").read_text("ascii").strip()
    except FileNotFoundError:
        raise NodeNotRunning(f"No node is running in {folder}. Start it with “demls node --folder {folder}”.") from None
    except OSError as problem:
        raise NodeNotRunning(
            f"{problem.filename} cannot be read ({problem.strerror}). Correct its permissions."
        ) from None
    return Address(url, token)


def data_folder(folder: str | Path | None) -> Path:
    """The data folder: ``folder``, else DEMLS_FOLDER, else the usual place of this operating system."""
    given = folder or os.environ.get("DEMLS_FOLDER")
    if given:
        return Path(given).expanduser()
    import platformdirs  # noqa: PLC0415 (seldom needed)

    return Path(platformdirs.user_data_dir("demls", appauthor=False))
