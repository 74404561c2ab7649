"""What a version costs to run: the time of a call, and the memory of a process that has loaded it."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from fairway.bundle.bundle import Bundle, open_bundle
from fairway.bundle.validation import Validator
from fairway.errors import BundleError
from fairway.inference import proof
from fairway.inference.loaded import LoadedModel, load_model
from fairway.lifecycle.reporting.document import Latency
from fairway.messages import Columns

MAX_CALLS = 300
MAX_SECONDS = 1.0
_WARM_CALLS = 5
_VERDICT = b"fairway-memory "


def measure_latency(
    model: LoadedModel, against: LoadedModel | None, rows: Sequence[Columns]
) -> Latency | None:
    """Time calls with one row each, those of both versions in turn so that both meet the same machine.

    Args:
        model: The version.
        against: The other one.
        rows: Calls of one row. Those that the other one does not take are read anew by its own validator.
    """
    calls = list(rows)
    if not calls:
        return None
    models = [model] if against is None else [model, against]
    asked = [calls, _as_asked(against, calls)] if against is not None else [calls]
    for one, its_calls in zip(models, asked, strict=True):
        for n in range(_WARM_CALLS if its_calls else 0):
            one.predict(its_calls[n % len(its_calls)])
    times: list[list[float]] = [[] for _ in models]
    began = time.perf_counter()
    for n in range(MAX_CALLS):
        for one, its_calls, taken in zip(models, asked, times, strict=True):
            if its_calls:
                started = time.perf_counter()
                one.predict(its_calls[n % len(its_calls)])
                taken.append((time.perf_counter() - started) * 1e3)
        if time.perf_counter() - began > MAX_SECONDS:
            break
    p50, p99 = _quantiles(times[0])
    if len(times) == 1 or not times[1]:
        return Latency(calls=len(times[0]), p50_ms=p50, p99_ms=p99)
    other50, other99 = _quantiles(times[1])
    return Latency(
        calls=len(times[0]),
        p50_ms=p50,
        p99_ms=p99,
        against_p50_ms=other50,
        against_p99_ms=other99,
        ratio=p50 / other50 if other50 else None,
    )


def _as_asked(model: LoadedModel, calls: Sequence[Columns]) -> list[Columns]:
    """Return the calls that another version takes, with its own inputs."""
    validator, found = Validator(model.signature), []
    for call in calls:
        record = {name: value for name, value in call.records()[0].items() if name in model.signature.names}
        try:
            found.append(validator.check([record], pointer=str))
        except BundleError:
            raise
        except Exception:  # noqa: BLE001, S112 - a row that it refuses is none that it can be timed with
            continue
    return found


def _quantiles(times: list[float]) -> tuple[float, float]:
    ranked = sorted(times)
    return ranked[len(ranked) // 2], ranked[min(len(ranked) - 1, int(0.99 * len(ranked)))]


def measure_memory(bundle: Bundle, predictor: str, *, timeout_s: float = 300.0) -> float:
    """Return the most memory, in MB, of a new process that loads a bundle and answers its golden examples.

    Raises:
        BundleError: The process failed.
    """
    with tempfile.TemporaryDirectory(prefix="fairway-memory-") as temporary:
        folder = Path(temporary)
        path = bundle.save(folder / "bundle")
        ended = proof.run_fresh(__name__, [str(path), predictor], folder=folder, timeout_s=timeout_s)
    lines = [line for line in ended.output.splitlines() if line.startswith(_VERDICT)]
    if not lines:
        raise BundleError(f"the memory of the version cannot be measured: {ended.last_words}")
    return float(json.loads(lines[-1].removeprefix(_VERDICT)))


def main(arguments: Sequence[str]) -> None:
    """Load the bundle at a path with a predictor; print the most memory that this process has had."""
    import resource

    path, predictor = arguments
    load_model(open_bundle(path), predictor=predictor)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    megabytes = peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
    sys.stdout.buffer.write(b"\n" + _VERDICT + json.dumps(megabytes).encode() + b"\n")
    sys.stdout.buffer.flush()
