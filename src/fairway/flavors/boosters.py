"""What the boosting frameworks share: native files beside which lies what those files do not hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from fairway.errors import ArtifactCorrupt
from fairway.flavors.base import ModelFiles

ESTIMATOR = "model/estimator.json"


def only_file(files: Mapping[str, bytes]) -> bytes:
    """Return the content of the only file, or nothing if there are several."""
    return next(iter(files.values())) if len(files) == 1 else b""


def write_facts(facts: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the file with what an estimator has beside its booster: its class, labels, settings."""
    return {ESTIMATOR: msgspec.json.encode(facts, order="sorted")}


def read_facts(read: ModelFiles) -> dict[str, Any]:
    """Return what `write_facts` has written; nothing for a file that the user brought.

    Raises:
        ArtifactCorrupt: It is something else.
    """
    if ESTIMATOR not in read.paths:
        return {}
    try:
        return msgspec.json.decode(read(ESTIMATOR), type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as cause:
        raise ArtifactCorrupt(f"{ESTIMATOR} is damaged: {cause}") from cause


def first_line(cause: BaseException) -> str:
    """Return what a native library says, without the stack trace that it appends."""
    lines = str(cause).strip().splitlines()
    return lines[0].rpartition("] ")[2] if lines else type(cause).__name__
