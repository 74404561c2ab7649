"""What a flavor is, and how the right one is found.

To add a framework, write `flavors/<name>.py` with a class that has the methods of `Flavor` and bind an
instance to `FLAVOR`. Nothing else has to change. Import the framework inside the methods only: this folder
is imported to serve any model, whatever made it.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from fairway.bundle.code import CodeSpace
from fairway.bundle.safety import Trust
from fairway.bundle.signature import Signature
from fairway.bundle.tables import Table
from fairway.errors import ArtifactImport, MissingExtra, UnknownFlavor
from fairway.messages import Columns, Outputs
from fairway.plugins import find_implementations


@dataclasses.dataclass(frozen=True)
class Description:
    """What a flavor can tell of a model.

    Attributes:
        model_type: Class of the model; for a pipeline also of its last step.
        hyperparameters: Main hyperparameters, JSON-serialisable.
        modules: Names of the modules that the model needs to be loaded.
        input_names: Names of the inputs that the model remembers from its training; may be empty.
        spelt: Returns the name of a column as the framework writes it down.
    """

    model_type: str
    hyperparameters: dict[str, Any]
    modules: set[str]
    input_names: tuple[str, ...] = ()
    spelt: Callable[[str], str] = str


@dataclasses.dataclass(frozen=True)
class ModelFiles:
    """The files of a model, read one by one: `read(path)` gives the verified bytes.

    Attributes:
        paths: Paths below the bundle's root.
        read: Function that returns the bytes of one.
    """

    paths: Sequence[str]
    read: Callable[[str], bytes] = dataclasses.field(repr=False)

    def __call__(self, path: str) -> bytes:
        """Return the verified bytes of one file."""
        return self.read(path)

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> ModelFiles:
        """Return files that are in memory."""
        return cls(tuple(files), files.__getitem__)


class Predictor(Protocol):
    """A model bound to its signature: columns in, outputs out. Thread-safe.

    If its library tells exactly what each input adds to a prediction, see `contributions.py`.
    """

    def predict(self, columns: Columns, *, probabilities: bool) -> Outputs:
        """Predict every row of *columns*.

        Args:
            columns: Rows that passed the signature; at least one.
            probabilities: Whether to fill `Outputs.probabilities` (ignored by models that have none).

        Raises:
            ModelContract: The model answered with the wrong number of rows or outputs.
            Exception: Whatever the model raises.
        """


class Flavor(Protocol):
    """How models of one framework are recognised, saved, loaded and called.

    Attributes:
        name: Name of the file, which is the name that users see, and that of the extra that installs it.
        module: Name under which its framework is imported; empty if it has none.
        package: Name under which its framework is installed.
        formats: The files and folders that it reads, each in a few words; pickles are not among them.
        tolerance: Largest relative difference between two right answers of one model (see GoldenExamples).
    """

    name: str
    module: str
    package: str
    formats: Sequence[str]
    tolerance: float

    def matches(self, type_name: str) -> bool:
        """Tell from the qualified name of a class, such as `sklearn.svm._classes.SVC`, whether it is ours.

        Asked for every class that a model derives from, the most derived first: a booster that keeps
        scikit-learn's manners is its own framework's before it is scikit-learn's.
        """

    def reads(self, files: Mapping[str, bytes]) -> bool:
        """Tell from their content, never from a name's ending, whether *files* are a model of this flavor.

        Args:
            files: What the user brought, by relative path: one entry for a file, several for a folder. Never
                a pickle, a joblib or a skops file: those are opened in one place for all (`pickles.py`).
        """

    def keep(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the files that `reads` has recognised, byte for byte, by path below the bundle's root.

        The paths begin with `model/`. What the model does not need may be left out.
        """

    def describe(self, model: Any) -> Description:
        """Return what can be told of the model without calling it."""

    def dump(self, model: Any) -> dict[str, bytes]:
        """Return the model as files, by path below the bundle's root.

        Raises:
            ArtifactCorrupt: The model cannot be saved; says why.
        """

    def load(self, read: ModelFiles, code: CodeSpace, *, trust: Trust) -> Any:
        """Return the model that `dump` has saved or `keep` has kept.

        Args:
            read: Gives the verified bytes of a file, and lists them. They passed `check_files`.
            code: Modules that travel with the model.
            trust: What may be constructed.

        Raises:
            ArtifactCorrupt: The bytes are not a model.
            ArtifactImport: A module is missing.
            ArtifactUnsafe: Something would be constructed that is not trusted.
            MissingExtra: The framework is not installed.
        """

    def learn(
        self, model: Any, table: Table, signature: Signature, *, output_names: Sequence[str], feed: str | None
    ) -> tuple[Signature, dict[str, Any]]:
        """Find out by trying how the model is fed and what it answers.

        Args:
            model: The model.
            table: Examples without the target.
            signature: Inputs as learnt from *table*, no outputs yet; classes only where the user names them.
            output_names: Names for the outputs; empty lets the model or the default name them.
            feed: The way to feed the model if the user says so, else None.

        Returns:
            The signature with outputs and classes, and the options that `predictor` will get.

        Raises:
            ExampleInvalid: The model takes the example in no known way; holds what it said.
            UsageError: *output_names* are not as many as the outputs, or *feed* is unknown.
        """

    def predictor(self, model: Any, signature: Signature, options: dict[str, Any]) -> Predictor:
        """Return the model bound to its signature."""


