"""Which stories does the demo tell? Each is played between processes of its own, and checks what it claims."""

from __future__ import annotations

from demls.cli.stories import one_winner, reading_circle, stewards, validation

STORIES = {story.name: story for story in (reading_circle.STORY, stewards.STORY, one_winner.STORY, validation.STORY)}
"""By name, the default first."""
