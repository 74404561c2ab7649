"""What PyTorch makes: modules, weights, TorchScript and exported programs answer, once packed, as they do."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nets
import numpy as np
import pytest
import safetensors.torch
import small_net
import torch
from torch import nn

from fairway.bundle.bundle import Bundle
from fairway.bundle.safety import Trust
from fairway.errors import (
    ArtifactCorrupt,
    ArtifactImport,
    ArtifactUnsafe,
    BundleError,
    ExampleInvalid,
    UsageError,
)
from fairway.flavors.torch import FLAVOR
from fairway.inference.loaded import load_model
from fairway.inference.proof import prove
from fairway.lifecycle.pack import Facts, Wishes, make_bundle
from fairway.messages import Columns
from fairway.testing import check_flavor

MODELS = Path(__file__).parent / "models"
X = np.random.default_rng(7).normal(size=(30, 4)).astype(np.float32)
CODE = [MODELS / "nets.py"]


def answers(model: Any, *inputs: Any) -> Any:
    """Return what a network says of arrays, as a user would ask it when it is trained."""
    model.eval()
    with torch.inference_mode():
        return model(*(torch.from_numpy(array) for array in inputs or (X,)))


def packed(model: Any, example: Any = X, *, trust: Any = (), **wishes: Any) -> Bundle:
    """Pack a model or file with the code of `models/nets.py`."""
    code = wishes.pop("code", CODE)
    return make_bundle(
        model,
        name="net",
        example=example,
        code=code,
        facts=Facts(),
        wishes=Wishes(**wishes),
        trust=Trust(types=frozenset(trust)),
    )


def replies(bundle: Bundle, rows: Any = X) -> Any:
    """Return what a bundle answers to rows of numbers."""
    return load_model(bundle).predict(Columns(bundle.signature.names, rows.tolist()), probabilities=True)


def trained(make: Callable[[], nn.Module]) -> nn.Module:
    """Return a network in training, with state that training leaves behind."""
    torch.manual_seed(0)
    model = make()
    model(torch.from_numpy(X))
    return model


EAGER: dict[str, Callable[[], nn.Module]] = {
    "layers_of_torch": lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)),
    "own_class": lambda: nets.Classifier(8),
    "recurrent": nets.Recurrent,
    "tied_weights": nets.Tied,
    "double_precision": lambda: nn.Linear(4, 1).double(),
    "convolution": lambda: nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 3, 2), nn.Flatten()),
}


@pytest.mark.parametrize("name", EAGER)
def test_a_module_is_packed_as_layers_and_weights(name: str) -> None:
    """An object of the user's answers as it does once trained, from a bundle that holds no pickle."""
    torch.manual_seed(0)
    model = EAGER[name]()
    rows = X.astype(np.float64) if name == "double_precision" else X
    model(torch.from_numpy(rows))  # batch normalisation has seen rows
    expected = answers(model, rows)
    model.train()

    bundle = check_flavor(FLAVOR, model, rows, answers=expected, code=CODE, in_new_process=False)

    assert {path for path in bundle.manifest.files if path.startswith("model/")} == {
        "model/architecture.json",
        "model/weights.safetensors",
    }
    assert model.training  # the user's own object goes on as it was


def test_shared_weights_are_shared_again() -> None:
    """Layers that share a tensor hold it once in the bundle, and share it when they are loaded."""
    bundle = packed(nets.Tied())
    weights = safetensors.torch.load(bundle.read("model/weights.safetensors"))

    assert sorted(weights) == ["first.bias", "first.weight", "second.bias"]


def test_packed_modules_answer_in_a_new_process() -> None:
    """Modules, own classes among them, load where nothing of the training is there."""
    prove(packed(trained(lambda: nets.Classifier(8))), packed(nn.Linear(4, 1), code=[]))


