"""Quality gates: from the scores of one record to a verdict. Pure.

A score passes if `score >= threshold`. The words of each reason are part of the contract: people
search for them, and `quarantined_records.failure_reason` holds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from loom_common.text import shown

NO_RESULTS = "No evaluation results"


@dataclass(frozen=True, slots=True)
class Score:
    """What one evaluator said of one record."""

    name: str
    value: float
    """In [0, 1]."""
    threshold: float | None = None
    """None only under a `weighted` gate."""
    weight: float = 1.0
    explanation: str | None = None
    confidence: float | None = None

    @property
    def passed(self) -> bool:
        """Inclusive: a score on its threshold passes. Without a threshold there is nothing to miss."""
        return self.threshold is None or self.value >= self.threshold


@dataclass(frozen=True, slots=True)
class Verdict:
    """A gate's answer. `reason` stands where it did not pass."""

    passed: bool
    reason: str | None = None


PASSED = Verdict(passed=True)


class QualityGate(Protocol):
    """Decides about one record. Registered under a name, or named `module:Class` in the pipeline file."""

    def apply(self, scores: Sequence[Score]) -> bool | Verdict:
        """True or a passing `Verdict` lets the record through."""
        ...


def _short(value: float) -> str:
    """0.8 for 0.8, 0.75 for 0.75: thresholds as the user wrote them."""
    return f"{value:g}"


def all_pass(scores: Sequence[Score]) -> Verdict:
    """Passes when every evaluator passed."""
    failed = [score for score in scores if not score.passed]
    if not failed:
        return PASSED
    if len(failed) == 1:
        one = failed[0]
        return Verdict(False, f"{one.name} evaluator below threshold ({one.value:.2f} < {_short(one.threshold or 0)})")
    words = ", ".join(f"{score.name} ({score.value:.2f} < {_short(score.threshold or 0)})" for score in failed)
    return Verdict(False, f"Multiple evaluators failed: {words}")


def majority_pass(scores: Sequence[Score]) -> Verdict:
    """Passes when more than half passed: 2 of 4 fails."""
    passed = sum(score.passed for score in scores)
    if passed * 2 > len(scores):
        return PASSED
    return Verdict(False, f"Majority not achieved: {passed}/{len(scores)} passed ({passed / len(scores):.0%})")


def any_pass(scores: Sequence[Score]) -> Verdict:
    """Passes when at least one passed."""
    return PASSED if any(score.passed for score in scores) else Verdict(False, "No evaluators passed threshold")


def weighted(threshold: float) -> Callable[[Sequence[Score]], Verdict]:
    """Passes when the weighted mean of the scores reaches `threshold`."""

    def gate(scores: Sequence[Score]) -> Verdict:
        weight = sum(score.weight for score in scores)
        mean = sum(score.value * score.weight for score in scores) / weight
        # A mean that equals the threshold in decimal must not fail for its binary representation.
        if round(mean, 12) >= round(threshold, 12):
            return PASSED
        return Verdict(False, f"Weighted average below threshold ({mean:.3f} < {_short(threshold)})")

    return gate


BUILTIN: dict[str, Callable[[Sequence[Score]], Verdict]] = {
    "all_pass": all_pass,
    "majority_pass": majority_pass,
    "any_pass": any_pass,
}
"""The gates that need no setting. `weighted` takes its threshold."""


def decide(gate: Callable[[Sequence[Score]], bool | Verdict], scores: Sequence[Score], name: str) -> Verdict:
    """Ask `gate` about `scores`. No results at all never pass, whatever the gate."""
    if not scores:
        return Verdict(False, NO_RESULTS)
    answer = gate(scores)
    if isinstance(answer, Verdict):
        words = None if answer.reason is None else shown(answer.reason)
        return answer if words == answer.reason else Verdict(answer.passed, words)
    return PASSED if answer else Verdict(False, f"Quality gate {name} did not pass")


def below_batch_threshold(passed: int, judged: int, threshold: float | None) -> str | None:
    """The run's message when too small a share of its judged records passed; None when enough did."""
    if threshold is None or not judged or passed / judged >= threshold:
        return None
    return f"Batch quality below threshold: {passed / judged:.1%} < {threshold:.1%}"
