"""Declares the list of records that were kept back."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from loom_api.console.shown.asked import OfStage, OnlyWaiting, Share, Words
from loom_api.console.shown.changes import offered
from loom_api.console.shown.rendering import Page, page
from loom_api.http import paging
from loom_api.http.answers import TaggedRoute
from loom_api.http.paging import After
from loom_api.reads import MASKED, Reads
from loom_api.source import Source
from loom_common.flow import Stage
from loom_quarantine.queries import RecordFilter

_ON_A_PAGE = 50
_COUNTED = 10_000
"""The records whose causes are counted, the newest, where no run is chosen: a page has to be seen at once."""


def router(source: Source) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False, route_class=TaggedRoute, default_response_class=Page)
    asked = Depends(source.reads)

    @routes.get("/quarantine")
    async def list_records(
        pipeline: Words = None,
        run_id: Words = None,
        stage: OfStage = None,
        reason: Words = None,
        evaluator: Words = None,
        min_score: Share = None,
        max_score: Share = None,
        unresolved: OnlyWaiting = False,
        after: After = None,
        reads: Reads = asked,
    ) -> Page:
        """List records that were kept back, the newest first, with the causes and how often each occurs among
        the newest `_COUNTED`, or in the run."""
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
        found = await reads.quarantine_page(chosen, _ON_A_PAGE + 1, paging.number_key(after))
        records, following = paging.cut(found, _ON_A_PAGE, lambda each: (each.id,))
        run = None if run_id is None else await reads.known(run_id)
        offer = None if run is None else offered(run.definition, await reads.prompt_template(run.run_id))
        counted = None if run_id is not None else _COUNTED
        causes = await reads.quarantine_stats(RecordFilter(pipeline=pipeline, run_id=run_id), counted)
        return page(
            "quarantine.html",
            masked=MASKED,
            offer=offer,
            chosen=chosen,
            records=records,
            following=following,
            causes=causes,
            bounded=counted is not None and sum(each.records for each in causes) >= counted,
            pipelines=await reads.pipeline_names(),
            stages=[each.value for each in Stage],
        )

    return routes
