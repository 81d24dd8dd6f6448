"""Memory is given back after large steps, where the system can be told to."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from demls.node import memory
from demls.protocol.effects import Change


def test_only_large_steps_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Mock()
    monkeypatch.setattr(memory, "_library", lambda: library)
    assert not memory.give_back([])
    assert not memory.give_back([Change(b"small", b"x"), Change(b"gone", None)])
    library.malloc_trim.assert_not_called()
    half = bytes(memory.LARGE_STEP_BYTES // 2)
    assert memory.give_back([Change(b"one", half), Change(b"other", half)])
    library.malloc_trim.assert_called_once_with(0)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_library", lambda: None)
    assert not memory.give_back([Change(b"large", bytes(memory.LARGE_STEP_BYTES))])


def test_the_real_library_takes_it() -> None:
    memory.give_back([Change(b"large", bytes(memory.LARGE_STEP_BYTES))])
