"""The door of the command line: help, exit codes, two-line errors, and arguments that nobody should send."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from fairway.cli.main import MAX_ARGUMENT_CHARS, VERBS, cli, main
from fairway.cli.options import Face
from fairway.cli.output import print_error, problem_of
from fairway.errors import Fault, RemoteError, SignatureMismatch

CLI = Path(main.__code__.co_filename).parent


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_help_lists_every_verb_with_a_whole_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody meets a sentence that is cut off."""
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for verb in VERBS:
        line = re.search(rf"^  {verb} .*$", out, re.MULTILINE)
        assert line, verb
        assert line[0].endswith(".")
        assert not line[0].endswith("...")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    """The help of a verb shows a command line that begins with it."""
    code, out, _ = run(capsys, verb, "--help")
    assert code == 0
    assert re.search(rf"Example:\n +(\w+=\w+ )?fairway {verb}", out)
    for option in ("--home", "--json", "--debug"):
        assert option in out


@pytest.mark.parametrize("verb", VERBS)
def test_the_examples_of_the_help_can_be_parsed(verb: str) -> None:
    """An example never names an option that is not there."""
    import shlex

    command = cli.get_command(click.Context(cli), verb)
    assert command is not None
    assert command.epilog is not None
    for line in command.epilog.splitlines():
        words = shlex.split(line.partition("<")[0])
        if "fairway" in words:
            command.make_context(verb, words[words.index(verb) + 1 :], obj=Face())


def test_every_file_of_a_verb_is_a_verb() -> None:
    """The folder and the list agree, and each verb stays small."""
    shared = {"__init__", "checked", "explanation", "main", "options", "output", "story", "trial"}
    files = {verb.replace("-", "_") for verb in VERBS}
    assert {path.stem for path in CLI.glob("*.py")} - shared == files
    for name in files:
        assert len((CLI / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 130


def test_nothing_asked_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """A bare `fairway` is a usage error that explains itself."""
    code, out, err = run(capsys)
    assert (code, out) == (2, "")
    assert "Commands:" in err


@pytest.mark.parametrize(
    ("arguments", "error", "attempt"),
    [
        (["psuh", "x"], "there is no command 'psuh'", "fairway push"),
        (["zzz"], "there is no command 'zzz'", "fairway --help"),
        (["show"], "Missing argument 'REFERENCE'", "fairway show --help"),
        (
            ["push", "m", "--metric", "auc"],
            "--metric 'auc' is not of the form KEY=VALUE",
            "--metric key=value",
        ),
        (["push", "m", "--metric", "auc=x"], "--metric auc=x: 'x' is not a number", "--metric auc=0.93"),
        (
            ["show", "m", "--card", "--history"],
            "--history, --card and --at exclude each other",
            "fairway show m --card",
        ),
        (
            ["predict", "m", "@nowhere.json"],
            "nowhere.json cannot be read: No such file or directory",
            "give JSON",
        ),
    ],
)
def test_wrong_usage_is_two_lines_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], error: str, attempt: str
) -> None:
    """What is wrong, and what to do."""
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    first, second = err.splitlines()
    assert first == f"Error: {error}"
    assert second.startswith(f"Try: {attempt}")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("a\0b", "argument 2 holds a NUL character"),
        ("x" * 1_000_000, f"argument 2 has 1000000 characters; the limit is {MAX_ARGUMENT_CHARS}"),
        (os.fsdecode(b"model-\xff.joblib"), "argument 2 is not UTF-8 text"),
    ],
)
@pytest.mark.parametrize("verb", ["push", "show", "predict", "serve", "nonsense"])
def test_hostile_arguments_are_usage_errors(
    capsys: pytest.CaptureFixture[str], verb: str, argument: str, message: str
) -> None:
    """NUL, a megabyte, and bytes that are no text get an answer, not a traceback."""
    code, out, err = run(capsys, verb, argument)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err) < 400
    assert err.isascii()
    assert "Traceback" not in err


@pytest.mark.skipif(sys.platform == "darwin", reason="the file system of macOS refuses such names itself")
def test_a_path_that_is_not_utf8_is_a_usage_error_in_a_real_process() -> None:
    """The bytes arrive from a real command line."""
    done = subprocess.run(
        [sys.executable, "-m", "fairway", "push", b"m-\xff.pkl"], capture_output=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"Error: argument 2 is not UTF-8 text: 'm-\\udcff.pkl'")


