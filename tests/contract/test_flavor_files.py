"""A model file, whatever its form, goes the whole way: packed, proven, served, scored from a table."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fairway as fw
from fairway.bundle import known
from fairway.bundle.bundle import Bundle, open_bundle
from fairway.bundle.safety import Trust
from fairway.errors import FairwayError
from fairway.flavors.base import find_flavors
from fairway.inference.proof import prove
from fairway.lifecycle.pack import Facts, Wishes, make_bundle
from fairway.testing import RunningServer, running_server

from .flavor_files import FORMS, Form

_LOAD_WITHOUT = """
import json, sys
module, *paths = sys.argv[1:]
sys.modules[module] = None
from pathlib import Path
from fairway.bundle.bundle import open_bundle
from fairway.errors import FairwayError
from fairway.inference.loaded import load_model
for path in paths:
    try:
        load_model(open_bundle(Path(path)), predictor="native")
        print(json.dumps(["loaded", path, ""]))
    except FairwayError as error:
        print(json.dumps([error.code, error.detail, error.hint]))
"""


def name_of(form: str) -> str:
    """Return a form's name as that of a model."""
    return form.replace(", ", "-").replace(" ", "-").replace("_", "-")


@dataclasses.dataclass
class Shop:
    """All forms in one registry, and what became of each.

    Attributes:
        home: Folder of the registry.
        forms: The files.
        bundles: What was packed; for a form that was refused, the error.
        server: Serves the registry.
    """

    home: Path
    forms: dict[str, Form]
    bundles: dict[str, Bundle | FairwayError]
    server: RunningServer


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("forms")
    home = folder / "home"
    forms, bundles = {}, {}
    for name, write in FORMS.items():
        form = forms[name] = write(folder / name_of(name))
        try:
            bundles[name] = make_bundle(
                form.path,
                name=name_of(name),
                example=form.example,
                code=(),
                facts=Facts(),
                wishes=Wishes(),
                trust=Trust(types=frozenset(form.trust)),
            )
        except FairwayError as error:
            bundles[name] = error
    packed = {name: bundle for name, bundle in bundles.items() if isinstance(bundle, Bundle)}
    prove(*packed.values())
    for name, bundle in packed.items():
        path = bundle.save(folder / f"{name_of(name)}.fairway")
        known.remember(home, bundle)
        fw.push(path, home=home, compile="off")
    with running_server(home=home) as server:
        yield Shop(home, forms, bundles, server)


def is_close(expected: Any, got: Any) -> bool:
    """Tell whether two answers are the same, numbers to single precision."""
    if isinstance(expected, float):
        return isinstance(got, int | float) and abs(expected - got) <= 1e-5 * max(1, abs(expected))
    return bool(expected == got)


def test_every_flavor_has_its_forms() -> None:
    """Whoever adds a flavor that reads files adds them to this suite."""
    reading = {name for name, flavor in find_flavors().items() if flavor.formats}
    mine = {"xgboost", "lightgbm", "catboost", "onnx"}
    assert mine <= reading
    assert mine <= {name.split("_")[0] for name in FORMS if "_" in name}


@pytest.mark.parametrize("name", FORMS)
def test_a_file_is_packed_byte_for_byte_and_proven(shop: Shop, name: str) -> None:
    """Its content tells the flavor; a fresh process has replayed the golden examples."""
    form, bundle = shop.forms[name], shop.bundles[name]
    assert isinstance(bundle, Bundle), bundle
    assert bundle.manifest.flavor == form.flavor
    assert [bundle.read(path) for path in bundle.model_paths] == [form.path.read_bytes()]
    got = bundle.golden.expected["prediction"]
    records = json.loads(form.example.to_json(orient="records", double_precision=15))
    places = [
        next(n for n, record in enumerate(records) if all(map(is_close, record.values(), row.values())))
        for row in bundle.golden.inputs
    ]
    assert all(is_close(form.answers[n], value) for n, value in zip(places, got, strict=True))


@pytest.mark.parametrize("name", FORMS)
def test_it_is_served(shop: Shop, name: str) -> None:
    """One call, all rows of the example."""
    form = shop.forms[name]
    records = json.loads(form.example.to_json(orient="records", double_precision=15))
    reply = shop.server.ask(f"/models/{name_of(name)}/predict", records)
    assert reply.status == 200, reply.body
    got = [row["prediction"] for row in reply.json()["predictions"]]
    assert len(got) == len(form.answers)
    assert all(map(is_close, form.answers, got))


@pytest.mark.parametrize("name", FORMS)
def test_it_scores_a_file(shop: Shop, name: str, tmp_path: Path) -> None:
    """The same answers, in the order of the file."""
    form = shop.forms[name]
    table, scored = tmp_path / "rows.csv", tmp_path / "scored.ndjson"
    form.example.to_csv(table, index=False)
    fw.score(name_of(name), table, scored, home=shop.home, workers=1)
    got = [json.loads(line)["prediction"] for line in scored.read_text().splitlines()]
    assert len(got) == len(form.answers)
    assert all(map(is_close, form.answers, got))


@pytest.mark.parametrize("flavor", ["xgboost", "lightgbm", "catboost", "onnx", "sklearn"])
def test_without_its_framework_the_error_says_what_to_install(shop: Shop, flavor: str) -> None:
    """For its own format and in every container; nothing else is tried."""
    paths = [
        str(shop.home.parent / f"{name_of(n)}.fairway") for n, f in shop.forms.items() if f.flavor == flavor
    ]
    module = find_flavors()[flavor].module
    command = [sys.executable, "-c", _LOAD_WITHOUT, module, *paths]
    ended = subprocess.run(command, capture_output=True, check=True, timeout=120)
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(found) == len(paths) > 0
    for code, detail, hint in found:
        assert (code, hint) == ("extra_missing", f"pip install 'fairway[{flavor}]'"), detail


def test_a_skops_file_needs_skops_and_no_other_loader_is_tried(shop: Shop) -> None:
    """Without it the file is not opened in any other way."""
    path = shop.home.parent / f"{name_of('sklearn in skops')}.fairway"
    assert open_bundle(path).model_paths == ("model/model.skops",)
    command = [sys.executable, "-c", _LOAD_WITHOUT, "skops", str(path)]
    ended = subprocess.run(command, capture_output=True, check=True, timeout=120)
    code, _, hint = json.loads(ended.stdout)
    assert (code, hint) == ("extra_missing", "pip install 'fairway[skops]'")
