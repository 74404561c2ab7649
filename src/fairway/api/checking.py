"""Prove a version on unseen data before it goes live."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairway.api._common import actor, open_registry, settings_of

if TYPE_CHECKING:
    from fairway.lifecycle.check import CheckReport


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

    Returns:
        The report. `passed` says whether every rule is kept; a refusal is no exception.

    Raises:
        TableInvalid: The data cannot be read, has no row, or no truth.
        UsageError: A column to split by is not there, or a metric function failed.
    """
    from fairway.gates import rules_of
    from fairway.lifecycle.check import check_version
    from fairway.lifecycle.own_metrics import load_functions

    settings = settings_of(home, {"server.predictor": predictor})
    with open_registry(settings) as registry:
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
