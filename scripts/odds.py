"""Print the tables of odds in docs/large.md: how likely is a draw from the members captured or blocked?"""

from __future__ import annotations

from fractions import Fraction

from demls.protocol.odds import odds

MEMBERS = 10_000
BAD = (Fraction(1, 10), Fraction(1, 5), Fraction(1, 4), Fraction(1, 3))


def words(chance: float) -> str:
    """One digit: ``3e-8``."""
    return "0" if chance == 0 else f"{chance:.0e}".replace("e-0", "e-").replace("e+00", "")


def table(sizes: tuple[int, ...], what: str) -> str:
    head = "| drawn | " + " | ".join(f"{float(bad):.0%} bad" for bad in BAD) + " |"
    rows = [
        f"| {size} | " + " | ".join(words(getattr(odds(MEMBERS, int(MEMBERS * bad), size), what)) for bad in BAD) + " |"
        for size in sizes
    ]
    return "\n".join([head, "|---:" * (len(BAD) + 1) + "|", *rows])


def main() -> None:
    print(f"Stewards drawn from {MEMBERS} members: they decide alone for the bad ones (two thirds are bad)\n")
    print(table((7, 16, 32, 48, 64, 128, 256), "captured"))
    print("\nStewards: the bad ones can refuse whatever they want (more than a third)\n")
    print(table((7, 16, 32, 48, 64, 128, 256), "blocked"))
    print("\nCommittee: a third of it is bad, and could fork the group\n")
    print(table((64, 128, 256, 512, 1024), "third"))


if __name__ == "__main__":
    main()
