"""Defines a pipeline's parameters: declared with a type, given as text, and bound as values in SQL."""

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from loom_common.domain.section import Mistake, Section, mistake, said
from loom_common.domain.values.near import closest
from loom_common.errors import InvalidDefinition, Problem

ParamType = Literal["string", "integer", "number", "boolean", "date", "datetime"]


class ParamSpec(Section):
    """Describes a declared parameter. In the short form `limit: 10` its type is that of the default."""

    type: ParamType = Field("string", description="`string`, `integer`, `number`, `boolean`, `date` or `datetime`.")
    default: Any = Field(None, description="Used where a run gives no value. Without it the run must.")
    description: str = Field("", description="For people.")

    @classmethod
    def long_form(cls, written: Any) -> Any:
        if isinstance(written, ParamSpec):
            return written
        if isinstance(written, Mapping):
            return {**written, "default": _as_text(written["default"])} if "default" in written else written
        return {"type": _type_of(written), "default": _as_text(written)}

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """The default must be of the declared type."""
        kind, default = said(written, "type") or "string", said(written, "default")
        if default is not None and kind in _READ and not _readable(kind, default):
            yield mistake(("default",), "param_default", _MEANT[kind], default)


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


def _number(value: Any) -> float:
    number = float(str(value))
    if not math.isfinite(number):
        raise ValueError
    return number


def _scalar(value: Any) -> Any:
    if isinstance(value, Mapping | list):
        raise ValueError
    return value


_READ: dict[str, Callable[[Any], Any]] = {
    "string": lambda value: str(_scalar(value)),
    "integer": lambda value: int(str(value)),
    "number": _number,
    "boolean": _boolean,
    "date": lambda value: dt.date.fromisoformat(str(value)),
    "datetime": lambda value: dt.datetime.fromisoformat(str(value)),
}


_MEANT = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date: 2024-01-31",
    "datetime": "a date and time: 2024-01-31T12:00:00",
}
"""Says how values of each type are described in error messages."""


def _readable(kind: str, value: Any) -> bool:
    try:
        _READ[kind](value)
    except (ValueError, KeyError):
        return False
    return True


def example(kind: str) -> Any:
    """Return a sample value of the type."""
    texts = {"integer": "0", "number": "0", "boolean": "false", "date": "2024-01-31", "datetime": "2024-01-31T12:00:00"}
    return _READ[kind](texts.get(kind, ""))


def typed(specs: Mapping[str, ParamSpec], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of every declared parameter as a Python object of its type, for binding in SQL.

    Raises `InvalidDefinition` with every unknown, missing or wrongly typed parameter."""
    expected = f"one of {', '.join(specs)}" if specs else "none: the pipeline declares no parameter"
    problems = [
        Problem(("params", name), f"the parameter '{name}'", expected, closest(name, specs))
        for name in given
        if name not in specs
    ]
    values: dict[str, Any] = {}
    for name, spec in specs.items():
        raw = given.get(name, spec.default)
        if raw is None:
            problems.append(Problem(("params", name), "no value", f"a {spec.type}: --param {name}=..."))
            continue
        try:
            values[name] = _READ[spec.type](raw)
        except (ValueError, KeyError):
            problems.append(Problem(("params", name), repr(raw), _MEANT[spec.type]))
    if problems:
        raise InvalidDefinition(problems)
    return values


def resolved(specs: Mapping[str, ParamSpec], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same values as JSON, with dates in ISO 8601, for a run's plan."""
    return {name: _as_text(value) for name, value in typed(specs, given).items()}
