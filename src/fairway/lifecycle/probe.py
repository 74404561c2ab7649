"""The first load of a file that a user brings: in a restricted process, which describes what it found.

The parent waits for the description before it loads the same bytes itself. A file that crashes its parser,
eats the memory or never ends is a refused file, not a dead process. The answer is one line of JSON, never an
object.
"""

from __future__ import annotations

import base64
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from fairway.bundle.code import CodeSpace
from fairway.bundle.safety import Trust, check_files
from fairway.bundle.safety.sandbox import Ended, Limits, Restricted
from fairway.errors import (
    ArtifactCorrupt,
    ArtifactLimit,
    ArtifactUnsafe,
    BundleError,
    FairwayError,
    SourceNotAllowed,
    error_of,
)
from fairway.flavors.base import Flavor
from fairway.flavors.importing import Brought
from fairway.flavors.opening import open_files, open_model, read_files

Result = TypeVar("Result")

_VERDICT = b"fairway-probe "
_MIN_SCHEME = 2  # a drive of Windows has one letter


def open_probed(
    model: Any,
    space: CodeSpace,
    *,
    sources: Mapping[str, bytes],
    trust: Trust,
    meanwhile: Callable[[], Result],
) -> tuple[Flavor, Any, dict[str, bytes], Result]:
    """Return what `open_model` does, for a file after a restricted process has loaded it, and one thing more.

    Args:
        model: A model, the path of a model file or folder, or what the folder of another tool holds.
        space: Modules that travel with the model.
        sources: Their source files.
        trust: What a file may construct.
        meanwhile: What to do while the process runs; its result is returned last.

    Raises:
        BundleError: The model or its file cannot be used.
        SourceNotAllowed: It is an address.
    """
    if not isinstance(model, str | Path | Brought):
        flavor, loaded, kept = open_model(model, space, trust=trust)
        if trust.policy == "safe-only":
            check_files(kept, trust, own=space.roots)
        return flavor, loaded, kept, meanwhile()
    if isinstance(model, Brought):
        files, name = model.files, model.name
    else:
        _check_local(str(model))
        files, name = read_files(Path(model)), Path(model).name
    check_files(files, trust, own=space.roots)
    process = _start(files, name, sources=sources, trust=trust)
    try:
        done = meanwhile()
        ended = process.wait()
    except BaseException:  # an interrupt, too, leaves no process behind
        process.end()
        raise
    _read(ended, name)
    return (*open_files(files, name, space, trust=trust), done)


def probe(
    files: Mapping[str, bytes],
    name: str,
    *,
    sources: Mapping[str, bytes],
    trust: Trust,
    limits: Limits | None = None,
) -> dict[str, Any]:
    """Load files in a restricted process, and return what it says of them: `flavor` and `type`.

    Raises:
        ArtifactLimit: It took too long or too much memory.
        BundleError: What the process said.
    """
    process = _start(files, name, sources=sources, trust=trust, limits=limits)
    try:
        return _read(process.wait(), name)
    finally:
        process.end()


def _start(
    files: Mapping[str, bytes],
    name: str,
    *,
    sources: Mapping[str, bytes],
    trust: Trust,
    limits: Limits | None = None,
) -> Restricted:
    given = msgspec.msgpack.encode(
        {
            "files": dict(files),
            "name": name,
            "sources": dict(sources),
            "policy": trust.policy,
            "types": sorted(trust.types),
        }
    )
    return Restricted(__name__, given, limits=limits)


def _check_local(model: str) -> None:
    scheme, colon, rest = model.partition(":")
    if colon and len(scheme) >= _MIN_SCHEME and scheme.isalnum() and rest.startswith("/"):
        raise SourceNotAllowed(
            f"{model[:200]!a} is an address; a model is given as a file or folder of this machine",
            hint="fetch it first, look at it with `fairway inspect FILE`, and push the file",
        )


def _read(ended: Ended, name: str) -> dict[str, Any]:
    lines = [line for line in ended.output.splitlines() if line.startswith(_VERDICT)]
    if not lines:
        if ended.status is None or ended.status in {-9, -24} or b"MemoryError" in ended.errors:
            raise ArtifactLimit(
                f"{name} could not be loaded within the limits of time and memory: {ended.last_words}",
                hint="the file was loaded in a process of its own, which was ended; nothing else was harmed",
            )
        raise ArtifactCorrupt(
            f"{name} ended the process that loaded it: {ended.last_words}",
            hint="the file is damaged, or was made for another version of its library",
        )
    answer: dict[str, Any] = json.loads(base64.b64decode(lines[-1].removeprefix(_VERDICT)))
    if answer["code"]:
        raise error_of(
            answer["code"], answer["detail"], answer["hint"], below=FairwayError, otherwise=BundleError
        )
    return answer


def main() -> None:
    """Load what stands on the standard input; print what it is, or why it cannot be."""
    given = msgspec.msgpack.decode(sys.stdin.buffer.read())
    answer = {"code": "", "detail": "", "hint": "", "flavor": "", "type": ""}
    try:
        trust = Trust(given["policy"], frozenset(given["types"]))
        space = CodeSpace(given["sources"], label=given["name"])
        flavor, model, _ = open_files(given["files"], given["name"], space, trust=trust)
        answer |= {"flavor": flavor.name, "type": type(model).__qualname__}
    except FairwayError as error:
        answer |= {"code": error.code, "detail": error.detail, "hint": error.hint}
        refused = error.__cause__
        if isinstance(refused, PermissionError):
            answer |= {"code": ArtifactUnsafe.code, "detail": f"{given['name']} is refused: {refused}"}
        if isinstance(refused, MemoryError):
            answer |= {"code": ArtifactLimit.code, "detail": f"{given['name']} takes too much memory"}
    except MemoryError:
        answer |= {"code": ArtifactLimit.code, "detail": f"{given['name']} takes too much memory"}
    except Exception as error:  # noqa: BLE001 - whatever a model's code raises is told, not raised
        traceback.print_exc()
        answer |= {
            "code": ArtifactCorrupt.code,
            "detail": f"{given['name']} cannot be loaded ({type(error).__name__}: {error})",
        }
    line = base64.b64encode(json.dumps(answer).encode())
    sys.stdout.buffer.write(b"\n" + _VERDICT + line + b"\n")
    sys.stdout.buffer.flush()
