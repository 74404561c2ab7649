"""Decision trees: one table of nodes for all of them, walked level by level on NumPy.

A node sends a row left if its value is at most the threshold. Everything that trees differ in is brought into
this form, exactly, when they are read:

* scikit-learn's trees compare a value rounded to float32 with a float64 threshold: rows are rounded first.
* XGBoost asks `<` between float32 numbers: that is `<=` with the next smaller float32.
* Missing values go to the side that the node says.

`onnx_trees.py` runs the same table in ONNX Runtime.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.base import Array, Indexes, Step
from fairway.compilers.steps.scaling import array

_BLOCK = 1 << 18
_MOST_ANSWERS = 20_000_000
_ONE_THREAD = 8192
_FLOAT32_SAFE = 1e76
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


@dataclasses.dataclass
class Trees(Step):
    """A sum of trees: matrix (n, features) to the sums of leaf values (n, outputs), in the trees' order.

    Attributes:
        feature: Feature that a node asks for; 0 in leaves.
        threshold: Largest value that goes left; infinite in leaves.
        left: Number of the left child; a leaf's own number.
        right: Number of the right child; a leaf's own number.
        missing_left: Whether a missing value goes left.
        roots: Numbers of the roots.
        values: Leaf values, (nodes, outputs).
        depth: Most questions on the way to a leaf.
        rounded: Whether rows are rounded to float32 first.
        missing: Whether missing values are taken.
        separate: Whether to give the (single) output of each tree, (n, trees), instead of their sum.
        single: Whether sums are rounded to float32 after each tree.
    """

    feature: Indexes
    threshold: Array
    left: Indexes
    right: Indexes
    missing_left: Indexes
    roots: Indexes
    values: Array
    depth: int
    rounded: bool
    missing: bool
    separate: bool = False
    single: bool = False

    def __post_init__(self) -> None:
        self._terms = self.values.astype(np.float32) if self.single else self.values
        self._children = np.ascontiguousarray(np.stack([self.right, self.left], axis=1)).ravel()
        self._default = self.missing_left.astype(bool)

    @property
    def outputs(self) -> int:
        """Number of columns of the result."""
        return len(self.roots) if self.separate else self.values.shape[1]

    def __call__(self, value: Array) -> Array:
        value = tree_input(value, rounded=self.rounded, missing=self.missing)
        block = max(1, _BLOCK // (len(self.roots) * self.values.shape[1]))
        found = [self._sum(value[start : start + block]) for start in range(0, len(value), block)]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _sum(self, value: Array) -> Array:
        leaves = self._leaves(value)
        if self.separate:
            return self.values[:, 0].take(leaves)
        # Adding up from left to right: scikit-learn and ONNX Runtime do, and ties depend on it.
        sums = np.add.accumulate(self._terms.take(leaves, axis=0), axis=1)[:, -1]
        return sums.astype(np.float64) if self.single else sums

    def _leaves(self, value: Array) -> Indexes:
        """Return the leaf that each row reaches in each tree, (rows, trees)."""
        rows, features = value.shape
        flat, start = value.ravel(), (np.arange(rows) * features)[:, None]
        nodes = np.broadcast_to(self.roots, (rows, len(self.roots)))
        nan = self.missing and bool(np.isnan(flat).any())
        for _ in range(self.depth):
            values = flat.take(self.feature.take(nodes) + start)
            left = values <= self.threshold.take(nodes)
            if nan:
                left |= np.isnan(values) & self._default.take(nodes)
            nodes = self._children.take(2 * nodes + left)
        return nodes


def tree_input(value: Array, *, rounded: bool, missing: bool) -> Array:
    """Return rows as trees take them, refusing what scikit-learn refuses.

    Raises:
        ValueError: A value is missing where that is not taken, or is too large for float32.
    """
    # OpenBLAS would wake threads for a large product; they cost more than the trees.
    square = np.vdot(value, value) if value.size < _ONE_THREAD else np.einsum("ij,ij->", value, value)
    if not square < _FLOAT32_SAFE:
        _check_extremes(value, rounded=rounded, missing=missing)
    return value.astype(np.float32).astype(np.float64) if rounded else np.ascontiguousarray(value)


def _check_extremes(value: Array, *, rounded: bool, missing: bool) -> None:
    if not missing and np.isnan(value).any():
        raise ValueError("the model takes no missing values here")
    if rounded and (np.abs(value) > _LARGEST_FLOAT32).any():
        raise ValueError("a number is too large for float32, in which trees compare")


@dataclasses.dataclass
class CategorySets(Step):
    """Append a 0/1 feature per question "is the category in this set", so that trees can ask it as a number.

    Attributes:
        features: Feature that each question asks for.
        table: Answer of each question for each category from 0 on; the last one for all others.
    """

    features: Indexes
    table: Array

    def __post_init__(self) -> None:
        self._used, self._place = np.unique(self.features, return_inverse=True)
        self._others = self.table.shape[1] - 1
        self._starts = np.arange(len(self.features)) * self.table.shape[1]

    def __call__(self, value: Array) -> Array:
        chosen = value.take(self._used, axis=1)
        known = (chosen > -1.0) & (chosen < self._others)
        codes = np.where(known, chosen, self._others).astype(np.intp)
        return np.concatenate(
            [value, self.table.take(codes.take(self._place, axis=1) + self._starts)], axis=1
        )


class Questions:
    """Collects questions for categories while trees are read; equal ones are asked once."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._asked: dict[tuple[int, frozenset[int], frozenset[int], bool], int] = {}

    def ask(self, feature: int, members: Iterable[int], *, known: Iterable[int], others: bool) -> int:
        """Return the number of the feature that is 1 for categories among *members*.

        Args:
            feature: Feature with the category.
            members: Categories in the set.
            known: Categories that count as such; all else is answered by *others*.
            others: Answer for unknown and missing categories.
        """
        key = feature, frozenset(members), frozenset(known), others
        return self._width + self._asked.setdefault(key, len(self._asked))

    def steps(self) -> list[Step]:
        """Return the step that answers the questions; none if there are no questions."""
        if not self._asked:
            return []
        size = 1 + max((max(known, default=0) for _, _, known, _ in self._asked), default=0)
        if size * len(self._asked) > _MOST_ANSWERS:
            raise NotConvertible("the trees ask for categories with too large numbers")
        table = np.zeros((len(self._asked), size + 1))
        for row, (_, members, known, others) in zip(table, self._asked, strict=True):
            row[:] = others
            row[sorted(known)] = 0.0
            row[sorted(members & known)] = 1.0
        return [CategorySets(np.array([key[0] for key in self._asked], np.intp), table)]