def test_named_inputs_get_one_tensor_each() -> None:
    """Columns that are named like the arguments of `forward` become its tensors, in any order."""
    model = nets.TwoInputs()
    random = np.random.default_rng(3)
    place = random.normal(size=(10, 2)).astype(np.float32)
    shop, price = np.arange(10) % 5, random.normal(size=10).astype(np.float32)
    rows = [
        {"price": float(p), "place": v.tolist(), "shop": int(s)}
        for s, p, v in zip(shop, price, place, strict=True)
    ]
    said = answers(model, shop, price, place)

    bundle = packed(model, rows)
    got = load_model(bundle).predict(
        Columns(bundle.signature.names, [[row[name] for name in bundle.signature.names] for row in rows])
    )

    assert bundle.manifest.options["feed"] == "tensors"
    assert list(got.values) == ["sales", "clicks"]
    np.testing.assert_allclose(got.values["sales"], said["sales"].squeeze(1).numpy(), rtol=1e-5)
    np.testing.assert_allclose(got.values["clicks"], said["clicks"].numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    ("last", "scale"),
    [
        (nn.Identity(), "logits"),
        (nn.Softmax(dim=1), "probabilities"),
        (nn.LogSoftmax(dim=1), "log probabilities"),
    ],
)
def test_classes_turn_numbers_into_labels_and_probabilities(last: nn.Module, scale: str) -> None:
    """Whatever the last layer gives for each class, the reply has the likeliest one and probabilities."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), last)
    logits = answers(model[:1])

    bundle = packed(model, classes=["low", "middle", "high"], outputs=["level"])
    outputs = replies(bundle)

    assert bundle.manifest.options["scale"] == scale
    assert bundle.signature.classes == ("low", "middle", "high")
    assert outputs.values["level"] == [["low", "middle", "high"][i] for i in logits.argmax(1)]
    np.testing.assert_allclose(outputs.probabilities, torch.softmax(logits, 1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("last", [nn.Identity(), nn.Sigmoid()])
def test_one_number_speaks_of_the_second_of_two_classes(last: nn.Module) -> None:
    """A network with one number for two classes gives the probability, or the logit, of the second."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 1), last)
    shares = torch.sigmoid(answers(model[:1])).squeeze(1).numpy()

    outputs = replies(packed(model, classes=[0, 1]))

    assert outputs.values["prediction"] == [int(share > 0.5) for share in shares]
    np.testing.assert_allclose([row[1] for row in outputs.probabilities or []], shares, rtol=1e-5)


def test_classes_that_do_not_fit_are_refused() -> None:
    """As many classes as numbers, or two for one."""
    with pytest.raises(UsageError, match="4 classes were named; the network answers with 3 numbers a row"):
        packed(nn.Linear(4, 3), classes=list("abcd"))


def test_a_state_dict_needs_the_file_of_its_class(tmp_path: Path) -> None:
    """Weights of `torch.save` fill the only class that they fit; the bundle keeps the file as it is."""
    model = small_net.SmallNet()
    path = tmp_path / "weights.bin"
    torch.save(model.state_dict(), path)

    bundle = packed(path, code=[MODELS / "small_net.py"])

    assert bundle.read("model/model.pt") == path.read_bytes()
    np.testing.assert_allclose(
        replies(bundle).values["prediction"], answers(model).squeeze(1).numpy(), rtol=1e-5, atol=1e-6
    )
    with pytest.raises(ArtifactImport, match="no code of yours has a module for them") as refused:
        packed(path, code=[])
    assert "--code" in refused.value.hint


def test_safetensors_are_filled_into_what_build_returns(tmp_path: Path) -> None:
    """A function `build` in the user's code knows the arguments of the class."""
    model = trained(lambda: nets.Classifier(7))
    expected = answers(model).numpy()
    path = tmp_path / "weights"
    safetensors.torch.save_file(model.state_dict(), path)

    bundle = packed(path, code=[*CODE, MODELS / "built_net.py"], classes=["a", "b", "c"])
    prove(bundle)

    assert replies(bundle).values["prediction"] == [["a", "b", "c"][i] for i in expected.argmax(1)]


def test_a_checkpoint_of_a_training_loop_is_found(tmp_path: Path) -> None:
    """Weights may lie beside the state of the optimizer."""
    path = tmp_path / "checkpoint.pt"
    torch.save({"epoch": 3, "state_dict": small_net.SmallNet().state_dict()}, path)

    assert packed(path, code=[MODELS / "small_net.py"]).manifest.model_type == "SmallNet"


def test_weights_of_another_class_are_refused(tmp_path: Path) -> None:
    """Weights that fit nothing say what the class lacks."""
    path = tmp_path / "weights.pt"
    torch.save(nn.Linear(2, 2).state_dict(), path)

    with pytest.raises(ArtifactImport, match=r"small_net\.SmallNet: .*Missing key"):
        packed(path, code=[MODELS / "small_net.py"])


def test_torchscript_is_kept_as_it_is(tmp_path: Path) -> None:
    """A traced model needs no code; its bytes are those of the user."""
    model = trained(lambda: nets.Classifier(8)).eval()
    path = tmp_path / "traced.zip"
    with warnings.catch_warnings(action="ignore"):
        torch.jit.save(torch.jit.trace(model, torch.from_numpy(X)), path)

    bundle = packed(path, code=[], classes=["a", "b", "c"])
    prove(bundle)

    assert bundle.read("model/model.ts") == path.read_bytes()
    assert replies(bundle).values["prediction"] == [["a", "b", "c"][i] for i in answers(model).argmax(1)]


