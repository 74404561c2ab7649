"""What `fairway inspect` tells of a file: its format, what is inside, every name with its verdict."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Mapping

from fairway.bundle.safety.gate import check_seen
from fairway.bundle.safety.judge import UNTRUSTED, Verdict
from fairway.bundle.safety.looking import Seen, look
from fairway.bundle.safety.policy import Trust
from fairway.errors import FairwayError

_CODE = "code/"


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Why a file is refused: the code of the error, its words, and what to do."""

    code: str
    detail: str
    hint: str


@dataclasses.dataclass(frozen=True)
class FileReport:
    """What was seen in one file.

    Attributes:
        path: Where it lies among what was given.
        format: What it is, by content; empty if that cannot be told.
        compression: What it is compressed by, or the empty string.
        size: Bytes.
        sha256: Hash of the bytes.
        members: Names of the files inside.
        names: Every name that loading it would use, with the verdict.
        refusal: Why it would not be loaded, or None.
    """

    path: str
    format: str
    compression: str
    size: int
    sha256: str
    members: tuple[str, ...]
    names: tuple[Verdict, ...]
    refusal: Refusal | None


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What was seen in a file or folder, none of which was loaded.

    Attributes:
        policy: The policy that the verdicts follow.
        files: One report per file.
        needed: Types that would have to be trusted by name; naming them is enough unless `is_unsafe`.
    """

    policy: str
    files: tuple[FileReport, ...]
    needed: tuple[str, ...]

    @property
    def loads(self) -> bool:
        """Whether everything would be loaded as it is."""
        return all(report.refusal is None for report in self.files)


def inspect_files(files: Mapping[str, bytes], trust: Trust) -> Inspection:
    """Look into files without loading them.

    Args:
        files: Contents by relative path. What lies below `code/` is taken for modules that travel along.
        trust: What verdicts are made by.
    """
    own = {
        path.removeprefix(_CODE).partition("/")[0].removesuffix(".py")
        for path in files
        if path.startswith(_CODE)
    }
    reports = tuple(_report(path, data, files.keys(), trust, own) for path, data in files.items())
    names = [name for report in reports for name in report.names if name.verdict == UNTRUSTED]
    needed = tuple(dict.fromkeys(name.name for name in names))
    return Inspection(trust.policy, reports, needed)


def _report(
    path: str, data: bytes, beside: Collection[str], trust: Trust, own: Collection[str]
) -> FileReport:
    seen, refusal = Seen(path, ""), None
    try:
        seen = look(path, data, trust=trust, own=own, beside=beside)
        check_seen(seen, trust)
    except FairwayError as error:
        refusal = Refusal(error.code, error.detail, error.hint)
    return FileReport(
        path=path,
        format=seen.format,
        compression=seen.compression,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        members=seen.members,
        names=seen.names,
        refusal=refusal,
    )
