"""Brings the database to the form that this code knows, under a lock."""

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
"""Of PostgreSQL's advisory locks, the one that whoever migrates holds."""


def migrate(connection: Connection) -> str:
    """In the connection's transaction; one process at a time, the others wait.

    Returns:
        The revision that it is at now.

    Raises:
        ConfigurationError: newer code has migrated it already.
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
            "not know: a newer one has migrated it. Run that one, or restore a backup."
        )
    command.upgrade(config, "head")
    return str(scripts.get_current_head())


def config_for(connection: Connection) -> Config:
    """Alembic's, without a file."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
