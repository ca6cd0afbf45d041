"""Counts what the runs of each pipeline come to, for Prometheus: runs, records, scores, calls and money.

A transaction notes what it counts, and it is counted once the transaction is committed. So a fact that comes twice
counts once, and each coordinator counts what it has committed itself: the counts of all replicas are added up. The
number of series of a metric is limited, because the names of pipelines come from users."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from loom_common.ports.tracing import SpanReference
from loom_common.worker.consuming.stats import Distribution, Exemplar, Reading

MOST_SERIES = 2_000
"""The number of label sets that one metric has at most. What has another one is counted under `OTHERS`."""
OTHERS = "(others)"

RUNS = "loom_pipeline_runs_total"
DURATION = "loom_pipeline_duration_seconds"
RECORDS = "loom_records_processed_total"
SCORE = "loom_evaluation_score"
COST = "loom_cost_total_dollars"
CALLS = "loom_model_calls_total"
CALL_SECONDS = "loom_model_call_seconds_total"
TOKENS = "loom_model_tokens_total"
MODEL_COST = "loom_model_cost_dollars_total"


@dataclass(frozen=True, slots=True)
class _Metric:
    meaning: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...] = ()
    """The upper bounds of a histogram's buckets; none for a counter."""


_METRICS: Mapping[str, _Metric] = MappingProxyType(
    {
        RUNS: _Metric("Runs that ended, by status.", ("pipeline_name", "status")),
        DURATION: _Metric(
            "Seconds from the start of a run to its end.",
            ("pipeline_name",),
            (1.0, 5.0, 15.0, 30.0, 60.0, 180.0, 600.0, 1_800.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0),
        ),
        RECORDS: _Metric("Records that a stage let through.", ("pipeline_name", "stage")),
        SCORE: _Metric(
            "Scores of records.",
            ("pipeline_name", "evaluator"),
            (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0),
        ),
        COST: _Metric("What model calls cost, in USD.", ("pipeline_name",)),
        CALLS: _Metric("Model calls: paid for, or answered by the journal.", ("model", "purpose", "paid")),
        CALL_SECONDS: _Metric("Seconds from question to answer, over paid calls.", ("model", "purpose")),
        TOKENS: _Metric("Tokens of paid calls.", ("model", "direction")),
        MODEL_COST: _Metric("What the calls of a model cost, in USD.", ("model",)),
    }
)
_FROM_USERS = frozenset({"pipeline_name", "evaluator", "model"})


@dataclass(frozen=True, slots=True)
class Observation:
    """Represents one thing that is counted once its transaction is committed."""

    metric: str
    labels: tuple[str, ...]
    """The values of the metric's labels, in order."""
    value: float = 1.0
    span: SpanReference | None = None
    """Names a span of the run for the exemplar of a histogram; None where the run is not traced."""


@dataclass(slots=True)
class _Buckets:
    counts: list[int]
    total: float = 0.0
    exemplars: dict[int, Exemplar] = field(default_factory=dict)


@dataclass(slots=True)
class PipelineMetrics:
    """Holds the counts of one coordinator since it began."""

    _counters: dict[str, dict[tuple[str, ...], float]] = field(default_factory=dict)
    _histograms: dict[str, dict[tuple[str, ...], _Buckets]] = field(default_factory=dict)

    def add(self, observations: Iterable[Observation]) -> None:
        """Count what a committed transaction has noted."""
        for each in observations:
            metric = _METRICS[each.metric]
            if not metric.bounds:
                counts = self._counters.setdefault(each.metric, {})
                labels = _within_limit(counts, metric, each.labels)
                counts[labels] = counts.get(labels, 0.0) + each.value
                continue
            found = self._histograms.setdefault(each.metric, {})
            labels = _within_limit(found, metric, each.labels)
            buckets = found.setdefault(labels, _Buckets([0] * (len(metric.bounds) + 1)))
            bucket = bisect_left(metric.bounds, each.value)
            buckets.counts[bucket] += 1
            buckets.total += each.value
            if each.span is not None:
                buckets.exemplars[bucket] = Exemplar(each.value, each.span)

    def readings(self) -> list[Reading | Distribution]:
        """Return every count."""
        read: list[Reading | Distribution] = []
        for name, metric in _METRICS.items():
            for labels, value in self._counters.get(name, {}).items():
                named = dict(zip(metric.labels, labels, strict=True))
                read.append(Reading(name, metric.meaning, value, named, counter=True))
            for labels, buckets in self._histograms.get(name, {}).items():
                named = dict(zip(metric.labels, labels, strict=True))
                counts, exemplars = tuple(buckets.counts), dict(buckets.exemplars)
                meaning, bounds, total = metric.meaning, metric.bounds, buckets.total
                read.append(Distribution(name, meaning, bounds, counts, total, named, exemplars))
        return read


def _within_limit(known: Mapping[tuple[str, ...], object], metric: _Metric, labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the labels under which something is counted."""
    if labels in known or len(known) < MOST_SERIES:
        return labels
    return tuple(OTHERS if name in _FROM_USERS else value for name, value in zip(metric.labels, labels, strict=True))


def nothing_yet(pipeline: str, statuses: Sequence[str], stages: Sequence[str]) -> list[Observation]:
    """Return observations that add nothing, so that a pipeline has its series before its first run ends. A series that
    begins with 1 has not risen, as far as Prometheus can tell."""
    return [
        *(Observation(RUNS, (pipeline, status), 0.0) for status in statuses),
        *(Observation(RECORDS, (pipeline, stage), 0.0) for stage in stages),
        Observation(COST, (pipeline,), 0.0),
    ]
