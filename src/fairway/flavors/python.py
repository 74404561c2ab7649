"""Code of the user's own as a model: a function, or a class with `predict` and perhaps `load`.

    def predict(records): ...                # one answer per record

    class Model:
        def load(self, files): ...           # once, before anything else: paths of the data files by name
        def predict(self, records): ...
        def predict_proba(self, records): ...    # with the attribute `classes`

What is packed is the source and the name, never a pickled object: a new process can make all of it again.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from fairway.bundle.bundle import DATA_FOLDER
from fairway.bundle.code import CodeSpace
from fairway.bundle.safety import Trust
from fairway.bundle.signature import Signature
from fairway.bundle.tables import Table, plain
from fairway.bundle.validation import Validator
from fairway.errors import (
    ArtifactImport,
    ExampleInvalid,
    FairwayError,
    ModelContract,
    UsageError,
)
from fairway.flavors.base import Description, ModelFiles, Predictor
from fairway.flavors.feeds import FEEDS, feed_options, feeder
from fairway.flavors.outputs import describe_outputs, fitted, named_answers
from fairway.flavors.own_code import OwnCode, check_code_allowed, place_of
from fairway.messages import Columns, Outputs

ABOUT = "model/python.json"
"""Member of the bundle that names the function or class, and the data files."""

_PROBE_ROWS = 10_000
_OWN_TYPES = frozenset({"builtins.function", "builtins.type", "fairway.flavors.python.PythonModel"})
_FILE_AND_NAME = re.compile(r"(.+\.py):([^\W\d]\w*)")


@dataclasses.dataclass(frozen=True)
class PythonModel:
    """A function or ready object with the name that it goes by.

    Attributes:
        entry: Its name, `module:function` or `module:Class`.
        made: The function, or the object of the class.
        files: Names of the data files.
    """

    entry: str
    made: Any
    files: Sequence[str] = ()

    @property
    def predict(self) -> Callable[[Any], Any]:
        """The function that predicts.

        Raises:
            ArtifactImport: The class has no `predict`.
        """
        found = getattr(self.made, "predict", None)
        if callable(found):
            return found  # type: ignore[no-any-return]
        if callable(self.made):
            return self.made  # type: ignore[no-any-return]
        raise ArtifactImport(
            f"{self.entry} has no predict", hint="a class needs the method predict(self, records)"
        )

    @property
    def classes(self) -> tuple[Any, ...]:
        """What the probabilities are of; empty if there are none."""
        if not callable(getattr(self.made, "predict_proba", None)):
            return ()
        classes = getattr(self.made, "classes", None)
        if classes is None:
            raise ArtifactImport(
                f"{self.entry} has predict_proba, but does not say what the probabilities are of",
                hint="give the class the attribute classes: a list of labels, in the order of the columns",
            )
        return tuple(plain(label) for label in classes)


def split_file_and_name(given: Any) -> tuple[Path, str] | None:
    """Return file and `module:name` of a text such as `model.py:predict`, or None for any other model."""
    found = _FILE_AND_NAME.fullmatch(given) if isinstance(given, str) else None
    return (Path(found[1]), f"{Path(found[1]).stem}:{found[2]}") if found else None


def python_model(entry: str, code: CodeSpace, files: Mapping[str, bytes]) -> PythonModel:
    """Return the model that a name stands for.

    Args:
        entry: `module:function` or `module:Class`.
        code: Modules that travel with the model.
        files: Data files by name.

    Raises:
        ArtifactImport: There is none, or it cannot be made ready.
    """
    return PythonModel(entry, OwnCode(code, files).find(entry), tuple(files))


class PythonFlavor:
    """Implement `fairway.flavors.base.Flavor` for code of the user's own."""

    name = "python"
    module = ""
    package = ""
    formats: Sequence[str] = ()
    tolerance = 1e-9  # it may well be linear algebra

    def matches(self, type_name: str) -> bool:
        """Match functions and classes, and what `python_model` makes of them."""
        return type_name in _OWN_TYPES

    def reads(self, files: Mapping[str, bytes]) -> bool:  # noqa: ARG002
        """Match nothing: code is named, not recognised."""
        return False

    def keep(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Keep what is there; never asked, because nothing is recognised."""
        return dict(files)

    def describe(self, model: Any) -> Description:
        """Tell the name; what a function needs is read from the imports of its module."""
        return Description(
            model_type=model.entry.replace(":", "."),
            hyperparameters={},
            modules={model.entry.partition(":")[0]},
        )

    def dump(self, model: Any) -> dict[str, bytes]:
        """Save the name; code and data files are packed as they are."""
        return {
            ABOUT: msgspec.json.encode({"entry": model.entry, "files": list(model.files)}, order="sorted")
        }

    def load(self, read: ModelFiles, code: CodeSpace, *, trust: Trust) -> Any:
        """Make the function or object ready from the packed code and data files."""
        about = msgspec.json.decode(read(ABOUT))
        check_code_allowed(about["entry"], trust)
        files = {name: read(f"{DATA_FOLDER}{name}") for name in about["files"]}
        return python_model(about["entry"], code, files)

    def learn(
        self, model: Any, table: Table, signature: Signature, *, output_names: Sequence[str], feed: str | None
    ) -> tuple[Signature, dict[str, Any]]:
        """Call it with the example: as records, unless another form is stated."""
        if feed is not None and feed not in FEEDS:
            raise UsageError(f"{feed!r} is no way to feed a model", hint=f"use one of: {', '.join(FEEDS)}")
        options = feed_options(feed or "records", table, signature)
        rows = [list(row) for _, row in zip(range(_PROBE_ROWS), table.rows(), strict=False)]
        columns = Validator(signature).check(rows, pointer=str)
        fed = feeder(options, signature)(columns)
        try:
            named = named_answers(model.predict(fed), rows=len(columns), source=model.entry)
        except FairwayError as cause:
            raise ExampleInvalid(cause.detail, hint=cause.hint) from cause
        except Exception as cause:
            raise ExampleInvalid(
                f"{model.entry} raised {type(cause).__name__} on the example: "
                f"{str(cause)[:200]}{place_of(cause)}",
                hint="it gets a list of records (dicts) and returns one answer per record; "
                "--feed matrix|frame|texts gives it another form",
            ) from cause
        classes = model.classes
        outputs = describe_outputs(named, names=output_names, has_classes=bool(classes))
        if classes and len(outputs) > 1:
            raise ExampleInvalid(
                f"{model.entry} has probabilities, which need a single output; it has {len(outputs)}"
            )
        return dataclasses.replace(signature, outputs=outputs, classes=classes), options

    def predictor(self, model: Any, signature: Signature, options: dict[str, Any]) -> Predictor:
        """Bind it to the form that it is fed in."""
        return _PythonPredictor(model, signature, feeder(options, signature))


FLAVOR = PythonFlavor()


def is_code(model: Any) -> bool:
    """Tell whether a model is a function or a class, rather than a trained object."""
    return isinstance(model, type) or inspect.isroutine(model)


class _PythonPredictor:
    """Code of the user's own bound to its signature. It may be called from several threads at once."""

    def __init__(self, model: PythonModel, signature: Signature, feed: Callable[[Columns], Any]) -> None:
        self._predict = model.predict
        self._shares = model.made.predict_proba if signature.classes else None
        self._entry = model.entry
        self._feed = feed
        self._outputs = signature.outputs
        self._width = len(signature.classes)

    def predict(self, columns: Columns, *, probabilities: bool) -> Outputs:
        named = named_answers(self._predict(self._feed(columns)), rows=len(columns), source=self._entry)
        values = fitted(named, self._outputs, source=self._entry)
        if not probabilities or self._shares is None:
            return Outputs(values)
        # Fed anew: what the first call did to its records must not reach the second.
        return Outputs(values, self._probabilities(self._shares(self._feed(columns)), len(columns)))

    def _probabilities(self, shares: Any, rows: int) -> list[list[float]]:
        listed = [[float(share) for share in row] for row in shares]
        if len(listed) != rows or any(len(row) != self._width for row in listed):
            raise ModelContract(
                f"{self._entry} did not give {self._width} probabilities for each of {rows} rows"
            )
        return listed