@dataclasses.dataclass
class OneTree:
    """Nodes of one tree, before they become part of a table; a leaf has -1 for its children."""

    feature: Any
    threshold: Any
    left: Any
    right: Any
    values: Array
    missing_left: Any = None


def plant(
    trees: Sequence[OneTree], *, rounded: bool, missing: bool, separate: bool = False, single: bool = False
) -> Trees:
    """Return one table for trees, whose leaf values have the same width; the flags are those of `Trees`."""
    starts = np.cumsum([0, *(len(tree.feature) for tree in trees)])
    left, right, depth = [], [], 0
    for tree, start in zip(trees, starts, strict=False):
        numbers = np.arange(len(tree.feature))
        is_leaf = np.asarray(tree.left) < 0
        left.append(np.where(is_leaf, numbers, tree.left) + start)
        right.append(np.where(is_leaf, numbers, tree.right) + start)
        depth = max(depth, _depth(np.asarray(tree.left), np.asarray(tree.right)))
    leaves = np.concatenate([np.asarray(tree.left) < 0 for tree in trees])
    feature = np.concatenate([tree.feature for tree in trees]).astype(np.intp)
    threshold = np.concatenate([tree.threshold for tree in trees]).astype(np.float64)
    values = np.concatenate([tree.values for tree in trees]).astype(np.float64)
    sides = [
        np.zeros(len(t.feature), np.intp) if t.missing_left is None else np.asarray(t.missing_left, np.intp)
        for t in trees
    ]
    values[~leaves] = 0.0
    return Trees(
        feature=np.where(leaves, 0, feature),
        threshold=np.where(leaves, np.inf, threshold),
        left=np.concatenate(left).astype(np.intp),
        right=np.concatenate(right).astype(np.intp),
        missing_left=np.where(leaves, 1, np.concatenate(sides)).astype(np.intp),
        roots=starts[:-1].astype(np.intp),
        values=np.ascontiguousarray(values),
        depth=depth,
        rounded=rounded,
        missing=missing,
        separate=separate,
        single=single,
    )


def _depth(left: Any, right: Any) -> int:
    """Return the number of questions on the longest way from the root to a leaf."""
    level, depth = np.array([0]), 0
    while (inner := level[left[level] >= 0]).size:
        level, depth = np.concatenate([left[inner], right[inner]]), depth + 1
    return depth


def constant_tree(values: Array) -> OneTree:
    """Return a tree of one leaf: what a sum starts from."""
    return OneTree([0], [0.0], [-1], [-1], np.atleast_2d(values))


def sklearn_tree(tree: Any, values: Array) -> OneTree:
    """Return the nodes of scikit-learn's `tree_` with the given leaf values, (nodes, outputs)."""
    return OneTree(
        np.maximum(tree.feature, 0),
        array(tree.threshold),
        tree.children_left,
        tree.children_right,
        values,
        np.asarray(tree.missing_go_to_left) if hasattr(tree, "missing_go_to_left") else None,
    )
