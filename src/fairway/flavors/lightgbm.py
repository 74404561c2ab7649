"""LightGBM: boosters and estimators, saved as its own text.

A booster that tells classes apart (`binary`, `multiclass`, `multiclassova`) answers with the class, and what
it computes are the probabilities. The text knows classes by number only, so labels lie beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from fairway.bundle.code import CodeSpace
from fairway.bundle.safety import Trust
from fairway.bundle.signature import Signature
from fairway.bundle.tables import Table
from fairway.errors import ArtifactCorrupt
from fairway.flavors.base import Description, ModelFiles, Predictor, import_framework
from fairway.flavors.boosters import first_line, only_file, read_facts, write_facts
from fairway.flavors.contributions import Contributions, Link, TellingPredictor, split_bias
from fairway.flavors.feeds import feeder
from fairway.flavors.lightgbm_text import check_text
from fairway.flavors.pickles import dump_joblib
from fairway.flavors.sklearn import SklearnFlavor

TEXT = "model/model.txt"

_ESTIMATORS = ("LGBMClassifier", "LGBMRegressor", "LGBMRanker")
_MANY_CLASSES = frozenset({"multiclass", "multiclassova"})
_UNNAMED = re.compile(r"Column_\d+")
_SHOWN = (
    "objective",
    "boosting",
    "num_iterations",
    "learning_rate",
    "num_leaves",
    "max_depth",
    "min_data_in_leaf",
    "lambda_l1",
    "lambda_l2",
    "feature_fraction",
    "bagging_fraction",
)


class LightgbmFlavor(SklearnFlavor):
    """Implement `fairway.flavors.base.Flavor` for LightGBM."""

    name = "lightgbm"
    module = "lightgbm"
    package = "lightgbm"
    formats: Sequence[str] = ("LightGBM models (text)",)
    has_contributions = True

    def matches(self, type_name: str) -> bool:
        """Match boosters and estimators, and what `load` makes of a text."""
        return type_name.startswith(("lightgbm.", f"{__name__}."))

    def reads(self, files: Mapping[str, bytes]) -> bool:
        """Match the first lines of the text."""
        data = only_file(files)
        return data[:8].split()[:1] == [b"tree"] and b"num_tree_per_iteration=" in data[:4096]

    def keep(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Keep the text."""
        return {TEXT: only_file(files)}

    def describe(self, model: Any) -> Description:
        """Read estimators as scikit-learn's; of a booster what its text says."""
        modules = {"lightgbm", "numpy", "scipy"}
        names = _feature_names(_booster_of(model))
        if hasattr(model, "get_params"):
            found = super().describe(model)
            modules |= found.modules - {"joblib"}
            return Description(found.model_type, found.hyperparameters, modules, names, _spelt)
        answers = _as_model(model)
        settings = {key: _plain(value) for key, value in answers.settings.items() if key in _SHOWN}
        return Description(f"Booster ({answers.objective})", settings, modules, names, _spelt)

    def dump(self, model: Any) -> dict[str, bytes]:
        """Save as text, with the labels beside it; estimators of your own by joblib."""
        lightgbm = import_framework(self)
        try:
            if type(model) is lightgbm.Booster:
                return {TEXT: model.model_to_string().encode()}
            if not _is_plain(model):
                return dump_joblib(model)
            text = model.booster_.model_to_string().encode()
        except (lightgbm.basic.LightGBMError, ValueError) as cause:  # not fitted
            raise ArtifactCorrupt(f"the model cannot be saved: {first_line(cause)}") from cause
        return {TEXT: text, **write_facts({"class": type(model).__name__, "labels": _labels(model)})}

    def load(self, read: ModelFiles, code: CodeSpace, *, trust: Trust) -> Any:  # noqa: ARG002
        """Load a booster that answers as LightGBM's estimators do."""
        lightgbm = import_framework(self)
        facts = read_facts(read)
        try:
            text = read(TEXT).decode()
            check_text(text)
            booster = lightgbm.Booster(model_str=_plain_text(text))
            return _answering(booster, text, labels=facts.get("labels"), plain="class" in facts)
        except (lightgbm.basic.LightGBMError, ValueError) as cause:
            raise ArtifactCorrupt(
                f"LightGBM cannot read the model file: {first_line(cause)}",
                hint="was it cut off while copying? save it again with save_model",
            ) from cause

    def learn(
        self, model: Any, table: Table, signature: Signature, *, output_names: Sequence[str], feed: str | None
    ) -> tuple[Signature, dict[str, Any]]:
        """Try the ways of feeding that a booster takes."""
        return super().learn(_as_model(model), table, signature, output_names=output_names, feed=feed)

    def predictor(self, model: Any, signature: Signature, options: dict[str, Any]) -> Predictor:
        """Bind the booster."""
        answering = _as_model(model)
        predictor = super().predictor(answering, signature, options)
        return TellingPredictor(predictor, feeder(options, signature), partial(_contributions, answering))


FLAVOR = LightgbmFlavor()


