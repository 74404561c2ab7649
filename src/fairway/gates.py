"""The rules of a gate: what `[gate.NAME]` of `fairway.toml` may say, and what it means.

A gate is what a version must pass before an alias may move to it. The file is read by `settings.py`, which
gives its tables to `read_gates`; whether a version passes is decided in `lifecycle/gate.py`.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NoReturn

from fairway.errors import SettingsError

DEFAULT = "default"
"""The table whose rules hold for every model, as far as its own table does not say otherwise."""

Operator = Literal["<=", ">=", "<", ">"]
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_LIMIT = re.compile(r"\s*(<=|>=|<|>)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(%?)\s*")
_PERCENT = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*%\s*")

METRICS: dict[str, str] = {
    "accuracy": "Share of rows whose label is predicted.",
    "balanced_accuracy": "Mean over the classes of the share of their rows that is found.",
    "f1": "Mean over the classes of the harmonic mean of precision and recall (macro). `f1:CLASS` is the one "
    "of a class; `precision:CLASS` and `recall:CLASS` are its parts.",
    "auc": "Chance that a row of the class gets a higher probability than another row; the mean over "
    "the classes, each against the rest, where there are more than two.",
    "log_loss": "Mean of the negative logarithm of the probability that the true label got.",
    "brier": "Mean squared error of the probabilities; summed over the classes if there are more than two.",
    "ece": "Expected calibration error: mean distance between probability and frequency in ten bins.",
    "rmse": "Root of the mean squared error.",
    "mae": "Mean absolute error.",
    "r2": "Share of the truth's variance that is explained.",
    "mape": "Mean absolute error as a share of the truth; only where all truth is of one sign and not zero.",
    "pinball": "Quantile loss at the rule `quantile`, or at 0.5.",
}
"""Every metric that a rule may limit, and what it is."""

OF_A_CLASS = ("f1", "precision", "recall")
HIGHER_IS_BETTER = frozenset({"accuracy", "balanced_accuracy", "f1", "precision", "recall", "auc", "r2"})


@dataclasses.dataclass(frozen=True, slots=True)
class Limit:
    """A bound on a metric, such as `>= 0.80`."""

    operator: Operator
    value: float

    def holds(self, value: float) -> bool:
        """Tell whether *value* keeps to the bound."""
        return _OPERATORS[self.operator](value, self.value)

    @property
    def wants_more(self) -> bool:
        """Whether higher values are the better ones."""
        return self.operator in {">=", ">"}

    def __str__(self) -> str:
        return f"{self.operator} {self.value:g}"


@dataclasses.dataclass(frozen=True, slots=True)
class Tolerance:
    """How much worse a version may be: in units of the metric, or as a share of what it is compared with."""

    value: float = 0.0
    is_share: bool = False

    def of(self, reference: float) -> float:
        """Return the tolerance in units of the metric whose value was *reference*."""
        return abs(reference) * self.value if self.is_share else self.value

    def __str__(self) -> str:
        return f"{100 * self.value:g} %" if self.is_share else f"{self.value:g}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """What a version of one model must pass.

    Attributes:
        limits: Bounds by metric: `rmse`, `f1:Yes`, or `OUTPUT.METRIC` for another output than the first.
        metric: Metric functions of the user's own by name, as `module:function`.
        not_worse_than: Alias, number or reference of the version that it is compared with on the same rows.
        compare: Metrics in which it must not be worse. Default: those with a bound, else the task's own.
        tolerance: How much worse still counts as not worse.
        confident: Whether the interval has to keep to a rule, not only the estimate.
        confidence: Confidence of every interval.
        quantile: The quantile that a model's number estimates, for `pinball`.
        max_latency_ms: Longest time of one call with one row, at the 99th percentile.
        max_memory_mb: Most memory of a process that has loaded the version and answered.
        max_refused: Largest share of rows that the model may refuse.
        min_rows: Fewest rows with a label.
        segments: Columns by whose values the rows are looked at apart.
        compatible: Whether every client of the compared version must go on working.
        require_check: Whether an alias moves only to a version whose last check was passed; None where that
            is not said, and `asks_for_check` decides.
        requires_approval: Whether an alias moves only after somebody else has approved.
        folder: Where the user's own metric functions are looked for.
    """

    limits: Mapping[str, Limit] = dataclasses.field(default_factory=dict)
    metric: Mapping[str, str] = dataclasses.field(default_factory=dict)
    not_worse_than: str = ""
    compare: tuple[str, ...] = ()
    tolerance: Tolerance = Tolerance()
    confident: bool = False
    confidence: float = 0.95
    quantile: float | None = None
    max_latency_ms: float | None = None
    max_memory_mb: float | None = None
    max_refused: float = 0.01
    min_rows: int = 0
    segments: tuple[str, ...] = ()
    compatible: bool = False
    require_check: bool | None = None
    requires_approval: bool = False
    folder: Path | None = None

    @property
    def asks_for_check(self) -> bool:
        """Whether an alias moves only to a version whose last check was passed.

        As it is said; else if there is any rule that only a check can judge, for a rule that nobody has to
        pass is none.
        """
        if self.require_check is not None:
            return self.require_check
        limits = (self.max_latency_ms, self.max_memory_mb)
        return any(
            (self.limits, self.metric, self.not_worse_than, self.compare, self.min_rows, self.segments)
        ) or any(limit is not None for limit in limits)


NO_RULES = GateRules()


def rules_of(gates: Mapping[str, GateRules], model: str) -> GateRules:
    """Return the rules for a model: those of its own table, else those for all models, else none."""
    return gates.get(model) or gates.get(DEFAULT) or NO_RULES


def split_metric(key: str) -> tuple[str, str, str]:
    """Return output, metric and class of a key such as `rating.rmse` or `f1:Yes`; empty where not named."""
    head, _, label = key.partition(":")
    output, _, name = head.rpartition(".")
    return output, name, label


def read_gates(
    tables: Any, *, place: Callable[[str], str] = lambda _: FILE, folder: Path | None = None
) -> dict[str, GateRules]:
    """Return the rules by model.

    The table `default` holds for all models; what a model's own table says takes its place, key by key.

    Args:
        tables: The content of `[gate]`.
        place: Says where a key such as `gate.coffee.rmse` stands, for messages.
        folder: Folder of the file.

    Raises:
        SettingsError: A key is unknown, or a value is none that it takes.
    """
    if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
        raise SettingsError(
            f"gate must hold one table per model (from {place('gate')})", hint="write [gate.coffee] above it"
        )
    common = tables.get(DEFAULT, {})
    return {
        model: _read_rules(model, {**common, **table}, place=place, folder=folder)
        for model, table in tables.items()
    }


FILE = "fairway.toml"


def _read_rules(
    model: str, table: Mapping[str, Any], *, place: Callable[[str], str], folder: Path | None
) -> GateRules:
    own = table.get("metric", {})
    names = [*METRICS, *OF_A_CLASS, *(own if isinstance(own, Mapping) else ())]
    limits: dict[str, Limit] = {}
    values: dict[str, Any] = {}
    for key, raw in table.items():
        where = f"gate.{model}.{key} (from {place(f'gate.{model}.{key}')})"
        try:
            if key in _READERS:
                values[key] = _READERS[key](raw)
            elif split_metric(key)[1] in names:
                limits[key] = _read_limit(raw)
            else:
                _refuse_key(key, where, names)
        except ValueError as wrong:
            raise SettingsError(f"{where} must be {wrong}, not {str(raw)[:60]!a}", hint=_HINT) from None
    for key in values.get("compare", ()):
        if split_metric(key)[1] not in names:
            _refuse_key(key, f"gate.{model}.compare (from {place(f'gate.{model}.compare')})", names)
    return GateRules(limits=limits, folder=folder, **values)


_HINT = "the rules are described in docs/reference/gate-rules.md"


def _refuse_key(key: str, where: str, metrics: list[str]) -> NoReturn:
    close = get_close_matches(key, [*_READERS, *metrics], n=1)
    hint = f"did you mean {close[0]}?" if close else f"the rules are: {', '.join([*_READERS, *metrics])}"
    raise SettingsError(f"there is no gate rule {key[:80]!a}: {where}", hint=hint)


def _read_limit(raw: Any) -> Limit:
    match = _LIMIT.fullmatch(raw) if isinstance(raw, str) else None
    if match is None:
        raise ValueError('a bound such as ">= 0.80"')
    sign: Any = match[1]
    return Limit(sign, float(match[2]) / (100 if match[3] else 1))


def _read_tolerance(raw: Any) -> Tolerance:
    if isinstance(raw, str) and (match := _PERCENT.fullmatch(raw)):
        return Tolerance(float(match[1]) / 100, is_share=True)
    return Tolerance(_number(0, math.inf, 'a number that is not negative, or a share such as "2 %"')(raw))


def _number(low: float, high: float, what: str) -> Callable[[Any], float]:
    def read(raw: Any) -> float:
        if isinstance(raw, bool) or not isinstance(raw, int | float) or not low <= raw <= high:
            raise ValueError(what)
        return float(raw)

    return read


def _share(what: str) -> Callable[[Any], float]:
    number = _number(0, 1, what)

    def read(raw: Any) -> float:
        match = _PERCENT.fullmatch(raw) if isinstance(raw, str) else None
        return number(float(match[1]) / 100 if match else raw)

    return read


def _read_between(raw: Any) -> float:
    what = "a number between 0 and 1"
    value = _number(0, 1, what)(raw)
    if value in {0, 1}:
        raise ValueError(what)
    return value


def _read_count(raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or raw < 0:
        raise ValueError("a whole number that is not negative")
    return raw


def _read_flag(raw: Any) -> bool:
    if not isinstance(raw, bool):
        raise ValueError("true or false")  # noqa: TRY004 - the caller turns it into a SettingsError
    return raw


def _read_text(raw: Any) -> str:
    if not isinstance(raw, str) or not raw.strip() or not raw.isprintable():
        raise ValueError("a text")
    return raw.strip()


def _read_reference(raw: Any) -> str:
    if isinstance(raw, int) and not isinstance(raw, bool) and raw > 0:
        return str(raw)
    return _read_text(raw)


def _read_names(raw: Any) -> tuple[str, ...]:
    if not isinstance(raw, list):
        raise ValueError("a list of texts")  # noqa: TRY004 - as above
    try:
        return tuple(map(_read_text, raw))
    except ValueError:
        raise ValueError("a list of texts") from None


def _read_functions(raw: Any) -> dict[str, str]:
    what = 'a table such as { profit = "costs:profit" }'
    if not isinstance(raw, Mapping):
        raise ValueError(what)  # noqa: TRY004 - as above
    for name, function in raw.items():
        if not isinstance(function, str) or not _FUNCTION.fullmatch(function):
            raise ValueError(what)
        if name in METRICS or name in _READERS or name in OF_A_CLASS or not _NAME.fullmatch(name):
            raise ValueError(f"a table of names of your own; {name[:40]!a} is none")
    return dict(raw)


_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_NAME = re.compile(r"[A-Za-z_]\w*")

_positive = _number(1e-9, 1e12, "a number above 0")
_READERS: dict[str, Callable[[Any], Any]] = {
    "metric": _read_functions,
    "not_worse_than": _read_reference,
    "compare": _read_names,
    "tolerance": _read_tolerance,
    "confident": _read_flag,
    "confidence": _read_between,
    "quantile": _read_between,
    "max_latency_ms": _positive,
    "max_memory_mb": _positive,
    "max_refused": _share("a share between 0 and 1"),
    "min_rows": _read_count,
    "segments": _read_names,
    "compatible": _read_flag,
    "require_check": _read_flag,
    "requires_approval": _read_flag,
}
RULES: tuple[str, ...] = tuple(_READERS)
"""Every key beside the metrics."""
