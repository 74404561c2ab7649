"""The reference names all that the code has: a new code, setting, verb or metric has its line there."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from fairway import errors

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "fairway"
REFERENCE = ROOT / "docs" / "reference"


def reference() -> str:
    """Return every page of the reference as one text."""
    return "\n".join(page.read_text(encoding="utf-8") for page in sorted(REFERENCE.rglob("*.md")))


def missing(names: Iterable[str]) -> list[str]:
    """Return the names that no reference page sets as code."""
    spans = set(re.findall(r"`([^`\n]+)`", reference()))
    text = reference()
    return sorted(name for name in names if name not in spans and f"`{name} " not in text)


def subclasses(kind: type) -> Iterator[type]:
    """Yield a class and everything below it."""
    yield kind
    for child in kind.__subclasses__():
        yield from subclasses(child)


def strings_in(*folders: str) -> Iterator[str]:
    """Yield every text constant of the source files in some folders of the package."""
    for folder in folders:
        for path in (SOURCE / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def test_every_error_code_is_documented() -> None:
    """The page that a problem document points to exists for every code that can occur."""
    codes = {kind.code for kind in subclasses(errors.FairwayError) if kind.__module__ == errors.__name__}
    codes |= set(errors.MalformedRequest.TITLES)
    codes -= {errors.FairwayError.code}

    assert not missing(codes)


def test_every_fault_code_is_documented() -> None:
    """Whoever parses `errors[]` finds each code that may stand there."""
    assert not missing(errors.FAULT_CODES)


def test_every_setting_is_documented() -> None:
    """Each setting is named with its key in fairway.toml and its variable in the environment."""
    from fairway.settings import Settings, load_settings

    settings, _ = load_settings(environ={})
    names = set()
    for field in dataclasses.fields(Settings):
        value = getattr(settings, field.name)
        inner = dataclasses.fields(value) if dataclasses.is_dataclass(value) else []
        names |= {f"{field.name}.{leaf.name}" for leaf in inner} or {field.name}

    assert names
    assert not missing(names)
    assert not missing("FAIRWAY_" + name.replace(".", "_").upper() for name in names)


def test_every_verb_is_documented() -> None:
    """The command line's page has a section for each verb."""
    from fairway.cli.main import main as command

    headings = re.findall(r"^#+ +`?fairway (\w+)", reference(), re.MULTILINE)

    assert command.commands
    assert not set(command.commands) - set(headings)


def test_every_option_is_documented() -> None:
    """No verb has an option that the reference keeps to itself."""
    from fairway.cli.main import main as command

    text = reference()
    options = {
        f"fairway {verb} {option}"
        for verb, sub in command.commands.items()
        for parameter in sub.params
        for option in parameter.opts
        if option.startswith("--") and not getattr(parameter, "hidden", False)
    }

    assert not [option for option in sorted(options) if option.rsplit(" ", 1)[1] not in text]


def test_every_metric_is_documented() -> None:
    """What a dashboard can draw is listed with its labels."""
    metrics = {text for text in strings_in("server") if re.fullmatch(r"fairway_[a-z_]+", text)}

    assert metrics
    assert not missing(metrics)


def test_every_endpoint_is_documented() -> None:
    """Each path that the server answers stands in the reference of the HTTP surface."""
    paths = {text for text in strings_in("server") if re.fullmatch(r"/[a-z.{}:_/]*", text)}
    served = {re.sub(r":\w+}", "}", path) for path in paths if len(path) > 1}

    assert {"/livez", "/metrics"} <= served
    assert not missing(served)


def test_every_log_event_is_documented() -> None:
    """An event name that stands in a log line can be looked up."""
    from fairway.log import EVENTS

    assert not missing(EVENTS)


def test_every_word_of_the_signature_is_documented() -> None:
    """The kinds of inputs are explained where a user looks for them."""
    from fairway.bundle.signature import KINDS

    assert not missing(KINDS)


def test_the_generated_pages_are_up_to_date() -> None:
    """`make docs` was run after the code changed."""
    check = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, f"run `make docs`:\n{done.stdout}{done.stderr}"
