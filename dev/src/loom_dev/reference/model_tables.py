"""Writes the keys of a pydantic model as a table: name, type, default, meaning."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from loom_common.domain.definition.evaluators import Evaluator
from loom_common.domain.definition.failures.recovery import Recovery
from loom_common.domain.quality.check import QualityCheck
from loom_dev.reference.markdown import paragraphs, table


def fields(model: type[BaseModel], only: set[str] | None = None) -> str:
    """Return a table of a model's keys: name, type, default, meaning."""
    # Keys that a section shares with others come last.
    own = sorted(model.model_fields.items(), key=lambda item: item[0] in Recovery.model_fields)
    rows = [
        (f"`{_key(name, field)}`", _type_words(field.annotation), _default(field), field.description or "")
        for name, field in own
        if only is None or name in only
    ]
    return table(("key", "type", "default", "meaning"), rows)


def _key(name: str, field: FieldInfo) -> str:
    if isinstance(field.validation_alias, AliasChoices):
        return str(field.validation_alias.choices[0])
    return field.alias or name


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or value in (None, "", [], {}) or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`[{', '.join(value)}]`" if isinstance(value, list) else f"`{value}`"


def _type_words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_words(arguments[0])
    if origin is Literal:
        return " \\| ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type_words(one) for one in arguments if one is not type(None)))
    if origin is list:
        return f"list of {_type_words(arguments[0])}"
    if origin is dict or annotation is dict:
        return "section"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if issubclass(annotation, QualityCheck):
            return "check"
        return "evaluator" if issubclass(annotation, Evaluator) else "section"
    names = {str: "text", int: "integer", float: "number", bool: "boolean", Any: "value"}
    return names.get(annotation, str(annotation))


def model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a field holds; None where it holds something else."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType) and len(get_args(annotation)) == 2:
        return model_in(next(each for each in get_args(annotation) if each is not type(None)))
    return None


def doc(model: type[BaseModel]) -> str:
    """Return what the docstring of a model says."""
    return paragraphs(model.__doc__)
