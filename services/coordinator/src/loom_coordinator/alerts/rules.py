"""Decides what is worth telling people of a run: its figures against what the pipeline demands, and against its own
history. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loom_common.domain.definition.monitoring import CostSpike, MonitoringConfig, ScoreDegradation


LEAST_RECORDS = 20
"""Records that have been through a run that is still under way before its figures say anything."""
WARNING, ERROR = "warning", "error"
RESOLVED = "resolved"
"""The severity of a row that says that an earlier run's alert is over."""
BUDGET = "budget_exhausted"
BUDGET_OF_DAY = "day_budget_exhausted"
CANARY_PROMOTED = "canary_promoted"
CANARY_ROLLED_BACK = "canary_rolled_back"
EVENTS = frozenset({CANARY_PROMOTED, CANARY_ROLLED_BACK})
"""Names the alerts that tell what has happened, and are over with that."""


def subject_of(alert_type: str, subject: str) -> str:
    """Return what an alert is about across runs. Of a spent budget, the subject is its amount, which may change."""
    return "" if alert_type in (BUDGET, BUDGET_OF_DAY) else subject


@dataclass(frozen=True, slots=True)
class Figures:
    """Holds the figures of a run."""

    records: int
    """Counts the records that went through the transform."""
    cost_per_record: float
    """Holds the cost in USD."""
    latency: Mapping[str, float | None]
    """`p50`, `p95`, `p99`: seconds that a model took to answer, or code to transform a record."""
    scores: Mapping[str, float]
    """Mean score by evaluator."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Represents something to be told. One per run, type and subject."""

    type: str
    subject: str
    """Says what it is about, within its type: an evaluator, a percentile."""
    message: str
    threshold: float
    actual: float
    severity: str = WARNING
    details: Mapping[str, float] = field(default_factory=dict)


def findings(config: MonitoringConfig, now: Figures, history: Sequence[Figures]) -> list[Finding]:
    """Return all that stands out. `history` are the pipeline's earlier runs, the newest first."""
    return [*_quality(config, now), *_latency(config, now), *_cost(config, now, history), *_drop(config, now, history)]


def _quality(config: MonitoringConfig, now: Figures) -> Iterator[Finding]:
    if config.quality_threshold is None:
        return
    least = config.quality_threshold.min_score
    for name, score in sorted(now.scores.items()):
        if score < least:
            words = f"{name}: mean score {score:.3f} is below quality_threshold.min_score {least:g}"
            yield Finding("quality_threshold", name, words, least, score, ERROR)


def _latency(config: MonitoringConfig, now: Figures) -> Iterator[Finding]:
    if config.latency_sla is None:
        return
    for name, limit in config.latency_sla.model_dump(exclude_none=True).items():
        seconds = now.latency.get(name)
        if seconds is not None and seconds > limit:
            words = f"{name} of the answers is {seconds:.2f} s; latency_sla.{name} is {limit:g} s"
            yield Finding("latency_sla", name, words, limit, seconds)


def _cost(config: MonitoringConfig, now: Figures, history: Sequence[Figures]) -> Iterator[Finding]:
    spike = config.cost_spike
    if spike is None or len(earlier := _earlier(spike, history)) < spike.least:
        return
    usual = median(run.cost_per_record for run in earlier)
    limit = usual * spike.factor
    if usual > 0 and now.cost_per_record > limit:
        words = (
            f"a record costs ${now.cost_per_record:.6f}, {now.cost_per_record / usual:.1f} times the "
            f"${usual:.6f} of the last {len(earlier)} runs; cost_spike.factor is {spike.factor:g}"
        )
        yield Finding("cost_spike", "run", words, limit, now.cost_per_record, details={"usual": usual})


def _drop(config: MonitoringConfig, now: Figures, history: Sequence[Figures]) -> Iterator[Finding]:
    drop = config.score_degradation
    if drop is None:
        return
    for name, score in sorted(now.scores.items()):
        before = [run.scores[name] for run in _earlier(drop, history) if name in run.scores]
        if len(before) < drop.least:
            continue
        usual = fmean(before)
        if score < usual - drop.drop:
            words = (
                f"{name}: mean score {score:.3f} is {usual - score:.3f} below the {usual:.3f} of the last "
                f"{len(before)} runs; score_degradation.drop is {drop.drop:g}"
            )
            yield Finding("score_degradation", name, words, usual - drop.drop, score, details={"usual": usual})


def _earlier(section: CostSpike | ScoreDegradation, history: Sequence[Figures]) -> Sequence[Figures]:
    return history[: section.runs]
