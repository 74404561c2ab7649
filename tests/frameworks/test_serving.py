"""Networks all the way: pushed, served by workers, and used to score a file, with the same answers."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import keras
import nets
import numpy as np
import pytest
import torch

import fairway as fw
from fairway.testing import running_server

MODELS = Path(__file__).parent / "models"
NAMES = ["length", "width", "height", "weight"]
X = np.random.default_rng(7).normal(size=(200, 4)).astype(np.float32)
KINDS = ["small", "medium", "large"]


def of_torch() -> Any:
    """Return a network of PyTorch that gives logits."""
    torch.manual_seed(0)
    return nets.Classifier(8)


def of_keras() -> Any:
    """Return a network of Keras that gives probabilities."""
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])


def numbers_of(model: Any) -> Any:
    """Return what a network gives for the three classes."""
    if isinstance(model, keras.Model):
        return model.predict(X, verbose=0)
    model.eval()
    with torch.inference_mode():
        return torch.softmax(model(torch.from_numpy(X)), 1).numpy()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [of_torch, of_keras])
def test_a_network_is_served_and_scores_a_file(make: Any, home: Path, tmp_path: Path) -> None:
    """Two workers, a call, and a file of rows: each answer is the network's own."""
    model = make()
    shares = numbers_of(model)
    rows = [dict(zip(NAMES, map(float, row), strict=True)) for row in X]
    fw.push(
        model,
        name="parcel",
        example=rows,
        code=[MODELS / "nets.py"],
        classes=KINDS,
        outputs=["kind"],
        compile="off",  # by the framework itself
        home=home,
    )
    source, output = tmp_path / "rows.csv", tmp_path / "out.csv"
    with source.open("w", newline="") as file:
        writer = csv.DictWriter(file, NAMES)
        writer.writeheader()
        writer.writerows(rows)

    with running_server("parcel", home=home, environ={"FAIRWAY_SERVER_WORKERS": "2"}) as server:
        for _ in range(4):
            reply = server.ask("/predict?include=probabilities", rows).json()["predictions"]
        assert [row["kind"] for row in reply] == [KINDS[i] for i in shares.argmax(1)]
        said = [[row["probabilities"][kind] for kind in KINDS] for row in reply]
        np.testing.assert_allclose(said, shares, rtol=1e-4, atol=1e-5)
    fw.score("parcel", source, output, home=home)

    with output.open(newline="") as file:
        assert [row["kind"] for row in csv.DictReader(file)] == [KINDS[i] for i in shares.argmax(1)]
