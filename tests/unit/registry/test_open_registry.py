"""Opening a home folder: what is made, and what is left alone because it is something else."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fairway.errors import RegistryInvalid, SchemaNewer, StoreUnavailable
from fairway.registry.registry import open_registry


def make_foreign_database(path: Path) -> None:
    """Write a database of another program, which happens to use Alembic as well."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('1bd49d398cd23')")
        connection.execute("CREATE TABLE experiments (id INTEGER)")
    connection.close()


def set_revision(path: Path, revision: str) -> None:
    """Make a registry look as if another release had migrated it."""
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda path: path.write_text("not a database, but longer than a header"), id="text"),
        pytest.param(lambda path: path.write_bytes(b"SQLite"), id="too short"),
        pytest.param(lambda path: path.write_bytes(b"SQLite format 3\0" + b"\xff" * 84), id="header only"),
        pytest.param(make_foreign_database, id="another program's database"),
    ],
)
def test_a_file_that_is_no_registry_is_left_untouched(home: Path, write: Callable[[Path], None]) -> None:
    """The error says so, and not a byte of the file changes."""
    home.mkdir()
    path = home / "registry.db"
    write(path)
    before = path.read_bytes(), path.stat().st_mtime_ns

    with pytest.raises(RegistryInvalid) as caught:
        open_registry(home)

    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert str(path) in caught.value.detail
    assert "FAIRWAY_HOME" in caught.value.hint


def test_a_folder_in_place_of_the_file_is_named(home: Path) -> None:
    """A directory called registry.db is no registry."""
    (home / "registry.db").mkdir(parents=True)

    with pytest.raises(RegistryInvalid, match="is a folder, not a file"):
        open_registry(home)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes in folders")
def test_a_pipe_in_place_of_the_file_does_not_block(home: Path) -> None:
    """Only a regular file is opened; a pipe without a writer would hang."""
    home.mkdir()
    os.mkfifo(home / "registry.db")

    with pytest.raises(RegistryInvalid, match="is not a regular file"):
        open_registry(home)


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_place_of_the_home_folder_is_left_untouched(home: Path, below: str) -> None:
    """The home folder cannot be, or lie in, a file."""
    home.write_text("mine")

    with pytest.raises(RegistryInvalid, match="home folder"):
        open_registry(home / below)

    assert home.read_text() == "mine"


@pytest.mark.parametrize("revision", ["0004", "9999", ""])
def test_a_registry_of_a_newer_release_is_left_untouched(home: Path, revision: str) -> None:
    """An unknown revision is refused before anything is written, with the way out."""
    open_registry(home).close()
    path = home / "registry.db"
    set_revision(path, revision)
    before = path.read_bytes()

    with pytest.raises(SchemaNewer) as caught:
        open_registry(home)

    assert path.read_bytes() == before
    assert f"{revision!r}" in caught.value.detail
    assert "upgrade" in caught.value.hint


def test_a_transaction_that_a_kill_left_open_is_undone(home: Path, tmp_path: Path) -> None:
    """The first start sets up the file under a rollback journal, which is applied if it was killed there."""
    open_registry(home).close()
    connection = sqlite3.connect(home / "registry.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN")
    for n in range(20):  # more than the cache holds, so that half of it stands in the file
        connection.execute("INSERT INTO models VALUES (?, 1, '')", (f"model-{n}" * 500,))
    killed = shutil.copytree(home, tmp_path / "killed")
    connection.close()
    assert (killed / "registry.db-journal").stat().st_size > 0

    with open_registry(killed) as registry:
        assert registry.models() == []
        assert registry.check() == []


@pytest.mark.parametrize("name", ["plain", "with space", "100%", "quest?ion", "hash#tag", "käse", "a&b=c;d"])
def test_any_folder_name_works(tmp_path: Path, name: str) -> None:
    """Characters that mean something in a URL or a configuration file are only a name here."""
    for _ in range(2):
        with open_registry(tmp_path / name) as registry:
            assert registry.models() == []
            assert registry.change_token() == registry.change_token()

    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_an_empty_file_becomes_a_registry(home: Path) -> None:
    """A first start that was killed early leaves a file of no bytes; the next start goes on from there."""
    home.mkdir()
    (home / "registry.db").touch()

    with open_registry(home) as registry:
        assert registry.models() == []


def test_a_first_start_that_fails_in_the_middle_is_repeated(home: Path) -> None:
    """Tables are made in one transaction: an empty database is what an interrupted one leaves."""
    home.mkdir()
    connection = sqlite3.connect(home / "registry.db")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE x (y)")
    connection.execute("DROP TABLE x")
    connection.close()

    with open_registry(home) as registry:
        assert registry.models() == []


def test_an_impossible_folder_name_is_an_error_of_ours(tmp_path: Path) -> None:
    """What the file system refuses does not reach a user as an OSError."""
    with pytest.raises(StoreUnavailable, match="cannot be made"):
        open_registry(tmp_path / ("x" * 300))


def test_opening_a_current_registry_does_not_import_alembic(home: Path) -> None:
    """Only a migration needs it: it would double the time of every command."""
    open_registry(home).close()
    program = (
        "import sys; from pathlib import Path\n"
        "from fairway.registry.registry import open_registry\n"
        "assert 'sqlalchemy' not in sys.modules\n"
        "open_registry(Path(sys.argv[1])).models()\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'alembic', 'mako', 'numpy', 'pandas'}))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(home)], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
