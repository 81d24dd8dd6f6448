"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FolderOption = Annotated[
    Path | None,
    typer.Option("--folder", envvar="DEMLS_FOLDER", help="The data folder.", show_default="the system's usual place"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
GroupArgument = Annotated[str, typer.Argument(help="The group's name, or its id or the beginning of it.")]
