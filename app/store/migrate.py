"""Migrates the database's schema, under a lock."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from app.errors import ConfigurationError

_FOLDER = Path(__file__).with_name("migrations")
_LOCK = 0x7265766965776572
"""The key of PostgreSQL's advisory lock for migrations."""


def migrate(connection: Connection) -> str:
    """Migrate in the connection's transaction; other processes wait meanwhile.

    Returns:
        The schema's revision.

    Raises:
        ConfigurationError: a newer version has migrated the database already.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    config = config_for(connection)
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    context = MigrationContext.configure(connection)
    unknown = set(context.get_current_heads()) - known
    if unknown:
        raise ConfigurationError(
            f"The database is at revision {', '.join(sorted(unknown))}, which this version does "
            "not know: a newer version has migrated it. Run that version, or restore a backup."
        )
    command.upgrade(config, "head")
    return str(scripts.get_current_head())


def config_for(connection: Connection) -> Config:
    """Alembic's configuration, without a file."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
