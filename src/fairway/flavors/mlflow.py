"""Model folders of MLflow: read without MLflow where another flavor knows the model inside.

A folder says in `MLmodel` which frameworks can load it. The first that fairway has a flavor for gets the
model's own file. What is left is `python_function`: code that MLflow alone can load, and only if it is
trusted.
"""

from __future__ import annotations

import contextlib
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairway.bundle.code import CodeSpace
from fairway.bundle.safety import Trust
from fairway.bundle.signature import Signature
from fairway.bundle.tables import Table
from fairway.errors import ArtifactCorrupt, ArtifactUnsafe, ExampleInvalid, MissingExtra
from fairway.flavors.base import Description, ModelFiles, Predictor
from fairway.flavors.importing import Brought
from fairway.flavors.sklearn import SklearnFlavor

DESCRIPTION = "MLmodel"
TRUSTED = "mlflow.pyfunc"
"""What a user names to have code of a python_function loaded."""

_FOLDER = "model/mlflow/"
_MAX_DESCRIPTION = 1_000_000
_NATIVE = {
    # Name in MLmodel, and the key of the path of its file; the order in which they are tried.
    "sklearn": "pickled_model",
    "xgboost": "data",
    "lightgbm": "data",
    "catboost": "data",
    "pytorch": "model_data",
    "keras": "data",
    "onnx": "data",
}
_INSIDE = ("model.pt2", "model.pth", "model.pt", "model.keras", "model.h5", "model.onnx")
_KINDS = {
    "boolean": "boolean",
    "integer": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "datetime": "datetime",
}
_LINEAGE = ("run_id", "model_uuid", "mlflow_version", "utc_time_created")


class MlflowImporter:
    """Implement `fairway.flavors.importing.Importer` for MLflow."""

    def reads(self, files: Mapping[str, bytes]) -> bool:
        """Match a folder that describes itself."""
        return DESCRIPTION in files

    def open(self, files: Mapping[str, bytes], name: str) -> Brought:
        """Read description, signature and input example; hand on the file of the framework inside."""
        about = read_description(files[DESCRIPTION])
        flavors = about["flavors"]
        native = next((flavor for flavor in _NATIVE if isinstance(flavors.get(flavor), dict)), None)
        entry = flavors[native] if native else flavors.get("python_function", {})
        model = _model_files(files, entry, _NATIVE[native], name) if native else dict(files)
        columns = _columns_of(about)
        lines = files.get("requirements.txt", b"").decode(errors="replace").splitlines()
        return Brought(
            name=name,
            files=model,
            example=_example_of(about, files),
            names=[column["name"] for column in columns],
            kinds={c["name"]: _KINDS[c["type"]] for c in columns if c.get("type") in _KINDS},
            optional=frozenset(c["name"] for c in columns if c.get("required") is False),
            code=_code_of(files, entry) if native else {},
            lineage={f"mlflow_{k.removeprefix('mlflow_')}": str(about[k]) for k in _LINEAGE if about.get(k)},
            requirements=[line.strip() for line in lines if line.strip() and not line.startswith("#")],
        )


IMPORTER = MlflowImporter()


def read_description(data: bytes) -> dict[str, Any]:
    """Return the content of an `MLmodel` file.

    Raises:
        ArtifactCorrupt: It is none.
        MissingExtra: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as cause:
        raise MissingExtra("pyyaml", "mlflow", purpose="a model folder of MLflow") from cause
    if len(data) > _MAX_DESCRIPTION:
        raise ArtifactCorrupt(f"{DESCRIPTION} has {len(data):,} bytes; a description has a few thousand")
    try:
        # The safe loader constructs plain values only, and one object for however many references to it.
        about = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as cause:
        raise ArtifactCorrupt(f"{DESCRIPTION} is no YAML: {str(cause)[:200]}") from cause
    if not isinstance(about, dict) or not isinstance(about.get("flavors"), dict) or not about["flavors"]:
        raise ArtifactCorrupt(f"{DESCRIPTION} names no flavor, so it describes no model of MLflow")
    return about


def _model_files(
    files: Mapping[str, bytes], entry: Mapping[str, Any], key: str, name: str
) -> dict[str, bytes]:
    """Return the one file of the framework; a path counts only as the name of a file that is there."""
    path = str(entry.get(key, "")).strip("/")
    if path in files:
        return {Path(path).name: files[path]}
    inside = {p.removeprefix(f"{path}/"): data for p, data in files.items() if p.startswith(f"{path}/")}
    for candidate in _INSIDE:
        if candidate in inside:
            return {candidate: inside[candidate]}
    raise ArtifactCorrupt(
        f"the folder {name} should hold its model at {path!a}, where there is none that fairway reads",
        hint="is the folder whole? fetch it again: mlflow artifacts download",
    )


def _code_of(files: Mapping[str, bytes], entry: Mapping[str, Any]) -> dict[str, bytes]:
    prefix = str(entry.get("code") or "").strip("/")
    if not prefix:
        return {}
    found = {p.removeprefix(f"{prefix}/"): data for p, data in files.items() if p.startswith(f"{prefix}/")}
    return {path: data for path, data in found.items() if path.endswith(".py")}


def _columns_of(about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the named columns of the signature in order; none for a signature of one tensor."""
    text = (about.get("signature") or {}).get("inputs")
    if not text:
        return []
    try:
        columns = json.loads(text) if isinstance(text, str) else text
        named = [column for column in columns if column.get("name") is not None]
    except (ValueError, TypeError, AttributeError, RecursionError) as cause:
        raise ArtifactCorrupt(f"the signature in {DESCRIPTION} cannot be read") from cause
    for column in named:
        if column.get("type") in {"binary", "object", "map"}:
            raise ExampleInvalid(
                f"the column {column['name']!r} of the signature is of the type {column['type']}, which "
                "no input can be",
                hint=f"inputs are: {', '.join(_KINDS)}, string, and arrays of them",
            )
    return [{**column, "name": str(column["name"])} for column in named]


