"""Defines what records are looked up in: the port that SQL systems and APIs implement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from loom_common.errors import RecordError
from loom_connectors.ports.context import ConnectorContext

Scalar = str | int | float | bool
Key = tuple[Scalar, ...]
"""Holds the values by which a record is looked up, in the order of the fields that the step names."""
Found = Mapping[str, Any] | RecordError | None
"""Is what was found for a key: the wanted fields by their new names, None for nothing, or why there is no answer: more
than one, or a value that cannot be used."""

SEVERAL = "several_found"
"""The code of the error of a key that more than one row has."""
UNFIT_KEY = "lookup_key"
"""The code of the error of a key that the system cannot compare."""


@dataclass(frozen=True, slots=True)
class LookupRequest:
    """Says what is looked up in a SQL system."""

    location: str
    query: str | None
    options: Mapping[str, Any]
    columns: Sequence[str]
    """Names the columns that a key has values for."""
    wanted: Mapping[str, str] = field(default_factory=dict)
    """Holds by the name of each new field its column."""


class Lookup(Protocol):
    """Finds records by keys. Holds nothing but connections."""

    @property
    def shown(self) -> str:
        """Return where it looks, without credentials."""
        ...

    async def check(self) -> None:
        """Reach the system, and see that it has what is asked of it. Raises `LookupFailed`, `InvalidDefinition` with
        paths in the step, `AccessRefused`, `DependencyUnavailable`."""
        ...

    async def find(self, keys: Sequence[Key]) -> Sequence[Found]:
        """Return what is found for each key, in their order. Raises as `check` does."""
        ...

    async def close(self) -> None:
        """Close the connections to the system that records are looked up in."""
        ...


class LookupFactory(Protocol):
    """Opens a lookup; raises `ConfigurationError` for what it does not know."""

    def __call__(self, request: LookupRequest, context: ConnectorContext) -> Lookup: ...
