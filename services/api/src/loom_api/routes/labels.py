"""Declares the routes by which people judge records of a run."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query

from loom.labelling.label_session import Progress
from loom.labelling.report import LabelReport, Wanted
from loom_api.bodies import LabelBody, SampleBody, UndoBody
from loom_api.http import paging
from loom_api.http.answers import Json, Routes, TaggedRoute
from loom_api.http.idempotency import IdempotencyKey, once
from loom_api.http.paging import After, Limit
from loom_api.http.problems import documented
from loom_api.results.paging import Page
from loom_api.running.labels import Labelling, NextToJudge
from loom_api.source import Source
from loom_common.statistics.thresholds import Goal
from loom_coordinator.db.outputs.labels import Label

Evaluator = Annotated[
    str | None,
    Query(
        max_length=100,
        description="The sample that was drawn for this evaluator, or the `gate`. Default: the one drawn last.",
    ),
]
Target = Annotated[float, Query(gt=0, lt=1, description="The share that a proposed threshold has to hold.")]
Delta = Annotated[float, Query(ge=1e-6, le=0.5, description="The probability with which it may miss it.")]
OfGoal = Annotated[Goal, Query(description="What a proposed threshold has to hold.")]


def router(source: Source) -> Routes:
    """Return the routes."""
    routes = Routes("labels", route_class=TaggedRoute, responses=documented(404))
    writing = Routes("labels", route_class=once(source.requests), responses=documented(404, 409))
    serving = Depends(source.labelling)

    @routes.get("/runs/{run_id}/labels", response_model=Page[Label])
    async def list_labels(run_id: str, limit: Limit = 50, after: After = None, labelling: Labelling = serving) -> Json:
        """List what people said of a run's records, in the order of records and persons."""
        found = await labelling.page(run_id, limit + 1, paging.label_key(after))
        return Json(paging.page(found, limit, lambda each: (each.record_id, each.person)))

    @routes.get("/runs/{run_id}/labels/next", response_model=NextToJudge)
    async def show_next(run_id: str, evaluator: Evaluator = None, labelling: Labelling = serving) -> Json:
        """Show the next record of the sample that the user has not judged, with input, output and scores."""
        return Json(await labelling.next(run_id, evaluator))

    @routes.get("/runs/{run_id}/labels/report", response_model=LabelReport)
    async def show_report(
        run_id: str,
        evaluator: Evaluator = None,
        goal: OfGoal = Goal.PRECISION,
        target: Target = 0.9,
        delta: Delta = 0.05,
        labelling: Labelling = serving,
    ) -> Json:
        """Show how far people and evaluators agree on a run, and the thresholds that labels speak for."""
        return Json(await labelling.report(run_id, evaluator, Wanted(goal, target, delta)))

    @writing.post("/runs/{run_id}/labels", response_model=Label)
    async def keep_label(
        run_id: str,
        said: LabelBody,
        key: IdempotencyKey = None,  # noqa: ARG001 - the route's class reads it
        labelling: Labelling = serving,
    ) -> Json:
        """Keep what the user says of a record of the sample, in the place of what the user has said before."""
        session = await labelling.session(run_id, said.evaluator, "api")
        return Json(await labelling.say(session, said.record_id, said.verdict, said.comment, said.expected))

    @writing.post("/runs/{run_id}/labels/undo", response_model=Label)
    async def undo_label(
        run_id: str,
        said: UndoBody | None = None,
        key: IdempotencyKey = None,  # noqa: ARG001 - the route's class reads it
        labelling: Labelling = serving,
    ) -> Json:
        """Take back what the user has said last of a record of the sample, and show it."""
        return Json(
            await labelling.undo(await labelling.session(run_id, None if said is None else said.evaluator, "api"))
        )

    @writing.post("/runs/{run_id}/labels/sample", response_model=Progress)
    async def draw_sample(
        run_id: str,
        said: SampleBody | None = None,
        key: IdempotencyKey = None,  # noqa: ARG001 - the route's class reads it
        labelling: Labelling = serving,
    ) -> Json:
        """Draw records to judge: those nearest to a threshold, and some at random. A larger sample begins with the
        smaller one that there is."""
        wanted = said or SampleBody()
        made = await labelling.draw(run_id, wanted.evaluator, wanted.count)
        return Json(await (await labelling.session(run_id, made.subject, "api")).progress())

    routes.extend(writing)
    return routes
