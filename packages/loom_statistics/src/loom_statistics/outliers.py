"""Implements the step `outliers`: which records of a batch are unlike the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field
from scipy import stats

from loom import PluginTransform, pipeline_step
from loom_statistics.numbers import LEAST, Numbers, column, known, shown

LOOM_PLUGIN_API = 1
_USUAL = {"mad": 3.5, "zscore": 3.0, "iqr": 1.5, "mahalanobis": 0.999}
"""Says beyond which score a record counts as an outlier, by the method."""


@pipeline_step(
    name="outliers",
    version="0.1.0",
    inputs=lambda step: step["fields"],
    outputs={"is_outlier": "boolean", "outlier_score": "number?", "outlier_fields": ["string"]},
    scope="batch",
    phase="quality",
)
class Outliers(PluginTransform):
    """Say which records are unlike the others of their batch, and by which fields."""

    fields: list[str] = Field(min_length=1, description="The fields whose numbers are looked at.")
    method: Literal["mad", "zscore", "iqr", "mahalanobis"] = Field(
        "mad", description="How far a value is from the others; `mahalanobis` looks at all fields together."
    )
    threshold: float | None = Field(
        None, gt=0, description="Beyond which score a record is an outlier. Default: by the method."
    )
    min_records: int = Field(LEAST, ge=2, description="With fewer values nothing is an outlier.")

    def build(self) -> Callable[[Sequence[Mapping[str, Any]]], list[dict[str, Any]]]:
        """Return the function of the records of a batch."""
        limit = _USUAL[self.method] if self.threshold is None else self.threshold

        def looked_at(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
            table = np.column_stack([column(records, field) for field in self.fields])
            if self.method == "mahalanobis":
                scores = together(table, self.min_records)
                beyond = scores > np.sqrt(stats.chi2.ppf(min(limit, 1.0), df=table.shape[1]))
                return [_said(bool(out), score, self.fields if out else ()) for out, score in zip(beyond, scores)]  # noqa: B905
            each = np.column_stack([apart(values, self.method, self.min_records) for values in table.T])
            return [
                _said(
                    bool((row > limit).any()),
                    np.nan if np.isnan(row).all() else float(np.nanmax(row)),
                    [field for field, score in zip(self.fields, row, strict=True) if score > limit],
                )
                for row in each
            ]

        return looked_at


def _said(is_outlier: bool, score: float, fields: Sequence[str]) -> dict[str, Any]:  # noqa: FBT001 - a value of the output
    return {"is_outlier": is_outlier, "outlier_score": shown(score), "outlier_fields": list(fields)}


def apart(values: Numbers, method: str, least: int = LEAST) -> Numbers:
    """Return how far each value is from the others, NaN where there is none or too few. Where the others do not differ
    at all, a value that does is infinitely far."""
    there = known(values)
    if len(there) < least:
        return np.full(len(values), np.nan)
    if method == "iqr":
        low, high = np.percentile(there, [25, 75])
        away = np.maximum(np.maximum(low - values, values - high), 0.0)
        width = high - low
    elif method == "zscore":
        away, width = np.abs(values - there.mean()), there.std()
    else:
        away, width = np.abs(values - np.median(there)), stats.median_abs_deviation(there, scale="normal")
    if width == 0:
        return np.where(np.isnan(values), np.nan, np.where(away == 0, 0.0, np.finfo(np.float64).max))
    return np.asarray(away / width, dtype=np.float64)


def together(table: Numbers, least: int = LEAST) -> Numbers:
    """Return the Mahalanobis distance of each row, NaN where a number is missing, or rows are too few."""
    whole = table[~np.isnan(table).any(axis=1)]
    if len(whole) < max(least, table.shape[1] + 2):
        return np.full(len(table), np.nan)
    inverse = np.linalg.pinv(np.atleast_2d(np.cov(whole, rowvar=False)))
    away = table - whole.mean(axis=0)
    return np.asarray(np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", away, inverse, away), 0.0)), dtype=np.float64)
