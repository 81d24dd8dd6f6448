"""LIP-73 voting as a pure library: no I/O, no clock, no randomness.

Three layers, each usable without those above it:

* counts: `Share`, `quorum`, `faults`, `decide`, `is_refusal`
* votes: `Choice`, `SignedVote`, `Tally`, `Certificate`, `Equivocation`, and signature schemes
* sessions: `Ballot`, `Session`, `Book`

Times are whole milliseconds and always arguments. The rule is the one of demls; the rules of the
reference crates are in `demls_consensus.reference`.
"""

from .book import Book, BookLimits
from .certificate import Certificate
from .decision import Silence, Verdict, decide, is_refusal
from .ed25519 import Ed25519Scheme
from .electorate import Electorate
from .errors import Malformed, Reason
from .evidence import Equivocation
from .intake import Accepted, Kept, Refused
from .quorum import Share, faults, quorum, tolerated_noes
from .schemes import SignatureScheme, SignedItem
from .session import Ballot, Session
from .tally import Recorded, Tally
from .votes import Choice, SignedVote, vote_content
from .wallet import WalletScheme, wallet_address, wallet_recover, wallet_sign

__all__ = [
    "Accepted",
    "Ballot",
    "Book",
    "BookLimits",
    "Certificate",
    "Choice",
    "Ed25519Scheme",
    "Electorate",
    "Equivocation",
    "Kept",
    "Malformed",
    "Reason",
    "Recorded",
    "Refused",
    "Session",
    "Share",
    "SignatureScheme",
    "SignedItem",
    "SignedVote",
    "Silence",
    "Tally",
    "Verdict",
    "WalletScheme",
    "decide",
    "faults",
    "is_refusal",
    "quorum",
    "tolerated_noes",
    "vote_content",
    "wallet_address",
    "wallet_recover",
    "wallet_sign",
]
