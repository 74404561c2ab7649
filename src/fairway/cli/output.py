"""How the command line speaks: tables for people, JSON for programs, progress and errors on standard error.

Names, descriptions and values come from files that somebody else may have written: whatever a terminal would
act on is shown as an escape, and nothing is read as markup.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from fairway.errors import FairwayError, Fault, RemoteError

MAX_FAULTS = 20


def clean(value: object) -> str:
    """Return *value* as text in which every control or invisible character is written as an escape."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def say(*lines: object) -> None:
    """Print lines for people."""
    for line in lines:
        click.echo(clean(line))


def say_text(text: str) -> None:
    """Print a text of many lines, such as a model card."""
    say(*text.splitlines())


def print_json(value: object) -> None:
    """Print one JSON document."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=_as_json), indent=2).decode())


def print_json_line(value: object) -> None:
    """Print one JSON document on one line, as a server would answer it."""
    click.echo(_one_line(value))


def _one_line(value: object) -> str:
    import msgspec

    return msgspec.json.encode(value, enc_hook=_as_json).decode()


def _as_json(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value) if isinstance(value, Path) else repr(value)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headings; cells are folded to the terminal, never cut, and left whole in a pipe."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 1000, highlight=False)
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print pairs of a name and a value, one per line, values below each other; empty values are left out."""
    kept = [(name, value) for name, value in facts if value not in ("", None)]
    width = max((len(name) for name, _ in kept), default=0)
    for name, value in kept:
        say(f"{name:<{width}}  {value}")


@contextlib.contextmanager
def progress(text: str) -> Iterator[Callable[[str], None]]:
    """Show on standard error that something is being done, if a person is looking; gives what changes it."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status(clean(text)) as status:
        yield lambda new: status.update(clean(new))


def print_error(error: FairwayError, *, as_json: bool = False) -> None:
    """Print an error on standard error: what happened, every fault, what to do; or the problem document."""
    if as_json:
        click.echo(_one_line(problem_of(error)), err=True)
        return
    click.echo(f"Error: {clean(error.detail)}", err=True)
    if len(error.faults) > 1:
        for fault in error.faults[:MAX_FAULTS]:
            click.echo(f"  {clean(_line_of(fault))}", err=True)
    if len(error.faults) > MAX_FAULTS:
        click.echo(f"  and {len(error.faults) - MAX_FAULTS} more", err=True)
    if error.hint:
        click.echo(f"Try: {clean(error.hint)}", err=True)
    example = error.problem.get("example") if isinstance(error, RemoteError) else error.example
    if example is not None:
        click.echo(f"Example: {clean(_one_line(example))}", err=True)


def _line_of(fault: Fault) -> str:
    return f"{fault.pointer}: {fault.message}" if fault.pointer else fault.message


def problem_of(error: FairwayError) -> dict[str, Any]:
    """Return the problem document of an error: the server's own one if a server sent it."""
    if isinstance(error, RemoteError):
        return error.problem
    document: dict[str, Any] = {
        "type": f"/docs/errors/{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
    }
    if error.hint:
        document["hint"] = error.hint
    if error.faults:
        document["errors"] = [fault.as_dict() for fault in error.faults[:MAX_FAULTS]]
        document["errors_total"] = getattr(error, "total", len(error.faults))
    if error.example is not None:
        document["example"] = error.example
    return document


def moment(stamp: str) -> str:
    """Return an ISO 8601 moment as people read it, to the second: `2026-05-03 12:00:00 UTC`."""
    return f"{stamp[:19].replace('T', ' ')} UTC" if stamp else ""


def size(n_bytes: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("bytes", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "bytes" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} GB"
