"""Compares what came of the records of a run with their labels. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from loom.benchmarks.data.target import Kind, Target, class_of, number_of
from loom.benchmarks.data.verdicts import FAIL, PASS
from loom.benchmarks.figures import computed as figures
from loom.benchmarks.figures.computed import NO_ANSWER
from loom.benchmarks.figures.result import Measured, Prediction, Price, ProposedThreshold
from loom.benchmarks.running.labelled_run import CandidateRun
from loom.benchmarks.running.paid_answers import PaidAnswers
from loom_common.statistics.numbers import area_under_curve
from loom_common.statistics.thresholds import Goal, proposed

_PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_NOTHING_CAME = "The run made no output of it"


def of_outputs(
    run: CandidateRun,
    labels: Mapping[str, Any],
    target: Target,
    kind: Kind,
    paid: PaidAnswers | None,
    judged: PaidAnswers | None,
    seed: int,
) -> Measured:
    """Compare a field of the outputs with the labels. A record without an output counts as wrong where labels are
    classes, and is left out where they are numbers."""
    seen = _seen(run, labels)
    predictions = [
        _of_output(name, labels[name], run, target, kind, None if paid is None else paid.seconds.get(name))
        for name in seen
    ]
    pairs = [(each.label, each.predicted or NO_ANSWER) for each in predictions]
    numbers = [
        (true, said)
        for each in predictions
        if (true := number_of(each.label)) is not None and (said := number_of(each.predicted)) is not None
    ]
    stated = [(each.confidence, bool(each.right)) for each in predictions if each.confidence is not None]
    return _measured(
        run,
        run.candidate.name,
        target.field,
        predictions,
        len(labels) - len(seen),
        paid,
        judged,
        classes=figures.of_classes(pairs, seed) if kind is Kind.CLASSES else None,
        numbers=figures.of_numbers(numbers, seed) if kind is Kind.NUMBERS else None,
        confidence=figures.of_confidences(stated, seed) if kind is Kind.CLASSES else None,
    )


def of_evaluator(
    run: CandidateRun,
    labels: Mapping[str, Any],
    evaluator: str,
    threshold: float | None,
    kind: Kind,
    judged: PaidAnswers | None,
    seed: int,
) -> Measured:
    """Compare an evaluator's scores with the labels: with verdicts (`pass`, `fail`) by its threshold, and as
    probabilities of a pass; or with numbers."""
    seen = _seen(run, labels)
    predictions = []
    for name in seen:
        score = run.scores.get(name, {}).get(evaluator)
        error = None if score is not None else run.failures.get(name, _NOTHING_CAME)
        if kind is Kind.NUMBERS or threshold is None:
            predicted = None if score is None else f"{score:g}"
        else:
            predicted = None if score is None else PASS if score >= threshold else FAIL
        label = class_of(labels[name])
        right = None if kind is Kind.NUMBERS or threshold is None else predicted == label
        seconds = None if judged is None else judged.seconds.get(name)
        predictions.append(Prediction(name, label, predicted, right, score, seconds, error))
    scored = [each for each in predictions if each.confidence is not None]
    scores = [each.confidence or 0.0 for each in scored]
    passes = [each.label == PASS for each in scored]
    pairs = [(each.label, each.predicted or NO_ANSWER) for each in predictions]
    numbers = [
        (true, score) for each, score in zip(scored, scores, strict=True) if (true := number_of(each.label)) is not None
    ]
    verdicts = kind is Kind.CLASSES
    return _measured(
        run,
        f"{run.candidate.name}: {evaluator}",
        evaluator,
        predictions,
        len(labels) - len(seen),
        None,
        judged,
        classes=figures.of_classes(pairs, seed) if verdicts and threshold is not None else None,
        numbers=None if verdicts else figures.of_numbers(numbers, seed),
        confidence=figures.of_confidences(list(zip(scores, passes, strict=True)), seed) if verdicts else None,
        area=area_under_curve(scores, passes) if verdicts else None,
    )


def with_proposal(measured: Measured, goal: Goal, target: float, delta: float) -> Measured:
    """Return what was measured of an evaluator, with the threshold that its scores and the verdicts propose."""
    scored = [(each.confidence, each.label == PASS) for each in measured.predictions if each.confidence is not None]
    found = proposed([score for score, _ in scored], [right for _, right in scored], goal, target, delta)
    if found is None:
        return replace(measured, proposal=ProposedThreshold(goal.value, target, delta, None, None, None, None))
    return replace(
        measured,
        proposal=ProposedThreshold(
            goal.value,
            target,
            delta,
            found.threshold,
            figures.Figure.of(found.precision, found.precision_interval),
            figures.Figure.of(found.recall, found.recall_interval),
            found.passing,
        ),
    )


def _seen(run: CandidateRun, labels: Mapping[str, Any]) -> list[str]:
    """Return the labelled records that came to an end: a run that was stopped left the others out."""
    if run.stopped is None:
        return list(labels)
    return [name for name in labels if name in run.outputs or name in run.failures]


def _of_output(
    name: str, label: Any, run: CandidateRun, target: Target, kind: Kind, seconds: float | None
) -> Prediction:
    output = run.outputs.get(name)
    if output is None or output.get(target.field) is None:
        error = run.failures.get(name, _NOTHING_CAME) if output is None else f"The output has no '{target.field}'"
        return Prediction(name, class_of(label), None, None if kind is Kind.NUMBERS else False, None, seconds, error)
    predicted = class_of(output[target.field])
    right = None if kind is Kind.NUMBERS else predicted == class_of(label)
    stated = None if target.confidence is None else number_of(output.get(target.confidence))
    confidence = stated if stated is not None and 0.0 <= stated <= 1.0 else None
    return Prediction(name, class_of(label), predicted, right, confidence, seconds, None)


def _measured(
    run: CandidateRun,
    name: str,
    compared: str,
    predictions: Sequence[Prediction],
    left_out: int,
    paid: PaidAnswers | None,
    judged: PaidAnswers | None,
    *,
    classes: figures.ClassFigures | None,
    numbers: figures.NumberFigures | None,
    confidence: figures.ConfidenceFigures | None,
    area: float | None = None,
) -> Measured:
    report, pipeline = run.report, run.candidate.pipeline
    took = sorted(each.seconds for each in predictions if each.seconds is not None)
    latency = {key: _percentile(took, share) for key, share in _PERCENTILES.items()} if took else report.latency
    free = not report.spending and paid is None
    return Measured(
        name=name,
        pipeline=pipeline.name,
        version=pipeline.version,
        made_by=pipeline.transform.made_by,
        run_id=report.run_id,
        compared=compared,
        records=len(predictions),
        answered=sum(each.error is None for each in predictions),
        failures=Counter(each.error for each in predictions if each.error is not None),
        stopped=run.stopped,
        left_out=left_out,
        classes=classes,
        numbers=numbers,
        confidence=confidence,
        area_under_curve=area,
        price=Price(
            paid=report.cost["total"],
            per_thousand=0.0 if free else _per_thousand(paid),
            judging_per_thousand=_per_thousand(judged),
            calls=sum(each.made for each in report.spending),
            reused=sum(each.reused for each in report.spending),
        ),
        latency=latency,
        evaluators={
            each: {"mean": summary.mean, "pass_rate": summary.pass_rate} for each, summary in report.evaluation.items()
        },
        gain=None,
        on_frontier=False,
        predictions=predictions,
    )


def _per_thousand(paid: PaidAnswers | None) -> float | None:
    """Return the USD of 1,000 records; None where nothing is known of them, or of the model's price."""
    return None if paid is None or not paid.seconds or not paid.cost else paid.cost / len(paid.seconds) * 1_000


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
