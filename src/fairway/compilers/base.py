"""What a compiler is, and how compilers are found.

To add one, write `compilers/<name>.py` with a class that has the methods of `Compiler` and bind an instance
to `COMPILER`. Whether a compiled model may serve is not the compiler's to say: `parity.py` proves it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from fairway.bundle.signature import Signature
from fairway.errors import ArtifactCorrupt
from fairway.flavors.base import Predictor
from fairway.plugins import find_implementation, find_implementations

Read = Callable[[str], bytes]
"""Gives the verified bytes of one file of a compiled model, by its path."""


class NotConvertible(Exception):
    """A model has no equivalent that this compiler can write; says why in one sentence.

    It is an answer, not a failure: the model serves as it is.
    """


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A model in a form that needs no framework.

    Attributes:
        files: Contents by path; the paths begin with the compiler's name.
        precision: `float64`, or `float32` where the original computes in single precision.
    """

    files: Mapping[str, bytes]
    precision: str = "float64"


class Compiler(Protocol):
    """How fitted models become predictors that need no framework.

    Attributes:
        name: Name of the file, which is the name that users see.
    """

    name: str

    def compile(
        self, model: Any, signature: Signature, options: Mapping[str, Any], *, code: Mapping[str, bytes]
    ) -> Compiled:
        """Return the compiled form of a fitted model.

        Args:
            model: The model that the bundle's flavor loaded.
            signature: Its typed inputs and outputs.
            options: The flavor's own, which say how the model is fed.
            code: Source files that travel with the model, by path.

        Raises:
            NotConvertible: There is no equivalent; the message is one sentence.
        """

    def load(self, read: Read, signature: Signature) -> Predictor:
        """Return the predictor that `compile` wrote, without the framework that trained the model.

        Raises:
            ArtifactCorrupt: The files are not what this compiler writes.
            MissingExtra: The run-time library is not installed.
        """


def find_compilers() -> dict[str, Compiler]:
    """Return every compiler by name."""
    return find_implementations("fairway.compilers", "COMPILER")


def load_compiled(name: str, read: Read, signature: Signature) -> Predictor:
    """Return the predictor that the compiler *name* wrote.

    Raises:
        ArtifactCorrupt: There is no such compiler, or the files are not what it writes.
        MissingExtra: The run-time library is not installed.
    """
    compiler: Compiler | None = find_implementation("fairway.compilers", "COMPILER", name)
    if compiler is None:
        raise ArtifactCorrupt(
            f"the predictor was written by the unknown compiler {name!r}",
            hint=f"compilers: {', '.join(sorted(find_compilers()))}",
        )
    return compiler.load(read, signature)
