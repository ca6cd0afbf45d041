"""Defines typed results that are printed and returned as JSON: the base class of what the read models give."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


class Shown:
    """Serves as the base of a frozen dataclass that people and programs are shown. Its JSON has the names of its
    fields."""

    __slots__ = ()

    def as_json(self) -> dict[str, Any]:
        """Return the fields as values of JSON: times and dates become ISO 8601 text, and nested results become
        objects."""
        assert dataclasses.is_dataclass(self)
        return {field.name: as_json(getattr(self, field.name)) for field in dataclasses.fields(self)}


def as_json(value: Any) -> Any:
    """Return the value as `json.dumps` takes it. What is JSON already is given back as it is."""
    if isinstance(value, Shown):
        return value.as_json()
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, dt.date):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: as_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    return value
