"""Describes what an evaluator says of one record, and the shape of every evaluator."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from loom_common.domain.json_values.plain_values import NoPlainValue, plain
from loom_common.errors import RecordError

if TYPE_CHECKING:
    from loom_common.contracts.v1 import TransformedRecord
    from loom_evaluator.evaluation_call import EvaluationCall


class Opinion(NamedTuple):
    """Holds a score in [0, 1], and why where it is not 1."""

    value: float
    explanation: str | None = None
    confidence: float | None = None
    """Says how sure a judging model said it was, in [0, 1]."""
    decided_by: str | None = None
    """Names the cheap tier of a cascade, where that decided and the judge was not asked."""


YES = Opinion(1.0)

Rule: TypeAlias = "Callable[[TransformedRecord], Opinion]"
"""Scores one record. Raises `RecordError` where it cannot: that never counts as a pass."""


@dataclass(frozen=True, slots=True)
class AsyncRule:
    """Scores one record, and waits for something to do so. It is a class, so that the two can be told apart."""

    score: Callable[[TransformedRecord], Awaitable[Opinion]]

    def __call__(self, record: TransformedRecord) -> Awaitable[Opinion]:
        return self.score(record)


ModelRule: TypeAlias = "Callable[[TransformedRecord, EvaluationCall], Awaitable[Opinion]]"
"""Scores one record by asking a model. Raises `TransientError` too, where the model is away."""


def no(explanation: str) -> Opinion:
    """Give a score of 0, and why."""
    return Opinion(0.0, explanation)


def cannot_score(why: str) -> RecordError:
    """The evaluator cannot judge this record."""
    return RecordError(why, code="evaluator_error")


def score_of(value: Any) -> float:
    """Read `value` as a score. Raises `RecordError` for anything but a number in [0, 1]."""
    if not isinstance(value, Real):
        raise cannot_score(f"the score is {shown(value)}; expected a number from 0 to 1")
    score = float(value)
    if math.isnan(score) or not 0.0 <= score <= 1.0:
        raise cannot_score(f"the score is {score:g}; expected a number from 0 to 1")
    return score


def shown(value: Any) -> str:
    """Write a value for a message: as Python writes it where it is a JSON value, else its type alone."""
    try:
        return f"{plain(value)!r:.80}"
    except NoPlainValue:
        return f"of type {type(value).__name__}"
