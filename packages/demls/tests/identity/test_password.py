"""Passwords: from a file, a descriptor or a prompt; never shown; cleared."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from demls.identity.errors import PasswordUnavailable
from demls.identity.password import PASSWORD_FILE_VARIABLE, Password, read_password


def answers(*texts: str) -> Callable[[str], str]:
    waiting = list(texts)
    return lambda _: waiting.pop(0)


def from_file(path: Path | str, *, is_new: bool = False) -> Password:
    return read_password(is_new=is_new, environment={PASSWORD_FILE_VARIABLE: str(path)}, prompt=None)


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"secret", b"secret"),
        (b"secret\n", b"secret"),
        (b"secret\r\n", b"secret"),
        (b" spaces stay \n", b" spaces stay "),
        (b"two\nlines\n", b"two\nlines"),
    ],
)
def test_a_file_gives_the_password_without_its_last_newline(tmp_path: Path, content: bytes, password: bytes) -> None:
    (tmp_path / "password").write_bytes(content)
    assert from_file(tmp_path / "password").reveal() == password


def test_an_inherited_descriptor_gives_the_password() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"through a pipe\n")
    os.close(writer)
    assert from_file(f"fd:{reader}").reveal() == b"through a pipe"


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 1_025])
def test_a_file_without_a_usable_password_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "password").write_bytes(content)
    with pytest.raises(PasswordUnavailable, match="The password file"):
        from_file(tmp_path / "password")


@pytest.mark.parametrize("name", ["missing", "fd:99999", "."])
def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path, name: str) -> None:
    source = name if name.startswith("fd:") else str(tmp_path / name)
    with pytest.raises(PasswordUnavailable, match="cannot be read"):
        from_file(source)


def test_a_prompt_is_asked_once_for_an_old_and_twice_for_a_new_password() -> None:
    assert read_password(is_new=False, environment={}, prompt=answers("öld")).reveal() == "öld".encode()
    assert read_password(is_new=True, environment={}, prompt=answers("long enough", "long enough"))
    with pytest.raises(PasswordUnavailable, match="differ"):
        read_password(is_new=True, environment={}, prompt=answers("long enough", "long enouhg"))


def test_a_new_password_has_a_least_length_wherever_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"short")
    with pytest.raises(PasswordUnavailable, match="too short"):
        from_file(tmp_path / "password", is_new=True)
    with pytest.raises(PasswordUnavailable, match="too short"):
        read_password(is_new=True, environment={}, prompt=answers("short", "short"))


def test_without_file_and_terminal_people_are_told_what_to_do() -> None:
    with pytest.raises(PasswordUnavailable, match=PASSWORD_FILE_VARIABLE):
        read_password(is_new=False, environment={}, prompt=None)


@pytest.mark.parametrize("raised", [EOFError, KeyboardInterrupt])
def test_a_prompt_that_is_left_is_a_sentence(raised: type[BaseException]) -> None:
    def leave(_: str) -> str:
        raise raised

    with pytest.raises(PasswordUnavailable, match="No password was given"):
        read_password(is_new=False, environment={}, prompt=leave)


@pytest.mark.parametrize("text", ["", "\ud800", "x" * 1_025])
def test_what_is_typed_and_is_no_password_is_a_sentence(text: str) -> None:
    with pytest.raises(PasswordUnavailable):
        read_password(is_new=False, environment={}, prompt=answers(text))


def test_a_password_is_not_shown_and_is_cleared() -> None:
    with Password(b"secret") as password:
        assert "secret" not in repr(password)
        assert password == Password(b"secret")
        assert password != Password(b"other")
        assert len(password) == 6
    assert password.reveal() == b""
