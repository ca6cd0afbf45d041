"""Groups options: a command takes a group as one parameter, and is given on the command line each option of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, TypeVar, get_type_hints

R = TypeVar("R")


def grouped(command: Callable[..., R]) -> Callable[..., R]:
    """Return the command as Typer reads it: in place of each keyword that is a dataclass stand that one's fields.

    The fields are annotated as options are, and have defaults, which also hold for what code that calls the command
    leaves out."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}
    members = {name: [each.name for each in fields(group)] for name, group in groups.items()}

    @wraps(command)
    def told(**options: Any) -> R:
        made = {
            name: group(**{member: options.pop(member) for member in members[name] if member in options})
            for name, group in groups.items()
        }
        return command(**options, **made)

    parameters: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        parameters += _options(groups[name]) if name in groups else [parameter.replace(annotation=hints[name])]
    told.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # `inspect` reads it
    told.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return told


def _options(group: type[Any]) -> list[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        Parameter(
            each.name,
            Parameter.KEYWORD_ONLY,
            default=each.default,
            annotation=hints[each.name],
        )
        for each in fields(group)
    ]
