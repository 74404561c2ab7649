"""What a wire dialect is: it translates between bytes and messages, and knows no socket and no engine."""

from __future__ import annotations

from typing import Any, Protocol

from fairway.bundle.signature import Signature
from fairway.errors import FairwayError
from fairway.messages import Call, Columns, Prediction, Reply, Target


class Reader(Protocol):
    """One model's own reader of one dialect, compiled from its signature when the model is loaded."""

    def read(self, target: Target) -> Columns:
        """Return the rows of the target's body and note in `target.form` how they were written.

        Raises:
            RequestError: The body cannot be read; holds every fault of every row.
        """


class ReadsBodies(Protocol):
    """What a dialect needs of a loaded model."""

    signature: Signature

    def reader(self, protocol: Dialect) -> Any:
        """Return the model's reader for a dialect, built on first use."""


class Dialect(Protocol):
    """A wire dialect.

    Attributes:
        name: Name of the file, which is the name that users see.
    """

    name: str

    def open(self, call: Call) -> Target:
        """Return what the call is for, from route and headers alone.

        Raises:
            RequestError: Route, query or headers cannot be understood.
        """

    def prepare(self, signature: Signature) -> Reader:
        """Build a model's reader; called once per model, at load."""

    def read(self, target: Target, model: ReadsBodies) -> Columns:
        """Read the body with the chosen model's reader."""

    def encode(self, target: Target, prediction: Prediction) -> Reply:
        """Write a prediction down in the form that the call used."""

    def encode_error(self, error: FairwayError, request_id: str) -> Reply:
        """Write an error down in the dialect's own shape."""
