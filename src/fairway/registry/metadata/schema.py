"""The tables of the registry as today's code reads them; `migrations/` brings older databases there.

There is no table of aliases: the newest move of an alias says where it points, which the index on
`(model, alias, seq)` finds at once. The events are a chain (see `fairway.registry.audit`); `chain` holds
its head, the one row that every writer changes.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

FIRST_TABLES = frozenset(("models", "versions", "events"))
"""What every registry has had since the first migration; a database without them is something else."""

tables = MetaData()

models = Table(
    "models",
    tables,
    Column("name", String(64), primary_key=True),
    Column("latest", Integer, nullable=False),
    Column("created_at", String(32), nullable=False),
)

versions = Table(
    "versions",
    tables,
    Column("model", String(64), ForeignKey("models.name"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),
    Column("flavor", String(64), nullable=False),
    Column("model_type", Text, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("actor", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("deleted_at", String(32)),
)

events = Table(
    "events",
    tables,
    # Numbered by the head of the chain: a database's own numbers have gaps after what was undone.
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False),
    Column("actor", Text, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("model", String(64), ForeignKey("models.name")),
    Column("version", Integer),
    Column("alias", String(64)),
    Column("from_version", Integer),
    Column("to_version", Integer),
    Column("reason", Text, nullable=False),
    Column("subject", Text, nullable=False),
    # JSON as text: the hash is made of the letters.
    Column("details", Text, nullable=False),
    Column("hash", String(64), nullable=False),
    ForeignKeyConstraint(["model", "version"], ["versions.model", "versions.version"]),
    ForeignKeyConstraint(["model", "to_version"], ["versions.model", "versions.version"]),
    Index("events_by_alias", "model", "alias", "seq"),
)

# No foreign key: versions of several models may have one content, and the digest is not their key.
attachments = Table(
    "attachments",
    tables,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("subject", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("at", String(32), nullable=False),
    Column("actor", Text, nullable=False),
    Index("attachments_by_subject", "subject", "name", "seq"),
    sqlite_autoincrement=True,
)

chain = Table(
    "chain",
    tables,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
)

keys = Table(
    "keys",
    tables,
    Column("id", String(16), primary_key=True),
    Column("name", Text, nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("models", JSON, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", String(32)),
    Column("revoked_at", String(32)),
    Column("last_used_at", String(32)),
)
