"""Stories, told as transcripts: one text file each in ``transcripts``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from transcript import Story
from world import World

STORIES = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


def restart_everybody(world: World) -> None:
    for person in world.people.values():
        if person.machine is not None and person.online:
            world.restart(person.name)


def compare_records(world: World) -> None:
    """The sum of all changes is the snapshot."""
    for person in world.people.values():
        if person.machine is not None:
            machine = person.group if person.has_group else person.machine
            assert person.records == machine.snapshot(), f"{person.name} stored something else than it knows"


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_story_goes_as_told(path: Path) -> None:
    Story(path, compare_records).run()


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_story_goes_as_told_when_everybody_restarts_after_every_line(path: Path) -> None:
    Story(path, restart_everybody).run()


def test_every_story_stands_in_the_list() -> None:
    listed = set(re.findall(r"`([a-z_]+)`", (STORIES[0].parent / "README.md").read_text()))
    assert listed == {path.stem for path in STORIES}
