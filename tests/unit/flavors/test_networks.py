"""What needs no framework of networks: their formats, what they are fed, how numbers become classes."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from typing import Any

import numpy as np
import pytest

from fairway.bundle.code import CodeSpace
from fairway.bundle.kinds import infer_inputs
from fairway.bundle.safety import Trust
from fairway.bundle.signature import Signature
from fairway.bundle.tables import read_table
from fairway.errors import ExampleInvalid, MissingExtra, ModelContract, UsageError
from fairway.flavors import keras, torch
from fairway.flavors.base import ModelFiles, flavor_of_files
from fairway.flavors.networks import NetworkPredictor, feed_attempts, learn_network, shares_of
from fairway.messages import Columns

ROWS = [{"size": 1.5, "rooms": 3}, {"size": 2.5, "rooms": 4}, {"size": 0.5, "rooms": 1}]


def archive(*names: str) -> bytes:
    """Return a zip with files of these names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, b"")
    return buffer.getvalue()


def safetensors(header: dict[str, Any]) -> bytes:
    """Return a file of safetensors with one number."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"\0" * 4


WEIGHTS = safetensors({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})
FORMATS = {
    "model/weights.safetensors": WEIGHTS,
    "model/model.pt": archive("net/data.pkl", "net/version", "net/data/0"),
    "model/model.ts": archive("net/data.pkl", "net/version", "net/constants.pkl", "net/code/a.py"),
    "model/model.pt2": archive("net/archive_format", "net/models/model.json"),
    "model/model.keras": archive("config.json", "metadata.json", "model.weights.h5"),
    "model/model.h5": b"\x89HDF\r\n\x1a\n" + b"\0" * 100 + b"model_config",
}


@pytest.mark.parametrize("kept", FORMATS)
def test_content_tells_the_format(kept: str) -> None:
    """A file of a network is known by its bytes, whatever it is called."""
    files = {"anything.bin": FORMATS[kept]}

    assert flavor_of_files(files, "anything.bin").keep(files) == {kept: FORMATS[kept]}


@pytest.mark.parametrize(
    "data",
    [
        archive("schema.json"),
        archive("manifest.json", "model/model.pt"),
        b"PK\x03\x04 cut off",
        b"\x89HDF\r\n\x1a\n weights alone",
        WEIGHTS[:12],
        b"\xff" * 8 + b"{",
        b"",
    ],
)
def test_what_is_no_network_is_not_taken_for_one(data: bytes) -> None:
    """Other archives, and what was cut off, are left to others."""
    assert not any(module.FLAVOR.reads({"file": data}) for module in (torch, keras))


@pytest.mark.parametrize(
    ("module", "kept", "extra"),
    [("torch", "model/model.ts", "torch"), ("keras", "model/model.keras", "keras")],
)
def test_a_missing_framework_says_what_to_install(
    module: str, kept: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle of a network, loaded where its framework is not, names the extra that brings it."""
    monkeypatch.setitem(sys.modules, module, None)
    flavor: Any = {"torch": torch.FLAVOR, "keras": keras.FLAVOR}[module]

    with pytest.raises(MissingExtra) as missing:
        flavor.load(ModelFiles.of({kept: FORMATS[kept]}), CodeSpace({}, label=""), trust=Trust.default())

    assert missing.value.hint == f"pip install 'fairway[{extra}]'"


def signature(rows: Any, **more: Any) -> Signature:
    """Return the signature that rows teach."""
    return Signature(inputs=infer_inputs(read_table(rows)), outputs=(), **more)


def learnt(call: Any, rows: Any, *, names: Any = (), outputs: Any = (), **more: Any) -> Any:
    """Return signature and options of a function that stands for a network."""
    found = signature(rows, **more)
    attempts = feed_attempts(found, names, ["float32"], None)
    return learn_network(call, attempts, read_table(rows), found, outputs)


def test_numbers_make_a_matrix_in_single_precision() -> None:
    """Columns become one matrix, in their order."""
    seen = []

    def network(arrays: Any) -> Any:
        seen.append(arrays[""])
        return {"": arrays[""].sum(axis=1)}

    found, options = learnt(network, ROWS)

    assert options == {"feed": "matrix", "dtype": "float32"}
    assert seen[0].dtype == np.float32
    assert seen[0].tolist() == [[1.5, 3.0], [2.5, 4.0], [0.5, 1.0]]
    assert [(o.name, o.kind, o.type) for o in found.outputs] == [("prediction", "score", "number")]


