"""XGBoost: boosters and estimators, saved in its own binary JSON (UBJ); JSON files are read as well.

A booster is served through the estimator of its kind: one that tells classes apart (`binary:logistic`,
`multi:softprob`, `multi:softmax`) answers with the class, and what it computes are the probabilities.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from fairway.bundle.code import CodeSpace
from fairway.bundle.safety import Trust
from fairway.bundle.signature import Signature
from fairway.bundle.tables import Table
from fairway.errors import ArtifactCorrupt, MissingExtra
from fairway.flavors.base import Description, ModelFiles, Predictor, import_framework
from fairway.flavors.boosters import first_line, only_file, read_facts, write_facts
from fairway.flavors.contributions import Contributions, Link, TellingPredictor, split_bias
from fairway.flavors.feeds import feeder
from fairway.flavors.pickles import dump_joblib
from fairway.flavors.sklearn import SklearnFlavor

UBJ = "model/model.ubj"
JSON = "model/model.json"

_ESTIMATORS = ("XGBClassifier", "XGBRegressor", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor")
_BY_KIND = {"classifier": "XGBClassifier", "regressor": "XGBRegressor", "ranker": "XGBRanker"}
_CLASS_OBJECTIVES = frozenset({"binary:logistic", "multi:softprob", "multi:softmax"})
# With its mark, or bare: then it begins with a base score, which is 0.5 unless somebody set it.
_OLD_MAGICS = (b"binf", b"bs64", b"\x00\x00\x00\x3f")
_CONVERT = (
    "convert it with an older release: pip install 'xgboost<3.1', then "
    "python -c \"import xgboost; xgboost.Booster(model_file='old.bst').save_model('new.ubj')\""
)


class XgboostFlavor(SklearnFlavor):
    """Implement `fairway.flavors.base.Flavor` for XGBoost."""

    name = "xgboost"
    module = "xgboost"
    package = "xgboost"
    formats: Sequence[str] = ("XGBoost models (UBJ, JSON)",)
    tolerance = 1e-6  # it computes in single precision
    has_contributions = True

    def matches(self, type_name: str) -> bool:
        """Match boosters and estimators."""
        return type_name.startswith("xgboost.")

    def reads(self, files: Mapping[str, bytes]) -> bool:
        """Match JSON and UBJ by their first key and member, and the old binary format to say so."""
        data = only_file(files)
        if data.startswith(_OLD_MAGICS):
            return True
        return data[:64].lstrip().startswith(b"{") and b'"gradient_booster"' in _as_json(data)

    def keep(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Keep the file under the name of its format."""
        data = only_file(files)
        return {UBJ if _is_ubj(data) else JSON: data}

    def describe(self, model: Any) -> Description:
        """Read estimators as scikit-learn's; of a booster what it knows of itself."""
        import_framework(self)
        estimator = _as_estimator(model)
        found = super().describe(estimator)
        booster = estimator.get_booster()
        modules = {*found.modules, "xgboost"} - {"joblib"}
        if estimator is model and model.n_estimators is not None:
            given = {k: v for k, v in found.hyperparameters.items() if v is not None and v == v}  # noqa: PLR0124 - NaN
            return Description(found.model_type, given, modules, found.input_names)
        facts = {
            "objective": estimator.objective,
            "booster": estimator.booster,
            "rounds": booster.num_boosted_rounds(),
        }
        kind = "Booster" if estimator is not model else found.model_type
        return Description(f"{kind} ({estimator.objective})", facts, modules, found.input_names)

    def dump(self, model: Any) -> dict[str, bytes]:
        """Save as UBJ, with what it does not hold beside it; estimators of your own by joblib."""
        xgboost = import_framework(self)
        try:
            if type(model) is xgboost.Booster:
                return {UBJ: bytes(model.save_raw("ubj"))}
            if not _is_plain(model):
                return dump_joblib(model)
            raw = bytes(model.get_booster().save_raw("ubj"))
        except (xgboost.core.XGBoostError, ValueError) as cause:  # not fitted
            raise ArtifactCorrupt(f"the model cannot be saved: {first_line(cause)}") from cause
        return {UBJ: raw, **write_facts(_facts(model))}

    def load(self, read: ModelFiles, code: CodeSpace, *, trust: Trust) -> Any:  # noqa: ARG002
        """Load an estimator; a booster becomes the estimator of its kind."""
        data = read(UBJ if UBJ in read.paths else JSON)
        if data.startswith(_OLD_MAGICS):
            raise ArtifactCorrupt(
                "the model file has XGBoost's old binary format, which XGBoost reads no longer", hint=_CONVERT
            )
        xgboost = import_framework(self)
        try:
            return _estimator(data, read_facts(read))
        except ImportError as cause:  # its estimators are scikit-learn's
            raise MissingExtra("scikit-learn", self.name, purpose="an XGBoost model") from cause
        except (xgboost.core.XGBoostError, ValueError, LookupError, TypeError, AttributeError) as cause:
            raise ArtifactCorrupt(
                f"XGBoost cannot read the model file: {first_line(cause)}",
                hint="was it cut off while copying? save it again with save_model",
            ) from cause

    def learn(
        self, model: Any, table: Table, signature: Signature, *, output_names: Sequence[str], feed: str | None
    ) -> tuple[Signature, dict[str, Any]]:
        """Try the ways of feeding that an estimator takes."""
        return super().learn(_as_estimator(model), table, signature, output_names=output_names, feed=feed)

    def predictor(self, model: Any, signature: Signature, options: dict[str, Any]) -> Predictor:
        """Bind the estimator, with one thread.

        In a process that was forked from one that used several, it would wait for them for ever.
        """
        estimator = _as_estimator(model)
        if _is_plain(estimator) and estimator.n_jobs != 1:
            estimator = _estimator(bytes(estimator.get_booster().save_raw("ubj")), _facts(estimator))
        estimator.get_booster().set_param({"nthread": 1})
        predictor = super().predictor(estimator, signature, options)
        return TellingPredictor(predictor, feeder(options, signature), partial(_contributions, estimator))


