"""Finds what of an output is compared with the labels, and how."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from loom_common.domain.definition.evaluators import ExactMatch
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.schema.output import json_schema
from loom_common.errors import ConfigurationError

_CONFIDENCE = "confidence"
_FEW = 20
"""Up to so many different whole numbers are classes, where nothing says what they are."""


class Kind(StrEnum):
    """Says what kind of value the labels are, which decides what is measured."""

    CLASSES = "classes"
    NUMBERS = "numbers"


@dataclass(frozen=True, slots=True)
class Target:
    """Says which field of the output is compared with the labels."""

    field: str
    confidence: str | None
    """The field that holds how sure the output says it is; None where there is none."""
    label: str | None
    """The column that the pipeline itself compares the field with; None where it compares it with none."""


def target_of(pipeline: Pipeline, field: str | None, confidence: str | None) -> Target:
    """Return what is compared: the fields that are named, else those that the pipeline suggests. Raises
    `ConfigurationError` where it suggests none, or its output is declared without them."""
    declared = _declared(pipeline)
    matches = [
        each for each in (pipeline.evaluate.evaluators if pipeline.evaluate else ()) if isinstance(each, ExactMatch)
    ]
    for name, option in ((field, "--field"), (confidence, "--confidence")):
        if name is not None and declared and name not in declared:
            raise ConfigurationError(
                f"{option}: the output of {pipeline.name} has no field '{name}'; it has {', '.join(declared)}."
            )
    if field is None:
        field = next((each.field for each in matches if each.field is not None), None) or _only(declared)
    if field is None:
        known = f"; the output has {', '.join(declared)}" if declared else ""
        raise ConfigurationError(
            f"Which field of the output of {pipeline.name} do the labels say? Name it with --field{known}."
        )
    if confidence is None and _CONFIDENCE in declared and field != _CONFIDENCE:
        confidence = _CONFIDENCE
    label = next((each.reference_field for each in matches if each.field in (field, None)), None)
    return Target(field, confidence, label)


def kind_of(pipeline: Pipeline, field: str, labels: Iterable[Any]) -> Kind:
    """Return what the labels are: numbers where the output declares a number, or where they look like measurements."""
    declared = _declared(pipeline).get(field)
    said = declared.get("type") if isinstance(declared, Mapping) else None
    if isinstance(declared, Mapping) and "enum" in declared:
        return Kind.CLASSES
    if said is not None:
        return Kind.NUMBERS if said == "number" else Kind.CLASSES
    numbers = [number_of(each) for each in labels]
    if any(each is None for each in numbers):
        return Kind.CLASSES
    found = {each for each in numbers if each is not None}
    measured = any(not each.is_integer() for each in found) or len(found) > _FEW
    return Kind.NUMBERS if measured else Kind.CLASSES


def number_of(value: Any) -> float | None:
    """Return a value as a number; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def class_of(value: Any) -> str:
    """Return the class that a value names. Values of two types are one class where they are written alike: the number 5
    and the text `5`, `true` and `True`."""
    if isinstance(value, str):
        text = value.strip()
        return text.lower() if text in ("True", "False", "TRUE", "FALSE") else text
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _declared(pipeline: Pipeline) -> Mapping[str, Any]:
    shape = pipeline.transform.shape
    fields: Mapping[str, Any] = {} if shape is None else json_schema(shape).get("properties", {})
    return fields


def _only(declared: Mapping[str, Any]) -> str | None:
    """Return the field that must be meant: the only one with a list of values, or the only one there is."""
    listed: Sequence[str] = [
        name for name, schema in declared.items() if isinstance(schema, Mapping) and "enum" in schema
    ]
    for names in (listed, list(declared)):
        if len(names) == 1:
            return names[0]
    return None
