"""CatBoost: its models, saved in its own format (cbm), which holds labels and categories, too."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
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
from fairway.flavors.pickles import dump_joblib
from fairway.flavors.sklearn import SklearnFlavor

CBM = "model/model.cbm"

_MODELS = ("CatBoost", "CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker")
_SHOWN = ("loss_function", "iterations", "depth", "learning_rate", "l2_leaf_reg", "random_seed")


class CatboostFlavor(SklearnFlavor):
    """Implement `fairway.flavors.base.Flavor` for CatBoost."""

    name = "catboost"
    module = "catboost"
    package = "catboost"
    formats: Sequence[str] = ("CatBoost models (cbm)",)
    has_contributions = True

    def matches(self, type_name: str) -> bool:
        """Match CatBoost's own classes."""
        return type_name.startswith("catboost.")

    def reads(self, files: Mapping[str, bytes]) -> bool:
        """Match the first bytes of the format."""
        return only_file(files).startswith(b"CBM1")

    def keep(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Keep the file."""
        return {CBM: only_file(files)}

    def describe(self, model: Any) -> Description:
        """Read what the model was trained with."""
        known = {**model.get_params(), **(model.get_all_params() if model.is_fitted() else {})}
        plain = {key: known[key] for key in _SHOWN if isinstance(known.get(key), str | int | float)}
        names = tuple(map(str, model.feature_names_ or ())) if model.is_fitted() else ()
        if names == tuple(map(str, range(len(names)))):  # it was trained on a matrix
            names = ()
        return Description(type(model).__name__, plain, {"catboost", "numpy"}, names)

    def dump(self, model: Any) -> dict[str, bytes]:
        """Save as cbm, with the class beside it; classes of your own by joblib."""
        catboost = import_framework(self)
        kind = type(model)
        if kind.__module__ != "catboost.core" or kind.__name__ not in _MODELS:
            return dump_joblib(model)
        with tempfile.TemporaryDirectory(prefix="fairway-catboost-") as folder:
            path = Path(folder) / "model.cbm"
            try:
                model.save_model(str(path), format="cbm")
            except catboost.CatBoostError as cause:  # not fitted
                raise ArtifactCorrupt(f"the model cannot be saved: {first_line(cause)}") from cause
            return {CBM: path.read_bytes(), **write_facts({"class": kind.__name__})}

    def load(self, read: ModelFiles, code: CodeSpace, *, trust: Trust) -> Any:  # noqa: ARG002
        """Load the class that was saved; a file that somebody brought tells whether it has labels."""
        catboost = import_framework(self)
        data = read(CBM)
        try:
            name = read_facts(read).get("class")
            if name is None:
                name = "CatBoostClassifier" if len(_loaded(catboost.CatBoost, data).classes_) else "CatBoost"
            if name not in _MODELS:
                raise ArtifactCorrupt(f"{name!r} is no model of CatBoost")
            return _loaded(getattr(catboost, name), data)
        except catboost.CatBoostError as cause:
            raise ArtifactCorrupt(
                f"CatBoost cannot read the model file: {first_line(cause)}",
                hint="was it cut off while copying? save it again with save_model",
            ) from cause

    def learn(
        self, model: Any, table: Table, signature: Signature, *, output_names: Sequence[str], feed: str | None
    ) -> tuple[Signature, dict[str, Any]]:
        """Try the ways of feeding; categories go in as they are written, also those never seen."""
        table = Table(
            table.columns,
            {**table.dtypes, **dict.fromkeys(table.categories, "object")},
            nones=table.nones,
            form=table.form,
        )
        return super().learn(_answering(model), table, signature, output_names=output_names, feed=feed)

    def predictor(self, model: Any, signature: Signature, options: dict[str, Any]) -> Predictor:
        """Bind the model."""
        predictor = super().predictor(_answering(model), signature, options)
        return TellingPredictor(predictor, feeder(options, signature), partial(_contributions, model))


FLAVOR = CatboostFlavor()


_LINKS: dict[str, Link] = {
    "Logloss": "logistic",
    "CrossEntropy": "logistic",
    "MultiClass": "softmax",
    "Poisson": "exp",
    "Tweedie": "exp",
    **dict.fromkeys(("RMSE", "MAE", "Quantile", "Huber", "MAPE", "LogCosh"), "identity"),
}


def _link(model: Any) -> Link | None:
    """Return what leads from the sum of the trees to the answer."""
    return _LINKS.get(str(model.get_all_params().get("loss_function", "")).partition(":")[0])


def _contributions(model: Any, rows: Any) -> Contributions | None:
    """Return what CatBoost tells of its trees."""
    catboost = import_framework(FLAVOR)
    link = _link(model)
    if link is None:
        return None
    pool = catboost.Pool(rows, cat_features=model.get_cat_feature_indices())
    found = model.get_feature_importance(pool, type="ShapValues", thread_count=1)
    return split_bias(found, sums=found.shape[1] if found.ndim == 3 else 1, link=link)


class _Scores:
    """A model that answers with numbers.

    It uses one thread: those of several workers would stand in each other's way.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        # A regressor of counts answers with the exponent of its sum, and a loaded one has forgotten that.
        counts = type(model).__name__ == "CatBoostRegressor" and _link(model) == "exp"
        self._options = {"prediction_type": "Exponent"} if counts else {}
        if names := FLAVOR.describe(model).input_names:
            self.feature_names_in_ = names

    def predict(self, rows: Any) -> Any:
        return self._model.predict(rows, thread_count=1, **self._options)


class _Classes(_Scores):
    """A model that answers with labels."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.classes_ = model.classes_

    def predict_proba(self, rows: Any) -> Any:
        return self._model.predict_proba(rows, thread_count=1)


def _answering(model: Any) -> _Scores:
    if hasattr(model, "predict_proba") and len(model.classes_):
        return _Classes(model)
    return _Scores(model)


def _loaded(kind: Any, data: bytes) -> Any:
    model = kind()
    model.load_model(blob=data)
    return model
