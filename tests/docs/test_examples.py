"""Every example works end to end, as its README tells a stranger to do it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"

GOLDEN_RECORD = {
    "roaster": "Square Mile Coffee Roasters",
    "roast": "Light",
    "roaster_country": "England",
    "country_of_origin": "Colombia",
    "price_per_100g": 6.82,
    "flavours": ["fruity", "caramelly"],
}
GOLDEN_RATING = 93.29749194380494

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("curl") is None, reason="the READMEs call the server with curl"),
]


def post(url: str, body: str, *, content_type: str | None = "application/json") -> Any:
    """Send a body and return the parsed reply."""
    request = urllib.request.Request(url, data=body.encode(), method="POST")
    # urllib would name a form's content type where none is given; an empty one is as good as none.
    request.add_header("content-type", content_type or "")
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.loads(reply.read())


@pytest.mark.parametrize("name", ["iris", "plain_input"])
def test_the_readme_of_the_example_holds(name: str, reader: Any) -> None:
    """A stranger who types the README's commands sees the outputs that it shows."""
    reader.copy_example(name)

    reader.run_page(EXAMPLES / name / "README.md")


@pytest.mark.service("data")
def test_the_readme_of_coffee_holds_with_the_real_reviews(reader: Any, shared_data: Path) -> None:
    """With the real data the README's commands print the outputs that it shows, golden rating included."""
    reader.copy_example("coffee")
    reader.environment["FAIRWAY_DATA"] = str(shared_data)

    reader.run_page(EXAMPLES / "coffee" / "README.md")
    reply = post(f"{reader.url}/predict", json.dumps(GOLDEN_RECORD))

    assert reply["rating"] == pytest.approx(GOLDEN_RATING, abs=0.3)
    assert reply["rating"] == pytest.approx(GOLDEN_RATING, abs=1e-9)
    assert reply["percentile"] == pytest.approx(49.7549, abs=1e-3)


@pytest.mark.service("data")
def test_the_readme_of_recipes_holds_with_the_real_recipes(reader: Any, shared_data: Path) -> None:
    """Train, push, serve, ask, a second version, and back: the commands print what the README shows."""
    reader.copy_example("recipes")
    reader.environment["FAIRWAY_DATA"] = str(shared_data)

    reader.run_page(EXAMPLES / "recipes" / "README.md")


def test_recipes_works_on_its_generated_sample(reader: Any) -> None:
    """Without the data and without a network every command still works, and the script says what it used.

    The request that wrk sends is answered, too, every time; where wrk is not installed, it is not sent.
    """
    reader.copy_example("recipes")

    printed = reader.run(f"{sys.executable} train.py --sample")
    reader.run(
        "fairway push build/recipes.joblib --name recipes --example build/recipes_train.ndjson "
        "--target difficulty --output difficulty --kind ingredients=text_list "
        "--code recipes_features.py --code recipes_plain.py $(cat build/facts.txt)"
    )
    reader.run("fairway serve recipes")
    reply = post(f"{reader.url}/predict", '{"ingredients": ["1 cup flour", "2 eggs"], "steps": ["Mix."]}')

    assert "a small sample that this script made up" in printed
    assert reply == {"difficulty": "Easy"}
    if shutil.which("wrk"):
        printed = reader.run("wrk -t1 -c4 -d1s -s load.lua http://127.0.0.1:5000/predict")
        assert "Non-2xx" not in printed
        assert "requests in" in printed


def test_coffee_works_on_its_generated_sample(reader: Any) -> None:
    """Without the data and without a network every command still works, and the script says what it used."""
    reader.copy_example("coffee")

    printed = reader.run(f"{sys.executable} train.py --sample")
    reader.run(
        "fairway push build/coffee.joblib --name coffee --example build/coffee_train.ndjson "
        "--target rating --output rating,percentile --code coffee_features.py --code coffee_plain.py"
    )
    reader.run("fairway serve coffee")
    reply = post(f"{reader.url}/predict", json.dumps(GOLDEN_RECORD))

    assert "a small sample that this script made up" in printed
    assert set(reply) == {"rating", "percentile"}
    assert f"golden record: rating {reply['rating']:.6f}"[:-3] in printed


