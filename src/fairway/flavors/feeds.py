"""How a scikit-learn model is fed: with the frame, matrix, records or texts that it was fitted with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from fairway.bundle.signature import Signature
from fairway.bundle.tables import Table
from fairway.errors import MissingExtra
from fairway.messages import ArrayColumns, Columns

FEEDS = ("frame", "matrix", "records", "texts", "columns")


def is_numeric(signature: Signature) -> bool:
    """Tell whether every input is a number or a truth value."""
    return all(entry.kind in {"number", "integer", "boolean"} for entry in signature.inputs)


def _is_one_vector(signature: Signature) -> bool:
    return len(signature.inputs) == 1 and signature.inputs[0].kind == "vector"


def feed_options(feed: str, table: Table, signature: Signature) -> dict[str, Any]:
    """Return what it takes to build the model's input again: the feed and the data types of its training."""
    options: dict[str, Any] = {"feed": feed, "nones": [n for n in signature.names if n in table.nones]}
    if feed == "frame":
        options["dtypes"] = {name: table.dtypes[name] for name in signature.names if name in table.dtypes}
        options["categories"] = {n: table.categories[n] for n in signature.names if n in table.categories}
    if feed == "matrix":
        dtypes = {table.dtypes.get(name, "") for name in signature.names}
        numeric = "float32" if dtypes == {"float32"} else "float64"
        options["dtype"] = numeric if is_numeric(signature) or _is_one_vector(signature) else "object"
    return options


def feeder(options: dict[str, Any], signature: Signature) -> Callable[[Columns], Any]:
    """Return the function that turns columns into what the model takes."""
    feed = options["feed"]
    if feed == "records" and options.get("sparse"):
        # For these an absent key is a zero, and a None is not.
        return lambda columns: [{k: v for k, v in r.items() if v is not None} for r in columns.records()]
    if feed == "records":
        return lambda columns: columns.records()
    if feed == "columns":
        return lambda columns: columns.columns()
    if feed == "texts":
        return lambda columns: columns.column(0)
    if feed == "frame":
        return _FrameFeed(options, signature)
    import numpy as np

    if _is_one_vector(signature):
        kept = np.float32 if options.get("dtype") == "float32" else np.float64
        return lambda columns: np.array(columns.column(0), dtype=kept)
    if options["dtype"] == "object":
        nans = [name not in options.get("nones", ()) for name in signature.names]
        return lambda columns: _object_matrix(columns, nans)
    if options["dtype"] == "float32":
        return lambda columns: columns.matrix().astype(np.float32)
    return lambda columns: columns.matrix()


def _object_matrix(columns: Columns, nans: Sequence[bool]) -> Any:
    import numpy as np

    matrix = np.empty((len(columns), len(nans)), dtype=object)
    for i, is_nan in enumerate(nans):
        matrix[:, i] = _with_nan(columns.column(i)) if is_nan else columns.column(i)
    return matrix


def _with_nan(values: list[Any]) -> list[Any]:
    """Mark what is missing as frames and most arrays do."""
    return [math.nan if value is None else value for value in values]


class _FrameFeed:
    """Builds a pandas frame with the data types that the model was fitted on."""

    def __init__(self, options: dict[str, Any], signature: Signature) -> None:
        try:
            import pandas as pd
        except ImportError as cause:
            raise MissingExtra("pandas", "pandas", purpose="a model fitted on a data frame") from cause
        dtypes = options["dtypes"]
        self._frame = pd.DataFrame
        self._series = [
            _series_maker(
                entry.kind,
                dtypes.get(entry.name, ""),
                options["categories"].get(entry.name),
                nones=entry.name in options.get("nones", ()),
            )
            for entry in signature.inputs
        ]
        self._takes_array = [
            entry.kind == "number" and not pd.api.types.is_extension_array_dtype(dtypes.get(entry.name, ""))
            for entry in signature.inputs
        ]

    def __call__(self, columns: Columns) -> Any:
        made = [make(self._values(columns, index)) for index, make in enumerate(self._series)]
        return self._frame(dict(zip(columns.names, made, strict=True)), copy=False)

    def _values(self, columns: Columns, index: int) -> Any:
        """Return an input's values: an array as it is where that gives the same series as a list would."""
        if self._takes_array[index] and type(columns) is ArrayColumns:
            return columns.arrays[index]
        return columns.column(index)


def _series_maker(
    kind: str, dtype: str, categories: list[Any] | None, *, nones: bool
) -> Callable[[list[Any]], Any]:
    import numpy as np
    import pandas as pd

    array: Any = pd.array
    marked = (lambda values: values) if nones else _with_nan
    if categories is not None:
        declared = pd.CategoricalDtype(categories)
        codes = {level: code for code, level in enumerate(categories)}
        # A category that was not declared is a missing one, as it would be in a frame.
        return lambda values: pd.Categorical.from_codes([codes.get(v, -1) for v in values], dtype=declared)
    if kind == "datetime":
        return _dates_maker(dtype)
    if kind in {"number", "integer", "boolean"} and pd.api.types.is_extension_array_dtype(dtype):
        return lambda values: array(values, dtype=dtype)
    if kind == "number":
        number = np.float32 if dtype == "float32" else np.float64
        return lambda values: np.array(values, dtype=number)
    if kind == "integer":
        return lambda values: np.array(values, dtype=np.float64 if None in values else np.int64)
    if kind == "boolean":
        return lambda values: np.array(marked(values), dtype=object if None in values else np.bool_)
    if dtype in {"", "object"} or kind in {"category_list", "text_list", "vector"}:
        return lambda values: pd.Series(marked(values), dtype=dtype or None)
    return lambda values: pd.Series(values, dtype=dtype)


def _dates_maker(dtype: str) -> Callable[[list[Any]], Any]:
    import pandas as pd

    unit, _, zone = dtype.removesuffix("]").partition(", ")
    if not zone:
        return lambda values: pd.Series(values, dtype=dtype or "datetime64[ns]")
    # What was read is in UTC.
    return lambda values: pd.Series(values, dtype=f"{unit}, UTC]").dt.tz_convert(zone)
