"""The recipes example, trained on real recipes: what is served is what was trained, whoever asks how."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fairway as fw
from fairway.testing import RunningServer, running_server

pytest.importorskip("sklearn")

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "recipes"
MODULES = ("recipes_data", "recipes_features", "recipes_plain")
LEVELS = {"Easy", "Medium", "Hard", "Very Hard"}
PANCAKES = {"ingredients": ["2 eggs", "1 cup flour", "1 cup milk"], "steps": ["Whisk all.", "Fry in butter."]}

pytestmark = [pytest.mark.slow, pytest.mark.service("data")]


@dataclasses.dataclass(frozen=True)
class Trained:
    """What training and pushing left: the folder, the fitted pipeline, the recipes held out."""

    folder: Path
    model: Any
    held_out: list[dict[str, Any]]


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, Any]]:
    """Give the example's modules, imported under the names that the pickle holds."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        yield {name: importlib.import_module(name) for name in MODULES}
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in MODULES:
            sys.modules.pop(name, None)


def train(variant: str, folder: Path, data: Path) -> Trained:
    """Train a variant with the example's script, and push it."""
    import joblib

    subprocess.run(
        [sys.executable, EXAMPLE / "train.py", "--output", folder, "--variant", variant],
        env={**os.environ, "FAIRWAY_DATA": str(data)},
        check=True,
        capture_output=True,
    )
    fw.push(
        folder / "recipes.joblib",
        name="recipes",
        example=folder / "recipes_train.ndjson",
        target="difficulty",
        outputs=["difficulty"],
        code=[EXAMPLE / "recipes_features.py", EXAMPLE / "recipes_plain.py"],
        home=folder / "home",
    )
    lines = (folder / "recipes_test.ndjson").read_text(encoding="utf-8").splitlines()
    return Trained(folder, joblib.load(folder / "recipes.joblib"), list(map(json.loads, lines)))


