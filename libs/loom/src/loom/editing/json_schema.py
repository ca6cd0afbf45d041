"""Makes the JSON Schemas of the pipeline file and of `loom.yaml`, for the language servers of editors.

A schema accepts every file that Loom accepts. It does not find every mistake: how keys fit together, and short forms of
sections, are for `loom validate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from loom.project.config import LoomConfig
from loom_common.domain.definition.evaluator_kinds import evaluator_names
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.transforms.kinds import TRANSFORMS
from loom_common.domain.definition.transforms.step_keys import with_step_keys
from loom_common.domain.section import Section
from loom_common.domain.steps.operators import OPERATORS

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_EXAMPLES: Mapping[str, Sequence[Any]] = {
    "string": ("text", "auto"),
    "number": (1,),
    "boolean": (True,),
    "array": ([],),
}
"""Holds values of each type that may be the short form of a section."""
_SCALAR: JsonSchemaValue = {"type": ["string", "number", "boolean", "array", "null"]}
_ANYTHING: JsonSchemaValue = {}
_STEP = "StepKeys"


def of_pipeline() -> dict[str, Any]:
    """Return the schema of the pipeline file."""
    return _schema(Pipeline, "A pipeline of Loom", _steps())


def of_config() -> dict[str, Any]:
    """Return the schema of `loom.yaml`."""
    return _schema(LoomConfig, "The configuration of a project of Loom")


class _AsWritten(GenerateJsonSchema):
    """Makes the schema of what people write, which the models then bring into one form."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        for key, others in _other_names(schema["cls"]):
            made["properties"] |= dict.fromkeys(others, made["properties"][key])
            if key in made.get("required", ()):
                made["required"].remove(key)
                made.setdefault("allOf", []).append({"anyOf": [{"required": [name]} for name in (key, *others)]})
        short = _short_forms(schema["cls"])
        return {"anyOf": [made, {"type": short}]} if short else made

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        made = super().function_before_schema(schema)
        return {"anyOf": [made, _ANYTHING if made.get("type") == "object" else _SCALAR]} if made else made


def _other_names(model: type[BaseModel]) -> Iterator[tuple[str, list[str]]]:
    """Yield the keys that have further names, with these."""
    for key in model.model_fields.values():
        if isinstance(key.validation_alias, AliasChoices):
            first, *others = map(str, key.validation_alias.choices)
            yield first, others


def _short_forms(model: type[BaseModel]) -> list[str]:
    """Return the types of values that a section's short form may have, in the words of JSON Schema."""
    if not issubclass(model, Section):
        return []
    return [
        name
        for name, examples in _EXAMPLES.items()
        if any(isinstance(model.long_form(example), Mapping) for example in examples)
    ]


def _schema(model: type[BaseModel], title: str, besides: Sequence[type[BaseModel]] = ()) -> dict[str, Any]:
    """Return the schema of a model. Those `besides` are the kinds of a step."""
    wanted: list[tuple[type[BaseModel], Literal["validation"]]] = [(each, "validation") for each in (model, *besides)]
    refs, made = models_json_schema(wanted, by_alias=True, schema_generator=_AsWritten)
    definitions = made["$defs"]
    for name, known in (("PluginTransform", [*TRANSFORMS, "steps"]), ("PluginEvaluator", evaluator_names())):
        if name in definitions:
            _leave_to_plugins(definitions[name], known)
    if besides:
        definitions[_STEP] = {"anyOf": [refs[each, "validation"] for each in besides]}
        _of_section(definitions["StepsTransformConfig"])["required"] = ["steps"]
    whole = refs[model, "validation"]["$ref"].rpartition("/")[2]
    top = {key: value for key, value in definitions.pop(whole).items() if key not in ("title", "description")}
    return {"$schema": _DIALECT, "title": title, **top, "$defs": definitions}


def _leave_to_plugins(section: dict[str, Any], built_in: Sequence[str]) -> None:
    """Let a section of a plugin have keys that nobody here knows, where its type is none of those built in."""
    section["additionalProperties"] = True
    section.setdefault("properties", {})["type"] = {"type": "string", "not": {"enum": sorted(built_in)}}
    section["required"] = ["type"]


def _of_section(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a definition that speaks of the long form."""
    whole: dict[str, Any] = definition["anyOf"][0] if "anyOf" in definition else definition
    return whole


def _steps() -> list[type[BaseModel]]:
    """Return the kinds of a step: a transform with the keys of a step, a filter, a router."""
    return [*(with_step_keys(each) for each in TRANSFORMS.values()), *OPERATORS.values()]
