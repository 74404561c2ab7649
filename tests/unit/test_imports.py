"""What an import costs: which modules are loaded, counted in a fresh process. No clock is asked."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "aiohttp", "alembic", "httptools", "jinja2", "joblib", "numpy", "pandas", "polars", "prometheus_client",
    "pyarrow", "rich", "scipy", "sklearn", "sqlalchemy", "sqlite3", "starlette", "uvicorn", "uvloop",
}  # fmt: skip


def modules_after(code: str) -> set[str]:
    """Return the modules that *code* loads beyond those of a bare interpreter."""
    script = (
        "import sys; before = set(sys.modules)\n"
        f"{code}\n"
        "import json; print('\\n' + json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def ours_and_theirs(modules: set[str]) -> set[str]:
    """Return the top-level packages that are not of the standard library.

    msgspec imports typing_extensions where it happens to be installed.
    """
    packages = {module.partition(".")[0] for module in modules}
    return packages - sys.stdlib_module_names - {"_distutils_hack", "_virtualenv", "typing_extensions"}


def test_import_fairway_loads_nothing_but_itself() -> None:
    """`import fairway` loads one module of ours and no other package; names come when they are used."""
    modules = modules_after("import fairway")
    assert ours_and_theirs(modules) == {"fairway"}
    assert {module for module in modules if module.startswith("fairway")} == {"fairway"}
    assert len(modules) <= 40


def test_the_client_needs_only_msgspec() -> None:
    """A program that only asks a server loads no numpy, no framework, and no server."""
    modules = modules_after("import fairway; fairway.Client('http://127.0.0.1:1')")
    assert ours_and_theirs(modules) == {"fairway", "msgspec"}
    assert len(modules) <= 160


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["demo", "--help"]])
def test_the_command_line_starts_light(arguments: list[str]) -> None:
    """Help loads click, and no numpy, SQLAlchemy, Starlette or uvicorn."""
    modules = modules_after(f"from fairway.cli.main import main; main({arguments!r})")
    assert ours_and_theirs(modules) == {"fairway", "click"}
    assert not HEAVY & {module.partition(".")[0] for module in modules}
    assert len(modules) <= 260


def test_errors_and_settings_load_no_other_package() -> None:
    """The lowest layers stand on the standard library alone."""
    assert ours_and_theirs(modules_after("import fairway.errors, fairway.settings")) == {"fairway"}
