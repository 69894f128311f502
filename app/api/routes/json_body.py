"""Decodes untrusted JSON directly into the expected types, so that no other objects are created.

Twelve megabytes of ``[],[],...`` would become four million lists. Values that are not examined stay
slices of the body (``msgspec.Raw``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar

import msgspec

from app.errors import InvalidRequest, RequestTooLarge

T = TypeVar("T")

Scalar = str | int | float | bool | None
_UNKNOWN = re.compile(r"Object contains unknown field `(.{1,80})")
_LONGEST_MESSAGE = 300
_MOST_BRACKETS = 500_000
"""Even skipping millions of lists takes a fifth of a second, in which no other thread runs.
Brackets within strings count too: two megabytes of LaTeX have a hundred thousand."""


def decoded(body: bytes | msgspec.Raw, kind: type[T], param: str | None = None) -> T:
    """Decode ``body`` as ``kind``. Large bodies take milliseconds: call it in a thread.

    Raises:
        InvalidRequest: the body is not JSON, or not of this kind.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        message = str(error)[:_LONGEST_MESSAGE]
        unknown = _UNKNOWN.match(message)
        if unknown:
            name = unknown[1].partition("`")[0]
            raise InvalidRequest(message, name, code="unknown_field") from error
        raise InvalidRequest(f"{param}: {message}" if param else message, param) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            f"The body is not JSON: {error}.", param, code="invalid_json"
        ) from error


def fields_of(body: bytes, names: Iterable[str]) -> dict[str, msgspec.Raw]:
    """The fields of a JSON object, as raw JSON. Only ``names`` are allowed.

    Raises:
        RequestTooLarge: the body has too many lists and objects.
        InvalidRequest: the body is not a JSON object, or has another field.
    """
    if body.count(b"[") + body.count(b"{") > _MOST_BRACKETS:
        raise RequestTooLarge(f"JSON may have at most {_MOST_BRACKETS:,} lists and objects.")
    whole = decoded(body, _object_of(frozenset(names)))
    values = msgspec.structs.asdict(whole)
    return {name: value for name, value in values.items() if value is not msgspec.UNSET}


@cache
def _object_of(names: frozenset[str]) -> type[msgspec.Struct]:
    value: Any = msgspec.Raw | msgspec.UnsetType
    fields = [(name, value, msgspec.UNSET) for name in sorted(names)]
    return msgspec.defstruct("Object", fields, forbid_unknown_fields=True)


def scalars_of(body: bytes, names: Iterable[str]) -> dict[str, Any]:
    """The fields of a JSON object whose values are strings, numbers, booleans or null.

    Raises:
        InvalidRequest: the body is anything else, or has another field.
    """
    fields = fields_of(body, names)
    # mypy does not accept a union as type[T].
    kind: Any = Scalar
    return {name: decoded(raw, kind, name) for name, raw in fields.items()}