FLAVOR = XgboostFlavor()


_LINKS: dict[str, Link] = {
    "binary:logistic": "logistic",
    "multi:softprob": "softmax",
    "multi:softmax": "softmax",
    "count:poisson": "exp",
    "reg:gamma": "exp",
    "reg:tweedie": "exp",
    **dict.fromkeys(("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"), "identity"),
}


def _contributions(estimator: Any, rows: Any) -> Contributions | None:
    """Return what XGBoost tells of its trees (Lundberg, Erion and Lee 2018)."""
    import xgboost

    link = _LINKS.get(estimator.objective)
    if link is None:
        return None
    matrix = xgboost.DMatrix(rows, missing=estimator.missing, enable_categorical=True, nthread=1)
    found = estimator.get_booster().predict(matrix, pred_contribs=True, validate_features=False)
    return split_bias(found, sums=found.shape[1] if found.ndim == 3 else 1, link=link)


def _is_ubj(data: bytes) -> bool:
    """Tell UBJ, which gives the length of its first key in binary, from JSON."""
    return data[:2] in {b"{L", b"{l", b"{I", b"{U", b"{i"}


def _as_json(data: bytes) -> bytes:
    """Return what to look for quoted keys in: UBJ has a length in front of each instead."""
    return b'"gradient_booster"' if _is_ubj(data) and b"gradient_booster" in data else data


def _is_plain(model: Any) -> bool:
    """Tell whether an estimator is XGBoost's own, and its file with `_facts` all there is to it."""
    kind = type(model)
    return (
        kind.__module__ == "xgboost.sklearn"
        and kind.__name__ in _ESTIMATORS
        and not callable(model.objective)
    )


def _facts(model: Any) -> dict[str, Any]:
    missing = model.missing
    is_nan = missing is None or math.isnan(missing)
    return {"class": type(model).__name__, "missing": None if is_nan else missing}


def _as_estimator(model: Any) -> Any:
    import xgboost

    if type(model) is xgboost.Booster:
        return _estimator(bytes(model.save_raw("ubj")), {})
    return model


def _estimator(data: bytes, facts: Mapping[str, Any]) -> Any:
    """Return the fitted estimator of a native file.

    Args:
        data: The file.
        facts: Class and settings, if the file was written here.

    Raises:
        ValueError: The file is not what it says.
    """
    import xgboost

    booster = xgboost.Booster({"nthread": 1}, model_file=bytearray(data))
    saved_by = json.loads(booster.attr("scikit_learn") or "{}")
    kind = facts.get("class") or _BY_KIND.get(saved_by.get("_estimator_type"))
    name = kind or _kind_of(booster)
    if name not in _ESTIMATORS:
        raise ValueError(f"{name!r} is no estimator of XGBoost")
    missing = facts.get("missing")
    # Threads of several workers would stand in each other's way.
    estimator = getattr(xgboost, name)(missing=math.nan if missing is None else missing, n_jobs=1)
    estimator.load_model(bytearray(data))
    if kind is None:
        # Estimators stop at the best iteration by themselves, boosters do not.
        estimator.get_booster().set_attr(best_iteration=None)
    return estimator


def _kind_of(booster: Any) -> str:
    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    return "XGBClassifier" if objective in _CLASS_OBJECTIVES else "XGBRegressor"
