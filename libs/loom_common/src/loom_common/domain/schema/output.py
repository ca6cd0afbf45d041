"""Defines the declared shape of an output: JSON Schema, or a short form that reads like the record itself.

    output:
      sentiment: {enum: [positive, negative, neutral]}
      confidence: {type: number, minimum: 0, maximum: 1}
      topics: [string]            # a list
      author: {name: string}      # a nested object
      note: string?               # may be null

Short form means: exactly these fields, all present. `output: text` means free text, as the one field `text`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from loom_common.domain.section import mistake, refusal
from loom_common.domain.values.near import closest

TEXT = "text"
"""The field of an output that is free text: `{text: ...}`."""
_TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
_SCHEMA_WORDS = frozenset(
    """type enum const minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength pattern format
    items minItems maxItems uniqueItems properties required additionalProperties anyOf oneOf allOf not
    description title default examples $ref $defs""".split()  # noqa: SIM905 - reads better than forty quotes
)


def is_json_schema(spec: Mapping[str, Any]) -> bool:
    """Say whether a spec is a complete JSON Schema: it has `$schema`, or `type: object` with `properties`."""
    return "$schema" in spec or (spec.get("type") == "object" and isinstance(spec.get("properties"), Mapping))


@dataclass(frozen=True, slots=True)
class _Wrong:
    """Describes a part of a spec that cannot be read."""

    at: tuple[str | int, ...]
    found: Any
    expected: str


def json_schema(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of an output spec. Raises `ValueError` that names every field that cannot be read."""
    if is_json_schema(spec):
        return dict(spec)
    schema, wrong = _object(spec, ())
    if wrong:
        told = (f"{'.'.join(map(str, each.at))}: {each.found!r} is no type; {each.expected}" for each in wrong)
        raise ValueError("; ".join(told))
    return schema


def _object(fields: Mapping[str, Any], at: tuple[str | int, ...]) -> tuple[dict[str, Any], list[_Wrong]]:
    properties: dict[str, Any] = {}
    wrong: list[_Wrong] = []
    for name, spec in fields.items():
        properties[str(name)], more = _field(spec, (*at, name))
        wrong += more
    required = list(map(str, fields))
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}, wrong


def _field(spec: Any, at: tuple[str | int, ...]) -> tuple[dict[str, Any], list[_Wrong]]:
    match spec:
        case str() if spec.endswith("?") and spec[:-1] in _TYPES:
            return {"type": [spec[:-1], "null"]}, []
        case str() if spec in _TYPES:
            return {"type": spec}, []
        case [item]:
            inner, wrong = _field(item, (*at, 0))
            return {"type": "array", "items": inner}, wrong
        case Mapping() if spec and set(spec) <= _SCHEMA_WORDS:
            return dict(spec), _schema_mistakes(spec, at)
        case Mapping() if spec:
            return _object(spec, at)
        case _:
            near = closest(spec.removesuffix("?"), _TYPES) if isinstance(spec, str) else None
            hint = f" (did you mean {near}?)" if near else ""
            return {}, [_Wrong(at, spec, f"one of {', '.join(_TYPES)}{hint}, a JSON Schema, or fields")]


def _schema_mistakes(schema: Mapping[str, Any], at: tuple[str | int, ...]) -> list[_Wrong]:
    from jsonschema import Draft202012Validator  # here, because most commands read no schema, and it takes long
    from jsonschema.exceptions import best_match

    wrong = []
    for error in Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(dict(schema)):
        deepest = best_match([error]) or error
        place = (*at, *deepest.absolute_path)
        wrong.append(_Wrong(place, deepest.instance, f"a valid JSON Schema ({deepest.message})"))
    return wrong


def _readable(spec: Any) -> Any:
    if spec == TEXT:
        return spec
    if not isinstance(spec, Mapping) or not spec:
        raise PydanticCustomError("output_spec", "fields with their types, a JSON Schema, or `text`")
    wrong = _schema_mistakes(spec, ()) if is_json_schema(spec) else _object(spec, ())[1]
    if wrong:
        raise refusal("output", (mistake(each.at, "output_spec", each.expected, each.found) for each in wrong))
    return spec


OutputSpec = Annotated[dict[str, Any] | Literal["text"], BeforeValidator(_readable)]
"""An output spec that was checked to be readable."""
