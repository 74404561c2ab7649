"""Options that many verbs share, so that they are spelt and explained once."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from fairway.errors import UsageError

Function = TypeVar("Function", bound=Callable[..., Any])

POLICIES = ("flag", "reject", "pass")
FEEDS = ("frame", "matrix", "records", "texts", "columns", "tensors")
COMPILE_MODES = ("auto", "off", "require")
_WHOLE = re.compile(r"-?\d{1,15}", re.ASCII)
PREDICTORS = ("auto", "native", "numpy", "onnx")


@dataclasses.dataclass(slots=True)
class Face:
    """What the common options said.

    Attributes:
        home: Folder of the registry, or None for the setting.
        as_json: Whether the answer is for a program.
        debug: Whether an error shows its traceback.
        server: Address of the server whose registry is meant, or None for the setting.
        key_file: File that holds the API key for the server, or None for the setting.
    """

    home: str | None = None
    as_json: bool = False
    debug: bool = False
    server: str | None = None
    key_file: str | None = None

    @property
    def key(self) -> str | None:
        """The API key in the file that was named; a key on the command line would be seen by everybody."""
        return None if self.key_file is None else first_line(self.key_file, "API key")

    @property
    def place(self) -> dict[str, Any]:
        """The arguments that say which registry a verb is about."""
        return {"home": self.home, "server": self.server, "key": self.key}


def server_options() -> list[click.Option]:
    """Return new `--server` and `--key-file` options, of the verbs that can be about another registry."""
    return [
        click.Option(
            ["--server"],
            metavar="URL",
            expose_value=False,
            callback=_keep("server"),
            help="Server whose registry is meant, not the home's; also FAIRWAY_SERVER.",
        ),
        click.Option(
            ["--key-file"],
            metavar="FILE",
            expose_value=False,
            callback=_keep("key_file"),
            help="File with the API key for the server; also FAIRWAY_API_KEY.",
        ),
    ]


def common_options() -> list[click.Option]:
    """Return new `--home`, `--json` and `--debug` options; they may stand before the verb or after it."""
    return [
        click.Option(
            ["--home"],
            metavar="FOLDER",
            expose_value=False,
            callback=_keep("home"),
            help="Folder of the registry.",
        ),
        click.Option(
            ["--json"], is_flag=True, expose_value=False, callback=_keep("as_json"), help="Print JSON."
        ),
        click.Option(
            ["--debug"],
            is_flag=True,
            expose_value=False,
            callback=_keep("debug"),
            help="Show the traceback of an error.",
        ),
    ]


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        # A flag that was not given must not undo the same one before the verb; an empty text is a value.
        if value is not None and value is not False:
            setattr(ctx.ensure_object(Face), name, value)

    return keep


def verb(
    name: str, *, example: str, parent: click.Group | None = None, remote: bool = False
) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command of a function that takes the `Face` first; its docstring is the help.

    Args:
        name: The verb.
        example: One or more command lines that work, shown below the help.
        parent: The verbs that it belongs to, such as `trust` for `add`.
        remote: Whether it can be about the registry of a server (`--server`).
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        command = click.command(name, epilog=_epilog(example))(click.pass_obj(function))
        if remote:
            command.params.extend(server_options())
        elif not any(option.name == "server" for option in command.params):
            command.callback = _local(name, command.callback)
        command.params.extend(common_options())
        if parent is not None:
            parent.add_command(command)
        return command

    return decorate


def _local(name: str, callback: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return the callback of a verb that refuses a `--server` before it."""

    @functools.wraps(callback or _local)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if click.get_current_context().ensure_object(Face).server is not None:
            raise not_remote(name)
        return callback(*args, **kwargs) if callback else None

    return checked


def not_remote(name: str) -> UsageError:
    """Return the error that says that a verb is about this machine alone."""
    return UsageError(
        f"fairway {name} works on this machine and its own registry; it takes no --server",
        hint=f"leave --server out, or run fairway {name} on the server's machine",
    )


def verbs(
    name: str, *, example: str, kind: type[click.Group] = click.Group, remote: bool = False
) -> Callable[[Callable[[], None]], click.Group]:
    """Make a group of verbs out of a function whose docstring is the help; see `verb`."""

    def decorate(function: Callable[[], None]) -> click.Group:
        group = click.group(name, cls=kind, epilog=_epilog(example))(function)
        group.params.extend([*(server_options() if remote else ()), *common_options()])
        return group

    return decorate


def _epilog(example: str) -> str:
    lines = "\n".join(f"  {line}" for line in example.splitlines())
    return f"\b\nExample:\n{lines}"


def model_options(function: Function) -> Function:
    """Add everything that `pack` and `push` may be told of a model."""
    for option in reversed(_MODEL_OPTIONS):
        function = option(function)
    return function


