"""Settings of the service, on one kind of database or on both."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from app.settings import Settings


@pytest.fixture
def settings() -> Settings:
    """With SQLite. What differs between the databases, the tests of the store show."""
    return Settings(shutdown_delay_s=0, shutdown_grace_s=0)


@pytest.fixture
def either(settings: Settings, database_url: SecretStr | None) -> Settings:
    """With SQLite, and once more with PostgreSQL."""
    return settings.model_copy(update={"database_url": database_url})
