"""Prove a packed model in a fresh process: what is missing from the bundle is missing there, too."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fairway.bundle.bundle import Bundle, open_bundle
from fairway.errors import BundleError, FairwayError, ModelFailed, PackedModelDiffers
from fairway.inference.loaded import load_model

_RAISED_HINT = (
    "a model must not need files of the folder that it was trained in, nor what that script had set up"
)
_PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]); from fairway.inference.proof import main; main(sys.argv[2:])"
)
_VERDICT = b"fairway-verdict "


def prove(*bundles: Bundle, timeout_s: float = 600.0) -> None:
    """Load *bundles* in a new process and replay their golden examples there.

    The process starts in an empty folder, with neither the working directory nor PYTHONPATH on its path, so a
    module that only lies beside the training script is not found.

    Raises:
        BundleError: What the new process said of the first bundle that failed.
    """
    with tempfile.TemporaryDirectory(prefix="fairway-proof-") as folder:
        paths = [str(bundle.save(Path(folder) / f"bundle-{n}")) for n, bundle in enumerate(bundles)]
        empty = Path(folder) / "empty"
        empty.mkdir()
        source = str(Path(__file__).parents[2])
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and program
                [sys.executable, "-E", "-P", "-c", _PROGRAM, source, *paths],
                cwd=empty,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise PackedModelDiffers(f"the packed model did not answer within {timeout_s:g} s") from None
    _judge(done.returncode, done.stdout, done.stderr)


def _judge(status: int, output: bytes, errors: bytes) -> None:
    # The model's code may write to the output, too, before and after.
    found = [line for line in output.splitlines() if line.startswith(_VERDICT)]
    if not found:
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or [f"exit status {status}"]
        raise PackedModelDiffers(f"the packed model cannot be loaded in a new process: {last[0]}")
    verdict = json.loads(found[-1].removeprefix(_VERDICT))
    if verdict["code"]:
        raise _error_class(verdict["code"])(verdict["detail"], hint=verdict["hint"])


def _error_class(code: str) -> type[FairwayError]:
    found: list[type[FairwayError]] = [BundleError]
    for kind in found:
        if vars(kind).get("code") == code:
            return kind
        found.extend(kind.__subclasses__())
    return PackedModelDiffers


def main(paths: Sequence[str]) -> None:
    """Load the bundles at *paths*, replay their golden examples, and print the verdict as a line of JSON."""
    verdict = {"code": "", "detail": "", "hint": ""}
    try:
        for path in paths:
            load_model(open_bundle(path))
    except ModelFailed as error:
        # There is no log to look into: say here what the model said.
        cause = error.__cause__
        detail = f"the packed model raised {type(cause).__name__} in a new process: {cause}"
        verdict = {"code": PackedModelDiffers.code, "detail": detail, "hint": _RAISED_HINT}
    except FairwayError as error:
        verdict = {"code": error.code, "detail": error.detail, "hint": error.hint}
    print("\n" + _VERDICT.decode() + json.dumps(verdict), flush=True)  # noqa: T201 - the way back to the parent
