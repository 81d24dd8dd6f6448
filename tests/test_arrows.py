"""Do the arrows between the rooms point only downwards, and would the check notice one that does not?"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINT = Path(sys.executable).parent / "lint-imports"


def lint(config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LINT, "--config", config], cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_rooms_import_only_what_they_may() -> None:
    result = lint(ROOT / ".importlinter")
    assert result.returncode == 0, result.stdout


def test_an_arrow_upwards_is_noticed(tmp_path: Path) -> None:
    """The protocol does import the wire, so a contract that forbids it must break."""
    config = tmp_path / "upside-down"
    config.write_text(
        "[importlinter]\nroot_packages =\n    demls\n"
        "[importlinter:contract:wrong]\nname = upside down\ntype = layers\n"
        "layers =\n    demls.wire\n    demls.protocol\n"
    )
    assert lint(config).returncode != 0
