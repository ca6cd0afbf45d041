"""Defines how rows come into a table that holds rows: added, updated by a key, or put in the place of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import DestinationError
from loom_connectors.ports.context import ConnectorContext

Mode = Literal["append", "upsert", "replace"]


@dataclass(frozen=True, slots=True)
class Adding:
    """Holds the mode of a table, and the columns by which it updates."""

    mode: Mode
    key: tuple[str, ...]
    """Empty unless the mode is `upsert`."""
    written: bool
    """Tells whether the pipeline file names the mode."""

    @staticmethod
    def of(config: LoadConfig, context: ConnectorContext) -> Adding:
        """Return the mode that the pipeline says; where it names no mode, `upsert` by `load.key`, else by
        `extract.key`, else `append`. A sample replaces the sample before it."""
        key = tuple(config.key) or context.record_key
        if context.sample:
            return Adding("append" if context.adds else "replace", (), written=False)
        mode: Mode = config.mode or ("upsert" if key else "append")
        return Adding(mode, key if mode == "upsert" else (), written=config.mode is not None)

    @property
    def effect(self) -> str:
        """Say what a run makes of the rows that earlier runs loaded."""
        match self.mode:
            case "upsert":
                chosen = "" if self.written else ", because records have a key"
                return f"mode upsert by {', '.join(self.key)}{chosen}: a record that is loaded again updates its row"
            case "replace":
                return "mode replace: a run that succeeds puts its rows in the place of all others"
            case "append":
                return "mode append: every run adds its rows, so a record that is loaded again stands there twice"

    def no_index(self, table: str, statement: str) -> DestinationError:
        """The table cannot be updated by the key."""
        why = "" if self.written else " (the default where records have a key)"
        other = "" if self.written else ", or choose `mode: append` in `load`, which adds every run's rows again"
        return DestinationError(
            f"Mode upsert{why} needs a unique index on exactly ({', '.join(self.key)}), which the table {table} has "
            f"not: {statement}{other}."
        )


def replaces_view(view: str) -> DestinationError:
    """Return what is said of a view whose rows would be replaced, where the system cannot do that."""
    return DestinationError(f"{view} is a view, whose rows cannot be replaced. Name the table that it reads.")
