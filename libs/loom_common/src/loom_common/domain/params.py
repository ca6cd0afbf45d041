"""A pipeline's parameters: declared with a type, given as text on the command line, bound as values in SQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from loom_common.errors import InvalidDefinition, Problem

ParamType = Literal["string", "integer", "number", "boolean", "date", "datetime"]


class ParamSpec(BaseModel):
    """One parameter. Written short, `limit: 10`, its type is that of its default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: ParamType = Field("string", description="`string`, `integer`, `number`, `boolean`, `date` or `datetime`.")
    default: Any = Field(None, description="Used where a run gives no value. Without it the run must.")
    description: str = Field("", description="For people.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {**value, "default": _as_text(value["default"])} if "default" in value else value
        return {"type": _type_of(value), "default": _as_text(value)}


def _as_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date | dt.datetime) else value


def _type_of(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case dt.datetime():
            return "datetime"
        case dt.date():
            return "date"
        case _:
            return "string"


def _boolean(value: Any) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    return words[str(value).lower()]


_READ: dict[str, Callable[[Any], Any]] = {
    "string": str,
    "integer": lambda value: int(str(value)),
    "number": lambda value: float(str(value)),
    "boolean": _boolean,
    "date": lambda value: dt.date.fromisoformat(str(value)),
    "datetime": lambda value: dt.datetime.fromisoformat(str(value)),
}


def typed(specs: Mapping[str, ParamSpec], given: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every declared parameter as a Python object of its type, for binding into SQL.

    Raises `InvalidDefinition` with every unknown, missing or ill-typed parameter."""
    expected = f"one of {', '.join(specs)}" if specs else "none: the pipeline declares no parameter"
    problems = [Problem(("params", name), f"the parameter '{name}'", expected) for name in given if name not in specs]
    values: dict[str, Any] = {}
    for name, spec in specs.items():
        raw = given.get(name, spec.default)
        if raw is None:
            problems.append(Problem(("params", name), "no value", f"a {spec.type}: --param {name}=..."))
            continue
        try:
            values[name] = _READ[spec.type](raw)
        except (ValueError, KeyError):
            problems.append(Problem(("params", name), repr(raw), f"a {spec.type}"))
    if problems:
        raise InvalidDefinition(problems)
    return values


def resolved(specs: Mapping[str, ParamSpec], given: Mapping[str, Any]) -> dict[str, Any]:
    """Like `typed`, but as JSON values: dates as ISO 8601 text. This is what a run's plan carries."""
    return {name: _as_text(value) for name, value in typed(specs, given).items()}
