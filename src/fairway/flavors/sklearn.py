"""scikit-learn estimators and pipelines, and whatever else keeps their manners.

Saved by joblib. A model is fed the way it was fitted: as a frame, a matrix, a list of dicts or a list of
texts; which of them is found out by trying, once, when the model is packed.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fairway.bundle.code import CodeSpace
from fairway.bundle.safety import Trust
from fairway.bundle.signature import Output, Signature
from fairway.bundle.tables import Table, plain
from fairway.bundle.validation import Validator
from fairway.errors import (
    ArtifactCorrupt,
    ExampleInvalid,
    FairwayError,
    ModelContract,
    UsageError,
)
from fairway.flavors.base import Description, ModelFiles, Predictor
from fairway.flavors.feeds import FEEDS, feed_options, feeder, is_numeric
from fairway.flavors.forests import with_direct_trees
from fairway.flavors.pickles import dump_joblib, load_object
from fairway.messages import Columns, Outputs

DEFAULT_OUTPUT = "prediction"
_PROBE_ROWS = 10_000

_TEXT_READERS = frozenset({"CountVectorizer", "TfidfVectorizer", "HashingVectorizer"})
_RECORD_READERS = frozenset({"DictVectorizer", "FeatureHasher"})


class SklearnFlavor:
    """Implement `fairway.flavors.base.Flavor` for scikit-learn."""

    name = "sklearn"
    module = "sklearn"
    package = "scikit-learn"
    formats: Sequence[str] = ()
    tolerance = 1e-9  # the linear algebra libraries of two machines differ in the last bits

    def matches(self, type_name: str) -> bool:
        """Match scikit-learn's own classes, and so every class that derives from one."""
        return type_name.startswith("sklearn.")

    def reads(self, files: Mapping[str, bytes]) -> bool:  # noqa: ARG002
        """Match nothing: scikit-learn has no format of its own."""
        return False

    def keep(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Keep what is there; never asked, because nothing is recognised."""
        return dict(files)

    def describe(self, model: Any) -> Description:
        """Read class, hyperparameters and modules from the estimator and its steps."""
        steps = list(_steps(model))
        last = steps[-1][1]
        names = type(model).__name__
        return Description(
            model_type=names if last is model else f"{names} ({type(last).__name__})",
            hyperparameters=_hyperparameters(steps),
            modules={"sklearn", "joblib", "numpy", "scipy", *(type(step).__module__ for _, step in steps)},
            input_names=tuple(map(str, getattr(model, "feature_names_in_", ()))),
        )

    def dump(self, model: Any) -> dict[str, bytes]:
        """Save by joblib, uncompressed: the bundle file compresses."""
        return dump_joblib(model)

    def load(self, read: ModelFiles, code: CodeSpace, *, trust: Trust) -> Any:
        """Load what `dump` has saved."""
        return load_object(read, code, trust=trust)

    def learn(
        self, model: Any, table: Table, signature: Signature, *, output_names: Sequence[str], feed: str | None
    ) -> tuple[Signature, dict[str, Any]]:
        """Try the ways of feeding in order of likelihood; keep the first that gives one answer per row."""
        if feed is not None and feed not in FEEDS:
            raise UsageError(f"{feed!r} is no way to feed a model", hint=f"use one of: {', '.join(FEEDS)}")
        _check_predicts(model)
        columns = Columns(signature.names, [list(row) for row in table.rows()][:_PROBE_ROWS])
        columns = Validator(signature).check(columns.rows, pointer=str) if columns.rows else columns
        attempts = [feed] if feed else _likely_feeds(model, table, signature)
        problems = []
        for attempt in attempts:
            options = feed_options(attempt, table, signature)
            if attempt == "records" and _reader_names(model) & _RECORD_READERS:
                options["sparse"] = True
            try:
                answers = _call(model.predict, feeder(options, signature)(columns), len(columns))
            except FairwayError:
                raise
            except Exception as cause:  # noqa: BLE001 - the model's own words, whatever they are
                problems.append(f"as {attempt}: {type(cause).__name__}: {str(cause)[:200]}")
                continue
            if (
                attempt == "frame"
                and not feed
                and _matrix_is_equal(model, signature, columns, answers, table)
            ):
                options = feed_options("matrix", table, signature)
            return _with_outputs(signature, model, answers, output_names), options
        raise ExampleInvalid(
            "the model does not take the example rows: " + "; ".join(problems),
            hint="give the example as the model was fitted (same columns, without the target: --target NAME)",
        )

    def predictor(self, model: Any, signature: Signature, options: dict[str, Any]) -> Predictor:
        """Bind the model to the way of feeding that was found when it was packed."""
        # It was fitted with names and is fed a matrix in the same order: proven equal, and much faster.
        warnings.filterwarnings("ignore", message="X does not have valid feature names", category=UserWarning)
        return _SklearnPredictor(with_direct_trees(model), signature, feeder(options, signature))


def _check_predicts(model: Any) -> None:
    if not callable(getattr(model, "predict", None)):
        raise ArtifactCorrupt(
            f"the model is a {type(model).__name__}, which has no predict method",
            hint="give the fitted estimator or pipeline itself",
        )


FLAVOR = SklearnFlavor()


class _SklearnPredictor:
    """A scikit-learn model bound to its signature."""

    def __init__(self, model: Any, signature: Signature, feed: Callable[[Columns], Any]) -> None:
        self._model = model
        self._feed = feed
        self._names = [output.name for output in signature.outputs]
        self._has_probabilities = bool(signature.classes)

    def predict(self, columns: Columns, *, probabilities: bool) -> Outputs:
        fed = self._feed(columns)
        answers = _call(self._model.predict, fed, len(columns))
        if len(answers) != len(self._names):
            raise ModelContract(
                f"the model gave {len(answers)} outputs; its signature has {len(self._names)}"
            )
        values = dict(zip(self._names, answers.values(), strict=True))
        if not (probabilities and self._has_probabilities):
            return Outputs(values)
        rows = self._model.predict_proba(fed)
        if len(rows) != len(columns):
            raise ModelContract(f"the model gave probabilities for {len(rows)} rows of {len(columns)}")
        return Outputs(values, rows.tolist())


def _call(predict: Callable[[Any], Any], fed: Any, rows: int) -> dict[str, list[Any]]:
    """Return the model's answers as one list per output; unnamed outputs have numbers for names."""
    answer = predict(fed)
    if hasattr(answer, "columns") and hasattr(answer, "to_dict"):
        named = {str(name): plain_list(answer[name].tolist()) for name in answer.columns}
    elif isinstance(answer, dict):
        named = {str(name): plain_list(values) for name, values in answer.items()}
    else:
        named = _unnamed(answer)
    for name, values in named.items():
        if len(values) != rows:
            raise ModelContract(f"the model gave {len(values)} values of {name!r} for {rows} rows")
    return named


def _unnamed(answer: Any) -> dict[str, list[Any]]:
    values = answer.tolist() if hasattr(answer, "tolist") else list(answer)
    first = values[0] if values else None
    if isinstance(first, dict):
        return {str(name): [row[name] for row in values] for name in first}
    if isinstance(first, list | tuple):
        columns = [list(column) for column in zip(*values, strict=True)]
        if len(columns) == 1:
            return {DEFAULT_OUTPUT: columns[0]}
        return {f"{DEFAULT_OUTPUT}_{i}": column for i, column in enumerate(columns)}
    return {DEFAULT_OUTPUT: values}


def plain_list(values: Any) -> list[Any]:
    """Return output values as plain Python data."""
    return values.tolist() if hasattr(values, "tolist") else [plain(value) for value in values]


def _with_outputs(
    signature: Signature, model: Any, answers: dict[str, list[Any]], names: Sequence[str]
) -> Signature:
    if names and len(names) != len(answers):
        raise UsageError(
            f"{len(names)} output names were given; the model has {len(answers)} outputs",
            hint="--output takes one name per output, separated by commas",
        )
    if len(set(names)) != len(names):
        raise UsageError("two outputs have the same name")
    classes = _classes(model)
    chosen = names or tuple(answers)
    outputs = tuple(
        describe_output(n, values, is_label=hasattr(model, "classes_"))
        for n, values in zip(chosen, answers.values(), strict=True)
    )
    return dataclasses.replace(signature, outputs=outputs, classes=classes if len(outputs) == 1 else ())


def describe_output(name: str, values: list[Any], *, is_label: bool) -> Output:
    """Return what an output is, by its values.

    Args:
        name: Its name.
        values: What it held for the example.
        is_label: Whether numbers are labels, too, and not scores.

    Raises:
        ExampleInvalid: JSON has no single kind for the values.
    """
    types = {type(value) for value in values if value is not None}
    if types <= {float}:
        return Output(name, "label" if is_label else "score", "number")
    words: dict[type, Any] = {bool: "boolean", int: "integer", str: "text"}
    if len(types) != 1 or next(iter(types)) not in words:
        kinds = ", ".join(sorted(kind.__name__ for kind in types))
        raise ExampleInvalid(
            f"the model's output {name!r} holds values that JSON has no single kind for: {kinds}"
        )
    return Output(name, "label", words[next(iter(types))])


def _classes(model: Any) -> tuple[Any, ...]:
    classes = getattr(model, "classes_", None)
    # Several targets have a list of class arrays: no single set of probabilities.
    if classes is None or not hasattr(model, "predict_proba") or not hasattr(classes, "tolist"):
        return ()
    return tuple(classes.tolist())


def _steps(model: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the estimators that a model is made of, outer first, the last step last."""
    yield name, model
    children = getattr(model, "steps", None) or getattr(model, "transformers_", None) or ()
    best = getattr(model, "best_estimator_", None)
    if best is not None:
        children = [("best", best)]
    for child in children:
        if hasattr(child[1], "get_params"):
            yield from _steps(child[1], f"{name}.{child[0]}".lstrip("."))


def _hyperparameters(steps: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return what was set by hand for every step, and everything that is a plain value for the last one."""
    found: dict[str, Any] = {}
    for name, step in steps:
        params = _params_of(step)
        try:
            defaults = type(step)().get_params(deep=False)
        except Exception:  # noqa: BLE001 - a constructor with required arguments, or a foreign one
            defaults = {}
        for key, given in sorted(params.items()):
            # A grid of numpy values leaves numpy scalars.
            value = given.item() if getattr(given, "shape", None) == () else given
            is_plain = value is None or isinstance(value, str | bool | int | float)
            if is_plain and (step is steps[-1][1] or value != defaults.get(key)):
                found[f"{name}.{key}".lstrip(".")] = value
    return found


def _params_of(step: Any) -> dict[str, Any]:
    try:
        found: dict[str, Any] = step.get_params(deep=False)
    except AttributeError:  # saved by a release that did not have one of them yet
        return {}
    return found


def _reader_names(model: Any) -> set[str]:
    return {type(step).__name__ for _, step in _steps(model)}


def _likely_feeds(model: Any, table: Table, signature: Signature) -> list[str]:
    readers = _reader_names(model)
    only_text = len(signature.inputs) == 1 and signature.inputs[0].kind in {"text", "category"}
    if only_text and (readers & _TEXT_READERS or table.form == "texts"):
        return ["texts", "frame"]
    if readers & _RECORD_READERS:
        return ["records", "frame"]
    order = {"records": ["records", "frame", "matrix"], "matrix": ["matrix", "frame"]}.get(
        table.form, ["frame", "matrix", "records"]
    )
    if hasattr(model, "feature_names_in_"):
        order = ["frame", *(feed for feed in order if feed != "frame")]
    elif is_numeric(signature):
        order = ["matrix", *(feed for feed in order if feed != "matrix")]
    return order


def _matrix_is_equal(
    model: Any, signature: Signature, columns: Columns, answers: dict[str, list[Any]], table: Table
) -> bool:
    """Tell whether a bare matrix gives the very same answers as a frame; it spares building one per call."""
    if not is_numeric(signature):
        return False
    options = feed_options("matrix", table, signature)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fed = feeder(options, signature)(columns)
            same = _call(model.predict, fed, len(columns)) == answers
            if same and _classes(model):
                frame = feeder(feed_options("frame", table, signature), signature)(columns)
                same = bool((model.predict_proba(fed) == model.predict_proba(frame)).all())
    except Exception:  # noqa: BLE001 - it selects columns by name: then it needs the frame
        return False
    return same
