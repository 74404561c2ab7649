"""The code that the pages show is code that works: commands and options exist, Python parses and imports."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/README.md")])
SHELL = {"sh", "bash", "console"}


class Block(NamedTuple):
    """One fenced block: where it stands, its language and its text."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks() -> Iterator[Block]:
    """Yield every fenced block of every page."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in re.finditer(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL):
            yield Block(page, text.count("\n", 0, found.start()) + 1, found[2], found[3])


def commands(block: Block) -> Iterator[list[str]]:
    """Yield the `fairway` commands of a shell block, split into words; output that is shown is left out."""
    text = re.sub(r"\\\n\s*", " ", block.text)
    for line in text.splitlines():
        if block.language == "console" and not line.lstrip().startswith("$ "):
            continue
        bare = line.strip().removeprefix("$ ")
        if not bare.startswith("#") and re.search(r"(^|[\s;&|/])fairway\s", bare):
            for part in re.split(r"\s+(?:&&|\|\||\||;)\s+|\s+&$", bare):
                words = shlex.split(part.strip(), comments=True)
                if words and words[0].rsplit("/", 1)[-1] == "fairway":
                    yield words[1:]


def options_of(command: click.Command) -> set[str]:
    """Return every spelling of every option that a command takes."""
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def of_language(*languages: str) -> list[Block]:
    """Return the blocks of some languages."""
    return [block for block in blocks() if block.language in languages]


@pytest.mark.parametrize("block", of_language(*SHELL), ids=str)
def test_every_command_exists(block: Block) -> None:
    """Each `fairway` verb and option that a page tells the reader to type exists."""
    from fairway.cli.main import cli

    for words in commands(block):
        verb = next((word for word in words if not word.startswith("-")), "")
        command = cli.get_command(click.Context(cli), verb) if verb else cli
        assert command is not None, f"{block}: there is no `fairway {verb}`"
        if isinstance(command, click.Group) and verb:
            named = next(iter(words[words.index(verb) + 1 :]), "")
            inner = command.commands.get(named) or command.commands.get(getattr(command, "default", ""))
            assert inner is not None, f"{block}: there is no `fairway {' '.join(words)}`"
            command = inner
        known = options_of(cli) | options_of(command) | {"--help", "-h"}
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)}

        assert not given - known, f"{block}: `fairway {verb}` has no {sorted(given - known)}"


@pytest.mark.parametrize("block", of_language("python", "py"), ids=str)
def test_every_python_block_parses_and_uses_public_names(block: Block) -> None:
    """A Python block is valid, and what it takes from fairway is public."""
    text = (
        re.sub(r"^(>>> |\.\.\. )", "", block.text, flags=re.MULTILINE) if ">>>" in block.text else block.text
    )
    tree = ast.parse(text)
    root = importlib.import_module("fairway")
    names = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in {"fw", "fairway"}
    ]

    assert not [name for name in names if name not in root.__all__], f"{block}: not in fairway.__all__"


def test_every_json_block_is_json() -> None:
    """What is shown as JSON can be pasted."""
    for block in of_language("json"):
        try:
            json.loads(block.text)
        except ValueError as error:
            pytest.fail(f"{block}: {error}", pytrace=False)
