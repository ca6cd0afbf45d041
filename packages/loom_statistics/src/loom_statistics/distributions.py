"""Implements the step `distributions`: where a value stands in its batch, and what the batch's values look like."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field
from scipy import stats

from loom import PluginTransform, pipeline_step
from loom_statistics.numbers import LEAST, Numbers, column, known, shown

LOOM_PLUGIN_API = 1
FARTHEST = 0.2
"""Says how far a distribution may be from the values, by the Kolmogorov-Smirnov distance, to count as theirs."""
_FAMILIES: Mapping[str, Any] = {
    "normal": stats.norm,
    "lognormal": stats.lognorm,
    "exponential": stats.expon,
    "uniform": stats.uniform,
}


def _made(step: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for field in step["fields"]:
        made |= {f"{field}_percentile": "number?", f"{field}_distribution": {"enum": [*_FAMILIES, None]}}
    return made


@pipeline_step(
    name="distributions",
    version="0.1.0",
    inputs=lambda step: step["fields"],
    outputs=_made,
    scope="batch",
    phase="profiling",
    criticality="optional",
)
class Distributions(PluginTransform):
    """Say where the values of a record stand among those of its batch, and how these are distributed."""

    fields: list[str] = Field(min_length=1, description="The fields whose numbers are looked at.")
    min_records: int = Field(LEAST, ge=2, description="With fewer values no distribution fits.")

    def build(self) -> Callable[[Sequence[Mapping[str, Any]]], list[dict[str, Any]]]:
        """Return the function of the records of a batch."""

        def profiled(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
            outputs: list[dict[str, Any]] = [{} for _ in records]
            for field in self.fields:
                values = column(records, field)
                there = np.sort(known(values))
                family = family_of(there) if len(there) >= self.min_records else None
                for output, value in zip(outputs, values, strict=True):
                    share = np.searchsorted(there, value, side="right") / len(there) if len(there) else np.nan
                    output[f"{field}_percentile"] = None if np.isnan(value) else shown(share)
                    output[f"{field}_distribution"] = family
            return outputs

        return profiled


def family_of(values: Numbers) -> str | None:
    """Return the family of distributions that fits values best; None where none is near, or all values are one."""
    if not len(values) or values.min() == values.max():
        return None
    distances = {name: _distance(name, values) for name in _FAMILIES}
    best = min(distances, key=lambda name: distances[name])
    return best if distances[best] <= FARTHEST else None


def _distance(name: str, values: Numbers) -> float:
    """Return the largest difference between the distribution of values and the fitted one; infinite where none can be
    fitted."""
    if name == "lognormal" and values.min() <= 0:
        return np.inf
    fixed = {"floc": 0} if name == "lognormal" else {}
    family = _FAMILIES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit that does not converge is a bad one, and its distance says so
        parameters = family.fit(values, **fixed)
    return float(stats.kstest(values, family(*parameters).cdf).statistic)
