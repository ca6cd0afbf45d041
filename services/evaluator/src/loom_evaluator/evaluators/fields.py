"""Reads the part of a record that an evaluator looks at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from loom_common.contracts.v1 import TransformedRecord
from loom_evaluator.evaluators.opinion import cannot_score


def output_value(record: TransformedRecord, field: str | None) -> Any:
    """Return the named output field; without a name the only field, else the whole output as JSON text."""
    output = record.result
    if field is not None:
        return _named(output, field, "output")
    if len(output) == 1:
        return next(iter(output.values()))
    return text_of(output)


def single_value(record: TransformedRecord, field: str | None) -> Any:
    """Return the named output field, or the only one. Raises `RecordError` where there are several to choose from."""
    if field is None and len(record.result) != 1:
        fields = ", ".join(record.result) or "no field"
        raise cannot_score(f"the output has {fields}; name one as `field`")
    return output_value(record, field)


def output_text(record: TransformedRecord, field: str | None) -> str:
    """Return the output value as text. Raises `RecordError` where it is null."""
    value = output_value(record, field)
    if value is None:
        raise cannot_score(f"the output field {_quoted(field)}is null; expected text")
    return text_of(value)


def reference_value(record: TransformedRecord, field: str) -> Any:
    """Return the input field that holds what was expected."""
    return _named(record.input, field, "input")


def input_text(record: TransformedRecord, field: str) -> str:
    """Return an input field as text to judge by. Raises `RecordError` where it is missing, null or blank."""
    value = reference_value(record, field)
    text = "" if value is None else text_of(value)
    if not text.strip():
        raise cannot_score(f"the input field '{field}' is empty; expected text to judge by")
    return text


def text_of(value: Any) -> str:
    """Return text as it is; anything else as JSON: fields in their order, `true`, `null`, UTF-8."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def canonical(value: Any) -> str:
    """Return text as it is; anything else as JSON with sorted keys, so that equal values have equal texts."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _named(values: Mapping[str, Any], field: str, whose: str) -> Any:
    if field not in values:
        there = ", ".join(values) or "none"
        raise cannot_score(f"the {whose} has no field '{field}'; its fields: {there}")
    return values[field]


def _quoted(field: str | None) -> str:
    return f"'{field}' " if field else ""
