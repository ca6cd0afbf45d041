"""Declares the routes of runs, of their batches and of their records."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import Depends, Query

from loom_api.bodies import PriorityOptions, ResumeOptions
from loom_api.http import paging
from loom_api.http.answers import Json, Routes, TaggedRoute, commanded
from loom_api.http.idempotency import IdempotencyKey, once
from loom_api.http.paging import After, Limit
from loom_api.http.problems import documented
from loom_api.reads import Reads
from loom_api.results.commands import RunStatus
from loom_api.results.paging import Page
from loom_api.results.records import RecordDocument
from loom_api.results.runs import RunDocument, RunMetrics
from loom_api.running.commands import Commands
from loom_api.source import Source
from loom_common.contracts.v1 import EvaluatorSummary
from loom_common.domain.run.statuses import ShownStatus
from loom_coordinator.queries.batches import BatchLine
from loom_coordinator.queries.lineage import Lineage
from loom_coordinator.queries.records import ScoredRecord
from loom_coordinator.queries.run_filter import RunFilter
from loom_coordinator.queries.runs import RunSummary

Moment = Annotated[dt.datetime | None, Query(description="A time in ISO 8601; without a zone, in UTC.")]
OfPipeline = Annotated[str | None, Query(description="Only runs of this pipeline.")]
Statuses = Annotated[list[ShownStatus] | None, Query(description="Only runs of this status. May be repeated.")]


def router(source: Source) -> Routes:
    """Return the routes."""
    routes = Routes("runs", route_class=TaggedRoute)
    asked = Depends(source.reads)

    @routes.get("/runs", response_model=Page[RunSummary])
    async def list_runs(
        pipeline: OfPipeline = None,
        status: Statuses = None,
        since: Moment = None,
        until: Moment = None,
        limit: Limit = 50,
        after: After = None,
        reads: Reads = asked,
    ) -> Json:
        """List runs, the newest first; `since` is inclusive, `until` is not."""
        chosen = RunFilter(
            pipeline=pipeline,
            statuses=frozenset(each.value for each in status or ()),
            since=None if since is None else paging.in_utc(since),
            until=None if until is None else paging.in_utc(until),
        )
        found = await reads.run_page(chosen, limit + 1, paging.run_key(after))
        return Json(paging.page(found, limit, lambda run: (run.started_at.isoformat(), run.run_id)))

    @routes.get("/runs/{run_id}", response_model=RunDocument, responses=documented(404))
    async def show_run(run_id: str, reads: Reads = asked) -> Json:
        """Show a run's report, as far as it has come."""
        return Json(await reads.shown_run(run_id))

    @routes.get("/runs/{run_id}/metrics", response_model=RunMetrics, responses=documented(404))
    async def show_metrics(run_id: str, reads: Reads = asked) -> Json:
        """Show how a run goes: its stages, rates, batches and calls."""
        return Json(await reads.run_details(run_id))

    @routes.get("/runs/{run_id}/lineage", response_model=Lineage, responses=documented(404))
    async def show_lineage(run_id: str, reads: Reads = asked) -> Json:
        """Show where the records of a run came from and went, once the run has ended."""
        return Json(await reads.run_lineage(run_id))

    @routes.get("/runs/{run_id}/evaluations", response_model=dict[str, EvaluatorSummary], responses=documented(404))
    async def show_evaluations(run_id: str, reads: Reads = asked) -> Json:
        """Show the scores of each evaluator over a run, by the evaluator's name."""
        return Json((await reads.shown_run(run_id)).report.evaluation)

    @routes.get("/runs/{run_id}/batches", response_model=Page[BatchLine], responses=documented(404))
    async def list_batches(run_id: str, limit: Limit = 50, after: After = None, reads: Reads = asked) -> Json:
        """List the batches of a run, in the order of the source."""
        found = await reads.batch_page(run_id, limit + 1, paging.batch_key(after))
        return Json(paging.page(found, limit, lambda each: (each.partition, each.slice, each.position)))

    @routes.get("/runs/{run_id}/records", response_model=Page[ScoredRecord], responses=documented(404))
    async def list_records(run_id: str, limit: Limit = 50, after: After = None, reads: Reads = asked) -> Json:
        """List the records of a run that were evaluated, in the order of their ids, with their scores."""
        found = await reads.scored_page(run_id, limit + 1, paging.text_key(after))
        return Json(paging.page(found, limit, lambda each: (each.record_id,)))

    @routes.get("/runs/{run_id}/records/{record_id:path}", response_model=RecordDocument, responses=documented(404))
    async def show_record(run_id: str, record_id: str, reads: Reads = asked) -> Json:
        """Show all that is known of a record of a run: its scores, its calls, and why it was kept back."""
        return Json(await reads.record(run_id, record_id))

    @routes.get("/manifest", response_model=list[RunDocument])
    async def show_manifest(
        pipeline: OfPipeline = None,
        status: Annotated[ShownStatus | None, Query(description="Only runs of this status.")] = None,
        limit: Limit = 10,
        reads: Reads = asked,
    ) -> Json:
        """Show what each of the newest runs did, for an audit."""
        return Json(await reads.manifest(pipeline, status.value if status else None, limit))

    routes.extend(_commands(source))
    return routes


def _commands(source: Source) -> Routes:
    routes = Routes("runs", responses=documented(404))
    starting = Routes("runs", route_class=once(source.requests), responses=documented(404, 409))
    ordered = Depends(source.commands)

    @routes.post("/runs/{run_id}/pause", response_model=RunStatus)
    async def pause_run(run_id: str, commands: Commands = ordered) -> Json:
        """Stop a run where it stands. Nothing is lost: `resume` goes on."""
        return commanded(await commands.pause(run_id))

    @starting.post("/runs/{run_id}/resume", response_model=RunStatus)
    async def resume_run(
        run_id: str,
        options: ResumeOptions | None = None,
        key: IdempotencyKey = None,  # noqa: ARG001 - the route's class reads it
        commands: Commands = ordered,
    ) -> Json:
        """Go on with a run that was interrupted, paused, cancelled or failed. What was done is not done again."""
        return commanded(await commands.resume(run_id, None if options is None else options.budget))

    @routes.post("/runs/{run_id}/cancel", response_model=RunStatus)
    async def cancel_run(run_id: str, commands: Commands = ordered) -> Json:
        """End a run. What it loaded stays; the rest counts as cancelled."""
        return commanded(await commands.cancel(run_id))

    @routes.post("/runs/{run_id}/drain", response_model=RunStatus)
    async def drain_stream(run_id: str, commands: Commands = ordered) -> Json:
        """Let the stream that the run is a window of end once its source has nothing more for the moment, and all that
        has arrived is loaded."""
        return commanded(await commands.drain(run_id))

    @routes.post("/runs/{run_id}/promote", response_model=RunStatus)
    async def promote_canary(run_id: str, commands: Commands = ordered) -> Json:
        """Give the version on trial all records of the stream that the run is a window of."""
        return commanded(await commands.promote(run_id))

    @routes.post("/runs/{run_id}/rollback", response_model=RunStatus)
    async def roll_back_canary(run_id: str, commands: Commands = ordered) -> Json:
        """Give the version on trial no more records of the stream that the run is a window of."""
        return commanded(await commands.roll_back(run_id))

    @routes.post("/runs/{run_id}/priority", response_model=RunStatus)
    async def prioritize_run(run_id: str, options: PriorityOptions, commands: Commands = ordered) -> Json:
        """Change a run's share beside other runs; effective with its next slice."""
        return commanded(await commands.prioritize(run_id, options.priority))

    routes.extend(starting)
    return routes