@pytest.mark.parametrize(
    ("name", "file"), [("coffee", "simplified_coffee.csv"), ("recipes", "recipes_2k.csv.gz")]
)
def test_an_example_says_what_is_missing_when_its_data_folder_is_empty(
    name: str, file: str, tmp_path: Path
) -> None:
    """A folder that was named and lacks the files is an error, never a silent sample."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name / "train.py", "--output", tmp_path],
        env={**os.environ, "FAIRWAY_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert file in done.stderr
    assert "Traceback" not in done.stderr


PUSH_NEWS = (
    "fairway push build/svm.joblib --name news --example build/train.ndjson "
    "--code news_classification.py --file build/vectors.npz "
    "--preprocess news_classification:News.vectorise --postprocess news_classification:category"
)


@pytest.mark.service("data")
def test_the_readme_of_news_holds_with_the_real_articles(reader: Any, shared_data: Path) -> None:
    """Trained on the real articles, served on its port, and answered as the training script predicted."""
    pytest.importorskip("gensim", reason="the news example learns its word vectors with gensim")
    reader.copy_example("news")
    reader.environment["FAIRWAY_DATA"] = str(shared_data)
    reader.shown_port = "5002"

    reader.run_page(EXAMPLES / "news" / "README.md")


def test_news_serves_what_it_trained_on_its_generated_sample(reader: Any) -> None:
    """Without the data and a network, too: every held-out article, by HTTP and by file, is as predicted."""
    pytest.importorskip("gensim", reason="the news example learns its word vectors with gensim")
    reader.copy_example("news")

    printed = reader.run(f"{sys.executable} train.py --sample --size 20")
    reader.run(PUSH_NEWS)
    reader.run("fairway serve news")
    reader.run(f"{sys.executable} check_skew.py {reader.url}", "80 of 80 articles are answered as ...")
    reader.run("fairway score news build/test.ndjson build/scored.ndjson")
    build = reader.folder / "build"
    scored = [json.loads(line)["category"] for line in (build / "scored.ndjson").read_text().splitlines()]
    expected = (build / "test_expected.ndjson").read_text().splitlines()

    assert "a small sample that this script made up" in printed
    assert scored == [json.loads(line)["category"] for line in expected]
    assert len(set(scored)) > 1
    assert post(f"{reader.url}/predict", '{"text": ""}') == post(f"{reader.url}/predict", '{"text": "Qqq"}')


def test_news_says_what_is_missing_when_its_data_folder_is_empty(tmp_path: Path) -> None:
    """A folder that was named and lacks the file is an error, never a silent sample."""
    pytest.importorskip("gensim", reason="the news example learns its word vectors with gensim")
    done = subprocess.run(
        [sys.executable, EXAMPLES / "news" / "train.py", "--output", tmp_path],
        env={**os.environ, "FAIRWAY_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "ag_news_test.csv.gz" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.service("moto", "nginx", "postgres")
def test_the_readme_of_two_servers_holds(reader: Any) -> None:
    """Promoted, rolled back and killed under load behind nginx: the front loses no call."""
    reader.copy_example("two_servers")

    reader.run_page(EXAMPLES / "two_servers" / "README.md")


def test_plain_input_answers_as_the_flask_app_did(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same pickle, same requests, same answers, whether or not the client names the content type."""
    pytest.importorskip("flask", reason="Flask is compared with where it is installed")
    reader.copy_example("plain_input")
    reader.run(f"{sys.executable} train.py")
    reader.run("fairway push build/model.pkl --name iris --example build/train.csv")
    reader.run("fairway serve iris")
    monkeypatch.chdir(reader.folder / "build")
    monkeypatch.syspath_prepend(str(reader.folder))
    import flask_app

    client = flask_app.app.test_client()
    for row in ([5.1, 3.5, 1.4, 0.2], [6.0, 2.9, 4.5, 1.5], [7.7, 2.6, 6.9, 2.3], [6, 3, 5, 2]):
        body = json.dumps({"input": row})
        was = client.post("/predict", data=body).get_json()

        assert post(f"{reader.url}/predict", body) == was
        assert post(f"{reader.url}/predict", body, content_type=None) == was
