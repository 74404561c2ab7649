"""A model ready to answer: validator and predictor are bound at load, and the golden examples pass."""

from __future__ import annotations

import dataclasses
import functools
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from fairway.bundle.bundle import Bundle
from fairway.bundle.environment import Difference, compare_environment, wanted
from fairway.bundle.signature import Signature
from fairway.bundle.validation import Validator
from fairway.errors import FairwayError, ModelFailed, ModelNotReady, PackedModelDiffers
from fairway.flavors.base import Predictor
from fairway.inference.cost import Predict
from fairway.inference.predictors import AUTO, NATIVE, choices_of
from fairway.inference.scheduling import Limits, Scheduler
from fairway.inference.turn import Turn
from fairway.messages import Columns, Outputs, Timing
from fairway.protocols.base import Dialect


class LoadedModel:
    """One version of a model, in memory.

    Nothing that it holds refers back to it: its memory comes back, and its threads end, when the last call
    that holds it has its answer, without a collection.

    Args:
        bundle: The verified bundle.
        name: Name in the registry.
        version: Number in the registry; 0 for a bundle that no registry has numbered.
        predictor: The model bound to its signature.
        timeout_s: Longest time that a call may take off the event loop.
        limits: Everything about the scheduling of its calls; replaces *timeout_s*.
        predictor_name: What kind of predictor it is: a compiler's name, or `native`.
        reason: Why this one answers, in a sentence.

    Attributes:
        reference: The version's reference, such as `coffee:3`.
        scheduler: Runs the calls that the event loop must not wait for.
        used_at: `time.perf_counter()` of the last call that chose it.
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
        reason: str = "",
    ) -> None:
        self.bundle = bundle
        self.name = name
        self.version = version
        self.signature: Signature = bundle.signature
        self.classes = tuple(map(str, self.signature.classes))
        self.predictor_name = predictor_name
        self.reason = reason
        self._predictor = predictor
        self._readers: dict[str, Any] = {}
        self.reference = f"{name}:{version}" if version else name
        self.used_at = 0.0
        self.scheduler = Scheduler(
            _predict_of(self),
            name=self.reference,
            limits=limits or Limits(timeout_s=timeout_s),
            is_foreign=predictor_name == NATIVE,
        )
        weakref.finalize(self, self.scheduler.close).atexit = False

    @property
    def predictor(self) -> Predictor:
        """What answers: the model bound to its signature."""
        return self._predictor

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest."""
        return self.bundle.digest

    @functools.cached_property
    def differences(self) -> list[Difference]:
        """What differs between this environment and the one that the model was packed in."""
        return compare_environment(self.bundle.environment)

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

    async def answer(
        self, columns: Columns, timing: Timing, *, probabilities: bool = False, turn: Turn | None = None
    ) -> Outputs:
        """Predict without holding the event loop for long.

        Args:
            columns: The rows.
            timing: Gets the time that the call has waited.
            probabilities: See `predict`.
            turn: Where the call may join others. Whoever gives one has to step this coroutine by itself.

        Raises:
            Overloaded: Too many slow calls wait already.
            PredictionTimeout: The model did not answer in time.
        """
        rows = len(columns)
        if rows <= self.scheduler.inline_rows:
            if turn is not None and 0 < rows <= self.scheduler.gathered_rows:
                return await turn.seat(self, columns, timing, probabilities=probabilities)
            return self.predict(columns, probabilities=probabilities)
        return await self.scheduler.answer(columns, timing, probabilities=probabilities)

    def verify(self, *, tolerance: float = 0.0) -> None:
        """Replay the golden examples, and learn how long a call takes.

        Args:
            tolerance: How far the predictor may be off, if that is more than the examples allow.

        Raises:
            PackedModelDiffers: An answer is not the one that was recorded.
        """
        golden = self.bundle.golden
        golden = dataclasses.replace(golden, tolerance=max(tolerance, golden.tolerance))
        columns = golden.columns(Validator(self.signature))
        with_probabilities = golden.probabilities is not None
        differences = golden.differences(self.predict(columns, probabilities=with_probabilities))
        if differences:
            raise PackedModelDiffers(
                f"{self.reference} fails its golden examples: {differences[0]}",
                hint=_blame(self.differences, self.bundle.environment),
            )
        self.scheduler.measure(columns, probabilities=with_probabilities)


def _predict_of(model: LoadedModel) -> Predict:
    """Return what a model's scheduler calls; it does not keep the model."""
    found = weakref.ref(model)

    def predict(columns: Columns, probabilities: bool) -> Outputs:  # noqa: FBT001 - as Predict has it
        kept = found()
        if kept is None:  # everybody who had asked has given up
            raise ModelNotReady("the version was unloaded")
        return kept.predict(columns, probabilities=probabilities)

    return predict


def load_model(
    bundle: Bundle,
    *,
    name: str = "",
    version: int = 0,
    timeout_s: float = 60.0,
    limits: Limits | None = None,
    predictor: str = AUTO,
) -> LoadedModel:
    """Load a bundle's model, bind it to its signature and prove that it answers as it did when packed.

    Args:
        bundle: The verified bundle with its attachments.
        name: Name in the registry; the name that it was packed under by default.
        version: Number in the registry; 0 when no registry has numbered it.
        timeout_s: Longest time that a call may take off the event loop.
        limits: Everything about the scheduling of its calls; replaces *timeout_s*.
        predictor: `auto` lets the fastest proven predictor answer that can be loaded here; else `native` or
            the name of a compiler whose result was proven.

    Raises:
        BundleError: The model cannot be loaded, or fails its golden examples.
        PredictorNotProven: *predictor* was not proven for this bundle.
        MissingExtra: Its framework is not installed.
    """
    failures: dict[str, FairwayError] = {}
    for choice in choices_of(bundle, predictor):
        try:
            loaded = LoadedModel(
                bundle,
                name=name or bundle.manifest.name,
                version=version,
                predictor=choice.bind(),
                timeout_s=timeout_s,
                limits=limits,
                predictor_name=choice.name,
                reason=_reason(choice.reason, failures),
            )
            loaded.verify(tolerance=choice.tolerance)
        except FairwayError as error:  # the next one may do: its library is here, or it answers rightly
            failures[choice.name] = error
        else:
            return loaded
    raise next(iter(failures.values()))


def _blame(differences: Sequence[Difference], lock: Mapping[str, Any]) -> str:
    if not differences:
        return ""
    told = "; ".join(map(str, differences))
    return f"the environment differs: {told}. Install {' '.join(wanted(lock))}"


def _reason(reason: str, failures: Mapping[str, FairwayError]) -> str:
    passed_over = [f"{name} cannot serve here: {error.detail}" for name, error in failures.items()]
    return "; ".join([*passed_over, reason])
