"""Describes what a benchmark found, as people and programs are shown it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom.benchmarks.figures.computed import ClassFigures, ConfidenceFigures, Figure, NumberFigures
from loom_common.domain.json_values.shown import Shown


@dataclass(frozen=True, slots=True)
class Prediction(Shown):
    """Compares what came of one record with its label."""

    record_id: str
    label: str
    predicted: str | None
    """None where the record has no answer."""
    right: bool | None
    """Tells whether the two are the same class; None for numbers."""
    confidence: float | None
    seconds: float | None
    """The seconds that the model took to answer; None where it is not known."""
    error: str | None
    """Says why there is no answer."""


@dataclass(frozen=True, slots=True)
class Price(Shown):
    """Says what a candidate costs."""

    paid: float
    """The USD that this benchmark paid: answers that were in the journal cost nothing."""
    per_thousand: float | None
    """The USD that 1,000 records cost when their answers are paid for; None where it is not known."""
    judging_per_thousand: float | None
    """The USD that the evaluators that ask models cost for 1,000 records; None where it is not known."""
    calls: int
    reused: int


@dataclass(frozen=True, slots=True)
class ProposedThreshold(Shown):
    """Holds the threshold of an evaluator that labels propose for a goal."""

    goal: str
    """Says what the threshold holds: `precision` or `recall`."""
    target: float
    delta: float
    """The highest probability with which the target may be missed."""
    threshold: float | None
    """None where the labels show that no threshold holds the target."""
    precision: Figure | None
    recall: Figure | None
    passing: float | None
    """The share of the labelled records that pass."""


@dataclass(frozen=True, slots=True)
class Measured(Shown):
    """Holds the figures of one candidate, or of one evaluator."""

    name: str
    pipeline: str
    version: str
    made_by: str | None
    """The model, scorer or function that was measured."""
    run_id: str
    compared: str
    """The field, or the evaluator, that was compared with the labels."""
    records: int
    answered: int
    failures: Mapping[str, int]
    """Counts records without an answer, by the reason."""
    stopped: str | None
    """Says why labelled records were left out; None where all were measured."""
    left_out: int
    classes: ClassFigures | None
    numbers: NumberFigures | None
    confidence: ConfidenceFigures | None
    area_under_curve: float | None
    price: Price
    latency: Mapping[str, float | None]
    """Holds the seconds that an answer took: p50, p95, p99."""
    evaluators: Mapping[str, Mapping[str, float | None]]
    """Holds `mean` and `pass_rate` of the pipeline's evaluators."""
    gain: Figure | None
    """Says by how much its accuracy is above that of the first candidate, on the same records."""
    on_frontier: bool
    """Tells whether no other candidate is as good and cheaper, or better at the same price."""
    predictions: Sequence[Prediction]
    proposal: ProposedThreshold | None = None
    """The threshold that the labels propose; None where nobody asked for one."""

    @property
    def quality(self) -> float | None:
        """Return what candidates are compared by: the accuracy, or the negative mean absolute error."""
        if self.classes is not None:
            return self.classes.accuracy.value
        error = None if self.numbers is None else self.numbers.mae.value
        return None if error is None else -error

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values, without the single records."""
        document = Shown.as_json(self)
        del document["predictions"]
        return document


@dataclass(frozen=True, slots=True)
class Joined(Shown):
    """Says how labels and records were joined."""

    file: str
    column: str
    rows: int
    empty: int
    """Counts the rows of the file that have no label."""
    without_key: int
    """Rows that name no record."""
    labelled: int
    unmatched: int
    """Labels of records that the source does not have."""
    unmatched_examples: Sequence[str]
    read: int
    """Records of the source that were read."""
    unlabelled: int
    """Counts the records that have no label, and were not run."""
    whole: bool
    """Tells whether the source was read to its end; it is not, once every label has found its record."""
    measured: int


@dataclass(frozen=True, slots=True)
class Benchmark(Shown):
    """Holds the result of a `loom bench` command: how labels and records were joined, and each candidate's figures."""

    kind: str
    """`classes`, `numbers` or `verdicts`."""
    seed: int
    joined: Joined
    candidates: Sequence[Measured]
    paid: float
    budget: float | None

    def as_json(self) -> dict[str, Any]:
        """Return the document of `--format json`."""
        return Shown.as_json(self)

    def with_records(self) -> dict[str, Any]:
        """Return the document with every single record, as it is exported."""
        document = self.as_json()
        for measured, each in zip(self.candidates, document["candidates"], strict=True):
            each["records_measured"] = [prediction.as_json() for prediction in measured.predictions]
        return document
