"""What is particular to ONNX: telling a file, filling tensors, and refusing what they cannot hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

from fairway.bundle.code import CodeSpace
from fairway.bundle.kinds import infer_inputs
from fairway.bundle.safety import Trust
from fairway.bundle.signature import Signature
from fairway.bundle.tables import read_table
from fairway.errors import ArtifactCorrupt, ExampleInvalid, SignatureMismatch, UsageError
from fairway.flavors.base import ModelFiles, flavor_of
from fairway.flavors.onnx import FLAVOR, ONNX
from fairway.messages import Columns


def model(kind: int, *shapes: list[Any], op: str = "Identity") -> onnx.ModelProto:
    """Return a model with an input per shape that gives each of them back."""
    ins = [make_tensor_value_info(f"in{n}", kind, shape) for n, shape in enumerate(shapes)]
    outs = [make_tensor_value_info(f"out{n}", kind, shape) for n, shape in enumerate(shapes)]
    nodes = [make_node(op, [a.name], [b.name]) for a, b in zip(ins, outs, strict=True)]
    graph = make_graph(nodes, "made", ins, outs)
    return make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=8)


def learn(made: onnx.ModelProto, example: Any, **wishes: Any) -> tuple[Signature, dict[str, Any]]:
    """Return signature and options as they are learnt."""
    table = read_table(example)
    wishes = {"output_names": (), "feed": None, **wishes}
    return FLAVOR.learn(made, table, Signature(infer_inputs(table), ()), **wishes)


def ask(made: onnx.ModelProto, example: Any, rows: list[list[Any]]) -> dict[str, list[Any]]:
    """Learn from an example and return the answers for rows."""
    signature, options = learn(made, example)
    predictor = FLAVOR.predictor(made, signature, options)
    return dict(predictor.predict(Columns(signature.names, rows), probabilities=False).values)


def test_a_file_is_told_by_its_fields() -> None:
    """From the first byte to the last: not every protocol buffer is a model."""
    data = model(T.FLOAT, [None, 2]).SerializeToString()
    assert FLAVOR.reads({"x": data})
    assert not FLAVOR.reads({"x": data[:-3]})
    assert not FLAVOR.reads({"x": b""})
    assert not FLAVOR.reads({"x": b"\x08\x0a"})
    assert not FLAVOR.reads({"x": data, "weights": b"1"})
    assert flavor_of(model(T.FLOAT, [None, 2])) is FLAVOR


def test_what_onnx_runtime_cannot_load_is_refused() -> None:
    """In its words, in one line."""
    with pytest.raises(ArtifactCorrupt, match=r"ONNX Runtime cannot load the model: .*NoSuchOperator"):
        FLAVOR.load(
            ModelFiles.of({ONNX: model(T.FLOAT, [None, 2], op="NoSuchOperator").SerializeToString()}),
            CodeSpace({}, label="m"),
            trust=Trust.default(),
        )


@pytest.mark.parametrize(
    "kind",
    [T.FLOAT, T.DOUBLE, T.FLOAT16, T.INT8, T.INT16, T.INT32, T.INT64, T.UINT8, T.UINT16, T.UINT32, T.UINT64],
)
def test_every_type_of_number_goes_in_and_out(kind: int) -> None:
    """And comes back as it was."""
    assert ask(model(kind, [None, 2]), [[1, 2], [3, 4]], [[7, 8]]) == {"out0_0": [7], "out0_1": [8]}


def test_texts_and_truth_values_are_tensors_too() -> None:
    """With one value per row there is one output, called like any other."""
    rows = [{"a": "x"}, {"a": "y"}]
    assert ask(model(T.STRING, [None, 1]), rows, [["é"]]) == {"prediction": ["é"]}
    rows = [{"a": True}, {"a": False}]
    assert ask(model(T.BOOL, [None]), rows, [[True]]) == {"prediction": [True]}


@pytest.mark.parametrize("value", [128, -129, 1e30])
def test_a_number_that_the_tensor_cannot_hold_is_refused(value: float) -> None:
    """It would wrap around, and nobody would know."""
    with pytest.raises(SignatureMismatch, match="takes whole numbers from -128 to 127"):
        ask(model(T.INT8, [None, 2]), [[1, 2], [3, 4]], [[1, value]])


def test_a_missing_value_needs_a_tensor_with_a_place_for_it() -> None:
    """NaN in floating point; an example with holes is refused for whole numbers."""
    holes = [{"a": 1.0}, {"a": None}]
    answer = ask(model(T.FLOAT, [None, 1]), holes, [[None]])["prediction"]
    assert np.isnan(answer).all()
    with pytest.raises(SignatureMismatch, match="has no place for a missing one"):
        ask(model(T.INT64, [None, 1]), [{"a": 1}, {"a": None}], [[1]])


def test_lists_have_the_width_of_the_tensor() -> None:
    """Of texts, whose number the signature does not fix."""
    example = [{"a": ["x", "y"]}, {"a": ["z", "x"]}]
    made = model(T.STRING, [None, 2])
    assert ask(made, example, [[["p", "q"]]]) == {"out0_0": ["p"], "out0_1": ["q"]}
    with pytest.raises(SignatureMismatch, match="2 values per row, not 3"):
        ask(made, example, [[["p", "q", "r"]]])
    with pytest.raises(SignatureMismatch, match="lists of one length"):
        ask(made, example, [[["p", "q", "r"]], [["p"]]])


def test_several_inputs_take_columns_by_name_then_by_width() -> None:
    """And a table that fits neither way is refused with what the model takes."""
    made = model(T.DOUBLE, [None, 2], [None, 1])
    by_name = ask(made, [{"in1": 1.0, "in0": [2.0, 3.0]}] * 2, [[9.0, [7.0, 8.0]]])
    by_width = ask(made, [[2.0, 3.0, 1.0]] * 2, [[7.0, 8.0, 9.0]])
    assert by_name == by_width == {"out0_0": [7.0], "out0_1": [8.0], "out1": [9.0]}
    with pytest.raises(ExampleInvalid, match="2 inputs, and the example's 4 columns do not fit") as caught:
        learn(made, [[1.0, 2.0, 3.0, 4.0]] * 2)
    assert "'in0' (float64, a row of [2])" in caught.value.hint


def test_a_fixed_number_of_rows_is_filled_up() -> None:
    """With the last row, whose answers are cut off again."""
    made = model(T.DOUBLE, [4, 1])
    rows = [[float(n)] for n in range(10)]
    assert ask(made, rows, rows)["prediction"] == [float(n) for n in range(10)]
    assert ask(made, rows, rows[:1])["prediction"] == [0.0]


def test_wishes_that_do_not_fit_are_refused() -> None:
    """As for any other flavor."""
    made = model(T.DOUBLE, [None, 2])
    signature, _ = learn(made, [[1.0, 2.0]] * 2, output_names=("a", "b"))
    assert [output.name for output in signature.outputs] == ["a", "b"]
    for wishes in ({"output_names": ("a",)}, {"output_names": ("a", "a")}, {"feed": "frame"}):
        with pytest.raises(UsageError):
            learn(made, [[1.0, 2.0]] * 2, **wishes)


def test_a_session_has_one_thread() -> None:
    """It is made before the workers are forked."""
    loaded = FLAVOR.load(
        ModelFiles.of({ONNX: model(T.FLOAT, [None, 2]).SerializeToString()}),
        CodeSpace({}, label="m"),
        trust=Trust.default(),
    )
    options = loaded.session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
