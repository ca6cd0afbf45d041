"""Reads the schema of records from the JSON Schema that a pipeline declares for its output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from loom_common.domain.quality.bounds import has_value
from loom_common.domain.schema.columns import Column, ColumnType, joined
from loom_common.domain.schema.inference import column_of

_TYPES: Mapping[str, ColumnType] = {name: name for name in get_args(ColumnType)}


def declared(schema: Mapping[str, Any]) -> dict[str, Column] | None:
    """Return the columns that a JSON Schema declares; None where it names no fields, because it takes all records."""
    fields = schema.get("properties")
    if not isinstance(fields, Mapping) or not fields:
        return None
    required = schema.get("required", ())
    return {str(name): _column(field, lacking=name not in required) for name, field in fields.items()}


def _column(field: Any, *, lacking: bool) -> Column:
    """Return the column of a field; of `any` type where the field says none."""
    written = field.get("type") if isinstance(field, Mapping) else None
    names = [written] if isinstance(written, str) else list(written or ())
    kinds = [Column(type=_TYPES.get(name, "any")) for name in names if name != "null"]
    nullable = lacking or "null" in names
    if not kinds and isinstance(field, Mapping):
        listed = field.get("enum", ())
        nullable = nullable or None in listed
        kinds = [Column(type=column_of(value).type) for value in listed if has_value(value)]
    if not kinds:
        return Column(type="any", nullable=True)
    found = kinds[0]
    for kind in kinds[1:]:
        found = joined(found, kind)
    return found.model_copy(update={"nullable": nullable})
