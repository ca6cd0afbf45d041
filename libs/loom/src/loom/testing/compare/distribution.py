"""Compares the outputs of many records with the expectation of a distributional test."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom.testing.compare.record import field_of
from loom.testing.definition.bounds import Bounds
from loom.testing.definition.expectations import Drift, FieldExpectation
from loom.testing.outcomes import Failure
from loom_common.statistics.distances import binned, chi_square, kolmogorov_smirnov, population_stability
from loom_common.statistics.spread import entropy, quantile, standard_deviation

_LEAST_P = 0.01
_MOST_PSI = 0.2
Distribution = list[float] | dict[str, int]
"""Numbers, or counts by category."""


@dataclass(frozen=True, slots=True)
class FieldValues:
    """Holds the values of one field of many outputs."""

    values: Sequence[Any]
    """Holds the values that are not null."""
    missing: int

    @classmethod
    def of(cls, outputs: Sequence[Mapping[str, Any]], name: str) -> FieldValues:
        """Collect the values of a field."""
        values = []
        for output in outputs:
            try:
                value = field_of(output, name)
            except KeyError:
                value = None
            if value is not None:
                values.append(value)
        return cls(values, len(outputs) - len(values))

    @property
    def numbers(self) -> list[float]:
        """Return the values that are numbers."""
        return [float(each) for each in self.values if _is_number(each)]

    @property
    def counts(self) -> dict[str, int]:
        """Return how often each value occurs, as text."""
        return dict(Counter(category(each) for each in self.values))

    @property
    def distribution(self) -> Distribution:
        """Return the numbers where all values are numbers, else the counts."""
        return self.numbers if self.values and all(map(_is_number, self.values)) else self.counts


class Comparison:
    """Collects what was measured and what does not hold."""

    def __init__(self) -> None:
        self.measured: dict[str, Any] = {}
        self.failures: list[Failure] = []

    def bound(self, what: str, bounds: Bounds | None, found: float | None, why: str | None = None) -> None:
        """Compare a number that was measured; None where nothing could be."""
        if bounds is None:
            return
        self.measured[what] = found
        if found is None or not bounds.holds(found):
            shown = "nothing to measure" if found is None else f"{found:.6g}"
            self.failures.append(Failure(what, str(bounds), shown, why))


def compare_field(
    to: Comparison, name: str, expected: FieldExpectation, found: FieldValues, base: Distribution | None
) -> None:
    """Compare one field. `base` is its baseline, where there is one."""
    at, numbers, counts = f"fields.{name}", sorted(found.numbers), found.counts
    total, present = len(found.values) + found.missing, len(found.values)
    for value, bounds in expected.share.items():
        to.bound(f"{at}.share.{value}", bounds, counts.get(value, 0) / total if total else None)
    to.bound(f"{at}.missing", expected.missing, found.missing / total if total else None)
    to.bound(f"{at}.distinct", expected.distinct, float(len(counts)))
    no_numbers = None if numbers else f"{present} values, of which none is a number"
    to.bound(f"{at}.mean", expected.mean, math.fsum(numbers) / len(numbers) if numbers else None, no_numbers)
    to.bound(f"{at}.std", expected.std, standard_deviation(numbers), no_numbers)
    for which, bounds in expected.quantiles.items():
        to.bound(f"{at}.quantiles.{which}", bounds, quantile(numbers, float(which[1:]) / 100), no_numbers)
    to.bound(f"{at}.entropy", expected.entropy, entropy(counts.values()) if counts else None)
    if expected.drift is not None:
        _drift(to, f"{at}.drift", expected.drift, found, base)


def _drift(to: Comparison, at: str, expected: Drift, found: FieldValues, base: Distribution | None) -> None:
    if base is None:
        remedy = "store it with `loom test --update`, or name `baseline: RUN_ID` or `baseline: FILE`"
        to.failures.append(Failure(at, "a stored baseline", "none", remedy))
        return
    now = found.distribution
    if not now or not base:
        to.failures.append(Failure(at, "values to compare", "none"))
        return
    numeric = isinstance(now, list) and isinstance(base, list)
    test = expected.test or ("ks" if numeric else "chi_square")
    if test == "ks" and not numeric:
        to.failures.append(
            Failure(at, "numbers, here and in the baseline", "other values", "take `chi_square` or `psi`")
        )
        return
    for what, bounds, measured in _measured(test, expected, now, base):
        to.bound(f"{at}.{test}.{what}", bounds, measured)
        if bounds is None:
            to.measured[f"{at}.{test}.{what}"] = measured


def _measured(
    test: str, expected: Drift, now: Distribution, base: Distribution
) -> Iterator[tuple[str, Bounds | None, float]]:
    most = None if expected.max is None else Bounds(max=expected.max)
    if test == "psi":
        before, after = (
            binned(base, now) if isinstance(now, list) and isinstance(base, list) else (_counts(base), _counts(now))
        )
        yield "index", most or Bounds(max=_MOST_PSI), population_stability(before, after)
        return
    if isinstance(now, list) and isinstance(base, list) and test == "ks":
        distance = kolmogorov_smirnov(base, now)
    else:
        distance = chi_square(_counts(base), _counts(now))
    least_p = expected.min_p if expected.min_p is not None else None if most else _LEAST_P
    yield "statistic", most, distance.statistic
    yield "p", None if least_p is None else Bounds(min=least_p), distance.p


def _counts(values: Distribution) -> dict[str, int]:
    return values if isinstance(values, dict) else dict(Counter(category(each) for each in values))


def category(value: Any) -> str:
    """Name a value among others: a text as it is, a whole number without a fraction, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
