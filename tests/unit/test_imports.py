"""What an import costs: budgets on modules, which hold on every machine, instead of on seconds."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "fairway"

# Behind extras: imported by the one function that needs them, never when a module is loaded.
EXTRAS = {"joblib", "pandas", "polars", "pyarrow", "scipy", "sklearn"}
HEAVY = EXTRAS | {"alembic", "jinja2", "numpy", "prometheus_client", "sqlalchemy", "starlette", "uvicorn"}


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter loads for a statement, beyond those it always has."""
    code = (
        f"import json, sys; before = set(sys.modules); {statement}; "
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return set(json.loads(done.stdout))


def tops(modules: set[str]) -> set[str]:
    """Return the packages that modules belong to."""
    return {module.partition(".")[0] for module in modules}


def imported_on_load(path: Path) -> Iterator[str]:
    """Yield the packages that a file imports outside of functions and type-checking blocks."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]
        elif not runs_later(node):
            waiting.extend(ast.iter_child_nodes(node))


def runs_later(node: ast.AST) -> bool:
    """Return whether what stands below a node does not run when its file is imported."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def test_importing_fairway_costs_next_to_nothing() -> None:
    """`import fairway` loads no number library, no server and no database, and few modules at all."""
    modules = loaded_by("import fairway")

    assert not tops(modules) & HEAVY
    assert len(modules) <= 40, sorted(modules)


def test_the_command_line_starts_light() -> None:
    """A verb pays for what it uses: the command line itself loads none of the heavy packages."""
    assert not tops(loaded_by("import fairway.cli.main")) & HEAVY


def test_the_client_needs_no_server_side_package() -> None:
    """A program that only asks a server loads neither numbers nor the server."""
    assert not tops(loaded_by("from fairway.client.client import Client")) & HEAVY


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_module_needs_an_extra_to_be_imported(path: Path) -> None:
    """Every module can be imported with the core alone; extras are loaded by the function that needs them."""
    assert not set(imported_on_load(path)) & EXTRAS