_POLICY = click.Choice(POLICIES)
_MODEL_OPTIONS = (
    click.option("--name", metavar="NAME", help="Name of the model. Default: the name of its file."),
    click.option(
        "--example", metavar="FILE", help="Table to learn the signature from: CSV, Parquet, JSON or NDJSON."
    ),
    click.option("--target", metavar="COLUMN", help="Column of the table that the model predicts."),
    click.option(
        "--output",
        "outputs",
        metavar="NAMES",
        multiple=True,
        help="Names of the outputs, separated by commas.",
    ),
    click.option(
        "--classes",
        metavar="NAMES",
        default="",
        help="Classes of a network in the order of its numbers for them, separated by commas.",
    ),
    click.option(
        "--code",
        metavar="FILE",
        multiple=True,
        help="Module of yours that the model needs; repeat for more.",
    ),
    click.option(
        "--file",
        "files",
        metavar="FILE",
        multiple=True,
        help="Data file that your code reads in load(files); repeat for more.",
    ),
    click.option(
        "--preprocess",
        metavar="MODULE:FUNCTION",
        help="Function of yours that turns a record into what the model takes.",
    ),
    click.option(
        "--postprocess",
        metavar="MODULE:FUNCTION",
        help="Function of yours that turns the model's answer into the outputs.",
    ),
    click.option(
        "--vectorised",
        is_flag=True,
        help="These two take a list of all rows, not one after the other.",
    ),
    click.option(
        "--kind",
        "kinds",
        metavar="INPUT=KIND",
        multiple=True,
        help="Kind of an input, stated rather than learnt: category, text, datetime, ...",
    ),
    click.option(
        "--feed", type=click.Choice(FEEDS), help="How the model is fed. Default: found out by trying."
    ),
    click.option("--metric", "metrics", metavar="NAME=NUMBER", multiple=True, help="A figure to record."),
    click.option("--tag", "tags", metavar="KEY=VALUE", multiple=True, help="A tag."),
    click.option(
        "--lineage", metavar="KEY=VALUE", multiple=True, help="Where it comes from: data, commit, run."
    ),
    click.option("--author", metavar="TEXT", default="", help="Who made it."),
    click.option("--description", metavar="TEXT", default="", help="What it is for."),
    click.option(
        "--unseen-category",
        type=_POLICY,
        default="flag",
        show_default=True,
        help="What happens to a category that the table does not hold.",
    ),
    click.option(
        "--out-of-range",
        type=_POLICY,
        default="flag",
        show_default=True,
        help="What happens to a number outside the table's range.",
    ),
    click.option(
        "--trust",
        metavar="TYPE",
        multiple=True,
        help="Type (module.Class) that the model file may construct; repeat for more.",
    ),
    click.option(
        "--compile",
        type=click.Choice(COMPILE_MODES),
        default="auto",
        show_default=True,
        help="Compile the model and prove the result; require refuses where nothing was proven.",
    ),
)


def passphrase_options(function: Function) -> Function:
    """Add what says how the file of a signing key is encrypted; `passphrase_of` reads it."""
    for option in reversed(_PASSPHRASE_OPTIONS):
        function = option(function)
    return function


_PASSPHRASE_OPTIONS = (
    click.option(
        "--passphrase", "ask_passphrase", is_flag=True, help="Ask for the passphrase of the signing key."
    ),
    click.option(
        "--passphrase-file", metavar="FILE", help="Read the passphrase from the first line of a file."
    ),
)


def passphrase_of(path: str | None, *, ask: bool, confirm: bool = False) -> str:
    """Return the passphrase that `passphrase_options` speak of; empty if there is none.

    Raises:
        UsageError: Both ways were chosen, or the file holds none.
    """
    if path is None:
        return click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm) if ask else ""
    if ask:
        raise UsageError("--passphrase and --passphrase-file exclude each other")
    return first_line(path, "passphrase")


def first_line(path: str, what: str) -> str:
    """Return the first line of a file that holds a secret.

    Raises:
        UsageError: The file cannot be read, or its first line is empty.
    """
    try:
        with Path(path).open(encoding="utf-8") as file:
            found = file.readline(1000).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"the file of the {what}, {path}, cannot be read: {reason}") from error
    if not found:
        raise UsageError(f"the first line of {path} is empty, which is no {what}")
    return found


predictor_option = click.option(
    "--predictor",
    type=click.Choice(PREDICTORS),
    help="What answers. Default: auto, the fastest that was proven and can be loaded.",
)
"""The option of the verbs that load a model."""


def model_facts(options: dict[str, Any]) -> dict[str, Any]:
    """Return the values of `model_options` as `fairway.api.pack` and `push` take them."""
    facts = dict(options)
    facts["outputs"] = tuple(
        name.strip() for given in options["outputs"] for name in given.split(",") if name.strip()
    )
    facts["classes"] = _labels(options["classes"])
    facts["metrics"] = {
        key: _number("--metric", key, value) for key, value in _pairs("--metric", options["metrics"])
    }
    facts["kinds"] = dict(_pairs("--kind", options["kinds"]))
    facts["tags"] = dict(_pairs("--tag", options["tags"]))
    facts["lineage"] = dict(_pairs("--lineage", options["lineage"]))
    return facts


def _labels(given: str) -> tuple[str | int, ...]:
    """Return class names; whole numbers if all of them are."""
    names = tuple(name.strip() for name in given.split(",") if name.strip())
    return tuple(map(int, names)) if all(map(_WHOLE.fullmatch, names)) else names


def _pairs(option: str, given: tuple[str, ...]) -> list[tuple[str, str]]:
    pairs = []
    for entry in given:
        key, equals, value = entry.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{option} {entry!r} is not of the form KEY=VALUE", hint=f"{option} key=value")
        pairs.append((key.strip(), value.strip()))
    return pairs


def _number(option: str, key: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise UsageError(
            f"{option} {key}={value}: {value!r} is not a number", hint=f"{option} {key}=0.93"
        ) from None