def test_json_errors_are_problem_documents(capsys: pytest.CaptureFixture[str]) -> None:
    """A program reads the same fields as from the server."""
    code, out, err = run(capsys, "settings", "--jsno")
    assert (code, out) == (2, "")
    assert err.startswith("Error:")
    code, out, err = run(capsys, "predict", "m", "@nowhere", "--json")
    problem = json.loads(err)
    assert (code, out) == (2, "")
    assert problem["code"] == "usage"
    assert problem["type"] == "/docs/errors/usage"
    assert "nowhere" in problem["detail"]


def test_common_options_stand_before_or_after_the_verb(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`fairway --json settings` and `fairway settings --json` are the same."""
    before = run(capsys, "--json", "--home", str(tmp_path), "settings")
    after = run(capsys, "settings", "--json", "--home", str(tmp_path))
    assert before == after
    assert json.loads(after[1])[0]["value"] == str(tmp_path)
    assert json.loads(after[1])[0]["origin"] == "flag --home"


def test_settings_prints_value_and_origin(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a value came from can be read from the table."""
    (tmp_path / "fairway.toml").write_text("[server]\nport = 8000\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "settings")
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("server.port"))
    assert line.split()[1] == "8000"
    assert f"{tmp_path / 'fairway.toml'} line 2" in line


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["settings", "--home", ""], "home must be a path, not '' (from flag --home)"),
        (
            ["demo", "--port", "http"],
            "server.port must be an integer from 0 to 65535, not 'http' (from flag --port)",
        ),
    ],
)
def test_a_flag_with_a_bad_value_is_named(
    capsys: pytest.CaptureFixture[str], arguments: list[str], error: str
) -> None:
    """A flag is judged as every other source of a setting."""
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert err.splitlines()[0] == f"Error: {error}"


def test_a_settings_error_ends_with_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt variable stops the command with a suggestion."""
    monkeypatch.setenv("FAIRWAY_SERVER_PROT", "1")
    code, _, err = run(capsys, "settings")
    assert code == 2
    assert err == (
        "Error: there is no setting 'FAIRWAY_SERVER_PROT' (from the environment)\n"
        "Try: did you mean FAIRWAY_SERVER_PORT?\n"
    )


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --debug no traceback, with it one."""
    assert "Traceback" not in run(capsys, "predict", "m", "@nowhere")[2]
    assert "Traceback" in run(capsys, "predict", "m", "@nowhere", "--debug")[2]


def test_an_interruption_ends_with_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the command waits for input is no error to explain."""

    class Interrupted:
        @property
        def buffer(self) -> object:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Interrupted())
    code, out, err = run(capsys, "predict", "m", "-")
    assert (code, out) == (130, "")
    assert "Traceback" not in err


def test_a_reader_that_leaves_is_not_an_error() -> None:
    """`fairway settings | head -1` prints no traceback."""
    command = f"'{sys.executable}' -m fairway settings --json | head -c 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"[", b"")


def test_every_fault_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Several faults are printed one per line between the error and the advice."""
    faults = [
        Fault(f"/rows/{place}", "value_type", f"expected number, got text {place}") for place in range(3)
    ]
    print_error(SignatureMismatch(faults, hint="send numbers", example={"a": 1.5}))
    assert capsys.readouterr().err.splitlines() == [
        "Error: expected number, got text 0 - at /rows/0 (and 2 more)",
        "  /rows/0: expected number, got text 0",
        "  /rows/1: expected number, got text 1",
        "  /rows/2: expected number, got text 2",
        "Try: send numbers",
        'Example: {"a":1.5}',
    ]


def test_what_a_terminal_would_act_on_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    """An error that quotes hostile text cannot move the cursor."""
    print_error(RemoteError({"detail": "\x1b[2J\u202e\r\nx", "hint": "\x9b"}, 400))
    assert capsys.readouterr().err == "Error: \\x1b[2J\\u202e\\r\\nx\nTry: \\x9b\n"


def test_the_document_of_a_server_is_passed_on() -> None:
    """With --json a remote error is what the server said."""
    problem = {"code": "signature_mismatch", "detail": "x", "errors": []}
    assert problem_of(RemoteError(problem, 422)) is problem
