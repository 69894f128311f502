"""Base classes of all bodies."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class RequestBody(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Resource(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)
