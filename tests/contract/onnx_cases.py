"""ONNX models: one input or several, fixed and free numbers of rows, classes with and without a map."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto as T
from onnx.helper import (
    make_graph,
    make_map_type_proto,
    make_model,
    make_node,
    make_opsetid,
    make_sequence_type_proto,
    make_tensor_type_proto,
    make_tensor_value_info,
    make_value_info,
)

from .flavor_cases import Case, case_of

X = np.random.default_rng(5).normal(size=(40, 4)).astype(np.float32)
WEIGHTS = np.random.default_rng(6).normal(size=(3, 4)).astype(np.float32)
onnx_case = case_of("onnx")


def model(nodes: list[Any], inputs: list[Any], outputs: list[Any]) -> onnx.ModelProto:
    """Return a model that every supported ONNX Runtime takes."""
    graph = make_graph(nodes, "made", inputs, outputs)
    return make_model(
        graph, opset_imports=[make_opsetid("", 17), make_opsetid("ai.onnx.ml", 3)], ir_version=8
    )


def classifier(classes: list[Any], *, with_map: bool) -> onnx.ModelProto:
    """Return a softmax over three classes, its shares as a tensor or as a map per row."""
    kind, suffix = (T.STRING, "strings") if isinstance(classes[0], str) else (T.INT64, "int64s")
    node = make_node(
        "LinearClassifier",
        ["x"],
        ["label", "shares"],
        domain="ai.onnx.ml",
        coefficients=WEIGHTS.ravel().tolist(),
        intercepts=[0.0, 0.1, 0.2],
        multi_class=1,
        post_transform="SOFTMAX",
        **{f"classlabels_{suffix.replace('64', '')}": classes},
    )
    inputs = [make_tensor_value_info("x", T.FLOAT, [None, 4])]
    label = make_tensor_value_info("label", kind, [None])
    if not with_map:
        return model([node], inputs, [label, make_tensor_value_info("shares", T.FLOAT, [None, 3])])
    zipped = make_node(
        "ZipMap", ["shares"], ["maps"], domain="ai.onnx.ml", **{f"classlabels_{suffix}": classes}
    )
    maps = make_sequence_type_proto(make_map_type_proto(kind, make_tensor_type_proto(T.FLOAT, [])))
    return model([node, zipped], inputs, [label, make_value_info("maps", maps)])


def classes(labels: list[Any], *, with_map: bool) -> Case:
    """Return a classifier and what it has to say, computed here."""
    raw = X.astype(np.float64) @ WEIGHTS.T + [0.0, 0.1, 0.2]
    shares = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    answers = [labels[n] for n in raw.argmax(axis=1)]
    return Case(classifier(labels, with_map=with_map), X, answers=answers, probabilities=shares)


@onnx_case
def text_classes() -> Case:
    return classes(["a", "b", "c"], with_map=False)


@onnx_case
def text_classes_in_maps() -> Case:
    return classes(["a", "b", "c"], with_map=True)


@onnx_case
def numbered_classes() -> Case:
    return classes([3, 5, 9], with_map=False)


@onnx_case
def numbered_classes_in_maps() -> Case:
    return classes([3, 5, 9], with_map=True)


@onnx_case
def columns_by_name_one_row_at_a_time() -> Case:
    shapes = [make_tensor_value_info(name, T.DOUBLE, [1, 1]) for name in ("a", "b", "y")]
    table = pd.DataFrame({"b": X[:, 0], "note": "x", "a": X[:, 1]})
    made = model([make_node("Sub", ["a", "b"], ["y"])], shapes[:2], shapes[2:])
    return Case(made, table, answers=X[:, 1].astype(float) - X[:, 0].astype(float))


@onnx_case
def vectors_and_whole_numbers() -> Case:
    shapes = [make_tensor_value_info(name, T.INT32, [None, 2]) for name in ("a", "b", "y")]
    rows = [{"a": [n, 2 * n], "b": [1, 2]} for n in range(40)]
    made = model([make_node("Add", ["a", "b"], ["y"])], shapes[:2], shapes[2:])
    return Case(made, rows, answers=[[n + 1, 2 * n + 2] for n in range(40)])


@onnx_case
def a_picture_in_four_rows() -> Case:
    inputs = [make_tensor_value_info("x", T.FLOAT, [4, 1, 2, 2])]
    outputs = [make_tensor_value_info("y", T.FLOAT, [4, 1, 2, 2])]
    rows = [{"pixels": row} for row in X.tolist()]
    return Case(model([make_node("Abs", ["x"], ["y"])], inputs, outputs), rows, answers=np.abs(X))


@onnx_case
def missing_numbers() -> Case:
    holes = np.where(X > 1, np.nan, X)
    shape = [None, 4]
    node = make_node(
        "Imputer", ["x"], ["y"], domain="ai.onnx.ml", imputed_value_floats=[7.0], replaced_value_float=np.nan
    )
    inputs = [make_tensor_value_info("x", T.FLOAT, shape)]
    made = model([node], inputs, [make_tensor_value_info("y", T.FLOAT, shape)])
    return Case(made, holes, answers=np.where(np.isnan(holes), 7.0, holes))


@onnx_case
def texts_of_one_column() -> Case:
    node = make_node(
        "LabelEncoder",
        ["word"],
        ["number"],
        domain="ai.onnx.ml",
        keys_strings=["one", "two"],
        values_int64s=[1, 2],
        default_int64=-1,
    )
    inputs = [make_tensor_value_info("word", T.STRING, [None, 1])]
    made = model([node], inputs, [make_tensor_value_info("number", T.INT64, [None, 1])])
    table = pd.DataFrame({"word": ["one", "two", "three", "two"] * 10})
    return Case(made, table, answers=[1, 2, -1, 2] * 10)
