"""A model ready to answer: validator and predictor are bound at load, and the golden examples pass."""

from __future__ import annotations

from typing import Any

from fairway.bundle.bundle import Bundle
from fairway.bundle.code import CodeSpace
from fairway.bundle.lockfile import compare_environment
from fairway.bundle.signature import Signature
from fairway.bundle.validation import Validator
from fairway.errors import FairwayError, ModelFailed, PackedModelDiffers
from fairway.flavors.base import Predictor, flavor_named
from fairway.inference.scheduling import Limits, Scheduler
from fairway.messages import Columns, Outputs, Timing
from fairway.protocols.base import Dialect

NATIVE = "native"
"""Name of the predictor that runs the model as it was trained, with its framework."""


class LoadedModel:
    """One version of a model, in memory.

    Args:
        bundle: The verified bundle.
        name: Name in the registry.
        version: Number in the registry; 0 for a bundle that no registry has numbered.
        predictor: The model bound to its signature.
        timeout_s: Longest time that a call may take off the event loop.
        limits: Everything about the scheduling of its calls; replaces *timeout_s*.
        predictor_name: Who made the predictor: a compiler's name, or `native`.

    Attributes:
        scheduler: Runs the calls that the event loop must not wait for.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        name: str,
        version: int,
        predictor: Predictor,
        timeout_s: float = 60.0,
        limits: Limits | None = None,
        predictor_name: str = NATIVE,
    ) -> None:
        self.bundle = bundle
        self.name = name
        self.version = version
        self.signature: Signature = bundle.signature
        self.classes = tuple(map(str, self.signature.classes))
        self._predictor = predictor
        self._readers: dict[str, Any] = {}
        self.predictor_name = predictor_name
        self.scheduler = Scheduler(
            lambda columns, probabilities: self.predict(columns, probabilities=probabilities),
            name=self.reference,
            limits=limits or Limits(timeout_s=timeout_s),
            is_foreign=predictor_name == NATIVE,
        )

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
        if len(columns) <= self.scheduler.inline_rows:
            return self.predict(columns, probabilities=probabilities)
        return await self.scheduler.answer(columns, timing, probabilities=probabilities)

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
        self.scheduler.measure(columns, probabilities=with_probabilities)


def load_model(
    bundle: Bundle,
    *,
    name: str = "",
    version: int = 0,
    timeout_s: float = 60.0,
    limits: Limits | None = None,
) -> LoadedModel:
    """Load a bundle's model, bind it to its signature and prove that it answers as it did when packed.

    Args:
        bundle: The verified bundle.
        name: Name in the registry; the name that it was packed under by default.
        version: Number in the registry; 0 when no registry has numbered it.
        timeout_s: Longest time that a call may take off the event loop.
        limits: Everything about the scheduling of its calls; replaces *timeout_s*.

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
        bundle,
        name=name or manifest.name,
        version=version,
        predictor=predictor,
        timeout_s=timeout_s,
        limits=limits,
    )
    loaded.verify()
    return loaded
