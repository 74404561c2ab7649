"""A model ready to answer: validator and predictor are bound at load, and the golden examples pass."""

from __future__ import annotations

import time
from typing import Any

from fairway.bundle.bundle import Bundle
from fairway.bundle.code import CodeSpace
from fairway.bundle.lockfile import compare_environment
from fairway.bundle.signature import Signature
from fairway.bundle.validation import Validator
from fairway.errors import FairwayError, ModelFailed, PackedModelDiffers
from fairway.flavors.base import Predictor, flavor_named
from fairway.inference.lane import Lane
from fairway.messages import Columns, Outputs, Timing
from fairway.protocols.base import Dialect

INLINE_S = 0.005
"""A call that should take longer than this leaves the event loop, so that others are not held up."""


class LoadedModel:
    """One version of a model, in memory.

    Args:
        bundle: The verified bundle.
        name: Name in the registry.
        version: Number in the registry; 0 for a bundle that no registry has numbered.
        predictor: The model bound to its signature.
        timeout_s: Longest time that a call may take off the event loop.
    """

    def __init__(
        self, bundle: Bundle, *, name: str, version: int, predictor: Predictor, timeout_s: float = 60.0
    ) -> None:
        self.bundle = bundle
        self.name = name
        self.version = version
        self.signature: Signature = bundle.signature
        self.classes = tuple(map(str, self.signature.classes))
        self._predictor = predictor
        self._lane = Lane(self.reference, timeout_s=timeout_s)
        self._readers: dict[str, Any] = {}
        self._call_s = self._row_s = 0.0

    @property
    def reference(self) -> str:
        """The version's reference, such as `coffee:3`."""
        return f"{self.name}:{self.version}" if self.version else self.name

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest."""
        return self.bundle.digest

    def reader(self, protocol: Dialect) -> Any:
        """Return this model's reader for a dialect; it is built once."""
        reader = self._readers.get(protocol.name)
        if reader is None:
            reader = self._readers[protocol.name] = protocol.prepare(self.signature)
        return reader

    def predict(self, columns: Columns, *, probabilities: bool = False) -> Outputs:
        """Predict every row; no row gives no prediction.

        Raises:
            ModelFailed: The model raised; the cause is chained.
            ModelContract: The model broke its contract.
        """
        if not len(columns):
            empty: dict[str, list[Any]] = {output.name: [] for output in self.signature.outputs}
            return Outputs(empty, [] if probabilities and self.classes else None)
        try:
            return self._predictor.predict(columns, probabilities=probabilities)
        except FairwayError:
            raise
        except (Exception, SystemExit) as cause:  # whatever a foreign model raises; it ends no server
            raise ModelFailed(self.reference) from cause

    async def answer(self, columns: Columns, timing: Timing, *, probabilities: bool = False) -> Outputs:
        """Predict without holding the event loop for long.

        Raises:
            Overloaded: Too many slow calls wait already.
            PredictionTimeout: The model did not answer in time.
        """
        if self._call_s + self._row_s * len(columns) < INLINE_S:
            return self.predict(columns, probabilities=probabilities)
        outputs: Outputs = await self._lane.run(
            lambda: self.predict(columns, probabilities=probabilities), timing
        )
        return outputs

    def verify(self) -> None:
        """Replay the golden examples, and learn how long a call takes.

        Raises:
            PackedModelDiffers: An answer is not the one that was recorded.
        """
        golden = self.bundle.golden
        columns = golden.columns(Validator(self.signature))
        with_probabilities = golden.probabilities is not None
        differences = golden.differences(self.predict(columns, probabilities=with_probabilities))
        if differences:
            changed = compare_environment(self.bundle.environment)
            raise PackedModelDiffers(
                f"{self.reference} fails its golden examples: {differences[0]}",
                hint=f"the environment differs: {'; '.join(changed)}" if changed else "",
            )
        self._measure(columns)

    def _measure(self, columns: Columns) -> None:
        if not len(columns):
            return
        one = Columns(columns.names, columns.rows[:1])
        single = min(self._seconds(one) for _ in range(3))
        many = min(self._seconds(columns) for _ in range(3))
        self._row_s = max(0.0, many - single) / max(1, len(columns) - 1)
        self._call_s = max(0.0, single - self._row_s)

    def _seconds(self, columns: Columns) -> float:
        started = time.perf_counter()
        self.predict(columns)
        return time.perf_counter() - started


def load_model(bundle: Bundle, *, name: str = "", version: int = 0, timeout_s: float = 60.0) -> LoadedModel:
    """Load a bundle's model, bind it to its signature and prove that it answers as it did when packed.

    Args:
        bundle: The verified bundle.
        name: Name in the registry; the name that it was packed under by default.
        version: Number in the registry; 0 when no registry has numbered it.
        timeout_s: Longest time that a call may take off the event loop.

    Raises:
        BundleError: The model cannot be loaded, or fails its golden examples.
        MissingExtra: Its framework is not installed.
    """
    manifest = bundle.manifest
    flavor = flavor_named(manifest.flavor)
    code = CodeSpace(bundle.code, label=f"{manifest.name} {bundle.digest[:12]}")
    model = flavor.load(bundle.read, code)
    predictor = flavor.predictor(model, bundle.signature, manifest.options)
    loaded = LoadedModel(
        bundle, name=name or manifest.name, version=version, predictor=predictor, timeout_s=timeout_s
    )
    loaded.verify()
    return loaded
