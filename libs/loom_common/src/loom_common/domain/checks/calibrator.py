"""Reads calibrator files, which `loom bench calibrate` writes: they turn a score into a probability that holds.

The file travels with a run as text, in the run's plan. So another calibrator is another version of the plan."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.run.plan import Plan
from loom_common.domain.section import items, said
from loom_common.errors import PermanentError
from loom_common.statistics.calibration import Curve, read

KIND = "loom calibrator 1"


@dataclass(frozen=True, slots=True)
class Calibrator:
    """Holds a curve, and what its scores are."""

    of: str
    """The output field, or the evaluator, whose scores the curve was fitted to."""
    curve: Curve


def parsed(text: str) -> Calibrator:
    """Read the text of a calibrator file. Raises `ValueError` with what is wrong with it."""
    try:
        document = json.loads(text)
    except ValueError:
        raise ValueError("it is no JSON") from None
    match document:
        case {"kind": str() as kind, "of": str() as of, "curve": dict() as curve}:
            if kind != KIND:
                raise ValueError(f"its kind is {kind!r}, and not {KIND!r}")
            return Calibrator(of, read(curve))
    raise ValueError("`kind`, `of` and `curve` are missing: `loom bench calibrate` writes such files")


def calibrator_of(plan: Plan, name: str) -> Calibrator:
    """Return the calibrator of that name. Raises `PermanentError` where it is missing from the plan, or is none."""
    if name not in plan.files:
        raise PermanentError(f"The run's plan lacks the calibrator {name}. Start the run again.")
    try:
        return parsed(plan.files[name])
    except ValueError as error:
        raise PermanentError(f"The calibrator {name} cannot be used: {error}.") from error


def named_in(definition: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the calibrator files that a definition names, as written or as a model, with their places."""
    transform = said(definition, "transform")
    steps = enumerate(items(transform, "steps"))
    places = [(("transform",), transform), *((("transform", "steps", at), step) for at, step in steps)]
    written: list[tuple[tuple[str | int, ...], Any]] = [
        *(((*place, "calibration"), said(each, "calibration")) for place, each in places),
        *(((*place, "scorer", "calibration"), said(said(each, "scorer"), "calibration")) for place, each in places),
        *(
            (("evaluate", "evaluators", at, "calibration"), said(each, "calibration"))
            for at, each in enumerate(items(said(definition, "evaluate"), "evaluators"))
        ),
    ]
    yield from ((at, name) for at, name in written if isinstance(name, str))


def of_evaluators(plan: Plan) -> dict[str, Curve]:
    """Return the curves of a plan's evaluators, by their names. Raises as `calibrator_of` does."""
    pipeline: Pipeline = plan.pipeline
    evaluators = pipeline.evaluate.evaluators if pipeline.evaluate else ()
    return {
        each.name: calibrator_of(plan, each.calibration).curve for each in evaluators if each.calibration is not None
    }