def test_exported_programs_are_served(tmp_path: Path) -> None:
    """A program of `torch.export` with a free number of rows needs no code, as a file and as an object."""
    model = trained(lambda: nets.Classifier(8)).eval()
    rows = torch.export.Dim("rows")
    with warnings.catch_warnings(action="ignore"):
        program = torch.export.export(model, (torch.from_numpy(X),), dynamic_shapes=({0: rows},))
        path = tmp_path / "program"
        with path.open("wb") as file:
            torch.export.save(program, file)
        from_object, from_file = packed(program, code=[]), packed(path, code=[])
        prove(from_file)

        expected = answers(model).numpy()
        for bundle in (from_object, from_file):
            got = np.transpose(list(replies(bundle).values.values()))
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_a_pickled_module_is_loaded_only_when_its_class_is_trusted(tmp_path: Path) -> None:
    """A whole module in a file of `torch.save` is a pickle: its class is named, or it is refused."""
    model = trained(small_net.SmallNet)
    expected = answers(model).numpy()[:, 0]
    path = tmp_path / "whole.pt"
    torch.save(model, path)

    with pytest.raises(BundleError, match=r"small_net\.SmallNet") as refused:
        packed(path, code=[])
    assert "--trust small_net.SmallNet" in refused.value.hint
    layers = ["container.Sequential", "linear.Linear", "activation.Tanh"]
    trust = ["small_net.SmallNet", *(f"torch.nn.modules.{name}" for name in layers)]
    bundle = packed(path, code=[MODELS / "small_net.py"], trust=trust)
    prove(bundle)

    np.testing.assert_allclose(replies(bundle).values["prediction"], expected, rtol=1e-5, atol=1e-6)
    assert bundle.manifest.trusted == sorted(trust)


class Payload:
    """What a hostile file runs when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (Path.touch, (self.marker,))


def test_a_hostile_file_of_torch_runs_nothing(tmp_path: Path) -> None:
    """Code inside a file of weights is refused, and its marker file does not appear."""
    marker = tmp_path / "marker"
    path = tmp_path / "weights.pt"
    torch.save({"weight": torch.zeros(1), "more": Payload(marker)}, path)

    with pytest.raises(ArtifactUnsafe):
        packed(path, code=[MODELS / "small_net.py"])
    assert not marker.exists()


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"type": "os:system"}, ArtifactImport),
        ({"type": "nets:torch.serialization.load"}, ArtifactCorrupt),
        ({"type": "torch.nn.modules.linear:math.inf"}, ArtifactCorrupt),
        ({"state": {"act": {"function": "torch:load"}}}, ArtifactCorrupt),
        ({"state": {"act": {"function": "os:system"}}}, ArtifactCorrupt),
        ({"state": {"act": {"call": "os:system"}}}, ArtifactCorrupt),
    ],
)
def test_layers_can_name_nothing_but_layers(document: dict[str, Any], error: type[Exception]) -> None:
    """The description of a module constructs modules of PyTorch and of the user, and nothing else."""
    from fairway.bundle.code import CodeSpace
    from fairway.flavors.torch_modules import read_module

    entry = {"type": "torch.nn.modules.linear:Linear", "state": {}, **document}
    code = CodeSpace({"nets.py": (MODELS / "nets.py").read_bytes()}, label="net")

    with pytest.raises(error):
        read_module({"format": 1, "root": 0, "modules": [entry]}, {}, code)


def test_what_has_no_place_without_a_pickle_is_named() -> None:
    """An attribute that cannot be kept is named, with the way that always works."""
    with pytest.raises(ArtifactCorrupt, match="'history' of the model holds a object") as refused:
        packed(nets.Restless())
    assert "torch.export" in refused.value.hint


def test_a_class_of_the_script_is_refused() -> None:
    """A class that was defined in a function or notebook can be loaded nowhere else."""

    class Local(nn.Linear):
        pass

    with pytest.raises(ArtifactCorrupt, match="cannot be found where the model is loaded"):
        packed(Local(4, 1))


def test_rows_that_mix_are_found_out() -> None:
    """A network whose answer to a row depends on its neighbours cannot be served."""
    with pytest.raises(ExampleInvalid, match="a row alone is answered otherwise than among others"):
        packed(nn.Sequential(nn.Linear(4, 1), nn.Softmax(dim=0)), code=[])


def test_text_is_no_input() -> None:
    """A column of texts is refused with the column's name."""
    with pytest.raises(ExampleInvalid, match="column 'city' is a category; a network takes numbers"):
        packed(nn.Linear(2, 1), [{"city": "Rome", "size": 1.0}, {"city": "Oslo", "size": 2.0}] * 4)


def test_a_damaged_file_says_so(tmp_path: Path) -> None:
    """A file that was cut off ends in words, not in a traceback."""
    buffer = io.BytesIO()
    torch.save(small_net.SmallNet().state_dict(), buffer)
    damaged = buffer.getvalue().replace(b"layers.0.weight", b"layers.0.w\x00\x00\x00\x00\x00")
    path = tmp_path / "weights.pt"
    path.write_bytes(damaged)

    with pytest.raises((ArtifactCorrupt, ArtifactUnsafe, ArtifactImport)):
        packed(path, code=[MODELS / "small_net.py"])
