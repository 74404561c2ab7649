"""Prove a packed model in a fresh process: what is missing from the bundle is missing there, too."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from fairway.bundle.bundle import Bundle, open_bundle
from fairway.errors import BundleError, FairwayError, PackedModelDiffers
from fairway.inference.loaded import load_model

_TIMEOUT_S = 600
_PROGRAM = (
    "import sys; sys.path.append(sys.argv[2]); from fairway.inference.proof import main; main(sys.argv[1])"
)


def prove(bundle: Bundle) -> None:
    """Load *bundle* in a new process and replay its golden examples there.

    The process starts in an empty folder, without the working directory on its path, so a module that only
    lies beside the training script is not found.

    Raises:
        BundleError: What the new process said.
    """
    with tempfile.TemporaryDirectory(prefix="fairway-proof-") as folder:
        path = bundle.save(Path(folder) / "bundle")
        empty = Path(folder) / "empty"
        empty.mkdir()
        source = str(Path(__file__).parents[2])
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and program
                [sys.executable, "-P", "-c", _PROGRAM, str(path), source],
                cwd=empty,
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise PackedModelDiffers(f"the packed model did not answer within {_TIMEOUT_S} s") from None
    _judge(done.returncode, done.stdout, done.stderr)


def _judge(status: int, output: bytes, errors: bytes) -> None:
    try:
        verdict = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or [f"exit status {status}"]
        raise PackedModelDiffers(f"the packed model cannot be loaded in a new process: {last[0]}") from None
    if verdict["code"]:
        error = _error_class(verdict["code"])(verdict["detail"], hint=verdict["hint"])
        raise error


def _error_class(code: str) -> type[FairwayError]:
    found: list[type[FairwayError]] = [BundleError]
    for kind in found:
        if vars(kind).get("code") == code:
            return kind
        found.extend(kind.__subclasses__())
    return PackedModelDiffers


def main(path: str) -> None:
    """Load the bundle at *path*, replay its golden examples, and print the verdict as one line of JSON."""
    verdict = {"code": "", "detail": "", "hint": ""}
    try:
        load_model(open_bundle(path))
    except FairwayError as error:
        verdict = {"code": error.code, "detail": error.detail, "hint": error.hint}
    # The model's code may have written to the output, too: the verdict is the last line.
    print("\n" + json.dumps(verdict), flush=True)  # noqa: T201 - the way back to the parent process
