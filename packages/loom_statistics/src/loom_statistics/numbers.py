"""Reads numbers out of records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST = 8
"""Says how many values a batch has at least for its statistics to say something."""
Numbers = NDArray[np.float64]


def column(records: Sequence[Mapping[str, Any]], field: str) -> Numbers:
    """Return the numbers of a field, NaN where a record has none."""
    return np.array([number(record.get(field)) for record in records], dtype=np.float64)


def number(value: Any) -> float:
    """Return a number, or what a text says; NaN for anything else, and for what is not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return float("nan")
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return float("nan")
    return read if np.isfinite(read) else float("nan")


def known(values: Numbers) -> Numbers:
    """Return the values that are there."""
    return values[~np.isnan(values)]


def shown(value: float) -> float | None:
    """Return a number as JSON has it; None where there is none."""
    return None if not np.isfinite(value) else float(value)
