"""Which checks does a candidate pass before it is acknowledged? The table of the commit validation service.

``validation.py`` carries the checks out; every row has a malformed candidate of its own in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class Verdict(Enum):
    VALID = "valid"
    INVALID = "invalid"
    """A fault of structure, which the signature of the leader that offered it proves: it costs that leader."""
    NOT_YET = "not yet"
    """What is missing may still arrive, or is a matter of the own view: it costs nobody anything."""


class Check(StrEnum):
    """The numbers are names: V15 to V17 run with V10, the others in their order."""

    STAGES = "V01"
    CONTEXT = "V02"
    COMMITTER = "V03"
    CANONICAL = "V04"
    NOTHING_ELSE = "V05"
    NOT_ITSELF = "V06"
    PATH = "V07"
    WELCOME = "V08"
    KNOWN = "V09"
    EXACT = "V10"
    CREDENTIALS = "V11"
    APPROVED = "V12"
    PATIENCE = "V13"
    TIME = "V14"
    FOLLOWS = "V15"
    RESYNC = "V16"
    UPDATES = "V17"


@dataclass(frozen=True, slots=True)
class Rule:
    """``verdict``: of a candidate that fails; ``fresh_only``: not asked of one that a quorum has certified before."""

    check: Check
    says: str
    clause: str
    verdict: Verdict
    fresh_only: bool = False

    @property
    def costs(self) -> str:
        """What failing it costs, and whom."""
        return "the leader that signed the offer" if self.verdict is Verdict.INVALID else "nobody"


_INVALID, _NOT_YET = Verdict.INVALID, Verdict.NOT_YET

RULES: tuple[Rule, ...] = (
    Rule(
        Check.STAGES,
        "The commit is a PublicMessage of a member for this epoch: signature, membership tag, path and confirmation "
        "tag verify on a copy of the state.",
        "RFC 9420 §12.4.2; LIP-104 §Steward violation list, broken commit",
        _INVALID,
    ),
    Rule(
        Check.CONTEXT,
        "Its authenticated data is a CommitContext of this state, later than the state's time.",
        "LIP-104 §Commit validation service, local epoch context",
        _INVALID,
    ),
    Rule(
        Check.COMMITTER,
        "The committer, as MLS proves it, leads the view in which it was minted, with its speaking leaf.",
        "LIP-104 §Commit validation service, creator ID",
        _INVALID,
    ),
    Rule(
        Check.CANONICAL,
        "Entries are distinct, in canonical order, one for each effect, at most 50.",
        "LIP-104 §Commit validation service, proposal sequence",
        _INVALID,
    ),
    Rule(
        Check.NOTHING_ELSE,
        "It holds no MLS proposals but Add, Remove and Update; the GroupContext changes only if settings were decided.",
        "RFC 9420 §12.2; LIP-104 §Steward violation list, broken MLS proposal",
        _INVALID,
    ),
    Rule(Check.NOT_ITSELF, "The committer does not remove itself.", "LIP-104 §Self-removal; RFC 9420 §12.2", _INVALID),
    Rule(
        Check.PATH,
        "A path keeps the committer's signature key and credential, with a binding that verifies.",
        "RFC 9420 §12.4.1",
        _INVALID,
    ),
    Rule(
        Check.WELCOME,
        "Welcome, joiners' key and sync are there exactly when somebody is added, and the sync states this state.",
        "LIP-104 §Creating welcome message",
        _INVALID,
    ),
    Rule(
        Check.KNOWN,
        "Every entry is a proposal that is known here; else it is fetched.",
        "LIP-104 §Commit validation service, known to the member",
        _NOT_YET,
    ),
    Rule(
        Check.EXACT,
        "The commit changes exactly what its entries say: kind, member, key package byte for byte, settings.",
        "LIP-104 §Steward violation list, broken MLS proposal",
        _INVALID,
    ),
    Rule(
        Check.CREDENTIALS,
        "Every added leaf has a credential whose wallet binding verifies and is in date.",
        "RFC 9420 §5.3.1",
        _NOT_YET,
        fresh_only=True,
    ),
    Rule(
        Check.APPROVED,
        "Every entry is approved here after the votes that came with it, and the certificates it names are there.",
        "LIP-104 §Commit validation service, finalized through voting",
        _NOT_YET,
        fresh_only=True,
    ),
    Rule(
        Check.PATIENCE,
        "Nothing that was approved here for longer than patience is missing, by effect, but emergencies and new seats.",
        "LIP-104 §Steward violation list, censorship",
        _NOT_YET,
        fresh_only=True,
    ),
    Rule(
        Check.TIME,
        "Chain time is within two minutes of the own clock.",
        "fault model: clocks differ by up to 60 s",
        _NOT_YET,
        fresh_only=True,
    ),
    Rule(
        Check.FOLLOWS,
        "The sync states the steward list, turns lost, dormancy, new seats and age of keys that follow from it.",
        "LIP-104 §Steward list creation",
        _INVALID,
    ),
    Rule(
        Check.RESYNC,
        "Every new seat replaces the leaf that its request names, in time, once a member and hour of chain time, at "
        "most 1 + n/10 in a commit.",
        "decision 0036",
        _INVALID,
    ),
    Rule(
        Check.UPDATES,
        "It renews exactly the leaves whose owners asked for it in this epoch, at most 16; key and credential stay.",
        "RFC 9420 §12.1.2, §7.3",
        _INVALID,
    ),
)
