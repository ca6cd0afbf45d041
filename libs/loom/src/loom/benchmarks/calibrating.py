"""Fits calibrators to what a benchmark has measured, and writes them."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loom.benchmarks.data.verdicts import PASS
from loom.benchmarks.figures import computed
from loom.benchmarks.figures.computed import ConfidenceFigures
from loom.benchmarks.figures.result import Benchmark, Measured
from loom.benchmarks.shown.files import put
from loom.benchmarks.shown.page import render
from loom_common.domain.checks.calibrator import KIND, parsed
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.values.ids import content_hash
from loom_common.errors import ConfigurationError
from loom_common.statistics.calibration import Curve, fitted, out_of_fold

_FEWEST = 20


@dataclass(frozen=True, slots=True)
class Fit:
    """Says how a curve is fitted, and how it is seen whether it holds."""

    method: str = "isotonic"
    folds: int = 5
    holdout: float | None = None
    """The share of the records that the curve is not fitted to, and is measured on; None for cross-validation."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Calibration(Shown):
    """Holds a curve with the figures before and after it, both on scores that it was not fitted to."""

    of: str
    method: str
    validation: str
    records: int
    positives: int
    before: ConfidenceFigures
    after: ConfidenceFigures
    curve: dict[str, Any]
    version: int
    hash: str
    """The first letters of the file's hash."""
    file: str


def calibrated(found: Benchmark, fit: Fit, file: Path, confidence: str | None) -> Calibration:
    """Fit a curve to the one candidate of a benchmark, and write it to a file, in the place of the version before.
    Raises `ConfigurationError` where there is too little to learn from, and where the file cannot be written."""
    (measured,) = found.candidates
    of = measured.compared if found.kind == "verdicts" else confidence
    if of is None or measured.confidence is None:
        raise ConfigurationError(
            f"{measured.pipeline} states no confidence that could be calibrated. Name the output field that holds it, "
            "a number from 0 to 1, with --confidence; or an evaluator with --evaluator."
        )
    pairs = [
        (each.confidence, each.label == PASS if found.kind == "verdicts" else bool(each.right))
        for each in measured.predictions
        if each.confidence is not None
    ]
    if len(pairs) < _FEWEST:
        raise ConfigurationError(
            f"{len(pairs)} labelled records have a confidence; at least {_FEWEST} are needed to learn from."
        )
    scores, right = [score for score, _ in pairs], [outcome for _, outcome in pairs]
    try:
        curve, before, after, validation = _fitted(scores, right, fit)
    except ValueError as error:
        raise ConfigurationError(f"Nothing can be calibrated: {error}.") from None
    version = _version_before(file) + 1
    text = _text(found, measured, of, curve, validation, version, before, after)
    put(text, file)
    return Calibration(
        of=of,
        method=fit.method,
        validation=validation,
        records=len(pairs),
        positives=sum(right),
        before=before,
        after=after,
        curve=curve.as_json(),
        version=version,
        hash=content_hash(text.encode())[:12],
        file=str(file),
    )


def page(found: Benchmark, made: Calibration) -> str:
    """Return the page of a calibration, with the reliability before and after."""
    return render("calibration.html", found=found, made=made)


def _fitted(
    scores: Sequence[float], right: Sequence[bool], fit: Fit
) -> tuple[Curve, ConfidenceFigures, ConfidenceFigures, str]:
    """Return the curve that is kept, the figures before and after, and how these were come by."""
    if fit.holdout is None:
        probabilities = out_of_fold(fit.method, scores, right, fit.folds, fit.seed)
        if probabilities is None:
            raise ValueError(f"there are too few of either outcome for {fit.folds} folds")
        curve = fitted(fit.method, scores, right)
        held = list(range(len(scores)))
        words = f"{fit.folds}-fold cross-validation, seed {fit.seed}; the curve is fitted to all records"
    else:
        order = list(range(len(scores)))
        random.Random(fit.seed).shuffle(order)  # noqa: S311 - no secret is made of it
        held = order[: max(1, round(fit.holdout * len(order)))]
        kept = order[len(held) :]
        curve = fitted(fit.method, [scores[at] for at in kept], [right[at] for at in kept])
        probabilities = [curve(score) for score in scores]
        words = f"on {len(held):,} records that were held out, seed {fit.seed}; fitted to the other {len(kept):,}"
    before = computed.of_confidences([(scores[at], right[at]) for at in held], fit.seed)
    after = computed.of_confidences([(probabilities[at], right[at]) for at in held], fit.seed)
    assert before is not None
    assert after is not None
    return curve, before, after, words


def _version_before(file: Path) -> int:
    """Return the version of the file that is there; 0 where there is none. Raises `ConfigurationError` for a file that
    is no calibrator: it is somebody else's."""
    if not file.exists():
        return 0
    try:
        text = file.read_text(encoding="utf-8")
        parsed(text)
        return int(json.loads(text).get("version", 0))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{file} is there and is no calibrator ({error}); nothing is written in its place."
        ) from None


def _text(
    found: Benchmark,
    measured: Measured,
    of: str,
    curve: Curve,
    validation: str,
    version: int,
    before: ConfidenceFigures,
    after: ConfidenceFigures,
) -> str:
    document = {
        "kind": KIND,
        "of": of,
        "version": version,
        "curve": curve.as_json(),
        "fitted": {
            "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "pipeline": measured.pipeline,
            "pipeline_version": measured.version,
            "made_by": measured.made_by,
            "labels": found.joined.file,
            "label": found.joined.column,
            "compared": measured.compared,
            "records": measured.confidence.records if measured.confidence else 0,
            "validation": validation,
            "before": _summary(before),
            "after": _summary(after),
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _summary(figures: ConfidenceFigures) -> dict[str, Any]:
    return {"records": figures.records, "ece": figures.ece.as_json(), "brier": figures.brier.as_json()}