def test_named_inputs_get_tensors_of_their_kinds() -> None:
    """Whole numbers stay whole, as embeddings need them; the rest is single precision."""
    seen: dict[str, Any] = {}

    def network(arrays: Any) -> Any:
        seen.update(arrays)
        return {"": arrays["size"] + arrays["rooms"]}

    _, options = learnt(network, ROWS, names=["rooms", "size"])

    assert options["feed"] == "tensors"
    assert {name: str(array.dtype) for name, array in seen.items()} == {"rooms": "int64", "size": "float32"}


def test_several_outputs_get_names() -> None:
    """Named answers keep their names; numbers beside each other are counted."""

    def network(arrays: Any) -> Any:
        return {"rent": arrays[""][:, :1], "place": arrays[""]}

    found, options = learnt(network, ROWS)
    outputs = NetworkPredictor(network, found, options).predict(
        Columns(found.names, [[1.5, 3]]), probabilities=True
    )

    assert outputs.values == {"rent": [1.5], "place_0": [1.5], "place_1": [3.0]}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda array: array.sum(), "an answer of shape"),
        (lambda array: array[:1], "an answer of shape"),
        (lambda array: np.zeros((len(array), 2, 2)), r"gave \(2, 2\) numbers a row"),
        (lambda array: array - array.mean(axis=0), "a row alone is answered otherwise than among others"),
    ],
)
def test_answers_that_fit_no_row_are_refused(answer: Any, message: str) -> None:
    """A network gives one answer a row, and the same whatever stands beside the row."""
    with pytest.raises(ExampleInvalid, match=message):
        learnt(lambda arrays: {"": answer(arrays[""])}, ROWS)


@pytest.mark.parametrize(("classes", "message"), [(("a", "b"), "2 classes"), (("a", "a", "b"), "differ")])
def test_classes_have_to_fit(classes: Any, message: str) -> None:
    """As many different classes as there are numbers."""
    with pytest.raises(UsageError, match=message):
        learnt(lambda arrays: {"": np.ones((len(arrays[""]), 3))}, ROWS, classes=classes)


def test_numbers_that_are_none_have_no_class() -> None:
    """Where the network answers NaN there is no likeliest class."""
    table = {"": np.array([[0.25, 0.75], [np.nan, 0.5], [0.5, 0.5]])}
    call = lambda arrays: {"": table[""][: len(arrays[""])]}  # noqa: E731 - stands for a network
    found, options = learnt(
        lambda arrays: {"": table[""][[0] * len(arrays[""])]}, ROWS, classes=("no", "yes")
    )

    outputs = NetworkPredictor(call, found, options).predict(
        Columns(found.names, [[1.0, 1]] * 3), probabilities=False
    )

    assert outputs.values["prediction"] == ["yes", None, "no"]


def test_a_network_that_answers_otherwise_later_breaks_its_contract() -> None:
    """Another number of answers than when it was packed is an error, not a wrong reply."""
    found, options = learnt(lambda arrays: {"": np.ones((len(arrays[""]), 2))}, ROWS)
    predictor = NetworkPredictor(lambda arrays: {"": np.ones((len(arrays[""]), 3))}, found, options)

    with pytest.raises(ModelContract, match="gave 3 outputs"):
        predictor.predict(Columns(found.names, [[1.0, 1]]), probabilities=False)


@pytest.mark.parametrize(
    ("values", "scale", "expected"),
    [
        ([[0.0, 0.0]], "logits", [[0.5, 0.5]]),
        ([[1000.0, 0.0]], "logits", [[1.0, 0.0]]),
        ([[-1000.0], [1000.0]], "logits", [[1.0, 0.0], [0.0, 1.0]]),
        ([[0.25]], "probabilities", [[0.75, 0.25]]),
        ([[0.25, 0.75]], "probabilities", [[0.25, 0.75]]),
        ([np.log([0.25, 0.75])], "log probabilities", [[0.25, 0.75]]),
    ],
)
def test_probabilities_follow_from_what_the_network_gives(values: Any, scale: str, expected: Any) -> None:
    """Logits go through softmax or the logistic function without overflow."""
    np.testing.assert_allclose(shares_of(np.array(values), scale), expected, atol=1e-12)


def test_texts_and_unknown_feeds_are_refused() -> None:
    """A network takes numbers, as a matrix or as tensors."""
    with pytest.raises(ExampleInvalid, match="'city' is a category"):
        feed_attempts(signature([{"city": "Rome"}, {"city": "Oslo"}]), [], ["float32"], None)
    with pytest.raises(UsageError, match="'frame' is no way to feed a network"):
        feed_attempts(signature(ROWS), [], ["float32"], "frame")
    with pytest.raises(UsageError, match="inputs are x; the columns of the example are size, rooms"):
        feed_attempts(signature(ROWS), ["x"], ["float32"], "tensors")
