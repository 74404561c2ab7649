"""From what a user brings (an object, a file, a folder) to a flavor, a model and the files to keep."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairway.bundle.code import CodeSpace
from fairway.bundle.safety import Trust, check_files
from fairway.errors import ArtifactCorrupt, ArtifactEmpty, ArtifactPath
from fairway.flavors.base import Flavor, ModelFiles, flavor_of, flavor_of_files
from fairway.flavors.pickles import holds_object, is_container, keep_container, load_object

MAX_FILES = 10_000
"""Files that a folder given as a model may hold."""

MAX_BYTES = 2 * 1024**3
"""Bytes that they may have together."""


def open_model(model: Any, code: CodeSpace, *, trust: Trust) -> tuple[Flavor, Any, dict[str, bytes]]:
    """Return flavor, model and the files to pack; a file that the user gave is kept byte for byte.

    Args:
        model: A model, or the path of a model file or folder.
        code: Modules that travel with the model.
        trust: What a file may construct.

    Raises:
        BundleError: The model or its file cannot be used.
    """
    if not isinstance(model, str | Path):
        flavor = flavor_of(model)
        return flavor, model, flavor.dump(model)
    path = Path(model)
    return open_files(read_files(path), path.name, code, trust=trust)


def open_files(
    files: Mapping[str, bytes], name: str, code: CodeSpace, *, trust: Trust
) -> tuple[Flavor, Any, dict[str, bytes]]:
    """Return flavor, model and the files to pack of what a user brought, by its content.

    Args:
        files: Contents by relative path.
        name: What messages call them.
        code: Modules that travel with the model.
        trust: What may be constructed.

    Raises:
        BundleError: They are no model.
    """
    check_files(files, trust, own=code.roots)
    if is_container(files):
        kept = keep_container(files)
        loaded = load_object(ModelFiles.of(kept), code, trust=trust)
        return flavor_of(loaded), loaded, kept
    flavor = flavor_of_files(files, name)
    kept = flavor.keep(files)
    return flavor, flavor.load(ModelFiles.of(kept), code, trust=trust), kept


def load_packed(flavor: Flavor, read: ModelFiles, code: CodeSpace, *, trust: Trust) -> Any:
    """Return a packed model, from whatever it lies in.

    Raises:
        BundleError: It cannot be loaded.
        MissingExtra: Its framework is not installed.
    """
    if holds_object(read):
        return load_object(read, code, trust=trust)
    check_files({path: read(path) for path in read.paths}, trust, own=code.roots)
    return flavor.load(read, code, trust=trust)


def read_files(path: Path) -> dict[str, bytes]:
    """Return the contents of a file or folder by relative path; a file goes by its own name.

    Raises:
        ArtifactCorrupt: It cannot be read, or a folder is too large.
        ArtifactEmpty: There is nothing in it.
        ArtifactPath: Something in the folder is neither a file nor a folder.
    """
    try:
        files = _read_folder(path) if path.is_dir() else {path.name: path.read_bytes()}
    except OSError as cause:
        raise ArtifactCorrupt(f"the model file {path} cannot be read: {cause.strerror}") from cause
    if not any(files.values()):
        raise ArtifactEmpty(f"the model file {path} is empty", hint="was the save or copy cut off?")
    return files


def _read_folder(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    left = MAX_BYTES
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_dir() and not file.is_symlink():
            continue
        if len(found) == MAX_FILES:
            raise ArtifactCorrupt(f"the model folder {folder} holds more than {MAX_FILES} files")
        found[name] = _read_within(file, name, left)
        left -= len(found[name])
    return found


def _read_within(file: Path, name: str, left: int) -> bytes:
    """Return the bytes of a regular file, of which there may be *left* at most."""
    if file.is_symlink() or not stat.S_ISREG(file.lstat().st_mode):
        raise ArtifactPath(
            f"{name!a} in the model folder is a link or a device", hint="copy the file itself into the folder"
        )
    with os.fdopen(os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as opened:
        data = opened.read(left + 1)
    if len(data) > left:
        raise ArtifactCorrupt(f"the model folder has more than {MAX_BYTES:,} bytes")
    return data
