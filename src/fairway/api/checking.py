"""Prove a version on unseen data before it goes live."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairway.api._common import actor, backend, settings_of
from fairway.errors import UsageError

if TYPE_CHECKING:
    from fairway.lifecycle.check import CheckReport

_KINDS = {
    ".csv": "text/csv",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
}


def check(  # noqa: PLR0913 - everything about a check is said here; all but two by name
    reference: str,
    data: Any,
    *,
    against: str | None = None,
    target: str | None = None,
    by: Sequence[str] = (),
    reason: str = "",
    predictor: str | None = None,
    seed: int = 0,
    home: str | Path | None = None,
    server: str | None = None,
    key: str | None = None,
) -> CheckReport:
    """Prove a version on data that it has not seen, and judge it by the rules of its gate.

    The rules are those of `[gate.MODEL]`, else of `[gate.default]`, in `fairway.toml`; metric functions that
    they name are loaded and run. The report is kept with the version, whatever it says.

    Args:
        reference: A reference, such as `coffee:3`.
        data: A table with the truth: a path, a frame, or a list of records.
        against: Reference of a version to compare with on the same rows. Default: what the rules name.
        target: Column that holds the truth. Default: the columns that are called like outputs.
        by: Columns by whose values the rows are looked at apart.
        reason: Why it is checked; kept in the history.
        predictor: What answers. Default: the setting.
        seed: Which resamples are drawn for the intervals.
        home: Folder of the registry.
        server: Address of a server that checks it by its own rules; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.

    Returns:
        The report. `passed` says whether every rule is kept; a refusal is no exception.

    Raises:
        TableInvalid: The data cannot be read, has no row, or no truth.
        UsageError: A column to split by is not there, or a metric function failed.
    """
    from fairway.client.management import RemoteRegistry
    from fairway.gates import rules_of
    from fairway.lifecycle.check import check_version
    from fairway.lifecycle.own_metrics import load_functions

    settings = settings_of(home, {"server.predictor": predictor})
    with backend(home, server, key) as registry:
        if isinstance(registry, RemoteRegistry):
            if predictor is not None:
                raise UsageError("a server checks with the predictor that it serves with")
            wishes: dict[str, str | int] = {
                "against": against or "",
                "target": target or "",
                "by": ",".join(by),
                "seed": seed,
            }
            return registry.check_version(reference, *_table_of(data), {**wishes, "reason": reason})
        version = registry.resolve(reference)
        rules = rules_of(settings.gates, version.model)
        return check_version(
            registry,
            version,
            data,
            against=against,
            target=target or "",
            by=by,
            rules=rules,
            actor=actor(),
            reason=reason,
            functions=load_functions(rules),
            predictor=settings.server.predictor,
            seed=seed,
        )


def _table_of(data: Any) -> tuple[bytes, str, str]:
    """Return a table as a file holds it, its media type, and what to call it."""
    if isinstance(data, str | Path):
        path = Path(data)
        kind = _KINDS.get(path.suffix.lower())
        if kind is None:
            raise UsageError(
                f"{path} has an ending that tells a server nothing", hint=f"use one of {', '.join(_KINDS)}"
            )
        return path.read_bytes(), kind, path.name
    import msgspec

    from fairway.bundle.tables import read_table

    rows = read_table(data).records()
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows), "application/x-ndjson", "table"
