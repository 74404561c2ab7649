"""What a flavor is, and how the right one is found.

To add a framework, write `flavors/<name>.py` with a class that has the methods of `Flavor` and bind an
instance to `FLAVOR`. Nothing else has to change. Import the framework inside the methods only: this folder
is imported to serve any model, whatever made it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fairway.bundle.code import CodeSpace
from fairway.bundle.signature import Signature
from fairway.bundle.tables import Table
from fairway.errors import UnknownFlavor
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
    """

    model_type: str
    hyperparameters: dict[str, Any]
    modules: set[str]
    input_names: tuple[str, ...] = ()


class Predictor(Protocol):
    """A model bound to its signature: columns in, outputs out. Thread-safe."""

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
        name: Name of the file, which is the name that users see.
        file: Path in the bundle under which a model file that the user brings is kept, byte for byte.
        tolerance: Largest relative difference between two right answers of one model (see GoldenExamples).
    """

    name: str
    file: str
    tolerance: float

    def matches(self, type_name: str) -> bool:
        """Tell from the qualified name of a class, such as `sklearn.svm._classes.SVC`, whether it is ours.

        Asked for every class that a model derives from, the most derived first: a booster that keeps
        scikit-learn's manners is its own framework's before it is scikit-learn's.
        """

    def reads(self, data: bytes) -> bool:
        """Tell from its content whether *data* is a model file of this flavor."""

    def describe(self, model: Any) -> Description:
        """Return what can be told of the model without calling it."""

    def dump(self, model: Any) -> dict[str, bytes]:
        """Return the model as files, by path below the bundle's root.

        Raises:
            ArtifactCorrupt: The model cannot be saved; says why.
        """

    def load(self, read: Callable[[str], bytes], code: CodeSpace) -> Any:
        """Return the model that `dump` (or the user, in a file of this format) saved.

        Args:
            read: Gives the verified bytes of a file.
            code: Modules that travel with the model.

        Raises:
            ArtifactCorrupt: The bytes are not a model.
            ArtifactImport: A module is missing.
            MissingExtra: The framework is not installed.
        """

    def learn(
        self, model: Any, table: Table, signature: Signature, *, output_names: Sequence[str], feed: str | None
    ) -> tuple[Signature, dict[str, Any]]:
        """Find out by trying how the model is fed and what it answers.

        Args:
            model: The model.
            table: Examples without the target.
            signature: Inputs as learnt from *table*, no outputs yet.
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
        hint=f"flavors: {', '.join(sorted(find_flavors()))}",
    )


def flavor_of_file(data: bytes, name: str) -> Flavor:
    """Return the flavor whose format a model file has, by its content.

    Raises:
        UnknownFlavor: It is no known format.
    """
    for flavor in find_flavors().values():
        if flavor.reads(data):
            return flavor
    raise UnknownFlavor(
        f"{name} is no model file of a known format", hint="known formats: joblib and pickle files"
    )