class LightgbmScores:
    """A booster that answers with its score.

    Attributes:
        booster_: The booster, under the name that estimators have for it.
        best_iteration_: 0: the text ends with the best iteration.
        objective: Name of the objective.
        settings: What it was trained with, as far as the text says.
    """

    best_iteration_ = 0

    def __init__(self, booster: Any, objective: str, settings: Mapping[str, str]) -> None:
        self.booster_ = booster
        self.objective = objective
        self.settings = settings
        if names := _feature_names(booster):
            self.feature_names_in_ = names

    def scores(self, rows: Any) -> Any:
        """Return what the booster computes."""
        # Threads of several workers would stand in each other's way.
        return self.booster_.predict(rows, num_threads=1)

    def predict(self, rows: Any) -> Any:
        """Return the scores."""
        return self.scores(rows)


class LightgbmClasses(LightgbmScores):
    """A booster that answers with a class.

    Attributes:
        classes_: The labels, in the order of the probabilities.
    """

    def __init__(
        self, booster: Any, objective: str, settings: Mapping[str, str], labels: Sequence[Any]
    ) -> None:
        import numpy as np

        super().__init__(booster, objective, settings)
        self.classes_ = np.array(labels)

    def predict_proba(self, rows: Any) -> Any:
        """Return the share of every class."""
        import numpy as np

        shares = self.scores(rows)
        return shares if shares.ndim == 2 else np.vstack((1.0 - shares, shares)).transpose()

    def predict(self, rows: Any) -> Any:
        """Return the label with the largest share."""
        return self.classes_[self.predict_proba(rows).argmax(axis=1)]


_LINKS: dict[str, Link] = {
    "binary": "logistic",
    "multiclass": "softmax",
    "poisson": "exp",
    "gamma": "exp",
    "tweedie": "exp",
    **dict.fromkeys(
        ("regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank"), "identity"
    ),
}


def _contributions(model: Any, rows: Any) -> Contributions | None:
    """Return what LightGBM tells of its trees (Lundberg, Erion and Lee 2018)."""
    # An estimator has the name of its objective with an underscore, once it is fitted.
    link = _LINKS.get(getattr(model, "objective_", model.objective))
    if link is None:
        return None
    booster = model.booster_
    found = booster.predict(rows, pred_contrib=True, num_iteration=model.best_iteration_ or -1, num_threads=1)
    return split_bias(found, sums=booster.num_model_per_iteration(), link=link)


def _booster_of(model: Any) -> Any:
    return getattr(model, "booster_", model)


def _as_model(model: Any) -> Any:
    """Return something with `predict` that uses one thread.

    A booster takes more than rows, and is asked as its estimators are. An estimator asks for all cores by
    name, and in a process that was forked from one that did so before it would wait for ever.
    """
    if isinstance(model, LightgbmScores):
        return model
    if not hasattr(model, "booster_"):
        return _answering(model, model.model_to_string(), labels=None, plain=False)
    if not _is_plain(model):
        return model
    return _answering(model.booster_, "", labels=_labels(model), plain=True)


def _answering(booster: Any, text: str, *, labels: Sequence[Any] | None, plain: bool) -> LightgbmScores:
    """Return what answers for a booster.

    Args:
        booster: The booster.
        text: Its text.
        labels: Labels of its classes; numbers by default.
        plain: Whether *labels* decide whether there are classes at all, and not the objective.
    """
    line = re.search(r"^objective=(\S+)", text, re.MULTILINE)
    objective = line[1] if line else "none"
    settings = dict(re.findall(r"^\[(\w+): (.+)\]\r?$", text, re.MULTILINE))
    if labels is None and not plain:
        if objective in _MANY_CLASSES:
            labels = range(booster.num_model_per_iteration())
        elif objective == "binary":
            labels = (0, 1)
    if labels is None:
        return LightgbmScores(booster, objective, settings)
    return LightgbmClasses(booster, objective, settings, labels=labels)


def _plain(value: str) -> str | int | float:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _plain_text(text: str) -> str:
    """Return the text without what predictions do not need and LightGBM does not bear.

    With the sizes of the trees it reads them in parallel, and a damaged one takes the process down; settings
    that another release had make it write warnings to the standard output.
    """
    head, mark, trees = text.partition("\nTree=")
    head = re.sub(r"^tree_sizes=.*\n", "", head, flags=re.MULTILINE)
    trees = re.sub(r"^parameters:.*?^end of parameters\r?\n", "", trees, flags=re.MULTILINE | re.DOTALL)
    return head + mark + trees


def _is_plain(model: Any) -> bool:
    """Tell whether an estimator is LightGBM's own and predicts in no way that its text does not know of."""
    kind, params = type(model), model.get_params()
    labels = {type(label) for label in _labels(model) or ()}
    return (
        kind.__module__ == "lightgbm.sklearn"
        and kind.__name__ in _ESTIMATORS
        and not callable(params.get("objective"))
        and not any(name.startswith("pred_") or name.endswith("_predict") for name in params)
        and len(labels) < 2
        and labels <= {str, int, float, bool}
    )


def _labels(model: Any) -> list[Any] | None:
    if type(model).__name__ != "LGBMClassifier" or not hasattr(model, "classes_"):
        return None
    labels: list[Any] = model.classes_.tolist()
    return labels


def _feature_names(booster: Any) -> tuple[str, ...]:
    names = tuple(map(str, booster.feature_name()))
    return () if all(map(_UNNAMED.fullmatch, names)) else names


def _spelt(name: str) -> str:
    """Return a column's name as LightGBM writes it: without white space."""
    return re.sub(r"\s", "_", name)
