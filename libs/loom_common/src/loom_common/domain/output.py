"""The declared shape of an output: JSON Schema, or a short form that reads like the record itself.

    output:
      sentiment: {enum: [positive, negative, neutral]}
      confidence: {type: number, minimum: 0, maximum: 1}
      topics: [string]            # a list
      author: {name: string}      # a nested object
      note: string?               # may be null

Short form means: exactly these fields, all present. `output: text` means free text, as the one field `text`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import jsonschema
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

TEXT = "text"
"""Free text: the output is `{text: ...}`."""
_TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
_SCHEMA_WORDS = frozenset(
    """type enum const minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength pattern format
    items minItems maxItems uniqueItems properties required additionalProperties anyOf oneOf allOf not
    description title default examples $ref $defs""".split()  # noqa: SIM905 - reads better than forty quotes
)


def is_json_schema(spec: Mapping[str, Any]) -> bool:
    """A full JSON Schema says so: `$schema`, or `type: object` with `properties`."""
    return "$schema" in spec or (spec.get("type") == "object" and isinstance(spec.get("properties"), Mapping))


def json_schema(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of an output spec. Raises `ValueError` naming the field that cannot be read."""
    return dict(spec) if is_json_schema(spec) else _object(spec, at="")


def _object(fields: Mapping[str, Any], at: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: _field(spec, f"{at}{name}") for name, spec in fields.items()},
        "required": list(fields),
        "additionalProperties": False,
    }


def _field(spec: Any, at: str) -> dict[str, Any]:
    match spec:
        case str() if spec.endswith("?") and spec[:-1] in _TYPES:
            return {"type": [spec[:-1], "null"]}
        case str() if spec in _TYPES:
            return {"type": spec}
        case [item]:
            return {"type": "array", "items": _field(item, f"{at}[]")}
        case Mapping() if spec and set(spec) <= _SCHEMA_WORDS:
            return dict(spec)
        case Mapping() if spec:
            return _object(spec, f"{at}.")
        case _:
            raise ValueError(f"{at}: {spec!r} is no type; one of {', '.join(_TYPES)}, a JSON Schema, or fields")


def _readable(spec: Any) -> Any:
    if spec == TEXT:
        return spec
    if not isinstance(spec, Mapping) or not spec:
        raise PydanticCustomError("output_spec", "fields with their types, a JSON Schema, or `text`")
    try:
        jsonschema.Draft202012Validator.check_schema(json_schema(spec))
    except ValueError as error:
        raise PydanticCustomError("output_spec", "an output shape ({why})", {"why": str(error)}) from error
    except jsonschema.SchemaError as error:
        raise PydanticCustomError("output_spec", "a valid JSON Schema ({why})", {"why": error.message}) from error
    return spec


OutputSpec = Annotated[dict[str, Any] | Literal["text"], BeforeValidator(_readable)]
"""An output spec that has been shown to be readable."""
