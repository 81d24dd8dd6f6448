"""Do the three distributions build, with one version, and does the consensus library stand alone?"""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("demls-consensus", "demls-engine", "demls")


def pip(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


@pytest.fixture(scope="module")
def consensus_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT / "packages/demls-consensus")
    return next(folder.glob("*.whl"))


def test_the_distributions_share_one_version_and_licence() -> None:
    projects = [
        tomllib.loads((ROOT / "packages" / name / "pyproject.toml").read_text())["project"] for name in PACKAGES
    ]
    assert len({project["version"] for project in projects}) == 1
    assert {project["license"] for project in projects} == {"MIT OR Apache-2.0"}


def test_the_consensus_library_passes_its_suite_alone(consensus_wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "alone"
    pip("install", "--no-deps", "--target", target, consensus_wheel)
    (target / "sitecustomize.py").write_text(
        "import sys\nsys.modules['demls'] = sys.modules['demls_engine'] = None  # not installed here\n"
    )
    tests = ROOT / "packages/demls-consensus/tests"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        tests,
        tests,
    ]
    result = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(target)}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-1000:]
    assert " passed" in result.stdout


def test_the_wheel_of_demls_holds_the_page_and_the_types(tmp_path: Path) -> None:
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, ROOT / "packages/demls")
    names = zipfile.ZipFile(next(tmp_path.glob("demls-*.whl"))).namelist()
    assert "demls/py.typed" in names
    assert "demls/node/page/index.html" in names
    assert any(name.startswith("demls/node/page/assets/") and name.endswith(".js") for name in names)
