"""Describes a Python function as a tool: its arguments by its type hints, what it does by its docstring."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from loom_ai.ports import ToolSpec
from loom_common.domain.model_options.several_calls import ToolConfig
from loom_common.errors import UserCodeError
from loom_common.text import named
from loom_common.user_code.functions import load_function

KEY = "idempotency_key"
"""The parameter that takes the key of a use, which is the same whenever that use is run again."""
_SPHINX = re.compile(r":param\s+(?:[\w\[\], .|]+\s+)?(\w+)\s*:\s*(.+)")
_GOOGLE = re.compile(r"\A(\s+)(\w+)\s*(?:\([^)]*\))?\s*:\s+(.+)")
_SECTION = re.compile(r"\A\s*(args|arguments|parameters)\s*:\s*\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ToolFunction:
    """Holds a function of the user's that a model may use."""

    config: ToolConfig
    spec: ToolSpec
    function: Callable[..., Any]
    arguments: type[BaseModel]
    """Reads the arguments that a model gives."""

    def read(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the arguments as the function takes them. Raises `ValueError` that says what is wrong with them."""
        if given is None:
            raise ValueError("the arguments are no JSON object")
        try:
            read = self.arguments.model_validate(dict(given))
        except ValidationError as error:
            told = (f"{'.'.join(map(str, each['loc'])) or 'arguments'}: {each['msg']}" for each in error.errors())
            raise ValueError("; ".join(told)) from None
        return {name: getattr(read, name) for name in read.model_fields_set}


def tool_function(config: ToolConfig, folder: Path) -> ToolFunction:
    """Load a tool. Raises `UserCodeError` where the function is not there, or its arguments cannot be described."""
    function = load_function(config.function, folder)
    try:
        signature, hints = inspect.signature(function), typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        raise UserCodeError(f"'{config.function}': its type hints cannot be read: {named(error)}.") from error
    text = inspect.getdoc(function) or ""
    told = _parameters_in(text)
    fields: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise UserCodeError(f"'{config.function}': a tool takes arguments by name, and not `{parameter}`.")
        if name == KEY:
            continue
        if name not in hints:
            raise UserCodeError(f"'{config.function}': its parameter {name} has no type; write it, e.g. `{name}: str`.")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (hints[name], Field(default, description=told.get(name)))
    if config.idempotent and KEY not in signature.parameters:
        raise UserCodeError(
            f"'{config.function}': an idempotent tool takes a parameter `{KEY}: str`, by which it knows a use again."
        )
    description = config.description or _summary(text)
    if not description:
        raise UserCodeError(f"'{config.function}' has no docstring, by which a model knows what it is for. Write one.")
    try:
        arguments = create_model(function.__name__, __config__=ConfigDict(extra="forbid"), **fields)
        schema = arguments.model_json_schema()
    except Exception as error:
        raise UserCodeError(f"'{config.function}': its arguments cannot be described: {named(error)}.") from error
    parameters = {"properties": {}, **{key: value for key, value in schema.items() if key != "title"}}
    return ToolFunction(config, ToolSpec(config.tool_name, description, parameters), function, arguments)


def _summary(text: str) -> str:
    """Return what a docstring says before it lists parameters."""
    kept = []
    for line in text.splitlines():
        if _SECTION.match(line) or line.lstrip().startswith((":param", ":return", "Returns:", "Raises:")):
            break
        kept.append(line)
    return "\n".join(kept).strip()


def _parameters_in(text: str) -> dict[str, str]:
    """Return what a docstring says of parameters, in the style of Google or of Sphinx."""
    found, indent, last = dict(_SPHINX.findall(text)), None, None
    for line in text.splitlines():
        if indent is None:
            indent = "" if _SECTION.match(line) else None
            continue
        if line.strip() and not line.startswith((" ", "\t")):
            break
        begins = _GOOGLE.match(line)
        if begins is not None and (not indent or len(begins[1]) <= len(indent)):
            indent, last = begins[1], begins[2]
            found[last] = begins[3].strip()
        elif last is not None and line.strip():
            found[last] += f" {line.strip()}"
    return found
