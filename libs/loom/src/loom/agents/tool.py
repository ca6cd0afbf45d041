"""Describes what an agent can ask for, and checks the arguments that it gives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loom_common.errors import ConfigurationError

Arguments = Mapping[str, Any]
Call = Callable[[Arguments], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Tool:
    """Represents one tool of the server."""

    name: str
    description: str
    call: Call
    """Takes arguments that fit, and returns an object of JSON. Raises `LoomError`."""
    properties: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Holds the JSON Schema of each argument."""
    required: tuple[str, ...] = ()
    reads_only: bool = True
    """Tells whether it changes nothing and asks no model."""

    @property
    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the arguments."""
        return {
            "type": "object",
            "properties": {name: dict(each) for name, each in self.properties.items()},
            "required": list(self.required),
            "additionalProperties": False,
        }

    async def asked(self, arguments: Arguments) -> dict[str, Any]:
        """Return the tool's answer. Raises `ConfigurationError` with every argument that does not fit, and what `call`
        raises."""
        from jsonschema import Draft202012Validator

        mistakes = list(Draft202012Validator(self.schema).iter_errors(dict(arguments)))
        if mistakes:
            words = "; ".join(
                f"{'.'.join(map(str, each.absolute_path)) or 'arguments'}: {each.message}" for each in mistakes
            )
            raise ConfigurationError(f"The arguments of {self.name} do not fit. {words}.")
        return await self.call(arguments)


def text(description: str) -> dict[str, Any]:
    """Return the schema of a text."""
    return {"type": "string", "description": description}


def number(description: str, *, most: int, default: int, least: int = 1) -> dict[str, Any]:
    """Return the schema of a whole number."""
    return {"type": "integer", "minimum": least, "maximum": most, "default": default, "description": description}
