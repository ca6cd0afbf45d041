"""Implements the quality gates, which decide from a record's scores whether it passes. They do no I/O.

A score passes if `score >= threshold`. The texts of the reasons are part of the contract, because
`quarantined_records.failure_reason` holds them and people search for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from loom_common.domain.values.per_record import per_record
from loom_common.text import shown

NO_RESULTS = "No evaluation results"
_MOST_DIGITS = 17
"""The most decimals that a score has."""


@per_record
class Score:
    """Holds the score that one evaluator gave a record."""

    name: str
    value: float
    """A number in [0, 1]."""
    threshold: float | None = None
    """None only under a `weighted` gate."""
    weight: float = 1.0
    explanation: str | None = None
    confidence: float | None = None

    @property
    def passed(self) -> bool:
        """Tell whether the score is at least its threshold. A score without a threshold passes."""
        return self.threshold is None or self.value >= self.threshold


@dataclass(frozen=True, slots=True)
class Verdict:
    """Holds a gate's decision. `reason` is set where the record did not pass."""

    passed: bool
    reason: str | None = None


PASSED = Verdict(passed=True)


class QualityGate(Protocol):
    """Decides about one record. It is registered under a name, or named `module:Class` in the pipeline file."""

    def apply(self, scores: Sequence[Score]) -> bool | Verdict:
        """Return True or a passing `Verdict` to let the record through."""
        ...


def _short(value: float) -> str:
    """Return 0.8 as `0.8` and 0.75 as `0.75`, as the user wrote the threshold."""
    text = f"{value:g}"
    return text if float(text) == value else repr(value)


def _below(value: float, threshold: float, digits: int) -> str:
    """Return a value with `digits` decimals, or with as many more as show that it is below the threshold."""
    shown_value = f"{value:.{digits}f}"
    while value < threshold <= float(shown_value) and digits < _MOST_DIGITS:
        digits += 1
        shown_value = f"{value:.{digits}f}"
    return shown_value


def all_pass(scores: Sequence[Score]) -> Verdict:
    """Pass if every evaluator passed."""
    failed = [score for score in scores if not score.passed]
    if not failed:
        return PASSED
    if len(failed) == 1:
        one = failed[0]
        return Verdict(False, f"{one.name} evaluator below threshold ({_against_its_threshold(one)})")
    words = ", ".join(f"{score.name} ({_against_its_threshold(score)})" for score in failed)
    return Verdict(False, f"Multiple evaluators failed: {words}")


def _against_its_threshold(score: Score) -> str:
    threshold = score.threshold or 0
    return f"{_below(score.value, threshold, 2)} < {_short(threshold)}"


def majority_pass(scores: Sequence[Score]) -> Verdict:
    """Pass if more than half of the evaluators passed: 2 of 4 fails."""
    passed = sum(score.passed for score in scores)
    if passed * 2 > len(scores):
        return PASSED
    return Verdict(False, f"Majority not achieved: {passed}/{len(scores)} passed ({passed / len(scores):.0%})")


def any_pass(scores: Sequence[Score]) -> Verdict:
    """Pass if at least one evaluator passed."""
    return PASSED if any(score.passed for score in scores) else Verdict(False, "No evaluators passed threshold")


def weighted(threshold: float) -> Callable[[Sequence[Score]], Verdict]:
    """Return a gate that passes if the weighted mean of the scores reaches `threshold`."""

    def gate(scores: Sequence[Score]) -> Verdict:
        weight = sum(score.weight for score in scores)
        mean = sum(score.value * score.weight for score in scores) / weight
        # A mean that equals the threshold in decimal must not fail because of its binary representation.
        if round(mean, 12) >= round(threshold, 12):
            return PASSED
        return Verdict(False, f"Weighted average below threshold ({_below(mean, threshold, 3)} < {_short(threshold)})")

    return gate


BUILTIN: dict[str, Callable[[Sequence[Score]], Verdict]] = {
    "all_pass": all_pass,
    "majority_pass": majority_pass,
    "any_pass": any_pass,
}
"""Holds the gates without settings. `weighted` needs its threshold."""


def decide(gate: Callable[[Sequence[Score]], bool | Verdict], scores: Sequence[Score], name: str) -> Verdict:
    """Apply the gate to the scores. A record without scores never passes."""
    if not scores:
        return Verdict(False, NO_RESULTS)
    answer = gate(scores)
    if isinstance(answer, Verdict):
        words = None if answer.reason is None else shown(answer.reason)
        return answer if words == answer.reason else Verdict(answer.passed, words)
    return PASSED if answer else Verdict(False, f"Quality gate {name} did not pass")


def below_batch_threshold(passed: int, judged: int, threshold: float | None) -> str | None:
    """Return the run's message if too small a share of its judged records passed; None otherwise."""
    if threshold is None or not judged or passed / judged >= threshold:
        return None
    percent = 100 * threshold
    shown_threshold = f"{percent:.1f}" if round(percent, 1) == round(percent, 9) else _short(round(percent, 9))
    return f"Batch quality below threshold: {_below(100 * passed / judged, percent, 1)}% < {shown_threshold}%"
