"""Sums of trees in ONNX Runtime, in float64 and with the very bits of the walk on NumPy (`trees.py`).

The operator is `ai.onnx.ml` 5 `TreeEnsemble`: the older `TreeEnsembleRegressor` and `TreeEnsembleClassifier`
give float32, which flips exact vote ties. A leaf of it has one number for one output. Leaves with several
numbers make a copy of their tree for each output; the trees of a fully grown forest need none, because their
leaves are pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from fairway.compilers.steps.base import Array, Indexes, Step
from fairway.compilers.steps.trees import Trees, tree_input
from fairway.errors import MissingExtra

_SUM, _AT_MOST = 1, 0
_ML_OPSET, _OPSET, _IR = 5, 21, 10
_BLOCK_ROWS = 1024
"""Rows that are summed at once: with more of them, rows and nodes push each other out of the cache."""


@dataclasses.dataclass
class OnnxTrees(Step):
    """Matrix (n, features) to the sums of leaf values (n, outputs).

    Attributes:
        model: The ONNX file.
        rounded: Whether rows are rounded to float32 first.
        missing: Whether missing values are taken.
        single: Whether the operator works in float32, where the original adds up in float32.
    """

    model: bytes
    rounded: bool
    missing: bool
    single: bool = False

    def __post_init__(self) -> None:
        self._run = _session(self.model).run

    def __call__(self, value: Array) -> Array:
        if len(value) <= _BLOCK_ROWS:
            return self._sum(value)
        starts = range(0, len(value), _BLOCK_ROWS)
        return np.concatenate([self._sum(value[start : start + _BLOCK_ROWS]) for start in starts])

    def _sum(self, value: Array) -> Array:
        rows = tree_input(value, rounded=self.rounded, missing=self.missing)
        if self.single:
            return self._run(("y",), {"x": rows.astype(np.float32)})[0].astype(np.float64)
        return self._run(("y",), {"x": rows})[0]


def _session(model: bytes) -> Any:
    try:
        import onnxruntime as ort
    except ImportError as cause:
        raise MissingExtra("onnxruntime", "onnx", purpose="a model that was compiled to ONNX") from cause
    options = ort.SessionOptions()
    # More threads cost a row more than they save it, and hang in processes that fork.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@dataclasses.dataclass
class _Ensemble:
    """The attributes of the operator, as they grow tree by tree."""

    features: list[Any] = dataclasses.field(default_factory=list)
    splits: list[Any] = dataclasses.field(default_factory=list)
    true_ids: list[Any] = dataclasses.field(default_factory=list)
    true_leaves: list[Any] = dataclasses.field(default_factory=list)
    false_ids: list[Any] = dataclasses.field(default_factory=list)
    false_leaves: list[Any] = dataclasses.field(default_factory=list)
    missing_true: list[Any] = dataclasses.field(default_factory=list)
    targets: list[Any] = dataclasses.field(default_factory=list)
    weights: list[Any] = dataclasses.field(default_factory=list)
    roots: list[int] = dataclasses.field(default_factory=list)
    nodes: int = 0
    leaves: int = 0

    def add(self, trees: Trees, members: Indexes, targets: Indexes, weights: Array) -> None:
        """Add one tree: its nodes in the table (the root first), and one number and output per node."""
        inner = members[trees.left[members] != members]
        if not len(inner):
            self._add_constant(int(targets[members[0]]), float(weights[members[0]]))
            return
        leaves = members[trees.left[members] == members]
        place = np.zeros(int(members.max()) + 1, np.int64)
        place[inner] = np.arange(len(inner)) + self.nodes
        place[leaves] = np.arange(len(leaves)) + self.leaves
        left, right = trees.left[inner], trees.right[inner]
        self.features.append(trees.feature[inner])
        self.splits.append(trees.threshold[inner])
        self.true_ids.append(place[left])
        self.true_leaves.append(trees.left[left] == left)
        self.false_ids.append(place[right])
        self.false_leaves.append(trees.left[right] == right)
        self.missing_true.append(trees.missing_left[inner] if trees.missing else np.zeros(len(inner)))
        self.targets.append(targets[leaves])
        self.weights.append(weights[leaves])
        self.roots.append(self.nodes)
        self.nodes += len(inner)
        self.leaves += len(leaves)

    def _add_constant(self, target: int, weight: float) -> None:
        """Add a tree of one leaf as a question with the same answer on both sides."""
        for values, entry in (
            (self.features, 0),
            (self.splits, 0.0),
            (self.true_ids, self.leaves),
            (self.true_leaves, 1),
            (self.false_ids, self.leaves),
            (self.false_leaves, 1),
            (self.missing_true, 0),
            (self.targets, target),
            (self.weights, weight),
        ):
            values.append(np.array([entry]))
        self.roots.append(self.nodes)
        self.nodes += 1
        self.leaves += 1


def to_onnx(trees: Trees) -> OnnxTrees:
    """Return the same trees for ONNX Runtime; needs the package `onnx`.

    Raises:
        MissingExtra: `onnx` is not installed.
    """
    ensemble = _Ensemble()
    for number, members in enumerate(_members(trees)):
        if trees.separate:
            ensemble.add(trees, members, np.full(len(trees.left), number), trees.values[:, 0])
        else:
            for targets, weights in _split(trees, members):
                ensemble.add(trees, members, targets, weights)
    model = _model(ensemble, trees.outputs, single=trees.single)
    return OnnxTrees(model, trees.rounded, trees.missing, trees.single)


def _members(trees: Trees) -> Iterator[Indexes]:
    """Yield the nodes of each tree; they stand together in the table, the root first."""
    ends = [*trees.roots[1:].tolist(), len(trees.left)]
    for start, end in zip(trees.roots.tolist(), ends, strict=True):
        yield np.arange(start, end)


def _split(trees: Trees, members: Indexes) -> Iterator[tuple[Indexes, Array]]:
    """Yield outputs and numbers per node for as many copies of a tree as its leaves have numbers."""
    values = trees.values[members]
    everywhere = np.zeros(len(trees.left), np.int64)
    if (np.count_nonzero(values, axis=1) <= 1).all():
        everywhere[members] = np.abs(values).argmax(axis=1)
        weights = np.zeros(len(trees.left))
        weights[members] = values.sum(axis=1)
        yield everywhere, weights
        return
    for output in range(values.shape[1]):
        if values[:, output].any():
            yield np.full(len(trees.left), output), trees.values[:, output]


def _model(ensemble: _Ensemble, outputs: int, *, single: bool) -> bytes:
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as cause:
        raise MissingExtra("onnx", "compile", purpose="compiling trees") from cause

    number = np.float32 if single else np.float64

    def tensor(values: list[Any]) -> Any:
        return numpy_helper.from_array(np.concatenate(values).astype(number))

    def integers(values: list[Any]) -> list[int]:
        return np.concatenate(values).astype(np.int64).tolist()

    node = helper.make_node(
        "TreeEnsemble",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        aggregate_function=_SUM,
        post_transform=0,
        n_targets=outputs,
        nodes_featureids=integers(ensemble.features),
        nodes_splits=tensor(ensemble.splits),
        nodes_modes=numpy_helper.from_array(np.full(ensemble.nodes, _AT_MOST, np.uint8)),
        nodes_truenodeids=integers(ensemble.true_ids),
        nodes_trueleafs=integers(ensemble.true_leaves),
        nodes_falsenodeids=integers(ensemble.false_ids),
        nodes_falseleafs=integers(ensemble.false_leaves),
        nodes_missing_value_tracks_true=integers(ensemble.missing_true),
        tree_roots=ensemble.roots,
        leaf_targetids=integers(ensemble.targets),
        leaf_weights=tensor(ensemble.weights),
    )
    ends = [
        helper.make_tensor_value_info(
            name, TensorProto.FLOAT if single else TensorProto.DOUBLE, [None, width]
        )
        for name, width in (("x", None), ("y", outputs))
    ]
    graph = helper.make_graph([node], "trees", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="fairway")
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data
