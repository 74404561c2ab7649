"""The door of the command line: finds the verb, runs it, turns an error into two lines and an exit code.

Exit codes: 0 done, 1 failed, 2 usage or settings, 3 a gate or proof said no, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import click

from fairway.cli.options import Face, common_options, not_remote, server_options
from fairway.cli.output import print_error
from fairway.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, FairwayError, UsageError

# In the order in which somebody meets them; the file of a verb has its name.
VERBS = (
    "demo",
    "pack",
    "push",
    "pull",
    "inspect",
    "convert",
    "check",
    "compile",
    "list",
    "show",
    "diff",
    "alias",
    "approve",
    "promote",
    "rollback",
    "protect",
    "delete",
    "audit",
    "signing-key",
    "sign",
    "verify",
    "trust",
    "keys",
    "export",
    "import",
    "backup",
    "restore",
    "gc",
    "serve",
    "predict",
    "explain",
    "score",
    "bench",
    "tune",
    "settings",
    "doctor",
)

MAX_ARGUMENT_CHARS = 100_000
"""Below the 128 KiB that Linux allows for one argument, so that the answer is the same on every system."""


class Verbs(click.Group):
    """Imports the file of a verb when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the verbs in the order of the help page."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return the command of a verb, or None."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(_module_of(cmd_name)).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or say which one may be meant."""
        if args and not args[0].startswith("-") and args[0] not in VERBS:
            close = get_close_matches(args[0], VERBS, n=1)
            hint = f"fairway {close[0]}" if close else "fairway --help"
            raise UsageError(f"there is no command {_short(args[0])!r}", hint=hint)
        return super().resolve_command(ctx, args)


def _module_of(verb: str) -> str:
    return f"fairway.cli.{verb.replace('-', '_')}"


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"fairway {version('fairway')}")
        ctx.exit()


@click.command(
    cls=Verbs,
    name="fairway",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with: fairway demo",
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Print the version."
)
def cli() -> None:
    """From a trained model to a served, documented, versioned prediction."""


cli.params.extend([*server_options(), *common_options()])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Arguments after the program's name. Default: those of the process.

    Returns:
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    _make_output_safe()
    face = Face()
    try:
        _check_arguments(given)
        return _run(given, face)
    except FairwayError as error:
        _trace(face, given)
        print_error(error, as_json=face.as_json or "--json" in given)
        return error.exit_code


def _run(arguments: list[str], face: Face) -> int:
    """Run the command and map what it raises to errors of ours."""
    try:
        code = cli.main(arguments, prog_name="fairway", standalone_mode=False, obj=face)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return EXIT_USAGE
    except click.ClickException as error:
        raise _usage_error(error) from error
    except (KeyboardInterrupt, click.Abort):
        _trace(face, arguments)
        click.echo("\nInterrupted.", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`fairway list | head -1`): nothing is wrong and nobody listens.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except FairwayError:
        raise
    except OSError as error:
        raise _failure(_describe(error)) from error
    except Exception as error:
        raise _failure(f"{type(error).__name__}: {error}") from error
    return code if isinstance(code, int) else 0


def _usage_error(error: click.ClickException) -> FairwayError:
    ctx = getattr(error, "ctx", None)
    command = ctx.command_path if ctx is not None else "fairway"
    if isinstance(error, click.NoSuchOption) and error.option_name == "--server":
        return not_remote(command.removeprefix("fairway "))
    return UsageError(error.format_message().rstrip("."), hint=f"{command} --help")


def _describe(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason


def _failure(detail: str) -> FairwayError:
    return FairwayError(detail, hint="run the same command with --debug to see where it happened")


def _check_arguments(arguments: Sequence[str]) -> None:
    """Refuse arguments that no verb can use, before anything looks at them.

    Raises:
        UsageError: An argument holds a NUL, is not UTF-8, or is longer than a system would hand over.
    """
    for place, argument in enumerate(arguments, start=1):
        if "\0" in argument:
            raise UsageError(f"argument {place} holds a NUL character", hint="fairway --help")
        if len(argument) > MAX_ARGUMENT_CHARS:
            raise UsageError(
                f"argument {place} has {len(argument)} characters; the limit is {MAX_ARGUMENT_CHARS}",
                hint="put the data into a file and write @FILE, or - and pipe it in",
            )
        try:
            argument.encode()
        except UnicodeEncodeError:  # bytes that are no UTF-8 arrive as halves of surrogate pairs
            raise UsageError(
                f"argument {place} is not UTF-8 text: {_short(argument)!a}", hint="rename the file"
            ) from None


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _make_output_safe() -> None:
    """Let a terminal that cannot show a character show its escape instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _trace(face: Face, arguments: Sequence[str]) -> None:
    if face.debug or "--debug" in arguments:
        import traceback

        traceback.print_exc()
