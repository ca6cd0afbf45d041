"""Declares the page of one run: how it went, its scores, its batches, its records and its definition."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from loom_api.console.charts import course
from loom_api.console.charts.histogram import ScorePlot
from loom_api.console.shown import definitions
from loom_api.console.shown.asked import Status
from loom_api.console.shown.changes import offered
from loom_api.console.shown.done import WhatWasDone, sentence
from loom_api.console.shown.live import live_run
from loom_api.console.shown.rendering import Page, page
from loom_api.http import paging
from loom_api.http.answers import TaggedRoute
from loom_api.http.paging import After
from loom_api.reads import Reads
from loom_api.source import Source
from loom_coordinator.db.run import Run
from loom_coordinator.db.run_rows import TERMINAL
from loom_coordinator.queries.run_filter import RunFilter

_ON_A_PAGE = 50
_PARTS = 40
"""The most parts into which the time of a run is cut."""


def router(source: Source) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False, route_class=TaggedRoute, default_response_class=Page)
    asked = Depends(source.reads)

    @routes.get("/runs/{run_id}")
    async def show_run(run_id: str, done: WhatWasDone = None, reads: Reads = asked) -> Page:
        """Show a run: its report, what it costs, and what it was told to do."""
        going, shown = await reads.whole_run(run_id)
        run, live = going.run, live_run(going)
        before = await _run_before(reads, run)
        definition = definitions.as_yaml(run.definition)
        changed = definitions.changes(definitions.as_yaml(before.definition), definition) if before else []
        return page(
            "run.html",
            live=live,
            status_shown=None,
            done=sentence(done, live.status),
            shown=shown,
            report=shown.report,
            run=run,
            before=before,
            changed=changed,
            definition=definition,
            lineage=next(iter(await reads.lineage(run.pipeline_name, run_id)), None),
        )

    @routes.get("/live/runs/{run_id}")
    async def show_run_again(run_id: str, status: Status = None, reads: Reads = asked) -> Page:
        """Show how a run goes, as a part of its page, which asks for it every few seconds; and what can be done with
        it, where its status is another than the page shows."""
        going, shown = await reads.whole_run(run_id)
        return page("parts/run.html", live=live_run(going), shown=shown, report=shown.report, status_shown=status)

    @routes.get("/runs/{run_id}/scores")
    async def show_scores(run_id: str, reads: Reads = asked) -> Page:
        """Show the scores of each evaluator, as a part of the run's page."""
        report = (await reads.shown_run(run_id)).report
        found = await reads.score_histograms(run_id)
        thresholds = {name: each.threshold for name, each in report.evaluation.items()}
        plots = [ScorePlot(each, thresholds.get(each.evaluator_name)) for each in found]
        return page("parts/scores.html", plots=plots, run_id=run_id, report=report, ended=report.status in TERMINAL)

    @routes.get("/runs/{run_id}/course")
    async def show_course(run_id: str, reads: Reads = asked) -> Page:
        """Show how the run's cost grew and how long models took to answer, as a part of the run's page."""
        run = await reads.known(run_id)
        moments = await reads.run_course(run_id, _PARTS)
        return page("parts/course.html", moments=moments, **course.drawn(moments, run.budget), budget=run.budget)

    @routes.get("/runs/{run_id}/batches")
    async def list_batches(run_id: str, after: After = None, reads: Reads = asked) -> Page:
        """List the batches of a run, in the order of the source."""
        run = await reads.known(run_id)
        found = await reads.batch_page(run_id, _ON_A_PAGE + 1, paging.batch_key(after))
        batches, following = paging.cut(found, _ON_A_PAGE, lambda each: (each.partition, each.slice, each.position))
        return page("batches.html", run=run, batches=batches, following=following)

    @routes.get("/runs/{run_id}/records")
    async def list_records(run_id: str, after: After = None, reads: Reads = asked) -> Page:
        """List the records of a run that were evaluated, with their scores."""
        run = await reads.known(run_id)
        found = await reads.scored_page(run_id, _ON_A_PAGE + 1, paging.text_key(after))
        records, following = paging.cut(found, _ON_A_PAGE, lambda each: (each.record_id,))
        return page("records.html", run=run, records=records, following=following)

    @routes.get("/runs/{run_id}/records/{record_id:path}")
    async def show_record(run_id: str, record_id: str, reads: Reads = asked) -> Page:
        """Show all that is known of a record of a run."""
        run = await reads.known(run_id)
        record = await reads.record(run_id, record_id)
        waits = record.kept is not None and not record.kept.row.resolved
        template = await reads.prompt_template(run_id) if waits else None
        offer = offered(run.definition, template, record.kept.row.record_data) if waits and record.kept else None
        answers = await reads.answers(run_id, record_id)
        return page("record.html", run=run, record=record, answers=answers, offer=offer)

    return routes


async def _run_before(reads: Reads, run: Run) -> Run | None:
    """Return the run of the pipeline that began before this one; None for the first."""
    earlier = await reads.run_page(RunFilter(pipeline=run.pipeline_name, until=run.started_at), 1, None)
    return await reads.row(earlier[0].run_id) if earlier else None