@pytest.fixture(scope="module")
def trained(
    modules: dict[str, Any],
    shared_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Trained:
    """Give the forest."""
    return train("forest", tmp_path_factory.mktemp("forest"), shared_data)


@pytest.fixture(scope="module")
def server(trained: Trained) -> Iterator[RunningServer]:
    """Give a running server of the version."""
    with running_server("recipes", home=trained.folder / "home", folder=trained.folder) as started:
        yield started


def inputs_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return recipes as a caller sends them."""
    return [{name: row[name] for name in ("ingredients", "steps")} for row in rows]


def test_what_is_served_is_what_was_trained(trained: Trained, server: RunningServer) -> None:
    """500 recipes that the model never saw: one by one, as a list, and as a file, all as offline."""
    rows = inputs_of(trained.held_out)
    expected = trained.model.predict(rows).tolist()
    chances = trained.model.predict_proba(rows)

    listed = server.ask("/predict", rows).json()["predictions"]
    single = [server.ask("/predict?include=probabilities", row).json() for row in rows]
    source, output = trained.folder / "rows.ndjson", trained.folder / "scored.ndjson"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    fw.score("recipes", source, output, home=trained.folder / "home", workers=1)
    scored = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]

    assert len(rows) == 500
    assert [answer["difficulty"] for answer in listed] == expected
    assert [answer["difficulty"] for answer in single] == expected
    assert [row["difficulty"] for row in scored] == expected
    for answer, row in zip(single, chances.tolist(), strict=True):
        offline = dict(zip(trained.model.classes_.tolist(), row, strict=True))
        assert answer["probabilities"] == pytest.approx(offline, abs=1e-9)


@pytest.mark.parametrize("variant", ["boosted", "mlp"])
@pytest.mark.usefixtures("modules")
def test_every_variant_is_compiled_and_answers_as_it_was_trained(
    variant: str, shared_data: Path, tmp_path: Path
) -> None:
    """A server needs no scikit-learn for it; and it is better than guessing, by far."""
    found = train(variant, tmp_path, shared_data)
    rows = inputs_of(found.held_out)
    view = fw.show("recipes", home=tmp_path / "home")
    answers = fw.predict("recipes", rows, home=tmp_path / "home")["predictions"]

    assert view.predictor in {"numpy", "onnx"}, view.reason
    assert [answer["difficulty"] for answer in answers] == found.model.predict(rows).tolist()
    assert found.model.score(rows, [row["difficulty"] for row in found.held_out]) > 0.5


def test_the_contract(server: RunningServer) -> None:
    """One recipe in, one difficulty out and nothing else; the server says that it is well."""
    reply = server.ask("/predict", PANCAKES).json()

    assert list(reply) == ["difficulty"]
    assert reply["difficulty"] in LEVELS
    assert server.ask("/health").json()["status"] == "healthy"
    told = server.ask("/models/recipes").json()
    assert told["hyperparameters"]
    assert set(told["classes"]) == LEVELS


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"ingredients": None}, ["/ingredients"]),
        ({"ingredients": "2 eggs, flour"}, ["/ingredients"]),
        ({"ingredients": '["2 eggs"]'}, ["/ingredients"]),
        ({"ingredients": {"0": "2 eggs"}}, ["/ingredients"]),
        ({"ingredients": [["2 eggs"]]}, ["/ingredients/0"]),
        ({"ingredients": [None, "2 eggs", 3, True]}, ["/ingredients/0", "/ingredients/2", "/ingredients/3"]),
        ({"steps": "Boil.", "ingredients": [1]}, ["/ingredients/0", "/steps"]),
        ({"title": "Pancakes"}, ["/title"]),
    ],
    ids=["null", "text", "JSON in a text", "object", "nested", "other items", "both", "unknown input"],
)
def test_what_does_not_fit_is_told_at_its_place(
    server: RunningServer, changes: dict[str, Any], pointers: list[str]
) -> None:
    """With 422, and with a body that is then accepted as it stands."""
    reply = server.ask("/predict", PANCAKES | changes)
    problem = reply.json()

    assert reply.status == 422
    assert [fault["pointer"] for fault in problem["errors"]] == pointers
    assert server.ask("/predict", problem["example"]).status == 200


@pytest.mark.parametrize(
    ("changes", "flagged"),
    [
        ({"ingredients": [], "steps": []}, {"ingredients", "steps"}),
        ({"ingredients": ["1 cup flour"] * 10_000}, {"ingredients"}),
        ({"ingredients": ["", " \t"], "steps": ["..."]}, set()),
        ({"steps": ["Mélanger ½ jalapeño 👩\u200d🍳", "混ぜる \u202e\x00", "ИЗМЕЛЬЧИТЬ İß"]}, set()),
        ({"steps": ["chopping" * 100_000]}, set()),
    ],
    ids=["empty", "10,000 items", "blank", "other scripts", "one endless word"],
)
def test_odd_recipes_are_answered_as_offline_and_flagged(
    trained: Trained, server: RunningServer, changes: dict[str, Any], flagged: set[str]
) -> None:
    """What is of the right kind gets the model's answer; a list of a length never seen is pointed out."""
    recipe = PANCAKES | changes
    reply = server.ask("/predict?include=flags", recipe).json()

    assert reply["difficulty"] == trained.model.predict([recipe])[0]
    assert reply["flags"] == dict.fromkeys(flagged, "out_of_range")


def test_words_are_cleaned(modules: dict[str, Any]) -> None:
    """Case, digits, punctuation, stop words and English endings say nothing about a recipe."""
    plain = modules["recipes_plain"]

    assert plain.texts(
        [{"ingredients": ["1 1/2 cups CHOPPED onions"], "steps": ["Chop; then whisk in."]}]
    ) == ["cup chop onion chop whisk"]
    stems = {"berries": "berry", "rolling": "roll", "baked": "bak", "red": "red", "peas": "pea"}
    assert {word: plain.stem(word) for word in stems} == stems
    assert plain.words(["Crème brûlée, 寿司 & jalapeño!"]) == ["crèm", "brûlé", "寿司", "jalapeño"]


def test_the_download_is_one_commit_checked_by_git(modules: dict[str, Any], tmp_path: Path) -> None:
    """Whatever else the source holds; empty and repeated recipes are left out, the rest gets its labels."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")
    source, data = tmp_path / "source", modules["recipes_data"]
    (source / "index" / "a").mkdir(parents=True)
    for n in range(12):
        recipe = {"ingredients": ["salt"] * (n + 1), "directions": ["Stir well."] * (n % 6), "title": str(n)}
        (source / "index" / "a" / f"{n}.json").write_text(json.dumps(recipe), encoding="utf-8")
    (source / "index" / "a" / "again.json").write_text(json.dumps(recipe), encoding="utf-8")
    me = ["-c", "user.name=cook", "-c", "user.email=cook@example.org"]
    for command in (["init", "-q"], ["add", "."], [*me, "commit", "-q", "-m", "recipes"]):
        subprocess.run([git, "-C", source, *command], check=True)
    commit = subprocess.run(
        [git, "-C", source, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )

    path = data.download(tmp_path / "cache", source=str(source), commit=commit.stdout.strip())
    rows = data._read(path)

    assert sorted(len(row["ingredients"]) for row in rows) == [2, 3, 4, 5, 6, 8, 9, 10, 11, 12]
    assert {row["difficulty"] for row in rows} == LEVELS
    assert path.read_bytes() == data._packed(rows)
    with pytest.raises(data.DataUnavailable):
        data.download(tmp_path / "other", source=str(source), commit="0" * 40)
