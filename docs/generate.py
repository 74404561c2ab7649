"""Write the parts of `docs/reference` that follow from the code, or check that they are up to date.

A page holds hand-written text and, between the lines `<!-- begin: name -->` and `<!-- end: name -->`, what
is generated. `--check` writes nothing, names the pages that differ, and ends with 1 if there are any.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MAX_LINE = 90
REFERENCE = Path(__file__).parent / "reference"


def main() -> int:
    """Write or check every page; return the exit code."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name, text in pages():
        path = REFERENCE / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text, encoding="utf-8")
    for name in stale:
        sys.stdout.write(f"{'differs' if check else 'wrote'} docs/reference/{name}\n")
    return 1 if check and stale else 0


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the right text of every page that is generated in whole or in part."""
    from fairway.settings import render_reference

    yield "settings.md", render_reference()
    for name, parts in PARTS.items():
        text = (REFERENCE / name).read_text(encoding="utf-8")
        for part, render in parts.items():
            text = _replace(text, part, render())
        yield name, text


def _replace(text: str, part: str, content: str) -> str:
    pattern = re.compile(rf"(<!-- begin: {part} -->\n).*?(<!-- end: {part} -->)", re.DOTALL)
    replaced, count = pattern.subn(lambda match: f"{match[1]}\n{content.strip()}\n\n{match[2]}", text)
    if count != 1:
        raise SystemExit(f"the mark 'begin: {part}' stands {count} times in its page, not once")
    return replaced


def error_codes() -> str:
    """Return one table of codes per branch of the error tree."""
    from fairway import errors

    lines = []
    for family in errors.FairwayError.__subclasses__():
        rows = [row for kind in _tree(family) for row in _error_rows(kind)]
        lines += [f"### {family.__name__}", "", _summary(family), ""]
        lines += ["| code | HTTP | exit | class | means |", "|---|---|---|---|---|", *rows, ""]
    return "\n".join(lines)


def fault_codes() -> str:
    """Return the table of fault codes."""
    from fairway.errors import FAULT_CODES

    rows = [f"| `{code}` | {meaning} |" for code, meaning in FAULT_CODES.items()]
    return "\n".join(["| code | means |", "|---|---|", *rows])


def log_events() -> str:
    """Return the table of log events."""
    from fairway.log import EVENTS

    rows = [f"| `{name}` | {meaning} |" for name, meaning in EVENTS.items()]
    return "\n".join(["| event | means |", "|---|---|", *rows])


def metrics() -> str:
    """Return the table of metrics."""
    from fairway.server.metrics import METRICS

    rows = []
    for name, (meaning, labels) in METRICS.items():
        kind = "counter" if name.endswith("_total") else "histogram" if name.endswith("_seconds") else "gauge"
        shown = ", ".join(f"`{label}`" for label in labels)
        rows.append(f"| `{name}` | {kind} | {shown} | {meaning} |")
    return "\n".join(["| metric | type | labels | means |", "|---|---|---|---|", *rows])


def buckets() -> str:
    """Return the upper bounds of the histograms, in seconds."""
    from fairway.server.metrics import BUCKETS_S

    return ", ".join(f"{bound:g}" for bound in BUCKETS_S)


def commands() -> str:
    """Return the help page of every verb."""
    import click

    from fairway.cli.main import VERBS, cli

    lines = []
    root = click.Context(cli, info_name="fairway")
    for verb in VERBS:
        command = cli.get_command(root, verb)
        assert command is not None  # noqa: S101 - VERBS is what there is
        context = click.Context(
            command, info_name=verb, parent=root, terminal_width=100, max_content_width=100
        )
        lines += [f"## `fairway {verb}`", "", "```text", command.get_help(context), "```", ""]
        for name, inner in getattr(command, "commands", {}).items():
            below = click.Context(
                inner, info_name=name, parent=context, terminal_width=100, max_content_width=100
            )
            lines += [f"### `fairway {verb} {name}`", "", "```text", inner.get_help(below), "```", ""]
    return "\n".join(lines)


def public_names() -> str:
    """Return a section with signature and docstring for every public name."""
    import fairway

    lines = []
    for name in sorted(fairway.__all__):
        thing = getattr(fairway, name)
        if inspect.ismodule(thing) or isinstance(thing, str):
            lines += [f"## `{name}`", "", _summary(thing) if inspect.ismodule(thing) else "", ""]
            continue
        lines += [f"## `{name}`", "", *_member(name, thing), ""]
        for inner, member in vars(thing).items() if inspect.isclass(thing) else ():
            if not inner.startswith("_") and callable(getattr(thing, inner)) and inspect.getdoc(member):
                lines += [f"### `{name}.{inner}`", "", *_member(inner, getattr(thing, inner)), ""]
    return "\n".join(lines)


def _member(name: str, thing: Any) -> list[str]:
    """Return the signature and the whole docstring of a class or function as one block."""
    return ["```text", f"{name}{_parameters(thing)}", "", inspect.getdoc(thing) or "", "```"]


class _Bare:
    """An annotation that prints as it is written, without quotation marks."""

    def __init__(self, text: object) -> None:
        self._text = text

    def __repr__(self) -> str:
        return str(self._text)


def _parameters(thing: Any) -> str:
    """Return the parameters of a class or function, one per line when they are many."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return "(...)"
    shown = [
        p if p.annotation is p.empty else p.replace(annotation=_Bare(p.annotation))
        for p in signature.parameters.values()
        if p.name not in {"self", "cls"}
    ]
    answer = signature.return_annotation
    arrow = "" if answer is signature.empty else f" -> {_Bare(answer)!r}"
    # A default that is a function prints with its address, which differs from run to run.
    words = [re.sub(r"<function (\w+) at 0x[0-9a-f]+>", r"\1", str(p)) for p in shown]
    kinds = [p.kind for p in shown]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        words.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    text = f"({', '.join(words)}){arrow}"
    return text if len(text) <= MAX_LINE else "(\n" + "".join(f"    {w},\n" for w in words) + f"){arrow}"


