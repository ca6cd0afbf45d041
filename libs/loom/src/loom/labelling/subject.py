"""Says near to which threshold the records lie that people judge: that of one evaluator, or that of the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from loom_common.domain.definition.evaluation import EvaluateConfig
from loom_common.domain.definition.quality_gate import GATES
from loom_common.domain.run.replaying import GATE
from loom_common.domain.values.near import closest
from loom_common.errors import ConfigurationError
from loom_coordinator.db.run import Run

_WEIGHTED = "weighted"


@dataclass(frozen=True, slots=True)
class Subject:
    """Gives each record one score, and the margin by which it passes."""

    name: str
    """The name of an evaluator, or `gate`."""
    threshold: float | None
    """The threshold that another value can be proposed for; None for a gate that looks at several thresholds."""
    gate: str | None
    """The kind of the gate; None for an evaluator."""
    thresholds: Mapping[str, float | None]
    """The thresholds of the evaluators that count, by name."""
    weights: Mapping[str, float]

    @property
    def words(self) -> str:
        """Say which threshold is meant."""
        if self.gate is None:
            return f"the threshold {self.threshold:g} of {self.name}"
        return f"the threshold {self.threshold:g} of the gate" if self.threshold is not None else "the gate's threshold"

    def score(self, scores: Mapping[str, float]) -> float | None:
        """Return the score that is compared with the threshold; None for a record that lacks a score that counts. Of a
        gate that looks at several thresholds it is the margin: at least 0 where the record passes."""
        if any(name not in scores for name in self.thresholds):
            return None
        if self.gate is None:
            return scores[self.name]
        if self.gate == _WEIGHTED:
            weight = sum(self.weights.values())
            return round(sum(scores[name] * self.weights[name] for name in self.thresholds) / weight, 12)
        margins = sorted((scores[name] - (limit or 0.0) for name, limit in self.thresholds.items()), reverse=True)
        return margins[_deciding(self.gate, len(margins))]

    @property
    def limit(self) -> float:
        """Return what a record's score has to reach."""
        return 0.0 if self.threshold is None else self.threshold


def _deciding(gate: str, number: int) -> int:
    """Return which of so many margins decides, the largest first: with the majority's, more than half of them are at
    least 0."""
    return {"all_pass": number - 1, "any_pass": 0, "majority_pass": number // 2}[gate]


def subject_of(run: Run, name: str | None) -> Subject:
    """Return what is judged by the evaluator of that name; without a name, by the run's only evaluator, else by its
    gate. Raises `ConfigurationError` where there is none, or it has no threshold to be near to."""
    config = section_of(run)
    evaluators = {each.name: each for each in config.evaluators}
    gate = config.quality_gate
    if name is not None and name not in evaluators and name != GATE:
        near = closest(name, [*evaluators, GATE])
        hint = f" Did you mean '{near}'?" if near else ""
        raise ConfigurationError(f"Run {run.run_id} has no evaluator '{name}'; it has {', '.join(evaluators)}.{hint}")
    if name is None and len(evaluators) == 1 and gate.type != _WEIGHTED:
        name = next(iter(evaluators))
    if name is not None and name in evaluators:
        limit = evaluators[name].threshold
        if limit is None:
            raise ConfigurationError(
                f"Evaluator '{name}' has no threshold: the weighted gate decides. Judge by that: --evaluator {GATE}."
            )
        return Subject(name, limit, None, {name: limit}, {})
    if gate.type not in GATES:
        raise ConfigurationError(
            f"The gate {gate.type} of run {run.run_id} is code, so that nothing tells which records are near to its "
            f"threshold. Name an evaluator: --evaluator {next(iter(evaluators))}."
        )
    return Subject(
        GATE,
        gate.threshold,
        gate.type,
        {each.name: each.threshold for each in config.evaluators},
        {each.name: each.weight for each in config.evaluators},
    )


def subjects_of(run: Run) -> Sequence[Subject]:
    """Return everything that has a threshold which another value can be proposed for: evaluators, or a weighted
    gate."""
    config = section_of(run)
    if config.quality_gate.type == _WEIGHTED:
        return [subject_of(run, GATE)]
    return [subject_of(run, each.name) for each in config.evaluators if each.threshold is not None]


def section_of(run: Run) -> EvaluateConfig:
    """Return the run's `evaluate` section. Raises `ConfigurationError` where it has none."""
    section: Any = run.definition.get("evaluate")
    if not section:
        raise ConfigurationError(
            f"The pipeline of run {run.run_id} has no evaluators, so no record of it is near to a threshold."
        )
    try:
        return EvaluateConfig.model_validate(section)
    except ValidationError as error:
        raise ConfigurationError(
            f"The `evaluate` section of run {run.run_id} cannot be read by this version of Loom: {error.error_count()} "
            "mistakes."
        ) from error
