"""LightGBM's text, checked before LightGBM reads it: that trusts every number, and a wrong one kills it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from fairway.errors import ArtifactCorrupt

_HINT = "was it cut off while copying? save it again with save_model"


def check_text(text: str) -> None:
    """Refuse a text that is not whole: trees that are missing, and nodes that point nowhere.

    Raises:
        ArtifactCorrupt: Says what is wrong.
    """
    head, *blocks = text.split("\nTree=")
    try:
        facts = _entries(head)
        features = int(facts["max_feature_idx"]) + 1
        _expect(len(facts["feature_names"].split()) == features, "the names of the features are not whole")
        _expect(len(facts["feature_infos"].split()) == features, "the header is not whole")
        per_round = int(facts["num_tree_per_iteration"])
        _expect(per_round > 0 and len(blocks) % per_round == 0, "trees are missing")
        if sizes := facts.get("tree_sizes", "").split():
            _expect(len(sizes) == len(blocks), "trees are missing")
        for number, block in enumerate(blocks):
            tree = _entries(block.partition("\n\n")[0])
            _expect("shrinkage" in tree, f"tree {number} is cut off")
            _check_tree(tree, f"tree {number}", features)
    except (KeyError, ValueError) as cause:
        raise ArtifactCorrupt(
            f"the LightGBM text is damaged: {cause} is missing or wrong", hint=_HINT
        ) from cause


def _entries(block: str) -> dict[str, str]:
    lines = (line.partition("=") for line in block.splitlines())
    return {key: value for key, equals, value in lines if equals}


def _check_tree(tree: Mapping[str, str], name: str, features: int) -> None:
    leaves = int(tree["num_leaves"])
    _expect(leaves > 0 and len(_numbers(tree, "leaf_value", float)) == leaves, f"{name} lacks leaves")
    if leaves == 1:
        return
    columns = [
        _numbers(tree, key, int) for key in ("split_feature", "decision_type", "left_child", "right_child")
    ]
    questions, kinds, left, right = map(list, columns)
    thresholds = _numbers(tree, "threshold", float)
    nodes = {len(column) for column in (questions, kinds, left, right, thresholds)}
    _expect(nodes == {leaves - 1}, f"{name} lacks nodes")
    _expect(
        all(0 <= feature < features for feature in questions), f"{name} asks for a feature that is not there"
    )
    for index, child in itertools.chain(enumerate(left), enumerate(right)):
        # A child comes after its parent, so there is no circle; a leaf is the complement of its number.
        inside = index < child < leaves - 1 if child >= 0 else ~child < leaves
        _expect(inside, f"{name} has a node that points nowhere")
    categories = [int(threshold) for threshold, kind in zip(thresholds, kinds, strict=True) if kind & 1]
    _check_categories(tree, name, categories)


def _check_categories(tree: Mapping[str, str], name: str, asked: Sequence[int]) -> None:
    sets = int(tree["num_cat"])
    _expect(all(0 <= number < sets for number in asked), f"{name} asks for categories that are not there")
    if not sets:
        return
    bounds = _numbers(tree, "cat_boundaries", int)
    words = len(_numbers(tree, "cat_threshold", int))
    is_whole = len(bounds) == sets + 1 and bounds[0] == 0 and bounds[-1] == words
    _expect(is_whole and all(a <= b for a, b in itertools.pairwise(bounds)), f"{name} lacks categories")


def _numbers(tree: Mapping[str, str], key: str, kind: type) -> list[int]:
    return list(map(kind, tree[key].split()))


def _expect(condition: bool, message: str) -> None:  # noqa: FBT001 - reads like assert
    if not condition:
        raise ArtifactCorrupt(f"the LightGBM text is damaged: {message}", hint=_HINT)
