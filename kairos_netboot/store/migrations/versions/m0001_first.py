"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "nodes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, unique=True),
        sa.Column("spec", sa.JSON),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("boots", sa.Integer, nullable=False),
        sa.Column("document_key", sa.Text, nullable=False),
        sa.Column("report_keys", sa.JSON, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
    )
    op.create_table(
        "macs",
        sa.Column("mac", sa.Text, primary_key=True),
        sa.Column(
            "node", sa.Integer, sa.ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False
        ),
    )
    op.create_index("ix_macs_node", "macs", ["node"])
    op.create_table("settled_macs", sa.Column("mac", sa.Text, primary_key=True))
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "node", sa.Integer, sa.ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("once", sa.Text),
        sa.UniqueConstraint("node", "once", name="once_per_node"),
    )
    op.create_index("ix_events_node", "events", ["node"])
    op.create_table(
        "images",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("files", sa.JSON, nullable=False),
    )
    op.create_table(
        "profiles",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("spec", sa.JSON, nullable=False),
    )
    op.create_table(
        "settings",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.JSON, nullable=False),
    )


def downgrade() -> None:
    for table in ("settings", "profiles", "images", "events", "settled_macs", "macs", "nodes"):
        op.drop_table(table)
