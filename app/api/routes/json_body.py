"""JSON of strangers: decoded straight into what is expected, so that nothing else is ever built.

Twelve megabytes of ``[],[],...`` would be four million lists. A value that is not looked into stays
a slice of the body (``msgspec.Raw``).
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
"""Also to skip millions of lists takes a fifth of a second, in which no other thread runs. Brackets
in a text count too: two megabytes of LaTeX have a hundred thousand."""


def decoded(body: bytes | msgspec.Raw, kind: type[T], param: str | None = None) -> T:
    """``body`` as ``kind``. Large bodies take milliseconds: off the loop.

    Raises:
        InvalidRequest: it is no JSON, or holds something else.
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
    """The values of an object that may hold these names, each as it was sent.

    Raises:
        RequestTooLarge: it holds more than any request needs.
        InvalidRequest: it is no JSON object, or holds another name.
    """
    if body.count(b"[") + body.count(b"{") > _MOST_BRACKETS:
        raise RequestTooLarge(f"JSON may hold {_MOST_BRACKETS:,} lists and objects.")
    whole = decoded(body, _object_of(frozenset(names)))
    values = msgspec.structs.asdict(whole)
    return {name: value for name, value in values.items() if value is not msgspec.UNSET}


@cache
def _object_of(names: frozenset[str]) -> type[msgspec.Struct]:
    value: Any = msgspec.Raw | msgspec.UnsetType
    fields = [(name, value, msgspec.UNSET) for name in sorted(names)]
    return msgspec.defstruct("Object", fields, forbid_unknown_fields=True)


def scalars_of(body: bytes, names: Iterable[str]) -> dict[str, Any]:
    """An object of texts, numbers and booleans, and of nothing that holds others.

    Raises:
        InvalidRequest: it is something else, or holds another name.
    """
    fields = fields_of(body, names)
    # Scalar is a union, which is no type to mypy.
    kind: Any = Scalar
    return {name: decoded(raw, kind, name) for name, raw in fields.items()}