def _example_of(about: Mapping[str, Any], files: Mapping[str, bytes]) -> Any:
    """Return the rows of the input example, or None if there are none that make a table."""
    info = about.get("saved_input_example_info")
    data = files.get(str(info.get("artifact_path"))) if isinstance(info, dict) else None
    if data is None:
        return None
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as cause:
        raise ArtifactCorrupt("the input example is not JSON") from cause
    if isinstance(document, dict) and isinstance(document.get("data"), list) and "columns" in document:
        names = [str(name) for name in document["columns"]]
        return [dict(zip(names, row, strict=True)) for row in document["data"]]
    if isinstance(document, dict) and set(document) <= {"inputs", "instances", "data"}:
        document = next(iter(document.values()), None)
    return document if isinstance(document, list | dict) else None


class MlflowFlavor:
    """Implement `fairway.flavors.base.Flavor` for what only MLflow can load."""

    name = "mlflow"
    module = ""
    package = "mlflow-skinny"
    formats: Sequence[str] = ("model folders of MLflow",)
    tolerance = 1e-9

    def matches(self, type_name: str) -> bool:
        """Match what `load` returns, and MLflow's own loaded models."""
        return type_name in {f"{__name__}.PythonFunction", "mlflow.pyfunc.PyFuncModel"}

    def reads(self, files: Mapping[str, bytes]) -> bool:
        """Match a whole folder: one whose framework has a flavor of its own does not come here."""
        return DESCRIPTION in files

    def keep(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Keep the whole folder."""
        return {f"{_FOLDER}{path}": data for path, data in files.items()}

    def describe(self, model: Any) -> Description:
        """Read which module loads it."""
        loader = str(model.about["flavors"].get("python_function", {}).get("loader_module", ""))
        return Description(
            model_type="python_function",
            hyperparameters={"loader_module": loader},
            modules={"mlflow", "pandas", loader},
            input_names=tuple(column["name"] for column in _columns_of(model.about)),
        )

    def dump(self, model: Any) -> dict[str, bytes]:
        """Refuse: the folder is the model."""
        raise ArtifactCorrupt(
            f"a {type(model).__name__} in memory cannot be packed",
            hint="give the path of its folder: mlflow.pyfunc.save_model(path, ...)",
        )

    def load(self, read: ModelFiles, code: CodeSpace, *, trust: Trust) -> Any:
        """Let MLflow load a private copy of the folder, if its code is trusted."""
        if TRUSTED not in trust.types and trust.policy != "trusted":
            raise ArtifactUnsafe(
                "the folder holds a python_function: code that MLflow runs to load it",
                hint=f"if you know what is in it: --trust {TRUSTED}",
            )
        try:
            import mlflow.pyfunc
        except ImportError as cause:
            raise MissingExtra("mlflow-skinny", "mlflow-pyfunc", purpose="a python_function") from cause
        folder = tempfile.TemporaryDirectory(prefix="fairway-mlflow-")
        for path in read.paths:
            target = Path(folder.name) / path.removeprefix(_FOLDER)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(read(path))
        try:
            with code.active(), _quiet():
                loaded = mlflow.pyfunc.load_model(folder.name)
        except Exception as cause:  # the model's own code, whatever it raises
            raise ArtifactCorrupt(
                f"MLflow cannot load the python_function: {type(cause).__name__}: {str(cause)[:300]}",
                hint="are the packages of its requirements.txt installed?",
            ) from cause
        return PythonFunction(loaded, folder, read_description(read(f"{_FOLDER}{DESCRIPTION}")))

    def learn(
        self, model: Any, table: Table, signature: Signature, *, output_names: Sequence[str], feed: str | None
    ) -> tuple[Signature, dict[str, Any]]:
        """Feed a frame, as MLflow does, unless the user says otherwise."""
        return _LIKE_SKLEARN.learn(model, table, signature, output_names=output_names, feed=feed or "frame")

    def predictor(self, model: Any, signature: Signature, options: dict[str, Any]) -> Predictor:
        """Bind the function to the way of feeding that was found when it was packed."""
        return _LIKE_SKLEARN.predictor(model, signature, options)


FLAVOR = MlflowFlavor()
_LIKE_SKLEARN = SklearnFlavor()


class PythonFunction:
    """A python_function, with the folder that it may go on reading."""

    def __init__(self, model: Any, folder: tempfile.TemporaryDirectory[str], about: dict[str, Any]) -> None:
        self._model = model
        self._folder = folder  # goes away with this object
        self.about = about
        narrow = {"integer": "int32", "float": "float32"}
        self._types = {c["name"]: narrow[c["type"]] for c in _columns_of(about) if c.get("type") in narrow}

    def predict(self, rows: Any) -> Any:
        """Return what the function says of a frame, whose columns get the widths that MLflow insists on."""
        if hasattr(rows, "columns"):
            types = {n: t for n, t in self._types.items() if n in rows.columns and not rows[n].isna().any()}
            rows = rows.astype(types)
        return self._model.predict(rows)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Open a block in which MLflow does not advise: the environment check tells of versions, in words."""
    logger = logging.getLogger("mlflow")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(before)
