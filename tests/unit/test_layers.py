"""The layers of the house: every import points down, wherever in a file it stands."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"

# From the top to the bottom. A part imports from lower rows and from itself, never from a sibling on its row.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("cli", "testing"),
    ("api",),
    ("assemble",),
    ("server", "client", "tuning", "batch"),
    ("lifecycle",),
    ("inference",),
    ("compilers", "registry", "protocols"),
    ("flavors",),
    ("bundle",),
    ("settings", "plugins", "log", "messages"),
    ("gates",),
    ("errors",),
)
ROW = {part: row for row, parts in enumerate(LAYERS) for part in parts}

# The two doors: the root loads the public names lazily, `python -m fairway` starts the command line.
DOORS = {"__init__": {"api", "bundle", "client", "errors", "registry"}, "__main__": {"cli"}}


class Import(NamedTuple):
    """One import of ours: the module that is asked for, and the line."""

    module: str
    line: int


def imports_of(path: Path, package: str) -> Iterator[Import]:
    """Yield every import of `fairway` in a file: also in functions, relative, and by `import_module`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        match node:
            case ast.Import(names=names):
                modules = [name.name for name in names]
            case ast.ImportFrom(module=module, names=names, level=level):
                base = absolute(module or "", level, package)
                # `from fairway import x` asks for a part, `from fairway.bundle import x` for a name.
                modules = [f"{base}.{name.name}" for name in names] if base == "fairway" else [base]
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[first, *_]):
                text = first.value if isinstance(first, ast.Constant) else None
                modules = (
                    [text] if called in {"import_module", "__import__"} and isinstance(text, str) else []
                )
            case _:
                continue
        yield from (Import(name, node.lineno) for name in modules if name.split(".")[0] == "fairway")


def absolute(module: str, level: int, package: str) -> str:
    """Return the full name behind a relative import of *level* dots inside *package*."""
    if level == 0:
        return module
    parents = package.split(".")[: len(package.split(".")) - level + 1]
    return ".".join([*parents, module] if module else parents)


def faults_of(source: Path) -> list[str]:
    """Return one readable sentence per import that breaks the layers."""
    return [
        f"{path.relative_to(source)}:{found.line} imports {found.module}: {reason}"
        for path in sorted(source.rglob("*.py"))
        for found in imports_of(path, ".".join(path.parent.relative_to(source).parts))
        if (reason := fault(part_of(path, source), found.module))
    ]


def part_of(path: Path, source: Path) -> str:
    """Return the part that a file belongs to: its folder, or its own name at the top."""
    parts = path.relative_to(source / "fairway").with_suffix("").parts
    return parts[0]


def fault(importer: str, module: str) -> str:
    """Return why *importer* may not import *module*, or the empty string."""
    part = module.removeprefix("fairway").removeprefix(".").split(".")[0]
    if not part:
        return "nobody imports the root package; name the module that is needed"
    if part not in ROW:
        return f"{part!r} stands in no layer; nothing inside imports the root package's names"
    if importer in DOORS:
        return "" if part in DOORS[importer] else f"{importer} opens only {sorted(DOORS[importer])}"
    if importer not in ROW:
        return f"{importer!r} stands in no layer; give it a row in LAYERS and in architecture.md"
    if part == importer or ROW[part] > ROW[importer]:
        return ""
    if ROW[part] == ROW[importer]:
        return f"{importer} and {part} are siblings; what both need belongs in a lower row"
    return f"{part} lies above {importer}; imports point down"


def test_every_import_points_down() -> None:
    """The code keeps the order of the layers, also inside functions."""
    faults = faults_of(SOURCE)

    assert not faults, "\n" + "\n".join(faults)


def test_every_part_stands_in_one_layer() -> None:
    """A new folder or module at the top is given its row before it is used."""
    entries = {path.stem for path in (SOURCE / "fairway").iterdir() if path.suffix == ".py" or path.is_dir()}
    parts = entries - DOORS.keys() - {"__pycache__"}

    assert not parts - ROW.keys(), f"without a row in LAYERS: {sorted(parts - ROW.keys())}"


def test_the_picture_in_the_docs_is_the_one_that_is_checked() -> None:
    """The architecture page shows the rows as they are proven here: every part, in this order."""
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    lines = page.partition("```text\n")[2].partition("```")[0].splitlines()
    shown = [part for line in lines for part in line.partition("   ")[0].split()]
    there = {path.stem for path in (SOURCE / "fairway").iterdir()} & ROW.keys()

    assert sorted(shown, key=ROW.__getitem__) == shown
    assert there <= set(shown)


def test_errors_import_nothing_of_ours() -> None:
    """The error tree stands on the ground: it imports no module of fairway."""
    assert not list(imports_of(SOURCE / "fairway" / "errors.py", "fairway"))


@pytest.mark.parametrize(
    ("file", "code", "expected"),
    [
        ("bundle/a.py", "from fairway.registry.registry import Registry", "registry lies above bundle"),
        ("bundle/a.py", "def f():\n    import fairway.cli.main", "cli lies above bundle"),
        ("bundle/a.py", "from ..server import app", "server lies above bundle"),
        ("bundle/a.py", "from .. import errors, api", "api lies above bundle"),
        ("bundle/a.py", "import importlib\nimportlib.import_module('fairway.api')", "api lies above bundle"),
        ("registry/a.py", "from fairway.protocols import native", "registry and protocols are siblings"),
        ("api/a.py", "import fairway", "nobody imports the root package"),
        ("api/a.py", "from fairway import push", "'push' stands in no layer"),
        ("errors.py", "from fairway import messages", "messages lies above errors"),
        ("helpers/a.py", "from fairway import errors", "'helpers' stands in no layer"),
        ("__main__.py", "from fairway import api", "__main__ opens only ['cli']"),
    ],
)
def test_a_wrong_import_is_named_with_file_line_and_reason(
    tmp_path: Path, file: str, code: str, expected: str
) -> None:
    """The check sees every way to write an import, and says what is wrong with it."""
    path = tmp_path / "fairway" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, encoding="utf-8")

    (found,) = faults_of(tmp_path)

    assert expected in found
    assert found.startswith(f"fairway/{file}:{code.count(chr(10)) + 1} ")


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("cli/serve.py", "from fairway import api, errors\nfrom fairway.settings import load_settings"),
        ("server/web/pages.py", "from ..problems import problem\nfrom ...inference.engine import Engine"),
        ("registry/metadata/sql.py", "from fairway.registry.metadata.base import Metadata"),
        ("__init__.py", "from fairway.api import push"),
    ],
)
def test_imports_downward_and_within_a_part_are_free(tmp_path: Path, file: str, code: str) -> None:
    """Nothing is said about what the layers allow."""
    path = tmp_path / "fairway" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, encoding="utf-8")

    assert faults_of(tmp_path) == []
