"""What differs from the recorded environment: graded, told in a line each, with the way back."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from pathlib import Path

import pytest

from fairway.bundle.environment import (
    commands,
    compare_environment,
    outdated,
    requirements_text,
    wanted,
)
from fairway.bundle.lockfile import lock_environment
from fairway.bundle.saved import saved_with
from fairway.bundle.versions import grade

FIXTURES = Path(__file__).parents[2] / "fixtures" / "old-scikit-learn"
HERE = {"python": platform.python_version(), "platform": f"{sys.platform}-{platform.machine()}"}


@pytest.mark.parametrize(
    ("recorded", "present", "expected"),
    [
        ("1.3.2", "1.3.2", "none"),
        ("1.3.2", "1.3.1", "patch"),
        ("1.3.2", "1.3.2.post1", "patch"),
        ("2.13.0", "2.13.0+cpu", "patch"),
        ("1.3", "1.3.0", "patch"),
        ("1.3.2", "1.9.1", "minor"),
        ("1.3.2", "2.3.2", "major"),
        ("0.24.2", "0.23.2", "major"),
        ("0.24.2", "0.24.1", "patch"),
        ("1.3.2", "", "missing"),
        ("1.3.2", "unknown", "major"),
        ("2026.1", "2026.2", "minor"),
    ],
)
def test_versions_are_as_far_apart_as_their_numbers(recorded: str, present: str, expected: str) -> None:
    """Before 1.0 the second number counts as the first does later."""
    assert grade(recorded, present) == expected


def test_the_same_environment_has_no_differences() -> None:
    """What was locked here is as recorded here."""
    assert compare_environment(lock_environment(["sklearn", "numpy"], framework="sklearn")) == []


def test_every_difference_is_a_line_and_what_matters_comes_first() -> None:
    """Minor releases matter of the framework only, major ones and absent packages always."""
    numpy, sklearn = (importlib.metadata.version(name) for name in ("numpy", "scikit-learn"))
    major, minor = numpy.split(".")[:2]
    lock = {
        **HERE,
        "framework": "scikit-learn",
        "packages": {"numpy": f"{major}.{int(minor) + 1}.0", "scikit-learn": "1.3.2", "no-such-package": "3"},
    }
    assert list(map(str, compare_environment(lock))) == [
        f"scikit-learn 1.3.2 was recorded, {sklearn} is installed (minor, which matters)",
        "no-such-package 3 was recorded, but it is not installed",
        f"numpy {major}.{int(minor) + 1}.0 was recorded, {numpy} is installed (minor)",
    ]


def test_python_and_platform_are_told_too() -> None:
    """Another minor release of Python matters to code that was pickled, and to nothing else."""
    version = sys.version_info
    other = f"{version.major}.{version.minor + 1}.0"
    lock = {"python": other, "platform": "plan9-mips", "packages": {}}
    assert list(map(str, compare_environment(lock))) == [
        f"Python {other} was recorded, {platform.python_version()} is running (minor)",
        f"plan9-mips was recorded, this is {HERE['platform']}",
    ]
    lock = {**HERE, "python": other, "packages": {"cloudpickle": "99.0"}}
    assert compare_environment(lock)[0].matters


def test_what_saved_the_file_is_told_apart_from_what_packed_it() -> None:
    """Here both are named: the file is older than the bundle."""
    sklearn = importlib.metadata.version("scikit-learn")
    lock = {**HERE, "framework": "scikit-learn", "packages": {"scikit-learn": sklearn}}
    lock["saved_with"] = {"scikit-learn": "1.3.2"}
    (found,) = compare_environment(lock)
    assert str(found) == (
        f"scikit-learn 1.3.2 saved the model file, {sklearn} is installed (minor, which matters)"
    )
    assert found.saved
    assert "scikit-learn==1.3.2" in wanted(lock)
    assert compare_environment({**lock, "saved_with": {"scikit-learn": sklearn}}) == []


def test_the_way_back_names_exact_versions() -> None:
    """As a command line that can be pasted, and as a file for pip."""
    lock = {
        "python": "3.11.7",
        "platform": "linux-x86_64",
        "packages": {"numpy": "1.26.4", "joblib": "1.6.0"},
    }
    fairway = importlib.metadata.version("fairway")
    assert commands(lock, ".venv-coffee") == (
        "python3.11 -m venv .venv-coffee && .venv-coffee/bin/python -m pip install "
        f"fairway=={fairway} numpy==1.26.4 joblib==1.6.0"
    )
    assert requirements_text(lock, "coffee:1") == (
        "# What coffee:1 was packed with, under Python 3.11.7 on linux-x86_64.\n"
        f"fairway=={fairway}\nnumpy==1.26.4\njoblib==1.6.0\n"
    )


@pytest.mark.parametrize("release", ["1.1.3", "1.3.2"])
@pytest.mark.parametrize("name", ["linear", "forest", "text"])
def test_a_pickle_of_scikit_learn_tells_its_release(release: str, name: str) -> None:
    """Compressed or not, without being loaded."""
    data = (FIXTURES / release / f"{name}.joblib").read_bytes()
    assert saved_with({"model.joblib": data}) == {"scikit-learn": release}


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_of_pickles_tells_the_release(protocol: int) -> None:
    """The state looks otherwise in each of them."""
    import pickle

    from sklearn.linear_model import Ridge

    data = pickle.dumps([Ridge(), Ridge()], protocol=protocol)
    assert saved_with({"model.pkl": data}) == {"scikit-learn": importlib.metadata.version("scikit-learn")}


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"_sklearn_version", b"_sklearn_version\x94\x8c\x05<b>", b"x\x9c"]
)
def test_what_does_not_tell_is_no_error(data: bytes) -> None:
    """Nor is a file that is cut off."""
    assert saved_with({"model.pkl": data}) == {}
    assert outdated({"model.pkl": data}, "cannot be read") is None


def test_an_outdated_file_names_the_release_to_install() -> None:
    """Both releases, and what to do."""
    data = (FIXTURES / "1.1.3" / "forest.joblib").read_bytes()
    error = outdated({"model.joblib": data}, "cannot be read")
    present = importlib.metadata.version("scikit-learn")
    assert error is not None
    assert error.detail == (
        f"the model file cannot be read; scikit-learn 1.1.3 saved it, {present} is installed"
    )
    assert "pip install 'scikit-learn==1.1.3'" in error.hint
