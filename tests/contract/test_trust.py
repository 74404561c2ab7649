"""The two promises of the gate, file by file: hostile ones are refused without an effect, good ones pass.

The files stand in `benchmarks/trust_hostile.py` and `trust_legitimate.py`; `benchmarks/bench_trust.py` prints
the rates of the same ones, which the docs quote.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

import fairway as fw
from fairway.api._common import open_registry, settings_of
from fairway.errors import ArtifactUnsafe, ArtifactUntrustedType, FairwayError

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

ROOT = Path(__file__).resolve().parents[2]
ROWS = [{"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 3.0}]


def _benchmark(name: str) -> Any:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


hostile = _benchmark("trust_hostile")
legitimate = _benchmark("trust_legitimate")
bench = _benchmark("bench_trust")


@pytest.fixture(scope="module")
def watch() -> Any:
    """Give the eyes on audit events; the hook cannot be taken out again, so there is one."""
    return bench.Watch()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a home whose registry holds one version."""
    from sklearn.linear_model import LinearRegression

    folder = tmp_path_factory.mktemp("home")
    model = LinearRegression().fit([[1.0, 2.0], [2.0, 3.0]], [1.0, 2.0])
    fw.push(model, name="good", example=ROWS, home=folder, compile="off")
    return folder


def contents(folder: Path) -> dict[str, Any]:
    """Return every row of the registry and every other file of a home; SQLite may move its rows about."""
    with contextlib.closing(
        sqlite3.connect(f"file:{folder / 'registry.db'}?mode=ro", uri=True)
    ) as connection:
        found: dict[str, Any] = {"rows": list(connection.iterdump())}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("registry.db"):
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


@pytest.mark.parametrize("case", hostile.CASES, ids=lambda case: case.name)
def test_a_hostile_file_is_refused_and_nothing_happens(
    case: Any, tmp_path: Path, home: Path, watch: Any
) -> None:
    """Refused by its code; no marker, no process, no connection, and the registry is as it was."""
    marker, place = tmp_path / "marker", tmp_path / "model"
    files = case.make(marker)
    for name, data in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    path = place if len(files) > 1 else place / next(iter(files))
    before = contents(home)

    with watch() as seen, pytest.raises(FairwayError) as caught:
        fw.push(path, name="good", example=ROWS, home=home)

    assert caught.value.code == case.code, caught.value.detail
    assert set(seen) <= {"shutil.rmtree"}  # push removes its own temporary folder
    assert path.exists()
    assert not marker.exists()
    assert contents(home) == before


def test_a_type_that_is_named_is_trusted_for_this_version_and_recorded(tmp_path: Path, home: Path) -> None:
    """It stands in the manifest, so that loading holds it, and in the history, for whoever asks later."""
    import email.message

    import joblib
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit([[1.0, 2.0], [2.0, 3.0]], [1.0, 2.0])
    model.note_ = email.message.Message
    joblib.dump(model, tmp_path / "noted.joblib")
    options: dict[str, Any] = {"example": ROWS, "home": home, "compile": "off"}
    with pytest.raises(ArtifactUntrustedType, match=re.escape("email.message.Message")):
        fw.push(tmp_path / "noted.joblib", **options)

    version = fw.push(
        tmp_path / "noted.joblib", trust=["email.message.Message"], reason="looked at", **options
    )

    with open_registry(settings_of(home)) as registry:
        assert registry.open(version).manifest.trusted == ["email.message.Message"]
        (event,) = registry.history("noted")
    assert event.reason == "looked at; policy trusted: email.message.Message"


@pytest.mark.parametrize("as_file", [True, False])
def test_the_policy_safe_only_packs_no_pickle(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, as_file: bool
) -> None:
    """Neither a file nor an object that would be kept as one."""
    import joblib
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit([[1.0, 2.0], [2.0, 3.0]], [1.0, 2.0])
    joblib.dump(model, tmp_path / "m.joblib")
    monkeypatch.setenv("FAIRWAY_TRUST_POLICY", "safe-only")

    with pytest.raises(ArtifactUnsafe, match="safe-only"):
        fw.push(tmp_path / "m.joblib" if as_file else model, name="m", example=ROWS, home=home)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", legitimate.cases(), ids=lambda case: case.name)
def test_a_legitimate_file_passes_and_loads(case: Any) -> None:
    """Nobody has to trust anything by name."""
    try:
        files = case.make()
    except legitimate.LeftOut as reason:
        pytest.skip(f"{reason} is not installed")

    outcome = bench._run_legitimate(case.name, files)

    assert outcome.right, f"{outcome.code}: {outcome.detail}"


def test_the_corpora_are_as_large_as_promised_and_the_docs_quote_them() -> None:
    """At least forty hostile files and sixty legitimate ones; the page says how many."""
    assert len(hostile.CASES) >= 40
    assert len(legitimate.cases()) >= 60
    page = (ROOT / "docs" / "explanation" / "loading-model-files.md").read_text(encoding="utf-8")
    quoted = [int(number) for number in re.findall(r"(\d+) of \d+ files", page)]
    assert quoted == [len(hostile.CASES), len(legitimate.cases())]
