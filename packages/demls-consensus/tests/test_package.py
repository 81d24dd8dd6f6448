"""Does the package stand alone, and does it offer what it says?"""

import ast
import subprocess
import sys
from pathlib import Path

import demls_consensus
import pytest
from demls_consensus import reference

SOURCES = sorted(Path(demls_consensus.__file__).parent.rglob("*.py"))
WRITTEN = [path for path in SOURCES if not path.stem.endswith("_pb2")]
ALLOWED = {
    "__future__",
    "coincurve",
    "collections",
    "cryptography",
    "dataclasses",
    "enum",
    "eth_hash",
    "google",
    "hashlib",
    "math",
    "sys",
    "typing",
}


def test_the_public_names_are_these() -> None:
    assert set(demls_consensus.__all__) == {
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
    }


def test_the_public_names_of_the_reference_rules_are_these() -> None:
    assert set(reference.__all__) == {
        "FAST",
        "LIBRARY_SESSIONS_MAX",
        "NODE_SESSIONS_MAX",
        "STRICT",
        "TWO_THIRDS",
        "ConsensusEvent",
        "ConsensusFailed",
        "ConsensusReached",
        "Fault",
        "Network",
        "Proposal",
        "ReferenceService",
        "ReferenceSession",
        "SessionConfig",
        "State",
        "Version",
        "Vote",
        "VoteCheck",
        "VoteSigner",
        "WalletSigner",
        "build_vote",
        "check_wallet_signature",
        "consensus_result",
        "fold_uuid",
        "required_votes",
        "self_leave_proposal_id",
        "validate_chain",
        "validate_proposal",
        "validate_vote",
        "vote_hash",
    }


@pytest.mark.parametrize("module", [demls_consensus, reference])
def test_every_public_name_exists(module: object) -> None:
    for name in module.__all__:  # type: ignore[attr-defined]
        assert hasattr(module, name)


def imported_roots(path: Path) -> set[str]:
    roots = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            roots.add(node.module.partition(".")[0])
    return roots


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_no_file_reaches_for_the_clock_the_disk_the_network_or_chance(path: Path) -> None:
    assert imported_roots(path) <= ALLOWED


def test_it_imports_nothing_else_of_demls() -> None:
    script = (
        "import sys, demls_consensus, demls_consensus.reference\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('demls', 'demls_engine')])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_reference_rules_are_loaded_only_on_demand() -> None:
    script = "import sys, demls_consensus\nprint('demls_consensus.reference' in sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"


def test_types_are_shipped() -> None:
    assert (Path(demls_consensus.__file__).parent / "py.typed").exists()


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_every_file_says_which_question_it_answers(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_the_example_of_the_readme_runs() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    example = readme.partition("```python\n")[2].partition("```")[0]
    assert "assert" in example
    exec(compile(example, "README.md", "exec"), {})
