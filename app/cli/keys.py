"""``reviewer keys``."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from app.api.auth import checked_name, hash_of, new_key
from app.errors import ConfigurationError

keys = typer.Typer(help="API keys.", no_args_is_help=True)


@keys.command()
def create(name: Annotated[str, typer.Argument(help="Owner of the key; shown in logs.")]) -> None:
    """Create an API key. It is printed once and not stored; the service needs only its SHA-256."""
    try:
        checked_name(name)
    except ConfigurationError as error:
        raise typer.BadParameter(error.message) from error
    key = new_key()
    digest = hash_of(key)
    sys.stdout.write(
        f"{key}\n\n"
        "This is the key; it is not shown again. Give the service one of these:\n"
        f"  a line in the file REVIEWER_API_KEYS_FILE:  {name} {digest}\n"
        f"  REVIEWER_API_KEYS='{json.dumps({name: digest})}'\n"
    )
