"""Makes a template for each pair of a source and a destination, such as `csv_to_postgres`, of the descriptions of both
ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loom.templates.ends import ENDS, End

_BETWEEN = "_to_"


@dataclass(frozen=True, slots=True)
class Pair:
    """Represents a template that moves records from one end to another."""

    source: End
    destination: End

    @property
    def name(self) -> str:
        return f"{self.source.name}{_BETWEEN}{self.destination.name}"

    @property
    def description(self) -> str:
        return f"Moves records from {self.source.what} to {self.destination.what}"

    @property
    def variables(self) -> list[str]:
        """Return the environment variables that must be set before it runs."""
        return list(dict.fromkeys([*self.source.variables, *self.destination.variables]))

    @property
    def extras(self) -> list[str]:
        """Return the extras of Loom that it needs."""
        return sorted({each.extra for each in (self.source, self.destination) if each.extra is not None})

    def pipeline(self, name: str) -> str:
        """Return the text of the `pipeline.yaml` that moves records from this source to this destination."""
        lines = [
            f"name: {name}",
            "version: 1.0.0",
            f"description: {self.description}",
            "",
            "extract:",
            f"  source: {json.dumps(self.source.source)}",
            "  key: id                        # what identifies a record",
            *_options(self.source),
            "",
            "transform:",
            "  type: passthrough              # or ai, python, scorer: docs/pipeline.md",
            "",
            "load:",
            f"  destination: {json.dumps(self.destination.destination)}",
        ]
        if self.destination.upserts:
            lines += ["  mode: upsert                   # a record that comes again replaces its row", "  key: [id]"]
        lines += _options(self.destination)
        return "\n".join([*lines, ""])

    def write_sample(self, folder: Path) -> None:
        """Write the records that the source begins with, where it is a file that can be written here."""
        if self.source.sample is not None and self.source.has_sample:
            self.source.sample(folder)


def _options(end: End) -> list[str]:
    return ["  options:", *(f"    {line}" for line in end.options)] if end.options else []


def pairs() -> Iterator[Pair]:
    """Yield every pair of ends."""
    for source in ENDS.values():
        for destination in ENDS.values():
            if source.source is not None and destination.destination is not None:
                yield Pair(source, destination)


def pair_named(name: str) -> Pair | None:
    """Return the pair of that name; None where there is none."""
    first, _, second = name.partition(_BETWEEN)
    source, destination = ENDS.get(first), ENDS.get(second)
    if source is None or destination is None or source.source is None or destination.destination is None:
        return None
    return Pair(source, destination)
