"""The environment lock: what a model was packed with, and what differs here."""

from __future__ import annotations

import platform
import re

import pytest

from fairway.bundle.lockfile import compare_environment, imported_modules, lock_environment, requirements


def test_the_lock_names_the_packages_behind_the_modules() -> None:
    """Exact versions of what was installed; the standard library and unknown names are left out."""
    lock = lock_environment(["sklearn.linear_model", "numpy", "json", "no_such_module"])
    assert list(lock["packages"]) == ["numpy", "scikit-learn"]
    assert lock["python"] == platform.python_version()
    assert compare_environment(lock) == []
    assert requirements(lock) == [f"{name}=={version}" for name, version in lock["packages"].items()]


def test_every_difference_is_a_sentence() -> None:
    """What was recorded, and what is here."""
    found = compare_environment({"python": "2.7.18", "packages": {"numpy": "1.0", "no-such-package": "3"}})
    assert found[0] == f"Python 2.7.18 was recorded, {platform.python_version()} is running"
    assert re.fullmatch(r"numpy 1\.0 was recorded, \S+ is installed", found[1])
    assert found[2] == "no-such-package 3 was recorded, but is not installed"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (b"import a.b, c as d\nfrom e.f import g\nfrom . import h\nfrom .i import j", {"a.b", "c", "e.f"}),
        (b"def f():\n    import late", {"late"}),
        (b"def", set()),
        (b"\0", set()),
        (b"\xff", set()),
    ],
)
def test_imports_are_read_without_running(source: bytes, names: set[str]) -> None:
    """Also those inside of functions; a file that cannot be parsed has none."""
    assert names == imported_modules(source)
