"""Does the law of a target hold for an input? Failures, each kind once, and the plain loop of seeded mutations."""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

KINDS_MAX = 16
"""Failures of one target that are told; each is of another kind or at another place."""


class Broken(AssertionError):
    """The law of a target does not hold."""


@dataclass(frozen=True)
class Failure:
    """An input that breaks the law of a target."""

    target: str
    data: bytes
    text: str

    def save(self, folder: Path) -> Path:
        """Keep the input, under a name that says which it is."""
        folder.mkdir(exist_ok=True)
        path = folder / f"{self.target}-{hashlib.sha256(self.data).hexdigest()[:12]}"
        path.write_bytes(self.data)
        return path

    @classmethod
    def read_all(cls, folder: Path) -> list[Failure]:
        """What a process left in its folder."""
        return [
            cls(folder.name, path.read_bytes(), path.with_suffix(".text").read_text())
            for path in sorted(folder.glob("failure-*.input"))
        ]


class Judge:
    """Runs the inputs of one target; the first failure of each kind goes to ``folder`` (None: it is raised)."""

    def __init__(self, name: str, target: Any, folder: Path | None = None) -> None:
        self._name = name
        self._target = target
        self._folder = folder
        self._kinds: set[tuple[str, str, int]] = set()
        self.inputs = 0
        self.spent = 0.0

    def judge(self, data: bytes) -> None:
        began = time.perf_counter()
        try:
            self._target.check(data)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as problem:  # native code may raise what is no Exception
            if self._folder is None:
                raise
            self._note(data, problem)
        self.spent += time.perf_counter() - began
        self.inputs += 1

    def _note(self, data: bytes, problem: BaseException) -> None:
        assert self._folder is not None
        place = traceback.extract_tb(problem.__traceback__)[-1]
        kind = type(problem).__name__, place.filename, place.lineno or 0
        if kind in self._kinds or len(self._kinds) >= KINDS_MAX:
            return
        self._kinds.add(kind)
        path = self._folder / f"failure-{len(self._kinds):02d}"
        path.with_suffix(".text").write_text(f"{self._name}: {''.join(traceback.format_exception(problem))}")
        path.with_suffix(".input").write_bytes(data)

    def loop(
        self, seeds: list[bytes], one: Callable[[bytes], None], *, seconds: float = 0, inputs: int = 0, seed: int = 1
    ) -> None:
        """All seeds, then changes of them, for so long or so many; the same ones for the same ``seed``."""
        generator = Random(f"{seed} {self._name}")
        end = time.monotonic() + seconds if seconds else None
        for number in range(inputs) if inputs else iter(int, 1):
            if end is not None and time.monotonic() >= end:
                return
            is_seed = self.inputs < len(seeds)
            data = seeds[self.inputs] if is_seed else self._target.mutate(generator, generator.choice(seeds), seeds)
            del number
            one(data)
