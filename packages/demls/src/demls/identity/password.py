"""Where does the password come from? From a prompt, or from the file that DEMLS_PASSWORD_FILE names; never from argv.

Arguments and plain environment variables are visible to other programs and end in histories and crash reports; a file
(or an inherited file descriptor, ``fd:3``) is not.
"""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from demls.identity.errors import PasswordUnavailable

PASSWORD_FILE_VARIABLE = "DEMLS_PASSWORD_FILE"  # noqa: S105 (a variable's name)
PASSWORD_BYTES_MAX = 1024
NEW_PASSWORD_BYTES_MIN = 8

_DESCRIPTOR = re.compile(r"fd:([0-9]{1,6})")


class Password:
    """A password in memory, overwritten by ``clear`` or at the end of a ``with``.

    Python and the key derivation make copies that cannot be reached; clearing shortens the time the original lies
    there, no more.
    """

    __slots__ = ("_buffer",)

    def __init__(self, value: bytes | bytearray) -> None:
        self._buffer = bytearray(value)

    def __repr__(self) -> str:
        return "Password(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Password) and self._buffer == other._buffer

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._buffer)

    def reveal(self) -> bytes:
        """The bytes, UTF-8, for a key derivation. Do not keep them."""
        return bytes(self._buffer)

    def clear(self) -> None:
        """Overwrite the bytes with zeros and empty the password."""
        for place in range(len(self._buffer)):
            self._buffer[place] = 0
        self._buffer.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()


def read_password(
    *,
    is_new: bool,
    environment: Mapping[str, str],
    prompt: Callable[[str], str] | None = getpass.getpass,
) -> Password:
    """The password, from the file that ``environment`` names in DEMLS_PASSWORD_FILE, else from ``prompt``.

    ``is_new``: asks twice and refuses fewer than 8 bytes. ``prompt`` None: nobody is there to ask.
    Raises PasswordUnavailable.
    """
    source = environment.get(PASSWORD_FILE_VARIABLE)
    if source:
        password = _from_file(source)
    elif prompt is None:
        raise PasswordUnavailable(
            f"There is no terminal to ask for the password; put it into a file and name the file in "
            f"{PASSWORD_FILE_VARIABLE}."
        )
    else:
        password = _from_prompt(prompt, is_new=is_new)
    if is_new and len(password) < NEW_PASSWORD_BYTES_MIN:
        password.clear()
        raise PasswordUnavailable(
            f"This password is too short; choose at least {NEW_PASSWORD_BYTES_MIN} characters, or a few random words."
        )
    return password


def _from_file(source: str) -> Password:
    """``source``: a path, or fd: and the number of an inherited descriptor. One newline at the end is left out."""
    inherited = _DESCRIPTOR.fullmatch(source)
    target: str | int = int(inherited[1]) if inherited else source
    raw = bytearray()
    try:
        with open(target, "rb", buffering=0) as file:  # noqa: PTH123 (a descriptor has no path)
            while len(raw) <= PASSWORD_BYTES_MAX and (piece := file.read(PASSWORD_BYTES_MAX + 1)):
                raw += piece
    except OSError as problem:
        raise PasswordUnavailable(
            f"The password file “{source}” cannot be read ({problem.strerror}); "
            f"correct {PASSWORD_FILE_VARIABLE} or the file's permissions."
        ) from problem
    if len(raw) > PASSWORD_BYTES_MAX:
        raise PasswordUnavailable(
            f"The password file “{source}” is longer than {PASSWORD_BYTES_MAX} bytes; is it the right file?"
        )
    if raw.endswith(b"\n"):
        del raw[-2 if raw.endswith(b"\r\n") else -1 :]
    if not raw:
        raise PasswordUnavailable(f"The password file “{source}” is empty; write the password into it.")
    password = Password(raw)
    raw[:] = bytes(len(raw))
    return password


def _from_prompt(prompt: Callable[[str], str], *, is_new: bool) -> Password:
    try:
        text = prompt("New password: " if is_new else "Password: ")
        if is_new and prompt("The same again: ") != text:
            raise PasswordUnavailable("The two passwords differ; try again.")
    except (EOFError, KeyboardInterrupt) as problem:
        raise PasswordUnavailable("No password was given; start again when you have it.") from problem
    if not text:
        raise PasswordUnavailable("The password is empty; type it and press Enter.")
    try:
        raw = text.encode()
    except UnicodeEncodeError as problem:
        raise PasswordUnavailable("The password has characters that are not text; type it again.") from problem
    if len(raw) > PASSWORD_BYTES_MAX:
        raise PasswordUnavailable(f"The password is longer than {PASSWORD_BYTES_MAX} bytes; choose a shorter one.")
    return Password(raw)


def environment_password(*, is_new: bool = False) -> Password:
    """``read_password`` with this process's environment and terminal; the prompt only if there is a terminal."""
    has_terminal = os.isatty(0)
    return read_password(is_new=is_new, environment=os.environ, prompt=getpass.getpass if has_terminal else None)
