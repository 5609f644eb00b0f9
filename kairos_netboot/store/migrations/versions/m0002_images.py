"""Images keep their layers and what they were before; nodes, what they boot."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not through a copy: dropping `nodes` would take macs and events with it (ON DELETE CASCADE).
    op.add_column(
        "nodes", sa.Column("boot_files", sa.JSON, nullable=False, server_default=sa.text("'[]'"))
    )
    before = sa.table("images", *_KEPT, sa.column("reference"))
    rows = op.get_bind().execute(sa.select(before)).mappings().all()
    op.drop_table("images")
    images = op.create_table(
        "images",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("source", sa.JSON, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("files", sa.JSON, nullable=False),
        sa.Column("content", sa.JSON(none_as_null=True)),
        sa.Column("imported", sa.Boolean, nullable=False, server_default=sa.text("0")),
        sa.Column("former", sa.JSON(none_as_null=True)),
    )
    for row in rows:
        kept = {column.name: row[column.name] for column in _KEPT}
        source = {"reference": row["reference"], "arch": row["facts"]["arch"]}
        op.execute(sa.insert(images).values(**kept, source=source))


def downgrade() -> None:
    """Former images, and the layers of images, are forgotten."""
    after = sa.table("images", *_KEPT, sa.column("source", sa.JSON))
    rows = op.get_bind().execute(sa.select(after)).mappings().all()
    op.drop_table("images")
    images = op.create_table(
        "images",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("files", sa.JSON, nullable=False),
    )
    for row in rows:
        kept = {column.name: row[column.name] for column in _KEPT}
        op.execute(sa.insert(images).values(**kept, reference=row["source"]["reference"]))
    op.drop_column("nodes", "boot_files")


_KEPT = (
    sa.column("name", sa.Text),
    sa.column("digest", sa.Text),
    sa.column("facts", sa.JSON),
    sa.column("files", sa.JSON),
)
