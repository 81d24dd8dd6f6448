"""Who may vote, and with which key?"""

from typing import Any

import pytest
from demls_consensus import Electorate


def test_an_electorate_is_a_frozen_map(kit: Any) -> None:
    keys = {kit.voter(index): kit.key(index) for index in range(4)}
    electorate = Electorate(keys)
    keys[kit.voter(9)] = b"late"
    assert (electorate.n, len(electorate), electorate.quorum) == (4, 4, 3)
    assert kit.voter(9) not in electorate
    assert electorate[kit.voter(2)] == kit.key(2)
    assert electorate.voters == set(electorate)
    assert repr(electorate) == "Electorate(n=4)"


def test_electorates_are_equal_when_voters_and_keys_are(kit: Any) -> None:
    assert kit.electorate(3) == kit.electorate(3)
    assert hash(kit.electorate(3)) == hash(kit.electorate(3))
    assert kit.electorate(3) != kit.electorate(4)
    assert kit.electorate(1) != Electorate({kit.voter(0): b"another key"})


def test_an_empty_electorate_or_ids_of_a_wrong_size_are_errors_of_the_caller() -> None:
    with pytest.raises(ValueError, match="at least one voter"):
        Electorate({})
    with pytest.raises(ValueError, match="20 bytes"):
        Electorate({b"short": b"key"})
