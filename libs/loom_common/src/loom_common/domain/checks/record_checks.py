"""Checks what a record must have before it enters a run, from a source or a replay."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.values.ids import bounded
from loom_common.domain.values.near import closest
from loom_common.errors import RecordError


def key_of(data: Mapping[str, Any], keys: Sequence[str], place: str = "its place") -> str:
    """Return the key fields as text, joined by `|`. Raises `RecordError` where one is missing, null or empty."""
    for key in keys:
        if data.get(key) in (None, ""):
            state = "missing" if key not in data else "null" if data[key] is None else "empty"
            raise RecordError(
                f"The key field '{key}' is {state} at {place}; the record has {_fields(data)}.", code="missing_key"
            )
    parts = [_text(data[key]) for key in keys]
    if len(parts) > 1:  # so that ("a|b", "c") and ("a", "b|c") are two keys
        parts = [part.replace("\\", "\\\\").replace("|", "\\|") for part in parts]
    return bounded("|".join(parts))


def carried_from_input(pipeline: Pipeline) -> tuple[str, ...]:
    """Return the fields of `load.include` that must come from the input, because the output is not declared to have
    them.

    Where the output is not declared, none are returned: its fields are known only when it is there."""
    schema = pipeline.transform.declared_schema
    if schema is None:
        return ()
    given = schema.get("properties", {})
    return tuple(name for name in pipeline.load.include if name not in given)


def see_fields(data: Mapping[str, Any], names: Iterable[str], place: str) -> None:
    """Raise `RecordError` where the record lacks a field that is loaded with its output: it would be loaded empty."""
    for name in names:
        if name not in data:
            near = closest(name, list(data))
            hint = f" Did you mean '{near}'?" if near else ""
            raise RecordError(
                f"`load.include` names '{name}', which the record at {place} lacks; it has {_fields(data)}.{hint}",
                code="missing_field",
                details={"field": name},
            )


def see_order_key(data: Mapping[str, Any], fields: Iterable[str], place: str) -> None:
    """Raise `RecordError` where the record has no value by which it is in sequence with others."""
    for name in fields:
        if data.get(name) in (None, ""):
            state = "missing" if name not in data else "null" if data[name] is None else "empty"
            raise RecordError(
                f"`order_by` names '{name}', which is {state} at {place}; the record has {_fields(data)}.",
                code="missing_order_key",
                details={"field": name},
            )


def see_that_the_key_stays(data: Mapping[str, Any], output: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Raise `RecordError` where the output would overwrite a key field with another value."""
    for key in keys:
        if key in output and key in data and _text(output[key]) != _text(data[key]):
            raise RecordError(
                f"The output's field '{key}' would overwrite the record's key: {data[key]!r} would become "
                f"{output[key]!r}. Give the output's field another name.",
                code="key_overwritten",
                details={"output": dict(output)},
            )


def _fields(data: Mapping[str, Any]) -> str:
    return ", ".join(map(str, data)) or "no field at all"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
