"""A store on each kind of database."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from pydantic import SecretStr

from app.settings import Settings
from app.store.storage import Storage
from app.store.store import Store
from tests.store.helpers import opened


@pytest.fixture
async def storage(database_url: SecretStr | None) -> AsyncGenerator[Storage, None]:
    async with opened(Settings(database_url=database_url)) as storage:
        yield storage


@pytest.fixture
def store(storage: Storage) -> Store:
    return storage.store
