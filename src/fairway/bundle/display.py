"""How a notebook shows what fairway returns: small tables of HTML without script, style sheet or address.

Every text in them is somebody else's: it is cut, its invisible characters are shown as escapes, and it is
escaped for HTML. Example rows are never shown; the typical value is one that belongs to nobody.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fairway.bundle.card import describe_seen

if TYPE_CHECKING:
    from fairway.bundle.bundle import Bundle
    from fairway.bundle.manifest import Manifest
    from fairway.bundle.signature import Signature

_MAX_CHARS = 256
_MAX_ROWS = 100
_CELL = 'style="text-align:left;vertical-align:top"'


def html_of_signature(signature: Signature) -> str:
    """Return the inputs and outputs of a signature as HTML."""
    inputs = [
        (
            entry.name,
            entry.kind,
            "allowed" if entry.nullable else "",
            describe_seen(entry),
            _typical(entry.typical),
        )
        for entry in signature.inputs
    ]
    outputs = [(output.name, output.kind, output.type) for output in signature.outputs]
    classes = [("Classes", ", ".join(map(str, signature.classes)))] if signature.classes else []
    return (
        _table(("input", "kind", "missing", "seen in training", "typical"), inputs)
        + _table(("output", "kind", "type"), outputs)
        + _facts(classes)
    )


def html_of_bundle(bundle: Bundle) -> str:
    """Return what a bundle says of itself, and its signature, as HTML."""
    manifest = bundle.manifest
    facts = [*_facts_of(manifest), ("Packed", manifest.created), ("Digest", bundle.digest)]
    return _heading(manifest.name) + _facts(facts) + html_of_signature(bundle.signature)


def html_of_version(version: Any) -> str:
    """Return one version of the registry as HTML; *version* has the fields of `registry.Version`."""
    return _heading(version.reference) + _facts(_facts_of_version(version))


def html_of_view(view: Any) -> str:
    """Return everything known about a version as HTML; *view* has the fields of `api.ModelView`."""
    facts = [
        *_facts_of(view.manifest),
        *_facts_of_version(view.version),
        ("Versions", ", ".join(str(other.version) for other in view.versions)),
    ]
    return _heading(view.version.reference) + _facts(dict(facts).items()) + html_of_signature(view.signature)


def _facts_of(manifest: Manifest) -> list[tuple[str, str]]:
    return [
        ("Description", manifest.description),
        ("Model", f"{manifest.model_type} ({manifest.flavor})"),
        ("Author", manifest.author),
        ("Metrics", _pairs(manifest.metrics)),
        ("Tags", _pairs(manifest.tags)),
    ]


def _facts_of_version(version: Any) -> list[tuple[str, str]]:
    return [
        ("Model", f"{version.model_type} ({version.flavor})"),
        ("Registered", f"{version.created_at} by {version.actor}"),
        ("Aliases", ", ".join(version.aliases)),
        ("Metrics", _pairs(version.metrics)),
        ("Tags", _pairs(version.tags)),
        ("Digest", version.digest),
    ]


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _typical(value: object) -> str:
    return "" if value is None else str(value)


def _heading(text: str) -> str:
    return f"<p><strong>{_escape(text)}</strong></p>"


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    rows = "".join(
        f"<tr><th {_CELL}>{_escape(name)}</th><td {_CELL}>{_escape(value)}</td></tr>"
        for name, value in facts
        if value
    )
    return f"<table><tbody>{rows}</tbody></table>" if rows else ""


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col" {_CELL}>{_escape(column)}</th>' for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td {_CELL}>{_escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows[:_MAX_ROWS]
    )
    more = f"<p>and {len(rows) - _MAX_ROWS} more</p>" if len(rows) > _MAX_ROWS else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _escape(text: str) -> str:
    text = text if len(text) <= _MAX_CHARS else text[: _MAX_CHARS - 3] + "..."
    shown = (c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    return html.escape("".join(shown))
