"""From a file that can run code to one that cannot: the same model, proven to answer the same."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fairway.bundle.code import CodeSpace, collect_code
from fairway.bundle.golden import is_close
from fairway.bundle.kinds import infer_inputs
from fairway.bundle.safety import Trust, check_files
from fairway.bundle.signature import Signature
from fairway.bundle.tables import read_table
from fairway.errors import BundleError, ExampleInvalid, MissingExtra, PackedModelDiffers, UsageError
from fairway.flavors.base import Flavor
from fairway.flavors.feeds import feeder
from fairway.lifecycle.pack import checked_rows, inputs_of
from fairway.lifecycle.probe import open_probed


@dataclasses.dataclass(frozen=True)
class Converted:
    """What came of a conversion.

    Attributes:
        path: The file that was written.
        format: Its format.
        size: Its bytes.
        rows: Rows on which both models were compared; 0 without an example.
        type: Class of the model.
    """

    path: str
    format: str
    size: int
    rows: int
    type: str


@dataclasses.dataclass(frozen=True)
class _Format:
    """One safe format: how a model is written, read back, and which part of the model the file holds."""

    name: str
    write: Callable[[Any], bytes]
    read: Callable[[bytes, Any], Any]
    part: Callable[[Any], Any]


def convert_file(
    model: str | Path,
    path: Path,
    *,
    example: Any = None,
    target: str | None = None,
    code: Sequence[str | Path] = (),
    trust: Trust | None = None,
) -> Converted:
    """Write the model of a file in a format that runs no code; with an example, prove it equal first.

    Raises:
        BundleError: The file cannot be loaded, or its model has no form in this format.
        PackedModelDiffers: The copy answers otherwise; nothing was written.
        UsageError: Something is at *path*, or its ending names no safe format.
    """
    if path.exists():
        raise UsageError(f"{path} exists and is not overwritten", hint="choose another path or remove it")
    chosen = _FORMATS.get(path.suffix.lower())
    if chosen is None:
        raise UsageError(
            f"{path.suffix!r} is the ending of no safe format", hint=f"use one of: {', '.join(_FORMATS)}"
        )
    sources = collect_code(code)
    space = CodeSpace(sources, label="model")
    flavor, loaded, _, table = open_probed(
        Path(model), space, sources=sources, trust=trust or Trust.default(), meanwhile=lambda: _read(example)
    )
    try:
        data = chosen.write(loaded)
    except ImportError as cause:
        package = str(cause.name or chosen.name)
        raise MissingExtra(package, package, purpose=f"writing {chosen.name} files") from cause
    except (AttributeError, TypeError, ValueError, NotImplementedError) as cause:
        raise BundleError(
            f"a {type(loaded).__name__} cannot be written as {chosen.name}: {cause}",
            hint="scikit-learn: .skops; XGBoost: .ubj or .json; LightGBM: .txt; CatBoost: .cbm",
        ) from cause
    check_files({path.name: data}, Trust("trusted", trust.types if trust else frozenset()), own=space.roots)
    with space.active():
        rows = 0 if table is None else _prove(chosen, flavor, loaded, data, table, target)
    path.write_bytes(data)
    return Converted(str(path), chosen.name, len(data), rows, type(loaded).__name__)


def _read(example: Any) -> Any:
    return None if example is None else read_table(example)


def _prove(chosen: _Format, flavor: Flavor, model: Any, data: bytes, table: Any, target: str | None) -> int:
    """Compare what both models answer to every row; return how many there are."""
    table = inputs_of(table, target, flavor.describe(model))
    signature = Signature(inputs=infer_inputs(table, kinds={}), outputs=())
    columns = checked_rows(signature, table)
    signature, options = flavor.learn(model, table, signature, output_names=(), feed=None)
    if not len(columns):
        raise ExampleInvalid("the example has no rows")
    fed = feeder(options, signature)(columns)
    wanted, got = _answers(chosen.part(model), fed), _answers(chosen.read(data, model), fed)
    for name, expected in wanted.items():
        for n, (want, have) in enumerate(zip(expected, got.get(name, ()), strict=True)):
            if not _agree(want, have, flavor.tolerance):
                raise PackedModelDiffers(
                    f"row {n}: {name} gave {want!r} before and {have!r} after the conversion",
                    hint="nothing was written; keep the model as it is",
                )
    return len(columns)


def _agree(want: Any, have: Any, tolerance: float) -> bool:
    if isinstance(want, list) and isinstance(have, list):
        pairs = zip(want, have, strict=True)
        return len(want) == len(have) and all(_agree(a, b, tolerance) for a, b in pairs)
    return is_close(want, have, tolerance)


def _answers(model: Any, fed: Any) -> dict[str, list[Any]]:
    """Return what a model answers, by method."""
    found: dict[str, list[Any]] = {}
    for name in ("predict", "predict_proba"):
        if callable(getattr(model, name, None)):
            answer = getattr(model, name)(fed)
            found[name] = answer.tolist() if hasattr(answer, "tolist") else list(answer)
    return found


def _whole(model: Any) -> Any:
    return model


def _is_of(model: Any, library: str) -> None:
    if not any(kind.__module__.split(".")[0] == library for kind in type(model).__mro__):
        raise TypeError(f"it is no model of {library}")


def _write_skops(model: Any) -> bytes:
    import skops.io

    _is_of(model, "sklearn")
    if type(model).__module__.split(".")[0] in {"xgboost", "lightgbm", "catboost"}:
        raise TypeError("its own format is the safe one")
    data: bytes = skops.io.dumps(model)
    return data


def _read_skops(data: bytes, _: Any) -> Any:
    import skops.io

    # Every name of the file has passed the gate a moment ago.
    return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))


def _saved(library: str, suffix: str) -> Callable[[Any], bytes]:
    """Return a writer for libraries that save to a path only."""

    def write(model: Any) -> bytes:
        _is_of(model, library)
        with tempfile.TemporaryDirectory(prefix="fairway-convert-") as folder:
            path = Path(folder) / f"model{suffix}"
            model.save_model(str(path))
            return path.read_bytes()

    return write


def _reloaded(suffix: str) -> Callable[[bytes, Any], Any]:
    def read(data: bytes, model: Any) -> Any:
        with tempfile.TemporaryDirectory(prefix="fairway-convert-") as folder:
            path = Path(folder) / f"model{suffix}"
            path.write_bytes(data)
            again = type(model)()
            again.load_model(str(path))
            return again

    return read


def _booster(model: Any) -> Any:
    return getattr(model, "booster_", model)


def _write_lightgbm(model: Any) -> bytes:
    _is_of(model, "lightgbm")
    return str(_booster(model).model_to_string()).encode()


def _read_lightgbm(data: bytes, _: Any) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=data.decode())


_FORMATS = {
    ".skops": _Format("skops", _write_skops, _read_skops, _whole),
    ".ubj": _Format("xgboost", _saved("xgboost", ".ubj"), _reloaded(".ubj"), _whole),
    ".json": _Format("xgboost", _saved("xgboost", ".json"), _reloaded(".json"), _whole),
    ".txt": _Format("lightgbm", _write_lightgbm, _read_lightgbm, _booster),
    ".cbm": _Format("catboost", _saved("catboost", ".cbm"), _reloaded(".cbm"), _whole),
}
