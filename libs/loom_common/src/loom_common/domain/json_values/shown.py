"""Defines typed results that are printed and returned as JSON: the base class of what the read models give."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from loom_common.domain.sealing.tokens import masked_text


class Shown:
    """Serves as the base of a frozen dataclass that people and programs are shown. Its JSON has the names of its
    fields."""

    __slots__ = ()

    def as_json(self) -> dict[str, Any]:
        """Return the fields as values of JSON: times and dates become ISO 8601 text, and nested results become
        objects."""
        assert dataclasses.is_dataclass(self)
        return {field.name: as_json(getattr(self, field.name)) for field in dataclasses.fields(self)}

    def _repr_html_(self) -> str:
        """Return the same as a table, which notebooks show."""
        from loom_common.domain.json_values.html_tables import as_html

        return as_html(self.as_json())


def as_json(value: Any) -> Any:
    """Return the value as `json.dumps` takes it, with `***` for every sealed value. What else is JSON already is given
    back as it is."""
    return _json(value, masked_text)


def unmasked_json(value: Any) -> Any:
    """Return the same with sealed values as they are: for a result that may be opened before it is shown."""
    return _json(value, str)


def _json(value: Any, text: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Shown):
        return value.as_json()
    if isinstance(value, BaseModel):
        return _json(value.model_dump(), text)
    if isinstance(value, dt.date):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _json(each, text) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json(each, text) for each in value]
    return value
