"""Scalers and other transformations of single features."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.base import Array, Chain, Source, Step, reads_transformer
from fairway.compilers.steps.sparse import SparseRows

_QUANTILE_EDGE = 1e-7
"""How near to 0 and 1 the quantile transformation goes (`BOUNDS_THRESHOLD` of scikit-learn)."""


@dataclasses.dataclass
class Scale(Step):
    """(x - center) / scale, in this order, as scikit-learn computes it."""

    center: Array | None
    scale: Array | None

    def __call__(self, value: Array) -> Array:
        if self.center is not None:
            value = value - self.center
        return value if self.scale is None else value / self.scale


@dataclasses.dataclass
class Stretch(Step):
    """x * factor + offset, cut to a range if it is given."""

    factor: Array
    offset: Array
    clip: list[float] | None

    def __call__(self, value: Array) -> Array:
        value = value * self.factor + self.offset
        return value if self.clip is None else np.clip(value, self.clip[0], self.clip[1])


@dataclasses.dataclass
class SparseScale(Step):
    """x / scale on sparse rows."""

    scale: Array

    def __call__(self, value: SparseRows) -> SparseRows:
        return value.with_values(value.values / self.scale[value.places])


@dataclasses.dataclass
class Normalize(Step):
    """Divide each row by its norm: `l1`, `l2` or `max`; a row of zeros stays."""

    norm: str

    def __call__(self, value: Any) -> Any:
        if isinstance(value, SparseRows):
            return value.divided(self._of_sparse(value))
        norms = self._of_all(value)
        norms[norms == 0.0] = 1.0
        return value / norms[:, None]

    def _of_sparse(self, rows: SparseRows) -> Array:
        values = rows.values
        if self.norm == "l2":
            return np.sqrt(rows.sums(values * values))
        sizes = np.abs(values)
        return rows.sums(sizes) if self.norm == "l1" else rows.largest(sizes)

    def _of_all(self, value: Array) -> Array:
        if self.norm == "l2":
            return np.sqrt((value * value).sum(axis=1))
        sizes = np.abs(value)
        return sizes.sum(axis=1) if self.norm == "l1" else sizes.max(axis=1)


@dataclasses.dataclass
class Threshold(Step):
    """1 where a value is above the threshold, else 0."""

    threshold: float

    def __call__(self, value: Any) -> Any:
        if isinstance(value, SparseRows):
            return value.with_values((value.values > self.threshold).astype(np.float64))
        return (value > self.threshold).astype(np.float64)


@dataclasses.dataclass
class Power(Step):
    """Yeo-Johnson or Box-Cox power transformation, feature by feature.

    Source: Yeo and Johnson, A new family of power transformations, Biometrika 87 (2000); written with expm1
    and log1p as SciPy does, which keeps small exponents exact.
    """

    method: str
    exponents: list[float]

    def __call__(self, value: Array) -> Array:
        transform = _yeo_johnson if self.method == "yeo-johnson" else _box_cox
        value = np.array(value)
        with np.errstate(invalid="ignore", divide="ignore"):
            for place, exponent in enumerate(self.exponents):
                value[:, place] = transform(np.ascontiguousarray(value[:, place]), exponent)
        return value


def _box_cox(values: Array, exponent: float) -> Array:
    if (values <= 0).any():
        raise ValueError("the Box-Cox transformation takes positive values only")
    logs = np.log(values)
    return logs if exponent == 0 else np.expm1(exponent * logs) / exponent


def _yeo_johnson(values: Array, exponent: float) -> Array:
    small = np.spacing(1.0)
    size = np.log1p(np.abs(values))
    upper = size if abs(exponent) < small else np.expm1(exponent * size) / exponent
    rest = 2.0 - exponent
    lower = size if abs(rest) <= small else np.expm1(rest * size) / rest
    return np.where(values >= 0, upper, -lower)


@dataclasses.dataclass
class Quantiles(Step):
    """Map features to their quantiles, uniform or normal.

    Repeated quantiles are interpolated from both sides and averaged, as scikit-learn does.
    """

    quantiles: Array
    references: Array
    normal: bool

    def __post_init__(self) -> None:
        import statistics

        edge = _QUANTILE_EDGE - np.spacing(1)
        self._normal = statistics.NormalDist()
        self._ends = self._normal.inv_cdf(edge), self._normal.inv_cdf(1 - edge)

    def __call__(self, value: Array) -> Array:
        return np.stack(
            [self._column(value[:, n], self.quantiles[:, n]) for n in range(value.shape[1])], axis=1
        )

    def _column(self, values: Array, quantiles: Array) -> Array:
        references = self.references
        up = np.interp(values, quantiles, references)
        down = np.interp(-values, -quantiles[::-1], -references[::-1])
        found: Array = 0.5 * (up - down)
        edge = _QUANTILE_EDGE if self.normal else 0.0
        found[values + edge > quantiles[-1] if self.normal else values == quantiles[-1]] = 1.0
        found[values - edge < quantiles[0] if self.normal else values == quantiles[0]] = 0.0
        found[np.isnan(values)] = np.nan
        return np.array([self._probit(p) for p in found.tolist()]) if self.normal else found

    def _probit(self, probability: float) -> float:
        low, high = self._ends
        if probability != probability:  # noqa: PLR0124 - NaN
            return probability
        if not 0.0 < probability < 1.0:
            return low if probability <= 0.0 else high
        return min(max(self._normal.inv_cdf(probability), low), high)


@dataclasses.dataclass
class Function(Step):
    """A function of NumPy that works value by value."""

    name: str

    def __post_init__(self) -> None:
        self._function = ufunc_named(self.name)

    def __call__(self, value: Array) -> Array:
        # A list of equal lengths takes other instructions than a lone value: the layout is always the same.
        return np.ascontiguousarray(self._function(np.ascontiguousarray(value)), np.float64)


def ufunc_named(name: str) -> np.ufunc:
    """Return an elementwise function of one argument by its name in NumPy.

    Raises:
        NotConvertible: NumPy has no such function.
    """
    function = getattr(np, name, None)
    if not isinstance(function, np.ufunc) or function.nin != 1 or function.nout != 1:
        raise NotConvertible(f"{name!r} is no elementwise function of NumPy")
    return function


def name_of_ufunc(function: Any) -> str:
    """Return the name of an elementwise function of NumPy.

    Raises:
        NotConvertible: It is another function, which may do anything.
    """
    name = str(getattr(function, "__name__", ""))
    if isinstance(function, np.ufunc) and getattr(np, name, None) is function:
        ufunc_named(name)
        return name
    raise NotConvertible(f"the function {function!r} is not one of NumPy's")


def _only_checks(function: Any) -> bool:
    """Tell whether a function is scikit-learn's own check of an array; histogram boosting has one inside."""
    inner = getattr(function, "func", None)
    module = str(getattr(inner, "__module__", ""))
    return getattr(inner, "__name__", "") == "check_array" and module.startswith("sklearn.")


