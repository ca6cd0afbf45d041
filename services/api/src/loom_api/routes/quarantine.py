"""Declares the routes of records that were kept back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from loom_api import paging
from loom_api.answers import Json, TaggedRoute
from loom_api.paging import After, Limit
from loom_api.problems import documented
from loom_api.reads import Reads, Source
from loom_api.results import KeptDocument, Page
from loom_common.errors import ConfigurationError
from loom_common.flow import Stage
from loom_quarantine.queries import CauseCount, RecordFilter, WholeRecord

OfPipeline = Annotated[str | None, Query(description="Only this pipeline's.")]
OfRun = Annotated[str | None, Query(description="Only this run's.")]


def router(source: Source) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["quarantine"], route_class=TaggedRoute, default_response_class=Json)
    asked = Depends(source.reads)

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
        if evaluator is None and (min_score, max_score) != (None, None):
            raise ConfigurationError("A score needs an evaluator: give `evaluator`, too.")
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

    return routes
