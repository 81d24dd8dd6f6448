"""Prints a hash of every byte that one story makes on the model engine: run in processes of its own by a test."""

from __future__ import annotations

import random
from hashlib import sha256
from typing import cast

from demls.simulation.model_engine import ModelEngine
from demls_engine import Engine
from scripts_of_groups import Play, Step


def main() -> None:
    choice = random.Random(1)
    script: list[Step] = [(0, 0, 0b11110, 0)]
    for _ in range(60):
        numbers = (choice.randrange(12), choice.randrange(5), choice.choice((0, choice.randrange(128))), 0)
        script.append(numbers)
    play = Play(lambda seed: cast(Engine, ModelEngine(seed)))
    everything: list[object] = [play.run(script), play.commits, play.strays, play.updates, play.messages]
    for person in play.people:
        assert person.group is not None
        everything += [list(person.group.snapshot().items()), person.group.changes(), person.candidates]
        everything.append(person.engine.random(16))
    print(sha256(repr(everything).encode()).hexdigest())


if __name__ == "__main__":
    main()
