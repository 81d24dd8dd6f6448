"""What is the input of a target that takes several messages? A list of steps as bytes; any bytes are such a list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

STEPS_MAX = 64


@dataclass(frozen=True, slots=True)
class Act:
    """One step: ``kind`` is the target's business (0 to 255)."""

    kind: int
    data: bytes = b""


Mutate: TypeAlias = Callable[[Random, Act, list[bytes]], Act]


def write(acts: list[Act]) -> bytes:
    """Each step: kind (1 byte), length (3 bytes), data."""
    return b"".join(bytes([act.kind]) + len(act.data).to_bytes(3, "big") + act.data for act in acts)


def read(data: bytes) -> list[Act]:
    """The steps, at most STEPS_MAX; a length beyond the end means all that is left."""
    acts: list[Act] = []
    at = 0
    while at < len(data) and len(acts) < STEPS_MAX:
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        acts.append(Act(data[at], data[at + 4 : at + 4 + size]))
        at += 4 + size
    return acts


def mutate_script(generator: Random, data: bytes, others: list[bytes], mutate: Mutate) -> bytes:
    """Change the data of a step, or the order, number or origin of steps."""
    acts = read(data)
    for _ in range(generator.choice((1, 1, 2, 4))):
        at = generator.randrange(len(acts)) if acts else 0
        match generator.randrange(8):
            case 0 if acts:
                del acts[at]
            case 1 if acts:
                acts.insert(generator.randrange(len(acts) + 1), acts[at])
            case 2 if len(acts) > 1:
                other = generator.randrange(len(acts))
                acts[at], acts[other] = acts[other], acts[at]
            case 3 if others:
                foreign = read(generator.choice(others))
                start = generator.randrange(len(foreign) + 1)
                acts[at:at] = foreign[start : start + generator.randrange(1, 9)]
            case _ if acts:
                acts[at] = mutate(generator, acts[at], [act.data for act in acts])
    return write(acts[:STEPS_MAX])
