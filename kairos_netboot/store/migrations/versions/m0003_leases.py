"""Leases, for networks whose DHCP server this one is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("hardware", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("hold", sa.Text, nullable=False),
        sa.Column("ends", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Machines keep their addresses until their leases end, and nobody here knows of them."""
    op.drop_table("leases")
