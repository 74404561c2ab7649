"""A registry of every released form is brought to today's, on both databases; its events become a chain."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairway.bundle.bundle import Bundle, build_bundle
from fairway.registry.metadata.sql import SqlMetadata
from fairway.registry.metadata.views import REVISIONS
from fairway.registry.registry import Registry, open_registry

OLDER = Path(__file__).resolve().parents[1] / "fixtures" / "registries"
TABLES = ("models", "versions", "events", "attachments")


def lay_file(request: pytest.FixtureRequest, home: Path, script: str) -> str:
    """Make the file of an older registry."""
    home.mkdir()
    with contextlib.closing(sqlite3.connect(home / "registry.db")) as connection:
        connection.executescript(script)
    return ""


def lay_schema(request: pytest.FixtureRequest, home: Path, script: str) -> str:
    """Make the older tables by the migrations of their time, and copy the same rows into them."""
    from alembic import command
    from alembic.config import Config

    from fairway.registry.metadata.postgres import PostgresDatabase
    from fairway.registry.metadata.sql import _MIGRATIONS

    url: str = request.getfixturevalue("postgres").url()
    with contextlib.closing(sqlite3.connect(":memory:")) as older:
        older.executescript(script)
        ((revision,),) = older.execute("SELECT version_num FROM alembic_version")
        rows = {name: rows_of(older, name) for name in TABLES}
    database = PostgresDatabase(url)
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with database.migrating() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        for name, found in rows.items():
            for row in found:
                marks = ", ".join(["%s"] * len(row))
                connection.exec_driver_sql(f"INSERT INTO {name} VALUES ({marks})", row)  # noqa: S608
    database.close()
    return url


def rows_of(connection: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    """Return the rows of a table; none of one that is not there."""
    try:
        return connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - one of ours
    except sqlite3.OperationalError:
        return []


LAYERS: dict[str, Callable[..., str]] = {"postgres": lay_schema, "sqlite": lay_file}


@pytest.fixture(params=sorted(LAYERS))
def lay(request: pytest.FixtureRequest, home: Path) -> Callable[[str], str]:
    """Give the function that makes an older registry and returns the address of its database."""
    return lambda script: LAYERS[request.param](request, home, script)


def test_every_older_form_is_kept() -> None:
    """A new migration needs the form before it among the fixtures."""
    assert {path.stem for path in OLDER.glob("*.sql")} == set(REVISIONS[:-1])


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_an_older_registry_is_brought_forward(lay: Callable[[str], str], home: Path, revision: str) -> None:
    """What it held is as it was, its events are a chain that holds, and it goes on from there."""
    database = lay((OLDER / f"{revision}.sql").read_text(encoding="utf-8"))

    with open_registry(home, database=database) as registry:
        told = [(event.seq, event.kind, event.model, event.reason) for event in registry.audit()]
        assert told == [
            (1, "register", "coffee", "try 1"),
            (2, "register", "coffee", "try 2"),
            (3, "alias", "coffee", ""),
        ]
        assert registry.verify_audit() is None
        assert registry.head().seq == 3
        assert registry.models()[0].aliases == {"production": 1}
        assert [version.version for version in registry.versions("coffee")] == [1, 2]
        assert registry.metadata.check() == []
        with registry.metadata.read() as view:
            attached = {record.name: record.actor for record in view.all_attachments()}
        assert attached == ({} if revision == "0001" else {"compiled": "Zoë"})
        go_on(registry)

    with open_registry(home, database=database) as registry:
        assert registry.verify_audit() is None


def go_on(registry: Registry) -> None:
    """Register, move and roll back as in a new one."""
    version = registry.register(tiny_bundle(), actor="bob")
    registry.promote("coffee", version.version, actor="bob", expected=1)
    assert version.version == 3
    assert registry.rollback("coffee", actor="bob").to_version == 1
    assert [event.seq for event in registry.audit()] == [1, 2, 3, 4, 5, 6]
    assert registry.verify_audit() is None


def tiny_bundle() -> Bundle:
    """Return a bundle of one file."""
    facts = {"flavor": "sklearn", "created": "", "model_type": "", "python": "", "fairway": ""}
    return build_bundle({"model.bin": b"weights"}, name="coffee", **facts)


@pytest.mark.parametrize("column", ["reason", "actor", "at"])
def test_the_chain_of_old_events_is_a_chain(lay: Callable[[str], str], home: Path, column: str) -> None:
    """From the day of the migration on, nobody rewrites what was before it."""
    database = lay((OLDER / "0001.sql").read_text(encoding="utf-8"))
    with open_registry(home, database=database) as registry:
        assert isinstance(registry.metadata, SqlMetadata)
        with registry.metadata.write() as change:
            change._execute(f"UPDATE events SET {column} = 'x' WHERE seq = 2", {})  # type: ignore[attr-defined]  # noqa: S608
        broken = registry.verify_audit()

    assert broken is not None
    assert broken.seq == 2
