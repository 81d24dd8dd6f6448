"""How many votes decide?

Every number of the rule comes from here. Two sets of `quorum(n)` voters share at least
`faults(n) + 1` of them, so at least one honest voter stands in both (LIP-73 §3).
"""


def quorum(n: int) -> int:
    """Return how many YES votes of `n` voters make a decision final: ceil(2n/3).

    For one or two voters that is all of them (LIP-73 §4 Liveness).
    Raises ValueError when there are no voters.
    """
    _require_voters(n)
    return (2 * n + 2) // 3


def faults(n: int) -> int:
    """Return how many of `n` voters may be malicious without harm: floor((n - 1) / 3).

    Raises ValueError when there are no voters.
    """
    _require_voters(n)
    return (n - 1) // 3


def tolerated_noes(n: int) -> int:
    """Return the largest number of NO votes with which a YES is still possible: n - quorum(n).

    Raises ValueError when there are no voters.
    """
    return n - quorum(n)


def _require_voters(n: int) -> None:
    if n < 1:
        raise ValueError(f"An electorate has at least one voter, not {n}.")
