"""What stands between a version and an alias: checks, approvals, protection, promotion."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fairway.bundle.names import check_name, parse_reference
from fairway.errors import ModelNotFound
from fairway.gates import rules_of
from fairway.server.management.office import Answer, Asked

ENDINGS = {
    "text/csv": ".csv",
    "application/x-ndjson": ".ndjson",
    "application/json": ".json",
    "application/vnd.apache.parquet": ".parquet",
}
"""Media types of the tables that a version is checked with, and what files of them are called."""


def promote(asked: Asked) -> Answer:
    """Point an alias to a version that passes its gate."""
    from fairway.lifecycle.promote import promote as promote_version

    reference = asked.path["ref"]
    found = promote_version(
        asked.registry,
        reference,
        alias=asked.body["alias"],
        actor=asked.actor,
        reason=asked.body["reason"],
        rules=rules_of(asked.office.gates, parse_reference(reference).model),
        dry_run=asked.body["dry_run"],
        allow_schema_change=asked.body["allow_schema_change"],
    )
    return Answer(document=found)


def approve(asked: Asked) -> Answer:
    """Approve that a version becomes what an alias points to."""
    from fairway.lifecycle.approval import approve as approve_version

    found = approve_version(
        asked.registry,
        asked.path["ref"],
        alias=asked.body["alias"],
        actor=asked.actor,
        reason=asked.body["reason"],
    )
    return Answer(document=found)


def protect(asked: Asked) -> Answer:
    """Protect an alias, or end that."""
    from fairway.lifecycle.approval import protect as protect_alias

    found = protect_alias(
        asked.registry,
        check_name("model", asked.path["name"]),
        asked.path["alias"],
        on=asked.body["protected"],
        approvals=asked.body["approvals"],
        actor=asked.actor,
        reason=asked.body["reason"],
    )
    return Answer(document={"protection": found})


def check(asked: Asked) -> Answer:
    """Prove a version on the table of the body, judge it by its gate, and keep the report with it."""
    from fairway.lifecycle.check import check_version
    from fairway.lifecycle.own_metrics import load_functions

    against = asked.query["against"] or None
    if against is not None and not asked.caller.sees(parse_reference(against).model):
        raise ModelNotFound(parse_reference(against).model)
    version = asked.registry.resolve(asked.path["ref"])
    rules = rules_of(asked.office.gates, version.model)
    with tempfile.TemporaryDirectory(prefix="fairway-check-") as folder:
        path = Path(folder) / f"table{ENDINGS[asked.content_type]}"
        path.write_bytes(asked.raw)
        report = check_version(
            asked.registry,
            version,
            path,
            against=against,
            target=asked.query["target"],
            by=[name for name in asked.query["by"].split(",") if name],
            rules=rules,
            actor=asked.actor,
            reason=asked.query["reason"],
            name=asked.query["data"] or path.name,
            functions=load_functions(rules),
            predictor=asked.office.predictor,
            seed=asked.query["seed"],
        )
    return Answer(document=report.to_dict())
