"""A node's process: what it sets for all of it is as before when it ends."""

from __future__ import annotations

import gc

import pytest
from demls.node.program import COLLECTION_EVERY, few_collections


def test_cycles_are_looked_for_rarely_while_a_node_runs() -> None:
    before = gc.get_threshold()
    with few_collections() as ready:
        assert not gc.isenabled()
        ready()
        assert gc.isenabled()
        assert gc.get_threshold()[0] == COLLECTION_EVERY
        assert gc.get_freeze_count()
    assert (gc.get_threshold(), gc.isenabled(), gc.get_freeze_count()) == (before, True, 0)


def test_a_node_that_does_not_start_leaves_all_as_it_was() -> None:
    before = gc.get_threshold()
    with pytest.raises(RuntimeError), few_collections():
        raise RuntimeError
    assert (gc.get_threshold(), gc.isenabled()) == (before, True)
