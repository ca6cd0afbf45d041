"""Shows a pipeline once for each of its steps, as if that step were its whole transform. What holds for a transform is
so said of each step by the same code; the transform of a pipeline without `steps` is its one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from loom_common.domain.section import items, said
from loom_common.domain.steps.asking import asked_of
from loom_common.domain.steps.joining import JoinStep
from loom_common.domain.steps.operators import OPERATORS
from loom_common.domain.steps.resolving import ResolveStep

Place = tuple[str | int, ...]
TRANSFORM: Place = ("transform",)
P = TypeVar("P", bound=BaseModel)


def has_steps(transform: Any) -> bool:
    """Tell whether a transform, as written or as a model, consists of steps."""
    return isinstance(said(transform, "steps"), list)


def definitions_by_step(written: Mapping[str, Any]) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Yield the definition for each step that makes an output or asks a model, with the step, or its question, as its
    `transform`, and the place of the step."""
    transform = said(written, "transform")
    if not has_steps(transform):
        yield TRANSFORM, written
        return
    for at, step in enumerate(items(transform, "steps")):
        if said(step, "type") not in OPERATORS:
            yield (*TRANSFORM, "steps", at), {**written, "transform": step}
        elif (asked := asked_of(step)) is not None:
            yield (*TRANSFORM, "steps", at), {**written, "transform": asked}


def by_step(pipeline: P) -> Iterator[tuple[Place, P]]:
    """Yield the pipeline for each step that makes an output or asks a model, with the step, or its question, as its
    `transform`, and the step's place."""
    transform: Any = said(pipeline, "transform")
    if not has_steps(transform):
        yield TRANSFORM, pipeline
        return
    for at, step in enumerate(transform.steps):
        if step.type not in OPERATORS:
            yield (*TRANSFORM, "steps", at), pipeline.model_copy(update={"transform": step})
        elif (asked := transform.question_of(step)) is not None:
            yield (*TRANSFORM, "steps", at), pipeline.model_copy(update={"transform": asked})


def comparing_steps(pipeline: Any) -> Iterator[JoinStep | ResolveStep]:
    """Yield the steps that compare records by the vectors of an embedding model."""
    for step in items(said(pipeline, "transform"), "steps"):
        if isinstance(step, JoinStep | ResolveStep) and step.embedding is not None:
            yield step


def relocated(place: Place, path: Place) -> Place:
    """Return the path in the file of what stands at `path` in the definition of the step at `place`."""
    return (*place, *path[1:]) if path[:1] == TRANSFORM else path