def array(values: Any) -> Array:
    """Return fitted values as a contiguous float64 array."""
    return np.ascontiguousarray(values, np.float64)


@reads_transformer("StandardScaler", takes=("dense", "sparse"), missing="kept")
def read_standard_scaler(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a StandardScaler."""
    scale = array(est.scale_) if est.with_std and est.scale_ is not None else None
    if source.kind == "sparse":
        if est.with_mean:
            raise NotConvertible("StandardScaler with a mean takes no sparse values")
        return (Chain([]) if scale is None else SparseScale(scale)), source
    return Scale(array(est.mean_) if est.with_mean else None, scale), source.dense()


@reads_transformer("MinMaxScaler", missing="kept")
def read_min_max_scaler(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a MinMaxScaler."""
    clip = [float(end) for end in est.feature_range] if est.clip else None
    return Stretch(array(est.scale_), array(est.min_), clip), source.dense()


@reads_transformer("MaxAbsScaler", takes=("dense", "sparse"), missing="kept")
def read_max_abs_scaler(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a MaxAbsScaler."""
    if getattr(est, "clip", False):
        raise NotConvertible("MaxAbsScaler(clip=True) has no compiled form")
    if source.kind == "sparse":
        return SparseScale(array(est.scale_)), source
    return Scale(None, array(est.scale_)), source.dense()


@reads_transformer("RobustScaler", missing="kept")
def read_robust_scaler(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a RobustScaler."""
    center = array(est.center_) if est.with_centering else None
    return Scale(center, array(est.scale_) if est.with_scaling else None), source.dense()


@reads_transformer("Normalizer", takes=("dense", "sparse"))
def read_normalizer(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a Normalizer."""
    return Normalize(est.norm), source


@reads_transformer("Binarizer", takes=("dense", "sparse"))
def read_binarizer(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a Binarizer."""
    return Threshold(float(est.threshold)), source


@reads_transformer("PowerTransformer", missing="kept")
def read_power_transformer(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a PowerTransformer."""
    steps: list[Step] = [Power(est.method, [float(exponent) for exponent in est.lambdas_])]
    if est.standardize:
        steps.append(Scale(array(est._scaler.mean_), array(est._scaler.scale_)))
    return Chain(steps), source.dense()


@reads_transformer("QuantileTransformer", missing="kept")
def read_quantile_transformer(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a QuantileTransformer."""
    normal = est.output_distribution == "normal"
    return Quantiles(array(est.quantiles_), array(est.references_), normal), source.dense()


@reads_transformer("FunctionTransformer", takes=("columns", "dense", "sparse", "objects"), missing="kept")
def read_function_transformer(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a FunctionTransformer without a function, or with an elementwise one of NumPy."""
    from fairway.compilers.steps.inputs import convert

    if est.func is None:
        return Chain([]), source
    if _only_checks(est.func):
        steps, source = convert(source, ("dense", "objects"), "FunctionTransformer")
        return Chain(steps), source
    if est.kw_args:
        raise NotConvertible("a FunctionTransformer with arguments has no compiled form")
    name = name_of_ufunc(est.func)
    steps, source = convert(source, ("dense",), "FunctionTransformer")
    return Chain([*steps, Function(name)]), source.dense()
