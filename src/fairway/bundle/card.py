"""The model card: one Markdown page rendered from manifest, signature, metrics and environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fairway.bundle.signature import LIST_KINDS, Input, Signature


def render_card(facts: Mapping[str, Any], signature: Signature, environment: Mapping[str, Any]) -> str:
    """Return the card.

    Args:
        facts: The manifest's fields but `files`.
        signature: Inputs and outputs.
        environment: The environment lock.
    """
    parts = [
        f"# {facts['name']}\n",
        _paragraph(facts["description"]),
        _table(("", ""), _summary(facts, environment)),
        "\n## Inputs\n",
        _table(("name", "kind", "missing", "seen in training"), map(_input_row, signature.inputs)),
        "\n## Outputs\n",
        _table(("name", "kind", "type"), ((o.name, o.kind, o.type) for o in signature.outputs)),
        _section("Classes", [(str(label),) for label in signature.classes], ("class",)),
        _section("Metrics", facts["metrics"].items(), ("metric", "value")),
        _section("Hyperparameters", facts["hyperparameters"].items(), ("name", "value")),
        _section("Lineage", facts["lineage"].items(), ("name", "value")),
        _section("Tags", facts["tags"].items(), ("tag", "value")),
        _section("Environment", environment["packages"].items(), ("package", "version")),
    ]
    return "".join(part + "\n" for part in parts if part)


def _summary(facts: Mapping[str, Any], environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("model", facts["model_type"]),
        ("flavor", facts["flavor"]),
        *[(role, facts[role]) for role in ("preprocess", "postprocess") if facts.get(role)],
        ("packed", facts["created"]),
        ("author", facts["author"]),
        ("Python", f"{environment['python']} on {environment['platform']}"),
    ]


def _input_row(entry: Input) -> tuple[str, ...]:
    return (entry.name, entry.kind, "allowed" if entry.nullable else "", describe_seen(entry))


def describe_seen(entry: Input) -> str:
    """Return in a few words what values of an input were seen."""
    if entry.kind == "text_list" and entry.minimum is not None:
        return f"{entry.minimum:g} to {entry.maximum:g} texts of up to {entry.max_chars} characters"
    if entry.kind not in LIST_KINDS and entry.minimum is not None:
        return f"{entry.minimum:g} to {entry.maximum:g}"
    if entry.levels:
        shown = ", ".join(map(str, entry.levels[:5]))
        return f"{shown} and {len(entry.levels) - 5} more" if len(entry.levels) > 5 else shown
    if entry.max_chars is not None:
        return f"up to {entry.max_chars} characters"
    return f"{entry.width} numbers" if entry.width else ""


def _section(title: str, rows: Iterable[tuple[Any, ...]], header: tuple[str, ...]) -> str:
    rows = list(rows)
    return f"\n## {title}\n\n{_table(header, rows)}" if rows else ""


def _table(header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = [_line(header), "|" + " --- |" * len(header)]
    lines.extend(_line(row) for row in rows)
    return "\n".join(lines)


def _line(cells: tuple[Any, ...]) -> str:
    return "| " + " | ".join(_escape(str(cell)) for cell in cells) + " |"


# Names and tags are other people's text: nothing in them may become markup where the card is shown.
_MARKUP = str.maketrans({c: f"&#{ord(c)};" for c in "<>&"} | {c: f"\\{c}" for c in "\\|`*_[]#~"})


def _escape(text: str) -> str:
    return " ".join(text.translate(_MARKUP).split())


def _paragraph(text: str) -> str:
    return _escape(text) + "\n" if text else ""
