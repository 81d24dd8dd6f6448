"""The command ``demls``: which commands there are, and how a refusal ends: one sentence, exit code 1."""

from __future__ import annotations

import os
import sys
import traceback
from typing import NoReturn

import typer

from demls.cli import groups, people, running, simulate

app = typer.Typer(
    name="demls",
    help="Group messaging that nobody owns: end-to-end encrypted groups, governed by their members' votes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
running.add_to(app)
people.add_to(app)
groups.add_to(app)
simulate.add_to(app)


def main() -> None:
    """The entry point of the program."""
    try:
        app()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as problem:
        if os.environ.get("DEMLS_DEBUG"):
            traceback.print_exc()
        fail(_sentence(problem))


def fail(sentence: str) -> NoReturn:
    """End the program with a sentence on stderr."""
    print(f"demls: {sentence}", file=sys.stderr)
    sys.exit(1)


def _sentence(problem: Exception) -> str:
    from demls.client.errors import ClientError  # noqa: PLC0415 (only when something is wrong)
    from demls.node.errors import NodeError  # noqa: PLC0415
    from demls.protocol.errors import DemlsError  # noqa: PLC0415
    from demls.transport.base import TransportError  # noqa: PLC0415

    known = (ClientError, NodeError, DemlsError, TransportError)
    if isinstance(problem, known):
        return str(problem)
    if isinstance(problem, ExceptionGroup):
        return _sentence(problem.exceptions[0])
    if isinstance(problem, OSError) and problem.strerror:
        where = f"{problem.filename}: " if problem.filename else ""
        return f"{where}{problem.strerror}. Correct that and try again."
    return (
        f"Something went wrong inside demls ({type(problem).__name__}: {problem}). "
        "Please report it; with DEMLS_DEBUG=1 in the environment you see where it happened."
    )


if __name__ == "__main__":
    main()
