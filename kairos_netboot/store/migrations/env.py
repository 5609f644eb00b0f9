"""How Alembic gets at the database: always through a connection that store/database.py hands in."""

from __future__ import annotations

from alembic import context

from kairos_netboot.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter tables in place: later migrations copy them.
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
