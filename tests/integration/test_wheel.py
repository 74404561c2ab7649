"""What a user installs: the wheel holds every file that the code reads."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel once, with the locked build backend and nothing from outside."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    """Templates, static files, migrations and py.typed are in the wheel, not only in the working copy."""
    package = ROOT / "src" / "fairway"
    expected = {
        path.relative_to(ROOT / "src").as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("fairway/")}

    assert "fairway/py.typed" in expected
    assert {Path(name).suffix for name in expected} >= {".py", ".html", ".css"}
    assert held == expected


def test_the_wheel_holds_nothing_but_the_package(wheel: Path) -> None:
    """Tests, examples and benchmarks stay out of a user's site-packages."""
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert len(tops) == 2
    assert tops >= {"fairway"}


def test_the_wheel_starts_without_the_working_copy(wheel: Path, tmp_path: Path) -> None:
    """Unpacked elsewhere, the command line comes up from the wheel's own files."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import fairway.cli.main as m; "
        "print(m.__file__); m.main(['--help'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith(str(tmp_path))
    assert "serve" in done.stdout
