"""Alembic's folder: one numbered file for each change of the schema."""
