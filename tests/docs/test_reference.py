"""The reference names all that the code has: a new code, setting, verb or metric has its line there."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from fairway import errors

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "fairway"
REFERENCE = ROOT / "docs" / "reference"


def reference() -> str:
    """Return every page of the reference as one text."""
    return "\n".join(page.read_text(encoding="utf-8") for page in sorted(REFERENCE.rglob("*.md")))


def missing(names: Iterable[str], text: str = "") -> list[str]:
    """Return the names that a text, by default the reference, never sets as code or begins code with."""
    text = text or reference()
    shapes = {name: rf"`(?:[A-Z]+ )?{re.escape(name)}(?:[`{{( =?]|/{{)" for name in names}
    return sorted(name for name, shape in shapes.items() if not re.search(shape, text))


def verbs() -> dict[str, click.Command]:
    """Return every verb of the command line."""
    from fairway.cli.main import cli

    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def subclasses(kind: type) -> Iterator[type]:
    """Yield a class and everything below it."""
    yield kind
    for child in kind.__subclasses__():
        yield from subclasses(child)


def strings_in(pattern: str) -> Iterator[str]:
    """Yield every text constant of the source files that a pattern names."""
    for path in SOURCE.glob(pattern):
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
    from fairway.settings import Settings, describe_settings, load_settings

    settings, _ = load_settings(environ={})
    names = set()
    for field in dataclasses.fields(Settings):
        if field.name == "gates":  # tables of rules, which have a page of their own
            continue
        value = getattr(settings, field.name)
        inner = dataclasses.fields(value) if dataclasses.is_dataclass(value) else []
        names |= {f"{field.name}.{leaf.name}" for leaf in inner} or {field.name}

    assert names
    assert not missing(names)
    assert not missing(entry.variable for entry in describe_settings())


def test_every_verb_is_documented() -> None:
    """The command line's page has a section for each verb."""
    headings = re.findall(r"^#+ +`?fairway ([\w-]+)", reference(), re.MULTILINE)

    assert verbs()
    assert not set(verbs()) - set(headings)


def test_every_option_is_documented() -> None:
    """No verb has an option that the reference keeps to itself."""
    sections = dict(
        re.findall(
            r"^#+ +`?fairway ([\w-]+(?: [\w-]+)?)(.*?)(?=^#+ |\Z)", reference(), re.MULTILINE | re.DOTALL
        )
    )
    inner = {
        f"{verb} {name}": command
        for verb, group in verbs().items()
        for name, command in getattr(group, "commands", {}).items()
    }
    silent = [
        f"fairway {verb} {option}"
        for verb, command in (verbs() | inner).items()
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--") and option not in sections.get(verb, "")
    ]

    assert not silent


def test_every_metric_is_documented() -> None:
    """What a dashboard can draw is listed with its labels."""
    shape = r"fairway_[a-z_]+|http_[a-z_]+_(seconds|bytes|total)"
    metrics = {text for text in strings_in("server/metrics.py") if re.fullmatch(shape, text)}

    assert metrics
    assert not missing(metrics)


def test_every_endpoint_is_documented() -> None:
    """Each path that the server answers stands in the reference of the HTTP surface."""
    paths = {text for text in strings_in("server/**/*.py") if re.fullmatch(r"/[a-z.{}:_/]*", text)}
    kernel = ("/dev/", "/proc")  # what a master reads about its workers
    served = {re.sub(r":\w+}", "}", path) for path in paths if len(path) > 1 and not path.startswith(kernel)}

    assert {"/livez", "/metrics"} <= served
    assert not missing(served)


def test_every_management_route_is_documented() -> None:
    """The page of the management interface has each route, with every field that it takes."""
    from fairway.server.management.operations import OPERATIONS

    page = (REFERENCE / "management-api.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### `([A-Z]+ [^`]+)`$(.*?)(?=^### |\Z)", page, re.MULTILINE | re.DOTALL))

    for operation in OPERATIONS:
        place = f"{operation.method} {operation.path}"
        fields = [field.name for field in (*operation.query, *(operation.body or ()))]
        assert f"| `{place}` | `{operation.role}` |" in page
        assert not missing(fields, sections.get(place, "none"))


def test_every_log_event_is_documented() -> None:
    """An event name that stands in a log line can be looked up."""
    from fairway.log import EVENTS

    assert not missing(EVENTS)


def test_every_kind_of_input_is_explained() -> None:
    """The page about the signature says what each kind takes."""
    from fairway.bundle.signature import KINDS

    page = ROOT / "docs" / "explanation" / "signature.md"

    assert not missing(KINDS, page.read_text(encoding="utf-8"))


def test_every_flavor_is_explained() -> None:
    """The page of flavors says what a model of each answers, and what is saved of it."""
    from fairway.flavors.base import find_flavors

    page = (ROOT / "docs" / "reference" / "flavors.md").read_text(encoding="utf-8")
    parts = page.split("<!-- end: flavors -->")[1].split("\n## ")

    assert not missing(find_flavors(), parts[1])
    assert not missing(find_flavors(), parts[3])


def test_the_generated_pages_are_up_to_date() -> None:
    """`make docs` was run after the code changed."""
    check = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, f"run `make docs`:\n{done.stdout}{done.stderr}"


def test_every_rule_of_a_gate_is_documented() -> None:
    """The page of rules names every key that `[gate.NAME]` takes, and every metric."""
    from fairway.gates import METRICS, OF_A_CLASS, RULES

    page = (REFERENCE / "gate-rules.md").read_text(encoding="utf-8")

    assert not missing([*RULES, *METRICS], page)
    assert all(f"{name}:CLASS" in page for name in OF_A_CLASS)


def test_the_example_of_a_gate_is_one() -> None:
    """The file that the page of rules shows is read without complaint."""
    import tomllib

    from fairway.gates import read_gates

    page = (REFERENCE / "gate-rules.md").read_text(encoding="utf-8")
    text = page.partition("```toml\n")[2].partition("```")[0]

    assert read_gates(tomllib.loads(text)["gate"])["coffee"].limits
