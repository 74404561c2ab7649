# ruff: noqa: INP001 - Alembic reads this folder, nobody imports it
"""Chain the events, let them be about other things than aliases, keep keys, and let versions be deleted."""

import sqlalchemy as sa
from alembic import op

from fairway.registry.audit import EMPTY, chained
from fairway.registry.records import Event

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KEPT = ("seq", "at", "actor", "kind", "model", "version", "alias", "from_version", "to_version", "reason")


def upgrade() -> None:
    """Make the new tables, and record the events of old again, in their order, as a chain."""
    op.add_column("versions", sa.Column("deleted_at", sa.String(32)))
    op.create_table(
        "keys",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("models", sa.JSON, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires_at", sa.String(32)),
        sa.Column("revoked_at", sa.String(32)),
        sa.Column("last_used_at", sa.String(32)),
    )
    chain = op.create_table(
        "chain",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    connection = op.get_bind()
    rows = connection.execute(sa.text(f"SELECT {', '.join(_KEPT)} FROM events ORDER BY seq")).mappings().all()  # noqa: S608 - our own names
    # Made anew rather than altered: SQLite changes no column, and the numbers become those of the chain.
    op.drop_index("events_by_alias", "events")
    op.drop_table("events")
    events = _create_events()
    head = EMPTY
    for row in rows:
        event = chained(Event(**row), head)
        head = head.__class__(event.seq, event.hash)
        values = {name: getattr(event, name) for name in (*_KEPT, "subject", "hash")}
        connection.execute(sa.insert(events).values(values | {"details": "{}"}))
    connection.execute(sa.insert(chain).values(id=1, seq=head.seq, hash=head.hash))


def _create_events() -> sa.Table:
    events = op.create_table(
        "events",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False
        ),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("model", sa.String(64), sa.ForeignKey("models.name")),
        sa.Column("version", sa.Integer),
        sa.Column("alias", sa.String(64)),
        sa.Column("from_version", sa.Integer),
        sa.Column("to_version", sa.Integer),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["model", "version"], ["versions.model", "versions.version"]),
        sa.ForeignKeyConstraint(["model", "to_version"], ["versions.model", "versions.version"]),
    )
    op.create_index("events_by_alias", "events", ["model", "alias", "seq"])
    return events
