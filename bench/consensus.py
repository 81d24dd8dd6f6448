"""How much does one decision of N voters cost whoever counts it? Signatures one by one and in a batch, and the tally.

    python bench consensus --voters 100 1000 10000 [--json FILE] [--runs R]

Of several runs the smallest counts. See README.md.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable

from demls.protocol.electorates import VOTE_LABEL
from demls.protocol.governance import VoteScheme
from demls_consensus import Ballot, Choice, Electorate, Session, SignedVote, Silence, Tally
from demls_engine import Engine
from report import Result, add_arguments, publish, say

PROPOSAL = bytes(32)
NOW_MS = 1_800_000_000_000
RUNS = 5


def measure(voters: int, runs: int) -> Result:
    """All vote yes; everything is done by one counting member."""
    say(f"{voters} voters")
    engine = Engine(bytes(32))
    scheme = VoteScheme(engine)
    keys = [engine.signature_key() for _ in range(voters)]
    ids = [hashlib.sha256(key.public).digest()[:20] for key in keys]
    votes = [
        SignedVote.cast(
            PROPOSAL,
            voter,
            Choice.YES,
            NOW_MS,
            lambda content, private=key.private: engine.sign(private, VOTE_LABEL, content),
        ).encode()
        for voter, key in zip(ids, keys, strict=True)
    ]
    public = dict(zip(ids, (key.public for key in keys), strict=True))
    items = [(public[vote.voter], vote.content, vote.signature) for vote in map(SignedVote.decode, votes)]
    ballot = Ballot(PROPOSAL, ids[0], Electorate(public), NOW_MS, 60_000, Silence.COUNTS_AS_YES)

    def one_by_one() -> None:
        assert all(scheme.verify(*item) for item in items)

    def batch() -> None:
        assert all(scheme.verify_batch(items))

    def tally() -> None:
        counted = Tally(public, Silence.COUNTS_AS_YES)
        for voter in ids:
            counted.record(voter, Choice.YES)
            counted.verdict(deadline_passed=False)
        assert counted.yes == voters

    def decision() -> None:
        session = Session(ballot)
        session.receive_batch(votes, scheme)
        assert session.verdict(NOW_MS).is_yes
        certificate = session.certificate()
        assert certificate is not None

    steps: dict[str, Callable[[], None]] = {
        "verify_one_by_one": one_by_one,
        "verify_batch": batch,
        "tally": tally,
        "decision": decision,
    }
    return {"voters": voters, **{name: {"cpu_ms": _smallest(step, runs)} for name, step in steps.items()}}


def _smallest(step: Callable[[], None], runs: int) -> float:
    """Processor time in ms."""
    spent = []
    for _ in range(runs):
        began = time.process_time_ns()
        step()
        spent.append(time.process_time_ns() - began)
    return round(min(spent) / 1e6, 3)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench consensus", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--voters", type=int, nargs="+", default=[100, 1_000, 10_000], metavar="N")
    add_arguments(parser)
    arguments = parser.parse_args()
    results = [measure(voters, arguments.runs or RUNS) for voters in arguments.voters]
    columns = [("voters", lambda result: f"{result['voters']:,}")]
    columns += [
        (f"{name.replace('_', ' ')}, ms", lambda result, name=name: f"{result[name]['cpu_ms']:,.2f}")
        for name in ("verify_one_by_one", "verify_batch", "tally", "decision")
    ]
    publish("consensus", results, columns=columns, file=arguments.json)


if __name__ == "__main__":
    main()
