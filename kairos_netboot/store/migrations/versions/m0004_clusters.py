"""Clusters, agents, power, logs, and what a node's boot is for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _nodes()
    op.create_table(
        "given_names",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("mac", sa.Text, nullable=False, index=True),
    )
    op.create_table(
        "members",
        sa.Column("node", sa.Text, primary_key=True),
        sa.Column("cluster", sa.Text, nullable=False, index=True),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
    )
    op.create_table(
        "cluster_secrets",
        sa.Column("cluster", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "logins",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("sealed", sa.Text, nullable=False),
    )
    _agents()
    op.create_table(
        "logs",
        sa.Column("id", sa.Integer, primary_key=True),
        _node(index=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )


def _nodes() -> None:
    for column in (
        sa.Column("phone_keys", sa.JSON, nullable=False, server_default=sa.text("'[]'")),
        sa.Column("running", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("action_order", sa.JSON(none_as_null=True)),
        sa.Column("denied", sa.Boolean, nullable=False, server_default=sa.text("0")),
        sa.Column("seen", sa.BigInteger),
    ):
        op.add_column("nodes", column)


def _agents() -> None:
    op.create_table(
        "agents",
        _node(primary_key=True),
        sa.Column("key", sa.Text, nullable=False, index=True),
        sa.Column("machine_id", sa.Text, nullable=False),
        sa.Column("registered", sa.BigInteger, nullable=False),
        sa.Column("seen", sa.BigInteger, nullable=False),
        sa.Column("boot_state", sa.Text, nullable=False),
        sa.Column("told", sa.JSON, nullable=False),
    )
    op.create_table(
        "commands",
        sa.Column("id", sa.Text, primary_key=True),
        _node(index=True),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("args", sa.JSON, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
    )


def _node(*, primary_key: bool = False, index: bool = False) -> sa.Column[int]:
    owner = sa.ForeignKey("nodes.id", ondelete="CASCADE")
    return sa.Column(
        "node", sa.Integer, owner, primary_key=primary_key, nullable=False, index=index
    )


def downgrade() -> None:
    """Clusters lose their secrets: their nodes keep them, new ones cannot join."""
    for table in (
        "given_names",
        "members",
        "cluster_secrets",
        "logins",
        "agents",
        "commands",
        "logs",
    ):
        op.drop_table(table)
    for column in ("phone_keys", "running", "action_order", "denied", "seen"):
        op.drop_column("nodes", column)
