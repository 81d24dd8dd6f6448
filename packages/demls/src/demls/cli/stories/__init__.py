"""Which stories does the demo tell? Each is played between processes of its own, and checks what it claims."""

from __future__ import annotations

from demls.cli.stories import freeze, joiners, one_winner, reading_circle, recovery, scores, stewards, validation

STORIES = {
    story.name: story
    for story in (
        reading_circle.STORY,
        stewards.STORY,
        one_winner.STORY,
        validation.STORY,
        scores.STORY,
        freeze.STORY,
        recovery.STORY,
        joiners.STORY,
    )
}
"""By name, the default first."""
