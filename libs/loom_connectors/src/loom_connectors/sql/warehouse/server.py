"""Defines what the dialects of a warehouse need of its server."""

from __future__ import annotations

from typing import Protocol

from loom_connectors.sql.parameters import Timeouts


class Named(Protocol):
    """Represents a place that people are told of."""

    @property
    def shown(self) -> str:
        """Return the URL of the place, without credentials."""
        ...


class WarehouseServer(Protocol):
    """Represents one dataset or schema, which may be asked from several threads."""

    @property
    def address(self) -> Named:
        """Return where it is."""
        ...

    @property
    def timeouts(self) -> Timeouts:
        """Return how long its statements may take."""
        ...

    def close(self) -> None:
        """Close the connections to the warehouse."""
        ...
