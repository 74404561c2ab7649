"""Look into model files without loading them, and write them in formats that run no code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairway.api._common import settings_of

if TYPE_CHECKING:
    from fairway.bundle.safety.report import Inspection
    from fairway.lifecycle.converting import Converted


def inspect(path: str | Path, *, trust: Sequence[str] = (), home: str | Path | None = None) -> Inspection:
    """Tell what a model file, folder or bundle holds, and whether it would be loaded, without loading it.

    Args:
        path: The file or folder.
        trust: Types (`module.Class`) that are taken as trusted.
        home: Folder of the registry, whose settings say which policy holds.

    Returns:
        For each file its format, members, and every name that loading would use, with the verdict; and the
        types that would have to be trusted.

    Raises:
        ArtifactCorrupt: Nothing can be read at *path*.
        ArtifactUnsafe: A type is named that nobody may trust.
    """
    from fairway.bundle.safety import Trust
    from fairway.bundle.safety.report import inspect_files
    from fairway.flavors.opening import read_files

    policy = settings_of(home).trust.policy
    return inspect_files(read_files(Path(path)), Trust.naming(trust, policy=policy))


def convert(
    model: str | Path,
    path: str | Path,
    *,
    example: Any = None,
    target: str | None = None,
    code: Sequence[str | Path] = (),
    trust: Sequence[str] = (),
) -> Converted:
    """Write the model of a pickle in a format that runs no code when it is loaded.

    The ending of *path* chooses the format: `.skops` for scikit-learn, `.ubj` or `.json` for XGBoost, `.txt`
    for LightGBM, `.cbm` for CatBoost.

    Args:
        model: The model file; it passes the same gate as one that is pushed, whatever the settings say.
        path: The file to write. Never overwritten.
        example: Rows to prove the copy with, in any form that `pack` takes. Without them nothing is compared.
        target: Column of the example that is not an input.
        code: Modules of yours that the model needs.
        trust: Types (`module.Class`) that the model file may construct beside those known to be harmless.

    Raises:
        BundleError: The file cannot be loaded, or has no form in this format.
        PackedModelDiffers: The copy answers otherwise on a row of the example; nothing was written.
    """
    from fairway.bundle.safety import Trust
    from fairway.lifecycle.converting import convert_file

    return convert_file(
        model, Path(path), example=example, target=target, code=code, trust=Trust.naming(trust)
    )
