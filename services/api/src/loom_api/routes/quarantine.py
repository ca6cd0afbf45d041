"""Declares the routes of records that were kept back."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Response

from loom_api.bodies import DiscardOptions, ReplayOptions, RetryOptions
from loom_api.http import paging
from loom_api.http.answers import Json, Routes, TaggedRoute, commanded, started
from loom_api.http.idempotency import IdempotencyKey, once
from loom_api.http.paging import After, Limit
from loom_api.http.problems import documented, problem
from loom_api.reads import Reads
from loom_api.results.commands import RunStarted, RunStatus
from loom_api.results.paging import Page
from loom_api.results.records import KeptDocument
from loom_api.running.commands import Commands
from loom_api.source import Source
from loom_common.contracts.v1 import RunAccepted
from loom_common.flow import Stage
from loom_quarantine.queries import CauseCount, RecordFilter, WholeRecord

OfPipeline = Annotated[str | None, Query(description="Only this pipeline's.")]
OfRun = Annotated[str | None, Query(description="Only this run's.")]


def router(source: Source) -> Routes:
    """Return the routes."""
    routes = Routes("quarantine", route_class=TaggedRoute)
    starting = Routes("quarantine", route_class=once(source.requests))
    asked, ordered = Depends(source.reads), Depends(source.commands)

    @routes.get("/quarantine", response_model=Page[WholeRecord], responses=documented(404))
    async def list_records(
        pipeline: OfPipeline = None,
        run_id: OfRun = None,
        stage: Annotated[Stage | None, Query(description="Only those kept back at this stage.")] = None,
        reason: Annotated[
            str | None, Query(description="Only those whose reason has these words, or this code.")
        ] = None,
        evaluator: Annotated[str | None, Query(description="Only those it scored, or failed on.")] = None,
        min_score: Annotated[
            float | None, Query(ge=0, le=1, description="Only those that `evaluator` gave at least so much.")
        ] = None,
        max_score: Annotated[
            float | None, Query(ge=0, le=1, description="Only those that `evaluator` gave at most so much.")
        ] = None,
        unresolved: Annotated[bool, Query(description="Only those that still wait.")] = False,
        limit: Limit = 50,
        after: After = None,
        reads: Reads = asked,
    ) -> Json:
        """List records that were kept back, the newest first, with stage, reason, data and scores."""
        chosen = RecordFilter(
            pipeline=pipeline,
            run_id=run_id,
            stage=stage,
            reason=reason,
            evaluator=evaluator,
            min_score=min_score,
            max_score=max_score,
            unresolved=unresolved,
        )
        await reads.refuse_other(run_id, pipeline)
        found = await reads.quarantine_page(chosen, limit + 1, paging.number_key(after))
        return Json(paging.page(found, limit, lambda each: (each.id,)))

    @routes.get("/quarantine-stats", response_model=list[CauseCount], responses=documented(404))
    async def count_records(pipeline: OfPipeline = None, run_id: OfRun = None, reads: Reads = asked) -> Json:
        """Count records that were kept back by pipeline, stage and cause, and what became of them."""
        await reads.refuse_other(run_id, pipeline)
        return Json(await reads.quarantine_stats(RecordFilter(pipeline=pipeline, run_id=run_id)))

    @routes.get("/quarantine/{record_id:path}", response_model=KeptDocument, responses=documented(404))
    async def show_record(record_id: str, run_id: OfRun = None, reads: Reads = asked) -> Json:
        """Show all that is known of a record that was kept back: input, prompt, output, scores, calls, replays."""
        return Json(await reads.kept_record(record_id, run_id))

    @starting.post(
        "/quarantine-retry",
        status_code=202,
        response_model=RunStarted,
        responses=documented(404, 409),
    )
    async def retry_records(
        options: ReplayOptions,
        key: IdempotencyKey = None,  # noqa: ARG001 - the route's class reads it
        commands: Commands = ordered,
    ) -> Response:
        """Run records of a run that were kept back through its pipeline again, as one run of its own: those that still
        wait, as they were, or changed. 409 says that none waits."""
        began = await commands.replay(options.run_id, options.meant(), options.changes())
        return started(began) if isinstance(began, RunAccepted) else problem(409, began.words())

    @routes.post("/quarantine-discard", status_code=202, response_model=RunStatus, responses=documented(404))
    async def discard_records(options: DiscardOptions, commands: Commands = ordered) -> Json:
        """Give up records of a run that were kept back and still wait: they stay readable, and are not run again."""
        return commanded(await commands.discard(options.meant()), 202)

    @starting.post(
        "/quarantine/{record_id:path}/retry",
        status_code=202,
        response_model=RunStarted,
        responses=documented(404, 409),
    )
    async def retry_record(
        record_id: str,
        options: RetryOptions | None = None,
        key: IdempotencyKey = None,  # noqa: ARG001 - the route's class reads it
        commands: Commands = ordered,
    ) -> Response:
        """Run a record that was kept back through its pipeline again, as a run of its own: as it was, or changed. 409
        says that it is resolved, or that another replay has taken it up."""
        began = await commands.retry(record_id, options or RetryOptions())
        return started(began) if isinstance(began, RunAccepted) else problem(409, began.words())

    routes.extend(starting)
    return routes
