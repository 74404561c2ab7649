"""The environment lock: what a model was packed with."""

from __future__ import annotations

import decimal
import importlib.metadata
import platform
import re
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import scipy.special
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from fairway.bundle.environment import compare_environment
from fairway.bundle.lockfile import imported_modules, lock_environment, pickled_modules, requirements

FIXTURES = Path(__file__).parents[2] / "fixtures" / "old-scikit-learn"


def test_the_lock_names_the_packages_behind_the_modules() -> None:
    """Exact versions of what was installed; the standard library and unknown names are left out."""
    lock = lock_environment(["sklearn.linear_model", "numpy", "json", "no_such_module"])
    assert list(lock["packages"]) == ["numpy", "scikit-learn"]
    assert lock["python"] == platform.python_version()
    assert compare_environment(lock) == []
    assert requirements(lock) == [f"{name}=={version}" for name, version in lock["packages"].items()]


def test_a_pickle_names_what_it_refers_to() -> None:
    """Its classes and functions wherever they hide; what cannot be pickled gives what was seen."""
    model = make_pipeline(FunctionTransformer(scipy.special.softmax), Ridge())
    model.fit(np.ones((3, 2)), np.arange(3.0))
    roots = {name.partition(".")[0] for name in pickled_modules({"deep": [model]})}
    assert {"sklearn", "scipy", "numpy"} <= roots
    assert "decimal" in pickled_modules([decimal.Decimal(1), lambda: 1])


BARRED = """
import sys
class Bar:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in barred: raise ModuleNotFoundError(name, name=name)
barred = set(sys.argv[2].split(","))
sys.meta_path.insert(0, Bar())
import joblib
print(joblib.load(sys.argv[1]).predict([[1.0]]))
"""


def test_what_is_locked_is_enough_in_a_fresh_process(tmp_path: Path) -> None:
    """The locked packages, and what they need, load the model and predict; no other can be imported."""
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit([[0.0], [1.0]], [0, 1])
    path = tmp_path / "model.joblib"
    joblib.dump(model, path)
    modules = pickled_modules(model) | {"joblib"}
    names = set(lock_environment(modules)["packages"])
    for name in list(names):
        lines = [line for line in importlib.metadata.requires(name) or [] if "extra ==" not in line]
        names |= {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines}
    owners = importlib.metadata.packages_distributions()
    barred = {root for root, owned in owners.items() if not names & set(owned)} | {"fairway"}
    script = [sys.executable, "-c", BARRED, str(path), ",".join(barred)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.stdout == "[1]\n", done.stderr
    assert "pandas" in barred


def test_files_and_framework_are_told_where_they_say_something(tmp_path: Path) -> None:
    """Which release saved the model file, and whose releases decide."""
    old = (FIXTURES / "1.3.2" / "linear.joblib").read_bytes()
    lock = lock_environment(["sklearn", "numpy"], framework="sklearn", files={"model.joblib": old})
    assert (lock["framework"], lock["saved_with"]) == ("scikit-learn", {"scikit-learn": "1.3.2"})
    assert lock_environment(["numpy"], framework="sklearn").keys() == {"python", "platform", "packages"}


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
