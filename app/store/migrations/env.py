"""Run by Alembic, on the connection that :mod:`app.store.migrate` gives it."""

from __future__ import annotations

from alembic import context

from app.store.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
