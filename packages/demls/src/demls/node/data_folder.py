"""What lies where in a node's data folder?"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from demls.storage.lock import make_private_folder


@dataclass(frozen=True, slots=True)
class DataFolder:
    """All that a node keeps, in one folder that only its owner may read."""

    path: Path

    @property
    def database(self) -> Path:
        return self.path / "demls.sqlite"

    @property
    def keystore(self) -> Path:
        return self.path / "keystore"

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def log(self) -> Path:
        return self.path / "node.log"

    @property
    def token(self) -> Path:
        """The API's bearer token, readable only by its owner."""
        return self.path / "api.token"

    @property
    def address(self) -> Path:
        """Where the running node's API is reached; there is no such file while no node runs."""
        return self.path / "api.address"

    def create(self) -> None:
        """Make the folder if it is not there, and keep others out of it. Raises OSError."""
        make_private_folder(self.path)

    def read_or_make_token(self) -> str:
        """The API token; made at the first start."""
        try:
            token = self.token.read_text("ascii").strip()
        except FileNotFoundError:
            token = ""
        if token:
            return token
        token = secrets.token_urlsafe(32)
        write_private(self.token, token + "\n")
        return token


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` as a whole by ``text``, readable only by its owner."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
