"""Declares the pages that score the outputs of a run again, by other thresholds, and apply it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response

from loom.labelling.subject import section_of
from loom_api.console.shown.changes import THRESHOLD, number_in, thresholds_in
from loom_api.console.shown.done import Done, WhatWasDone
from loom_api.console.shown.forms import read_form
from loom_api.console.shown.rendering import Page, link, next_page, page
from loom_api.reads import Reads
from loom_api.running.scoring import Scoring
from loom_api.source import Source
from loom_coordinator.db.outputs.rescorings import APPLIED

_SHOWN = 50


def router(source: Source) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False, default_response_class=Page)
    asked, serving = Depends(source.reads), Depends(source.scoring)

    @routes.get("/runs/{run_id}/evaluate")
    async def show_form(run_id: str, request: Request, reads: Reads = asked) -> Page:
        """Show the form that scores a run again. The address may name thresholds, as the page of labels does."""
        run = await reads.known(run_id)
        section_of(run)
        now = thresholds_in(run.definition["evaluate"])
        given = {name: request.query_params.get(f"{THRESHOLD}{name}", "")[:40] for name in now}
        return page("evaluate.html", run=run, thresholds=now, given=given)

    @routes.post("/runs/{run_id}/evaluate")
    async def evaluate_run(run_id: str, request: Request, scoring: Scoring = serving) -> Response:
        """Score a run again, and lead to what comes of it."""
        form = await read_form(request)
        thresholds = {name: number_in(name, text) for name, text in form.below(THRESHOLD).items() if text.strip()}
        apply = form.one("apply") is not None
        budget = form.one("budget")
        made = await scoring.evaluate(
            run_id,
            thresholds,
            [],
            budget=None if budget is None else number_in("budget", budget),
            apply=apply,
            shown=_SHOWN,
        )
        place = f"/runs/{quote(run_id, safe='')}/rescored/{quote(made.rescoring_id, safe='')}"
        return next_page(link(place, done=Done.APPLY if apply else None))

    @routes.get("/runs/{run_id}/rescored/{rescoring_id}")
    async def show_rescored(
        run_id: str, rescoring_id: str, done: WhatWasDone = None, reads: Reads = asked, scoring: Scoring = serving
    ) -> Page:
        """Show what scoring a run again came to, with the form that applies it."""
        run = await reads.known(run_id)
        stored, made = await scoring.stored(run_id, rescoring_id, _SHOWN)
        section = stored.changes.get("evaluate") or {}
        return page(
            "rescored.html",
            run=run,
            made=made,
            thresholds={name: limit for name, limit in thresholds_in(section).items() if limit is not None},
            applied=stored.state == APPLIED,
            appliable=_unlimited(section) == _unlimited(run.definition["evaluate"]),
            applied_at=stored.applied_at,
            done="What passes now is loaded, and what no longer does is withdrawn." if done is Done.APPLY else None,
            most=_SHOWN,
        )

    return routes


def _unlimited(section: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the evaluators of a section without their thresholds. The form that applies a scoring can say thresholds
    alone, so that it is offered where nothing else is another."""
    return [{name: value for name, value in each.items() if name != "threshold"} for each in section["evaluators"]]
