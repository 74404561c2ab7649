"""Pickles of every kind (pickle, joblib, cloudpickle) and skops files: containers of any flavor's object.

Which flavor's the object is shows when it is loaded; until then only the container is known. The bundle keeps
the user's bytes, and loads them again from there.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Collection, Mapping
from typing import Any

from fairway.bundle.code import CodeSpace, missing_module
from fairway.bundle.environment import outdated
from fairway.bundle.safety import Trust, is_pickle, load_pickle
from fairway.errors import ArtifactCorrupt, ArtifactImport, FairwayError, MissingExtra
from fairway.flavors.base import ModelFiles, missing_framework
from fairway.flavors.skops_files import SKOPS, is_skops, load_skops

PICKLE = "model/model.joblib"


def is_container(files: Mapping[str, bytes]) -> bool:
    """Tell from its content whether what the user brought is one pickle or skops file."""
    data = next(iter(files.values())) if len(files) == 1 else b""
    return is_pickle(data) or is_skops(data)


def keep_container(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the container, byte for byte, by path in the bundle."""
    data = next(iter(files.values()))
    return {SKOPS if is_skops(data) else PICKLE: data}


def holds_object(read: ModelFiles) -> bool:
    """Tell whether a packed model lies in a container."""
    return PICKLE in read.paths or SKOPS in read.paths


def modules_of(paths: Collection[str]) -> set[str]:
    """Return the modules that read a packed container, if the model lies in one."""
    return {module for path, module in ((PICKLE, "joblib"), (SKOPS, "skops")) if path in paths}


def dump_joblib(model: Any) -> dict[str, bytes]:
    """Return a model as a joblib file, uncompressed: the bundle file compresses.

    Raises:
        ArtifactCorrupt: It cannot be saved.
        MissingExtra: joblib is not installed.
    """
    try:
        import joblib
    except ImportError as cause:
        raise MissingExtra("joblib", "sklearn", purpose="saving this model") from cause
    buffer = io.BytesIO()
    try:
        joblib.dump(model, buffer)
    except Exception as cause:  # pickling calls the model's own code: anything may come
        raise ArtifactCorrupt(
            f"the model cannot be saved: {cause}",
            hint="functions inside a model must be defined in a module (no lambda, no nested function)",
        ) from cause
    return {PICKLE: buffer.getvalue()}


def load_object(read: ModelFiles, code: CodeSpace, *, trust: Trust) -> Any:
    """Return the object of a packed container, with the bundle's own modules in sight.

    Raises:
        ArtifactCorrupt: It cannot be read.
        ArtifactImport: A module or class is missing.
        ArtifactUnsafe: It would construct something that is not trusted.
        MissingExtra: The object's framework is not installed.
    """
    path, load = (SKOPS, load_skops) if SKOPS in read.paths else (PICKLE, load_pickle)
    data = read(path)
    try:
        # The environment check tells of version differences, in words; joblib and sklearn only warn.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load(data, trust, modules=code.active)
    except FairwayError:
        raise
    except ImportError as cause:
        raise (
            missing_framework(cause)
            or outdated({PICKLE: data}, f"needs a module that is not there: {cause}")
            or missing_module(cause, needed_by="the model file")
        ) from cause
    except AttributeError as cause:
        raise outdated({PICKLE: data}, f"needs what is not there: {cause}") or ArtifactImport(
            f"the model file needs something that is not there: {cause}",
            hint="a class defined in a script or notebook cannot be loaded elsewhere: "
            "move it to a .py file, save the model again, and give that file with --code",
        ) from cause
    except Exception as cause:  # a damaged pickle raises whatever its bytes happen to mean
        raise outdated({PICKLE: data}, f"cannot be read ({type(cause).__name__})") or ArtifactCorrupt(
            f"the model file cannot be read as a pickle ({type(cause).__name__})",
            hint="was it cut off while copying? save it again with joblib.dump(model, path)",
        ) from cause
