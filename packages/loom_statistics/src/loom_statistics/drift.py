"""Implements the step `drift`: whether the records of a batch are distributed as a reference is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field, field_validator
from scipy import stats

from loom import PluginTransform, pipeline_step
from loom_statistics.numbers import LEAST, column, known

LOOM_PLUGIN_API = 1


@pipeline_step(
    name="drift",
    version="0.1.0",
    inputs=lambda step: list(step["reference"]),
    outputs={"drifted": "boolean", "drift_fields": ["string"], "drift_p": "number?"},
    scope="batch",
    phase="quality",
    criticality="optional",
)
class Drift(PluginTransform):
    """Say whether the values of a batch are distributed otherwise than those of a reference."""

    reference: dict[str, list[float] | dict[str, float]] = Field(
        min_length=1, description="By field a sample of numbers, or by category its share."
    )
    alpha: float = Field(0.01, gt=0, lt=1, description="How often a batch that has not drifted may seem to have.")
    min_records: int = Field(LEAST, ge=2, description="With fewer values nothing has drifted.")

    @field_validator("reference")
    @classmethod
    def _says_something(cls, value: dict[str, Any]) -> dict[str, Any]:
        for field, known_values in value.items():
            if isinstance(known_values, list):
                if len(known_values) < LEAST:
                    raise ValueError(f"a sample of {field} of at least {LEAST} numbers")
            elif min(known_values.values(), default=0) < 0 or not sum(known_values.values()):
                raise ValueError(f"shares of {field} that are not below 0, and of which one is above it")
        return value

    def build(self) -> Callable[[Sequence[Mapping[str, Any]]], list[dict[str, Any]]]:
        """Return the function of the records of a batch."""

        def compared(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
            found = {field: self._p(records, field, known_values) for field, known_values in self.reference.items()}
            told = {field: p for field, p in found.items() if p is not None}
            drifted = [field for field, p in told.items() if p < self.alpha / len(told)]
            said = {"drifted": bool(drifted), "drift_p": min(told.values(), default=None)}
            return [{**said, "drift_fields": list(drifted)} for _ in records]

        return compared

    def _p(self, records: Sequence[Mapping[str, Any]], field: str, reference: Any) -> float | None:
        if isinstance(reference, dict):
            return p_of_categories([record.get(field) for record in records], reference, self.min_records)
        values = known(column(records, field))
        return None if len(values) < self.min_records else float(stats.ks_2samp(values, reference).pvalue)


def p_of_categories(values: Sequence[Any], shares: Mapping[str, float], least: int = LEAST) -> float | None:
    """Return how probable the counts of categories are where their shares are those of the reference; None where there
    are too few. A category that the reference does not have is one that never occurs there."""
    counts = Counter(str(value) for value in values if value is not None)
    total = sum(counts.values())
    if total < least:
        return None
    whole = sum(shares.values())
    if any(shares.get(category, 0) == 0 for category in counts):
        return 0.0
    names = [name for name, share in shares.items() if share > 0]
    if len(names) == 1:
        return 1.0
    expected = np.array([shares[name] / whole * total for name in names])
    return float(stats.chisquare([counts[name] for name in names], expected).pvalue)