def _tree(kind: type[Any]) -> Iterator[type[Any]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)


def _error_rows(kind: Any) -> Iterator[str]:
    if "TITLES" in vars(kind):
        codes = {code: f"{title}." for code, title in kind.TITLES.items()}
    elif "code" in vars(kind):
        codes = {kind.code: _summary(kind)}
    else:
        return
    for code, meaning in codes.items():
        yield f"| `{code}` | {kind.status} | {kind.exit_code} | `{kind.__name__}` | {meaning} |"


def _summary(thing: object) -> str:
    """Return the first paragraph of a docstring as one line."""
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def flavors() -> str:
    """Return one row per flavor: the files that it reads, and what installs its framework."""
    from fairway.flavors.base import find_flavors

    rows = ["| flavor | framework | reads | installed by |", "|---|---|---|---|"]
    for name, flavor in sorted(find_flavors().items()):
        reads = ", ".join(flavor.formats) or "no format of its own"
        install = f"`pip install 'fairway[{name}]'`" if flavor.module else "nothing else"
        rows.append(f"| `{name}` | {flavor.package or '-'} | {reads} | {install} |")
    return "\n".join(rows)


def gate_metrics() -> str:
    """Return the metrics that a rule may limit."""
    from fairway.gates import METRICS

    lines = ["| metric | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {doc} |" for name, doc in METRICS.items()]
    return "\n".join(lines)


def operations() -> str:
    """Return the routes of the management interface."""
    from fairway.server.openapi_management import render_reference

    return render_reference()


def roles() -> str:
    """Return what each role allows."""
    from fairway.registry.api_keys import ROLES

    rights = list(ROLES)
    rows = [
        f"| `{role}` | {' | '.join('yes' if right in allowed else '' for right in rights)} |"
        for role, allowed in ROLES.items()
    ]
    head = f"| role | {' | '.join(rights)} |"
    return "\n".join([head, "|---" * (len(rights) + 1) + "|", *rows])


def routes() -> str:
    """Return the role that each route needs."""
    from fairway.server.access import ROUTES

    rows = []
    for route, rule in ROUTES.items():
        scope = "its model" if rule.model else "all models" if rule.every_model else ""
        notes = ", ".join(filter(None, [scope, "form" if rule.form else ""]))
        rows.append(f"| `{route}` | {f'`{rule.role}`' if rule.role else 'none'} | {notes} |")
    return "\n".join(["| route | needs | about |", "|---|---|---|", *rows])


def dialect_errors() -> str:
    """Return the table of what each dialect makes of a status, with the codes that calls can get."""
    from fairway import errors
    from fairway.protocols import sagemaker, vertex

    families = (errors.RequestError, errors.AccessError, errors.PredictionError, errors.InternalError)
    kinds = {kind for family in families for kind in _tree(family)}
    kinds |= {errors.ModelNotFound, errors.VersionNotFound, errors.AliasNotFound, errors.NameInvalid}
    kinds |= {errors.StoreUnavailable, errors.ArtifactStoreFailed, errors.RegistryBusy}
    codes: dict[int, set[str]] = {}
    kinds -= {errors.MalformedRequest, errors.FieldsInvalid, errors.RangeInvalid}  # their codes, or none
    kinds -= {errors.UriTooLong, errors.HostNotAllowed, errors.NotFound}  # nobody's calls, yet
    for kind in kinds:
        codes.setdefault(kind.status, set()).add(kind.code)
    codes[errors.MalformedRequest.status] |= set(errors.MalformedRequest.TITLES) - {"path_invalid"}
    lines = ["| native | codes | SageMaker | Vertex AI |", "|---|---|---|---|"]
    for status, names in sorted(codes.items()):
        listed = ", ".join(f"`{name}`" for name in sorted(names))
        theirs = vertex.STATUSES.get(status, status)
        lines.append(
            f"| {status} | {listed} | {status} `{sagemaker.type_of(status)}` "
            f"| {theirs} `{vertex.state_of(theirs)}` |"
        )
    return "\n".join(lines)


PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "access.md": {"roles": roles, "routes": routes},
    "cli.md": {"commands": commands},
    "flavors.md": {"flavors": flavors},
    "gate-rules.md": {"metrics": gate_metrics},
    "dialects.md": {"errors": dialect_errors},
    "errors.md": {"codes": error_codes, "faults": fault_codes},
    "log-events.md": {"events": log_events},
    "management-api.md": {"operations": operations},
    "metrics.md": {"metrics": metrics, "buckets": buckets},
    "python-api.md": {"names": public_names},
}

if __name__ == "__main__":
    raise SystemExit(main())
