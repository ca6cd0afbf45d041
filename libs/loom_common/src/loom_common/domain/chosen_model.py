"""Reads a section of several kinds by the model of its kind, without building the models of the other kinds."""

from collections.abc import Callable
from typing import Any

from pydantic import ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

Read = Callable[[Any, Callable[[Any], Any]], Any]
"""Reads a section as written. The second argument reads it as any of its kinds, or raises `ValidationError`."""


class ChosenModel:
    """Stands in the annotation of a field that may hold models of several kinds, and has `read` choose among them.

    Pydantic builds a model at its first use, and with it each model that one of its fields may hold. A pipeline has one
    transform and some evaluators, out of sixty models; those that are not chosen are built only where a JSON Schema is
    made, or `read` asks for a section to be read as any of its kinds."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def __get_pydantic_core_schema__(self, source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        any_kind: TypeAdapter[Any] = TypeAdapter(source, config=ConfigDict(defer_build=True))

        def read(written: Any) -> Any:
            return self._read(written, any_kind.validate_python)

        def schema(_: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
            any_kind.rebuild()
            return handler(any_kind.core_schema)

        return core_schema.no_info_plain_validator_function(read, metadata={"pydantic_js_functions": [schema]})
