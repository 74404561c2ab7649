"""Prove a packed model in a fresh process: what is missing from the bundle is missing there, too."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fairway.bundle.bundle import Bundle, open_bundle
from fairway.errors import BundleError, FairwayError, ModelFailed, PackedModelDiffers, error_of
from fairway.inference.loaded import load_model
from fairway.inference.predictors import NATIVE

_RAISED_HINT = (
    "a model must not need files of the folder that it was trained in, nor what that script had set up"
)
_PROGRAM = (
    "import sys, importlib; sys.path.append(sys.argv[1]); "
    "importlib.import_module(sys.argv[2]).main(sys.argv[3:])"
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
        judge(run_fresh(__name__, paths, folder=Path(folder), timeout_s=timeout_s))


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a fresh process ended.

    Attributes:
        status: Its exit status; None if it took too long and was ended.
        output: What it printed.
        errors: What it printed on standard error.
        timeout_s: The time that it had.
    """

    status: int | None
    output: bytes
    errors: bytes
    timeout_s: float

    @property
    def last_words(self) -> str:
        """The last line of its errors, or how it ended."""
        if self.status is None:
            return f"it took longer than {self.timeout_s:g} s"
        lines = self.errors.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit status {self.status}"


def run_fresh(module: str, arguments: Sequence[str], *, folder: Path, timeout_s: float) -> Ended:
    """Run the `main` of a module of ours in a new process, in an empty folder below *folder*.

    Args:
        module: Name of the module.
        arguments: What its `main` gets.
        folder: Where the empty folder is made.
        timeout_s: Longest time that it may take.
    """
    empty = folder / "empty"
    empty.mkdir()
    source = str(Path(__file__).parents[2])
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and program
            [sys.executable, "-E", "-P", "-c", _PROGRAM, source, module, *arguments],
            cwd=empty,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return Ended(None, late.stdout or b"", late.stderr or b"", timeout_s)
    return Ended(done.returncode, done.stdout, done.stderr, timeout_s)


def judge(ended: Ended) -> None:
    """Raise what the new process said of the packed model, or of what it left if it said nothing.

    Raises:
        BundleError: The packed model did not pass.
    """
    if ended.status is None and _VERDICT not in ended.output:
        raise PackedModelDiffers(f"the packed model did not answer within {ended.timeout_s:g} s")
    _judge(ended.status or 0, ended.output, ended.errors)


def _judge(status: int, output: bytes, errors: bytes) -> None:
    # The model's code may write to the output, too, before and after.
    found = [line for line in output.splitlines() if line.startswith(_VERDICT)]
    if not found:
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or [f"exit status {status}"]
        raise PackedModelDiffers(f"the packed model cannot be loaded in a new process: {last[0]}")
    verdict = json.loads(found[-1].removeprefix(_VERDICT))
    if verdict["code"]:
        raise error_of(
            verdict["code"],
            verdict["detail"],
            verdict["hint"],
            below=BundleError,
            otherwise=PackedModelDiffers,
        )


def main(paths: Sequence[str]) -> bool:
    """Load the bundles at *paths*, replay their golden examples, and print the verdict as a line of JSON.

    Returns:
        Whether all of them passed.
    """
    verdict = {"code": "", "detail": "", "hint": ""}
    try:
        for path in paths:
            load_model(open_bundle(path, attachments=False), predictor=NATIVE)
    except ModelFailed as error:
        # There is no log to look into: say here what the model said.
        cause = error.__cause__
        detail = f"the packed model raised {type(cause).__name__} in a new process: {cause}"
        verdict = {"code": PackedModelDiffers.code, "detail": detail, "hint": _RAISED_HINT}
    except FairwayError as error:
        verdict = {"code": error.code, "detail": error.detail, "hint": error.hint}
    print("\n" + _VERDICT.decode() + json.dumps(verdict), flush=True)  # noqa: T201 - the way back to the parent
    return not verdict["code"]
