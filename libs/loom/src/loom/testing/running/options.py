"""Defines how tests are run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Options:
    """Holds the options of `loom test` that say how tests are run."""

    live: bool = False
    """Ask models for every answer, whatever is recorded."""
    update: bool = False
    """Record the answers that are missing, and baselines; with `live`, all of them."""
    sample: int | None = None
    """The most records of a source that a test reads."""
    repeat: int = 1
    """Says how often each test is run."""
    budget: float | None = None
    """USD that the calls of all tests together may cost."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that outweigh those of the tests."""
    filter: str | None = None
    """A part of a test's name, or of its file's."""
    failed: frozenset[str] | None = None
    """Run only the tests of these ids; None for all."""

    @property
    def whole(self) -> bool:
        """Tell whether every test of a file runs as it is written, so that recordings that none uses are of no use."""
        return self.sample is None and self.filter is None and self.failed is None and not self.params
