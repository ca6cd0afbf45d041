"""Turns scores into probabilities that hold: learned from scores whose outcome is known, and kept as values of JSON.

`platt` fits a logistic curve (Platt, J., 1999: Probabilistic outputs for support vector machines), by the algorithm of
Lin, Lin and Weng (2007): A note on Platt's probabilistic outputs. `isotonic` fits the rising function that is nearest
to the outcomes (Zadrozny, B. and Elkan, C., 2002: Transforming classifier scores into accurate multiclass probability
estimates), by pooling adjacent violators. Between the scores that it has seen, it is interpolated."""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

METHODS = ("platt", "isotonic")
_ITERATIONS = 100
_LEAST_STEP = 1e-10


@dataclass(frozen=True, slots=True)
class Platt:
    """Represents the curve 1 / (1 + exp(slope * score + intercept))."""

    slope: float
    intercept: float

    def __call__(self, score: float) -> float:
        """Return the probability that belongs to a score."""
        return _logistic(-(self.slope * score + self.intercept))

    def as_json(self) -> dict[str, Any]:
        """Return the curve as JSON values."""
        return {"method": "platt", "slope": self.slope, "intercept": self.intercept}


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Represents a rising function by some of its points, and straight lines between them."""

    scores: Sequence[float]
    probabilities: Sequence[float]

    def __call__(self, score: float) -> float:
        """Return the probability that belongs to a score."""
        at = bisect.bisect_left(self.scores, score)
        if at == 0:
            return self.probabilities[0]
        if at == len(self.scores):
            return self.probabilities[-1]
        left, right = self.scores[at - 1], self.scores[at]
        lower, upper = self.probabilities[at - 1], self.probabilities[at]
        # The last digit of the sum may be too high, and the function would fall to its next point.
        return min(upper, lower + (score - left) / (right - left) * (upper - lower))

    def as_json(self) -> dict[str, Any]:
        """Return the function as JSON values."""
        return {"method": "isotonic", "scores": list(self.scores), "probabilities": list(self.probabilities)}


Curve = Platt | Isotonic


def fitted(method: str, scores: Sequence[float], came_true: Sequence[bool]) -> Curve:
    """Fit a curve to scores and their outcomes, of which there is at least one of either kind. Raises `ValueError`
    where there is not, because nothing can be learned then."""
    if not any(came_true) or all(came_true):
        raise ValueError("all outcomes are the same: nothing can be learned from them")
    return _platt(scores, came_true) if method == "platt" else _isotonic(scores, came_true)


def read(document: Mapping[str, Any]) -> Curve:
    """Return the curve that `as_json` gave. Raises `ValueError` for anything else."""
    match document:
        case {"method": "platt", "slope": int() | float() as slope, "intercept": int() | float() as intercept}:
            if math.isfinite(slope) and math.isfinite(intercept):
                return Platt(slope, intercept)
        case {"method": "isotonic", "scores": [*scores], "probabilities": [*probabilities]}:
            if (
                _is_rising(scores)
                and _is_rising(probabilities, strictly=False)
                and len(scores) == len(probabilities)
                and 0.0 <= probabilities[0] <= probabilities[-1] <= 1.0
            ):
                return Isotonic(tuple(scores), tuple(probabilities))
    raise ValueError("it holds no curve of the method platt or isotonic")


def _is_rising(values: Sequence[Any], *, strictly: bool = True) -> bool:
    if not values or not all(isinstance(each, int | float) and math.isfinite(each) for each in values):
        return False
    return all(one < other or (one == other and not strictly) for one, other in pairwise(values))


def out_of_fold(
    method: str, scores: Sequence[float], came_true: Sequence[bool], folds: int, seed: int
) -> list[float] | None:
    """Return the probability of each score by a curve that was fitted without its fold, which shows what a curve does
    to scores that it has not seen. None where a fold leaves too little to learn from."""
    order = list(range(len(scores)))
    random.Random(seed).shuffle(order)  # noqa: S311 - no secret is made of it
    order.sort(key=lambda place: came_true[place])  # so that each fold has its share of either outcome
    found = [0.0] * len(scores)
    for fold in range(folds):
        held = set(order[fold::folds])
        kept = [place for place in range(len(scores)) if place not in held]
        try:
            curve = fitted(method, [scores[place] for place in kept], [came_true[place] for place in kept])
        except ValueError:
            return None
        for place in held:
            found[place] = curve(scores[place])
    return found


def _logistic(value: float) -> float:
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    grown = math.exp(value)
    return grown / (1.0 + grown)


def _platt(scores: Sequence[float], came_true: Sequence[bool]) -> Platt:
    hits = sum(came_true)
    misses = len(came_true) - hits
    high, low = (hits + 1) / (hits + 2), 1 / (misses + 2)
    targets = [high if each else low for each in came_true]
    slope, intercept = 0.0, math.log((misses + 1) / (hits + 1))
    loss = _loss(scores, targets, slope, intercept)
    for _ in range(_ITERATIONS):
        gradient, curvature = _derivatives(scores, targets, slope, intercept)
        if max(map(abs, gradient)) < 1e-5:
            break
        step, down = _newton(gradient, curvature)
        size = 1.0
        while size >= _LEAST_STEP:
            tried = slope + size * step[0], intercept + size * step[1]
            now = _loss(scores, targets, *tried)
            if now < loss + 1e-4 * size * down:
                slope, intercept, loss = *tried, now
                break
            size /= 2
        else:
            break
    return Platt(slope, intercept)


def _loss(scores: Sequence[float], targets: Sequence[float], slope: float, intercept: float) -> float:
    total = 0.0
    for score, target in zip(scores, targets, strict=True):
        value = slope * score + intercept
        total += (
            target * value + math.log1p(math.exp(-value))
            if value >= 0
            else (target - 1) * value + math.log1p(math.exp(value))
        )
    return total


def _derivatives(
    scores: Sequence[float], targets: Sequence[float], slope: float, intercept: float
) -> tuple[tuple[float, float], tuple[float, float, float]]:
    by_slope = by_intercept = 0.0
    slopes, intercepts, mixed = 1e-12, 1e-12, 0.0
    for score, target in zip(scores, targets, strict=True):
        probability = _logistic(-(slope * score + intercept))
        weight, distance = probability * (1 - probability), target - probability
        slopes += score * score * weight
        intercepts += weight
        mixed += score * weight
        by_slope += score * distance
        by_intercept += distance
    return (by_slope, by_intercept), (slopes, intercepts, mixed)


def _newton(gradient: tuple[float, float], curvature: tuple[float, float, float]) -> tuple[tuple[float, float], float]:
    """Return Newton's step, and how steeply the loss falls along it."""
    (by_slope, by_intercept), (slopes, intercepts, mixed) = gradient, curvature
    determinant = slopes * intercepts - mixed * mixed
    if determinant <= 0:  # the scores do not vary
        step = (0.0, -by_intercept / intercepts)
    else:
        step = (
            -(intercepts * by_slope - mixed * by_intercept) / determinant,
            -(slopes * by_intercept - mixed * by_slope) / determinant,
        )
    return step, by_slope * step[0] + by_intercept * step[1]


def _isotonic(scores: Sequence[float], came_true: Sequence[bool]) -> Isotonic:
    blocks: list[list[float]] = []
    """Holds for each block its lowest and highest score, its hits and its records."""
    for score, outcome in sorted(zip(scores, map(float, came_true), strict=True), key=lambda pair: pair[0]):
        if blocks and blocks[-1][1] == score:
            blocks[-1][2] += outcome
            blocks[-1][3] += 1
        else:
            blocks.append([score, score, outcome, 1])
        # Equal scores make one block, and only then is it compared with the one before.
    pooled: list[list[float]] = []
    for block in blocks:
        pooled.append(block)
        while len(pooled) > 1 and pooled[-2][2] * pooled[-1][3] >= pooled[-1][2] * pooled[-2][3]:
            low, _, hits, records = pooled.pop(-2)
            pooled[-1] = [low, pooled[-1][1], pooled[-1][2] + hits, pooled[-1][3] + records]
    points: dict[float, float] = {}
    for low, high, hits, records in pooled:
        points[low] = points[high] = hits / records
    return Isotonic(tuple(points), tuple(points.values()))
