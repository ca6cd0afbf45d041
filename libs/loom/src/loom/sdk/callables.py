"""Puts names in place of the functions, classes and objects that Python code gives to the sections of a pipeline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from loom_common.domain.plugin_section import PluginSection
from loom_common.errors import ConfigurationError, PluginUnusable
from loom_common.plugins.callables import MODULE, importable, reference_to, simple_name
from loom_connectors.custom import DataConnector

_LOCATIONS = ("source", "destination", "fallback")
_NAMES = ("function", "scorer", "type", "quality_gate", "format")
_REFERENCE = re.compile(rf"(python:)?({re.escape(MODULE)}:\w+)(://.*)?", re.DOTALL)


def with_names(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return keys and values of a section as a pipeline file could say them. Where an object stands that nothing could
    be made of, it stays, and is a mistake as any other value would be."""
    return {key: _named(key, value) for key, value in written.items()}


def _named(key: str, value: Any) -> Any:
    if key == "quality_gate" and _is_gate(value):
        return reference_to(value)
    if _is_code(value):
        return _in_place_of(key, value)
    if isinstance(value, Mapping):
        return _with_a_type(with_names(value), value) if key == "transform" else with_names(value)
    if isinstance(value, list | tuple):
        return _items(key, value)
    return value


def _in_place_of(key: str, code: Any) -> Any:
    """Return what a file would say where `code` stands under `key`."""
    if key in _LOCATIONS:
        return location_of(code)
    if key in _NAMES:
        return reference_to(code)
    if key == "transform" and _is_section(code):
        return {"type": reference_to(code)}
    if key == "transform":
        return {"type": "python", "function": reference_to(code)}
    if key in ("cheap", "confidence"):
        return {"function": reference_to(code)}
    return code


def location_of(code: Any) -> str:
    """Return the location of a function that yields records, or takes rows, or of a `DataConnector`."""
    if isinstance(code, type) and issubclass(code, DataConnector):
        return f"{reference_to(code)}://"
    return f"python:{reference_to(code)}"


def _items(key: str, values: Iterable[Any]) -> list[Any]:
    taken: set[str] = set()
    return [_item(key, each, taken) for each in values]


def _item(key: str, value: Any, taken: set[str]) -> Any:
    """Return one of a list's items. Those that need a name get that of their function, where it is not `taken`."""
    if key not in ("evaluators", "quality_checks", "tools", "steps"):
        return with_names(value) if isinstance(value, Mapping) else value
    if _is_code(value) and key != "steps":
        value = {"type" if _is_section(value) else "function": value}
    if not isinstance(value, Mapping):
        return value
    code, said = value.get("function"), with_names(value)
    if key == "quality_checks" and _is_code(code):
        said = {"check": "custom", **said}
    if key in ("evaluators", "steps"):
        said = _with_a_type(said, value)
    if key != "steps" and _is_code(code) and "name" not in said:
        about = f"{said['column']}_" if key == "quality_checks" and isinstance(said.get("column"), str) else ""
        base = name = f"{about}{simple_name(code)}"
        number = 2
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        said["name"] = name
    if isinstance(said.get("name"), str):
        taken.add(said["name"])
    return said


def _with_a_type(said: dict[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """Return a section that has a function, of the type that calls one."""
    return {"type": "python", **said} if _is_code(written.get("function")) else said


def _is_code(value: Any) -> bool:
    return callable(value) and not isinstance(value, BaseModel)


def _is_section(code: Any) -> bool:
    """Tell whether it is the class of a plugin's own keys."""
    return isinstance(code, type) and issubclass(code, PluginSection)


def _is_gate(value: Any) -> bool:
    return callable(getattr(value, "apply", None)) and not isinstance(value, BaseModel)


def for_workers(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a definition with names that the workers of a cluster can import, in place of those that this process
    alone knows. Raises `ConfigurationError` where an object has none."""
    try:
        return {key: _for_workers(value) for key, value in definition.items()}
    except PluginUnusable as error:
        raise ConfigurationError(f"This pipeline cannot run in a cluster: {error}") from None


def _for_workers(value: Any) -> Any:
    match value:
        case str() if (found := _REFERENCE.fullmatch(value)) is not None:
            return f"{found[1] or ''}{importable(found[2])}{found[3] or ''}"
        case Mapping():
            return {key: _for_workers(each) for key, each in value.items()}
        case list():
            return [_for_workers(each) for each in value]
        case _:
            return value