def find_flavors() -> dict[str, Flavor]:
    """Return every flavor by name."""
    return find_implementations("fairway.flavors", "FLAVOR")


def flavor_named(name: str) -> Flavor:
    """Return a flavor by its name.

    Raises:
        UnknownFlavor: There is none of this name.
    """
    flavors = find_flavors()
    if name not in flavors:
        raise UnknownFlavor(f"there is no flavor {name!r}", hint=f"flavors: {', '.join(sorted(flavors))}")
    return flavors[name]


def flavor_of(model: Any) -> Flavor:
    """Return the flavor that matches a model object.

    Raises:
        UnknownFlavor: None does.
    """
    type_names = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(model).__mro__]
    for type_name in type_names:
        for flavor in find_flavors().values():
            if flavor.matches(type_name):
                return flavor
    raise UnknownFlavor(
        f"no flavor matches a model of the type {type_names[0]}",
        hint="give the fitted model itself, or the class if it is code of your own (model.py:Model); "
        f"flavors: {', '.join(sorted(find_flavors()))}",
    )


def flavor_of_files(files: Mapping[str, bytes], name: str) -> Flavor:
    """Return the flavor whose format the files of a model have, by their content.

    Raises:
        UnknownFlavor: They are of no known format.
    """
    flavors = find_flavors().values()
    for flavor in flavors:
        if flavor.reads(files):
            return flavor
    known = ", ".join(
        ["pickle, joblib and skops files", *(text for flavor in flavors for text in flavor.formats)]
    )
    raise UnknownFlavor(f"{name} is no model file of a known format", hint=f"known formats: {known}")


def import_framework(flavor: Flavor) -> Any:
    """Return the module of a flavor's framework.

    Raises:
        MissingExtra: It is not installed.
        ArtifactImport: It is, and cannot be imported.
    """
    try:
        return importlib.import_module(flavor.module)
    except ModuleNotFoundError as cause:
        raise missing_framework(cause) or ArtifactImport(
            f"{flavor.package} cannot be imported here: {cause}"
        ) from cause
    except (ImportError, OSError) as cause:  # a shared library that is missing
        raise ArtifactImport(f"{flavor.package} cannot be imported here: {cause}") from cause


def missing_framework(cause: ImportError) -> MissingExtra | None:
    """Return the error that says which extra to install, if the missing module is a flavor's framework."""
    root = (cause.name or "").split(".")[0]
    for flavor in find_flavors().values():
        if root and flavor.module == root:
            return MissingExtra(flavor.package, flavor.name, purpose="this model")
    return None
