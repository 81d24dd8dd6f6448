"""The program ``demls`` with a death foretold: DEMLS_TEST_DIE=before:3 kills it before its third write."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from demls.cli.main import main
from demls.storage.store import Store


def foretell(when: str, number: int) -> None:
    """Let the ``number``-th transaction of any store be the last thing this process does, or nearly does."""
    transaction = Store._transaction
    numbers = itertools.count(1)

    @contextmanager
    def mortal(store: Store) -> Iterator[Any]:
        mine = next(numbers)
        if mine == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        with transaction(store) as connection:
            yield connection
        if mine == number:
            os.kill(os.getpid(), signal.SIGKILL)

    Store._transaction = mortal  # type: ignore[method-assign]


if __name__ == "__main__":
    when, _, number = os.environ.get("DEMLS_TEST_DIE", "").partition(":")
    if number:
        foretell(when, int(number))
    main()
